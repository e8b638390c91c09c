//! A private key in PEM, from its head to its end or the end of the text.

const BEGIN: &[u8] = b"-----BEGIN ";
const HEAD: &[u8] = b"PRIVATE KEY";
const END: &[u8] = b"-----END";
/// The longest words before and behind: `ENCRYPTED `, ` BLOCK`.
const MAX_LABEL: usize = 32;

/// What is between head and end. White space around it stays, so that a second scrubbing gives the same result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    start: Option<usize>,
    /// Behind the last byte that is not white space.
    last: usize,
}

impl Body {
    /// The body behind a head at `at`, and where it begins.
    pub(super) fn at(bytes: &[u8], at: usize) -> Option<(Self, usize)> {
        let label = bytes.get(at..)?.strip_prefix(BEGIN)?;
        let longest = MAX_LABEL.saturating_mul(2).saturating_add(HEAD.len());
        let label = label.get(..longest).unwrap_or(label);
        let length = label
            .iter()
            .take_while(|byte| byte.is_ascii_uppercase() || **byte == b' ')
            .count();
        let (label, rest) = label.split_at_checked(length)?;
        let is_private = label.windows(HEAD.len()).any(|window| window == HEAD);
        if !is_private || !rest.starts_with(b"-----") {
            return None;
        }
        let start = at
            .saturating_add(BEGIN.len())
            .saturating_add(length)
            .saturating_add(5);
        let body = Self {
            start: None,
            last: start,
        };
        Some((body, start))
    }

    /// Goes on from `at` to `limit`. True if it is over.
    pub(super) fn run(&mut self, bytes: &[u8], at: &mut usize, limit: usize) -> bool {
        while *at < limit {
            let Some(byte) = bytes.get(*at) else { break };
            if *byte == b'-' && bytes.get(*at..).is_some_and(|rest| rest.starts_with(END)) {
                return true;
            }
            let behind = at.saturating_add(1);
            if !byte.is_ascii_whitespace() {
                self.start.get_or_insert(*at);
                self.last = behind;
            }
            *at = behind;
        }
        false
    }

    pub(super) fn range(&self) -> Option<(usize, usize)> {
        Some((self.start?, self.last))
    }
}
