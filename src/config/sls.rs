//! The SLS leg of the configuration: where logs go, with whose key, and how they are made.
//!
//! Names are checked here, once, by SLS's own rules, so that no path and no header has to be encoded later. No part of a
//! credential is ever printed, not even if it is what is wrong or is in the wrong place.

use super::reader::{Field, Object, Reader};
use super::rum::upstream;
use super::{ENABLED, MAX_TIMEOUT_MS, retry};
use crate::client_ip::ClientIp;
use crate::delivery::retry::Retry;
use crate::host::HostKind;
use crate::sls::compress::Compression;
use crate::sls::credential::Credential;
use crate::sls::log_group::MAX_RAW_BYTES;
use crate::sls::names::{self, NameError};
use crate::sls::put_logs::Destination;
use crate::sls::settings::{CredentialSource, Sls};
use crate::sls::signature::Signature;
use crate::sls::{batch, record};
use std::ops::RangeInclusive;
use std::rc::Rc;

/// SLS recovers from a restart in seconds, and its quotas count per minute: in effect, as often as `max_age_ms` allows.
const ATTEMPTS: u64 = 20;
/// What the official producers collect before they send: 512 KiB, 4096 logs, 2 s.
const BATCH_BYTES: u64 = 524_288;
const BATCH_LOGS: u64 = 4_096;
const LINGER_MS: u64 = 2_000;
/// Up to this size an item's own JSON is kept, too.
const ITEM_BYTES: u64 = 1_048_576;
/// Less would cut ordinary events; more does not fit several times over in the memory of an instance.
const ITEM_RANGE: RangeInclusive<u64> = 4_096..=4_194_304;
/// Logs that wait longer are no longer current.
const MAX_LINGER_MS: u64 = 60_000;

pub(super) fn read(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    host: Option<HostKind>,
    base: Option<Retry>,
) -> Option<Sls> {
    let mut object = reader.object_of_secrets(field)?;
    object.take(ENABLED);
    let upstream = match object.take("upstream") {
        Some(field) => upstream(reader, &field, host),
        None => required(reader, &object, "upstream"),
    };
    let scheme = match object.take("scheme") {
        Some(field) => reader.choice(&field, &[("http", "http"), ("https", "https")]),
        None => Some("https"),
    };
    let destination = destination(reader, &mut object);
    let signature = signature(reader, &mut object);
    let credential = match object.take("credential") {
        Some(field) => credential(reader, &field, host),
        None => required(reader, &object, "credential"),
    };
    let compression = match object.take("compression") {
        Some(field) => reader.choice(
            &field,
            &[
                ("lz4", Compression::Lz4),
                ("deflate", Compression::Deflate),
                ("none", Compression::None),
            ],
        ),
        None => Some(Compression::Lz4),
    };
    let batch = super::section(reader, &mut object, "batch", batch_limits);
    let payload = boolean(reader, &mut object, "payload", true);
    let spans = boolean(reader, &mut object, "spans", false);
    let max_item_bytes = match object.take("max_item_bytes") {
        Some(field) => reader.integer(&field, ITEM_RANGE),
        None => Some(ITEM_BYTES),
    };
    let scrub = boolean(reader, &mut object, "scrub", true);
    let scrub_keys = match object.take("scrub_keys") {
        Some(field) => scrub_keys(reader, &field),
        None => Some(Vec::new()),
    };
    let client_ip = match object.take("client_ip") {
        Some(field) => super::client_ip(reader, &field),
        None => Some(ClientIp::Full),
    };
    let timeout_ms = super::integer(reader, &mut object, "timeout_ms", 5_000, MAX_TIMEOUT_MS);
    let retry = super::section(reader, &mut object, "retry", |reader, object| {
        retry::read_over(reader, object, base, ATTEMPTS)
    });
    reader.finish(object);
    Some(Sls {
        upstream: upstream?,
        scheme: scheme?,
        destination: Rc::new(destination?),
        signature: signature?,
        credential: credential?,
        compression: compression?,
        batch: batch?,
        payload: payload?,
        spans: spans?,
        max_item_bytes: usize::try_from(max_item_bytes?).ok()?,
        scrub: scrub?,
        scrub_keys: scrub_keys?,
        client_ip: client_ip?,
        timeout_ms: u32::try_from(timeout_ms?).ok()?,
        retry: retry?,
    })
}

fn destination(reader: &mut Reader<'_>, object: &mut Object<'_>) -> Option<Destination> {
    let (endpoint, project) = host(reader, object);
    let logstore = name(reader, object, "logstore", names::logstore, None);
    let topic = name(reader, object, "topic", names::label, Some("sentry"));
    let source = name(reader, object, "source", names::label, Some(""));
    // The names were already checked: a second refusal would be a bug, and then there is no destination.
    Destination::new(&project?, &endpoint?, &logstore?, &topic?, &source?, &[]).ok()
}

/// The endpoint, and the project that goes in front of it.
pub(super) fn host(
    reader: &mut Reader<'_>,
    object: &mut Object<'_>,
) -> (Option<String>, Option<String>) {
    let endpoint = name(reader, object, "endpoint", names::endpoint, None);
    let project = name(reader, object, "project", names::project, None);
    // In the form that the console shows for a project.
    if let (Some(endpoint), Some(project)) = (&endpoint, &project)
        && let Some(rest) = endpoint.strip_prefix(project.as_str())
        && let Some(alone) = rest.strip_prefix('.')
    {
        let what = format!(
            "expected the endpoint alone ({alone}), the project is put in front of it, got {endpoint:?}"
        );
        reader.problem(&object.path_of("endpoint"), what);
        return (None, None);
    }
    (endpoint, project)
}

