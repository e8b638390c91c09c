//! Dot segments in a request target: `/api/42/../../x` is a different path to anyone who normalises it.
//!
//! A copy's path is a prefix naming workspace and service, followed by the received target. A proxy on the way that took the
//! client's `..` for a step up would let the client choose both. Proxies differ in what counts as a dot or a separator, so
//! whatever any of them takes for one counts: percent-encoded (also more than once), and `\`. What follows a `;` is a
//! parameter to some and not part of the segment.

/// Whether the path of a target has a segment `.` or `..` in any spelling. The query is not path, but `#` may be part of it.
#[must_use]
pub fn has_dot_segment(target: &[u8]) -> bool {
    let mut rest = target;
    // Dots of a segment that has had nothing else so far.
    let mut dots: Option<u32> = Some(0);
    while let Some((sign, after)) = next(rest) {
        rest = after;
        dots = match (sign, dots) {
            (Sign::Dot, Some(count)) => Some(count.saturating_add(1)),
            (Sign::Separator | Sign::Parameter | Sign::End, Some(1 | 2)) => return true,
            (Sign::End, _) => return false,
            (Sign::Separator, _) => Some(0),
            _ => None,
        };
    }
    matches!(dots, Some(1 | 2))
}

enum Sign {
    Dot,
    Separator,
    Parameter,
    /// The end of the path.
    End,
    Other,
}

fn next(target: &[u8]) -> Option<(Sign, &[u8])> {
    let (byte, rest) = target.split_first()?;
    Some(match byte {
        b'.' => (Sign::Dot, rest),
        b'/' | b'\\' => (Sign::Separator, rest),
        // For those who cut off the fragment the segment ends here; for others it goes on.
        b';' | b'#' => (Sign::Parameter, rest),
        b'?' => (Sign::End, rest),
        b'%' => {
            let mut code = rest;
            // An encoded `%`.
            while let Some(after) = code.strip_prefix(b"25") {
                code = after;
            }
            match code.split_at_checked(2) {
                Some((b"2e" | b"2E", after)) => (Sign::Dot, after),
                Some((b"2f" | b"2F" | b"5c" | b"5C", after)) => (Sign::Separator, after),
                Some((b"3b" | b"3B", after)) => (Sign::Parameter, after),
                // Continues after what was looked at: nothing is read twice.
                _ => (Sign::Other, code),
            }
        }
        _ => (Sign::Other, rest),
    })
}

#[cfg(test)]
mod tests {
    use super::has_dot_segment;

    #[test]
    fn dots_in_every_spelling() {
        for target in [
            "/api/42/../x/",
            "/api/42/./envelope/",
            "/api/42/..",
            "/api/42/.",
            "/api/42/../",
            "/..",
            "..",
            "/api/42/%2e%2e/x",
            "/api/42/%2E./x",
            "/api/42/.%2e",
            "/api/42/%2e",
            "/api/42/..%2fx",
            "/api/42/x%2f..%2Fy",
            "/api/42/x\\..\\y",
            "/api/42/x\\..",
            "/api/42/x%5c..%5Cy",
            "/api/42/x%5c%2e%2e",
            "/api/42//..//x",
            "/api/42/%252e%252e/x",
            "/api/42/%25252e%2e/x",
            "/api/42/..%252fx",
            "/api/42/..;/x",
            "/api/42/..;a=b/x",
            "/api/42/..%3b/x",
            "/api/42/..?x=y",
            "/api/42/x#/../y",
            "/api/42/..#",
        ] {
            assert!(has_dot_segment(target.as_bytes()), "{target}");
        }
    }

    #[test]
    fn dots_that_are_part_of_a_name() {
        for target in [
            "",
            "/",
            "/api/42/envelope/",
            "/api/42/...",
            "/api/42/..a/",
            "/api/42/a../",
            "/api/42/.well-known/",
            "/api/42/x.y/z.",
            "/api/42/%2e%2e%2e/",
            "/api/42/%2ex/",
            "/api/42/a;../",
            "/api/42/envelope/?x=/../y",
            "/api/42/envelope/?..",
            "/api/42/%",
            "/api/42/%2",
            "/api/42/%zz/",
            "/api/42/%25/",
            "/api/42/x%25252/",
        ] {
            assert!(!has_dot_segment(target.as_bytes()), "{target}");
        }
    }
}
