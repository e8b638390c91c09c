//! What a second Sentry says about its limits: they hold back the categories of data that they name, and no others.
//!
//! A limit that lasts longer than a copy may wait closes the category: its copies are not sent at all, as in SDKs.
//!
//! Limits may come with any answer. A 429 is about everything in the envelope only if the envelope's own category is limited.
//! Otherwise the rest of it has been accepted (manual: sentry, "Answers and rate limits"), and would arrive twice if sent
//! again.

use super::CopyLeg;
use crate::delivery::answer::Answer;
use crate::delivery::backoff::Jitter;
use crate::delivery::outbox::{Charge, Id};
use crate::delivery::verdict::Verdict;
use crate::sentry::rate_limits::{self, Limit, WITHOUT_HEADER_MS};
use crate::time::Millis;

impl CopyLeg {
    /// Records the limits, and returns what the answer means with them.
    pub(super) fn by_limits(
        &mut self,
        id: Id,
        verdict: Verdict,
        answer: &Answer<'_>,
        now: Millis,
        jitter: &mut Jitter,
    ) -> Verdict {
        let Some(entry) = self.outbox.get(id) else {
            return verdict;
        };
        let Charge { group, part, .. } = entry.charge;
        let limits = (answer.header)(rate_limits::NAME);
        let limits = limits.and_then(|value| rate_limits::parse(&value));
        let says_nothing = limits.is_none();
        let limits = limits.unwrap_or_default();
        // What a 429 says about the envelope itself is up to the outbox.
        let own = match verdict {
            Verdict::Throttled { .. } => limits
                .iter()
                .filter(|limit| [0, part].contains(&part_of(limit)))
                .max_by_key(|limit| limit.ms),
            _ => None,
        };
        for limit in &limits {
            let (key, ms) = (part_of(limit), limit.ms);
            if ms > self.outbox.policy().max_age_ms {
                self.closed.close((group, key), now.after(ms), now);
            } else if own != Some(limit) {
                self.outbox.limit(group, key, ms, now, jitter);
            }
        }
        match (verdict, own) {
            (Verdict::Throttled { retry_after_ms }, None) if says_nothing => Verdict::Throttled {
                retry_after_ms: retry_after_ms.or(Some(WITHOUT_HEADER_MS)),
            },
            (Verdict::Throttled { .. }, None) => Verdict::Delivered,
            (_, Some(&Limit { ms, category: None })) => Verdict::Throttled {
                retry_after_ms: Some(ms),
            },
            (_, Some(&Limit { ms, .. })) => Verdict::Limited { ms },
            (verdict, None) => verdict,
        }
    }
}

/// The part of a group that the limit is about, or 0 for the whole group.
fn part_of(limit: &Limit) -> u8 {
    limit.category.map_or(0, |category| category.number())
}
