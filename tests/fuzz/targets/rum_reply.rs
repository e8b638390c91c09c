//! What RUM, or the proxy in its place, answers: headers, an empty line, the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentry_edge_mirror::copies::reply::Reply;
use sentry_edge_mirror::delivery::verdict::Verdict;
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror_fuzz::{head_and_body, header, header_lines};

const NOW: Millis = Millis(1_795_240_000_000);

fuzz_target!(|data: &[u8]| {
    let (head, body) = head_and_body(data);
    let headers = header_lines(head);
    let value = |name: &str| {
        let mut found = headers.iter().filter(|(own, _)| own == name.as_bytes());
        found.next_back().map(|(_, value)| value.as_slice())
    };
    let status = header(&headers, ":status").and_then(|text| text.parse().ok());
    let from_target = value("x-envoy-upstream-service-time").is_some();
    let reply = Reply {
        status,
        retry_after: value("retry-after"),
        from_target,
        body,
        dispatch_status: value(":dispatch_status"),
    };
    let verdict = reply.verdict(NOW);
    let taken = matches!(status, Some(200..=299));
    assert_eq!(verdict == Verdict::Delivered, taken);
    assert_eq!(
        matches!(verdict, Verdict::Throttled { .. }),
        status == Some(429)
    );
    // A second copy may be sent only if the first was surely not taken.
    match verdict {
        Verdict::NotTaken { .. } => match status {
            Some(502 | 503) => {
                let local = !from_target && body.starts_with(b"upstream connect error");
                let text = String::from_utf8_lossy(body);
                let sure = [
                    "connection failure",
                    "connection timeout",
                    "overflow",
                    "refused stream reset",
                ];
                assert!(
                    !local || sure.iter().any(|reason| text.contains(reason)),
                    "{text}"
                );
            }
            None => assert!(value(":dispatch_status").is_some()),
            Some(status) => panic!("{status} is no reason to send it again"),
        },
        Verdict::Refused(status) => assert!(!(500..=599).contains(&status)),
        Verdict::Ambiguous(_) | Verdict::Delivered | Verdict::Throttled { .. } => {}
        Verdict::Again => panic!("nothing to be done better"),
        Verdict::Limited { .. } => panic!("RUM names no category"),
    }
});
