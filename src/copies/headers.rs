//! The headers of a copy: an allow-list, with a reason for each entry.
//!
//! Everything else is left out: Cookie, foreign Authorization and Proxy-Authorization are somebody's secrets, hop-by-hop
//! headers belong to the other connection, and what Envoy adds is nobody's business.

use super::decide::Target;
use super::forwarded::missing_peer;
use super::rekey;
use crate::client_ip::{ClientIp, networks};
use crate::header_list::HeaderList;
use crate::header_map::Pair;
use crate::host::HostKind;
use crate::sentry::auth::{self, Authorization, in_query};
use crate::sentry::dsn::Dsn;
use crate::sentry::route::{Route, recognise};

/// Marks every copy, so that one that comes back is recognised even if its path changed on the way: behind a proxy that
/// strips the prefix, or from another edge that mirrors to this one. Its value means nothing. Anything that reports to Sentry
/// about copies (an SDK between the edge and RUM) must send it too, or each copy would lead to another.
pub const MARKER: &str = "x-sentry-edge-mirror";

/// What the filter knows of a request once its headers are complete.
#[derive(Clone, Copy)]
pub struct Head<'a, I> {
    /// The method.
    pub method: &'a [u8],
    /// The request target as received.
    pub target: &'a [u8],
    /// All headers; pseudo headers among them are skipped.
    pub headers: I,
    /// Reads the property `source.address`: a host call that most requests do not need.
    pub source: &'a dyn Fn() -> Option<Vec<u8>>,
    /// The scheme of the client's connection, for hosts that do not put it in X-Forwarded-Proto themselves.
    pub scheme: Option<&'a [u8]>,
}

/// The headers of a copy, and what depends on its body.
#[derive(Debug)]
pub struct CopyHeaders {
    /// Ready to send.
    pub list: HeaderList,
    /// An `Authorization: Basic` without its password. It is the request's credential if the first line of the body can be
    /// read and carries none.
    pub basic: Option<String>,
    /// Lines left out because they are not UTF-8.
    pub omitted: usize,
    /// Content-Length of the request.
    pub content_length: Option<u64>,
    /// Whether Transfer-Encoding is present.
    pub transfer_encoding: bool,
    /// The request carries the [`MARKER`]: it is itself a copy, or is about one.
    pub marked: bool,
    /// There are more headers than are read, so no copy is made.
    pub oversized: bool,
}

/// Beyond this many lines none is read and no copy is made. By default no proxy accepts as many (Envoy 100), and all of them
/// are handled in a single callback.
pub const MAX_LINES: usize = 1_000;
/// Nor is one made if the values that a copy may have add up to more than this (Envoy accepts 60 KiB by default).
pub const MAX_BYTES: usize = 131_072;

/// What the filter does with a header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// To be copied.
    Copy,
    /// The same, with its name lower-cased.
    CopyLowered,
    Authorization,
    SentryAuth,
    ForwardedFor,
    ForwardedProto,
    ContentLength,
    TransferEncoding,
    Marker,
    Leave,
}

/// Longer than any name on the list, including client hints to come.
const LONGEST: usize = 64;

fn rule(name: &[u8]) -> Rule {
    if name.len() > LONGEST {
        return Rule::Leave;
    }
    match lower_case_rule(name) {
        // Envoy's names are in lower case; nginx passes them as the client wrote them.
        Rule::Leave if may_have_capitals(name) => {
            match lower_case_rule(&name.to_ascii_lowercase()) {
                Rule::Copy => Rule::CopyLowered,
                rule => rule,
            }
        }
        rule => rule,
    }
}

/// A quick check: small letters, digits, `-` and `:` have a bit that capitals do not have.
fn may_have_capitals(name: &[u8]) -> bool {
    const BIT: u64 = 0x2020_2020_2020_2020;
    !words(name).all(|word| word & BIT == BIT)
}

/// Bytes as words. The last word overlaps the one before; fewer bytes than a word are repeated.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let last = bytes
        .last_chunk::<8>()
        .map(|word| u64::from_le_bytes(*word));
    let short = rest.iter().filter(move |_| last.is_none());
    let short = short.map(|byte| u64::from(*byte).wrapping_mul(0x0101_0101_0101_0101));
    words.chain(last).chain(short)
}

