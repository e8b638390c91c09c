//! A key that writes are signed with. Nothing here prints a key, an id or a token.

use crate::secret::Secret;

/// An access key, with the security token and expiry of a temporary one.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    access_key_id: Secret,
    access_key_secret: Secret,
    security_token: Option<Secret>,
    expires_ms: Option<u64>,
}

/// What is wrong with a credential. The text never contains the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A required part is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A part would not survive in a header, or would end its field early.
    #[error("{0} holds a character that an access key cannot have")]
    Character(&'static str),
}

impl Credential {
    /// Checks and wraps the parts. An empty security token is an error, not the absence of one.
    pub fn new(
        id: &str,
        secret: &str,
        security_token: Option<&str>,
    ) -> Result<Self, CredentialError> {
        // `LOG {id}:{signature}` and `Credential={id}/{scope},` are split at these.
        check("access_key_id", id, |byte| {
            byte.is_ascii_graphic() && !matches!(byte, b':' | b'/' | b',')
        })?;
        check("access_key_secret", secret, |byte| byte.is_ascii_graphic())?;
        if let Some(token) = security_token {
            check("security_token", token, |byte| byte.is_ascii_graphic())?;
        }
        Ok(Self {
            access_key_id: Secret::new(id),
            access_key_secret: Secret::new(secret),
            security_token: security_token.map(Secret::from),
            expires_ms: None,
        })
    }

    /// The same with an expiry, unix ms.
    pub(super) fn expiring(self, expires_ms: u64) -> Self {
        Self {
            expires_ms: Some(expires_ms),
            ..self
        }
    }

    /// The id, which goes into Authorization unchanged.
    pub fn access_key_id(&self) -> &str {
        self.access_key_id.expose()
    }

    /// The secret.
    pub fn access_key_secret(&self) -> &Secret {
        &self.access_key_secret
    }

    /// The token of a temporary credential.
    pub fn security_token(&self) -> Option<&Secret> {
        self.security_token.as_ref()
    }

    /// When it expires, unix ms; `None` if it does not.
    pub fn expires_ms(&self) -> Option<u64> {
        self.expires_ms
    }

    /// Whether it is still valid at `now_ms`.
    pub fn is_valid(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|end| now_ms < end)
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.security_token.is_some() {
            "temporary"
        } else {
            "long-lived"
        };
        write!(
            f,
            "Credential([redacted], {kind}, expires_ms: {:?})",
            self.expires_ms
        )
    }
}

fn check(part: &'static str, text: &str, fits: impl Fn(u8) -> bool) -> Result<(), CredentialError> {
    if text.is_empty() {
        Err(CredentialError::Empty(part))
    } else if text.bytes().all(fits) {
        Ok(())
    } else {
        Err(CredentialError::Character(part))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_checked() {
        assert!(Credential::new("LTAI5tFAKE", "abc/+=", None).is_ok());
        assert_eq!(
            Credential::new("", "s", None),
            Err(CredentialError::Empty("access_key_id"))
        );
        assert_eq!(
            Credential::new("id", "", None),
            Err(CredentialError::Empty("access_key_secret"))
        );
        assert_eq!(
            Credential::new("id", "s", Some("")),
            Err(CredentialError::Empty("security_token"))
        );
        for bad in ["a:b", "a/b", "a,b", "a b", "a\r\nx: y", "é"] {
            assert_eq!(
                Credential::new(bad, "s", None),
                Err(CredentialError::Character("access_key_id")),
                "{bad}"
            );
        }
        assert_eq!(
            Credential::new("id", "a\nb", None),
            Err(CredentialError::Character("access_key_secret"))
        );
        assert_eq!(
            Credential::new("id", "s", Some("a\0")),
            Err(CredentialError::Character("security_token"))
        );
        let error = Credential::new("id", "hunter2 ", None)
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn nothing_is_shown() {
        let credential = Credential::new("LTAIid", "hunter2", Some("t0ken"))
            .unwrap()
            .expiring(7);
        let shown = format!("{credential:?}");
        for part in ["LTAIid", "hunter2", "t0ken"] {
            assert!(!shown.contains(part), "{shown}");
        }
        assert_eq!(
            (
                credential.is_valid(6),
                credential.is_valid(7),
                credential.expires_ms()
            ),
            (true, false, Some(7))
        );
    }
}
