//! What a target's answer means, and the waits that follow.

use sentry_edge_mirror::copies::reply::Reply;
use sentry_edge_mirror::delivery::backoff::{Backoff, Jitter};
use sentry_edge_mirror::delivery::verdict::Verdict;
use sentry_edge_mirror::time::Millis;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// 2023-11-14T22:13:20Z
const NOW: Millis = Millis(1_700_000_000_000);
const RESET: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

fn not_taken(status: u16) -> Verdict {
    Verdict::NotTaken {
        status,
        retry_after_ms: None,
    }
}

/// `Retry-After` and the milliseconds that it asks for.
const RETRY_AFTER: &[(&str, Option<u64>)] = &[
    ("7", Some(7_000)),
    ("0", Some(0)),
    (" 60 ", Some(60_000)),
    ("0.25", Some(250)),
    ("4294968", Some(4_294_968_000)),
    ("1e300", Some(u64::MAX)),
    ("Tue, 14 Nov 2023 22:13:30 GMT", Some(10_000)),
    ("Tue, 14 Nov 2023 22:13:10 GMT", Some(0)),
    ("Fri, 01 Jan 1960 00:00:00 GMT", None),
    ("-5", None),
    ("inf", None),
    ("NaN", None),
    ("tomorrow", None),
    ("", None),
];

#[test]
fn answers_of_the_target() {
    for (statuses, verdict) in [
        (200..=299, (|_| Verdict::Delivered) as fn(u16) -> Verdict),
        (100..=199, Verdict::Ambiguous),
        (300..=428, Verdict::Refused),
        (429..=429, |_| Verdict::Throttled {
            retry_after_ms: None,
        }),
        (430..=499, Verdict::Refused),
        (500..=501, Verdict::Ambiguous),
        (502..=503, not_taken),
        (504..=599, Verdict::Ambiguous),
        (600..=600, Verdict::Refused),
        (u16::MAX..=u16::MAX, Verdict::Refused),
    ] {
        for status in statuses {
            let reply = Reply {
                status: Some(status),
                from_target: true,
                ..Reply::default()
            };
            assert_eq!(reply.verdict(NOW), verdict(status), "{status}");
        }
    }
}

#[test]
fn answers_of_the_proxy() {
    for (status, body, verdict) in [
        (
            503,
            format!("{RESET}remote connection failure"),
            not_taken(503),
        ),
        (
            503,
            format!("{RESET}remote connection failure, transport failure reason: x"),
            not_taken(503),
        ),
        (503, format!("{RESET}connection timeout"), not_taken(503)),
        (503, format!("{RESET}overflow"), not_taken(503)),
        (
            503,
            format!("{RESET}remote refused stream reset"),
            not_taken(503),
        ),
        (
            503,
            format!("{RESET}connection termination"),
            Verdict::Ambiguous(503),
        ),
        (
            502,
            format!("{RESET}protocol error"),
            Verdict::Ambiguous(502),
        ),
        (503, "no healthy upstream".to_owned(), not_taken(503)),
        (
            504,
            "upstream request timeout".to_owned(),
            Verdict::Ambiguous(504),
        ),
    ] {
        let reply = Reply {
            status: Some(status),
            body: body.as_bytes(),
            ..Reply::default()
        };
        assert_eq!(reply.verdict(NOW), verdict, "{body}");
    }
    for (text, verdict) in [
        ("timeout", Verdict::Ambiguous(0)),
        ("broken connection", Verdict::Ambiguous(0)),
        ("reader failure", Verdict::Ambiguous(0)),
        ("resolver failure", not_taken(0)),
        ("tls handshake failure", not_taken(0)),
    ] {
        let reply = Reply {
            dispatch_status: Some(text.as_bytes()),
            ..Reply::default()
        };
        assert_eq!(reply.verdict(NOW), verdict, "{text}");
    }
    assert_eq!(Reply::default().verdict(NOW), Verdict::Ambiguous(0));
}

#[test]
fn retry_after() {
    let asked = |status, value: &[u8]| {
        let reply = Reply {
            status: Some(status),
            retry_after: Some(value),
            from_target: true,
            ..Reply::default()
        };
        match reply.verdict(NOW) {
            Verdict::Throttled { retry_after_ms } | Verdict::NotTaken { retry_after_ms, .. } => {
                retry_after_ms
            }
            other => panic!("{other:?}"),
        }
    };
    for status in [429, 502, 503] {
        for (value, ms) in RETRY_AFTER {
            assert_eq!(asked(status, value.as_bytes()), *ms, "{value}");
        }
        assert_eq!(asked(status, b"\xff"), None);
    }
}

#[test]
fn waits() {
    let backoff = Backoff::new(500, 30_000).unwrap();
    let ceilings = [
        (0, 500),
        (1, 500),
        (2, 1_000),
        (3, 2_000),
        (6, 16_000),
        (7, 30_000),
        (64, 30_000),
        (u32::MAX, 30_000),
    ];
    let mut jitter = Jitter::new(u64::MAX);
    for (attempts, ceiling) in ceilings {
        assert_eq!(backoff.ceiling(attempts), ceiling, "{attempts}");
        for _ in 0..100 {
            assert!(backoff.wait(attempts, &mut jitter) <= ceiling);
        }
    }
    assert_eq!(
        Backoff::new(u64::MAX, u64::MAX).unwrap().ceiling(u32::MAX),
        u64::MAX
    );
}
