//! Removes sensitive values from JSON before it leaves for SLS: each becomes `[Filtered]`, as Sentry writes it.
//!
//! What is sensitive follows Relay's default data scrubber (`relay-pii`, `@common:filter` and the cookie list), which
//! never sees this copy. `scrub/cases.txt` is the same by example:
//! * the value of a key that `scrub/key.rs` lists, or the configuration: strings, numbers, whole arrays and objects; `true`,
//!   `false` and `null` stay. Keys are found at any depth, also as the first element of a pair in a list of pairs
//!   (`[["Authorization", "..."]]`, how SDKs write headers and query strings). Under keys that count tokens, and under
//!   `pass` and `signature`, numbers stay;
//! * within any string: card numbers (`scrub/card.rs`), and what `scrub/text.rs` finds: `key=value`, `key: value` and
//!   `('key', 'value')`, bearer tokens, passwords in URLs, private keys, and tokens by their form: JSON web tokens and
//!   those of clouds and services (`scrub/text/form.rs`). A string that holds JSON itself is read as JSON, four levels
//!   deep; deeper it is text.
//!
//! Beyond Relay: `pass`, `passcode`, access, account, signing and encryption keys, signatures (including those of presigned
//! URLs: `X-Amz-Signature`, `Signature`, `sig`), all cookies, tokens by their form, private keys whose end is missing.
//!
//! Less than Relay: `author` is not `auth` (keys are compared by words); a count of `tokens`, a `token_type`,
//! `token_endpoint` and what expires is no token, a `cookie_banner` and the like no cookie, `secret_santa` and a
//! `secretary` no secret; versions under `modules` stay, and a string is not lost as a whole because the word password
//! stands in it. IP and mail addresses, IBAN and SSN stay, and the user in a URL. (Addresses that a
//!   name tells: `pass/address.rs`, which `sls.client_ip` asks for.)
//!
//! One [`Pass`] over the bytes, no tree: what is not replaced is copied as it is, and nothing is copied before the first
//! replacement. Valid JSON stays valid; scrubbing twice is the same as scrubbing once. Nesting beyond [`MAX_DEPTH`] is
//! replaced. The JSON is checked on the way, except for what is replaced as a whole. All of it is done in steps
//! ([`crate::meter`]), and no text costs more than some 1100 units a byte.

mod automaton;
mod card;
mod filter;
mod key;
mod pass;
mod text;

use std::borrow::Cow;
use std::task::Poll;

use super::json::NotJson;
use crate::meter::Meter;
use key::Keys;
pub use pass::MAX_DEPTH;
pub(super) use pass::{Kind, Nobody, Pass, Passed, Visitor, Want};
use text::TextScan;

/// What replaces a sensitive value.
pub const FILTERED: &str = "[Filtered]";

/// [`FILTERED`] as JSON.
const FILTERED_JSON: &str = "\"[Filtered]\"";

/// The scrubber, compiled from the configuration.
#[derive(Debug, Default)]
pub struct Scrubber {
    keys: Keys,
}

impl Scrubber {
    /// The default keys and `extra`. An extra key matches wherever its words occur in a key, in any spelling: `customer_no`
    /// also means `customerNo` and `x-customer-no`.
    pub fn new<S: AsRef<str>>(extra: impl IntoIterator<Item = S>) -> Self {
        Self {
            keys: Keys::new(extra),
        }
    }

