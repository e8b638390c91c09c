//! Header lists that we make, in sending order. Names are ours and lower case. Values may be secrets (a token, an
//! Authorization), so Debug shows only the names.

use std::fmt;

/// An ordered list of headers with lower-case names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(&'static str, String)>);

impl Headers {
    /// No headers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one header. `name` is lower case.
    pub fn push(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    /// Appends all of `other`.
    pub fn append(&mut self, mut other: Headers) {
        self.0.append(&mut other.0);
    }

    /// The first value under `name` (lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Headers {
    type Item = (&'static str, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_values_are_not_shown() {
        let mut headers = Headers::new();
        headers.push("x-b", "one");
        let mut more = Headers::new();
        more.push("x-a", String::from("two"));
        headers.append(more);
        assert_eq!(
            headers.iter().collect::<Vec<_>>(),
            [("x-b", "one"), ("x-a", "two")]
        );
        assert_eq!(
            (headers.get("x-a"), headers.get("x-c")),
            (Some("two"), None)
        );
        assert_eq!((headers.len(), headers.is_empty()), (2, false));
        assert_eq!(format!("{headers:?}"), r#"["x-b", "x-a"]"#);
        assert_eq!(headers.into_iter().count(), 2);
    }
}
