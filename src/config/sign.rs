//! Mode `sign` of the configuration: which logstores may be written, and with which key.
//!
//! Project, endpoint, signature, region and credential are those of the section `sls`. Nothing else in it applies here: the
//! request goes where the proxy's route says, with the body that the client made. What belongs to the other modes is reported
//! as a problem and not silently ignored.

use super::Limits;
use super::reader::{Field, Object, Reader};
use super::sls;
use crate::host::HostKind;
use crate::sls::names;
use crate::sls::settings::{CredentialSource, Sign};
use crate::sls::write_request::{MAX_HEAD_BYTES, Rules};

/// Keys of `sls` that only the leg has.
const OF_THE_LEG: [&str; 15] = [
    "upstream",
    "scheme",
    "logstore",
    "topic",
    "source",
    "compression",
    "batch",
    "payload",
    "spans",
    "max_item_bytes",
    "scrub",
    "scrub_keys",
    "client_ip",
    "timeout_ms",
    "retry",
];

/// Reads the mode's own sections. `limits` are those already read; what is read here is removed from `root`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    root: &mut Object<'_>,
    host: Option<HostKind>,
    limits: Option<Limits>,
) -> Option<Sign> {
    if host == Some(HostKind::Nginx) {
        // What a filter removes is still sent (manual: hosts, "Removed headers are still sent"), including a client's own
        // Authorization. Host is not ours to set, and a request must not go out half changed.
        let what = "mode sign needs envoy: in ngx_wasm_module a header that a filter removes is still sent, and Host cannot be set, got \"nginx\"";
        reader.problem("host", what);
    }
    for key in ["rum", "retry"] {
        if let Some(field) = root.take(key) {
            let what = format!("not used in mode sign, got {}", field.node.kind());
            reader.problem(&field.path, what);
        }
    }
    let logstores = match root.take("sign") {
        Some(field) => logstores(reader, &field),
        None => {
            let what = "required in mode sign (what may be written), got nothing";
            reader.problem("sign.logstores", what);
            None
        }
    };
    let sls = match root.take("sls") {
        Some(field) => target(reader, &field, host),
        None => {
            let what = "required in mode sign (endpoint, project, credential), got nothing";
            reader.problem("sls", what);
            None
        }
    };
    let max_body_bytes = limits.and_then(|limits| room(reader, limits));
    let (host, signature, credential) = sls?;
    Some(Sign {
        rules: Rules {
            logstores: logstores?,
            max_body_bytes: max_body_bytes?,
            host,
            signature,
        },
        credential,
    })
}

/// Reports limits on what this mode does not do.
pub(super) fn check_limits(reader: &mut Reader<'_>, limits: &mut Object<'_>) {
    for key in ["max_decoded_bytes", "max_in_flight"] {
        if let Some(field) = limits.take_foreign(key) {
            let what = format!("not used in mode sign, got {}", field.node);
            reader.problem(&field.path, what);
        }
    }
}

/// A budget too small for the largest body would refuse that body for ever.
fn room(reader: &mut Reader<'_>, limits: Limits) -> Option<usize> {
    let (body, pending) = (limits.max_body_bytes, limits.max_pending_bytes);
    // Headers are held too.
    const HEADERS: usize = MAX_HEAD_BYTES;
    if pending < body.saturating_add(HEADERS) {
        let what = format!(
            "in mode sign at least limits.max_body_bytes ({body}) and {HEADERS} for the headers, got {pending}"
        );
        reader.problem("limits.max_pending_bytes", what);
        return None;
    }
    Some(body)
}

fn logstores(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<String>> {
    let mut object = reader.object(field)?;
    let list = match object.take("logstores") {
        Some(field) => reader.list(&field).and_then(|fields| {
            if fields.is_empty() {
                reader.expected(&field, "at least one logstore");
                return None;
            }
            // Every bad name is reported, not only the first.
            let names = fields.iter().map(|field| {
                let name = sls::checked(reader, field, names::logstore)?;
                Some((name, field.path.clone()))
            });
            let names: Vec<_> = names.collect();
            let names: Vec<_> = names.into_iter().collect::<Option<_>>()?;
            unique(reader, names)
        }),
        None => sls::required(reader, &object, "logstores"),
    };
    reader.finish(object);
    list
}

fn unique(reader: &mut Reader<'_>, names: Vec<(String, String)>) -> Option<Vec<String>> {
    let mut out: Vec<String> = Vec::with_capacity(names.len());
    for (name, path) in names {
        if out.contains(&name) {
            reader.problem(&path, format!("stands here twice, got {name:?}"));
            return None;
        }
        out.push(name);
    }
    Some(out)
}

type Target = (String, crate::sls::signature::Signature, CredentialSource);

fn target(reader: &mut Reader<'_>, field: &Field<'_>, host: Option<HostKind>) -> Option<Target> {
    let mut object = reader.object_of_secrets(field)?;
    let (endpoint, project) = sls::host(reader, &mut object);
    let signature = sls::signature(reader, &mut object);
    let credential = match object.take("credential") {
        Some(field) => sls::credential(reader, &field, host),
        None => sls::required(reader, &object, "credential"),
    };
    for key in OF_THE_LEG {
        if let Some(field) = object.take_foreign(key) {
            let instead = match key {
                "logstore" => " (sign.logstores lists what may be written)",
                "upstream" | "scheme" | "timeout_ms" => " (the proxy's route decides it)",
                _ => "",
            };
            let what = format!("not used in mode sign{instead}, got {}", field.node.kind());
            reader.problem(&field.path, what);
        }
    }
    reader.finish(object);
    let host = format!("{}.{}", project?, endpoint?);
    Some((host, signature?, credential?))
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
