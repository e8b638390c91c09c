//! What a second Sentry says of its limits: they hold back the categories of data that they are about, and no others.
//!
//! A limit that lasts longer than a copy may wait closes the category: its copies do not go at all, as SDKs do it.
//!
//! They may come with any answer. A 429 is about all that the envelope held only if its own category is limited: what else
//! was in it has been taken then (manual: sentry, "Answers and rate limits"), so that it would arrive twice if it were sent
//! again.

use super::CopyLeg;
use crate::delivery::answer::Answer;
use crate::delivery::outbox::{Charge, Id};
use crate::delivery::verdict::Verdict;
use crate::sentry::rate_limits::{self, Limit, WITHOUT_HEADER_MS};
use crate::time::Millis;

impl CopyLeg {
    /// Takes note of the limits, and gives what the answer means with them.
    pub(super) fn by_limits(
        &mut self,
        id: Id,
        verdict: Verdict,
        answer: &Answer<'_>,
        now: Millis,
    ) -> Verdict {
        let Some(entry) = self.outbox.get(id) else {
            return verdict;
        };
        let Charge { group, part, .. } = entry.charge;
        let limits = (answer.header)(rate_limits::NAME);
        let limits = limits.and_then(|value| rate_limits::parse(&value));
        let says_nothing = limits.is_none();
        let limits = limits.unwrap_or_default();
        for Limit { ms, category } in &limits {
            let part = category.map_or(0, |category| category.number());
            let until = now.after(*ms);
            if *ms > self.outbox.policy().max_age_ms {
                self.closed.hold((group, part), until, now);
            } else {
                self.outbox.hold(group, part, until, now);
            }
        }
        let Verdict::Throttled { retry_after_ms } = verdict else {
            return verdict;
        };
        if says_nothing {
            let ms = retry_after_ms.unwrap_or(WITHOUT_HEADER_MS);
            self.outbox.hold(group, 0, now.after(ms), now);
            return Verdict::Throttled {
                retry_after_ms: Some(ms),
            };
        }
        let own = limits.iter().filter(|limit| {
            let category = limit.category;
            category.is_none_or(|category| category.number() == part)
        });
        match own.map(|limit| limit.ms).max() {
            Some(ms) => Verdict::Throttled {
                retry_after_ms: Some(ms),
            },
            None => Verdict::Delivered,
        }
    }
}
