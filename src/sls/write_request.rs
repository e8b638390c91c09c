//! Mode `sign`: judges another program's unsigned SLS write, and signs it in place.
//!
//! Only `POST /logstores/{logstore}`, `.../shards/lb` and `.../shards/route?key=` pass, for the configured logstores, with no
//! other parameters than SLS has for a write. Whatever the client says about keys and dates is replaced. The answer to
//! anything else has the form of SLS's own errors: JSON, and `x-log-requestid` (manual: sls, "Writes of other programs").
//!
//! [`fits`], [`admit`] and [`speaks`] judge what is known before the body. [`sign`] judges everything (it repeats the latter
//! two) and returns the headers as they should go on: all of them at once, so that a request is never half changed. It
//! touches neither the body nor any header that is neither signed nor named here.

use std::borrow::Cow;

use super::canonical::Parts;
use super::credential::Credential;
use super::headers::Headers;
use super::json::quoted;
use super::put_logs::API_VERSION;
use super::sign::OWN_HEADERS;
use super::signature::Signature;
use super::wire_digest::WireDigest;
use super::{query, sign as signer};
use crate::header_list::HeaderList;
use crate::outcome::DenyReason;

/// The parameters of a write: route's hash key, ingest processor, sequence id.
const PARAMS: [&str; 3] = ["key", "processor", "seqid"];

/// The most bytes of all headers, in the host's format: they are processed in one callback.
pub const MAX_HEAD_BYTES: usize = 65_536;
/// The most bytes of what is signed besides the body: of path and query, and of the signed headers. Both are hashed, the
/// former percent-encoded; SLS's own are a tenth of this.
const MAX_SIGNED_BYTES: usize = 4_096;
/// The most headers that are signed: each is compared with all others.
const MAX_SIGNED: usize = 24;

/// What may be written, and how it is signed.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The only logstores that may be written.
    pub logstores: Vec<String>,
    /// The most bytes of a body.
    pub max_body_bytes: usize,
    /// `{project}.{endpoint}`.
    pub host: String,
    /// How to sign.
    pub signature: Signature,
}

/// A request as received.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query as received.
    pub target: &'a str,
    /// All headers, pseudo headers (`:path`) first.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The digest of the whole body, made for [`Rules::signature`].
    pub body: &'a WireDigest,
}

/// The answer to a request that does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The reason it is counted under.
    pub reason: DenyReason,
    /// The status.
    pub status: u16,
    /// `errorCode`.
    pub code: &'static str,
    /// `errorMessage`.
    pub message: Cow<'static, str>,
}

impl Denial {
    /// A denial; the status goes with the reason.
    pub fn new(
        reason: DenyReason,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let status = match reason {
            DenyReason::Forbidden => 403,
            DenyReason::Malformed => 400,
            DenyReason::TooLarge => 413,
            DenyReason::NoRoom | DenyReason::NoCredential | DenyReason::Host => 503,
        };
        Self {
            reason,
            status,
            code,
            message: message.into(),
        }
    }

    fn forbidden(message: &'static str) -> Self {
        Self::new(DenyReason::Forbidden, "Forbidden", message)
    }

    /// A request that cannot be signed with certainty.
    pub fn malformed(code: &'static str, message: &'static str) -> Self {
        Self::new(DenyReason::Malformed, code, message)
    }

    /// 503 with the code at which SLS's own SDKs retry.
    pub fn busy(reason: DenyReason, message: &'static str) -> Self {
        Self::new(reason, "ServerBusy", message)
    }

    /// There is no credential.
    pub fn no_credential() -> Self {
        let message = "there is no credential to sign with yet, retry later";
        Self::busy(DenyReason::NoCredential, message)
    }

    /// The headers of the answer. For `request_id` see [`request_id`].
    pub fn headers(&self, request_id: &str) -> Headers {
        let mut headers = Headers::new();
        headers.push("content-type", "application/json");
        headers.push("x-log-requestid", request_id);
        headers
    }

