//! Mode `sign`: writes of other programs come, in pieces, and break off; keys come and end. Each request ends in one
//! outcome, what goes on is signed with the key of that moment, and all that is held fits in the budget.

use super::metadata::{self, Keys, TOKEN};
use super::proxy::{Proxy, SECRET, lines};
use super::signed::is_signed;
use super::story::Story;
use sentry_edge_mirror::meter::{Meter, TICK};
use sentry_edge_mirror::metric::{Leg, Metric};
use sentry_edge_mirror::outcome::{AnswerClass, DenyReason};
use sentry_edge_mirror::worker::signing::{LocalAnswer, REQUEST, Write};
use std::task::Poll;

const MAX_BODY: usize = 32_000;
const REGION: &str = "cn-test";
/// What an open request may cost beside its headers and its body.
const OVERHEAD: usize = 4_096;
/// Three times the timeout of a call for a key, in milliseconds.
const LATE: u64 = 6_000;
const MOST_OPEN: usize = 30;
/// What a callback may spend: as in the proxy, and so little that every body is hashed in turns.
const METERS: [u64; 6] = [REQUEST, REQUEST, TICK, 300_000, 5, 0];

/// Requests, and what is wrong with them.
const TARGETS: [(&str, &[u8], Option<DenyReason>); 9] = [
    ("POST", b"/logstores/app-log", None),
    ("POST", b"/logstores/app-log/shards/lb", None),
    ("POST", b"/logstores/app-log/shards/route?key=ab12", None),
    ("POST", b"/logstores/other", Some(DenyReason::Forbidden)),
    ("GET", b"/logstores/app-log", Some(DenyReason::Forbidden)),
    (
        "POST",
        b"/logstores/app-log?a=b",
        Some(DenyReason::Forbidden),
    ),
    (
        "POST",
        b"/logstores/app-log/shards/route",
        Some(DenyReason::Malformed),
    ),
    (
        "POST",
        b"/logstores/app-log?key=%ff",
        Some(DenyReason::Malformed),
    ),
    (
        "POST",
        b"/logstores/app-log\xff",
        Some(DenyReason::Malformed),
    ),
];

type Lines = &'static [(&'static str, &'static [u8])];

/// What the client says beside that, and whether it can be signed.
const HEADERS: [(Lines, bool); 5] = [
    (&[], true),
    (
        &[
            ("authorization", b"LOG s3cr3t-of-a-client:x"),
            ("x-acs-security-token", b"s3cr3t-of-a-client"),
            ("date", b"s3cr3t-of-a-client"),
            ("content-md5", b"s3cr3t-of-a-client"),
            ("x-log-content-sha256", b"s3cr3t-of-a-client"),
            ("x-log-bodyrawsize", b"4000"),
            ("x-log-compresstype", b"lz4"),
            ("user-agent", b"caf\xc3\xa9"),
        ],
        true,
    ),
    (&[("x-log-compresstype", b"lz4")], false),
    (
        &[("x-log-bodyrawsize", b"1"), ("x-log-bodyrawsize", b"2")],
        false,
    ),
    (&[("x-log-x", b"\xff")], false),
];

struct Open {
    stream: u32,
    write: Write,
    head: Vec<(Vec<u8>, Vec<u8>)>,
    target: String,
    can_be_signed: bool,
    body: Vec<u8>,
    /// It is complete.
    ended: bool,
    has_left: bool,
}

impl Open {
    fn bytes(&self) -> usize {
        self.head
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
            + self.body.len()
    }
}

pub struct Writes {
    proxy: Proxy,
    keys: Keys,
    v4: bool,
    max_pending: usize,
    open: Vec<Open>,
    streams: u32,
    /// What the counters must come to.
    received: i64,
    signed: i64,
    aborted: i64,
    unanswered: i64,
    bytes: usize,
    denied: [i64; DenyReason::ALL.len()],
    answered: [i64; AnswerClass::ALL.len()],
}

