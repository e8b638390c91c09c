//! The headers of a copy in one buffer: a copy may wait for minutes, and thousands may be waiting.
//!
//! Both buffers are laid out like the parts of a header map in the proxy-wasm ABI (see [`HeaderMap`]), so that a dispatch
//! copies them as a whole.

use crate::header_map::{HeaderMap, Pair, Pairs};
use std::fmt;

/// The size of an entry in the table of sizes.
const SIZES: usize = 8;

/// Names and values, in order. Two allocations, however many headers there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderList {
    /// For each header the `u32` sizes of its name and its value, little endian.
    sizes: Vec<u8>,
    /// Names and values, each followed by a NUL.
    data: Vec<u8>,
}

/// Names only: values may be credentials.
impl fmt::Debug for HeaderList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|(name, _)| String::from_utf8_lossy(name));
        f.debug_list().entries(names).finish()
    }
}

impl HeaderList {
    /// An empty list with room.
    #[must_use]
    pub fn with_capacity(headers: usize, bytes: usize) -> Self {
        Self {
            sizes: Vec::with_capacity(headers.saturating_mul(SIZES)),
            data: Vec::with_capacity(bytes),
        }
    }

    /// Adds a header.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let added = name.len().saturating_add(value.len()).saturating_add(2);
        // Reserved once; otherwise each part would ask for room.
        self.data.reserve(added);
        self.data.extend_from_slice(name);
        self.data.push(0);
        self.data.extend_from_slice(value);
        self.data.push(0);
        self.note(name.len(), value.len());
    }

    /// Adds a header whose value is the concatenation of `parts`.
    pub fn push_joined(&mut self, name: &[u8], parts: &[&[u8]]) {
        let start = self.data.len();
        self.data.extend_from_slice(name);
        self.data.push(0);
        for part in parts {
            self.data.extend_from_slice(part);
        }
        let added = self.data.len().saturating_sub(start);
        let value = added.saturating_sub(name.len()).saturating_sub(1);
        self.data.push(0);
        self.note(name.len(), value);
    }

    fn note(&mut self, name: usize, value: usize) {
        // Appended in one piece; otherwise each would ask for room.
        let sizes = u64::from(length(value)) << 32 | u64::from(length(name));
        self.sizes.extend_from_slice(&sizes.to_le_bytes());
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sizes.len() / SIZES
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Bytes of names and values, each followed by a NUL.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// Names and values.
    #[must_use]
    pub fn iter(&self) -> Pairs<'_> {
        Pairs::of(&self.sizes, &self.data)
    }

    /// The first value of a header.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// The memory that the list takes up.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.data.capacity().saturating_add(self.sizes.capacity())
    }

    /// Writes it as a header map, after at most one more header, into `buffer`, which is cleared first.
    pub(crate) fn write(&self, buffer: &mut Vec<u8>, first: Option<Pair<'_>>) {
        let count = self.len().saturating_add(first.iter().len());
        let sizes = self.sizes.len().saturating_add(2 * SIZES);
        buffer.clear();
        buffer.reserve(self.data.len().saturating_add(sizes));
        buffer.extend_from_slice(&length(count).to_le_bytes());
        if let Some((name, value)) = first {
            buffer.extend_from_slice(&length(name.len()).to_le_bytes());
            buffer.extend_from_slice(&length(value.len()).to_le_bytes());
        }
        buffer.extend_from_slice(&self.sizes);
        if let Some((name, value)) = first {
            for part in [name, value] {
                buffer.extend_from_slice(part);
                buffer.push(0);
            }
        }
        buffer.extend_from_slice(&self.data);
    }
}

/// A size as the ABI has it. No host hands out a header of 4 GiB.
fn length(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

impl From<&HeaderList> for HeaderMap {
    fn from(list: &HeaderList) -> Self {
        let mut bytes = Vec::new();
        list.write(&mut bytes, None);
        Self::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderList, HeaderMap};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(map in prop::collection::vec(any::<(Vec<u8>, Vec<u8>)>(), 0..8)) {
            let mut list = HeaderList::default();
            for (name, value) in &map {
                list.push(name, value);
            }
            let read = |buffer: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
                HeaderMap::new(buffer.to_vec()).iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect()
            };
            let mut buffer = vec![1, 2, 3];
            list.write(&mut buffer, None);
            prop_assert_eq!(&read(&buffer), &map);
            list.write(&mut buffer, Some((b":scheme", b"https")));
            let (first, rest) = read(&buffer).split_first().map(|(f, r)| (f.clone(), r.to_vec())).unwrap();
            prop_assert_eq!(first, (b":scheme".to_vec(), b"https".to_vec()));
            prop_assert_eq!(rest, map);
        }
    }

    #[test]
    fn what_is_pushed_comes_back_in_order() {
        let mut list = HeaderList::with_capacity(1, 1);
        list.push_joined(b":path", &[b"/rum/sentry/w/s", b"/api/42/envelope/"]);
        list.push(b"content-encoding", b"");
        list.push(b"x", b"\xff");
        let all: Vec<_> = list.iter().collect();
        let expected: [(&[u8], &[u8]); 3] = [
            (b":path", b"/rum/sentry/w/s/api/42/envelope/"),
            (b"content-encoding", b""),
            (b"x", b"\xff"),
        ];
        assert_eq!(all, expected);
        assert_eq!((list.len(), list.is_empty()), (3, false));
        assert_eq!(list.get(b"x"), Some(&b"\xff"[..]));
        assert_eq!(list.get(b"y"), None);
        assert!(list.allocated() >= 50);
        assert_eq!(format!("{list:?}"), r#"[":path", "content-encoding", "x"]"#);
        assert!(list.data.ends_with(b"\0x\0\xff\0"));
    }
}
