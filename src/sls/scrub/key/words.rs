//! A key in words: split at everything that is not a letter or digit, and between small and capital letters, in lower case,
//! with escapes undone. What the words mean is up to `key.rs`.

/// More of a key is not looked at: its first and its last half of this.
const MAX_KEY: usize = 512;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Words {
    /// The words, with one space in front, between and behind.
    spaced: Vec<u8>,
    /// Without breaks.
    joined: Vec<u8>,
}

impl Words {
    pub(super) fn of(key: &str) -> Self {
        let mut words = Self {
            spaced: Vec::with_capacity(key.len().min(MAX_KEY).saturating_add(16)),
            joined: Vec::with_capacity(key.len().min(MAX_KEY).saturating_add(1)),
        };
        words.end();
        if key.len() <= MAX_KEY {
            words.read(key.as_bytes());
        } else {
            let half = MAX_KEY.div_euclid(2);
            words.read(key.as_bytes().get(..half).unwrap_or_default());
            // Nothing is one word over the gap.
            words.joined.push(b' ');
            let tail = key.len().saturating_sub(half);
            words.read(key.as_bytes().get(tail..).unwrap_or_default());
        }
        words
    }

    fn read(&mut self, mut bytes: &[u8]) {
        // The two bytes before, to see where capitals begin and end a word: `apiKey`, `APIKey`.
        let (mut before, mut previous) = (b' ', b' ');
        while let Some((byte, rest)) = next_byte(bytes) {
            bytes = rest;
            if matches!(byte, b'?' | b'&' | b'=' | b'/') {
                // A key that came with the URL in front of it.
                self.joined.clear();
                self.spaced.clear();
            }
            if byte.is_ascii_alphanumeric() || !byte.is_ascii() {
                if byte.is_ascii_uppercase() && !previous.is_ascii_uppercase() {
                    self.end();
                } else if byte.is_ascii_lowercase()
                    && previous.is_ascii_uppercase()
                    && before.is_ascii_uppercase()
                {
                    let last = self.spaced.pop();
                    self.end();
                    self.spaced.extend(last);
                }
                self.spaced.push(byte.to_ascii_lowercase());
                self.joined.push(byte.to_ascii_lowercase());
            } else {
                self.end();
            }
            (before, previous) = (previous, byte);
        }
        self.end();
    }

    fn end(&mut self) {
        if self.spaced.last() != Some(&b' ') {
            self.spaced.push(b' ');
        }
    }

    pub(super) fn joined(&self) -> &[u8] {
        &self.joined
    }

    /// Whether a test holds for a word, and all from the space in front of it.
    pub(super) fn any_row(&self, test: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        let mut rest = self.spaced.as_slice();
        while let Some((_, behind)) = rest.split_first() {
            let length = behind.iter().position(|byte| *byte == b' ');
            let Some((word, next)) = length.and_then(|length| behind.split_at_checked(length))
            else {
                break;
            };
            if test(word, rest) {
                return true;
            }
            rest = next;
        }
        false
    }

    /// Whether its words are the first ones of such a row.
    pub(super) fn begins(&self, row: &[u8]) -> bool {
        row.starts_with(&self.spaced)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spaced
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
    }
}

/// The next byte, with an escape undone: that of a URL, also when it is escaped itself, and `\u0077` and `\x77`.
fn next_byte(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let escaped = match first {
        b'%' => {
            let mut rest = rest;
            for _ in 0..3 {
                rest = rest.strip_prefix(b"25").unwrap_or(rest);
            }
            hex(rest)
        }
        b'\\' => rest
            .strip_prefix(b"u00")
            .or_else(|| rest.strip_prefix(b"x"))
            .and_then(hex),
        _ => None,
    };
    Some(escaped.unwrap_or((*first, rest)))
}

fn hex(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], behind) = bytes.split_first_chunk::<2>()?;
    let high = char::from(*high).to_digit(16)?;
    let low = char::from(*low).to_digit(16)?;
    Some((u8::try_from(high << 4 | low).ok()?, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_keys() {
        for (key, expected) in [
            ("X-Auth-Token", "x auth token"),
            ("xAuthToken", "x auth token"),
            ("APIKeyID", "api key id"),
            ("user%5Bpass%77ord%5D", "user password"),
            ("user%255Bpassword%255D", "user password"),
            (r"pass\u0077ord", "password"),
            (r"pass\x77ord", "password"),
            (r"a\nb", "a nb"),
            ("https://host/path?a=b&token", "token"),
            ("身份_证", "身份 证"),
            ("%4", "4"),
            ("", ""),
        ] {
            let words: Vec<_> = Words::of(key)
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            assert_eq!(words.join(" "), expected, "{key}");
        }
    }

    #[test]
    fn of_a_long_key_the_ends() {
        let fill = "x_".repeat(1_000);
        for (key, found) in [
            (format!("token_{fill}"), true),
            (format!("{fill}token"), true),
            (format!("{fill}token_{fill}"), false),
            (format!("{}to{}", "x".repeat(254), "ken".repeat(200)), false),
        ] {
            let words = Words::of(&key);
            assert!(words.joined.len() <= MAX_KEY + 1);
            assert_eq!(
                words.joined.windows(5).any(|window| window == b"token"),
                found
            );
        }
    }
}
