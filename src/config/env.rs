//! `${NAME}` and `${NAME:-default}` in strings.
//!
//! The default ends at the first `}`. A `$` not followed by `{` is an ordinary character.

/// Why a string could not be expanded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvError {
    #[error("environment variable {0} is not set and has no default")]
    Unset(String),
    #[error("`${{` without `}}`")]
    Unclosed,
    #[error("`{0}` is not the name of an environment variable")]
    Name(String),
}

impl EnvError {
    /// The variable that is not set.
    pub(crate) fn unset(self) -> Option<String> {
        match self {
            Self::Unset(name) => Some(name),
            Self::Unclosed | Self::Name(_) => None,
        }
    }
}

/// Replaces every reference in `text` with what `lookup` returns for the variable.
pub(crate) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, EnvError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once("${") {
        expanded.push_str(before);
        let (reference, after) = reference.split_once('}').ok_or(EnvError::Unclosed)?;
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            return Err(EnvError::Name(name.to_owned()));
        }
        // As in a shell, `:-` also applies if the variable is set but empty.
        match (lookup(name), default) {
            (Some(value), _) if !value.is_empty() => expanded.push_str(&value),
            (_, Some(default)) => expanded.push_str(default),
            (Some(_), None) => {}
            (None, None) => return Err(EnvError::Unset(name.to_owned())),
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Whether the text contains any reference.
pub(crate) fn has_reference(text: &str) -> bool {
    text.contains("${")
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{EnvError, expand};

    fn lookup(name: &str) -> Option<String> {
        match name {
            "WS" => Some("default-cms".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced() {
        for (text, expanded) in [
            ("plain", "plain"),
            ("${WS}", "default-cms"),
            ("a-${WS}-${WS}", "a-default-cms-default-cms"),
            ("${NO:-x}", "x"),
            ("${NO:-}", ""),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("${WS:-x}", "default-cms"),
            ("$WS $", "$WS $"),
        ] {
            assert_eq!(expand(text, &lookup).unwrap(), expanded, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            expand("${NO}", &lookup),
            Err(EnvError::Unset("NO".to_owned()))
        );
        assert_eq!(expand("${WS", &lookup), Err(EnvError::Unclosed));
        for name in ["", "1A", "A B", "A.B"] {
            assert_eq!(
                expand(&format!("${{{name}}}"), &lookup),
                Err(EnvError::Name(name.to_owned()))
            );
        }
    }
}
