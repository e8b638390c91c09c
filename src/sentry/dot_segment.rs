//! Dot segments in a request target: `/api/42/../../x` is another path to whoever normalises it.
//!
//! A copy's path is a prefix that names workspace and service, and the received target. A proxy on the way that takes the
//! client's `..` for a step up would let the client choose both. What counts as a dot or a separator differs between
//! proxies, so everything that any of them takes for one does: percent-encoded, also more than once, and `\`. What follows
//! a `;` is a parameter to some and no part of the segment.

/// Whether the path of a target has a segment `.` or `..` in any spelling. The query is no path, but `#` may be part of one.
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
    /// The path's.
    End,
    Other,
}

fn next(target: &[u8]) -> Option<(Sign, &[u8])> {
    let (byte, rest) = target.split_first()?;
    Some(match byte {
        b'.' => (Sign::Dot, rest),
        b'/' | b'\\' => (Sign::Separator, rest),
        // To one who cuts the fragment the segment ends there; to another one it goes on.
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
                // Past what was looked at: nothing is read twice.
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
