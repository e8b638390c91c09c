//! How much the second party learns of a client's address: all of it, its network, or nothing.
//!
//! *Truncated* keeps the network: the first three bytes of IPv4, the first 48 bits of IPv6; the rest is 0. Ports are removed.
//! Anything that is not an address is left out, for it may be anything.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIp {
    /// As received.
    #[default]
    Full,
    /// Its network.
    Truncated,
    /// Nothing.
    None,
}

/// Entries of a proxy chain that are looked at: no real chain is longer, and each entry costs work.
const MAX_ENTRIES: usize = 32;
/// No address with its port is longer than this: `[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%eth0]:65535`.
const MAX_BYTES: usize = 64;

/// The networks of a chain, as in X-Forwarded-For: entries separated by commas. `None` if it contains no address.
#[must_use]
pub fn networks<'a>(chain: impl Iterator<Item = &'a str>) -> Option<String> {
    let entries = chain.flat_map(|line| line.split(','));
    let mut networks = String::new();
    for address in entries.take(MAX_ENTRIES).filter_map(address) {
        let separator = if networks.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(networks, "{separator}{}", network(address));
    }
    (!networks.is_empty()).then_some(networks)
}

/// An address, possibly with a port, possibly in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_ascii();
    if text.len() > MAX_BYTES {
        return None;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, _) = rest.split_once(']')?;
        return inner.parse().ok();
    }
    let bare = text.parse().ok();
    bare.or_else(|| {
        let (host, _) = text.rsplit_once(':')?;
        host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    })
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ENTRIES, networks};

    fn of(chain: &str) -> Option<String> {
        networks([chain].into_iter())
    }

    #[test]
    fn the_network_stays() {
        for (address, network) in [
            ("203.0.113.9", "203.0.113.0"),
            ("203.0.113.9:4711", "203.0.113.0"),
            ("[203.0.113.9]:1", "203.0.113.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("[2001:db8:1:2::6]:443", "2001:db8:1::"),
            ("[2001:db8:1:2::6]", "2001:db8:1::"),
            ("::1", "::"),
            ("::ffff:203.0.113.9", "203.0.113.0"),
            (" 10.1.2.3 ,\t203.0.113.9", "10.1.2.0, 203.0.113.0"),
            ("unknown, 203.0.113.9, _hidden, a@b", "203.0.113.0"),
        ] {
            assert_eq!(of(address).as_deref(), Some(network), "{address}");
        }
        let lines = ["10.1.2.3", "203.0.113.9"];
        let both = networks(lines.into_iter());
        assert_eq!(both.as_deref(), Some("10.1.2.0, 203.0.113.0"));
        // Doing it twice changes nothing.
        assert_eq!(of("2001:db8:1::").as_deref(), Some("2001:db8:1::"));
    }

    #[test]
    fn what_is_no_address_is_left_out() {
        for chain in [
            "",
            ",,",
            "unknown",
            "{{auto}}",
            "203.0.113",
            "203.0.113.256",
            "203.0.113.009.1",
            "1:2:3",
            "[",
            "fe80::1%eth0",
            "203.0.113.9 secret",
        ] {
            assert_eq!(of(chain), None, "{chain}");
        }
        assert_eq!(
            of(&format!("{}203.0.113.9", " ".repeat(100))).as_deref(),
            Some("203.0.113.0")
        );
        assert_eq!(of(&"1".repeat(1_000)), None);
    }

    #[test]
    fn a_long_chain_is_cut() {
        let chain = "203.0.113.9,".repeat(100_000);
        let found = of(&chain).unwrap();
        assert_eq!(found.split(", ").count(), MAX_ENTRIES);
    }
}
