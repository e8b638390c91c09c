//! The syntax of the configured SLS names. A legal project or logstore needs no percent-encoding, so names are checked once
//! and not encoded each time (manual: sls, "Names").

/// What is wrong with a name. The text never contains the name: the caller adds its path and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Too short or too long.
    #[error("must have {min} to {max} bytes, has {got}")]
    Length {
        /// The least.
        min: usize,
        /// The most.
        max: usize,
        /// The length found.
        got: usize,
    },
    /// A character that is not allowed.
    #[error("may hold only {allowed}, has {got:?}")]
    Character {
        /// What is allowed.
        allowed: &'static str,
        /// The first one that is not allowed.
        got: char,
    },
    /// A first or last character that is allowed only inside.
    #[error("must begin and end with a letter or a digit")]
    Edge,
}

/// A log project: 3 to 63 of `a-z 0-9 -`.
pub fn project(name: &str) -> Result<(), NameError> {
    length(name, 3, 63)?;
    characters(name, "a-z, 0-9 and -", |c| lower(c) || c == '-')?;
    edges(name)
}

/// A logstore: 3 to 63 of `a-z 0-9 _ -`.
pub fn logstore(name: &str) -> Result<(), NameError> {
    length(name, 3, 63)?;
    characters(name, "a-z, 0-9, _ and -", |c| {
        lower(c) || c == '_' || c == '-'
    })?;
    edges(name)
}

/// An endpoint: a host name without scheme, port, path and project.
pub fn endpoint(name: &str) -> Result<(), NameError> {
    length(name, 1, 253)?;
    characters(name, "a-z, 0-9, - and . (no scheme, no port)", |c| {
        lower(c) || c == '-' || c == '.'
    })?;
    name.split('.').try_for_each(|label| {
        length(label, 1, 63)?;
        edges(label)
    })
}

/// A region, such as `cn-hangzhou`: the region id, not the endpoint.
pub fn region(name: &str) -> Result<(), NameError> {
    length(name, 1, 63)?;
    characters(name, "a-z, 0-9 and -", |c| lower(c) || c == '-')?;
    edges(name)
}

/// A topic or a source: any text of at most 128 bytes.
pub fn label(text: &str) -> Result<(), NameError> {
    length(text, 0, 128)
}

/// A RAM role: 1 to 64 of letters, digits, `. _ -`.
pub fn role(name: &str) -> Result<(), NameError> {
    length(name, 1, 64)?;
    characters(name, "letters, digits, ., _ and -", |c| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
    })
}

fn lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn length(name: &str, min: usize, max: usize) -> Result<(), NameError> {
    let got = name.len();
    if (min..=max).contains(&got) {
        Ok(())
    } else {
        Err(NameError::Length { min, max, got })
    }
}

fn characters(
    name: &str,
    allowed: &'static str,
    fits: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    match name.chars().find(|c| !fits(*c)) {
        Some(got) => Err(NameError::Character { allowed, got }),
        None => Ok(()),
    }
}

fn edges(name: &str) -> Result<(), NameError> {
    let inner = |c: char| !c.is_ascii_alphanumeric();
    if name.starts_with(inner) || name.ends_with(inner) {
        Err(NameError::Edge)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_and_logstores() {
        for good in ["abc", "fake-project-1", "0ab", &"a".repeat(63)] {
            assert_eq!((project(good), logstore(good)), (Ok(()), Ok(())), "{good}");
        }
        assert_eq!(logstore("0internal-operation_log--v2_0"), Ok(()));
        for bad in [
            "",
            "ab",
            &"a".repeat(64),
            "-ab",
            "ab-",
            "a/b",
            "a%62",
            "Abc",
            "a.b",
            "äbc",
            "a b",
            "../x",
        ] {
            assert!(project(bad).is_err() && logstore(bad).is_err(), "{bad}");
        }
        assert!(project("a_b").is_err());
        assert_eq!(logstore("_ab"), Err(NameError::Edge));
    }

    #[test]
    fn endpoints_and_regions() {
        for good in [
            "cn-hangzhou.log.aliyuncs.com",
            "cn-hangzhou-intranet.log.aliyuncs.com",
            "10.0.0.7",
            "localhost",
        ] {
            assert_eq!(endpoint(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "https://a.b",
            "a.b:443",
            "a..b",
            ".a",
            "a.",
            "a/b",
            "-a.b",
            "A.b",
            "a b",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        assert_eq!(region("cn-hangzhou"), Ok(()));
        assert!(region("").is_err() && region("cn/hangzhou").is_err() && region("cn-").is_err());
    }

    #[test]
    fn labels_and_roles() {
        assert!(label("").is_ok() && label("主题").is_ok() && label(&"a".repeat(128)).is_ok());
        assert!(label(&"é".repeat(65)).is_err());
        assert!(role("EcsRamRole.log_writer-1").is_ok());
        assert!(
            role("").is_err()
                && role("a/b").is_err()
                && role("a?b").is_err()
                && role("a\r\nb").is_err()
        );
    }

    #[test]
    fn errors_say_what_is_allowed() {
        let error = project("a/bc").map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err("may hold only a-z, 0-9 and -, has '/'".to_owned())
        );
    }
}
