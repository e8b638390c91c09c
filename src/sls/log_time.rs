//! What SLS accepts in one log, and how a log that it would refuse is mended. A request is all or nothing: one bad
//! log rejects its whole group, so each is made acceptable, or refused alone, before it enters one
//! (manual: sls, "The log group").
//!
//! | rule | what happens |
//! | --- | --- |
//! | time in \[now - 7 days, now + 15 min\] | clamped, with a margin for waiting and retries |
//! | key: letters, digits, `_`, not a digit first, at most 128 bytes | other characters become `_`, a `_` goes before a digit, the rest is cut |
//! | the same, but `.` | kept: RUM's own field names have dots (`app.id`) |
//! | reserved keys, `__tag__:` | a `_` goes before them; a colon becomes `_` |
//! | one key once | later ones are left out |
//! | value at most 1 MiB | cut on a character boundary, with [`CUT_MARKER`] at its end |
//! | UTF-8 | by type |
//! | at least one content | refused |
//!
//! Every repair is reported as data; counting is the caller's.

use std::borrow::Cow;
use std::collections::HashSet;

use super::log_group::Contents;

/// The most bytes of a value.
pub const MAX_VALUE_BYTES: usize = 1_048_576;
/// The most bytes of a key.
pub const MAX_KEY_BYTES: usize = 128;
/// The end of a value that was cut.
pub const CUT_MARKER: &str = "...[cut]";

/// SLS takes logs of the last 7 days; half an hour of it is kept for linger, retries and their maximal age.
const PAST_MS: u64 = 7 * 86_400_000 - 30 * 60_000;
/// SLS takes logs of the next 15 minutes; a minute is kept for the difference of the clocks.
const FUTURE_MS: u64 = 14 * 60_000;
/// Keys that SLS gives a meaning of its own.
const RESERVED: [&str; 6] = [
    "__time__",
    "__source__",
    "__topic__",
    "__partition_time__",
    "_extract_others_",
    "__extract_others__",
];
/// Up to here comparing keys is cheaper than a set of them.
const FEW: usize = 64;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// One log: what a record becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log<'a> {
    /// Unix time in nanoseconds.
    pub time_ns: u64,
    /// Keys and values, in the order in which they are sent.
    pub contents: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What is known of the keys.
    pub names: Names,
}

/// What is known of the keys of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Nothing: each is looked at.
    #[default]
    Any,
    /// They are the fields of a record: names that SLS accepts, each once. So they are not looked at again.
    Fields,
}

impl Log<'_> {
    /// Keys and values as the encoder takes them.
    pub fn bytes(&self) -> impl Contents<'_> {
        self.contents
            .iter()
            .map(|(key, value)| (key.as_bytes(), value.as_bytes()))
    }

    /// Whether the keys are what [`Names::Fields`] says.
    fn are_fields(&self) -> bool {
        let keys = self.contents.iter().map(|(key, _)| key);
        let once: HashSet<_> = keys.clone().collect();
        keys.clone().all(|key| legal_key(key)) && once.len() == self.contents.len()
    }

    /// The time in whole seconds, as field 1 of a log has it.
    pub fn seconds(&self) -> u32 {
        u32::try_from(self.time_ns / NS_PER_S).unwrap_or(u32::MAX)
    }

    /// The part below the second, left out when there is none, as the Java SDK does.
    pub fn nanos(&self) -> Option<u32> {
        u32::try_from(self.time_ns % NS_PER_S)
            .ok()
            .filter(|nanos| *nanos != 0)
    }
}

/// What was mended in one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// The time was moved into the window.
    pub time_clamped: bool,
    /// Keys that were rewritten.
    pub keys: usize,
    /// Values that were cut.
    pub values_cut: usize,
    /// Contents left out because an earlier one has the same key.
    pub duplicates: usize,
}

impl Repairs {
    /// Whether the log went through as it was.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a log cannot be sent at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It has no content.
    #[error("a log needs at least one content")]
    Empty,
    /// It alone is more than a request may hold.
    #[error("a log of {bytes} bytes does not fit into one request")]
    TooLarge {
        /// Its encoded size with the trailer of its group.
        bytes: usize,
    },
}

