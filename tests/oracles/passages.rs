//! Mode `rewrite`: copies come, in pieces, and break off; each is changed in place and goes on, or is answered and
//! delivered from here. Each ends in one outcome and reaches its target once, and nothing goes on as it came.

use super::clocks::Clocks;
use super::logs::PASSWORD;
use super::metadata::{KEY, Keys};
use super::model::Rules;
use super::proxy::{Out, Proxy, SECRET, lines};
use super::story::Story;
use super::worker::piece_of_envelope;
use sentry_edge_mirror::header_list::HeaderList;
use sentry_edge_mirror::header_map::HeaderMap;
use sentry_edge_mirror::metric::{Leg, Metric};
use sentry_edge_mirror::modes::{self, Flow, Request};
use sentry_edge_mirror::outcome::SkipReason;
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror::worker::Worker;
use sentry_edge_mirror::worker::signing::LocalAnswer;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

const MAX_BODY: usize = 6_000;
const MOST_OPEN: usize = 12;
/// In flight, all legs together.
const MOST_CALLS: usize = 6;
/// Of a call, in milliseconds.
const TIMEOUT: u64 = 5_000;
const RUM: &str = "rum.test:80";
/// What a request costs beside its body, at most.
const MOST_OVERHEAD: usize = 3_000;
/// Mapped ones, an excluded one and one without a mapping; none is an ordinary path.
const PROJECTS: [Option<u64>; 8] = [
    Some(42),
    Some(42),
    Some(42),
    Some(43),
    Some(43),
    Some(7),
    Some(44),
    None,
];

struct Open {
    serial: u64,
    project: Option<u64>,
    request: Request,
    headers: HeaderList,
    /// The status of the answer.
    status: Option<u16>,
    body: Vec<u8>,
    is_complete: bool,
    /// Its headers are the copy's, and it goes on.
    goes_on: bool,
    /// The sender has been answered.
    is_answered: bool,
    /// The target has answered.
    has_answer: bool,
}

/// The proxy in a callback of a request.
struct Host<'a> {
    open: &'a mut Open,
    clocks: RefCell<&'a mut Clocks>,
    wall: Millis,
    nginx: bool,
    /// What the proxy has of the body stands behind this.
    from: usize,
    /// It hands out less than it said, or nothing.
    fill: Option<usize>,
    failing: &'a mut usize,
    taken_in: &'a mut BTreeMap<u64, TakenIn>,
    in_place: &'a mut i64,
}

impl Host<'_> {
    fn succeeds(&mut self) -> Option<()> {
        match self.failing.checked_sub(1) {
            Some(left) => {
                *self.failing = left;
                None
            }
            None => Some(()),
        }
    }

    fn in_place(&mut self) {
        self.open.goes_on = true;
        *self.in_place += 1;
    }
}

