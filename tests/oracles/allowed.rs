//! The headers that a copy takes over as they are, as envoy/README.md has them: for tests that try any request.

/// By name; any `sec-ch-ua*` of letters, digits and dashes, up to 64, too.
pub const COPIED: [&str; 11] = [
    "content-type",
    "content-encoding",
    "user-agent",
    "origin",
    "referer",
    "x-sentry-auth",
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
];

/// Whether a header of this name, in lower case, is taken over.
pub fn is_copied(name: &str) -> bool {
    let hint = |end: &str| end.chars().all(|c| c == '-' || c.is_ascii_alphanumeric());
    let end = name.strip_prefix("sec-ch-ua");
    COPIED.contains(&name) || name.len() <= 64 && end.is_some_and(hint)
}
