//! The headers that a proxy hands out: a header map of the proxy-wasm ABI 0.2, read where it lies.
//!
//! Little endian: `u32 count`, then for each pair `u32 name_size, u32 value_size`, then for each pair the name, a NUL,
//! the value, a NUL. Source: the ABI specification and both hosts' sources. A map that does not keep to it ends where
//! it stops making sense.

use crate::header_list::HeaderList;
use std::fmt;

/// A header: name and value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// The headers of a request or an answer, as the proxy handed them out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderMap(Vec<u8>);

/// Values may be credentials.
impl fmt::Debug for HeaderMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|(name, _)| String::from_utf8_lossy(name));
        f.debug_list().entries(names).finish()
    }
}

impl HeaderMap {
    /// From the bytes of the ABI.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Names and values, pseudo headers among them.
    #[must_use]
    pub fn iter(&self) -> Pairs<'_> {
        Pairs::new(&self.0)
    }

    /// Bytes that it occupies.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Whether the proxy handed out nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a HeaderMap {
    type Item = Pair<'a>;
    type IntoIter = Pairs<'a>;

    fn into_iter(self) -> Pairs<'a> {
        self.iter()
    }
}

impl From<&HeaderList> for HeaderMap {
    fn from(list: &HeaderList) -> Self {
        let mut bytes = Vec::new();
        write(&mut bytes, None, list);
        Self(bytes)
    }
}

/// The pairs of a [`HeaderMap`].
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    sizes: &'a [u8],
    data: &'a [u8],
}

impl<'a> Pairs<'a> {
    fn new(map: &'a [u8]) -> Self {
        Self::parse(map).unwrap_or(Self {
            sizes: &[],
            data: &[],
        })
    }

    fn parse(map: &'a [u8]) -> Option<Self> {
        let (count, rest) = number(map)?;
        let (sizes, data) = rest.split_at_checked(count.checked_mul(8)?)?;
        Some(Self { sizes, data })
    }

    fn text(&mut self, size: usize) -> Option<&'a [u8]> {
        let (text, rest) = self.data.split_at_checked(size)?;
        self.data = rest.split_first()?.1;
        Some(text)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        let (name_size, rest) = number(self.sizes)?;
        let (value_size, rest) = number(rest)?;
        self.sizes = rest;
        Some((self.text(name_size)?, self.text(value_size)?))
    }
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

/// Writes the list, behind at most one header more, into `buffer`, which is cleared first.
pub(crate) fn write(buffer: &mut Vec<u8>, first: Option<Pair<'_>>, list: &HeaderList) {
    let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
    let count = list.len().saturating_add(first.iter().len());
    buffer.clear();
    buffer.reserve(list.data().len().saturating_add(count.saturating_mul(8)));
    buffer.extend_from_slice(&size(count));
    if let Some((name, value)) = first {
        buffer.extend_from_slice(&size(name.len()));
        buffer.extend_from_slice(&size(value.len()));
    }
    for (name, value) in list.lengths() {
        buffer.extend_from_slice(&name.to_le_bytes());
        buffer.extend_from_slice(&value.to_le_bytes());
    }
    if let Some((name, value)) = first {
        for part in [name, value] {
            buffer.extend_from_slice(part);
            buffer.push(0);
        }
    }
    buffer.extend_from_slice(list.data());
}

#[cfg(test)]
mod tests {
    use super::{Pairs, write};
    use crate::header_list::HeaderList;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(map in prop::collection::vec(any::<(Vec<u8>, Vec<u8>)>(), 0..8)) {
            let mut list = HeaderList::default();
            for (name, value) in &map {
                list.push(name, value);
            }
            let read = |buffer: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
                Pairs::new(buffer).map(|(n, v)| (n.to_vec(), v.to_vec())).collect()
            };
            let mut buffer = vec![1, 2, 3];
            write(&mut buffer, None, &list);
            prop_assert_eq!(&read(&buffer), &map);
            write(&mut buffer, Some((b":scheme", b"https")), &list);
            let (first, rest) = read(&buffer).split_first().map(|(f, r)| (f.clone(), r.to_vec())).unwrap();
            prop_assert_eq!(first, (b":scheme".to_vec(), b"https".to_vec()));
            prop_assert_eq!(rest, map);
        }

        #[test]
        fn no_bytes_are_too_odd(bytes: Vec<u8>) {
            Pairs::new(&bytes).count();
        }
    }

    #[test]
    fn counts_and_sizes_beyond_the_map_end_it() {
        for map in [
            &[][..],
            &[1][..],
            &[0xff, 0xff, 0xff, 0xff][..],
            &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0][..],
            &[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'x'][..],
        ] {
            assert_eq!(Pairs::new(map).count(), 0);
        }
    }
}
