//! What a target's answer means for a copy.
//!
//! A copy is retried only when it was certainly not taken, because the receiver would store it twice: SDKs put no idempotency
//! key on an envelope. How hosts report a failure (measured with Envoy 1.40):
//! * connect refused or timed out: 503 with `... reset reason: remote connection failure` or `connection timeout`;
//!   likewise what never left the proxy, or was refused unread (HTTP/2), see [`NOT_SENT`];
//! * ended after the request had been sent: 503 `... connection termination`, 502 `... protocol error`;
//! * no answer in time: 504 `upstream request timeout`; ended inside the answer: no headers at all.
//!
//! Envoy marks answers of the target itself with `x-envoy-upstream-service-time`. nginx (measured with 1.28) reports
//! `:dispatch_status`. It says `broken connection` both for a refused connect and for a reset after sending, so neither is
//! retried there; it says `ok` even when the connection just ends.

use crate::delivery::answer::Answer;
use crate::delivery::verdict::Verdict;
use crate::time::Millis;

/// The parts of an answer that are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply<'a> {
    /// `:status`. Without it there was no answer.
    pub status: Option<u16>,
    /// `retry-after`.
    pub retry_after: Option<&'a [u8]>,
    /// The answer came from the target: `x-envoy-upstream-service-time` is present.
    pub from_target: bool,
    /// The beginning of the body, read for 502 and 503 only.
    pub body: &'a [u8],
    /// nginx's `:dispatch_status`.
    pub dispatch_status: Option<&'a [u8]>,
}

/// What Envoy says when the target has certainly not read the request (`resetReasonToString` in its sources).
const NOT_SENT: [&[u8]; 6] = [
    b"remote connection failure",
    b"local connection failure",
    b"connection timeout",
    b"reset reason: overflow",
    b"remote refused stream reset",
    b"local refused stream reset",
];

/// How much of the body is worth reading: Envoy's sentence is shorter.
pub(super) const BODY_BYTES: usize = 256;

/// What an answer means. Only the headers that matter are looked up: most answers are 200.
pub(super) fn verdict(answer: &Answer<'_>, now: Millis) -> Verdict {
    let header = |name: &str| (answer.header)(name);
    let status = answer.status;
    let unavailable = matches!(status, Some(502 | 503));
    let throttled = status == Some(429);
    let retry_after = (unavailable || throttled).then(|| header("retry-after"));
    let retry_after = retry_after.flatten();
    let dispatch_status = status.is_none().then(|| header(":dispatch_status"));
    let dispatch_status = dispatch_status.flatten();
    let reply = Reply {
        status,
        retry_after: retry_after.as_deref().map(str::as_bytes),
        from_target: unavailable && header("x-envoy-upstream-service-time").is_some(),
        body: answer.body,
        dispatch_status: dispatch_status.as_deref().map(str::as_bytes),
    };
    reply.verdict(now)
}

impl Reply<'_> {
    /// What the answer means.
    #[must_use]
    pub fn verdict(&self, now: Millis) -> Verdict {
        match self.status {
            Some(200..=299) => Verdict::Delivered,
            Some(429) => Verdict::Throttled {
                retry_after_ms: self.retry_after.and_then(|value| retry_after(value, now)),
            },
            Some(502 | 503) => self.unavailable(now),
            // With the others, the copy may have been taken before something went wrong behind the receiver. An interim
            // answer is not an answer yet: ngx_wasm_module passes on the first one that comes.
            Some(status @ (100..=199 | 500..=599)) => Verdict::Ambiguous(status),
            Some(status) => Verdict::Refused(status),
            None => self.unanswered(),
        }
    }

    fn unavailable(&self, now: Millis) -> Verdict {
        let status = self.status.unwrap_or_default();
        let local = !self.from_target && self.body.starts_with(b"upstream connect error");
        let says = |reason: &[u8]| self.body.windows(reason.len()).any(|part| part == reason);
        if local && !NOT_SENT.iter().any(|reason| says(reason)) {
            return Verdict::Ambiguous(status);
        }
        Verdict::NotTaken {
            status,
            retry_after_ms: self.retry_after.and_then(|value| retry_after(value, now)),
        }
    }

    fn unanswered(&self) -> Verdict {
        match self.dispatch_status {
            // The connection was never established.
            Some(b"resolver failure" | b"tls handshake failure") => Verdict::NotTaken {
                status: 0,
                retry_after_ms: None,
            },
            _ => Verdict::Ambiguous(0),
        }
    }
}