pub(super) fn signature(reader: &mut Reader<'_>, object: &mut Object<'_>) -> Option<Signature> {
    let v4 = match object.take("signature") {
        Some(field) => reader.choice(&field, &[("v1", false), ("v4", true)]),
        None => Some(false),
    };
    let region = object.take("region");
    match (v4?, region) {
        (false, None) => Some(Signature::V1),
        // A region without v4 is a harmless reminder; a wrong region is not harmless.
        (v4, Some(field)) => {
            let region = checked(reader, &field, names::region)?;
            Some(if v4 {
                Signature::V4 { region }
            } else {
                Signature::V1
            })
        }
        (true, None) => {
            let path = format!("{}.region", object.path());
            reader.problem(&path, "required by signature v4 (cn-hangzhou), got nothing");
            None
        }
    }
}

pub(super) fn credential(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    host: Option<HostKind>,
) -> Option<CredentialSource> {
    let mut object = reader.object_of_secrets(field)?;
    if let Some(field) = object.take("ecs_ram_role") {
        let role = ram_role(reader, &field, host);
        reader.finish(object);
        return role;
    }
    let mut part = |key| object.take(key).map(|field| reader.secret(&field));
    let (id, secret) = (part("access_key_id"), part("access_key_secret"));
    let token = part("security_token");
    let id = id.unwrap_or_else(|| required(reader, &object, "access_key_id"));
    let secret = secret.unwrap_or_else(|| required(reader, &object, "access_key_secret"));
    reader.finish(object);
    let token = match token {
        // An empty variable is how an optional token is omitted.
        Some(token) => Some(token?).filter(|token| !token.is_empty()),
        None => None,
    };
    match Credential::new(&id?, &secret?, token.as_deref()) {
        Ok(credential) => Some(CredentialSource::Literal(credential)),
        Err(error) => {
            reader.problem(&field.path, format!("{error}, got a string"));
            None
        }
    }
}

fn ram_role(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    host: Option<HostKind>,
) -> Option<CredentialSource> {
    let mut object = reader.object_of_secrets(field)?;
    let role = object
        .take("role")
        .map(|field| checked(reader, &field, names::role));
    let upstream = match object.take("upstream") {
        Some(field) => upstream(reader, &field, host),
        None => required(reader, &object, "upstream"),
    };
    reader.finish(object);
    Some(CredentialSource::EcsRamRole {
        role: match role {
            Some(role) => Some(role?),
            None => None,
        },
        upstream: upstream?,
    })
}

fn batch_limits(reader: &mut Reader<'_>, object: &mut Object<'_>) -> Option<batch::Limits> {
    let max_raw = u64::try_from(MAX_RAW_BYTES).unwrap_or(u64::MAX);
    let max_logs = u64::try_from(batch::MAX_LOGS).unwrap_or(u64::MAX);
    let bytes = super::integer(reader, object, "max_bytes", BATCH_BYTES, max_raw);
    let logs = super::integer(reader, object, "max_logs", BATCH_LOGS, max_logs);
    let linger = super::integer(reader, object, "linger_ms", LINGER_MS, MAX_LINGER_MS);
    Some(batch::Limits::new(
        usize::try_from(bytes?).ok()?,
        usize::try_from(logs?).ok()?,
        linger?,
    ))
}

pub(super) fn scrub_keys(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<String>> {
    let fields = reader.list(field)?;
    let mut keys = Vec::with_capacity(fields.len());
    for field in fields {
        let key = reader.string(&field)?;
        // Words are letters and digits: a key without any would match nothing or everything.
        if !key.chars().any(char::is_alphanumeric) {
            reader.expected(&field, "a key with a letter or a digit");
            return None;
        }
        keys.push(key);
    }
    Some(keys)
}

fn boolean(
    reader: &mut Reader<'_>,
    object: &mut Object<'_>,
    key: &'static str,
    default: bool,
) -> Option<bool> {
    match object.take(key) {
        Some(field) => reader.boolean(&field),
        None => Some(default),
    }
}

pub(super) fn name(
    reader: &mut Reader<'_>,
    object: &mut Object<'_>,
    key: &'static str,
    check: fn(&str) -> Result<(), NameError>,
    default: Option<&str>,
) -> Option<String> {
    match (object.take(key), default) {
        (Some(field), _) => checked(reader, &field, check),
        (None, Some(default)) => Some(default.to_owned()),
        (None, None) => required(reader, object, key),
    }
}

pub(super) fn checked(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    check: fn(&str) -> Result<(), NameError>,
) -> Option<String> {
    let text = reader.string(field)?;
    match check(&text) {
        Ok(()) => Some(text),
        Err(error) => {
            reader.problem(&field.path, format!("{error}, got {}", field.node));
            None
        }
    }
}

pub(super) fn required<T>(reader: &mut Reader<'_>, object: &Object<'_>, key: &str) -> Option<T> {
    let path = format!("{}.{key}", object.path());
    reader.problem(&path, "required, got nothing");
    None
}

/// How large a decoded body may be so that the records' own bounds make sense.
pub(super) const DECODED_BYTES: u64 = 32 << 20;
const _: () = assert!(record::MAX_PAYLOAD < MAX_RAW_BYTES);
