//! `user:password@host` behind `//`, also where the whole URL is itself in one and escaped: `%3A%2F%2Fuser%3Apassword%40`.

/// A part of a URL that may hold a password.
#[derive(Debug, Clone, Copy)]
pub(super) struct Authority {
    start: usize,
    encoded: bool,
    /// Behind the first colon.
    password: Option<usize>,
    /// The last `@`.
    end: Option<usize>,
}

impl Authority {
    pub(super) fn new(start: usize, encoded: bool) -> Self {
        Self {
            start,
            encoded,
            password: None,
            end: None,
        }
    }

    /// What stands at a `:`: the beginning of an authority?
    pub(super) fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let rest = bytes.get(at..)?;
        let begins = |head: &[u8]| {
            rest.get(..head.len())
                .is_some_and(|rest| rest.eq_ignore_ascii_case(head))
        };
        [
            (b"://".as_slice(), false),
            (br":\/\/".as_slice(), false),
            (b"%3A%2F%2F".as_slice(), true),
        ]
        .into_iter()
        .find(|(head, _)| begins(head))
        .map(|(head, encoded)| Self::new(at.saturating_add(head.len()), encoded))
    }

    /// Where it begins.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Goes on from `at` to `limit`. True if it is over.
    pub(super) fn run(&mut self, bytes: &[u8], at: &mut usize, limit: usize) -> bool {
        while *at < limit {
            let Some(byte) = bytes.get(*at).copied() else {
                break;
            };
            let (byte, length) = if self.encoded && byte == b'%' {
                decoded(bytes, *at).map_or((byte, 1), |byte| (byte, 3))
            } else {
                (byte, 1)
            };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>'
                | b'\\' => {
                    return true;
                }
                b'&' if self.encoded => return true,
                _ => {}
            }
            let behind = at.saturating_add(length);
            match byte {
                b':' if self.password.is_none() => self.password = Some(behind),
                b'@' => self.end = Some(*at),
                _ => {}
            }
            *at = behind;
        }
        false
    }

    /// Where the password is.
    pub(super) fn password(&self) -> Option<(usize, usize)> {
        let (start, end) = (self.password?, self.end?);
        (start < end).then_some((start, end))
    }
}

/// The byte that an escape of a URL stands for.
fn decoded(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |offset: usize| {
        let byte = bytes.get(at.saturating_add(offset))?;
        char::from(*byte).to_digit(16)
    };
    u8::try_from(digit(1)? << 4 | digit(2)?).ok()
}
