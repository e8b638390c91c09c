//! The headers that a copy takes over as they are, as the README has them: for tests that try any request.

/// By name; any `sec-ch-ua*` too.
pub(crate) const COPIED: [&str; 11] = [
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
pub(crate) fn is_copied(name: &str) -> bool {
    COPIED.contains(&name) || name.starts_with("sec-ch-ua")
}
