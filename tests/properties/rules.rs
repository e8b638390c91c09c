//! Rules for copies: whatever they are, each request has one outcome and passes as it came, and no rule changes what it does
//! not name.

use crate::settings;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::drive::{Driver, Header, Passing};
use sentry_edge_mirror::sentry::decode::decode_all;
use sentry_edge_mirror::sentry::envelope::Envelope;
use sentry_edge_mirror::time::Millis;
use std::io::Write as _;

const SECRET: &str = "hunter2";
const TYPES: [&str; 5] = ["event", "attachment", "session", "log", "unknown"];
const CAP: usize = 1 << 20;
/// Longer than a copy waits for the primary.
const LONG_MS: u64 = 35_000;

#[derive(Clone, Debug)]
struct Rules {
    rate: bool,
    /// Fourths.
    sample: u8,
    items: bool,
    scrub: bool,
    only_accepted: bool,
    tight: bool,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Before the request is complete.
    Early(u16),
    Late(u16),
    Never,
}

#[derive(Clone, Debug)]
struct Sent {
    project: u8,
    id: Option<u128>,
    /// By type, and whether they hold what is sensitive.
    items: Vec<(usize, bool)>,
    /// It is no envelope.
    broken: bool,
    gzip: bool,
    answer: Answer,
    aborted: bool,
    wait: u64,
}

fn rules() -> impl Strategy<Value = Rules> {
    (
        any::<bool>(),
        0_u8..=4,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(rate, sample, items, scrub, only_accepted, tight)| Rules {
            rate,
            sample,
            items,
            scrub,
            only_accepted,
            tight,
        })
}

fn sent() -> impl Strategy<Value = Sent> {
    let status = || prop::sample::select(vec![200, 201, 400, 401, 403, 413, 429, 500, 503]);
    let answer = prop_oneof![
        1 => status().prop_map(Answer::Early),
        6 => status().prop_map(Answer::Late),
        1 => Just(Answer::Never),
    ];
    let items = prop::collection::vec((0..TYPES.len(), any::<bool>()), 0..4);
    (
        42_u8..44,
        prop::option::weighted(0.8, any::<u128>()),
        items,
        prop::bool::weighted(0.1),
        any::<bool>(),
        answer,
        prop::bool::weighted(0.1),
        prop_oneof![Just(0), 0_u64..50, Just(LONG_MS)],
    )
        .prop_map(
            |(project, id, items, broken, gzip, answer, aborted, wait)| Sent {
                project,
                id,
                items,
                broken,
                gzip,
                answer,
                aborted,
                wait,
            },
        )
}

fn config(rules: &Rules) -> Config {
    let sample = f64::from(rules.sample) / 4.0;
    let rate = if rules.rate {
        r#""rate": {"copies_per_s": 2},"#
    } else {
        ""
    };
    let items = if rules.items {
        r#""items": {"not": ["attachment"]},"#
    } else {
        ""
    };
    let limits = if rules.tight {
        r#", "limits": {"max_pending_bytes": 6000}"#
    } else {
        ""
    };
    let json = format!(
        r#"{{"rum": {{"upstream": "rum", "authority": "a", "sample": {sample}, {rate} {items} "scrub": {}, "only_accepted": {},
            "default": {{"workspace": "w", "service_id": "s"}}}} {limits}}}"#,
        rules.scrub, rules.only_accepted
    );
    Config::parse(json.as_bytes(), &|_| None).unwrap()
}

