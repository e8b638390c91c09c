//! Rewrites what names the project and the key in a request for a second Sentry.
//!
//! Relay takes the key from a header or from the query, and requires that an envelope whose header names a DSN names the same key
//! (manual: sentry, "Authentication"). So every key is replaced, whatever it was: a key that the first Sentry would refuse
//! becomes a valid one (`only_accepted` waits for the first Sentry's verdict). The old form of a secret is sent to nobody.

use crate::sentry::dsn::Dsn;
use crate::sentry::envelope::member;
use crate::sentry::route;
use std::borrow::Cow;
use std::ops::Range;
use url::form_urlencoded;

/// The role of a pair in a credential, by its name. Relay reads the names with and without `sentry_`.
enum Pair {
    Key,
    Secret,
    Other,
}

fn pair(name: &str) -> Pair {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("sentry_").unwrap_or(&name) {
        "key" => Pair::Key,
        "secret" => Pair::Secret,
        _ => Pair::Other,
    }
}

/// The target: the path of the DSN, its project, what followed the project, and its key.
#[must_use]
pub fn target(dsn: &Dsn, target: &[u8]) -> Vec<u8> {
    let rest = route::behind_project(target).unwrap_or_default();
    let query = rest.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let (path, query) = rest
        .split_at_checked(query.unwrap_or(rest.len()))
        .unwrap_or_default();
    let mut written = format!("{}/api/{}", dsn.path(), dsn.project).into_bytes();
    write_path(&mut written, path, dsn);
    match query.split_first() {
        Some((b'?', pairs)) => {
            written.push(b'?');
            write_query(&mut written, pairs, dsn);
        }
        _ => written.extend_from_slice(query),
    }
    written
}

/// `unreal/<key>/` and `cron/<monitor>/<key>/` have the key in the path.
fn write_path(written: &mut Vec<u8>, path: &[u8], dsn: &Dsn) {
    let mut number = 0_usize;
    let mut kind: &[u8] = b"";
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            written.push(b'/');
        }
        if segment.is_empty() {
            continue;
        }
        number = number.saturating_add(1);
        if number == 1 {
            kind = segment;
        }
        if matches!((kind, number), (b"unreal", 2) | (b"cron", 3)) {
            written.extend_from_slice(dsn.public_key.as_bytes());
        } else {
            written.extend_from_slice(segment);
        }
    }
}

fn write_query(written: &mut Vec<u8>, pairs: &[u8], dsn: &Dsn) {
    let mut is_first = true;
    for text in pairs.split(|byte| *byte == b'&') {
        let name = form_urlencoded::parse(text).next();
        let name = name.as_ref().map_or("", |(name, _)| name);
        let kind = pair(name);
        if matches!(kind, Pair::Secret) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            written.push(b'&');
        }
        if matches!(kind, Pair::Key) {
            let name = text.split(|byte| *byte == b'=').next().unwrap_or_default();
            written.extend_from_slice(name);
            written.push(b'=');
            written.extend_from_slice(dsn.public_key.as_bytes());
        } else {
            written.extend_from_slice(text);
        }
    }
}

/// A value of `X-Sentry-Auth`, or of `Authorization` with the scheme `Sentry`.
#[must_use]
pub fn credential(dsn: &Dsn, value: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(value.len().saturating_add(dsn.public_key.len()));
    // Relay does not take a value without a scheme for a credential; its key is still sent nowhere.
    let word = value.iter().position(u8::is_ascii_whitespace);
    let word = word.filter(|at| {
        value
            .get(..*at)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"sentry"))
    });
    let scheme = word.map_or(0, |at| at.saturating_add(1));
    let (scheme, pairs) = value.split_at_checked(scheme).unwrap_or_default();
    written.extend_from_slice(scheme);
    let mut is_first = true;
    for text in pairs.split(|byte| *byte == b',') {
        let name = text.split(|byte| *byte == b'=').next().unwrap_or_default();
        let kind = pair(std::str::from_utf8(name).unwrap_or_default().trim());
        if matches!(kind, Pair::Secret) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            written.push(b',');
        }
        if matches!(kind, Pair::Key) {
            written.extend_from_slice(name);
            written.push(b'=');
            written.extend_from_slice(dsn.public_key.as_bytes());
        } else {
            written.extend_from_slice(text);
        }
    }
    written
}

