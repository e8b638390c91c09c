//! A file to be read, and what it is.

use super::nginx::token::{Token, tokens};
use std::io::{self, Read};
use std::path::Path;

/// Text and the name that messages call it by.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
    Nginx,
}

impl Source {
    pub(super) fn new(name: &str, text: String) -> Self {
        Self {
            name: name.to_owned(),
            text,
        }
    }

    /// Reads a file; `-` is standard input.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            return Ok(Self::new("-", text));
        }
        let text = std::fs::read_to_string(path)?;
        Ok(Self::new(&path.to_string_lossy(), text))
    }

    /// By the name if it says so, else by the text.
    pub(super) fn format(&self) -> Format {
        let extension = Path::new(&self.name).extension();
        match extension.and_then(|extension| extension.to_str()) {
            Some("json") => Format::Json,
            Some("yaml" | "yml") => Format::Yaml,
            Some("conf") => Format::Nginx,
            _ if self.text.trim_start().starts_with(['{', '[']) => Format::Json,
            _ if self.looks_like_nginx() => Format::Nginx,
            _ => Format::Yaml,
        }
    }

    /// The first directive of an nginx configuration ends with `;` or begins a block; in YAML a colon comes first.
    fn looks_like_nginx(&self) -> bool {
        let Ok(tokens) = tokens(&self.text) else {
            return false;
        };
        let words = tokens
            .iter()
            .take_while(|token| matches!(token, Token::Word(_)));
        let colon = words.clone().any(|token| match token {
            Token::Word(word) => word.text.ends_with(':'),
            _ => false,
        });
        let end = tokens.get(words.count());
        !colon && matches!(end, Some(Token::End(_) | Token::Open(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Source};

    #[test]
    fn by_name_or_by_text() {
        for (name, text, format) in [
            ("a.json", "x", Format::Json),
            ("a.yaml", "{}", Format::Yaml),
            ("a.conf", "{}", Format::Nginx),
            ("-", "\n {\"rum\": {}}", Format::Json),
            ("-", "# x\nstatic_resources:\n  a: {b: c}\n", Format::Yaml),
            ("-", "a: {b: ';'}\n", Format::Yaml),
            ("nginx.conf.template", "user nginx;\n", Format::Nginx),
            ("-", "http {\n}\n", Format::Nginx),
            ("-", "", Format::Yaml),
        ] {
            assert_eq!(
                Source::new(name, text.to_owned()).format(),
                format,
                "{text}"
            );
        }
    }
}