fn body(sent: &Sent) -> Vec<u8> {
    let mut body = match sent.id {
        Some(id) => format!("{{\"event_id\":\"{id:032x}\"}}\n"),
        None => "{}\n".to_owned(),
    };
    for (ty, is_sensitive) in &sent.items {
        let key = if *is_sensitive { "password" } else { "message" };
        let payload = format!("{{\"{key}\":\"{SECRET}\"}}");
        let length = payload.len();
        let ty = TYPES[*ty];
        body.push_str(&format!(
            "{{\"type\":\"{ty}\",\"length\":{length}}}\n{payload}\n"
        ));
    }
    if sent.broken {
        body.push_str("x\n");
    }
    if !sent.gzip {
        return body.into_bytes();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn headers(sent: &Sent) -> Vec<Header> {
    let path = format!("/api/{}/envelope/", sent.project);
    let encoding = if sent.gzip { "gzip" } else { "" };
    let headers = [
        (":method", "POST"),
        (":path", &path),
        ("content-encoding", encoding),
    ];
    headers
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .to_vec()
}

/// The body of a call, and its encoding.
type Called = (Vec<u8>, Vec<u8>);
/// What was counted, by name.
type Counted = Box<dyn Fn(&str) -> i64>;

/// Answers every call; gives their bodies, with the encoding.
fn answer_all(driver: &mut Driver, bodies: &mut Vec<Called>) {
    loop {
        let calls = std::mem::take(&mut driver.written.calls);
        if calls.is_empty() {
            return;
        }
        for call in calls {
            driver.answer(call.token, Some(200), &|_| None, b"");
            let mut headers = call.headers.into_iter();
            let encoding = headers.find(|(name, _)| name == b"content-encoding");
            bodies.push((call.body, encoding.map_or(Vec::new(), |(_, value)| value)));
        }
    }
}

fn respond(driver: &mut Driver, passing: &mut Passing, status: u16) {
    let header = (b":status".to_vec(), status.to_string().into_bytes());
    passing.respond(driver, vec![header]);
}

fn is_refusal(answer: Answer) -> bool {
    match answer {
        Answer::Early(status) | Answer::Late(status) => matches!(status, 401 | 403 | 413 | 429),
        Answer::Never => false,
    }
}

/// Lets the core handle them all, and gives what was called and what was counted.
fn run(rules: &Rules, all: &[Sent]) -> (Vec<Called>, Counted) {
    let mut driver = Driver::new(config(rules), Millis(1_767_225_600_000), "test");
    let mut bodies = Vec::new();
    for (number, sent) in (0..).zip(all) {
        let body = body(sent);
        let mut passing = Passing::new(number, headers(sent));
        passing.headers(&mut driver, false);
        let (first, rest) = body.split_at(body.len() / 2);
        passing.piece(&mut driver, first, false);
        if let Answer::Early(status) = sent.answer {
            respond(&mut driver, &mut passing, status);
        }
        if !sent.aborted {
            passing.piece(&mut driver, rest, true);
            assert_eq!(passing.stream.passed, body, "it passes as it came");
            driver.advance(sent.wait, |driver| answer_all(driver, &mut bodies));
            if let Answer::Late(status) = sent.answer {
                respond(&mut driver, &mut passing, status);
            }
        }
        passing.gone(&mut driver);
        answer_all(&mut driver, &mut bodies);
    }
    driver.advance(LONG_MS, |driver| answer_all(driver, &mut bodies));
    let metrics = driver.written.metrics;
    let counted = move |name: &str| {
        let name = format!("sentry_edge_mirror.rum.{name}");
        metrics.get(&name).copied().unwrap_or_default()
    };
    (bodies, Box::new(counted))
}

fn plain(body: &[u8], encoding: &[u8]) -> Vec<u8> {
    decode_all(body, encoding, CAP).unwrap().into_owned()
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn each_request_has_one_outcome(rules in rules(), all in prop::collection::vec(sent(), 1..12)) {
        let (bodies, counted) = run(&rules, &all);
        let skipped = ["aborted", "refused", "sampled", "items", "unscrubbable", "limited"];
        let skipped = skipped.map(|reason| counted(&format!("skipped.{reason}")));
        let captured = counted("captured");
        let ends = ["delivered", "failed", "dropped"].map(&counted);
        prop_assert_eq!(captured, ends.iter().sum::<i64>(), "{:?}", ends);
        let every: i64 = skipped.iter().sum();
        prop_assert_eq!(captured + every, i64::try_from(all.len()).unwrap(), "{:?}", skipped);
        for gauge in ["pending", "queued", "pending_bytes", "in_flight", "collecting_bytes"] {
            prop_assert_eq!(counted(gauge), 0, "{}", gauge);
        }
        prop_assert!(rules.tight || ends == [captured, 0, 0]);
        prop_assert_eq!(counted("delivered"), i64::try_from(bodies.len()).unwrap());
        let [aborted, refused, sampled, items, unscrubbable, limited] = skipped;
        prop_assert!(rules.only_accepted || refused == 0);
        prop_assert!(rules.sample < 4 || sampled == 0);
        prop_assert!(rules.items || items == 0);
        prop_assert!(rules.scrub || unscrubbable == 0);
        prop_assert!(rules.rate || limited == 0);
        let gone = all.iter().filter(|sent| sent.aborted).count();
        prop_assert!(aborted <= i64::try_from(gone).unwrap());
        if rules.only_accepted && !rules.tight {
            let refusals = all.iter().filter(|sent| {
                let early = matches!(sent.answer, Answer::Early(_));
                // What waits longer than the leg has patience has gone.
                is_refusal(sent.answer) && (early || !sent.aborted && sent.wait < LONG_MS)
            });
            prop_assert_eq!(refused, i64::try_from(refusals.count()).unwrap());
        }
    }

    #[test]
    fn no_rule_changes_what_it_does_not_name(rules in rules(), all in prop::collection::vec(sent(), 1..12)) {
        let (bodies, _) = run(&rules, &all);
        let came: Vec<(Vec<u8>, &Sent)> = all.iter().map(|sent| (body(sent), sent)).collect();
        for (body, encoding) in bodies {
            let untouched = came.iter().any(|(came, _)| *came == body);
            if !rules.items && !rules.scrub {
                prop_assert!(untouched);
                continue;
            }
            // What is new is not encoded.
            prop_assert!(untouched || encoding.is_empty());
            let body = plain(&body, &encoding);
            let envelope = Envelope::read(&body).unwrap();
            let id = envelope.header.event_id;
            let found: Vec<(String, String)> = envelope
                .map(|item| {
                    let item = item.unwrap();
                    let payload = String::from_utf8(item.payload.to_vec()).unwrap();
                    (item.header.ty.into_owned(), payload)
                })
                .collect();
            let expected = |sent: &Sent| -> Vec<(String, String)> {
                let items = sent.items.iter().map(|(ty, is_sensitive)| (TYPES[*ty], *is_sensitive));
                let goes = items.filter(|(ty, _)| !rules.items || *ty != "attachment");
                goes.map(|(ty, is_sensitive)| {
                    let is_json = !matches!(ty, "attachment" | "unknown");
                    let key = if is_sensitive { "password" } else { "message" };
                    let hidden = rules.scrub && is_json && is_sensitive;
                    let value = if hidden { "[Filtered]" } else { SECRET };
                    (ty.to_owned(), format!("{{\"{key}\":\"{value}\"}}"))
                })
                .collect()
            };
            let is_its = |sent: &Sent| {
                let same_id = sent.id.map(|id| format!("{id:032x}")) == id.map(|id| id.to_string());
                same_id && expected(sent) == found
            };
            prop_assert!(came.iter().any(|(_, sent)| is_its(sent)), "{:?}", found);
        }
    }
}
