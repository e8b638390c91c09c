//! The settings of a leg of copies: which project goes where.
//!
//! Everything here was checked when the configuration was read: what becomes part of a path or a header needs no further
//! check.

use super::rules::Rules;
use crate::metric::TargetName;
use crate::sentry::dsn::Dsn;
use crate::sentry::project::ProjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Which requests are mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {
    /// POST `/api/<id>/envelope/`: all that RUM accepts.
    Envelope,
    /// Everything under `/api/<id>/` but OPTIONS and HEAD, as opaque bytes.
    All,
}

/// Where the copies of a project go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Envoy cluster, or `host:port` on nginx. Empty in mode `rewrite` without `fast_ack`: no calls are made.
    pub upstream: String,
    /// The number of the target (upstream and authority): below [`Copies::targets`], and equal for equal targets.
    pub share: usize,
    /// Host of the copy.
    pub authority: String,
    /// `/rum/sentry/<workspace>/<service_id>`. Empty for a second Sentry, whose path is that of its DSN.
    pub path_prefix: String,
    /// The project of a second Sentry.
    pub dsn: Option<Rc<Dsn>>,
    /// The rules for these copies.
    pub rules: Rules,
    /// Whether the rules decide which of them are sent ([`Rules::decide`]), or envelopes are read for another reason.
    pub is_ruled: bool,
}

impl Destination {
    /// Whether envelopes are read before they are sent: for a rule, or because they may name the project at the first Sentry.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.dsn.is_some() || self.rules.read()
    }

    /// The service id at the end of the prefix: RUM's `app.id`.
    #[must_use]
    pub fn service_id(&self) -> &str {
        self.path_prefix
            .rsplit_once('/')
            .map_or("", |(_, service_id)| service_id)
    }

    /// The workspace in the prefix.
    pub(crate) fn workspace(&self) -> &str {
        self.path_prefix.split('/').nth(3).unwrap_or_default()
    }
}

/// A leg of copies.
#[derive(Clone, Debug)]
pub struct Copies {
    /// Which requests are mirrored.
    pub routes: Routes,
    /// `http` or `https`: the scheme that an nginx dispatch asks for.
    pub scheme: &'static str,
    /// Per call.
    pub timeout_ms: u32,
    /// For projects that `projects` does not list.
    pub default: Option<Rc<Destination>>,
    /// By project.
    pub projects: BTreeMap<ProjectId, Rc<Destination>>,
    /// Never mirrored.
    pub exclude: BTreeSet<ProjectId>,
    /// Keys whose values are removed besides the default ones, where copies are scrubbed.
    pub scrub_keys: Vec<String>,
    /// How many targets there are among all destinations, at least one.
    pub targets: usize,
}

impl Copies {
    /// Where copies may go.
    fn destinations(&self) -> impl Iterator<Item = &Destination> {
        let all = self.projects.values().chain(&self.default);
        all.map(|destination| &**destination)
    }

    /// Whether envelopes are read.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.destinations().any(Destination::reads)
    }

    /// Whether envelopes may be rebuilt.
    #[must_use]
    pub fn touches(&self) -> bool {
        self.destinations()
            .any(|to| to.dsn.is_some() || to.rules.touch())
    }

    /// Whether what is rebuilt may be encoded.
    #[must_use]
    pub fn encodes(&self) -> bool {
        self.destinations().any(|to| to.rules.gzip)
    }

    /// Whether items are scrubbed.
    #[must_use]
    pub fn scrubs(&self) -> bool {
        self.destinations().any(|to| to.rules.scrub)
    }

    /// The rules of each project; `None` stands for `default`.
    pub fn rules(&self) -> impl Iterator<Item = (Option<ProjectId>, &Rules)> {
        let projects = self.projects.iter().map(|(id, to)| (Some(*id), to));
        let all = projects.chain(self.default.iter().map(|to| (None, to)));
        all.map(|(id, to)| (id, &to.rules))
    }
}

/// A second Sentry: a leg of its own.
#[derive(Clone, Debug)]
pub struct SecondSentry {
    /// What the operator calls it.
    pub name: TargetName,
    /// Its copies.
    pub copies: Copies,
    /// Bytes of its copies that are waiting or in flight.
    pub max_pending_bytes: usize,
    /// Its calls without an answer.
    pub max_in_flight: usize,
}
