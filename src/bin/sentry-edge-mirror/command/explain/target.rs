//! The target of a request line, in the forms that a proxy takes: `/api/1/envelope/`, or `http://host/api/1/envelope/`.

/// Path and query, as the module gets them, and the authority, if the target has one.
pub(super) fn split(target: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = target.split_once("://") else {
        return (target.to_owned(), None);
    };
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return (target.to_owned(), None);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let path = match path.strip_prefix('/') {
        Some(_) => path.to_owned(),
        None => format!("/{path}"),
    };
    (path, Some(authority.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn absolute_and_other_forms() {
        for (target, path, authority) in [
            (
                "/api/1/envelope/?a=http://b/",
                "/api/1/envelope/?a=http://b/",
                None,
            ),
            (
                "http://s.example:80/api/1/envelope/",
                "/api/1/envelope/",
                Some("s.example:80"),
            ),
            ("HTTPS://s.example", "/", Some("s.example")),
            ("http://s.example?x", "/?x", Some("s.example")),
            ("*", "*", None),
        ] {
            assert_eq!(
                split(target),
                (path.to_owned(), authority.map(str::to_owned))
            );
        }
    }
}
