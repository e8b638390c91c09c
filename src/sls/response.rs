//! What a PutLogs answer means for the batch: every row of manual: sls, "Errors", as data.
//!
//! | answer | decision |
//! | --- | --- |
//! | 200 (any 2xx with a request id) | done |
//! | nothing, or not 200 and no `x-log-requestid` | transport error: retry after a backoff |
//! | RequestTimeExpired, RequestTimeTooSkewed | take the server's time, sign anew, retry now |
//! | PostBodyTooLarge, 413 | divide |
//! | PostBodyInvalid, PostBodyUncompressError, InvalidTimestamp, InvalidEncoding, InvalidKey | isolate the poison |
//! | 401 but SignatureNotMatch | refresh the credential, retry after a long backoff |
//! | SignatureNotMatch; a project or logstore that does not exist | retry after a long backoff: may still heal |
//! | a quota (403), 429 | retry after a long backoff |
//! | other 403 (overdue, RAM) | drop |
//! | 400 about our headers, 405, 411, 415 | drop: our bug |
//! | 408, 5xx, any other code | retry after a backoff |
//!
//! The caller limits how often and for how long to retry. After a transport error the write may have happened: SLS does not
//! de-duplicate, so delivery is at least once.

use serde_json::Value;

use super::clock;

/// How much of an error body is read, in bytes: a real one has a few hundred.
pub const MAX_ERROR_BYTES: usize = 8_192;
/// The longest `Retry-After` that is honoured, in seconds.
const MAX_HINT_S: u64 = 300;

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No answer, or one that is not from SLS: a proxy, a load balancer, a hijacked name.
    Transport,
    /// SLS is unable to, for now.
    ServerError,
    /// A quota of the project or the shard.
    Quota,
    /// The clock is wrong.
    TimeExpired,
    /// The credential is not accepted.
    Credential,
    /// The signature does not match: a wrong secret, or a rewritten header.
    Signature,
    /// The project or the logstore does not exist (yet).
    NotFound,
    /// The project is overdue, or RAM does not allow the write.
    Forbidden,
    /// The body is too large.
    TooLarge,
    /// A log that SLS cannot take.
    Poison,
    /// The request is malformed: our bug.
    Request,
    /// A code that we do not know.
    Unknown,
}

impl Reason {
    /// A word for a metric or a log line.
    pub fn label(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::ServerError => "server_error",
            Self::Quota => "quota",
            Self::TimeExpired => "time_expired",
            Self::Credential => "credential",
            Self::Signature => "signature",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::TooLarge => "too_large",
            Self::Poison => "poison",
            Self::Request => "request",
            Self::Unknown => "unknown",
        }
    }
}

/// How long to wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The ordinary backoff.
    Backoff,
    /// The longest backoff right away: it will not be better in a second.
    Long,
    /// At least this many ms, as the answer says (`Retry-After`).
    AtLeast(u64),
}

/// What to do with the batch. It is signed again for every further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Delivered.
    Done,
    /// Try again later.
    RetryAfter(Reason, Pace),
    /// Learn the server's time ([`clock::Clock::learn`]) and try again at once if that taught something; otherwise as
    /// `RetryAfter(TimeExpired, Long)`.
    RetryNow {
        /// The server's time, unix ms.
        server_ms: u64,
    },
    /// Divide it ([`write::Dividing`](super::write::Dividing)) because it is too large.
    Split,
    /// Divide it, because one of its logs is bad.
    IsolatePoison,
    /// Ask for a new credential, then as `RetryAfter(Credential, Long)`.
    RefreshCredential,
    /// Give up on it.
    Drop(Reason),
}

/// What a call without an answer means: it was refused by the host, timed out, or broke off.
pub const NO_ANSWER: Decision = Decision::RetryAfter(Reason::Transport, Pace::Backoff);

