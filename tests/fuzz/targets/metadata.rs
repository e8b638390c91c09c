//! A metadata service that says anything: answers, separated by a byte that is never in UTF-8. The first byte of each says
//! what comes: its low bits the status, or that there is none, its high ones how much time passes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentry_edge_mirror::sls::metadata::{RamRole, Reply};

const T0: u64 = 1_709_190_489_000;
const STATUS: [u16; 8] = [200, 200, 200, 404, 403, 500, 0, u16::MAX];
const WAIT_MS: [u64; 8] = [0, 1, 500, 1_000, 2_500, 60_000, 900_000, 90_000_000];

fuzz_target!(|data: &[u8]| {
    let mut role = RamRole::new(None, 7);
    let (mut now, mut last_round) = (T0, None);
    let mut bodies: Vec<&[u8]> = Vec::new();
    for answer in data.split(|byte| *byte == 0xff) {
        let (first, body) = answer.split_first().unwrap_or((&6, b""));
        let status = STATUS[usize::from(first & 7)];
        let wake = role.wake_at();
        if let Some(request) = role.next_request(now) {
            assert!(wake <= now, "not before it is due");
            assert!(
                request
                    .headers
                    .iter()
                    .all(|(_, value)| value.bytes().all(|byte| byte.is_ascii_graphic()))
            );
            assert!(
                request.path.bytes().all(|byte| byte.is_ascii_graphic())
                    && !request.path.contains(['?', '#'])
            );
            if request.method == "PUT" {
                assert!(
                    last_round.is_none_or(|last| now - last >= 1_000),
                    "rounds are a second apart"
                );
                last_round = Some(now);
            }
            let reply = Reply {
                status,
                date: None,
                received_ms: now,
                body,
            };
            match status {
                0 => role.on_failure(now, request.id),
                _ => role.on_reply(now, request.id, &reply),
            }
            bodies.push(body);
            // Once more, and from nowhere.
            role.on_reply(now, request.id, &reply);
            role.on_failure(now, request.id.wrapping_add(1));
        }
        if let Some(credential) = role.current(now) {
            let secret = credential.access_key_secret().expose();
            assert!(!secret.is_empty() && credential.expires_ms().is_some_and(|ms| ms > now));
            let shown = format!("{credential:?}{role:?}");
            assert!(secret.len() < 12 || !shown.contains(secret), "{shown}");
        }
        now = now.saturating_add(WAIT_MS[usize::from(first >> 3 & 7)]);
    }
    assert!(
        role.current(now).is_none() || bodies.iter().any(|body| body.len() > 40),
        "a credential from nowhere"
    );
});
