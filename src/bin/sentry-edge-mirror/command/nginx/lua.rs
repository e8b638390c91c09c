//! Where a block of Lua ends, by the rules of OpenResty's own reader: braces in strings, in long brackets and in comments do
//! not count.

/// The length of the code before the `}` that ends the block, whose `{` was read already.
pub(super) fn block(code: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0_usize;
    while let Some(rest) = code.get(at..) {
        let step = match *rest.first()? {
            b'{' => {
                depth = depth.saturating_add(1);
                1
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => {
                depth = depth.saturating_sub(1);
                1
            }
            quote @ (b'"' | b'\'') => string(rest, quote)?,
            b'-' if rest.starts_with(b"--") => comment(rest)?,
            b'[' => match long_bracket(rest) {
                Some(bracket) => bracket?,
                None => 1,
            },
            _ => 1,
        };
        at = at.saturating_add(step);
    }
    None
}

/// The length of a string, its quotes included.
fn string(text: &[u8], quote: u8) -> Option<usize> {
    let mut bytes = text.iter().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match *byte {
            b'\\' => {
                bytes.next();
            }
            byte if byte == quote => return Some(at.saturating_add(1)),
            _ => {}
        }
    }
    None
}

/// The length of a comment, up to the end of its line or of its long bracket.
fn comment(text: &[u8]) -> Option<usize> {
    let after = text.get(2..)?;
    if let Some(bracket) = long_bracket(after) {
        return Some(bracket?.saturating_add(2));
    }
    let line = after.iter().position(|byte| *byte == b'\n')?;
    Some(line.saturating_add(2))
}

/// The length of `[==[ ... ]==]`, if the text begins so; the inner nothing when it has no end.
fn long_bracket(text: &[u8]) -> Option<Option<usize>> {
    let after = text.strip_prefix(b"[")?;
    let level = after.iter().take_while(|byte| **byte == b'=').count();
    if after.get(level) != Some(&b'[') {
        return None;
    }
    let close = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
    let end = text.windows(close.len()).position(|window| window == close);
    Some(end.map(|end| end.saturating_add(close.len())))
}
