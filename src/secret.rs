//! A string that must never be shown: access key secrets, security tokens, metadata tokens.
//!
//! It owns one rule: whatever prints it (Debug, Display, a derived Debug around it) prints `[redacted]`. Reading the text
//! requires [`Secret::expose`], so every reader can be found by name.

use std::fmt;

/// Replaces the text wherever it is printed.
const REDACTED: &str = "[redacted]";

/// A secret text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for a signature or a header that goes to its owner, never for a log, metric or error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_the_text() {
        #[derive(Debug)]
        struct Holder {
            #[allow(dead_code, reason = "read by the derived Debug only")]
            token: Option<Secret>,
        }
        let secret = Secret::new("hunter2");
        let holder = Holder {
            token: Some(secret.clone()),
        };
        for shown in [
            format!("{secret}"),
            format!("{secret:?}"),
            format!("{secret:#?}"),
            format!("{holder:?}"),
        ] {
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains(REDACTED));
        }
        assert_eq!(secret.expose(), "hunter2");
        assert!(!secret.is_empty());
        assert!(Secret::from("").is_empty());
    }
}
