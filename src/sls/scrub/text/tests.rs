//! The scan in steps: the same as at once, within its bounds for what is made to be expensive.

use std::borrow::Cow;

use super::*;
use crate::sls::scrub::Scrubber;

/// Units for a byte at most, and beside them.
const K: u64 = 1_500;
const C: u64 = 20_000;
/// A step spends at most so much more than it was given.
const OVERSHOOT: u64 = 300_000;

/// What is repeated, and what stands in front of it.
const HOSTILE: &[(&str, &str)] = &[
    ("", "="),
    ("", ":"),
    ("", "::"),
    ("", ","),
    ("", "-"),
    ("", "\\"),
    ("", "%"),
    ("", "%3D"),
    ("", "token%3D"),
    ("", "token="),
    ("", "token=token="),
    ("", "token=x&"),
    ("", "sig=x&"),
    ("", "token: \"x\" "),
    ("", "a_b_a_b_a_b_a_b_a_b_a_b_a_b_a_b_a_b_a_b_a_b_a_b="),
    ("", "tokentypecookienamesecretarypassaw="),
    ("", "%70%61%73%73="),
    ("", "\\u0070\\u0061="),
    ("", "token          = "),
    (
        "",
        "token:abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz=",
    ),
    ("", "token: str = \"x\" "),
    ("token=", " "),
    ("", "://"),
    ("", "://a:b@"),
    ("://", "a"),
    ("://a:", "1 1@"),
    ("", "%3A%2F%2F"),
    ("%3A%2F%2F", "a%3Ab%40"),
    ("", "4 "),
    ("", "4"),
    ("", "4444-"),
    ("", "4111 1111 1111 1111 "),
    ("", "3000 0000 0000 0000 "),
    ("token=", "["),
    ("token=", "[\"'"),
    ("token=", "()"),
    ("token=\"", "x\\\""),
    ("token=\\\"", "\\\\\\"),
    ("token=%22", "%2"),
    ("", "token=\"\"\""),
    ("", "bearer "),
    ("bearer", " "),
    ("", "-----BEGIN "),
    ("", "-----BEGIN PRIVATE KEY AAAAAAAAAAAAAAAAAA-----"),
    ("-----BEGIN PRIVATE KEY-----", "-----EN "),
    ("", "-----BEGIN PRIVATE KEY-----x-----END"),
    ("cookie: ", "a; "),
    ("cookie=", "a=\"b\"; "),
    ("", "cookie=a\n"),
    ("", "('token', "),
    ("", "['token','x',"),
    ("", "'token',"),
    ("", "eyJ"),
    ("", "eyJ."),
    ("", ".eyJaaaaaaaaaaa"),
    ("", "eyJaaaaaaaaaaaa.eyJ "),
    ("", "eyJ-"),
    ("", "s "),
    ("", "sk-"),
    ("", " sk-0123456789abcdef0123456789abcdef"),
    ("", " xoxb-xoxb"),
    ("", "ghp_0123456789abcdef0123 "),
    ("", "密"),
    ("", "密token=码 "),
];

/// What it comes to in steps of so many units; that each step keeps to them.
fn in_steps<'a>(
    scrubber: &Scrubber,
    text: &'a str,
    mut units: impl FnMut() -> u64,
) -> Cow<'a, str> {
    let mut scan = TextScan::new();
    loop {
        let units = units();
        let mut meter = Meter::new(units);
        let done = scan.step(&scrubber.keys, text, &mut meter);
        assert!(meter.spent() <= units + OVERSHOOT, "{}", meter.spent());
        if done.is_ready() {
            return scan.finish(text).map_or(Cow::Borrowed(text), Cow::Owned);
        }
    }
}

fn check(scrubber: &Scrubber, text: &str, units: u64, k: u64) {
    let (whole, spent) = scrubber.text_in_steps(text, Meter::unlimited);
    let length = u64::try_from(text.len()).unwrap_or_default();
    let name: String = text.chars().take(40).collect();
    assert!(spent <= k * length + C, "{name}: {} a byte", spent / length);
    assert!(whole.len() <= 4 * text.len() + 10, "{name}");
    assert_eq!(in_steps(scrubber, text, || units), whole, "{name}");
}

#[test]
fn hostile_texts_are_linear() {
    let scrubber = Scrubber::default();
    for (front, part) in HOSTILE {
        let text = [*front, &part.repeat(20_000 / part.len())].concat();
        check(&scrubber, &text, 7_000, K);
        check(&scrubber, &text, 1, K);
    }
}

#[test]
fn many_configured_keys_are_a_factor() {
    let scrubber = Scrubber::new((0..200).map(|index| format!("key{index}_of_customer")));
    for (front, part) in HOSTILE {
        let text = [*front, &part.repeat(20_000 / part.len())].concat();
        check(&scrubber, &text, 7_000, 2 * K);
    }
    let text = "key7_of_customer=x&keyof=y key8_of_customer: z".repeat(50);
    let (scrubbed, _) = scrubber.text_in_steps(&text, Meter::unlimited);
    assert!(!scrubbed.contains("=x") && scrubbed.contains("keyof=y"));
}

#[test]
fn steps_of_any_size_come_to_the_same() {
    let scrubber = Scrubber::new(["customer_no"]);
    // A generator of its own: xorshift.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or_default() % below
    };
    for _ in 0..3_000 {
        let mut text = String::new();
        for _ in 0..random(12) {
            let (front, part) = HOSTILE[random(HOSTILE.len())];
            text.push_str(front);
            text.push_str(&part.repeat(1 + random(3)));
            text.push_str(["", " ", "x", "\"", "'", "\n", ")", "="][random(8)]);
            // Longer than what is looked at between two looks at the meter.
            if random(40) == 0 {
                text.push_str(&"y".repeat(3_000));
            }
        }
        let (whole, _) = scrubber.text_in_steps(&text, Meter::unlimited);
        let steps = in_steps(&scrubber, &text, || {
            u64::try_from(1 + random(60_000)).unwrap_or(1)
        });
        assert_eq!(steps, whole, "{text}");
        // The quick look lets nothing through.
        assert!(whole == text || scrubber.keys.suspects(&text), "{text}");
        // Long enough to hide a key from what follows it, a text may lose more the second time.
        if text.len() < 100 {
            let twice = scrubber.text_in_steps(&whole, Meter::unlimited).0;
            assert_eq!(twice, whole, "{text}");
        }
    }
}