/// By length: most headers are decided by one comparison or none. (`==` compares words, a pattern bytes.)
fn lower_case_rule(name: &[u8]) -> Rule {
    let copied = |copied: bool| if copied { Rule::Copy } else { Rule::Leave };
    let rule = match name.len() {
        6 => copied(name == b"origin"),
        // The page of the event; what links it to a trace.
        7 => copied(name == b"referer" || name == b"baggage"),
        // What sent it: browser and system.
        10 => copied(name == b"user-agent" || name == b"tracestate"),
        11 => copied(name == b"traceparent"),
        // How to read the body. What links the copy to the primary's log line and to a trace.
        12 => copied(name == b"content-type" || name == b"x-request-id" || name == b"sentry-trace"),
        // The credential; the receiver reads it as Relay does.
        13 if name == b"x-sentry-auth" => Rule::SentryAuth,
        13 if name == b"authorization" => Rule::Authorization,
        // Never copied: it sizes the capture, and the host counts the body itself.
        14 if name == b"content-length" => Rule::ContentLength,
        // The client's address decides the geography of the event.
        15 if name == b"x-forwarded-for" => Rule::ForwardedFor,
        // SDKs send an empty one, which means identity: copied as it is.
        16 => copied(name == b"content-encoding"),
        17 if name == b"x-forwarded-proto" => Rule::ForwardedProto,
        // Never copied, since it belongs to the connection: it announces a body.
        17 if name == b"transfer-encoding" => Rule::TransferEncoding,
        20 if name == MARKER.as_bytes() => Rule::Marker,
        _ => Rule::Leave,
    };
    // They say what user-agent no longer says.
    if matches!(rule, Rule::Leave) && is_client_hint(name) {
        return Rule::Copy;
    }
    rule
}

/// Valid UTF-8. Nearly every value is, being ASCII.
fn is_text(value: &[u8]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let all = words(value).fold(0, |all, word| all | word);
    all & HIGH_BITS == 0 || std::str::from_utf8(value).is_ok()
}

/// The client chooses the end of the name: it must be a valid name, and not a long one.
fn is_client_hint(name: &[u8]) -> bool {
    let named = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let end = name.strip_prefix(b"sec-ch-ua");
    name.len() <= LONGEST && end.is_some_and(|end| end.iter().all(named))
}

