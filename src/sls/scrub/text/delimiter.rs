//! What ends a value that is neither quoted nor in brackets, and what opens a string within one.

/// Whether a value that is neither quoted nor in brackets ends here. In a URL within one `&` is `%26`.
pub(super) fn is_delimiter(bytes: &[u8], at: usize, byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t'
            | b'\r'
            | b'\n'
            | b'&'
            | b';'
            | b','
            | b'"'
            | b'\''
            | b'`'
            | b'<'
            | b'>'
            | b')'
            | b']'
            | b'}'
            | b'|'
            | b'\\'
    ) || (byte == b'%'
        && bytes.get(at.saturating_add(1)) == Some(&b'2')
        && bytes.get(at.saturating_add(2)) == Some(&b'6'))
}

/// Whether a quote opens a string: it is no apostrophe within a word. A prefix of Python may stand before it.
pub(super) fn opens(bytes: &[u8], at: usize) -> bool {
    let is_word = |back: usize| {
        at.checked_sub(back)
            .and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_alphanumeric)
    };
    let prefix = at
        .checked_sub(1)
        .and_then(|at| bytes.get(at))
        .is_some_and(|byte| matches!(byte, b'b' | b'u' | b'r' | b'f'));
    !is_word(1) || (prefix && !is_word(2))
}
