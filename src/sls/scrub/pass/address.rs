//! Values that are a client's address: `sls.client_ip`.
//!
//! They are recognised by name: `user.ip_address`, the headers that proxies write, the variables of CGI, the attributes of
//! OpenTelemetry. *Truncated* keeps the network of each address. What contains no address or is not a string is replaced, and
//! under *none* so is everything. `{{auto}}` and empty values stay: they contain no address. JSON in a string is not looked into.

use super::machine::{Around, Machine, State, Step};
use crate::client_ip::{ClientIp, networks};

/// Letters and digits of a name, in lower case, without `http` before them.
const NAMES: [&str; 23] = [
    "cfconnectingip",
    "cfconnectingipv6",
    "clientaddress",
    "clientip",
    "fastlyclientip",
    "flyclientip",
    "forwarded",
    "forwardedfor",
    "ipaddress",
    "networkpeeraddress",
    "netpeerip",
    "netsockpeeraddr",
    "remoteaddr",
    "remoteip",
    "sourceaddress",
    "trueclientip",
    "useripaddress",
    "xclientip",
    "xclusterclientip",
    "xenvoyexternaladdress",
    "xforwardedfor",
    "xoriginalforwardedfor",
    "xrealip",
];
/// No such name is longer, however it is written.
const MAX_NAME: usize = 48;
/// Units for looking at a name, and for reading a value.
const LOOK: u64 = 2_000;
const READ: u64 = 40_000;

/// Whether a member of this name, or the second of a pair behind it, is an address.
fn is_named(name: &str) -> bool {
    let mut letters = String::with_capacity(MAX_NAME);
    if name.len() > MAX_NAME {
        return false;
    }
    let plain = name.chars().filter(char::is_ascii_alphanumeric);
    letters.extend(plain.map(|letter| letter.to_ascii_lowercase()));
    let letters = letters.strip_prefix("http").unwrap_or(&letters);
    NAMES.contains(&letters)
}

impl Machine {
    /// Whether this name names an address, and addresses do not stay.
    pub(super) fn names_address(&self, name: &str, around: &mut Around<'_>) -> bool {
        if self.client_ip == ClientIp::Full {
            return false;
        }
        around.meter.spend(LOOK);
        is_named(name)
    }

    /// A string that is an address is over.
    pub(super) fn address(&mut self, raw: &str, around: &mut Around<'_>) -> Step {
        around.meter.spend(READ);
        let network = match self.client_ip {
            ClientIp::Truncated if !self.scalar.is_cut => networks([raw].into_iter()),
            _ => None,
        };
        match network {
            _ if matches!(raw, "" | "{{auto}}" | super::super::FILTERED) => {
                self.scalar_ends(Some(raw), around);
            }
            Some(network) if network == raw => self.scalar_ends(Some(raw), around),
            Some(network) => {
                let (span, end) = (self.scalar.span, self.scalar.end);
                let json = format!("\"{network}\"");
                self.output.replace(around.text, span, end, &json);
                self.scalar_ends(Some(&network), around);
            }
            None => self.scalar_is_replaced(around),
        }
        self.state = State::After;
        self.after(around)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Nobody, Pass};
    use super::is_named;
    use crate::client_ip::ClientIp;
    use crate::meter::Meter;
    use crate::sls::scrub::Scrubber;
    use std::task::Poll;

    fn passed(json: &str, client_ip: ClientIp, scrubber: Option<&Scrubber>, slice: u64) -> String {
        let mut pass = Pass::new(json.to_owned(), false).with_client_ip(client_ip);
        loop {
            let mut meter = Meter::new(slice);
            if let Poll::Ready(passed) = pass.step(scrubber, &mut Nobody, &mut meter) {
                return passed.ok().unwrap().json;
            }
        }
    }

    fn of(json: &str, client_ip: ClientIp) -> String {
        let once = passed(json, client_ip, None, 1);
        let scrubber = Scrubber::default();
        assert_eq!(passed(json, client_ip, Some(&scrubber), 1_000), once);
        assert_eq!(passed(&once, client_ip, None, 1_000), once, "twice");
        assert_eq!(passed(json, ClientIp::Full, None, 1_000), json);
        once
    }

    #[test]
    fn names_of_addresses() {
        for name in [
            "ip_address",
            "ipAddress",
            "user.ip_address",
            "client.address",
            "X-Forwarded-For",
            "HTTP_X_FORWARDED_FOR",
            "REMOTE_ADDR",
            "x-real-ip",
            "http.client_ip",
        ] {
            assert!(is_named(name), "{name}");
        }
        for name in [
            "",
            "ip",
            "address",
            "email_address",
            "server.address",
            "zip_address_x",
        ] {
            assert!(!is_named(name), "{name}");
        }
        assert!(!is_named(&"ip_address".repeat(10)));
    }

    #[test]
    fn the_network_or_nothing_stays() {
        for (json, truncated, none) in [
            (
                r#"{"user":{"ip_address":"203.0.113.9","id":"7"}}"#,
                r#"{"user":{"ip_address":"203.0.113.0","id":"7"}}"#,
                r#"{"user":{"ip_address":"[Filtered]","id":"7"}}"#,
            ),
            (
                r#"{"headers":{"X-Forwarded-For":"2001:db8:1:2::3, 10.1.2.3","Host":"10.1.2.3"}}"#,
                r#"{"headers":{"X-Forwarded-For":"2001:db8:1::, 10.1.2.0","Host":"10.1.2.3"}}"#,
                r#"{"headers":{"X-Forwarded-For":"[Filtered]","Host":"10.1.2.3"}}"#,
            ),
            (
                r#"{"headers":[["X-Real-Ip","203.0.113.9"],["Accept","*/*"]]}"#,
                r#"{"headers":[["X-Real-Ip","203.0.113.0"],["Accept","*/*"]]}"#,
                r#"{"headers":[["X-Real-Ip","[Filtered]"],["Accept","*/*"]]}"#,
            ),
            (
                r#"{"client.address":{"value":"203.0.113.9","type":"string"},"ip_address":7,"x":[1]}"#,
                r#"{"client.address":"[Filtered]","ip_address":"[Filtered]","x":[1]}"#,
                r#"{"client.address":"[Filtered]","ip_address":"[Filtered]","x":[1]}"#,
            ),
            (
                r#"{"ip_address":"somewhere"}"#,
                r#"{"ip_address":"[Filtered]"}"#,
                r#"{"ip_address":"[Filtered]"}"#,
            ),
        ] {
            assert_eq!(of(json, ClientIp::Truncated), truncated);
            assert_eq!(of(json, ClientIp::None), none);
        }
        for same in [
            r#"{"ip_address":"{{auto}}","remote_addr":null,"client_ip":""}"#,
            r#"{"message":"from 203.0.113.9"}"#,
        ] {
            assert_eq!(of(same, ClientIp::Truncated), same);
            assert_eq!(of(same, ClientIp::None), same);
        }
    }
}
