//! The first line of an envelope, as far as authentication needs it.
//!
//! Relay falls back to the `dsn` member of the first body line if a request carries no other credential (manual: sentry,
//! "Authentication"): the bytes up to the first LF must be one complete JSON object. Only that is read here, bounded, and
//! only for bodies without a content encoding; for others nobody asks.

use super::dsn::Dsn;
use serde::Deserialize;
use std::borrow::Cow;

/// What a first line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// It carries this DSN.
    Dsn(Dsn),
    /// It carries none.
    WithoutDsn,
    /// It is too long or not a header, or what it carries is not a DSN.
    Unreadable,
}

/// Longer first lines are not read. SDKs send a few hundred bytes.
const MAX_LINE: usize = 65_536;

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow, default)]
    dsn: Option<Cow<'a, str>>,
}

/// Reads the first line of `body`.
#[must_use]
pub fn read(body: &[u8]) -> Line {
    // One byte more than a line may have: a line that does not end by then is too long.
    let start = body.get(..MAX_LINE.saturating_add(1)).unwrap_or(body);
    let line = start.split(|byte| *byte == b'\n').next();
    let line = line.filter(|line| line.len() <= MAX_LINE);
    let Some(line) = line else {
        return Line::Unreadable;
    };
    match serde_json::from_slice::<Header<'_>>(line) {
        Ok(Header { dsn: None }) => Line::WithoutDsn,
        Ok(Header { dsn: Some(text) }) => Dsn::parse(&text).map_or(Line::Unreadable, Line::Dsn),
        // If it is not JSON, there is no DSN either.
        Err(error) if error.is_syntax() || error.is_eof() => Line::WithoutDsn,
        Err(_) => Line::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, read};
    use crate::sentry::dsn::Dsn;

    fn dsn(body: &[u8]) -> Option<Dsn> {
        match read(body) {
            Line::Dsn(dsn) => Some(dsn),
            Line::WithoutDsn | Line::Unreadable => None,
        }
    }

    #[test]
    fn a_dsn_in_the_first_line_is_found() {
        for line in [
            r#"{"dsn":"https://k@o1.example.com/42"}"#,
            r#" {"sent_at":"x","dsn":"http:\/\/k:secret@[::1]:9000\/prefix\/42\/","sdk":{"name":"x"}}"#,
        ] {
            for tail in ["", "\n", "\n{\"type\":\"event\"}\n{}"] {
                let found = dsn(format!("{line}{tail}").as_bytes()).unwrap();
                assert_eq!((found.public_key.as_str(), found.project.get()), ("k", 42));
            }
        }
    }

    /// Found by the fuzz target `envelope`: `idna` hands its adapter an upper-case letter, which asserts that it does not.
    #[test]
    fn a_host_with_percent_encoded_bytes() {
        for host in ["--NbeX%bafe", "%41B", "A%C3%A9B"] {
            let _ = dsn(format!("{{\"dsn\":\"http://k@{host}/42\"}}").as_bytes());
        }
    }

    #[test]
    fn without_a_dsn_is_not_unreadable() {
        let long = |bytes: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(bytes - 8));
        let dsn = |bytes: usize| format!("{{\"dsn\":\"https://k@h/{}1\"}}", "a/".repeat(bytes / 2));
        for (body, line) in [
            ("{}", Line::WithoutDsn),
            ("{\"dsn\":null}\n\u{1f}\u{8b}", Line::WithoutDsn),
            (&long(65_536), Line::WithoutDsn),
            (&(long(65_536) + "\n{}"), Line::WithoutDsn),
            (&long(65_537), Line::Unreadable),
            (&"x".repeat(10_000_000), Line::Unreadable),
            ("", Line::WithoutDsn),
            ("\u{1f}\u{8b}", Line::WithoutDsn),
            ("[('Authorization', 'Basic')]", Line::WithoutDsn),
            ("[]", Line::WithoutDsn),
            ("{\"dsn\":42}", Line::Unreadable),
            ("{\"dsn\":\"nonsense\"}", Line::Unreadable),
            (&dsn(3_000), Line::Unreadable),
        ] {
            let start: String = body.chars().take(40).collect();
            assert_eq!(read(body.as_bytes()), line, "{start}, {}", body.len());
        }
        assert!(matches!(read(dsn(1_000).as_bytes()), Line::Dsn(_)));
    }

    #[test]
    fn anything_else_is_none() {
        for body in [
            "",
            "\n",
            "{}",
            "{\"dsn\":null}",
            "{\"dsn\":42}",
            "{\"dsn\":\"nonsense\"}",
            "{\"dsn\":\"https://host/42\"}",
            "{\"dsn\":\"https://k@host/\"}",
            "{\"dsn\":\"https://k@host/x\"}",
            "[]",
            "{\"a\":1}\n{\"dsn\":\"https://k@host/42\"}",
            "{\"dsn\":\n\"https://k@host/42\"}",
            "\u{1f}\u{8b}",
        ] {
            assert_eq!(dsn(body.as_bytes()), None, "{body}");
        }
        let long = format!(
            "{{\"x\":\"{}\",\"dsn\":\"https://k@host/42\"}}",
            "y".repeat(70_000)
        );
        assert_eq!(dsn(long.as_bytes()), None);
    }
}
