//! What is retried: the section `retry`, and `sls.retry`, which overrides it.

use super::reader::{Object, Reader};
use super::{MAX_WAIT_MS, integer};
use crate::delivery::backoff::Backoff;
use crate::delivery::retry::Retry;

const INITIAL_MS: u64 = 500;
const MAX_MS: u64 = 30_000;
const AGE_MS: u64 = 300_000;

/// The section `retry`.
// Two callers, once per configuration: not inlined, to keep the module small.
#[inline(never)]
pub(super) fn read(reader: &mut Reader<'_>, object: &mut Object<'_>) -> Option<Retry> {
    let ambiguous = match object.take("ambiguous") {
        Some(field) => reader.boolean(&field),
        None => Some(false),
    };
    // A RUM event is worth three attempts; the second, after half a second, finds a target that has just restarted.
    // Five minutes: a target that is gone for longer is an outage that somebody looks at.
    let retry = rest(reader, object, [3, INITIAL_MS, MAX_MS, AGE_MS])?;
    Some(Retry {
        ambiguous: ambiguous?,
        ..retry
    })
}

/// `sls.retry`: what it does not set is as in `base`, except for the attempts.
pub(super) fn read_over(
    reader: &mut Reader<'_>,
    object: &mut Object<'_>,
    base: Option<Retry>,
    attempts: u64,
) -> Option<Retry> {
    // Even if the base itself is wrong, this section's own problems must be found.
    let [initial, max, age] = base.map_or([INITIAL_MS, MAX_MS, AGE_MS], |base| {
        let wait = |attempts| base.backoff.ceiling(attempts);
        [wait(1), wait(u32::MAX), base.max_age_ms]
    });
    rest(reader, object, [attempts, initial, max, age])
}

fn rest(
    reader: &mut Reader<'_>,
    object: &mut Object<'_>,
    [attempts, initial_ms, max_ms, age_ms]: [u64; 4],
) -> Option<Retry> {
    let attempts = integer(reader, object, "max_attempts", attempts, 100);
    let initial = object.take("initial_backoff_ms");
    let initial_path = initial.as_ref().map(|field| field.path.clone());
    let initial = match initial {
        Some(field) => reader.integer(&field, 1..=MAX_WAIT_MS),
        None => Some(initial_ms),
    };
    let max = integer(reader, object, "max_backoff_ms", max_ms, MAX_WAIT_MS);
    let max_age_ms = integer(reader, object, "max_age_ms", age_ms, MAX_WAIT_MS);
    let (initial, max) = (initial?, max?);
    let backoff = match (Backoff::new(initial, max), initial_path) {
        (Some(backoff), _) => backoff,
        // Only the maximum was given, and it is below the default first wait: then it is used for both.
        (None, None) => Backoff::new(max, max)?,
        (None, Some(path)) => {
            let what = format!("expected at most max_backoff_ms ({max}), got {initial}");
            reader.problem(&path, what);
            return None;
        }
    };
    Some(Retry {
        max_attempts: u32::try_from(attempts?).ok()?,
        backoff,
        max_age_ms: max_age_ms?,
        ambiguous: false,
    })
}
