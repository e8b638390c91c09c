mod items;

use super::{MAX_LINE, Needs, Outcome, Review};
use crate::client_ip::ClientIp;
use crate::copies::copy::Copy;
use crate::copies::decide::Target;
use crate::copies::rules::{Rules, Sample};
use crate::copies::scrub::{Scrub, Scrubbing, Unscrubbable};
use crate::copies::settings::Destination;
use crate::header_list::HeaderList;
use crate::meter::Meter;
use crate::sentry::envelope::ItemHeader;
use std::io::Write as _;
use std::rc::Rc;
use std::task::Poll;

/// Not in a sample of a quarter, and in one.
const OUT: &str = "771a43a4192642f0b136d5159a501700";
const IN: &str = "e4b06ce60741c7a87ce42c8218072e8c";

fn copy(sample: f64, encoding: &str, body: &[u8]) -> Copy {
    let rules = Rules {
        sample: Sample::new(sample).unwrap(),
        ..Rules::default()
    };
    copy_with(rules, encoding, body)
}

fn copy_with(rules: Rules, encoding: &str, body: &[u8]) -> Copy {
    let destination = Destination {
        upstream: String::new(),
        share: 0,
        authority: String::new(),
        path_prefix: String::new(),
        dsn: None,
        is_ruled: rules.decide(),
        rules,
    };
    let mut headers = HeaderList::default();
    headers.push(b"content-encoding", encoding.as_bytes());
    Copy {
        target: Target {
            project: 42,
            destination: Rc::new(destination),
            is_envelope: true,
            category: 0,
        },
        headers,
        body: Rc::new(body.to_vec()),
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

const NEEDS: Needs<'static> = Needs {
    max_decoded_bytes: 1 << 24,
    scrub: Some(&Fake),
};

/// Scrubs events: `secret` is what is sensitive, and `no json` what cannot be scrubbed.
#[derive(Debug)]
struct Fake;

impl Scrub for Fake {
    fn takes(&self, header: &ItemHeader<'_>) -> bool {
        header.ty == "event"
    }

    fn begin(&self, _: ClientIp) -> Box<dyn Scrubbing> {
        Box::new(Fake)
    }
}

impl Scrubbing for Fake {
    fn step(
        &mut self,
        payload: &[u8],
        _: &mut Meter,
    ) -> Poll<Result<Option<String>, Unscrubbable>> {
        let text = std::str::from_utf8(payload).unwrap();
        Poll::Ready(match text {
            "no json" => Err(Unscrubbable),
            _ => Ok(text
                .contains("secret")
                .then(|| text.replace("secret", "[Filtered]"))),
        })
    }
}

/// What becomes of it, read in slices of so many units; and how many units that took.
fn outcome(copy: &Copy, slice: u64) -> (Outcome, u64) {
    let mut review = Review::default();
    for _ in 0..1_000_000 {
        let mut meter = Meter::new(slice);
        if let Poll::Ready(outcome) = review.step(copy, NEEDS, &mut meter) {
            return (outcome, review.spent);
        }
    }
    panic!("no end");
}

/// Whether it goes as it came.
fn read(copy: &Copy, slice: u64) -> (bool, u64) {
    let (outcome, spent) = outcome(copy, slice);
    assert!(matches!(outcome, Outcome::Goes | Outcome::NotSampled));
    (outcome == Outcome::Goes, spent)
}

fn goes(sample: f64, body: &str) -> bool {
    let plain = read(&copy(sample, "", body.as_bytes()), 1_000_000).0;
    let packed = gzip(body.as_bytes());
    for slice in [1, 3_000, 1_000_000] {
        assert_eq!(
            read(&copy(sample, "gzip", &packed), slice).0,
            plain,
            "{body}"
        );
    }
    plain
}

#[test]
fn the_trace_decides_and_then_the_event() {
    let rest = "{\"type\":\"event\"}\n{}\n";
    for (header, is_in) in [
        (format!(r#"{{"trace":{{"trace_id":"{IN}"}}}}"#), true),
        (format!(r#"{{"trace":{{"trace_id":"{OUT}"}}}}"#), false),
        (
            format!(r#"{{"event_id":"{OUT}","trace":{{"trace_id":"{IN}"}}}}"#),
            true,
        ),
        (
            format!(r#"{{"event_id":"{IN}","trace":{{"trace_id":"{OUT}"}}}}"#),
            false,
        ),
        (format!(r#"{{"event_id":"{OUT}"}}"#), false),
        (format!(r#"{{"event_id":"{IN}","trace":{{}}}}"#), true),
        (
            format!(
                r#"{{"event_id":"{}","trace":{{"trace_id":"x"}}}}"#,
                OUT.to_uppercase()
            ),
            false,
        ),
        // Nothing to decide by.
        ("{}".to_owned(), true),
        (r#"{"sent_at":"2026-01-01T00:00:00Z"}"#.to_owned(), true),
    ] {
        assert_eq!(goes(0.25, &format!("{header}\n{rest}")), is_in, "{header}");
        assert_eq!(goes(0.25, &header), is_in, "without items: {header}");
    }
}

#[test]
fn what_is_never_sampled_takes_its_envelope_along() {
    let envelope = |ty: &str| {
        format!(
            "{{\"event_id\":\"{OUT}\"}}\n{{\"type\":\"attachment\",\"length\":3}}\na\nb\n{{\"type\":\"{ty}\"}}\n{{}}\n"
        )
    };
    for ty in ["session", "sessions", "client_report", "check_in"] {
        assert!(goes(0.0, &envelope(ty)), "{ty}");
    }
    for ty in [
        "event",
        "transaction",
        "log",
        "profile",
        "feedback",
        "what_comes_next",
    ] {
        assert!(!goes(0.0, &envelope(ty)), "{ty}");
    }
}

#[test]
fn what_cannot_be_decided_goes() {
    let envelope = format!("{{\"event_id\":\"{OUT}\"}}\n{{\"type\":\"event\"}}\n{{}}\n");
    let whole = gzip(envelope.as_bytes());
    for (encoding, body) in [
        ("snappy", envelope.as_bytes()),
        ("gzip", envelope.as_bytes()),
        ("gzip", &whole[..whole.len() - 9]),
        ("", b""),
        ("", b"no envelope"),
        (
            "",
            format!("{{\"event_id\":\"{OUT}\"}}\n{{\"type\":\"event\"").as_bytes(),
        ),
    ] {
        assert!(read(&copy(0.0, encoding, body), 1_000_000).0, "{encoding}");
    }
    let long = |pad: usize| format!("{{\"event_id\":\"{OUT}\",\"x\":\"{}\"}}\n", "y".repeat(pad));
    assert!(!goes(0.0, &long(MAX_LINE / 2)));
    assert!(goes(0.0, &long(MAX_LINE)));
}

#[test]
fn of_what_goes_only_the_first_line_is_decoded() {
    let line = format!("{{\"event_id\":\"{IN}\"}}\n");
    let mut body = line.into_bytes();
    body.extend((0..4_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
    let (goes, spent) = read(&copy(0.25, "gzip", &gzip(&body)), 1_000_000);
    assert!(goes && spent < 500_000, "{spent}");
}
