//! The plugin configuration: one JSON object (or Struct), validated once, at load.
//!
//! `node` parses, `env` expands, `reader` reads and collects problems, `lane` says what a root context is, `ingest` which
//! requests are ours. `rum`, `sls` and `second` read the legs, `retry` the retries, `sign` and `rewrite` what belongs to
//! those modes. `memory` says what it all needs, `warnings` what is probably a mistake. This file owns the whole and the
//! other defaults. Nothing is half-applied: a configuration with one problem is not used at all.

mod env;
mod ingest;
mod lane;
pub mod memory;
mod node;
mod reader;
mod retry;
mod rewrite;
mod rum;
mod second;
mod sign;
mod sls;
mod warnings;

pub use lane::Role;
pub use reader::Problem;

use crate::client_ip::ClientIp;
use crate::copies::settings::{Copies, SecondSentry};
use crate::delivery::retry::Retry;
use crate::host::HostKind;
use crate::sentry::ingest::Ingest;
use crate::sls::settings::{Sign, Sls};
use node::Node;
use reader::{Field, Object, Reader};
use std::fmt;

/// What the filter does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The request goes on unchanged, and a copy is sent.
    Tee,
    /// The request is itself the copy: it is changed in place and goes on, or is answered and delivered from here.
    Rewrite {
        /// It is answered as soon as it is complete, and delivered from the outbox.
        fast_ack: bool,
    },
    /// The request is an unsigned SLS write: it is signed in place.
    Sign,
}

impl Mode {
    /// As written in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tee => "tee",
            Self::Rewrite { .. } => "rewrite",
            Self::Sign => "sign",
        }
    }
}

/// Budgets, per worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a body that is still copied.
    pub max_body_bytes: usize,
    /// The most bytes of a body after content decoding, for the SLS leg.
    pub max_decoded_bytes: usize,
    /// Bytes of all copies being collected, waiting or in flight. With two legs each has half of it.
    pub max_pending_bytes: usize,
    /// Calls without an answer. With two legs each has half of them.
    pub max_in_flight: usize,
}

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The proxy that runs the module.
    pub host: HostKind,
    /// nginx: calls at a time. There are that many root contexts, this one included. Otherwise 1.
    pub lanes: u8,
    /// What the filter does.
    pub mode: Mode,
    /// Which requests are for this Sentry.
    pub ingest: Ingest,
    /// The RUM leg, if there is one. In mode `tee` there is at least one leg.
    pub rum: Option<Copies>,
    /// The SLS leg, if there is one.
    pub sls: Option<Sls>,
    /// Second Sentries, which also get copies.
    pub sentries: Vec<SecondSentry>,
    /// Mode `sign`, if that is the mode.
    pub sign: Option<Sign>,
    /// Budgets.
    pub limits: Limits,
    /// Retries.
    pub retry: Retry,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// In the order in which the keys are read.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "bad plugin configuration, {count} {noun}")?;
        for problem in &self.problems {
            write!(f, "; {problem}")?;
        }
        Ok(())
    }
}

/// No call needs longer, and a longer one would keep its memory.
const MAX_TIMEOUT_MS: u64 = 600_000;
/// A day: longer waits and ages mean that somebody mixed up the unit.
const MAX_WAIT_MS: u64 = 86_400_000;
/// What fits in an instance, see [`memory`]: a body, a decoded body, and all that is pending.
const MAX_BODY_BYTES: u64 = 268_435_456;
const MAX_DECODED_BYTES: u64 = 268_435_456;
const MAX_PENDING_BYTES: u64 = 805_306_368;
/// More calls than Envoy's cluster would ever admit.
const MAX_CALLS: u64 = 65_535;
/// By default an SLS or RUM attachment is at most this large. Relay's own limits are looser.
const BODY_BYTES: u64 = 10_485_760;
/// About a minute of 100 events of 10 KiB a second.
const PENDING_BYTES: u64 = 67_108_864;
/// A target that answers within 100 ms takes 1280 copies a second.
const IN_FLIGHT: u64 = 128;

