//! What is printed: whole lines, in which nothing out of a file can act on a terminal or on a CI system.

use std::fmt::{self, Write as _};

/// Text for a terminal, built line by line with `writeln!`.
#[derive(Debug, Default)]
pub(super) struct Printed(String);

impl Printed {
    /// `write!` and `writeln!` come here. What the arguments hold may not end the line, nor start an escape sequence.
    #[allow(clippy::unnecessary_wraps)] // As of `fmt::Write`.
    pub(super) fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) -> fmt::Result {
        let text = arguments.to_string();
        let (line, end) = match text.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (text.as_str(), ""),
        };
        let at_start = self.0.is_empty() || self.0.ends_with('\n');
        escape(line, at_start, &mut self.0);
        self.0.push_str(end);
        Ok(())
    }

    /// Text of our own, or made by a serializer that has escaped it.
    pub(super) fn push_raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// GitHub's runner takes a line that begins with `::` for a command, and Azure's and TeamCity's take `##` and a word.
fn escape(line: &str, at_start: bool, out: &mut String) {
    let is_command = |text: &str| {
        let text = text.trim_start();
        text.starts_with("::") || text.starts_with("##")
    };
    let commands = at_start && is_command(line) || line.contains("##[") || line.contains("##vso");
    for char in line.chars() {
        let acts = char.is_control() || is_format(char) || commands && matches!(char, ':' | '#');
        // Of what a `String` can hold nothing is lost: `\n`, `\u{1b}`.
        let _ = match char {
            '\n' | '\r' | '\t' => write!(out, "{}", char.escape_default()),
            _ if acts => write!(out, "{}", char.escape_unicode()),
            _ => out.write_char(char),
        };
    }
}

/// Characters that end a line or turn the direction of what follows, and those that nobody sees.
fn is_format(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::Printed;

    #[test]
    fn a_line_stays_one_and_commands_nothing() {
        for (text, printed) in [
            ("a.yaml:1: rum: 42 é 日本", "a.yaml:1: rum: 42 é 日本"),
            ("a\u{1b}[31m\nb\r\tc", "a\\u{1b}[31m\\nb\\r\\tc"),
            ("\u{202e}x\u{2028}", "\\u{202e}x\\u{2028}"),
            ("::error::x", "\\u{3a}\\u{3a}error\\u{3a}\\u{3a}x"),
            (" ::error::x", " \\u{3a}\\u{3a}error\\u{3a}\\u{3a}x"),
            ("a::b", "a::b"),
            ("x ##[error]", "x \\u{23}\\u{23}[error]"),
        ] {
            let mut lines = Printed::default();
            let _ = writeln!(lines, "{text}");
            assert_eq!(lines.0, format!("{printed}\n"), "{text:?}");
        }
    }
}
