//! What clients send: envelopes with one event, each with the number of its request, at random moments.

use sentry_edge_mirror::delivery::backoff::Jitter;

/// Bytes of a body, on average: 64 KiB, scaled.
pub const BODY_BYTES: u64 = 1_024;
/// Projects that they are of.
pub const PROJECTS: u64 = 8;
/// Of so many workers one is busy,
pub const BUSY_ONE_OF: usize = 10;
/// and has so many times the requests of the others: balancers are not fair.
pub const BUSY_TIMES: f64 = 10.0;

const WORDS: [&str; 16] = [
    "undefined",
    "is",
    "not",
    "a",
    "function",
    "connection",
    "refused",
    "while",
    "reading",
    "cart",
    "timeout",
    "of",
    "the",
    "checkout",
    "request",
    "failed",
];

/// Requests a second of each worker, when those of the quiet ones are given.
#[must_use]
pub fn rate(worker: usize, quiet: f64) -> f64 {
    if worker.is_multiple_of(BUSY_ONE_OF) {
        quiet * BUSY_TIMES
    } else {
        quiet
    }
}

/// Milliseconds to the next request (Poisson).
#[must_use]
pub fn next_ms(rate: f64, random: &mut Jitter) -> u64 {
    let unit = (random.up_to(1 << 53) as f64 + 1.0) / ((1_u64 << 53) as f64 + 2.0);
    (-unit.ln() / rate * 1_000.0).round().max(1.0) as u64
}

/// The target and the body of a request.
#[must_use]
pub fn request(number: usize, random: &mut Jitter) -> (String, Vec<u8>) {
    let project = 1 + random.up_to(PROJECTS - 1);
    let size = BODY_BYTES / 2 + random.up_to(BODY_BYTES);
    let mut text = String::new();
    while (text.len() as u64) < size.saturating_sub(256) {
        let word = WORDS[usize::try_from(random.up_to(15)).unwrap_or(0)];
        text.push_str(word);
        text.push_str(&format!(" {:x} ", random.up_to(0xffff)));
    }
    let event = format!(
        r#"{{"event_id":"{number:032x}","level":"error","platform":"javascript","release":"shop@1.4.2","exception":{{"values":[{{"type":"TypeError","value":"{text}"}}]}}}}"#
    );
    let body = format!("{{\"event_id\":\"{number:032x}\"}}\n{{\"type\":\"event\"}}\n{event}\n");
    (format!("/api/{project}/envelope/"), body.into_bytes())
}
