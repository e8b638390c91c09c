//! The wire format of header maps in the proxy-wasm ABI 0.2.
//!
//! Little endian: `u32 count`, then for each pair `u32 name_size, u32 value_size`, then for each pair the name, a NUL,
//! the value, a NUL. Source: the ABI specification and both hosts' sources. A map that does not keep to it ends where
//! it stops making sense.

use crate::mirror::headers::Pair;

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

/// Writes a map into `buffer`, which is cleared first.
pub(super) fn write<'a>(buffer: &mut Vec<u8>, pairs: impl Iterator<Item = Pair<'a>> + Clone) {
    let size = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
    buffer.clear();
    let count = u32::try_from(pairs.clone().count()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&count.to_le_bytes());
    for (name, value) in pairs.clone() {
        buffer.extend_from_slice(&size(name));
        buffer.extend_from_slice(&size(value));
    }
    for (name, value) in pairs {
        for part in [name, value] {
            buffer.extend_from_slice(part);
            buffer.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pairs, write};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(map in prop::collection::vec(any::<(Vec<u8>, Vec<u8>)>(), 0..8)) {
            let mut buffer = vec![1, 2, 3];
            write(&mut buffer, map.iter().map(|(n, v)| (n.as_slice(), v.as_slice())));
            let read: Vec<_> = Pairs::new(&buffer).map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            prop_assert_eq!(read, map);
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
