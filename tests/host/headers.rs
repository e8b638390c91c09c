//! Header maps as bytes, and their serialised form in the ABI.
//!
//! Names and values are arbitrary bytes, so that 0xFF in a value can be shown to the guest. Look-up ignores ASCII case.
//!
//! Serialised (proxy-wasm-cpp-host `pairs_util.cc`), all numbers u32 little-endian:
//! `count, (name length, value length) * count, (name, 0, value, 0) * count`. A reader refuses more than 1024 pairs or
//! more than 1 MiB, and refuses trailing bytes: the map is then taken as empty.

use std::fmt;

/// `PROXY_WASM_HOST_PAIRS_MAX_COUNT` in `limits.h`.
const MAX_PAIRS: usize = 1024;
/// `PROXY_WASM_HOST_PAIRS_MAX_BYTES` in `limits.h`.
const MAX_BYTES: usize = 1024 * 1024;

/// An ordered list of names and values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The first value, as Envoy's `getHeaderMapValue` gives it.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The first value as text; not UTF-8 is shown with replacement characters.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    pub fn all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0
            .push((name.as_ref().to_vec(), value.as_ref().to_vec()));
    }

    /// The first entry takes the value and the others go; a missing name is added at the end.
    pub fn replace(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        match self
            .0
            .iter()
            .position(|(key, _)| key.eq_ignore_ascii_case(name))
        {
            Some(at) => {
                self.0[at].1 = value.as_ref().to_vec();
                let mut index = 0;
                self.0.retain(|(key, _)| {
                    index += 1;
                    index <= at + 1 || !key.eq_ignore_ascii_case(name)
                });
            }
            None => self.add(name, value),
        }
    }

    /// The first entry takes the value, the others stay.
    pub(super) fn replace_first(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        let entry = self
            .0
            .iter_mut()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        if let Some((_, old)) = entry {
            *old = value.as_ref().to_vec();
        }
    }

    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        self.0
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name.as_ref()));
    }

    /// As Envoy holds them: names in lower case.
    pub(super) fn lowercased(mut self) -> Self {
        for (name, _) in &mut self.0 {
            name.make_ascii_lowercase();
        }
        self
    }

    pub(super) fn serialized(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((self.0.len() as u32).to_le_bytes());
        for (name, value) in &self.0 {
            out.extend((name.len() as u32).to_le_bytes());
            out.extend((value.len() as u32).to_le_bytes());
        }
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            out.extend(text);
            out.push(0);
        }
        out
    }

    /// What a host reads from the guest; anything malformed is an empty map, as in `PairsUtil::toPairs`.
    pub(super) fn deserialized(bytes: &[u8]) -> Self {
        if bytes.len() > MAX_BYTES {
            Self::new()
        } else {
            Self::parse(bytes).unwrap_or_default()
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        fn number(bytes: &[u8], at: usize) -> Option<usize> {
            Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
        }
        fn text(bytes: &[u8], at: usize, len: usize) -> Option<Vec<u8>> {
            (*bytes.get(at + len)? == 0).then(|| bytes[at..at + len].to_vec())
        }
        let count = number(bytes, 0).filter(|count| *count <= MAX_PAIRS)?;
        let mut at = 4 + 8 * count;
        let mut out = Self::new();
        for index in 0..count {
            let (name, value) = (number(bytes, 4 + 8 * index)?, number(bytes, 8 + 8 * index)?);
            out.0
                .push((text(bytes, at, name)?, text(bytes, at + name + 1, value)?));
            at += name + value + 2;
        }
        (at == bytes.len()).then_some(out)
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut out = Self::new();
        pairs
            .into_iter()
            .for_each(|(name, value)| out.add(name, value));
        out
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_list()
            .entries(
                self.iter()
                    .map(|(name, value)| format!("{}: {}", text(name), text(value))),
            )
            .finish()
    }
}