/// The header of an envelope, which has already been read, if something in it has to be replaced: `dsn` and
/// `trace.public_key`.
#[must_use]
pub fn envelope_header(dsn: &Dsn, header: &[u8]) -> Option<Vec<u8>> {
    let own = member(header, "dsn").map(|at| (at, dsn.expose()));
    let key = member(header, "trace").and_then(|trace| {
        let key = member(header.get(trace.clone())?, "public_key")?;
        let behind = |at: usize| at.saturating_add(trace.start);
        Some((behind(key.start)..behind(key.end), dsn.public_key.as_str()))
    });
    let is_other = |(at, text): &(Range<usize>, &str)| {
        let value = header.get(at.clone()).unwrap_or_default();
        // What is not text names nothing.
        let read = serde_json::from_slice::<Cow<'_, str>>(value);
        read.is_ok_and(|read| read != *text)
    };
    let (mut first, mut second) = (own.filter(is_other), key.filter(is_other));
    let start = |edit: &Option<(Range<usize>, &str)>| edit.as_ref().map(|(at, _)| at.start);
    if start(&first) > start(&second) && second.is_some() {
        std::mem::swap(&mut first, &mut second);
    }
    if first.is_none() && second.is_none() {
        return None;
    }
    let mut written = Vec::with_capacity(header.len().saturating_add(128));
    let mut behind = 0;
    for (at, text) in first.into_iter().chain(second) {
        written.extend_from_slice(header.get(behind..at.start)?);
        // Neither a key nor a URL contains anything that needs escaping.
        written.push(b'"');
        written.extend_from_slice(text.as_bytes());
        written.push(b'"');
        behind = at.end;
    }
    written.extend_from_slice(header.get(behind..)?);
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::{credential, envelope_header, target};
    use crate::sentry::dsn::Dsn;

    fn dsn() -> Dsn {
        Dsn::parse("https://newkey:old@second.example.com/sentry/7").unwrap()
    }

    #[test]
    fn targets() {
        for (from, to) in [
            ("/api/42/envelope/", "/sentry/api/7/envelope/"),
            (
                "/api/42/envelope/?sentry_version=7&sentry_key=a&sentry_client=x%2f1",
                "/sentry/api/7/envelope/?sentry_version=7&sentry_key=newkey&sentry_client=x%2f1",
            ),
            (
                "//api///0042//envelope//?key=a&sentry_secret=s&sentry%5Fkey=b#x",
                "/sentry/api/7//envelope//?key=newkey&sentry%5Fkey=newkey",
            ),
            ("/api/42/envelope/?", "/sentry/api/7/envelope/?"),
            (
                "/api/42/envelope/?&&x&sentry_key",
                "/sentry/api/7/envelope/?&&x&sentry_key=newkey",
            ),
            (
                "/api/42/envelope/#f?sentry_key=a",
                "/sentry/api/7/envelope/#f?sentry_key=a",
            ),
            ("/api/42/unreal/a/", "/sentry/api/7/unreal/newkey/"),
            (
                "/api/42//cron/nightly//a?sentry_key=a",
                "/sentry/api/7//cron/nightly//newkey?sentry_key=newkey",
            ),
            ("/api/42/store/a/", "/sentry/api/7/store/a/"),
        ] {
            let written = target(&dsn(), from.as_bytes());
            assert_eq!(String::from_utf8(written).unwrap(), to, "{from}");
        }
        let plain = Dsn::parse("https://newkey@second.example.com/7").unwrap();
        assert_eq!(target(&plain, b"/api/42/envelope/"), b"/api/7/envelope/");
    }

    #[test]
    fn credentials() {
        for (from, to) in [
            (
                "Sentry sentry_version=7, sentry_key=a, sentry_client=x/1",
                "Sentry sentry_version=7, sentry_key=newkey, sentry_client=x/1",
            ),
            (
                "sentry sentry_key=a,sentry_secret=s",
                "sentry sentry_key=newkey",
            ),
            ("Sentry sentry_secret=s , key = a", "Sentry  key =newkey"),
            ("Sentry sentry_key=a=b", "Sentry sentry_key=newkey"),
            ("sentry_key=a", "sentry_key=newkey"),
            (
                "sentry_key=a, sentry_version=7",
                "sentry_key=newkey, sentry_version=7",
            ),
            ("Sentry\tsentry_key=a", "Sentry\tsentry_key=newkey"),
            ("Sentry SENTRY_KEY=a", "Sentry SENTRY_KEY=newkey"),
            ("Sentry ", "Sentry "),
            ("", ""),
        ] {
            let written = credential(&dsn(), from.as_bytes());
            assert_eq!(String::from_utf8(written).unwrap(), to, "{from}");
        }
        assert_eq!(
            credential(&dsn(), b"Sentry \xff=1,sentry_key=\xff"),
            b"Sentry \xff=1,sentry_key=newkey"
        );
    }

    #[test]
    fn headers_of_envelopes() {
        const NEW: &str = "https://newkey@second.example.com/sentry/7";
        for (from, to) in [
            (
                r#"{"event_id":"e","dsn":"https://a@h/42","x":{"dsn":1}}"#.to_owned(),
                Some(format!(
                    r#"{{"event_id":"e","dsn":"{NEW}","x":{{"dsn":1}}}}"#
                )),
            ),
            (
                r#"{"trace" : {"trace_id":"t","public_key": "a"}, "dsn" :"b" }"#.to_owned(),
                Some(format!(
                    r#"{{"trace" : {{"trace_id":"t","public_key": "newkey"}}, "dsn" :"{NEW}" }}"#
                )),
            ),
            (
                format!(r#"{{"dsn":"{NEW}","trace":{{"public_key":"newkey"}}}}"#),
                None,
            ),
            (r#"{"dsn":null,"trace":{"public_key":5}}"#.to_owned(), None),
            (r#"{"trace":"public_key"}"#.to_owned(), None),
            ("{}".to_owned(), None),
        ] {
            let written = envelope_header(&dsn(), from.as_bytes());
            assert_eq!(
                written.map(|header| String::from_utf8(header).unwrap()),
                to,
                "{from}"
            );
        }
    }
}
