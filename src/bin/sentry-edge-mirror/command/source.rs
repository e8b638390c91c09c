//! A file to be read, and what it is.

use super::nginx::token::{Token, tokens};
use std::io::{self, Read};
use std::path::Path;

/// Text and the name that messages call it by.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
    /// Of a file that is not UTF-8: what there really is.
    raw: Option<Vec<u8>>,
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
            raw: None,
        }
    }

    /// Reads a file; `-` is standard input. Only nginx takes one that is not UTF-8.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let name = path.to_string_lossy();
        let bytes = if name == "-" {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes)?;
            bytes
        } else {
            bytes(path)?
        };
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Ok(Self::new(&name, text)),
            Err(error) => error,
        };
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let line = valid.map_or(0, |valid| {
            valid.iter().filter(|byte| **byte == b'\n').count()
        });
        let mut source = Self::new(
            &name,
            String::from_utf8_lossy(error.as_bytes()).into_owned(),
        );
        source.raw = Some(error.into_bytes());
        match source.format() {
            Format::Nginx => Ok(source),
            Format::Json | Format::Yaml => {
                let what = format!(
                    "expected UTF-8, got another byte in line {}",
                    line.saturating_add(1)
                );
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
        }
    }

    /// The file as nginx sees it.
    pub(super) fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
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
        let Ok(tokens) = tokens(self.bytes()) else {
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

/// Reads a regular file: a pipe or a device might never end.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() {
        return std::fs::read(path);
    }
    let what = if metadata.is_dir() {
        "expected a file, got a folder"
    } else {
        "expected a regular file, got a device, pipe or socket"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
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
