//! The protobuf of PutLogs, laid out by hand: one `LogGroup` (proto2), fields in field-number order, because the manual warns
//! that other orders may fail to parse (manual: sls, "The log group").
//!
//! ```text
//! LogGroup  0A Log...  1A topic?  22 source?  32 LogTag...       (2 Reserved and 5 MachineUUID stay unset)
//! Log       08 time (varint, unix seconds)  12 Content...  25 time_ns? (fixed32, little endian)
//! Content   0A key  12 value                LogTag    0A key  12 value
//! ```
//!
//! The logs come first, so a group is written as its logs arrive, and the rest is appended once, when it is sealed: no log is
//! copied twice. What the service accepts is not decided here: see [`super::record`] and [`super::log_time`].

use std::collections::TryReserveError;

const LOG: u8 = 0x0A;
const TOPIC: u8 = 0x1A;
const SOURCE: u8 = 0x22;
const TAG: u8 = 0x32;
const TIME: u8 = 0x08;
const CONTENT: u8 = 0x12;
const TIME_NS: u8 = 0x25;
const KEY: u8 = 0x0A;
const VALUE: u8 = 0x12;

/// The most bytes of a `LogGroup` that we send, before compression. The contract says "10 MB", which may mean 10 000 000 or
/// 10 485 760; this stays 2.7 % below the smaller (manual: sls, "Limits").
pub const MAX_RAW_BYTES: usize = 9_728_000;

/// The keys and values of one log, in order. They are iterated twice, because the length of a log comes before it.
pub trait Contents<'c>: Iterator<Item = (&'c [u8], &'c [u8])> + Clone {}

impl<'c, T: Iterator<Item = (&'c [u8], &'c [u8])> + Clone> Contents<'c> for T {}

/// The fields of a group that follow its logs, encoded once per destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailer(Vec<u8>);

impl Trailer {
    /// Topic and source are left out if `None`. If set but empty they are written, as the SDKs do.
    pub fn new(topic: Option<&str>, source: Option<&str>, tags: &[(&str, &str)]) -> Self {
        let mut out = Vec::new();
        for (tag, text) in [(TOPIC, topic), (SOURCE, source)] {
            if let Some(text) = text {
                put_bytes(&mut out, tag, text.as_bytes());
            }
        }
        for (key, value) in tags {
            put_pair(&mut out, TAG, key.as_bytes(), value.as_bytes());
        }
        Self(out)
    }

    /// Encoded size.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is neither topic nor source nor tag.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A group that is still open: the encoded logs so far.
#[derive(Debug, Default)]
pub struct LogGroup {
    raw: Vec<u8>,
    logs: usize,
}

impl LogGroup {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for `bytes` more: doubles the capacity, but not beyond `limit` if that is enough.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn reserve(&mut self, bytes: usize, limit: usize) -> Result<(), TryReserveError> {
        let needed = self.raw.len().saturating_add(bytes);
        let capacity = self.raw.capacity();
        if needed <= capacity {
            return Ok(());
        }
        let wanted = capacity.saturating_mul(2).min(limit).max(needed);
        self.raw
            .try_reserve_exact(wanted.saturating_sub(self.raw.len()))
    }

    /// Appends one log as given. `time_s` is in unix seconds, `time_ns` is the part below the second.
    pub fn push<'c>(&mut self, time_s: u32, time_ns: Option<u32>, contents: impl Contents<'c>) {
        let body = body_len(time_s, time_ns, contents.clone());
        self.push_sized(body, time_s, time_ns, contents);
    }