impl modes::Stream for Host<'_> {
    fn id(&self) -> u32 {
        0
    }

    fn now(&self) -> Millis {
        self.clocks.borrow_mut().look();
        self.wall
    }

    fn headers(&self) -> HeaderMap {
        HeaderMap::from(&self.open.headers)
    }

    fn property(&self, path: &str) -> Option<Vec<u8>> {
        let target = self.open.headers.get(b":path")?;
        (path == "ngx\0request_uri").then(|| target.to_vec())
    }

    fn append_body(&mut self, size: usize, body: &mut Vec<u8>) -> Option<()> {
        let piece = &self.open.body[self.from..];
        assert_eq!(piece.len(), size);
        match self.fill {
            // Short, or nothing.
            Some(0) => body.extend_from_slice(piece.split_last().map_or(piece, |(_, rest)| rest)),
            Some(_) => return None,
            None => body.extend_from_slice(piece),
        }
        Some(())
    }

    fn body(&mut self, _: usize, _: usize) -> Option<Vec<u8>> {
        panic!("of this mode's bodies no parts are read")
    }

    fn replace_headers(&mut self, headers: &HeaderList) -> Option<()> {
        assert!(!self.open.is_answered && !self.open.goes_on);
        check_copy(self.open, &lines(headers));
        self.succeeds()?;
        self.in_place();
        Some(())
    }

    fn replace_header(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        assert!(!self.open.is_answered && !self.open.goes_on);
        let path = path_of_copy(self.open.project.unwrap(), self.open.serial);
        match name {
            b":path" => assert_eq!(value, path.as_bytes()),
            _ => assert_eq!((name, value), (&b"cookie"[..], &b""[..])),
        }
        Some(())
    }

    fn let_leave(&mut self, target: &[u8]) -> Option<bool> {
        let path = path_of_copy(self.open.project.unwrap(), self.open.serial);
        assert_eq!(target, path.as_bytes());
        self.succeeds()?;
        self.in_place();
        Some(true)
    }

    /// On nginx the location answers it.
    fn may_be_answered(&self) -> bool {
        !self.nginx
    }

    fn answer(&mut self, answer: &LocalAnswer) -> bool {
        assert!(!self.open.is_answered && !self.open.goes_on);
        assert_eq!(answer.status, 204);
        let done = self.succeeds().is_some();
        if let (true, Some(project @ (42 | 43))) = (done, self.open.project) {
            let taken_in = TakenIn {
                project,
                body: self.open.body.clone(),
                attempts: 0,
            };
            self.taken_in.insert(self.open.serial, taken_in);
        }
        self.open.is_answered = done;
        done
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        let status = self.open.status.filter(|_| name == ":status")?;
        Some(status.to_string().into_bytes())
    }
}

struct TakenIn {
    project: u64,
    body: Vec<u8>,
    attempts: usize,
}

pub struct Passages {
    proxy: Proxy,
    nginx: bool,
    fast_ack: bool,
    logs: bool,
    max_pending: usize,
    open: Vec<Open>,
    serial: u64,
    /// So many of the host's next changes and answers fail.
    failing: usize,
    max_attempts: usize,
    /// By serial: what was answered here, and is to be delivered from here.
    taken_in: BTreeMap<u64, TakenIn>,
    /// What a target has taken, and what must not be sent again.
    delivered: BTreeSet<u64>,
    ended: BTreeSet<u64>,
    /// Requests for mapped, excluded and other projects; copies that went on, and calls.
    mapped: i64,
    excluded: i64,
    unmapped: i64,
    in_place: i64,
    calls: i64,
}

impl Passages {
    /// Plays a story to its end.
    pub fn play(bytes: &[u8]) -> Self {
        let mut story = Story::new(bytes);
        let mut passages = Self::new(&mut story);
        while !story.is_over() && !passages.proxy.is_over() {
            passages.event(&mut story);
            passages.check();
        }
        passages.failing = 0;
        passages.proxy.refuses = 0;
        while !passages.open.is_empty() {
            passages.leave(0);
        }
        passages.come_to_rest();
        if passages.fast_ack && !passages.proxy.is_over() {
            passages.one_that_needs_all_the_room();
        }
        passages.check();
        passages
    }

    pub fn shown(&self, leg: Leg, metric: Metric) -> i64 {
        self.proxy.shown(leg, metric)
    }

