//! How far things reach in text: runs, and values by how they are written.

/// The delimiters of a value that is neither quoted nor in brackets.
const DELIMITERS: &[u8] = b" \t\r\n&;,\"'`<>)]}|\\";

fn rest(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

/// The end of the run of bytes of one class.
pub(super) fn run(text: &str, at: usize, class: impl Fn(u8) -> bool) -> usize {
    let length = rest(text, at)
        .bytes()
        .take_while(|byte| class(*byte))
        .count();
    at.saturating_add(length)
}

/// The end of a value that is neither quoted nor in brackets.
pub(super) fn delimiter(text: &str, at: usize) -> usize {
    let rest = rest(text, at);
    let end = run(text, at, |byte| !DELIMITERS.contains(&byte));
    // Within an escaped URL `&` is `%26`.
    let escaped = rest
        .get(..end.saturating_sub(at))
        .and_then(|value| value.find("%26"));
    escaped.map_or(end, |escaped| at.saturating_add(escaped))
}

/// The quote that ends what begins at `at`; the end of the text if none does.
pub(super) fn closing_quote(text: &str, at: usize, quote: u8) -> usize {
    let mut escaped = false;
    let inner = rest(text, at).bytes().take_while(|byte| {
        let end = *byte == quote && !escaped;
        escaped = *byte == b'\\' && !escaped;
        !end
    });
    at.saturating_add(inner.count())
}

/// Behind the bracket that closes the one at `at`; the end if none does.
pub(super) fn closing_bracket(text: &str, at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, byte) in rest(text, at).bytes().enumerate() {
        match byte {
            b'{' | b'[' | b'(' => depth = depth.saturating_add(1),
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at.saturating_add(index).saturating_add(1);
        }
    }
    text.len()
}