/// Composes the headers of a copy.
pub fn compose<'a, I>(host: HostKind, target: &Target, head: &Head<'a, I>) -> CopyHeaders
where
    I: Iterator<Item = Pair<'a>> + Clone,
{
    let destination = &target.destination;
    let mut list = HeaderList::with_capacity(20, 1024);
    list.push(b":method", head.method);
    let dsn = destination.dsn.as_deref();
    match dsn {
        None => list.push_joined(b":path", &[destination.path_prefix.as_bytes(), head.target]),
        Some(dsn) => list.push(b":path", &rekey::target(dsn, head.target)),
    }
    list.push(b":authority", destination.authority.as_bytes());
    list.push(MARKER.as_bytes(), b"1");

    let mut copy = CopyHeaders {
        list,
        basic: None,
        omitted: 0,
        content_length: None,
        transfer_encoding: false,
        marked: false,
        oversized: false,
    };
    let (mut lines, mut bytes) = (MAX_LINES, MAX_BYTES);
    // Nearly always one line.
    let (mut forwarded, mut more): (Option<&[u8]>, Vec<&[u8]>) = (None, Vec::new());
    let mut proto = None;
    // Relay reads the first line only, so a second one is never a credential.
    let mut authorization: Option<&[u8]> = None;
    let mut credential = false;

    for (name, value) in head.headers.clone() {
        let Some(left) = lines.checked_sub(1) else {
            copy.oversized = true;
            return copy;
        };
        lines = left;
        let rule = rule(name);
        if matches!(rule, Rule::Leave) {
            continue;
        }
        let Some(left) = bytes.checked_sub(value.len()) else {
            copy.oversized = true;
            return copy;
        };
        bytes = left;
        if !is_text(value) && !matches!(rule, Rule::Marker) {
            copy.omitted = copy.omitted.saturating_add(1);
            // It counts as the first line all the same: the second does not become a credential because this one cannot be used.
            if matches!(rule, Rule::Authorization) {
                authorization = authorization.or(Some(b""));
            }
            continue;
        }
        match rule {
            Rule::Leave => {}
            Rule::Marker => copy.marked = true,
            Rule::Copy => copy.list.push(name, value),
            Rule::CopyLowered => copy.list.push(&name.to_ascii_lowercase(), value),
            Rule::SentryAuth => {
                credential = true;
                push_credential(&mut copy.list, b"x-sentry-auth", value, dsn);
            }
            Rule::Authorization => authorization = authorization.or(Some(value)),
            Rule::ForwardedFor if forwarded.is_none() => forwarded = Some(value),
            Rule::ForwardedFor => more.push(value),
            Rule::ForwardedProto => proto = proto.or(Some(value)),
            Rule::TransferEncoding => copy.transfer_encoding = true,
            Rule::ContentLength => {
                copy.content_length = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
            }
        }
    }

    match authorization.map(|value| (Authorization::of(value), value)) {
        Some((Authorization::Sentry, value)) => {
            push_credential(&mut copy.list, b"authorization", value, dsn);
        }
        Some((Authorization::BasicKey(key), _)) if !credential && !in_query(head.target) => {
            let basic = auth::basic(dsn.map_or(&key, |dsn| dsn.public_key.as_bytes()));
            match recognise(head.method, head.target) {
                // Only there does Relay look for a credential in the body.
                Some(Route::Envelope(_)) => copy.basic = Some(basic).filter(|_| !is_encoded(head)),
                _ => copy.list.push(b"authorization", basic.as_bytes()),
            }
        }
        _ => {}
    }
    let client_ip = destination.rules.client_ip;
    if !matches!(client_ip, ClientIp::None) {
        let last = more.last().copied().or(forwarded);
        let peer = missing_peer(host, last, head.source);
        let chain = forwarded.into_iter().chain(more).chain(peer.as_deref());
        if matches!(client_ip, ClientIp::Truncated) {
            forwarded_networks(&mut copy.list, chain);
        } else {
            forwarded_for(&mut copy.list, chain);
        }
    }
    if let Some(proto) = proto.or(head.scheme) {
        copy.list.push(b"x-forwarded-proto", proto);
    }
    copy
}

/// A credential as received, or with the key of a second Sentry.
fn push_credential(list: &mut HeaderList, name: &[u8], value: &[u8], dsn: Option<&Dsn>) {
    match dsn {
        None => list.push(name, value),
        Some(dsn) => list.push(name, &rekey::credential(dsn, value)),
    }
}

/// Whether the first line of the body cannot be read as received.
fn is_encoded<'a, I>(head: &Head<'a, I>) -> bool
where
    I: Iterator<Item = Pair<'a>> + Clone,
{
    let mut headers = head.headers.clone();
    headers.any(|(name, value)| {
        let value = value.trim_ascii();
        let plain = value.is_empty() || value.eq_ignore_ascii_case(b"identity");
        name.eq_ignore_ascii_case(b"content-encoding") && !plain
    })
}

/// Joins several lines into one: together they are one list.
fn forwarded_for<'a>(list: &mut HeaderList, mut chain: impl Iterator<Item = &'a [u8]>) {
    const NAME: &[u8] = b"x-forwarded-for";
    let Some(first) = chain.next() else { return };
    match chain.next() {
        None => list.push(NAME, first),
        Some(second) => {
            let mut parts: Vec<&[u8]> = vec![first];
            for entry in [second].into_iter().chain(chain) {
                parts.extend([b", ", entry]);
            }
            list.push_joined(NAME, &parts);
        }
    }
}

/// The same, reduced to networks.
fn forwarded_networks<'a>(list: &mut HeaderList, chain: impl Iterator<Item = &'a [u8]>) {
    let chain = chain.filter_map(|entry| std::str::from_utf8(entry).ok());
    if let Some(networks) = networks(chain) {
        list.push(b"x-forwarded-for", networks.as_bytes());
    }
}

#[cfg(test)]
mod tests;
