//! The headers of a copy in one buffer: a copy may wait for minutes, and thousands of them may wait.

/// Names and values, in order. Two allocations however many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderList {
    bytes: Vec<u8>,
    /// End of each name and end of each value in `bytes`.
    ends: Vec<(usize, usize)>,
}

impl HeaderList {
    /// An empty list with room.
    #[must_use]
    pub fn with_capacity(headers: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(headers),
        }
    }

    /// Adds a header whose value is the concatenation of `parts`.
    pub fn push(&mut self, name: &[u8], parts: &[&[u8]]) {
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.ends.push((name_end, self.bytes.len()));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.ends.iter().scan(0, |start, (name_end, end)| {
            let name = self.bytes.get(*start..*name_end).unwrap_or_default();
            let value = self.bytes.get(*name_end..*end).unwrap_or_default();
            *start = *end;
            Some((name, value))
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
        let entry = std::mem::size_of::<(usize, usize)>();
        self.bytes
            .capacity()
            .saturating_add(self.ends.capacity().saturating_mul(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderList;

    #[test]
    fn what_is_pushed_comes_back_in_order() {
        let mut list = HeaderList::with_capacity(1, 1);
        list.push(b":path", &[b"/rum/sentry/w/s", b"/api/42/envelope/"]);
        list.push(b"content-encoding", &[]);
        list.push(b"x", &[b"\xff"]);
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
    }
}
