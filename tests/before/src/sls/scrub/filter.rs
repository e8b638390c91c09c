//! The quick look: whether a string could hold anything sensitive at all. Most strings of an event cannot.
//!
//! Looks for the beginnings of the sensitive words, three bytes of each, all at once: bit `n` of the masks of a byte says
//! that it may be the first, second or third byte of beginning `n`. And it counts digits. It says yes too often, never no
//! where [`super::key`], [`super::text`] or [`super::card`] would find something.

/// What the sensitive words of [`super::key`] begin with, and the marks of the rest: a URL's user, an escape.
const BEGINNINGS: &[&str] = &[
    "pas", "sec", "api", "cre", "mys", "pri", "tok", "bea", "aut", "coo", "csr", "xsr", "jwt",
    "otp", "two", "pwd", "ses", "sid", "@", "%", "\\u",
];

/// The shortest card number.
const MIN_DIGITS: usize = 13;

/// For each byte, the beginnings that it may be the first, second and third byte of.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    masks: Box<[[u64; 3]; 256]>,
    /// Without it everything is suspicious: there are more beginnings than bits.
    complete: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self::new(std::iter::empty())
    }
}

impl Filter {
    /// For the default words and `extra` ones, in lower case.
    pub(super) fn new<'w>(extra: impl Iterator<Item = &'w [u8]>) -> Self {
        let mut filter = Self {
            masks: Box::new([[0; 3]; 256]),
            complete: true,
        };
        let words = BEGINNINGS.iter().map(|word| word.as_bytes()).chain(extra);
        for (index, word) in words.enumerate() {
            match u32::try_from(index)
                .ok()
                .and_then(|index| 1_u64.checked_shl(index))
            {
                Some(bit) => filter.add(word, bit),
                None => filter.complete = false,
            }
        }
        filter
    }

    fn add(&mut self, word: &[u8], bit: u64) {
        for position in 0..3 {
            for byte in 0..=u8::MAX {
                let fits = word
                    .get(position)
                    .is_none_or(|own| own.eq_ignore_ascii_case(&byte));
                let mask = self
                    .masks
                    .get_mut(usize::from(byte))
                    .and_then(|masks| masks.get_mut(position));
                if let (true, Some(mask)) = (fits, mask) {
                    *mask |= bit;
                }
            }
        }
    }

    /// Whether a string, as it is written in JSON or not, may hold something sensitive.
    pub(super) fn suspects(&self, text: &str) -> bool {
        let mut digits = 0_usize;
        let count = |byte: &u8| {
            digits = digits.saturating_add(usize::from(byte.is_ascii_digit()));
        };
        self.begins_in(text.bytes().inspect(count)) || digits >= MIN_DIGITS
    }

    /// Whether a key may be sensitive. What stands between its letters and digits does not count, as in [`super::key`].
    pub(super) fn suspects_key(&self, key: &str) -> bool {
        let counts = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || *byte == b'%';
        self.begins_in(key.bytes().filter(counts))
    }

    fn begins_in(&self, bytes: impl Iterator<Item = u8>) -> bool {
        if !self.complete {
            return true;
        }
        let (mut first, mut second) = (0, 0);
        for byte in bytes {
            let [one, two, three] = self
                .masks
                .get(usize::from(byte))
                .copied()
                .unwrap_or_default();
            if second & three != 0 {
                return true;
            }
            second = first & two;
            first = one;
        }
        // Beginnings shorter than three bytes, at the end: whatever comes next fits.
        let [_, two, three] = self.masks.first().copied().unwrap_or_default();
        second & three != 0 || first & two & three != 0
    }
}
