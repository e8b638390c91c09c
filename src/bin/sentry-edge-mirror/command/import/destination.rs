//! The sections of the plugin configuration that are made, with the keys in the order of envoy/README.md.

use super::super::finding::Finding;
use super::forward::filled;
use super::passed::Copy;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Configuration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<&'static str>,
    /// Those of the servers that mirror, if they have names.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) hosts: BTreeSet<String>,
    pub(super) rum: Rum,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Rum {
    pub(super) upstream: String,
    pub(super) authority: String,
    /// In Envoy the cluster decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) projects: BTreeMap<u64, Destination>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<Destination>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) exclude: BTreeSet<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout_ms: Option<u64>,
}

/// Where the copies of a project go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Destination {
    workspace: String,
    service_id: String,
    /// Of a server of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upstream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authority: Option<String>,
}

impl Destination {
    pub(super) fn new(copy: &Copy<'_>, notes: &mut Vec<Finding>) -> Self {
        Self {
            workspace: filled(&copy.workspace, copy.entry, notes),
            service_id: filled(&copy.service_id, copy.entry, notes),
            upstream: None,
            authority: None,
        }
    }
}
