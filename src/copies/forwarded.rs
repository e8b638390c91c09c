//! X-Forwarded-For of a copy: the client's chain and the peer, exactly once.
//!
//! What the filter can know depends on the host (manual: hosts, "The client's address", and measurements with Envoy 1.40):
//! * Envoy's `source.address` is `ip:port`, IPv6 in brackets. Port 0 means that Envoy took the address out of the
//!   header itself (`use_remote_address: false`): then the peer cannot be known, and the primary does not get it either.
//! * With `use_remote_address: true` Envoy has appended the peer before any filter runs; for 127.0.0.1 and ::1 it
//!   appends the machine's own address in its place. So a chain that is there is complete.
//! * nginx's `source.address` is `$remote_addr`: the bare address. Nothing is appended before `proxy_set_header`.

use crate::host::HostKind;

/// The entry to append to the chain, or `None` if it is already complete. `source` is read only when needed.
#[must_use]
pub fn missing_peer(
    host: HostKind,
    chain: Option<&[u8]>,
    source: &dyn Fn() -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    if host.traits().appends_peer && chain.is_some() {
        return None;
    }
    let source = source()?;
    let peer = peer(&source)?;
    let last = chain.and_then(|chain| chain.rsplit(|byte| *byte == b',').next());
    (last.map(<[u8]>::trim_ascii) != Some(peer)).then(|| peer.to_vec())
}

/// The address without port and brackets; `None` for port 0 or a socket without an address.
fn peer(source: &[u8]) -> Option<&[u8]> {
    if is_address(source) {
        return Some(source);
    }
    let colon = source.iter().rposition(|byte| *byte == b':')?;
    let (host, port) = source.split_at_checked(colon)?;
    if port == b":0" {
        return None;
    }
    let host = match host {
        [b'[', inner @ .., b']'] => inner,
        _ => host,
    };
    is_address(host).then_some(host)
}

/// A unix socket's path or an unexpected form is not an address.
fn is_address(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::missing_peer;
    use crate::host::HostKind::{self, Envoy, Nginx};

    fn added(host: HostKind, chain: Option<&str>, source: &str) -> Option<String> {
        let chain = chain.map(str::as_bytes);
        let peer = missing_peer(host, chain, &|| Some(source.as_bytes().to_vec()))?;
        Some(String::from_utf8(peer).unwrap())
    }

    #[test]
    fn envoy_has_completed_the_chain_if_there_is_one() {
        for (chain, source, peer) in [
            (None, "127.0.0.7:49029", Some("127.0.0.7")),
            (None, "[::1]:50000", Some("::1")),
            (Some("127.0.0.7"), "127.0.0.7:49029", None),
            (Some("1.2.3.4, 5.6.7.8,127.0.0.7"), "127.0.0.7:49029", None),
            // The machine's own address stands for a peer on loopback.
            (Some("1.2.3.4,192.0.2.2"), "127.0.0.1:49029", None),
            // Read from the chain.
            (Some("1.2.3.4, 5.6.7.8"), "5.6.7.8:0", None),
            (None, "5.6.7.8:0", None),
        ] {
            assert_eq!(
                added(Envoy, chain, source).as_deref(),
                peer,
                "{chain:?} {source}"
            );
        }
    }

    #[test]
    fn nginx_leaves_it_to_us() {
        for (chain, source, peer) in [
            (None, "127.0.0.7", Some("127.0.0.7")),
            (None, "2001:db8::1", Some("2001:db8::1")),
            // It could be read as an address and a port.
            (None, "2001:db8::1:8080", Some("2001:db8::1:8080")),
            (Some("1.2.3.4"), "127.0.0.7", Some("127.0.0.7")),
            (Some("1.2.3.4, 127.0.0.7"), "127.0.0.7", None),
            // The client put the peer's address somewhere else: it is not the last hop.
            (Some("127.0.0.7, 1.2.3.4"), "127.0.0.7", Some("127.0.0.7")),
            (Some("fe80::1, ::1"), "::1", None),
        ] {
            assert_eq!(
                added(Nginx, chain, source).as_deref(),
                peer,
                "{chain:?} {source}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_not_added() {
        for source in [
            "/run/edge.sock",
            "unix:",
            "@:17",
            "",
            ":",
            "1.2.3",
            "1.2.3.4:0",
        ] {
            assert_eq!(added(Nginx, Some("1.2.3.4"), source), None, "{source}");
        }
        assert_eq!(missing_peer(Nginx, None, &|| None), None);
    }
}