impl Config {
    /// Reads the configuration of a root context that mirrors or signs, as [`Role::parse`] does.
    ///
    /// # Errors
    /// Returns every problem at once.
    pub fn parse(
        bytes: &[u8],
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        match Role::parse(bytes, lookup)? {
            Role::Main(config) => Ok(*config),
            Role::Lane(number) => Err(ConfigError::lane(number)),
        }
    }

    /// A leg's part of the budget, in bytes.
    #[must_use]
    pub fn leg_bytes(&self) -> usize {
        let all = self.limits.max_pending_bytes;
        match (&self.rum, &self.sls) {
            (Some(_), Some(_)) => (all / 2).max(1),
            _ => all,
        }
    }

    /// What the bodies being received may hold: half of a leg's part. On nginx bodies arrive whole, and then they are
    /// complete: all of it.
    #[must_use]
    pub fn collecting_bytes(&self) -> usize {
        if self.host.traits().streams_bodies {
            self.leg_bytes() / 2
        } else {
            self.leg_bytes()
        }
    }

    fn read(reader: &mut Reader<'_>, root: Object<'_>, host: Option<HostKind>) -> Option<Self> {
        let config = Self::read_sections(reader, root, host)?;
        memory::check(reader, &config);
        Some(config)
    }

    fn read_sections(
        reader: &mut Reader<'_>,
        mut root: Object<'_>,
        host: Option<HostKind>,
    ) -> Option<Self> {
        refuse_rules(reader, &mut root);
        let lanes = lane::count(reader, &mut root, host);
        let mode = match root.take("mode") {
            Some(field) => {
                let modes = [Mode::Tee, Mode::Rewrite { fast_ack: false }, Mode::Sign];
                reader.choice(&field, &modes.map(|mode| (mode.name(), mode)))
            }
            None => Some(Mode::Tee),
        };
        let mode = rewrite::read(reader, &mut root, mode, host);
        if mode == Some(Mode::Sign) {
            let limits = section(reader, &mut root, "limits", |reader, object| {
                sign::check_limits(reader, object);
                limits(reader, object)
            });
            let sign = sign::read(reader, &mut root, host, limits);
            let retry = section(reader, &mut root, "retry", retry::read);
            ingest::foreign(reader, &mut root);
            let _ = second::read(reader, &mut root, host, mode);
            reader.finish(root);
            return Some(Self {
                host: host?,
                lanes: lanes?,
                mode: Mode::Sign,
                ingest: Ingest::default(),
                rum: None,
                sls: None,
                sentries: Vec::new(),
                sign: Some(sign?),
                limits: limits?,
                retry: retry?,
            });
        }
        if let Some(field) = root.take_foreign("sign") {
            let what = format!(
                "belongs to mode sign, the mode is {}, got {}",
                mode.map_or("another", Mode::name),
                field.node.kind()
            );
            reader.problem(&field.path, what);
        }
        let ingest = ingest::read(reader, &mut root);
        let rum = leg(reader, &mut root, "rum");
        let rum = rum.map(|field| rum::read(reader, &field, host, mode));
        let sls = leg(reader, &mut root, "sls");
        let sentries = second::read(reader, &mut root, host, mode);
        let none = sentries.as_ref().is_some_and(Vec::is_empty);
        if rum.is_none() && sls.is_none() && none {
            let what =
                "one of rum, sls and sentry is required: nothing would be mirrored, got nothing";
            reader.problem("rum", what);
        } else {
            rewrite::check(reader, mode, rum.is_some());
        }
        let limits = section(reader, &mut root, "limits", limits);
        let retry = section(reader, &mut root, "retry", retry::read);
        let sls = sls.map(|field| sls::read(reader, &field, host, retry));
        reader.finish(root);
        Some(Self {
            host: host?,
            lanes: lanes?,
            mode: mode?,
            ingest: ingest?,
            rum: optional(rum)?,
            sls: optional(sls)?,
            sentries: sentries?,
            sign: None,
            limits: limits?,
            retry: retry?,
        })
    }
}

