//! The words of an nginx configuration, by nginx's own rules (its `ngx_conf_read_token`). nginx knows bytes, not characters:
//! a file may be in any encoding, and of a double-byte one the second byte may be a `\\` or a `{`.
//! * White space, `;` and `{` end a word; `#` begins a comment, and a quote a quoted word, only where a word may begin.
//! * `\"`, `\'`, `\\`, `\t`, `\r`, `\n` are replaced, in quotes and outside; before anything else the backslash stays.
//! * The `{` of `${name}` does not end a word.
//! * After a quoted word white space, `;`, `{` or `)` must follow.
//! * The block of a directive whose name ends with `_by_lua_block` is Lua, as in OpenResty: see `lua`.

use super::super::document::json::SyntaxError;
use super::lua;

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
pub(crate) fn tokens(text: &[u8]) -> Result<Vec<Token>, SyntaxError> {
    let mut scanner = Scanner {
        rest: text.iter(),
        line: 1,
    };
    let mut tokens: Vec<Token> = Vec::new();
    while let Some(first) = scanner.next() {
        let line = scanner.line;
        match first {
            b'#' => while !matches!(scanner.next(), None | Some(b'\n')) {},
            b';' => tokens.push(Token::End(line)),
            b'{' if begins_lua(&tokens) => {
                let text = scanner.lua(line)?;
                tokens.push(Token::Word(Word { text, line }));
                tokens.push(Token::End(scanner.line));
            }
            b'{' => tokens.push(Token::Open(line)),
            b'}' => tokens.push(Token::Close(line)),
            b'"' | b'\'' => {
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

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether the directive that the tokens end with has a block of Lua.
fn begins_lua(tokens: &[Token]) -> bool {
    let words = tokens.iter().rev().map_while(|token| match token {
        Token::Word(word) => Some(word),
        _ => None,
    });
    words
        .last()
        .is_some_and(|name| name.text.ends_with("_by_lua_block"))
}

/// What is no UTF-8 is for nginx to compare and for people to read: a replacement character will do.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

struct Scanner<'t> {
    rest: std::slice::Iter<'t, u8>,
    /// Of the byte that comes next.
    line: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<u8> {
        let next = self.rest.next().copied();
        if next == Some(b'\n') {
            self.line = self.line.saturating_add(1);
        }
        next
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_slice().first().copied()
    }

    fn lua(&mut self, line: usize) -> Result<String, SyntaxError> {
        let rest = self.rest.as_slice();
        let Some(length) = lua::block(rest) else {
            return Err(SyntaxError {
                line,
                message: "expected the `}` of a block of Lua, got the end of the file".to_owned(),
            });
        };
        let code = rest.get(..length).unwrap_or_default().to_vec();
        // And the brace.
        for _ in 0..=length {
            self.next();
        }
        Ok(text(code))
    }

    fn quoted(&mut self, quote: u8, line: usize) -> Result<String, SyntaxError> {
        let sign = char::from(quote);
        let mut word = Vec::new();
        loop {
            match self.next() {
                Some(b'\\') => self.escaped(&mut word),
                Some(next) if next == quote => break,
                Some(next) => word.push(next),
                None => {
                    return Err(SyntaxError {
                        line,
                        message: format!("expected the closing {sign}, got the end of the file"),
                    });
                }
            }
        }
        match self.peek() {
            None | Some(b';' | b'{' | b')') => Ok(text(word)),
            Some(next) if is_space(next) => Ok(text(word)),
            Some(next) => Err(SyntaxError {
                line: self.line,
                message: format!(
                    "expected white space, `;` or `{{` after the closing {sign}, got '{}' (a quote inside quotes is \
                     written \\{sign})",
                    next.escape_ascii()
                ),
            }),
        }
    }

    fn bare(&mut self, first: u8) -> String {
        let mut word = Vec::new();
        let mut next = first;
        loop {
            match next {
                b'\\' => self.escaped(&mut word),
                next => word.push(next),
            }
            match self.peek() {
                None | Some(b';') => return text(word),
                // After `$` it belongs to the word.
                Some(b'{') if next != b'$' => return text(word),
                Some(peeked) if is_space(peeked) => return text(word),
                Some(peeked) => next = peeked,
            }
            self.next();
        }
    }

    /// What a backslash and the byte after it stand for.
    fn escaped(&mut self, word: &mut Vec<u8>) {
        match self.next() {
            Some(next @ (b'"' | b'\'' | b'\\')) => word.push(next),
            Some(b't') => word.push(b'\t'),
            Some(b'r') => word.push(b'\r'),
            Some(b'n') => word.push(b'\n'),
            Some(next) => word.extend([b'\\', next]),
            None => word.push(b'\\'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, tokens};

    fn words(text: &str) -> Vec<String> {
        tokens(text.as_bytes())
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
        let tokens = tokens(b"a\n'b\nc'\n# x\nd;").unwrap();
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
    fn bytes_of_another_encoding_are_those_that_nginx_sees() {
        // GBK: the second byte of these is `\\`, `{` and `|`.
        let words: Vec<Token> = tokens(b"# \x81\x5c\na '\xb2\xe2' x\x81\x7b;").unwrap();
        assert_eq!(words.len(), 5, "{words:?}");
        assert!(matches!(words[3], Token::Open(2)), "{words:?}");
        let escaped = tokens(b"a '\x95\x5c';").unwrap_err();
        assert_eq!(escaped.line, 1);
    }

    #[test]
    fn blocks_of_lua() {
        let text = "a_by_lua_block {\n-- don't {\nlocal a = [==[ }]] ]==] .. '}' .. \"\\\"}\" -- [[ }\n--[[ }\n]]\nf({1})\n}\nb;";
        assert_eq!(
            words(text)[2..],
            [";", "b", ";"].map(str::to_owned),
            "{text}"
        );
        assert_eq!(
            tokens(text.as_bytes()).unwrap().last(),
            Some(&Token::End(8))
        );
        assert!(words("set_by_lua_block $x { return '}' }")[1] == "$x");
        assert_eq!(tokens(b"\na_by_lua_block { {}").unwrap_err().line, 2);
    }

    #[test]
    fn mistakes() {
        let error = tokens(b"a\n'b\n").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.message.starts_with("expected the closing '"));
        let error = tokens(b"proxy_wasm m '{\n\"a\": 'x'}';").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.message.contains("got 'x'"), "{}", error.message);
    }
}
