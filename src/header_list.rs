//! The headers of a copy in one buffer: a copy may wait for minutes, and thousands of them may wait.
//!
//! The buffer is laid out as the data of a header map in the proxy-wasm ABI (name, NUL, value, NUL), so that a dispatch
//! copies it as a whole.

use std::fmt;

/// Names and values, in order. Two allocations however many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderList {
    bytes: Vec<u8>,
    /// Length of each name and value.
    lengths: Vec<(u32, u32)>,
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
            bytes: Vec::with_capacity(bytes),
            lengths: Vec::with_capacity(headers),
        }
    }

    /// Adds a header.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let added = name.len().saturating_add(value.len()).saturating_add(2);
        // Once, or each part would ask for room.
        self.bytes.reserve(added);
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
        self.bytes.push(0);
        self.note(name.len(), value.len());
    }

    /// Adds a header whose value is the concatenation of `parts`.
    pub fn push_joined(&mut self, name: &[u8], parts: &[&[u8]]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let added = self.bytes.len().saturating_sub(start);
        let value = added.saturating_sub(name.len()).saturating_sub(1);
        self.bytes.push(0);
        self.note(name.len(), value);
    }

    fn note(&mut self, name: usize, value: usize) {
        // No host hands out a header of 4 GiB.
        let length = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        self.lengths.push((length(name), length(value)));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Lengths of names and values.
    #[must_use]
    pub fn lengths(&self) -> &[(u32, u32)] {
        &self.lengths
    }

    /// Names and values, each followed by a NUL.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.bytes
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let mut rest = self.bytes.as_slice();
        self.lengths.iter().map_while(move |(name, value)| {
            let mut text = |length: u32| {
                let (text, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                rest = after.split_first()?.1;
                Some(text)
            };
            Some((text(*name)?, text(*value)?))
        })
    }

    /// The first value of a header.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// What the list occupies.
    #[must_use]
    pub fn allocated(&self) -> usize {
        let entry = std::mem::size_of::<(u32, u32)>();
        self.bytes
            .capacity()
            .saturating_add(self.lengths.capacity().saturating_mul(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderList;

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
        assert!(list.data().ends_with(b"\0x\0\xff\0"));
    }
}