/// Makes `log` acceptable at `now_ms` (corrected time, see [`super::clock`]).
pub fn repair(log: &mut Log<'_>, now_ms: u64) -> Result<Repairs, Rejected> {
    if log.contents.is_empty() {
        return Err(Rejected::Empty);
    }
    let mut repairs = Repairs::default();
    let time_ns = clamp_time(log.time_ns, now_ms);
    repairs.time_clamped = time_ns != log.time_ns;
    log.time_ns = time_ns;
    for (key, value) in &mut log.contents {
        if log.names == Names::Any && !legal_key(key) {
            *key = Cow::Owned(mend_key(key));
            repairs.keys = repairs.keys.saturating_add(1);
        }
        if value.len() > MAX_VALUE_BYTES {
            *value = Cow::Owned(cut(value));
            repairs.values_cut = repairs.values_cut.saturating_add(1);
        }
    }
    match log.names {
        Names::Any => repairs.duplicates = remove_duplicates(&mut log.contents),
        Names::Fields => debug_assert!(log.are_fields()),
    }
    Ok(repairs)
}

/// The nearest time that SLS accepts at `now_ms`; `time_ns` and the result are in unix nanoseconds.
pub fn clamp_time(time_ns: u64, now_ms: u64) -> u64 {
    let oldest = now_ms.saturating_sub(PAST_MS).saturating_mul(NS_PER_MS);
    let newest = now_ms.saturating_add(FUTURE_MS).saturating_mul(NS_PER_MS);
    time_ns.clamp(oldest, newest)
}

fn legal_key(key: &str) -> bool {
    let ours = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    match key.as_bytes() {
        [] => false,
        bytes if bytes.len() > MAX_KEY_BYTES => false,
        // Reserved keys begin with `_`. Nearly all keys end here.
        [first, ..] if first.is_ascii_alphabetic() && key.bytes().all(ours) => true,
        _ => {
            !key.starts_with(char::is_numeric)
                && key.chars().all(legal_char)
                && !RESERVED.contains(&key)
        }
    }
}

fn legal_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.' || (!c.is_ascii() && c.is_alphanumeric())
}

fn mend_key(key: &str) -> String {
    let mut mended: String = key
        .chars()
        .map(|c| if legal_char(c) { c } else { '_' })
        .collect();
    if mended.is_empty()
        || mended.starts_with(char::is_numeric)
        || RESERVED.contains(&mended.as_str())
    {
        mended.insert(0, '_');
    }
    mended.truncate(mended.floor_char_boundary(MAX_KEY_BYTES));
    mended
}

fn cut(value: &str) -> String {
    let kept = value.floor_char_boundary(MAX_VALUE_BYTES.saturating_sub(CUT_MARKER.len()));
    let mut cut = String::with_capacity(MAX_VALUE_BYTES);
    cut.push_str(value.get(..kept).unwrap_or_default());
    cut.push_str(CUT_MARKER);
    cut
}

fn remove_duplicates(contents: &mut Vec<(Cow<'_, str>, Cow<'_, str>)>) -> usize {
    if !may_repeat(contents) {
        return 0;
    }
    let before = contents.len();
    let mut seen = HashSet::with_capacity(before);
    contents.retain(|(key, _)| seen.insert(key.to_string()));
    before.saturating_sub(contents.len())
}

/// Whether two keys may be equal: compares only those that look alike, because a log is rarely in question.
fn may_repeat(contents: &[(Cow<'_, str>, Cow<'_, str>)]) -> bool {
    if contents.len() > FEW {
        return true;
    }
    let mut looks = [0_u64; 4];
    contents.iter().enumerate().any(|(index, (key, _))| {
        let (word, bit) = look(key);
        let Some(looks) = looks.get_mut(word) else {
            return true;
        };
        let alike = *looks & bit != 0;
        *looks |= bit;
        alike
            && contents
                .iter()
                .take(index)
                .any(|(earlier, _)| earlier == key)
    })
}

