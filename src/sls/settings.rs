//! The settings of the SLS leg and mode `sign`: where logs go, with whose key, and how they are made.
//!
//! Everything here was checked when the configuration was read.

use super::batch;
use super::compress::Compression;
use super::credential::Credential;
use super::put_logs::Destination;
use super::signature::Signature;
use super::write_request::Rules;
use crate::client_ip::ClientIp;
use crate::delivery::retry::Retry;
use std::rc::Rc;

/// Where the credential comes from.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// From the configuration or the environment.
    Literal(Credential),
    /// From the metadata service of the ECS instance.
    EcsRamRole {
        /// The role, unless the service is to be asked for it.
        role: Option<String>,
        /// The upstream for the metadata service.
        upstream: String,
    },
}

/// The SLS leg.
#[derive(Clone, Debug)]
pub struct Sls {
    /// Envoy cluster, or `host:port` on nginx.
    pub upstream: String,
    /// `http` or `https`: the scheme that an nginx dispatch asks for.
    pub scheme: &'static str,
    /// Project, endpoint, logstore, topic and source.
    pub destination: Rc<Destination>,
    /// How requests are signed.
    pub signature: Signature,
    /// With whose key.
    pub credential: CredentialSource,
    /// How bodies are compressed.
    pub compression: Compression,
    /// When a batch is sealed.
    pub batch: batch::Limits,
    /// Keep each item's own JSON in the field `payload`.
    pub payload: bool,
    /// Make logs of a transaction's spans.
    pub spans: bool,
    /// How much of a larger item is read.
    pub max_item_bytes: usize,
    /// Remove sensitive values.
    pub scrub: bool,
    /// Keys whose values are removed besides the default ones.
    pub scrub_keys: Vec<String>,
    /// How much of clients' addresses stays.
    pub client_ip: ClientIp,
    /// Per call.
    pub timeout_ms: u32,
    /// What is retried.
    pub retry: Retry,
}

/// Mode `sign`.
#[derive(Clone, Debug)]
pub struct Sign {
    /// What may be written, and how it is signed.
    pub rules: Rules,
    /// With whose key.
    pub credential: CredentialSource,
}
