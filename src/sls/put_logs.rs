//! One complete PutLogs request: `POST https://{project}.{endpoint}/logstores/{logstore}/shards/lb`, signed when it is built
//! (manual: sls, "The request").
//!
//! Headers in order: content-type, x-log-apiversion, x-log-bodyrawsize, \[x-log-compresstype\], then those of
//! [`super::sign`]. `Host` is [`Request::host`] (v4 signs it). The host program must add `Content-Length` with the size of
//! the body.

use super::canonical::Parts;
use super::compress::Body;
use super::credential::Credential;
use super::headers::Headers;
use super::log_group::Trailer;
use super::names::{self, NameError};
use super::sign;
use super::signature::Signature;

/// The API version, for `x-log-apiversion`.
pub const API_VERSION: &str = "0.6.0";

/// Where logs go. Logs that differ in any of this go into separate groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    host: String,
    path: String,
    trailer: Trailer,
}

/// A configured name that SLS would not accept: which one, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {error}")]
pub struct BadName {
    /// The configuration key, below `sls`.
    pub key: &'static str,
    /// What is wrong with its value.
    pub error: NameError,
}

impl Destination {
    /// Checks the names, and reports all that are wrong. An empty topic or source is left out of the group.
    pub fn new(
        project: &str,
        endpoint: &str,
        logstore: &str,
        topic: &str,
        source: &str,
        tags: &[(&str, &str)],
    ) -> Result<Self, Vec<BadName>> {
        let checks = [
            ("project", names::project(project)),
            ("endpoint", names::endpoint(endpoint)),
            ("logstore", names::logstore(logstore)),
            ("topic", names::label(topic)),
            ("source", names::label(source)),
        ];
        let bad = checks
            .into_iter()
            .filter_map(|(key, check)| check.err().map(|error| BadName { key, error }));
        let bad: Vec<_> = bad.collect();
        if !bad.is_empty() {
            return Err(bad);
        }
        Ok(Self {
            host: format!("{project}.{endpoint}"),
            path: format!("/logstores/{logstore}/shards/lb"),
            trailer: Trailer::new(non_empty(topic), non_empty(source), tags),
        })
    }

    /// `{project}.{endpoint}`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of a write.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The encoded topic, source and tags.
    pub fn trailer(&self) -> &Trailer {
        &self.trailer
    }
}

/// A request, ready to be sent.
#[derive(Debug)]
pub struct Request<'a> {
    /// `POST`.
    pub method: &'static str,
    /// The value of `Host`.
    pub host: &'a str,
    /// The path, without a query.
    pub path: &'a str,
    /// All other headers except `Content-Length`, in order.
    pub headers: Headers,
    /// The body as it travels.
    pub body: &'a [u8],
}

/// Builds and signs the write of `body`, which was packed for this `signature`, at `now_ms` (corrected time). Once per
/// attempt, when the call is emitted; it does not look at the body again.
pub fn build<'a>(
    destination: &'a Destination,
    body: &'a Body,
    signature: &Signature,
    credential: &Credential,
    now_ms: u64,
) -> Request<'a> {
    let mut headers = Headers::new();
    headers.push("content-type", "application/x-protobuf");
    headers.push("x-log-apiversion", API_VERSION);
    headers.push("x-log-bodyrawsize", body.raw_size().to_string());
    if let Some(compression) = body.compression().header() {
        headers.push("x-log-compresstype", compression);
    }
    let signed: Vec<(&str, &str)> = [("host", destination.host())]
        .into_iter()
        .chain(headers.iter())
        .collect();
    let parts = Parts {
        method: "POST",
        path: destination.path(),
        params: &[],
        headers: &signed,
    };
    let added = sign::sign(signature, credential, now_ms, &parts, body.digest());
    headers.append(added);
    Request {
        method: "POST",
        host: destination.host(),
        path: destination.path(),
        headers,
        body: body.wire(),
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::compress::Compression;
    use super::super::write::Packer;
    use super::*;
    use crate::meter::Meter;
    use std::task::Poll;

    fn pack(raw: &[u8], compression: Compression, signature: &Signature) -> Body {
        let mut packer = Packer::new(raw.to_vec(), compression, signature);
        match packer.step(&mut Meter::unlimited()) {
            Poll::Ready(body) => body,
            Poll::Pending => unreachable!(),
        }
    }

    fn destination() -> Destination {
        Destination::new(
            "fake-project-1",
            "cn-hangzhou.log.aliyuncs.com",
            "app-log",
            "sentry",
            "",
            &[],
        )
        .unwrap()
    }

    #[test]
    fn a_complete_request() {
        let destination = destination();
        let credential = Credential::new("STS.id", "hunter2", Some("t0ken")).unwrap();
        let body = pack(
            b"raw raw raw raw raw raw raw",
            Compression::Lz4,
            &Signature::V1,
        );
        let request = build(
            &destination,
            &body,
            &Signature::V1,
            &credential,
            1_709_190_489_000,
        );
        assert_eq!(
            (request.method, request.host),
            ("POST", "fake-project-1.cn-hangzhou.log.aliyuncs.com")
        );
        assert_eq!(request.path, "/logstores/app-log/shards/lb");
        assert_eq!(request.body, body.wire());
        let names: Vec<_> = request.headers.iter().map(|(name, _)| name).collect();
        let expected = [
            "content-type",
            "x-log-apiversion",
            "x-log-bodyrawsize",
            "x-log-compresstype",
            "x-log-signaturemethod",
            "x-acs-security-token",
            "content-md5",
            "date",
            "x-log-date",
            "authorization",
        ];
        assert_eq!(names, expected);
        assert_eq!(request.headers.get("x-log-bodyrawsize"), Some("27"));
        let shown = format!("{request:?}");
        assert!(
            !shown.contains("t0ken") && !shown.contains("hunter2") && !shown.contains("LOG "),
            "{shown}"
        );
    }

    #[test]
    fn uncompressed_has_no_compresstype() {
        let destination = destination();
        let credential = Credential::new("id", "secret", None).unwrap();
        let v4 = Signature::V4 {
            region: "cn-hangzhou".to_owned(),
        };
        let body = pack(b"raw", Compression::None, &v4);
        let request = build(&destination, &body, &v4, &credential, 0);
        assert_eq!(
            request.headers.get("x-log-content-sha256"),
            Some(super::super::digest::sha256_hex(b"raw").as_str())
        );
        assert_eq!(request.headers.get("x-log-compresstype"), None);
        assert_eq!(request.headers.get("x-log-bodyrawsize"), Some("3"));
        assert_eq!(request.headers.get("content-md5"), None);
    }

    #[test]
    fn every_bad_name_is_reported() {
        let long = "x".repeat(129);
        let bad = Destination::new("a/b", "https://x", "..", &long, &long, &[]).unwrap_err();
        let keys: Vec<_> = bad.iter().map(|bad| bad.key).collect();
        assert_eq!(keys, ["project", "endpoint", "logstore", "topic", "source"]);
        assert_eq!(
            bad.first().unwrap().to_string(),
            "project: may hold only a-z, 0-9 and -, has '/'"
        );
        assert!(destination().trailer().len() == 8 && !destination().trailer().is_empty());
    }
}
