//! The headers that a proxy hands out: a header map of the proxy-wasm ABI 0.2, read in place.
//!
//! Little endian: `u32 count`, then for each pair `u32 name_size, u32 value_size`, then for each pair the name, a NUL, the
//! value, a NUL. Source: the ABI specification and both hosts' sources. A map that does not follow this ends where it stops
//! making sense.

use std::fmt;

/// A header: name and value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// The headers of a request or a response, as the proxy handed them out.
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

    /// Names and values, including pseudo headers.
    #[must_use]
    pub fn iter(&self) -> Pairs<'_> {
        Pairs::new(&self.0)
    }

    /// Bytes that it takes up.
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

/// The pairs of a [`HeaderMap`].
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    sizes: std::slice::Iter<'a, [u8; 8]>,
    data: &'a [u8],
}

impl<'a> Pairs<'a> {
    fn new(map: &'a [u8]) -> Self {
        let (sizes, data) = Self::parse(map).unwrap_or_default();
        Self::of(sizes, data)
    }

    /// From the table of sizes, 8 bytes per pair, and the data that they describe.
    pub(crate) fn of(sizes: &'a [u8], data: &'a [u8]) -> Self {
        let sizes = sizes.as_chunks().0.iter();
        Self { sizes, data }
    }

    fn parse(map: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (count, rest) = map.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        rest.split_at_checked(count.checked_mul(8)?)
    }

    #[inline]
    fn text(&mut self, size: u32) -> Option<&'a [u8]> {
        let (text, rest) = self.data.split_at_checked(usize::try_from(size).ok()?)?;
        self.data = rest.split_first()?.1;
        Some(text)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        let [a, b, c, d, e, f, g, h] = *self.sizes.next()?;
        let name = self.text(u32::from_le_bytes([a, b, c, d]))?;
        let value = self.text(u32::from_le_bytes([e, f, g, h]))?;
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::Pairs;
    use proptest::prelude::*;

    proptest! {
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
