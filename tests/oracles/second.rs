//! What a second Sentry gets of a request: judged with parsers of others, and by what must not have changed.

use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::drive::{Driver, Header, Passing, Sent};
use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sentry::envelope::Walker;
use sentry_edge_mirror::time::Millis;
use serde_json::Value;
use std::io::Read as _;
use std::task::Poll;

const KEY: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";
const DSN: &str = "https://5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e@second.example.com/sentry/7";
const TARGET: &str = "/api/42/envelope/";

/// Sends a POST of an envelope with this query, these headers and this body, and checks its copy, if it has one.
pub fn check(query: &[u8], headers: &[Header], body: &[u8]) {
    let Some(call) = copy(query, headers, body) else {
        return;
    };
    check_path(query, header(&call.headers, ":path").unwrap_or_default());
    let encoding = |headers: &[Header]| {
        let value = header(headers, "content-encoding").map(<[u8]>::to_vec);
        value.unwrap_or_default()
    };
    let is_same = call.body == body;
    assert!(is_same || encoding(&call.headers).is_empty());
    let Some(whole) = decoded(&encoding(headers), body) else {
        assert!(is_same, "what cannot be read goes as it came");
        return;
    };
    let Some((named, rest)) = named(&whole) else {
        assert!(is_same, "what Relay would refuse goes as it came");
        return;
    };
    if is_same {
        assert_eq!(renamed(named.clone()), named, "it names another Sentry");
        return;
    }
    let (becomes, tail) = self::named(&call.body).expect("an envelope");
    assert_eq!(becomes, renamed(named), "nothing but the names changes");
    assert_eq!(tail, rest, "the items are the same bytes");
}

fn copy(query: &[u8], headers: &[Header], body: &[u8]) -> Option<Sent> {
    let config = format!(
        r#"{{"sentry": {{"saas": {{"upstream": "second", "projects": {{"42": "{DSN}"}}}}}}}}"#
    );
    let config = Config::parse(config.as_bytes(), &|_| None).unwrap();
    let mut driver = Driver::new(config, Millis(1_000_000), "test");
    let path = [TARGET.as_bytes(), b"?", query].concat();
    let pseudo = [(&b":method"[..], &b"POST"[..]), (b":path", &path)];
    let pseudo = pseudo.map(|(name, value)| (name.to_vec(), value.to_vec()));
    let own = headers.iter().filter(|(name, _)| !name.starts_with(b":"));
    let mut passing = Passing::new(1, pseudo.into_iter().chain(own.cloned()).collect());
    passing.headers(&mut driver, body.is_empty());
    if !body.is_empty() {
        passing.piece(&mut driver, body, true);
    }
    passing.gone(&mut driver);
    driver.advance(10_000, |_| {});
    let calls = std::mem::take(&mut driver.written.calls);
    assert!(calls.len() <= 1);
    calls.into_iter().next()
}

fn header<'h>(headers: &'h [Header], name: &str) -> Option<&'h [u8]> {
    let mut found = headers.iter();
    let found = found.find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|(_, value)| value.as_slice())
}

/// Pairs keep their order; the key is the target's, and no secret goes.
fn check_path(query: &[u8], path: &[u8]) {
    let start = b"/sentry/api/7/envelope/?";
    assert!(path.starts_with(start), "{}", String::from_utf8_lossy(path));
    let pairs = |query: &[u8]| -> Vec<(String, String)> {
        let pairs = url::form_urlencoded::parse(query);
        pairs.into_owned().collect()
    };
    let plain = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.strip_prefix("sentry_").unwrap_or(&name).to_owned()
    };
    let expected =
        pairs(query)
            .into_iter()
            .filter_map(|(name, value)| match plain(&name).as_str() {
                "secret" => None,
                "key" => Some((name, KEY.to_owned())),
                _ => Some((name, value)),
            });
    assert_eq!(pairs(&path[start.len()..]), expected.collect::<Vec<_>>());
}

/// With the decoders of others; none if it is neither of these encodings, or broken.
fn decoded(encoding: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    match encoding.to_ascii_lowercase().trim_ascii() {
        b"" | b"identity" => return Some(body.to_vec()),
        b"gzip" => flate2::read::MultiGzDecoder::new(body)
            .read_to_end(&mut read)
            .ok()?,
        _ => return None,
    };
    Some(read)
}

/// The header, if Relay takes it, and what follows it.
fn named(envelope: &[u8]) -> Option<(Value, &[u8])> {
    let mut walker = Walker::default();
    let header = walker.header(envelope, &mut Meter::new(u64::MAX));
    if !matches!(header, Poll::Ready(Ok(_))) {
        return None;
    }
    let (header, rest) = envelope.split_at(walker.offset());
    Some((serde_json::from_slice(header).ok()?, rest))
}

fn renamed(mut header: Value) -> Value {
    let own = header.get_mut("dsn").filter(|dsn| dsn.is_string());
    if let Some(own) = own {
        *own = DSN.into();
    }
    let key = header
        .get_mut("trace")
        .and_then(|trace| trace.get_mut("public_key"));
    if let Some(key) = key.filter(|key| key.is_string()) {
        *key = KEY.into();
    }
    header
}
