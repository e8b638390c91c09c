//! The scrubber: secrets are planted in a JSON document, under keys and in forms that are listed; none may stay.
//! What is no JSON is scrubbed as text: in steps of any size it comes to the same, in work and to a length that are linear.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use oracles::random::Random;
use oracles::records::{CANARY, PREFIXES, SENSITIVE, nothing_sensitive_stays, still_json};
use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sls::scrub::Scrubber;
use sentry_edge_mirror_fuzz::json;
use serde_json::Value;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

/// FNV-1a: where and how secrets are planted follows from the input alone.
fn hash(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn secret(random: &mut Random) -> Value {
    match random.index(4) {
        0 => serde_json::json!([CANARY, {"a": CANARY}]),
        1 => serde_json::json!({"a": {"b": CANARY}, "c": [[CANARY]]}),
        2 => format!("{CANARY} \"{CANARY}\" {{{CANARY}&{CANARY}=\n").into(),
        _ => CANARY.into(),
    }
}

fn plant(value: &mut Value, random: &mut Random) {
    let word = SENSITIVE[random.index(SENSITIVE.len())];
    let key = format!("{}{word}", PREFIXES[random.index(PREFIXES.len())]);
    match value {
        Value::Object(members) => {
            members
                .values_mut()
                .for_each(|member| plant(member, random));
            if random.index(3) == 0 {
                members.insert(key, secret(random));
            }
        }
        Value::Array(values) => {
            values.iter_mut().for_each(|value| plant(value, random));
            if random.index(6) == 0 {
                *value = serde_json::json!([[key, secret(random)]]);
            }
        }
        Value::String(_) if random.index(8) == 0 => {
            *value = match random.index(3) {
                0 => format!("x=1&user%5B{key}%5D={CANARY}&y=z"),
                1 => format!("GET /\r\n{key}={CANARY}\r\nHost: x"),
                _ => serde_json::json!({key: secret(random)}).to_string(),
            }
            .into();
        }
        _ => {}
    }
}

/// Units for a byte of text at most, and beside them; and what a byte may become.
const UNITS: u64 = 2_000;
const UNITS_BESIDE: u64 = 50_000;
const GROWTH: usize = 12;

fn in_steps(scrubber: &Scrubber, text: &str, random: &mut Random) {
    let (whole, spent) = scrubber.text_in_steps(text, Meter::unlimited);
    let bytes = u64::try_from(text.len()).unwrap();
    assert!(spent <= UNITS * bytes + UNITS_BESIDE, "{spent} units");
    assert!(whole.len() <= GROWTH * text.len());
    let (steps, _) = scrubber.text_in_steps(text, || Meter::new(1 + random.below(100_000)));
    assert_eq!(steps, whole);
}

fuzz_target!(|data: &[u8]| {
    let scrubber = Scrubber::new(["customer_no"]);
    let text = String::from_utf8_lossy(data);
    // No more than that it ends: what is scrubbed may be JSON where the text was none, and lose more the second time.
    let _ = scrubber.text(&text);
    in_steps(&scrubber, &text, &mut Random(hash(data)));
    still_json(&scrubber, &text);
    let Ok(mut value) = serde_json::from_str::<Value>(&text) else {
        return;
    };
    // A string that spells it with an escape counts too.
    if value.to_string().contains(CANARY) {
        return;
    }
    plant(&mut value, &mut Random(hash(data)));
    nothing_sensitive_stays(&scrubber, &value.to_string());
});
