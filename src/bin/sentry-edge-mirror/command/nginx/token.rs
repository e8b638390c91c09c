//! The words of an nginx configuration, by nginx's own rules (its `ngx_conf_read_token`):
//! * White space, `;` and `{` end a word; `#` begins a comment, and a quote a quoted word, only where a word may begin.
//! * `\"`, `\'`, `\\`, `\t`, `\r`, `\n` are replaced, in quotes and outside; before anything else the backslash stays.
//! * The `{` of `${name}` does not end a word.
//! * After a quoted word white space, `;`, `{` or `)` must follow.

use super::super::document::json::SyntaxError;

/// A word: a directive's name or an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    /// The line where it begins. Its line breaks are those of the file.
    pub(crate) line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(Word),
    /// `;`
    End(usize),
    /// `{`
    Open(usize),
    /// `}`
    Close(usize),
}

/// Splits a file.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut scanner = Scanner {
        rest: text.chars(),
        line: 1,
    };
    let mut tokens = Vec::new();
    while let Some(first) = scanner.next() {
        let line = scanner.line;
        match first {
            '#' => while !matches!(scanner.next(), None | Some('\n')) {},
            ';' => tokens.push(Token::End(line)),
            '{' => tokens.push(Token::Open(line)),
            '}' => tokens.push(Token::Close(line)),
            '"' | '\'' => {
                let text = scanner.quoted(first, line)?;
                tokens.push(Token::Word(Word { text, line }));
            }
            space if is_space(space) => {}
            first => {
                let text = scanner.bare(first);
                tokens.push(Token::Word(Word { text, line }));
            }
        }
    }
    Ok(tokens)
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

struct Scanner<'t> {
    rest: std::str::Chars<'t>,
    /// Of the character that comes next.
    line: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        if next == Some('\n') {
            self.line = self.line.saturating_add(1);
        }
        next
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn quoted(&mut self, quote: char, line: usize) -> Result<String, SyntaxError> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some('\\') => self.escaped(&mut text),
                Some(next) if next == quote => break,
                Some(next) => text.push(next),
                None => {
                    return Err(SyntaxError {
                        line,
                        message: format!("expected the closing {quote}, got the end of the file"),
                    });
                }
            }
        }
        match self.peek() {
            None | Some(';' | '{' | ')') => Ok(text),
            Some(next) if is_space(next) => Ok(text),
            Some(next) => Err(SyntaxError {
                line: self.line,
                message: format!(
                    "expected white space, `;` or `{{` after the closing {quote}, got {next:?} (a quote inside quotes is \
                     written \\{quote})"
                ),
            }),
        }
    }

    fn bare(&mut self, first: char) -> String {
        let mut text = String::new();
        let mut next = first;
        loop {
            match next {
                '\\' => self.escaped(&mut text),
                next => text.push(next),
            }
            match self.peek() {
                None | Some(';') => return text,
                // After `$` it belongs to the word.
                Some('{') if next != '$' => return text,
                Some(peeked) if is_space(peeked) => return text,
                Some(peeked) => next = peeked,
            }
            self.next();
        }
    }

    /// What a backslash and the character after it stand for.
    fn escaped(&mut self, text: &mut String) {
        match self.next() {
            Some(next @ ('"' | '\'' | '\\')) => text.push(next),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('n') => text.push('\n'),
            Some(next) => text.extend(['\\', next]),
            None => text.push('\\'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, tokens};

    fn words(text: &str) -> Vec<String> {
        tokens(text)
            .unwrap()
            .into_iter()
            .map(|token| match token {
                Token::Word(word) => word.text,
                Token::End(_) => ";".to_owned(),
                Token::Open(_) => "{".to_owned(),
                Token::Close(_) => "}".to_owned(),
            })
            .collect()
    }

    #[test]
    fn words_as_nginx_reads_them() {
        for (text, expected) in [
            ("a b;c{d}", vec!["a", "b", ";", "c", "{", "d}"]),
            ("a { }", vec!["a", "{", "}"]),
            ("a # b\nc", vec!["a", "c"]),
            ("a#b c", vec!["a#b", "c"]),
            (r#""a \" b" 'c "d"';"#, vec!["a \" b", "c \"d\"", ";"]),
            (r"~^/api/[1-9]\d*/ {", vec![r"~^/api/[1-9]\d*/", "{"]),
            (r#""~^/a\.b" x"#, vec![r"~^/a\.b", "x"]),
            (r"a\ b\;c", vec![r"a\ b\;c"]),
            ("http://${x}/$y;", vec!["http://${x}/$y", ";"]),
            ("a\"b c", vec!["a\"b", "c"]),
            ("''", vec![""]),
            (r"'a\tb\n'", vec!["a\tb\n"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn lines() {
        let tokens = tokens("a\n'b\nc'\n# x\nd;").unwrap();
        let lines: Vec<usize> = tokens
            .iter()
            .map(|token| match token {
                Token::Word(word) => word.line,
                Token::End(line) | Token::Open(line) | Token::Close(line) => *line,
            })
            .collect();
        assert_eq!(lines, [1, 2, 5, 5]);
    }

    #[test]
    fn mistakes() {
        let error = tokens("a\n'b\n").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.message.starts_with("expected the closing '"));
        let error = tokens("proxy_wasm m '{\n\"a\": 'x'}';").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.message.contains("got 'x'"), "{}", error.message);
    }
}
