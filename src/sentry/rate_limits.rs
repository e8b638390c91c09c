//! What a Sentry says about its limits: the header `X-Sentry-Rate-Limits`, or a 429 without it (manual: sentry, "Answers and
//! rate limits").
//!
//! `seconds:categories:scope[:reason...]`, several joined by commas; categories joined by `;`. No category means all; unknown
//! ones are ignored. The header may come with any answer, even a 200.

use super::category::Category;

/// The name of the header.
pub const NAME: &str = "x-sentry-rate-limits";
/// For a 429 that says nothing: what SDKs assume.
pub const WITHOUT_HEADER_MS: u64 = 60_000;
/// Any beyond this are not read.
const MAX_LIMITS: usize = 64;
const MAX_BYTES: usize = 8_192;

/// A limit that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// For this long from now on.
    pub ms: u64,
    /// What it is about; `None` is everything.
    pub category: Option<Category>,
}

/// Reads the header's value; `None` if it says nothing.
#[must_use]
pub fn parse(value: &str) -> Option<Vec<Limit>> {
    let mut limits = Vec::new();
    let mut says_something = false;
    if value.len() > MAX_BYTES {
        return None;
    }
    for entry in value.split(',') {
        let mut parts = entry.trim().split(':');
        let seconds = parts.next().and_then(|text| text.trim().parse().ok());
        let (Some(ms), Some(names)) = (seconds.and_then(to_ms), parts.next()) else {
            continue;
        };
        says_something = true;
        let names = names.trim();
        let every = names.is_empty().then_some(Limit { ms, category: None });
        let named = names.split(';').filter_map(|name| {
            let category = Some(Category::named(name.trim())?);
            Some(Limit { ms, category })
        });
        let room = MAX_LIMITS.saturating_sub(limits.len());
        limits.extend(every.into_iter().chain(named).take(room));
    }
    says_something.then_some(limits)
}

/// A float cast saturates, and anything but a number of seconds is rejected first.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn to_ms(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::{Limit, parse};
    use crate::sentry::category::Category;

    #[test]
    fn entries() {
        let limit = |ms, category| Limit { ms, category };
        for (value, limits) in [
            ("60::organization", vec![limit(60_000, None)]),
            (
                "60:transaction:key:quota, 2700.5:error;unheard_of;security:organization",
                vec![
                    limit(60_000, Some(Category::Transaction)),
                    limit(2_700_500, Some(Category::Error)),
                    limit(2_700_500, Some(Category::Security)),
                ],
            ),
            (
                "60:metric_bucket:key::custom",
                vec![limit(60_000, Some(Category::MetricBucket))],
            ),
            ("60:unheard_of:key", vec![]),
        ] {
            assert_eq!(parse(value), Some(limits), "{value}");
        }
        for value in ["60, x:error, -1:error, nan:error, inf:error", "", "limited"] {
            assert_eq!(parse(value), None, "{value}");
        }
        let many = parse(&"1:error,".repeat(900)).unwrap();
        assert_eq!(many.len(), super::MAX_LIMITS);
        assert_eq!(parse(&"1:error,".repeat(9_000)), None);
    }
}
