//! The category of an item or a route, by which Sentry counts and limits.

/// A category of data. Categories that share a quota are one here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Anything without a category of its own, or without a known one.
    Other = 1,
    /// Errors and messages.
    Error,
    /// Transactions.
    Transaction,
    /// CSP and other security reports.
    Security,
    /// Attachments.
    Attachment,
    /// Sessions.
    Session,
    /// Profiles.
    Profile,
    /// Pieces of continuous profiles.
    ProfileChunk,
    /// Replays.
    Replay,
    /// Check-ins of crons.
    Monitor,
    /// Spans.
    Span,
    /// What users report.
    Feedback,
    /// Logs.
    Log,
    /// Metrics of traces.
    TraceMetric,
    /// Metrics of statsd.
    MetricBucket,
}

impl Category {
    /// A number unique to this category, and not 0.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The category of an item of this type.
    #[must_use]
    pub fn of_item(ty: &str) -> Self {
        match ty {
            "event" | "form_data" => Self::Error,
            "transaction" => Self::Transaction,
            "security" | "raw_security" | "nel" => Self::Security,
            "attachment" => Self::Attachment,
            "session" | "sessions" => Self::Session,
            "profile" => Self::Profile,
            "profile_chunk" => Self::ProfileChunk,
            "replay_event" | "replay_recording" | "replay_video" => Self::Replay,
            "check_in" => Self::Monitor,
            "span" | "otel_span" => Self::Span,
            "feedback" | "user_report" => Self::Feedback,
            "log" | "otel_log" => Self::Log,
            "trace_metric" => Self::TraceMetric,
            "statsd" | "metric_buckets" => Self::MetricBucket,
            _ => Self::Other,
        }
    }

    /// The category of a request by its route: the path after `/api/<id>/`.
    #[must_use]
    pub fn of_route(path: &[u8]) -> Self {
        let mut segments = path.split(|byte| matches!(byte, b'/' | b'?' | b'#'));
        match segments.find(|segment| !segment.is_empty()) {
            Some(b"store" | b"minidump" | b"unreal" | b"playstation") => Self::Error,
            Some(b"security" | b"csp-report" | b"nel") => Self::Security,
            Some(b"cron") => Self::Monitor,
            Some(b"attachments" | b"upload") => Self::Attachment,
            _ => Self::Other,
        }
    }

    /// By its name in a rate limit; `None` for those that need not be known (manual: sentry, "Answers and rate limits").
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "default" => Self::Other,
            "error" => Self::Error,
            "transaction" => Self::Transaction,
            "security" => Self::Security,
            "attachment" | "attachment_item" => Self::Attachment,
            "session" => Self::Session,
            "profile" => Self::Profile,
            "profile_chunk" | "profile_chunk_ui" => Self::ProfileChunk,
            "replay" => Self::Replay,
            "monitor" => Self::Monitor,
            "span" => Self::Span,
            "feedback" | "user_report_v2" => Self::Feedback,
            "log_item" | "log_byte" => Self::Log,
            "trace_metric" => Self::TraceMetric,
            "metric_bucket" => Self::MetricBucket,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Category;

    #[test]
    fn of_items_routes_and_limits() {
        assert_eq!(Category::of_item("event"), Category::Error);
        assert_eq!(Category::of_item("client_report"), Category::Other);
        for (path, category) in [
            ("/store/?sentry_key=k", Category::Error),
            ("//cron/nightly/k/", Category::Monitor),
            ("/minidump?x", Category::Error),
            ("/otlp/v1/traces/", Category::Other),
            ("", Category::Other),
        ] {
            assert_eq!(Category::of_route(path.as_bytes()), category, "{path}");
        }
        assert_eq!(Category::named("log_byte"), Some(Category::Log));
        assert_eq!(Category::named("unheard_of"), None);
    }
}