/// `Retry-After`: seconds, possibly with a fraction, or a date. Milliseconds from now.
fn retry_after(value: &[u8], now: Millis) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_to_ms(seconds);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let at = u64::try_from(since_epoch.as_millis()).ok()?;
    Some(Millis(at).since(now))
}

/// A float cast saturates, and anything but a number of seconds is rejected first.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn seconds_to_ms(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::{Reply, retry_after};
    use crate::delivery::verdict::Verdict;
    use crate::time::Millis;

    const NOW: Millis = Millis(1_700_000_000_000);

    fn local(status: u16, body: &str) -> Verdict {
        Reply {
            status: Some(status),
            body: body.as_bytes(),
            ..Reply::default()
        }
        .verdict(NOW)
    }

    fn from_target(status: u16) -> Verdict {
        Reply {
            status: Some(status),
            from_target: true,
            ..Reply::default()
        }
        .verdict(NOW)
    }

    fn not_taken(status: u16) -> Verdict {
        Verdict::NotTaken {
            status,
            retry_after_ms: None,
        }
    }

    #[test]
    fn answers_of_the_target() {
        for (status, verdict) in [
            (200, Verdict::Delivered),
            (204, Verdict::Delivered),
            (301, Verdict::Refused(301)),
            (400, Verdict::Refused(400)),
            (401, Verdict::Refused(401)),
            (404, Verdict::Refused(404)),
            (413, Verdict::Refused(413)),
            (
                429,
                Verdict::Throttled {
                    retry_after_ms: None,
                },
            ),
            (500, Verdict::Ambiguous(500)),
            (502, not_taken(502)),
            (503, not_taken(503)),
            (504, Verdict::Ambiguous(504)),
            (103, Verdict::Ambiguous(103)),
        ] {
            assert_eq!(from_target(status), verdict, "{status}");
        }
    }

    #[test]
    fn envoys_own_answers() {
        let error = "upstream connect error or disconnect/reset before headers. reset reason: ";
        let reset = |reason: &str| local(503, &format!("{error}{reason}"));
        assert_eq!(reset("remote connection failure"), not_taken(503));
        assert_eq!(
            reset("remote connection failure, transport failure reason: TLS_error"),
            not_taken(503)
        );
        for reason in [
            "connection timeout",
            "local connection failure",
            "overflow",
            "remote refused stream reset",
            "local refused stream reset",
        ] {
            assert_eq!(reset(reason), not_taken(503), "{reason}");
        }
        assert_eq!(reset("connection termination"), Verdict::Ambiguous(503));
        assert_eq!(
            local(502, &format!("{error}protocol error")),
            Verdict::Ambiguous(502)
        );
        assert_eq!(
            local(504, "upstream request timeout"),
            Verdict::Ambiguous(504)
        );
        assert_eq!(local(503, "no healthy upstream"), not_taken(503));
    }

    #[test]
    fn no_answer_at_all() {
        assert_eq!(Reply::default().verdict(NOW), Verdict::Ambiguous(0));
        for (text, verdict) in [
            ("resolver failure", not_taken(0)),
            ("tls handshake failure", not_taken(0)),
            ("timeout", Verdict::Ambiguous(0)),
            ("broken connection", Verdict::Ambiguous(0)),
            ("ok", Verdict::Ambiguous(0)),
            ("reader failure", Verdict::Ambiguous(0)),
        ] {
            let reply = Reply {
                dispatch_status: Some(text.as_bytes()),
                ..Reply::default()
            };
            assert_eq!(reply.verdict(NOW), verdict, "{text}");
        }
    }

    #[test]
    fn retry_after_in_every_form() {
        for (value, ms) in [
            ("7", Some(7_000)),
            (" 7 ", Some(7_000)),
            ("0.5", Some(500)),
            ("0", Some(0)),
            ("Tue, 14 Nov 2023 22:13:30 GMT", Some(10_000)),
            ("Tue, 14 Nov 2000 22:13:30 GMT", Some(0)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value.as_bytes(), NOW), ms, "{value}");
        }
        assert_eq!(retry_after(b"1e300", NOW), Some(u64::MAX));
        assert_eq!(retry_after(b"\xff", NOW), None);
    }
}