    /// The body of the answer.
    pub fn body(&self) -> String {
        let (code, message) = (quoted(self.code), quoted(&self.message));
        format!(r#"{{"errorCode":{code},"errorMessage":{message}}}"#)
    }
}

/// A request id in SLS's own form, 24 upper-case hex digits, from any number that does not repeat.
pub fn request_id(seed: u128) -> String {
    format!("{:024X}", seed & ((1 << 96) - 1))
}

/// Judges the size of all headers.
pub fn fits(head_bytes: usize) -> Result<(), Denial> {
    if head_bytes > MAX_HEAD_BYTES {
        let message = "the headers must not exceed 65536 bytes";
        return Err(Denial::malformed("ParameterInvalid", message));
    }
    Ok(())
}

/// Judges the content type. A proxy that takes a request for gRPC answers it with status 200 whatever happened: then no SLS
/// client would notice that its logs were not written.
pub fn speaks(content_type: Option<&[u8]>) -> Result<(), Denial> {
    const GRPC: &[u8] = b"application/grpc";
    let start = content_type.and_then(|value| value.trim_ascii().get(..GRPC.len()));
    if start.is_some_and(|start| start.eq_ignore_ascii_case(GRPC)) {
        let message = "a log group is no gRPC message (content-type)";
        return Err(Denial::malformed("InvalidContentType", message));
    }
    Ok(())
}

/// Judges method and target, and the size if it is announced.
pub fn admit(
    rules: &Rules,
    method: &str,
    target: &str,
    content_length: Option<u64>,
) -> Result<(), Denial> {
    let (path, query) = query::split(target);
    let (logstore, routed) = match path
        .strip_prefix("/logstores/")
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    {
        Some((logstore, "" | "shards/lb")) if method == "POST" && !path.ends_with('/') => {
            (logstore, false)
        }
        Some((logstore, "shards/route")) if method == "POST" => (logstore, true),
        _ => {
            return Err(Denial::forbidden(
                "only writes of logs pass here: POST /logstores/{logstore}[/shards/lb|/shards/route?key=]",
            ));
        }
    };
    if !rules.logstores.iter().any(|allowed| allowed == logstore) {
        return Err(Denial::forbidden(
            "this logstore may not be written from here",
        ));
    }
    if target.len() > MAX_SIGNED_BYTES {
        let message = "path and query must not exceed 4096 bytes";
        return Err(Denial::malformed("ParameterInvalid", message));
    }
    let Some(params) = query::parse(query.unwrap_or_default()) else {
        return Err(Denial::malformed(
            "ParameterInvalid",
            "the query is not percent-encoded UTF-8",
        ));
    };
    let known = params.iter().enumerate().all(|(index, (key, _))| {
        PARAMS.contains(&key.as_ref())
            && !params.iter().take(index).any(|(earlier, _)| earlier == key)
    });
    if !known {
        return Err(Denial::forbidden(
            "a write takes the parameters key, processor and seqid, once each",
        ));
    }
    if routed
        && !params
            .iter()
            .any(|(key, value)| key == "key" && !value.is_empty())
    {
        return Err(Denial::malformed(
            "MissingParameter",
            "shards/route needs the parameter key",
        ));
    }
    match content_length {
        Some(length) if length > u64::try_from(rules.max_body_bytes).unwrap_or(u64::MAX) => {
            Err(too_large(rules))
        }
        _ => Ok(()),
    }
}

/// The answer to a body of more than `rules.max_body_bytes`.
pub fn too_large(rules: &Rules) -> Denial {
    Denial::new(
        DenyReason::TooLarge,
        "PostBodyTooLarge",
        format!("body must not exceed {} bytes", rules.max_body_bytes),
    )
}

/// Judges the whole request and signs it at `now_ms` (corrected time): returns its headers as they should go on. `credential`
/// is `None` while there is none.
pub fn sign(
    rules: &Rules,
    incoming: &Incoming<'_>,
    credential: Option<&Credential>,
    now_ms: u64,
) -> Result<HeaderList, Denial> {
    admit(
        rules,
        incoming.method,
        incoming.target,
        Some(incoming.body.len()),
    )?;
    let credential = credential.ok_or_else(Denial::no_credential)?;
    let read = Read::new(incoming.headers)?;
    let mut set = Headers::new();
    if !read.has("x-log-apiversion") {
        set.push("x-log-apiversion", API_VERSION);
    }
    if !read.has("x-log-bodyrawsize") {
        if read.has("x-log-compresstype") {
            return Err(Denial::malformed(
                "MissingBodyRawSize",
                "a compressed body needs x-log-bodyrawsize",
            ));
        }
        set.push("x-log-bodyrawsize", incoming.body.len().to_string());
    }
    let (path, query) = query::split(incoming.target);
    let params = query::parse(query.unwrap_or_default()).unwrap_or_default();
    let headers = [("host", rules.host.as_str())]
        .into_iter()
        .chain(read.signed.iter().copied())
        .chain(set.iter());
    let headers: Vec<(&str, &str)> = headers.collect();
    let parts = Parts {
        method: incoming.method,
        path,
        params: &params,
        headers: &headers,
    };
    let added = signer::sign(&rules.signature, credential, now_ms, &parts, incoming.body);
    set.append(added);
    if !read.has("content-length") {
        // The body is complete: no need to send it in chunks.
        set.push("content-length", incoming.body.len().to_string());
    }
    let count = incoming.headers.len().saturating_add(set.len());
    let mut list = HeaderList::with_capacity(count, 2_048);
    list.push(b":authority", rules.host.as_bytes());
    for (name, value) in read.kept {
        list.push(name.as_bytes(), value);
    }
    for (name, value) in set.iter() {
        list.push(name.as_bytes(), value.as_bytes());
    }
    Ok(list)
}

/// The incoming headers without those to be removed.
struct Read<'a> {
    kept: Vec<(&'a str, &'a [u8])>,
    /// Those of them that are signed.
    signed: Vec<(&'a str, &'a str)>,
}