/// Reads an answer. `header` looks up a header by its lower-case name; `body` may be cut at [`MAX_ERROR_BYTES`].
pub fn classify(status: u16, header: impl Fn(&str) -> Option<String>, body: &[u8]) -> Decision {
    let from_sls = header("x-log-requestid").is_some_and(|id| !id.is_empty());
    let pace = |usual: Pace| {
        let seconds = header("retry-after").and_then(|text| text.trim().parse::<u64>().ok());
        seconds.map_or(usual, |seconds| {
            Pace::AtLeast(seconds.min(MAX_HINT_S).saturating_mul(1_000))
        })
    };
    if status == 200 {
        return Decision::Done;
    }
    if !from_sls {
        return Decision::RetryAfter(Reason::Transport, pace(Pace::Backoff));
    }
    if (200..300).contains(&status) {
        return Decision::Done;
    }
    let code = error_code(body).unwrap_or_default();
    match (status, code.as_str()) {
        (_, "RequestTimeExpired" | "RequestTimeTooSkewed") => match clock::server_time(&header) {
            Some(server_ms) => Decision::RetryNow { server_ms },
            None => Decision::RetryAfter(Reason::TimeExpired, pace(Pace::Long)),
        },
        (_, "PostBodyTooLarge") | (413, _) => Decision::Split,
        (
            400..=499,
            "PostBodyInvalid"
            | "PostBodyUncompressError"
            | "InvalidTimestamp"
            | "InvalidEncoding"
            | "InvalidKey",
        ) => Decision::IsolatePoison,
        (_, "SignatureNotMatch") => Decision::RetryAfter(Reason::Signature, pace(Pace::Long)),
        (401, _)
        | (400..=403, "InvalidAccessKeyId" | "SecurityTokenExpired" | "SecurityToken.Expired")
        | (400, "Unauthorized") => Decision::RefreshCredential,
        (404, _) | (400, "LogStoreWithoutShard" | "ProjectNotExist" | "LogStoreNotExist") => {
            Decision::RetryAfter(Reason::NotFound, pace(Pace::Long))
        }
        (429, _) => Decision::RetryAfter(Reason::Quota, pace(Pace::Long)),
        (403, code) if is_quota(code) => Decision::RetryAfter(Reason::Quota, pace(Pace::Long)),
        (403, _) => Decision::Drop(Reason::Forbidden),
        (405 | 411 | 415, _) => Decision::Drop(Reason::Request),
        (400, code) if is_our_bug(code) => Decision::Drop(Reason::Request),
        (408 | 500.., _) => Decision::RetryAfter(Reason::ServerError, pace(Pace::Backoff)),
        _ => Decision::RetryAfter(Reason::Unknown, pace(Pace::Backoff)),
    }
}

/// `WriteQuotaExceed`, `ShardWriteQuotaExceed`, `ExceedQuota`, `Inflow Quota Exceed`, `Write QPS Exceed`, ...
fn is_quota(code: &str) -> bool {
    let lower = code.to_ascii_lowercase();
    lower.contains("quota") || lower.contains("qps")
}

fn is_our_bug(code: &str) -> bool {
    let about = code
        .strip_prefix("Missing")
        .or_else(|| code.strip_prefix("Invalid"))
        .or_else(|| code.strip_prefix("Miss"));
    match about {
        Some(about) => matches!(
            about,
            "RequestTime"
                | "DateFormat"
                | "Date"
                | "Host"
                | "APIVersion"
                | "SignatureMethod"
                | "AccessKeyId"
                | "BodyRawSize"
                | "CompressType"
                | "ContentType"
                | "ContentLength"
                | "Parameter"
        ),
        None => code == "ParameterInvalid",
    }
}

/// `errorCode` of `{"errorCode":"...","errorMessage":"..."}`.
fn error_code(body: &[u8]) -> Option<String> {
    let body = body.get(..MAX_ERROR_BYTES).unwrap_or(body);
    let json: Value = serde_json::from_slice(body).ok()?;
    json.get("errorCode")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
