//! What SLS, or the proxy in its place, answers to a write: headers, an empty line, the body.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use sentry_edge_mirror::sls::clock::Clock;
use sentry_edge_mirror::sls::response::{Decision, Pace, Reason, classify};
use sentry_edge_mirror_fuzz::{head_and_body, header, header_lines, json};

const NOW_MS: u64 = 1_795_240_000_000;
/// Whatever a target asks for, nothing is held back for longer.
const LONGEST_MS: u64 = 86_400_000;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let (head, body) = head_and_body(data);
    let headers = header_lines(head);
    let status = header(&headers, ":status")
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    let decision = classify(status, |name| header(&headers, name), body);
    let from_sls = header(&headers, "x-log-requestid").is_some_and(|id| !id.is_empty());
    let done = status == 200 || (from_sls && (200..300).contains(&status));
    assert_eq!(decision == Decision::Done, done);
    if !done && !from_sls {
        assert!(
            matches!(decision, Decision::RetryAfter(Reason::Transport, _)),
            "nothing is given up because of a proxy"
        );
    }
    match decision {
        Decision::RetryAfter(_, Pace::AtLeast(ms)) => assert!(ms <= LONGEST_MS),
        Decision::RetryNow { server_ms } => {
            let mut clock = Clock::default();
            clock.learn(NOW_MS, server_ms);
            let corrected = clock.now(NOW_MS);
            clock.learn(NOW_MS, server_ms);
            assert_eq!(
                clock.now(NOW_MS),
                corrected,
                "the same answer twice teaches nothing more"
            );
        }
        _ => {}
    }
});
