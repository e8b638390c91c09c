//! The outcomes of an exchange: the words that metrics, logs and the runbook share.

/// Why an exchange on an ingest path was not captured. Decided by rule, nothing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Under `/api/<project id>/`, but not a request that `rum.routes` covers, or behind a path that is not `dsn_path`, or with a target that no copy can have: over
    /// 64 KiB, with white space, or with a dot segment, which would lead out of the copy's prefix.
    Route,
    /// Under `/api/<project id>/`, but for a host that is none of `hosts`.
    Host,
    /// The project stands in `rum.exclude`.
    Excluded,
    /// `rum.projects` does not list the project and there is no `rum.default`.
    Unmapped,
    /// The path already begins with `/rum/sentry/`, or the request carries the marker of a copy: one of our own copies came
    /// back, or somebody reports about one.
    Loop,
    /// The body is larger than `limits.max_body_bytes`, or the headers are more than 128 KiB or 1000 lines.
    TooLarge,
    /// The client (or the primary) ended the exchange before the body was complete.
    Aborted,
    /// The host did not hand out the body that it announced (nginx: it was spilled to a file).
    Unreadable,
    /// The body came too slowly: no byte for 30 s, or after 30 s less than 1 KiB/s.
    Slow,
    /// The trace is not in the project's sample (`sample`).
    Sampled,
    /// No item of the envelope goes (`items`), or it cannot be read.
    Items,
    /// The copy was to be scrubbed (`scrub`), and could not be.
    Unscrubbable,
    /// The project is over its rate (`rate`).
    Limited,
    /// The primary refused the request, and `only_accepted` is on.
    Refused,
}

impl SkipReason {
    /// Every reason, in the order of [`SkipReason::index`].
    pub const ALL: [Self; 14] = [
        Self::Route,
        Self::Excluded,
        Self::Unmapped,
        Self::Loop,
        Self::TooLarge,
        Self::Aborted,
        Self::Unreadable,
        Self::Slow,
        Self::Host,
        Self::Sampled,
        Self::Limited,
        Self::Refused,
        Self::Items,
        Self::Unscrubbable,
    ];

    /// The reason as it stands in the metric `<leg>.skipped.<reason>`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Excluded => "excluded",
            Self::Unmapped => "unmapped",
            Self::Loop => "loop",
            Self::TooLarge => "too_large",
            Self::Aborted => "aborted",
            Self::Unreadable => "unreadable",
            Self::Slow => "slow",
            Self::Host => "host",
            Self::Sampled => "sampled",
            Self::Limited => "limited",
            Self::Refused => "refused",
            Self::Items => "items",
            Self::Unscrubbable => "unscrubbable",
        }
    }

    /// Position in [`SkipReason::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Route => 0,
            Self::Excluded => 1,
            Self::Unmapped => 2,
            Self::Loop => 3,
            Self::TooLarge => 4,
            Self::Aborted => 5,
            Self::Unreadable => 6,
            Self::Slow => 7,
            Self::Host => 8,
            Self::Sampled => 9,
            Self::Limited => 10,
            Self::Refused => 11,
            Self::Items => 12,
            Self::Unscrubbable => 13,
        }
    }
}

/// Why a request in mode `sign` was answered by us instead of being signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DenyReason {
    /// 403: not a write, not one of `sign.logstores`, or a parameter that a write does not have.
    Forbidden,
    /// 400: a write that could not be signed for sure.
    Malformed,
    /// 413: the body is larger than `limits.max_body_bytes`.
    TooLarge,
    /// 503: `limits.max_pending_bytes` is used up.
    NoRoom,
    /// 503: there is no credential to sign with.
    NoCredential,
    /// 503: the proxy did not hand out the request, or did not take its new headers.
    Host,
}

impl DenyReason {
    /// Every reason, in the order of [`DenyReason::index`].
    pub const ALL: [Self; 6] = [
        Self::Forbidden,
        Self::Malformed,
        Self::TooLarge,
        Self::NoRoom,
        Self::NoCredential,
        Self::Host,
    ];

    /// The reason as it stands in the metric `sign.denied.<reason>`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::NoCredential => "no_credential",
            Self::Host => "host",
        }
    }

    /// Position in [`DenyReason::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Forbidden => 0,
            Self::Malformed => 1,
            Self::TooLarge => 2,
            Self::NoRoom => 3,
            Self::NoCredential => 4,
            Self::Host => 5,
        }
    }
}

/// What a signed request was answered with, by the target or by the proxy in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerClass {
    /// 200 to 299.
    Success,
    /// 400 to 499.
    Client,
    /// 500 to 599.
    Server,
    /// Anything else.
    Other,
}

impl AnswerClass {
    /// Every class, in the order of [`AnswerClass::index`].
    pub const ALL: [Self; 4] = [Self::Success, Self::Client, Self::Server, Self::Other];

    /// The class of a status.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            400..=499 => Self::Client,
            500..=599 => Self::Server,
            _ => Self::Other,
        }
    }

    /// The class as it stands in the metric `sign.answered.<class>`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Client => "4xx",
            Self::Server => "5xx",
            Self::Other => "other",
        }
    }

    /// Position in [`AnswerClass::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Success => 0,
            Self::Client => 1,
            Self::Server => 2,
            Self::Other => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswerClass, DenyReason, SkipReason};

    #[test]
    fn the_index_is_the_position() {
        for (position, reason) in SkipReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), position);
        }
        for (position, reason) in DenyReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), position);
        }
        for (position, class) in AnswerClass::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), position);
        }
    }
}