    fn new(story: &mut Story<'_>) -> Self {
        let (nginx, logs) = (story.below(2) == 1, story.below(2) == 1);
        let fast_ack = !nginx && story.below(3) > 0;
        let max_pending = 8_000 + 400 * usize::from(story.byte());
        let max_attempts = 1 + story.below(4);
        let host = if nginx { "nginx" } else { "envoy" };
        let sls = if logs {
            format!(
                r#""sls": {{"upstream": "sls.test:443", "endpoint": "cn-test.log.aliyuncs.com", "project": "proj", "logstore": "store", "timeout_ms": {TIMEOUT},
                    "credential": {}, "compression": "none", "batch": {{"max_bytes": 2000, "linger_ms": 500}}}},"#,
                Keys::json(false)
            )
        } else {
            String::new()
        };
        let upstream = if fast_ack {
            &format!(r#""upstream": "{RUM}", "timeout_ms": {TIMEOUT},"#)
        } else {
            ""
        };
        let project = |id: u64| format!(r#""{id}": {{"workspace": "ws", "service_id": "p{id}"}}"#);
        let config = format!(
            r#"{{"host": "{host}", "mode": "rewrite", "fast_ack": {fast_ack},
                "rum": {{{upstream} "authority": "rum.example.com", "projects": {{{}, {}}}, "exclude": [7]}}, {sls}
                "limits": {{"max_body_bytes": {MAX_BODY}, "max_pending_bytes": {max_pending}, "max_in_flight": {MOST_CALLS}}},
                "retry": {{"max_attempts": {}, "max_age_ms": {}}}}}"#,
            project(42),
            project(43),
            max_attempts,
            1_000 * (1 + usize::from(story.byte())),
        );
        Self {
            proxy: Proxy::new(&config),
            nginx,
            fast_ack,
            logs,
            max_pending,
            open: Vec::new(),
            serial: 0,
            failing: 0,
            max_attempts,
            taken_in: BTreeMap::new(),
            delivered: BTreeSet::new(),
            ended: BTreeSet::new(),
            mapped: 0,
            excluded: 0,
            unmapped: 0,
            in_place: 0,
            calls: 0,
        }
    }

    fn event(&mut self, story: &mut Story<'_>) {
        let which = story.below(self.open.len());
        match story.below(12) {
            0..=2 if self.open.len() < MOST_OPEN => {
                let lengths = [
                    None,
                    None,
                    Some(0),
                    Some(900),
                    Some(MAX_BODY),
                    Some(MAX_BODY + 1),
                ];
                self.arrive(
                    story.pick(&PROJECTS),
                    story.pick(&lengths),
                    story.below(6) > 0,
                );
            }
            3..=5 if !self.open.is_empty() => {
                let size = 12 * usize::from(story.byte());
                let open = &self.open[which];
                let piece = piece_of_envelope(open.serial, open.body.len(), size);
                let end = story.below(3) == 0;
                self.piece(which, piece, end, story.rarely().then(|| story.below(2)));
            }
            6 if !self.open.is_empty() => self.respond(which, story),
            7 if !self.open.is_empty() => self.leave(which),
            8 | 9 if !self.proxy.out.is_empty() => self.answer(story),
            10 => self.failing = story.below(4),
            _ => {
                self.proxy.whim(story);
                self.look_at_calls();
            }
        }
    }

    /// Whatever came before has left all room free.
    fn one_that_needs_all_the_room(&mut self) {
        let share = self.max_pending / (1 + usize::from(self.logs));
        let size = MAX_BODY.min(share - MOST_OVERHEAD);
        let (in_place, delivered) = (self.in_place, self.delivered.len());
        self.arrive(Some(42), Some(size), true);
        self.piece(0, vec![b'x'; size], true, None);
        self.leave(0);
        self.come_to_rest();
        let now = (self.in_place, self.delivered.len());
        assert_eq!(now, (in_place, delivered + 1), "{size} bytes found no room");
    }

    fn arrive(&mut self, project: Option<u64>, length: Option<usize>, has_body: bool) {
        self.serial += 1;
        let serial = self.serial;
        let target = match project {
            Some(project) => format!("/api/{project}/envelope/?n={serial}"),
            None => "/".to_owned(),
        };
        let length = length.map(|length| length.to_string());
        let mut headers = HeaderList::default();
        headers.push(b":method", b"POST");
        headers.push(b":path", target.as_bytes());
        headers.push(b"cookie", SECRET.as_bytes());
        headers.push(b"x-sentry-auth", b"Sentry sentry_key=k");
        if let Some(length) = &length {
            headers.push(b"content-length", length.as_bytes());
        }
        match project {
            Some(42 | 43) => self.mapped += 1,
            Some(7) => self.excluded += 1,
            Some(_) => self.unmapped += 1,
            None => {}
        }
        let mut open = Open {
            serial,
            project,
            request: Request::default(),
            headers,
            status: None,
            body: Vec::new(),
            is_complete: !has_body,
            goes_on: false,
            is_answered: false,
            has_answer: false,
        };
        self.callback(&mut open, 0, None, |request, worker, stream| {
            Some(request.headers(worker, stream, !has_body))
        });
        self.open.push(open);
        self.settle();
    }

    /// `fill`: the host hands out less than it said, or nothing.
    fn piece(&mut self, which: usize, piece: Vec<u8>, end: bool, fill: Option<usize>) {
        let mut open = self.open.swap_remove(which);
        if open.is_complete {
            return self.open.push(open);
        }
        let before = open.body.len();
        open.body.extend(piece);
        open.is_complete = end;
        // Of a request that goes on, the host has the new piece; of one that waits, everything.
        let from = if open.goes_on { before } else { 0 };
        let size = open.body.len() - from;
        self.callback(&mut open, from, fill, |request, worker, stream| {
            Some(request.body(worker, stream, size, end))
        });
        self.open.push(open);
        self.settle();
    }

    /// A callback of a request, of whose body the host has what stands behind `from`.
    fn callback(
        &mut self,
        open: &mut Open,
        from: usize,
        fill: Option<usize>,
        run: impl FnOnce(&mut Request, &mut Worker, &mut Host<'_>) -> Option<Flow>,
    ) {
        let wall = self.proxy.wall();
        let Proxy { plugin, clocks, .. } = &mut self.proxy;
        let mut request = std::mem::take(&mut open.request);
        let mut host = Host {
            open,
            clocks: RefCell::new(clocks),
            wall,
            nginx: self.nginx,
            from,
            fill,
            failing: &mut self.failing,
            taken_in: &mut self.taken_in,
            in_place: &mut self.in_place,
        };
        if run(&mut request, plugin, &mut host) == Some(Flow::Continue) {
            // The location answers what does not go on.
            assert!(open.goes_on || self.nginx, "it goes on as it came");
        }
        open.request = request;
    }

    /// The target answers, or the proxy in its place.
    fn respond(&mut self, which: usize, story: &mut Story<'_>) {
        let status = story.pick(&[200, 200, 204, 413, 429, 500, 503, 504]);
        let mut open = self.open.swap_remove(which);
        open.status = Some(status);
        let before = self.proxy.plugin.in_flight();
        self.callback(&mut open, 0, None, |request, worker, stream| {
            request.response(worker, stream);
            None
        });
        assert!(self.proxy.plugin.in_flight() <= before);
        // The first answer counts.
        if open.goes_on && !open.has_answer && status < 300 {
            self.delivered.insert(open.serial);
        }
        open.has_answer |= open.goes_on;
        self.open.push(open);
        self.settle();
    }

    fn leave(&mut self, which: usize) {
        let mut open = self.open.swap_remove(which);
        // Once more: it is over.
        for _ in 0..2 {
            self.callback(&mut open, 0, None, |request, worker, stream| {
                request.gone(worker, stream);
                None
            });
        }
        self.settle();
    }

    fn answer(&mut self, story: &mut Story<'_>) {
        let which = story.below(self.proxy.out.len());
        let status = story.pick(&[
            Some(200),
            Some(200),
            Some(429),
            Some(500),
            Some(503),
            Some(400),
            None,
        ]);
        self.answer_with(which, status);
    }

    fn answer_with(&mut self, which: usize, status: Option<u16>) {
        let headers = [("x-log-requestid", "5D")];
        let waited_for = self.proxy.answer(which, status, &headers, b"");
        if let Some(call) = waited_for.filter(|call| call.upstream == RUM) {
            let serial = serial(call.path());
            match status {
                Some(200) => drop(self.delivered.insert(serial)),
                // Surely not taken: it may be sent again.
                Some(429 | 503) => {}
                _ => drop(self.ended.insert(serial)),
            }
        }
        self.look_at_calls();
    }

    fn settle(&mut self) {
        self.proxy.settle();
        self.look_at_calls();
    }

    fn look_at_calls(&mut self) {
        let share = MOST_CALLS / (1 + usize::from(self.logs));
        // An answer that is later than this is not waited for.
        let late = TIMEOUT + Rules::GRACE;
        let now = self.proxy.clocks.now();
        let waiting = self.proxy.out.iter().filter(|call| now - call.at < late);
        let (copies, writes): (Vec<&Out>, Vec<&Out>) =
            waiting.partition(|call| call.upstream == RUM);
        assert!(copies.len() <= share && writes.len() <= share);
        for call in std::mem::take(&mut self.proxy.seen) {
            let values = call.headers.iter().map(|(_, value)| value.as_str());
            for value in values {
                assert!(!value.contains(SECRET) && !value.contains(KEY), "{value}");
            }
            if call.upstream != RUM {
                assert!(self.logs && call.upstream == "sls.test:443");
                let body = String::from_utf8_lossy(&call.body);
                assert!(!body.contains(PASSWORD));
                continue;
            }
            self.calls += 1;
            let serial = serial(call.path());
            let Some(copy) = self.taken_in.get_mut(&serial) else {
                panic!("copy {serial} is sent, and nobody was told");
            };
            assert_eq!(call.path(), path_of_copy(copy.project, serial));
            assert!(
                call.body == copy.body,
                "copy {serial} is not what was received"
            );
            let ended = self.delivered.contains(&serial) || self.ended.contains(&serial);
            assert!(!ended, "copy {serial} is sent after its end");
            // A call that the host refuses is none.
            copy.attempts += usize::from(call.token > 0);
            assert!(copy.attempts <= self.max_attempts, "copy {serial}");
        }
    }

    fn come_to_rest(&mut self) {
        for _ in 0..400 {
            while !self.proxy.out.is_empty() {
                self.answer_with(0, Some(200));
            }
            // Whatever waits is too old in the end.
            self.proxy.pass(5_000);
            self.look_at_calls();
            if self.is_at_rest() {
                break;
            }
        }
        if self.proxy.is_over() {
            return;
        }
        assert!(self.is_at_rest(), "something stays");
        let rum = |metric| self.shown(Leg::Rum, metric);
        let skipped = |reason| rum(Metric::Skipped(reason));
        let others = [
            SkipReason::TooLarge,
            SkipReason::Aborted,
            SkipReason::Unreadable,
            SkipReason::Slow,
        ]
        .map(skipped);
        assert_eq!(
            rum(Metric::Captured) + others.iter().sum::<i64>(),
            self.mapped,
            "one outcome each"
        );
        assert_eq!(
            [skipped(SkipReason::Excluded), skipped(SkipReason::Unmapped)],
            [self.excluded, self.unmapped]
        );
        assert_eq!(rum(Metric::InPlace), self.in_place);
        assert_eq!(rum(Metric::Attempts), self.in_place + self.calls);
        assert_eq!(
            rum(Metric::Delivered),
            i64::try_from(self.delivered.len()).unwrap()
        );
    }

    fn is_at_rest(&self) -> bool {
        let gauges = [
            Metric::Pending,
            Metric::PendingBytes,
            Metric::InFlight,
            Metric::Queued,
        ];
        let legs = [Leg::Rum, Leg::Sls].into_iter();
        let mut shown = legs.flat_map(|leg| gauges.map(|gauge| self.shown(leg, gauge)));
        self.proxy.out.is_empty() && shown.all(|value| value == 0)
    }

    /// At every moment.
    fn check(&self) {
        for leg in [Leg::Rum, Leg::Sls] {
            let shown = |metric| self.shown(leg, metric);
            let ended = shown(Metric::Delivered) + shown(Metric::Failed) + shown(Metric::Dropped);
            assert_eq!(shown(Metric::Captured), ended + shown(Metric::Pending));
            assert!(shown(Metric::InFlight) <= shown(Metric::Pending));
            assert!(usize::try_from(shown(Metric::PendingBytes)).unwrap() <= self.max_pending);
        }
    }
}

fn path_of_copy(project: u64, serial: u64) -> String {
    format!("/rum/sentry/ws/p{project}/api/{project}/envelope/?n={serial}")
}

fn serial(path: &str) -> u64 {
    path.split_once("?n=").unwrap().1.parse().unwrap()
}

/// What a request is changed to.
fn check_copy(open: &Open, headers: &[(String, String)]) {
    let path = path_of_copy(open.project.unwrap(), open.serial);
    assert!(headers.contains(&(":path".to_owned(), path)));
    assert!(headers.contains(&(":authority".to_owned(), "rum.example.com".to_owned())));
    assert!(!headers.iter().any(|(_, value)| value.contains(SECRET)));
}