impl Writes {
    /// Plays a story to its end.
    pub fn play(bytes: &[u8]) -> Self {
        let mut story = Story::new(bytes);
        let mut writes = Self::new(&mut story);
        while !story.is_over() && !writes.proxy.is_over() {
            writes.event(&mut story);
            writes.check(false);
        }
        writes.all_turns_come();
        while !writes.open.is_empty() {
            writes.gone(0);
        }
        // A clock that has just leapt to where a tick was due hides it, for the longest time between two.
        writes.proxy.pass(61_000);
        let is_over = writes.proxy.is_over();
        writes.check(!is_over);
        writes
    }

    pub fn shown(&self, metric: Metric) -> i64 {
        self.proxy.shown(Leg::Sign, metric)
    }

    fn new(story: &mut Story<'_>) -> Self {
        let (role, v4) = (story.below(2) == 1, story.below(2) == 1);
        // A few bodies; less is not taken.
        let max_pending = MAX_BODY + 65_536 + 100 * usize::from(story.byte());
        let signature = if v4 {
            format!(r#""v4", "region": "{REGION}""#)
        } else {
            r#""v1""#.to_owned()
        };
        let credential = Keys::json(role);
        let config = format!(
            r#"{{"mode": "sign", "sign": {{"logstores": ["app-log"]}}, "sls": {{"endpoint": "{REGION}.log.aliyuncs.com", "project": "proj",
                "credential": {credential}, "signature": {signature}}},
                "limits": {{"max_body_bytes": {MAX_BODY}, "max_pending_bytes": {max_pending}}}}}"#
        );
        Self {
            proxy: Proxy::new(&config),
            keys: Keys::new(role),
            v4,
            max_pending,
            open: Vec::new(),
            streams: 0,
            received: 0,
            signed: 0,
            aborted: 0,
            unanswered: 0,
            bytes: 0,
            denied: [0; DenyReason::ALL.len()],
            answered: [0; AnswerClass::ALL.len()],
        }
    }

    fn event(&mut self, story: &mut Story<'_>) {
        let which = story.below(self.open.len());
        match story.below(10) {
            0..=2 if self.open.len() < MOST_OPEN => self.begin(story),
            3 | 4 if !self.open.is_empty() => self.grow(which, story),
            5 | 6 if !self.open.is_empty() => {
                let mut meter = Meter::new(story.pick(&METERS));
                if !self.open[which].has_left && !self.open[which].ended {
                    self.end(which, !story.rarely(), &mut meter);
                }
                self.proxy.settle();
            }
            7 if !self.open.is_empty() => self.respond(which, story),
            8 if !self.open.is_empty() && story.rarely() => self.gone(which),
            8 if !self.proxy.out.is_empty() => self.metadata(story),
            _ => {
                self.proxy.whim(story);
                let meter = story.pick(&METERS);
                self.turns(meter, story.rarely());
            }
        }
    }

    /// What a tick does for the writes that wait; the host may fail to hand out their bodies.
    fn turns(&mut self, units: u64, unreadable: bool) {
        if !self.proxy.plugin.has_turns() {
            return;
        }
        assert!(
            self.proxy.clocks.is_ticking() || self.proxy.is_over(),
            "nobody will come for what waits"
        );
        self.proxy.clocks.look();
        let wall = self.proxy.wall();
        if !self.proxy.plugin.turns_begin(wall) {
            return;
        }
        let mut meter = Meter::new(units);
        while let Some(stream) = self.proxy.plugin.next_turn(&mut meter) {
            let found = self.open.iter().position(|open| open.stream == stream);
            let Some(which) = found.filter(|which| !self.open[*which].has_left) else {
                continue;
            };
            let open = &mut self.open[which];
            let body = &open.body;
            let mut asked = false;
            let read = |start, size| {
                asked = true;
                (!unreadable).then(|| body[start..start + size].to_vec())
            };
            match self
                .proxy
                .plugin
                .write_turn(&mut open.write, read, &mut meter)
            {
                Ok(true) => {
                    assert!(open.ended);
                    self.end(which, true, &mut meter);
                }
                Ok(false) => {}
                Err(answer) => {
                    assert!(asked && unreadable);
                    self.denied(&answer, DenyReason::Host, 0);
                    self.open.swap_remove(which);
                }
            }
        }
        self.proxy.plugin.turns_end(wall, wall);
        self.proxy.settle();
    }

    /// However many wait, and however little a tick may do: each comes to its end.
    fn all_turns_come(&mut self) {
        for _ in 0..2_000 {
            let mut open = self.open.iter();
            if self.proxy.is_over() || open.all(|open| open.has_left || !open.ended) {
                return;
            }
            self.proxy.pass(3);
            self.turns(300_000, false);
        }
        panic!("a write waits for ever");
    }

    fn begin(&mut self, story: &mut Story<'_>) {
        // Most are in order.
        let (method, target, wrong) = if story.rarely() {
            story.pick(&TARGETS)
        } else {
            story.pick(&TARGETS[..3])
        };
        let (own, can_be_signed) = if story.rarely() {
            story.pick(&HEADERS)
        } else {
            story.pick(&HEADERS[..2])
        };
        let length = story.pick(&[
            None,
            Some(0_usize),
            Some(100),
            Some(MAX_BODY),
            Some(MAX_BODY + 1),
        ]);
        let mut head: Vec<(Vec<u8>, Vec<u8>)> = vec![
            (b":method".to_vec(), method.into()),
            (b":path".to_vec(), target.into()),
            (b":authority".to_vec(), b"edge".to_vec()),
        ];
        head.extend(
            own.iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        );
        head.extend(
            length.map(|length| (b"content-length".to_vec(), length.to_string().into_bytes())),
        );
        let head_bytes = head
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>();
        let pairs = head
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        let now = self.proxy.clocks.now();
        self.received += 1;
        self.streams += 1;
        let stream = self.streams;
        let begun = self.proxy.plugin.write_begins(stream, pairs, head_bytes);
        let too_large = length
            .filter(|length| *length > MAX_BODY)
            .map(|_| DenyReason::TooLarge);
        let wrong = wrong.or(too_large).or_else(|| {
            self.keys
                .current(now)
                .is_none()
                .then_some(DenyReason::NoCredential)
        });
        match begun {
            Ok(write) => {
                assert_eq!(wrong, None, "let in");
                let target = String::from_utf8(target.to_vec()).unwrap();
                self.open.push(Open {
                    stream,
                    write,
                    head,
                    target,
                    can_be_signed,
                    body: Vec::new(),
                    ended: false,
                    has_left: false,
                });
            }
            Err(answer) => self.denied(&answer, wrong.unwrap_or(DenyReason::NoRoom), head_bytes),
        }
        self.proxy.settle();
    }

    fn grow(&mut self, which: usize, story: &mut Story<'_>) {
        let size = 160 * usize::from(story.byte());
        let fill = story.rarely().then(|| story.below(2));
        let mut meter = Meter::new(story.pick(&METERS));
        let open = &mut self.open[which];
        if open.has_left || open.ended {
            return;
        }
        let piece = format!("{SECRET}{size};").into_bytes();
        open.body.extend(piece.iter().cycle().take(size));
        let body = &open.body;
        let mut asked = false;
        let read = |start, size| {
            asked = true;
            match fill {
                // Short, or nothing.
                Some(0) => Some(body[start..start + size - 1].to_vec()),
                Some(_) => None,
                None => Some(body[start..start + size].to_vec()),
            }
        };
        let grown = self
            .proxy
            .plugin
            .write_grows(&mut open.write, body.len(), read, &mut meter);
        let wrong = match fill {
            _ if body.len() > MAX_BODY => Some(DenyReason::TooLarge),
            Some(_) if asked => Some(DenyReason::Host),
            _ => None,
        };
        match grown {
            Ok(()) => assert_eq!(wrong, None, "let in"),
            Err(answer) => {
                // There must be room before anything is read.
                self.denied(&answer, wrong.unwrap_or(DenyReason::NoRoom), 0);
                self.open.swap_remove(which);
            }
        }
        self.proxy.settle();
    }

    /// It is complete, and hashed if it waited.
    fn end(&mut self, which: usize, taken: bool, meter: &mut Meter) {
        let now = self.proxy.clocks.look();
        let wall = self.proxy.wall();
        let open = &mut self.open[which];
        let head = open.head.clone();
        let pairs = head
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        open.ended = true;
        let ended = self
            .proxy
            .plugin
            .write_ends(&mut open.write, pairs, wall, meter);
        let Poll::Ready(ended) = ended else {
            return;
        };
        let key = self.keys.current(now);
        let outcome = match (ended, &key) {
            (Ok(headers), Some(key)) => {
                assert!(open.can_be_signed);
                let headers = lines(&headers);
                let token = headers
                    .iter()
                    .any(|(name, value)| name == "x-acs-security-token" && value == TOKEN);
                assert_eq!(token, key.security_token().is_some());
                for (name, value) in &headers {
                    assert!(
                        !value.contains(SECRET) && !value.contains(metadata::KEY),
                        "{name}"
                    );
                }
                is_signed(
                    &headers,
                    &open.target,
                    &open.body,
                    key,
                    self.v4.then_some(REGION),
                );
                if taken {
                    Ok(())
                } else {
                    Err((
                        self.proxy.plugin.write_stuck(&mut open.write),
                        DenyReason::Host,
                    ))
                }
            }
            (Ok(_), None) => panic!("signed with what nobody gave, or what is over"),
            (Err(answer), None) => Err((answer, DenyReason::NoCredential)),
            (Err(answer), Some(_)) => {
                assert!(!open.can_be_signed);
                Err((answer, DenyReason::Malformed))
            }
        };
        match outcome {
            Ok(()) => {
                self.proxy.plugin.write_left(&mut open.write);
                open.has_left = true;
                self.signed += 1;
                self.bytes += open.body.len();
            }
            Err((answer, wrong)) => {
                self.denied(&answer, wrong, 0);
                self.open.swap_remove(which);
            }
        }
    }

    fn respond(&mut self, which: usize, story: &mut Story<'_>) {
        let status = story.pick(&[200_u16, 200, 200, 204, 301, 400, 401, 403, 413, 500, 503]);
        let from_sls = story.below(4) > 0;
        let clock = i64::from(story.byte()) - 128;
        let seconds = (self.proxy.clocks.wall / 1_000).saturating_add_signed(clock * 100);
        let header = |name: &str| match name {
            "x-log-requestid" => from_sls.then(|| "5D".to_owned()),
            "x-log-time" => Some(seconds.to_string()),
            _ => None,
        };
        let open = &mut self.open[which];
        let wall = self.proxy.clocks.wall;
        let now = || sentry_edge_mirror::time::Millis(wall);
        self.proxy
            .plugin
            .write_answered(&mut open.write, Some(status), &header, now);
        if open.has_left {
            self.answered[AnswerClass::of(status).index()] += 1;
            self.open.swap_remove(which);
        }
        self.proxy.settle();
    }

    fn gone(&mut self, which: usize) {
        let mut open = self.open.swap_remove(which);
        self.proxy.plugin.write_gone(&mut open.write);
        // Once more: it is over.
        self.proxy.plugin.write_gone(&mut open.write);
        if open.has_left {
            self.unanswered += 1
        } else {
            self.aborted += 1
        }
        self.proxy.settle();
    }

    fn metadata(&mut self, story: &mut Story<'_>) {
        let which = story.below(self.proxy.out.len());
        let answer = if story.rarely() {
            story.pick(&[
                metadata::Answer::Status(404),
                metadata::Answer::Status(500),
                metadata::Answer::Nothing,
                metadata::Answer::Garbage,
            ])
        } else {
            metadata::Answer::Right(story.pick(&[60, 3_600, 100_000]))
        };
        let call = &self.proxy.out[which];
        assert_eq!(call.upstream, metadata::UPSTREAM);
        // What came too late is nobody's key.
        let waits = self.proxy.plugin.waits_for(call.token).is_some();
        let waits = waits && self.proxy.clocks.look() - call.at < LATE;
        let (status, date, body) = if waits {
            let path = call.path().to_owned();
            let now = self.proxy.clocks.look();
            self.keys.answer(&path, answer, now)
        } else {
            (Some(200), "", Vec::new())
        };
        self.proxy.answer(which, status, &[("date", date)], &body);
    }

    /// `more` would have been charged for it.
    fn denied(&mut self, answer: &LocalAnswer, wrong: DenyReason, more: usize) {
        let status = match wrong {
            DenyReason::Forbidden => 403,
            DenyReason::Malformed => 400,
            DenyReason::TooLarge => 413,
            DenyReason::NoRoom | DenyReason::NoCredential | DenyReason::Host => 503,
        };
        assert_eq!(answer.status, status, "{wrong:?}: {}", answer.body);
        if wrong == DenyReason::NoRoom {
            let open: usize = self.open.iter().map(|open| open.bytes() + OVERHEAD).sum();
            assert!(
                open + more + OVERHEAD > self.max_pending,
                "there was room: {}",
                answer.body
            );
        }
        self.denied[wrong.index()] += 1;
        let headers = lines(&answer.headers);
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "x-log-requestid"]);
        assert!(!answer.body.contains(SECRET) && !answer.body.contains(metadata::KEY));
        let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        assert!(body["errorCode"].is_string() && body["errorMessage"].is_string());
    }

    /// The budget, at every moment; when all has been published, the counters.
    fn check(&self, published: bool) {
        let held: usize = self.open.iter().map(Open::bytes).sum();
        assert!(held <= self.max_pending, "{held} bytes are held");
        let shown = |metric| self.shown(metric);
        let sum = |metrics: &mut dyn Iterator<Item = Metric>| metrics.map(shown).sum::<i64>();
        let denied = sum(&mut DenyReason::ALL.into_iter().map(Metric::Denied));
        let answered = sum(&mut AnswerClass::ALL.into_iter().map(Metric::Answered));
        let ended = shown(Metric::Signed) + denied + shown(Metric::Aborted);
        assert_eq!(shown(Metric::Received), ended + shown(Metric::Pending));
        assert_eq!(
            shown(Metric::Signed),
            answered + shown(Metric::Unanswered) + shown(Metric::InFlight)
        );
        assert!(usize::try_from(shown(Metric::PendingBytes)).unwrap() <= self.max_pending);
        if !published {
            return;
        }
        let plain = [
            Metric::Received,
            Metric::Signed,
            Metric::Aborted,
            Metric::Unanswered,
            Metric::Pending,
            Metric::InFlight,
        ];
        assert_eq!(
            plain.map(shown),
            [
                self.received,
                self.signed,
                self.aborted,
                self.unanswered,
                0,
                0
            ]
        );
        assert_eq!(shown(Metric::Bytes), i64::try_from(self.bytes).unwrap());
        assert_eq!(shown(Metric::PendingBytes), 0);
        assert_eq!(
            DenyReason::ALL.map(|reason| shown(Metric::Denied(reason))),
            self.denied
        );
        assert_eq!(
            AnswerClass::ALL.map(|class| shown(Metric::Answered(class))),
            self.answered
        );
    }
}