    /// Scrubs a JSON text at once, whatever that costs. Borrowed if there was nothing to replace.
    ///
    /// # Errors
    /// Where the text is not JSON.
    pub fn json<'a>(&self, json: &'a str) -> Result<Cow<'a, str>, NotJson> {
        self.at_once(Pass::new(json.to_owned(), false), json)
    }

    /// Scrubs a string that is not JSON, or not known to be, at once.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.keys.suspects(text) {
            return Cow::Borrowed(text);
        }
        let scrubbed = self.at_once(Pass::of_any(text.to_owned()), text);
        scrubbed.unwrap_or(Cow::Borrowed(FILTERED))
    }

    /// Scrubs text that is not JSON in steps, each with the next meter. Also returns how many units that took.
    pub fn text_in_steps<'a>(
        &self,
        text: &'a str,
        mut next: impl FnMut() -> Meter,
    ) -> (Cow<'a, str>, u64) {
        let mut scan = TextScan::new();
        let mut spent = 0_u64;
        loop {
            let mut meter = next();
            let done = scan.step(&self.keys, text, &mut meter).is_ready();
            spent = spent.saturating_add(meter.spent());
            if done {
                let scrubbed = scan.finish(text);
                return (scrubbed.map_or(Cow::Borrowed(text), Cow::Owned), spent);
            }
        }
    }

    /// The same for a short text, charged to the meter.
    pub(super) fn short_text<'a>(&self, text: &'a str, meter: &mut Meter) -> Cow<'a, str> {
        /// Worst-case units per byte of the quick look.
        const LOOK: u64 = 25;
        meter.spend_bytes(text.len(), LOOK);
        if !self.keys.suspects(text) {
            return Cow::Borrowed(text);
        }
        let mut own = Meter::unlimited();
        let mut pass = Pass::of_any(text.to_owned());
        let passed = pass.step(Some(self), &mut Nobody, &mut own);
        meter.spend(own.spent());
        match passed {
            Poll::Ready(Ok(passed)) if passed.changed => Cow::Owned(passed.json),
            Poll::Ready(Ok(_)) => Cow::Borrowed(text),
            _ => Cow::Borrowed(FILTERED),
        }
    }

    fn at_once<'a>(&self, mut pass: Pass, text: &'a str) -> Result<Cow<'a, str>, NotJson> {
        loop {
            let mut meter = Meter::unlimited();
            if let Poll::Ready(passed) = pass.step(Some(self), &mut Nobody, &mut meter) {
                return passed.map(|passed| {
                    if passed.changed {
                        Cow::Owned(passed.json)
                    } else {
                        Cow::Borrowed(text)
                    }
                });
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        let scrubber = Scrubber::new(["customer_no"]);
        let once = scrubber.json(text).unwrap().into_owned();
        serde_json::from_str::<serde::de::IgnoredAny>(&once).unwrap();
        assert_eq!(scrubber.json(&once).unwrap(), once, "twice");
        once
    }

    fn text(text: &str) -> String {
        let scrubber = Scrubber::default();
        let once = scrubber.text(text).into_owned();
        assert_eq!(scrubber.text(&once), once, "twice");
        // The quick look must not let anything through.
        assert_eq!(scrubber.text_in_steps(text, Meter::unlimited).0, once);
        once
    }

    #[test]
    fn values_of_sensitive_keys() {
        for (before, after) in [
            (r#"{"password":"x"}"#, r#"{"password":"[Filtered]"}"#),
            (
                r#"{ "a" : { "API-Key" : 17.5e3 , "b" : 1 } }"#,
                r#"{ "a" : { "API-Key" : "[Filtered]" , "b" : 1 } }"#,
            ),
            (
                r#"{"cookies":{"a":"}\"]"},"b":2}"#,
                r#"{"cookies":"[Filtered]","b":2}"#,
            ),
            (
                r#"{"secrets":["a",{"b":[]}]}"#,
                r#"{"secrets":"[Filtered]"}"#,
            ),
            (
                r#"{"pass\u0077ord":"x\"y"}"#,
                r#"{"pass\u0077ord":"[Filtered]"}"#,
            ),
            (r#"[{"customerNo":1}]"#, r#"[{"customerNo":"[Filtered]"}]"#),
        ] {
            assert_eq!(json(before), after);
        }
        for same in [
            r#"{"password":null,"token":true,"author":"x","a":[["b"],[]],"c":{}}"#,
            r#"{"input_tokens":12,"a":{"total_tokens":{"type":"integer","value":3}}}"#,
            r#"{"modules":{"cookie":"0.7.1","secretstorage":"v3.3.3rc1"}}"#,
            r#" [ "password" , "x" ] "#,
        ] {
            assert!(
                matches!(Scrubber::default().json(same), Ok(Cow::Borrowed(_))),
                "{same}"
            );
        }
        assert_eq!(
            json(
                r#"{"modules":{"secret":"hunter2"},"a":{"modules":{"secret":"1.0"}},"tokens":["a"]}"#
            ),
            r#"{"modules":{"secret":"[Filtered]"},"a":{"modules":{"secret":"[Filtered]"}},"tokens":"[Filtered]"}"#
        );
    }

    #[test]
    fn lists_of_pairs() {
        assert_eq!(
            json(
                r#"{"headers":[["Authorization","Basic eDp5"],["Accept","*/*"],["X-Auth-Token",["a"]]]}"#
            ),
            r#"{"headers":[["Authorization","[Filtered]"],["Accept","*/*"],["X-Auth-Token","[Filtered]"]]}"#
        );
    }

    #[test]
    fn strings() {
        assert_eq!(
            json(
                r#"{"a":"card 4111 1111 1111 1111.","b":4111111111111111,"c":"\n4111111111111111"}"#
            ),
            r#"{"a":"card [Filtered].","b":"[Filtered]","c":"\n[Filtered]"}"#
        );
        assert_eq!(
            json(r#"{"data":"{\"password\":\"x\",\"b\":\"{\\\"token\\\":1}\"}"}"#),
            r#"{"data":"{\"password\":\"[Filtered]\",\"b\":\"{\\\"token\\\":\\\"[Filtered]\\\"}\"}"}"#
        );
        assert_eq!(
            json(r#"{"a":"\ud800 password=x"}"#),
            "{\"a\":\"\u{fffd}\u{fffd}\u{fffd} password=[Filtered]\"}"
        );
        assert_eq!(json(r#"{"a":"\ud800"}"#), r#"{"a":"\ud800"}"#);
    }

    /// Each line of the table: its result, and that scrubbing twice is the same as scrubbing once.
    #[test]
    fn cases() {
        let table = include_str!("scrub/cases.txt");
        let lines = table
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut wrong = Vec::new();
        let mut count = 0;
        for line in lines {
            let line = line.replace('⏎', "\n");
            let [kind, before, after, _] =
                line.split(" ¦ ").collect::<Vec<_>>().try_into().unwrap();
            let after = if after == "same" { before } else { after };
            let found = match kind {
                "json" => json(before),
                "text" => text(before),
                _ => panic!("{line}"),
            };
            if found != after {
                wrong.push(format!("{before}\n  became   {found}\n  expected {after}"));
            }
            count += 1;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(count >= 200, "{count}");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |depth: usize| format!("{}7{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(json(&deep(MAX_DEPTH)), deep(MAX_DEPTH));
        assert_eq!(
            json(&deep(MAX_DEPTH + 1)),
            format!(
                "{}{FILTERED_JSON}{}",
                "[".repeat(MAX_DEPTH),
                "]".repeat(MAX_DEPTH)
            )
        );
        let mut nested = r#"{"password":"x"}"#.to_owned();
        for level in 0..7 {
            nested = serde_json::to_string(&nested).unwrap();
            nested = format!(r#"{{"a":{nested}}}"#);
            let scrubbed = json(&nested);
            assert!(!scrubbed.contains(r#""x"#), "{level}: {scrubbed}");
        }
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        for (bad, offset) in [
            ("", 0),
            ("{", 1),
            ("[1,]", 3),
            ("{\"a\"}", 4),
            ("[1 2]", 3),
            ("nul", 0),
            ("[1]x", 3),
            ("{1:2}", 1),
        ] {
            let error = Scrubber::default().json(bad).unwrap_err();
            assert_eq!(error.offset, offset, "{bad}");
        }
    }
}