    /// The same for a log whose [`body_len`] is known.
    pub(super) fn push_sized<'c>(
        &mut self,
        body: usize,
        time_s: u32,
        time_ns: Option<u32>,
        contents: impl Contents<'c>,
    ) {
        self.raw.push(LOG);
        put_varint(&mut self.raw, body);
        self.raw.push(TIME);
        put_varint(&mut self.raw, wide(time_s));
        for (key, value) in contents {
            put_pair(&mut self.raw, CONTENT, key, value);
        }
        if let Some(time_ns) = time_ns {
            self.raw.push(TIME_NS);
            self.raw.extend_from_slice(&time_ns.to_le_bytes());
        }
        self.logs = self.logs.saturating_add(1);
    }

    /// Bytes of the logs so far, without the trailer.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// The memory it holds, in bytes.
    pub fn memory(&self) -> usize {
        self.raw.capacity()
    }

    /// Whether there is no log yet.
    pub fn is_empty(&self) -> bool {
        self.logs == 0
    }

    /// Logs so far.
    pub fn logs(&self) -> usize {
        self.logs
    }

    /// The complete message.
    pub fn seal(mut self, trailer: &Trailer) -> Vec<u8> {
        self.raw.extend_from_slice(&trailer.0);
        self.raw.shrink_to_fit();
        self.raw
    }
}

/// What [`LogGroup::push`] would add for this log, in bytes.
pub fn log_len<'c>(time_s: u32, time_ns: Option<u32>, contents: impl Contents<'c>) -> usize {
    delimited_len(body_len(time_s, time_ns, contents))
}

/// Where the log that begins at `at` ends; `None` if no complete log begins there. It reads only what [`LogGroup`] wrote:
/// this is how a sealed group finds its logs again without keeping their offsets.
pub(super) fn log_end(raw: &[u8], at: usize) -> Option<usize> {
    let rest = raw.get(at..)?;
    let (first, rest) = rest.split_first()?;
    if *first != LOG {
        return None;
    }
    let mut length = 0_usize;
    let mut shift = 0_u32;
    for (index, byte) in rest.iter().enumerate() {
        length |= usize::from(byte & 0x7F).checked_shl(shift)?;
        shift = shift.checked_add(7)?;
        if byte & 0x80 == 0 {
            let end = at.checked_add(index)?.checked_add(2)?.checked_add(length)?;
            return (end <= raw.len()).then_some(end);
        }
    }
    None
}

/// The bytes of a log without its tag and its length.
pub(super) fn body_len<'c>(
    time_s: u32,
    time_ns: Option<u32>,
    contents: impl Contents<'c>,
) -> usize {
    let fixed = varint_len(wide(time_s))
        .saturating_add(1)
        .saturating_add(if time_ns.is_some() { 5 } else { 0 });
    contents.fold(fixed, |sum, (key, value)| {
        sum.saturating_add(delimited_len(pair_len(key, value)))
    })
}

fn pair_len(key: &[u8], value: &[u8]) -> usize {
    delimited_len(key.len()).saturating_add(delimited_len(value.len()))
}

/// Tag, length and bytes.
pub(super) fn delimited_len(bytes: usize) -> usize {
    varint_len(bytes).saturating_add(1).saturating_add(bytes)
}

fn varint_len(value: usize) -> usize {
    match value {
        // Keys and most values: this is called several times per field.
        0..0x80 => 1,
        0x80..0x4000 => 2,
        _ => {
            let bits = usize::BITS.saturating_sub(value.leading_zeros());
            usize::try_from(bits.div_ceil(7)).unwrap_or(usize::MAX)
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    match short(bytes.len()) {
        Some(length) => out.extend_from_slice(&[tag, length]),
        None => {
            out.push(tag);
            put_varint(out, bytes.len());
        }
    }
    put(out, bytes);
}

fn put_pair(out: &mut Vec<u8>, tag: u8, key: &[u8], value: &[u8]) {
    match (short(pair_len(key, value)), short(key.len())) {
        // Nearly all pairs.
        (Some(length), Some(key_length)) => {
            out.extend_from_slice(&[tag, length, KEY, key_length]);
            put(out, key);
        }
        _ => {
            out.push(tag);
            put_varint(out, pair_len(key, value));
            put_bytes(out, KEY, key);
        }
    }
    put_bytes(out, VALUE, value);
}

/// A length as a one-byte varint, if it fits.
#[inline(always)]
fn short(length: usize) -> Option<u8> {
    u8::try_from(length).ok().filter(|length| *length < 0x80)
}

/// Appends bytes. Short slices, such as keys and most values, are moved without a call, which would cost more than the move:
/// as their first and last halves, which may overlap.
#[inline(always)]
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        4..8 => halves::<4>(out, bytes),
        8..16 => halves::<8>(out, bytes),
        16..=32 => halves::<16>(out, bytes),
        _ => out.extend_from_slice(bytes),
    }
}

