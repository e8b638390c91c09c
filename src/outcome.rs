//! What became of an exchange: the words that metrics, logs and the runbook share.

/// Why an exchange on an ingest path was not captured. Decided by rule, nothing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Under `/api/<project id>/`, but not a request that `rum.routes` covers.
    Route,
    /// The project stands in `rum.exclude`.
    Excluded,
    /// `rum.projects` does not list the project and there is no `rum.default`.
    Unmapped,
    /// The path already begins with `/rum/sentry/`: one of our own copies came back.
    Loop,
    /// The body is larger than `limits.max_body_bytes`.
    TooLarge,
    /// The client (or the primary) ended the exchange before the body was complete.
    Aborted,
    /// The host did not hand out the body that it announced (nginx: it was spilled to a file).
    Unreadable,
}

impl SkipReason {
    /// Every reason, in the order of [`SkipReason::index`].
    pub const ALL: [Self; 7] = [
        Self::Route,
        Self::Excluded,
        Self::Unmapped,
        Self::Loop,
        Self::TooLarge,
        Self::Aborted,
        Self::Unreadable,
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SkipReason;

    #[test]
    fn the_index_is_the_position() {
        for (position, reason) in SkipReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), position);
        }
    }
}