/// One of 256 bits, by the length and the last bytes of a key.
fn look(key: &str) -> (usize, u64) {
    let [.., third, second, last] = key.as_bytes() else {
        return (0, 1);
    };
    let length = u32::try_from(key.len()).unwrap_or_default();
    let mixed = [*third, *second, *last].iter().fold(length, |mixed, byte| {
        mixed.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    ((mixed >> 6 & 3) as usize, 1_u64.rotate_left(mixed))
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
mod tests {
    use super::*;

    const NOW: u64 = 1_709_190_489_123;

    fn log<'a>(contents: &[(&'a str, &'a str)]) -> Log<'a> {
        let contents = contents
            .iter()
            .map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(*value)))
            .collect();
        Log {
            time_ns: NOW * NS_PER_MS,
            contents,
            names: Names::Any,
        }
    }

    #[test]
    fn a_good_log_is_left_alone() {
        let contents = [
            ("app.id", "1"),
            ("_x", ""),
            ("消息", "你好"),
            ("sentry.sdk.name", "a\0b"),
            ("__topic", "t"),
        ];
        let mut good = log(&contents);
        assert!(repair(&mut good, NOW).unwrap().none());
        assert_eq!(good, log(&contents));
        assert_eq!(
            (good.seconds(), good.nanos()),
            (1_709_190_489, Some(123_000_000))
        );
        assert_eq!(
            Log {
                time_ns: 5 * NS_PER_S,
                ..Log::default()
            }
            .nanos(),
            None
        );
    }

    #[test]
    fn bad_keys_are_rewritten() {
        let long = "é".repeat(100);
        for (bad, good) in [
            ("", "_"),
            ("9lives", "_9lives"),
            ("user agent", "user_agent"),
            ("http-status", "http_status"),
            ("__time__", "___time__"),
            (" _source__", "___source__"),
            ("__tag__:host", "__tag___host"),
            ("a\nb", "a_b"),
            (long.as_str(), &"é".repeat(64)),
            ("١", "_١"),
        ] {
            let mut one = log(&[(bad, "v")]);
            assert_eq!(
                repair(&mut one, NOW).unwrap(),
                Repairs {
                    keys: 1,
                    ..Repairs::default()
                },
                "{bad}"
            );
            assert_eq!(one.contents[0].0, good);
            assert!(legal_key(good), "{good}");
        }
    }

    #[test]
    fn the_first_of_equal_keys_stays_also_among_many() {
        for many in [0, 200] {
            let names: Vec<String> = (0..many).map(|n| format!("k{n}")).collect();
            let mut contents = vec![
                ("a b", "1"),
                ("x", "2"),
                ("a_b", "3"),
                ("x", "4"),
                ("y", "5"),
            ];
            contents.extend(names.iter().map(|name| (name.as_str(), "")));
            let mut twice = log(&contents);
            let repairs = repair(&mut twice, NOW).unwrap();
            assert_eq!((repairs.keys, repairs.duplicates), (1, 2));
            let left: Vec<_> = twice
                .contents
                .iter()
                .take(3)
                .map(|(key, value)| (&**key, &**value))
                .collect();
            assert_eq!(left, [("a_b", "1"), ("x", "2"), ("y", "5")]);
            assert_eq!(twice.contents.len(), 3 + many);
        }
    }

    #[test]
    fn long_values_are_cut_on_a_character() {
        let at_limit = "a".repeat(MAX_VALUE_BYTES);
        assert!(repair(&mut log(&[("k", &at_limit)]), NOW).unwrap().none());
        let over = "😀".repeat(MAX_VALUE_BYTES / 4 + 1);
        let mut long = log(&[("k", &over)]);
        assert_eq!(repair(&mut long, NOW).unwrap().values_cut, 1);
        let value = &long.contents[0].1;
        assert!(value.len() <= MAX_VALUE_BYTES && value.len() > MAX_VALUE_BYTES - 4);
        assert!(value.ends_with("😀...[cut]"));
    }

    #[test]
    fn times_are_moved_into_the_window() {
        let day = 86_400_000 * NS_PER_MS;
        let now = NOW * NS_PER_MS;
        for (time, fits) in [
            (now, true),
            (now - 6 * day, true),
            (0, false),
            (now - 7 * day, false),
            (u64::MAX, false),
        ] {
            let mut at = log(&[("k", "v")]);
            at.time_ns = time;
            assert_eq!(repair(&mut at, NOW).unwrap().time_clamped, !fits, "{time}");
            let later = now + 10 * 60 * NS_PER_S;
            assert!(at.time_ns > later - 7 * day && at.time_ns < now + 15 * 60 * NS_PER_S);
        }
        assert_eq!(clamp_time(5, 0), 5);
        assert_eq!(clamp_time(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn nothing_to_say_is_refused() {
        assert_eq!(repair(&mut log(&[]), NOW), Err(Rejected::Empty));
    }
}