#[inline(always)]
fn halves<const HALF: usize>(out: &mut Vec<u8>, bytes: &[u8]) {
    let (Some(first), Some(last)) = (bytes.first_chunk::<HALF>(), bytes.last_chunk::<HALF>())
    else {
        return out.extend_from_slice(bytes);
    };
    let end = out.len().saturating_add(bytes.len());
    out.extend_from_slice(first);
    out.truncate(end.saturating_sub(HALF));
    out.extend_from_slice(last);
}

/// `usize` has at least 32 bits on every target that we build for.
fn wide(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bytes<'c>(contents: &'c [(&'c str, &'c str)]) -> impl Contents<'c> {
        contents
            .iter()
            .map(|(key, value)| (key.as_bytes(), value.as_bytes()))
    }

    /// All log groups of the vectors are checked in `tests/conformance/sls`; this tests the order and the boundaries.
    #[test]
    fn logs_then_topic_source_and_tags() {
        let mut group = LogGroup::new();
        group.push(1, Some(7), bytes(&[("k", "v")]));
        group.push(300, None, bytes(&[("k", "")]));
        let trailer = Trailer::new(Some("t"), Some(""), &[("a", "b")]);
        assert_eq!(
            (group.logs(), group.is_empty(), trailer.len()),
            (2, false, 13)
        );
        let raw = group.seal(&trailer);
        let first = b"\x0A\x0F\x08\x01\x12\x06\x0A\x01k\x12\x01v\x25\x07\x00\x00\x00";
        // The size of the second log includes the two-byte time.
        let second = b"\x0A\x0A\x08\xAC\x02\x12\x05\x0A\x01k\x12\x00";
        let rest = b"\x1A\x01t\x22\x00\x32\x06\x0A\x01a\x12\x01b";
        assert_eq!(raw, [&first[..], second, rest].concat());
        let after_first = log_end(&raw, 0).unwrap();
        assert_eq!(after_first, first.len());
        let after_second = log_end(&raw, after_first).unwrap();
        assert_eq!(after_second, first.len() + second.len());
        assert_eq!(log_end(&raw, after_second), None, "the trailer is no log");
    }

    #[test]
    fn room_is_made_by_doubling_up_to_the_limit() {
        let mut group = LogGroup::new();
        let log = [("k", "0123456789")];
        let length = log_len(1, None, bytes(&log));
        let mut grown = Vec::new();
        for _ in 0..10 {
            group.reserve(length, 4 * length + 5).unwrap();
            grown.push(group.memory() / length);
            group.push(1, None, bytes(&log));
        }
        assert_eq!(grown, [1, 2, 4, 4, 5, 6, 7, 8, 9, 10]);
        assert!(group.reserve(usize::MAX, 0).is_err());
        assert_eq!(group.logs(), 10);
    }

    #[test]
    fn the_size_is_known_before_the_log_is_written() {
        for time in [0, 1, 127, 128, 16_383, 16_384, 1 << 28, u32::MAX] {
            for length in [0, 1, 100, 127, 128, 16_383, 16_384, 2_097_152] {
                let value = "x".repeat(length);
                let contents = [("key", value.as_str()), ("", "")];
                for time_ns in [None, Some(0)] {
                    let mut group = LogGroup::new();
                    group.push(time, time_ns, bytes(&contents));
                    assert_eq!(group.len(), log_len(time, time_ns, bytes(&contents)));
                    assert_eq!(
                        log_end(&group.seal(&Trailer::default()), 0),
                        Some(log_len(time, time_ns, bytes(&contents)))
                    );
                }
            }
        }
    }

    #[test]
    fn a_cut_log_has_no_end() {
        let mut group = LogGroup::new();
        group.push(1, None, bytes(&[]));
        let raw = group.seal(&Trailer::default());
        assert_eq!(log_end(&raw[..raw.len() - 1], 0), None);
        assert_eq!(log_end(&raw, 99), None);
        assert_eq!(
            log_end(
                &[
                    LOG, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01
                ],
                0
            ),
            None
        );
        assert_eq!(
            log_end(
                &[LOG, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
                0
            ),
            None
        );
    }
}