impl<'a> Read<'a> {
    fn new(headers: &[(&'a str, &'a [u8])]) -> Result<Self, Denial> {
        let mut read = Self {
            kept: Vec::with_capacity(headers.len()),
            signed: Vec::with_capacity(8),
        };
        let mut bytes = 0_usize;
        for (name, value) in headers.iter().filter(|(name, _)| !is_stale(name)) {
            if is(name, "content-type") || has_prefix(name, "x-log-") {
                if read.signed.iter().any(|(own, _)| is(own, name)) {
                    let message = "a signed header is there twice";
                    return Err(Denial::malformed("ParameterInvalid", message));
                }
                bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
                if bytes > MAX_SIGNED_BYTES || read.signed.len() >= MAX_SIGNED {
                    let message = "the signed headers must not exceed 24, nor 4096 bytes";
                    return Err(Denial::malformed("ParameterInvalid", message));
                }
                if is(name, "content-type") {
                    speaks(Some(value))?;
                }
                let Ok(value) = std::str::from_utf8(value) else {
                    let message = "a signed header is not UTF-8";
                    return Err(Denial::malformed("ParameterInvalid", message));
                };
                read.signed.push((name, value));
            }
            read.kept.push((name, value));
        }
        Ok(read)
    }

    fn has(&self, name: &str) -> bool {
        self.kept.iter().any(|(own, _)| is(own, name))
    }
}

/// What the client set for either signature version: we replace it, or it must not be there.
fn is_stale(name: &str) -> bool {
    let named = |names: &[&str]| names.iter().any(|own| is(name, own));
    named(&OWN_HEADERS)
        || named(&["host", ":authority", "transfer-encoding"])
        || has_prefix(name, "x-acs-")
        // SDKs disagree whether these are signed.
        || has_prefix(name, "x-log-meta-")
}

// Short names, compared often: unrolling the comparison at each place would add kilobytes to the module and gain nothing.
#[inline(never)]
fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

#[inline(never)]
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.as_bytes()
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
#[path = "write_request_tests.rs"]
mod tests;