/// Higress passes its `matchRules` under this key, for the plugin to match routes and domains by itself.
const RULES: &str = "_rules_";

fn refuse_rules(reader: &mut Reader<'_>, root: &mut Object<'_>) {
    if let Some(field) = root.take_foreign(RULES) {
        let what = format!(
            "matchRules of Higress are not supported: write one defaultConfig, which picks by project (rum.projects, rum.exclude), got {}",
            field.node.kind()
        );
        reader.problem(&field.path, what);
    }
}

/// The key that switches a leg off without removing it, for example from the environment.
const ENABLED: &str = "enabled";

/// A leg's section. If it is switched off it is not read: what it names may not exist.
fn leg<'n>(reader: &mut Reader<'_>, root: &mut Object<'n>, key: &'static str) -> Option<Field<'n>> {
    let field = root.take(key)?;
    is_enabled(reader, &field).then_some(field)
}

fn is_enabled(reader: &mut Reader<'_>, field: &Field<'_>) -> bool {
    let Node::Object(entries) = field.node else {
        return true;
    };
    let Some((_, node)) = entries.iter().find(|(key, _)| key == ENABLED) else {
        return true;
    };
    let path = format!("{}.{ENABLED}", field.path);
    reader.boolean(&Field { path, node }) != Some(false)
}

/// A section may be absent; one that is present must be valid.
fn optional<T>(section: Option<Option<T>>) -> Option<Option<T>> {
    match section {
        Some(section) => section.map(Some),
        None => Some(None),
    }
}

/// Reads an optional object; an absent one counts as empty.
fn section<T>(
    reader: &mut Reader<'_>,
    root: &mut Object<'_>,
    key: &'static str,
    read: impl FnOnce(&mut Reader<'_>, &mut Object<'_>) -> Option<T>,
) -> Option<T> {
    let empty = Node::Object(Vec::new());
    let field = root.take(key).unwrap_or_else(|| Field {
        path: root.path_of(key),
        node: &empty,
    });
    let mut object = reader.object(&field)?;
    let value = read(reader, &mut object);
    reader.finish(object);
    value
}

/// What the second party learns of clients' addresses.
fn client_ip(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<ClientIp> {
    let words = [
        ("full", ClientIp::Full),
        ("truncated", ClientIp::Truncated),
        ("none", ClientIp::None),
    ];
    reader.choice(field, &words)
}

fn integer(
    reader: &mut Reader<'_>,
    object: &mut Object<'_>,
    key: &'static str,
    default: u64,
    max: u64,
) -> Option<u64> {
    match object.take(key) {
        Some(field) => reader.integer(&field, 1..=max),
        None => Some(default),
    }
}

// Two callers, once per configuration: not inlined, to keep the module small.
#[inline(never)]
fn limits(reader: &mut Reader<'_>, object: &mut Object<'_>) -> Option<Limits> {
    let body = integer(reader, object, "max_body_bytes", BODY_BYTES, MAX_BODY_BYTES);
    let decoded = integer(
        reader,
        object,
        "max_decoded_bytes",
        sls::DECODED_BYTES,
        MAX_DECODED_BYTES,
    );
    let pending = integer(
        reader,
        object,
        "max_pending_bytes",
        PENDING_BYTES,
        MAX_PENDING_BYTES,
    );
    let in_flight = integer(reader, object, "max_in_flight", IN_FLIGHT, MAX_CALLS);
    Some(Limits {
        max_body_bytes: usize::try_from(body?).ok()?,
        max_decoded_bytes: usize::try_from(decoded?).ok()?,
        max_pending_bytes: usize::try_from(pending?).ok()?,
        max_in_flight: usize::try_from(in_flight?).ok()?,
    })
}

#[cfg(test)]
mod sls_tests;
#[cfg(test)]
mod tests;
