//! Mode `sign`: an unsigned SLS write of another program is judged, and signed in place.
//!
//! Only `POST /logstores/{logstore}`, `.../shards/lb` and `.../shards/route?key=` pass, for the configured logstores,
//! with no other parameters than SLS has for a write. Whatever the client believes to know about keys and dates is
//! replaced. The answer to anything else has the shape of SLS's own errors: JSON, and `x-log-requestid`
//! (protocols/SLS.md, sections 1, 3, 4, 7).
//!
//! [`admit`] judges what is known before the body, [`sign`] everything (it repeats the first judgement). The body
//! itself is not touched; nor is any header that is neither signed nor named here.

use std::borrow::Cow;

use super::canonical::Parts;
use super::credential::Credential;
use super::headers::Headers;
use super::put_logs::API_VERSION;
use super::sign::{OWN_HEADERS, Signature};
use super::{date, digest, query, sign as signer};

/// The parameters of a write: route's hash key, ingest processor, sequence id.
const PARAMS: [&str; 3] = ["key", "processor", "seqid"];

/// What may be written, and as whom it goes out.
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

/// A request as it came.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query as received.
    pub target: &'a str,
    /// All headers; pseudo headers (`:path`) are ignored.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body.
    pub body: &'a [u8],
}

/// What to change in the headers of an allowed request. Its path, query and body stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edits {
    /// The new `Host` (`:authority`).
    pub host: String,
    /// Names to remove, as they were received.
    pub remove: Vec<String>,
    /// Headers to set, replacing what is there under these names.
    pub set: Headers,
}

/// The answer to a request that does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The status.
    pub status: u16,
    /// `errorCode`.
    pub code: &'static str,
    /// `errorMessage`.
    pub message: Cow<'static, str>,
}

impl Denial {
    fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn forbidden(message: &'static str) -> Self {
        Self::new(403, "Forbidden", message)
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
        serde_json::json!({ "errorCode": self.code, "errorMessage": self.message }).to_string()
    }
}

/// A request id in SLS's own form, 24 upper-case hex digits, of any number that does not repeat.
pub fn request_id(seed: u128) -> String {
    format!("{:024X}", seed & ((1 << 96) - 1))
}

/// Judges method and target, and the size when it is announced.
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
    let Some(params) = query::parse(query.unwrap_or_default()) else {
        return Err(Denial::new(
            400,
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
        return Err(Denial::new(
            400,
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
        413,
        "PostBodyTooLarge",
        format!("body must not exceed {} bytes", rules.max_body_bytes),
    )
}

/// Judges the whole request and signs it at `now_ms` (corrected time). `credential` is `None` while there is none.
pub fn sign(
    rules: &Rules,
    incoming: &Incoming<'_>,
    credential: Option<&Credential>,
    now_ms: u64,
) -> Result<Edits, Denial> {
    admit(
        rules,
        incoming.method,
        incoming.target,
        u64::try_from(incoming.body.len()).ok(),
    )?;
    let Some(credential) = credential else {
        return Err(Denial::new(
            503,
            "ServerBusy",
            "there is no credential to sign with yet, retry later",
        ));
    };
    let read = Read::new(incoming.headers)?;
    let mut set = Headers::new();
    if !read.has("x-log-apiversion") {
        set.push("x-log-apiversion", API_VERSION);
    }
    if !read.has("x-log-bodyrawsize") {
        if read.has("x-log-compresstype") {
            return Err(Denial::new(
                400,
                "MissingBodyRawSize",
                "a compressed body needs x-log-bodyrawsize",
            ));
        }
        set.push("x-log-bodyrawsize", incoming.body.len().to_string());
    }
    // What the other version signs with must not stay as it was: SLS would find it wrong, or unsigned.
    match rules.signature {
        Signature::V1 if read.has("x-log-content-sha256") => {
            set.push("x-log-content-sha256", digest::sha256_hex(incoming.body));
        }
        Signature::V4 { .. } if read.has("x-log-signaturemethod") => {
            set.push("x-log-signaturemethod", "hmac-sha256")
        }
        _ => {}
    }
    let (path, query) = query::split(incoming.target);
    let params = query::parse(query.unwrap_or_default()).unwrap_or_default();
    let headers = [("host", rules.host.as_str())]
        .into_iter()
        .chain(read.kept.iter().copied())
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
    // Neither is signed by v4; a stale one would still contradict the rest.
    if rules.signature != Signature::V1 {
        if read.has("date") {
            set.push("date", date::http(now_ms));
        }
        if read.has("content-md5") {
            set.push("content-md5", digest::content_md5(incoming.body));
        }
    }
    if !read.has("content-length") {
        set.push("content-length", incoming.body.len().to_string());
    }
    let replaced = |name: &&str| set.get(&name.to_ascii_lowercase()).is_some();
    let remove = read
        .stale
        .iter()
        .filter(|name| !replaced(name))
        .map(|name| (*name).to_owned())
        .collect();
    Ok(Edits {
        host: rules.host.clone(),
        remove,
        set,
    })
}

/// The incoming headers, sorted into those that stay and are signed, and those that do not stay.
struct Read<'a> {
    kept: Vec<(&'a str, &'a str)>,
    stale: Vec<&'a str>,
    names: Vec<String>,
}

impl<'a> Read<'a> {
    fn new(headers: &[(&'a str, &'a [u8])]) -> Result<Self, Denial> {
        let mut read = Self {
            kept: Vec::new(),
            stale: Vec::new(),
            names: Vec::new(),
        };
        for (name, value) in headers {
            let lower = name.to_ascii_lowercase();
            let stale = OWN_HEADERS.contains(&lower.as_str())
                || lower.starts_with("x-acs-")
                // SDKs disagree whether these are signed.
                || lower.starts_with("x-log-meta-")
                || lower == "transfer-encoding";
            if stale {
                read.stale.push(name);
            } else if lower == "content-type" || lower.starts_with("x-log-") {
                if read.has(&lower) {
                    return Err(Denial::new(
                        400,
                        "ParameterInvalid",
                        "a signed header is there twice",
                    ));
                }
                let Ok(value) = std::str::from_utf8(value) else {
                    return Err(Denial::new(
                        400,
                        "ParameterInvalid",
                        "a signed header is not UTF-8",
                    ));
                };
                read.kept.push((name, value));
            }
            read.names.push(lower);
        }
        Ok(read)
    }

    fn has(&self, lower: &str) -> bool {
        self.names.iter().any(|name| name == lower)
    }
}

#[cfg(test)]
#[path = "write_request_tests.rs"]
mod tests;
