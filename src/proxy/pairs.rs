//! The wire format of header maps in the proxy-wasm ABI 0.2.
//!
//! Little endian: `u32 count`, then for each pair `u32 name_size, u32 value_size`, then for each pair the name, a NUL,
//! the value, a NUL. Source: the ABI specification and both hosts' sources. A map that does not keep to it ends where
//! it stops making sense.

use crate::header_list::HeaderList;
use crate::rum::headers::Pair;

/// The pairs of a map in the host's format.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    sizes: &'a [u8],
    data: &'a [u8],
}

impl<'a> Pairs<'a> {
    pub(super) fn new(map: &'a [u8]) -> Self {
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
pub(super) fn write(buffer: &mut Vec<u8>, first: Option<Pair<'_>>, list: &HeaderList) {
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
                list.push(name, &[value]);
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
