//! `explain` in mode `sign`: how a write would go on, or what its client would be answered.

use super::super::printed::Printed;
use super::{Request, SECRETS};
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::settings::{CredentialSource, Sign};
use sentry_edge_mirror::sls::wire_digest::WireDigest;
use sentry_edge_mirror::sls::write_request::{self, Incoming};

/// `now_ms` is since the Unix epoch.
pub(super) fn explain(sign: &Sign, request: &Request, now_ms: u64, out: &mut Printed) {
    let key = match &sign.credential {
        CredentialSource::Literal(key) => Some(key.clone()),
        CredentialSource::EcsRamRole { upstream, .. } => {
            let _ = writeln!(
                out,
                "  sign: the key of the ECS instance's RAM role is first asked for at upstream {upstream}; not shown here"
            );
            Credential::new("role", "role", None).ok()
        }
    };
    let pseudo = [(":method", &request.method), (":path", &request.target)];
    let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value));
    let own = request.headers.iter();
    let own = own.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let headers: Vec<(String, &String)> = pseudo.into_iter().chain(own).collect();
    let headers: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let incoming = Incoming {
        method: &request.method,
        target: &request.target,
        headers: &headers,
        body: &WireDigest::of(&sign.rules.signature, &request.body),
    };
    match write_request::sign(&sign.rules, &incoming, key.as_ref(), now_ms) {
        Ok(headers) => {
            let _ = writeln!(out, "  goes on to the proxy's route, signed:");
            for (name, value) in headers.iter().map(lossy) {
                let value = if SECRETS.contains(&name.as_str()) {
                    "(hidden)"
                } else {
                    &value
                };
                let _ = writeln!(out, "    {name}: {}", value.escape_debug());
            }
            let size = request.body.len();
            let _ = writeln!(out, "    body: {size} bytes as received");
        }
        Err(denial) => {
            let (status, code, message) = (denial.status, denial.code, &denial.message);
            let reason = denial.reason.name();
            let _ = writeln!(
                out,
                "  answered here: {status} {code}: {message} (counted as sign.denied.{reason})"
            );
        }
    }
}

fn lossy((name, value): (&[u8], &[u8])) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(name), text(value))
}
