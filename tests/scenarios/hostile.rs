//! A host, a clock and targets that misbehave in every way at once: the instance never traps, the primary is never
//! touched, and as long as the metrics themselves work the books are right.

use crate::edge::{Edge, config, envelope};
use crate::host::{Profile, Reply, Request, What, When};
use crate::module::Module;

/// SplitMix64, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()].clone()
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most))
            .map(|_| self.next().to_le_bytes()[0])
            .collect()
    }
}

const READS: [&str; 5] = [
    "proxy_get_header_map_value",
    "proxy_get_header_map_pairs",
    "proxy_get_buffer_bytes",
    "proxy_get_property",
    "proxy_get_current_time_nanoseconds",
];
const WRITES: [&str; 3] = [
    "proxy_http_call",
    "proxy_set_tick_period_milliseconds",
    "proxy_log",
];

fn request(random: &mut Random) -> Request {
    let target = random.pick(&[
        "/api/42/envelope/",
        "/api/43/envelope/?sentry_key=k",
        "/api/7/envelope/",
        "/api/42/store/",
        "/rum/sentry/a/b/api/42/envelope/",
        "/",
        "",
    ]);
    let method = random.pick(&["POST", "GET", "", "OPTIONS"]);
    let mut request = Request::new(method, target);
    for _ in 0..random.below(6) {
        let name = random.pick(&[
            "content-length",
            "authorization",
            "x-forwarded-for",
            "content-encoding",
            "x-sentry-auth",
            "cookie",
            "user-agent",
        ]);
        request = request.header(name, random.bytes(40));
    }
    let size = usize::try_from(random.below(2_000) + 1).unwrap();
    request.body_in(&random.bytes(5_000), size)
}

fn reply(random: &mut Random) -> Reply {
    let status = random.pick(&[
        "200", "429", "503", "500", "400", "", "abc", "99999", "-1", "\u{fffd}",
    ]);
    let mut reply = Reply::empty().header(":status", status);
    if random.below(2) == 0 {
        reply = reply.header("retry-after", random.bytes(12));
    }
    if random.below(4) == 0 {
        return Reply::empty();
    }
    reply.body(random.bytes(400))
}

fn run(seed: u64, metrics_work: bool) {
    let mut random = Random(seed);
    let mut edge = Module::start(
        Profile::Envoy,
        &config(
            r#", "limits": {"max_pending_bytes": 60000, "max_in_flight": 5, "max_body_bytes": 4000}"#,
        ),
    );
    for call in READS.iter().chain(&WRITES) {
        let what = match random.below(5) {
            0 => What::Status(u32::try_from(random.below(20) + 1).unwrap()),
            1 => What::Status(u32::MAX),
            2 if READS.contains(call) => What::Nothing,
            3 if *call != "proxy_get_current_time_nanoseconds" => What::Data(random.bytes(300)),
            _ => continue,
        };
        edge.host.fault(call, When::Chance(0.2), what);
    }
    if !metrics_work {
        for call in [
            "proxy_increment_metric",
            "proxy_record_metric",
            "proxy_define_metric",
        ] {
            edge.host.fault(call, When::Chance(0.3), What::Status(10));
        }
    }
    let mut tokens = vec![0, 1, u32::MAX];
    let mut open: Vec<u32> = Vec::new();
    for _ in 0..120 {
        match random.below(10) {
            0..=3 => {
                let request = request(&mut random);
                edge.host
                    .try_send(&request)
                    .unwrap_or_else(|trap| trap.raise())
                    .assert_untouched();
            }
            4 => open.push(edge.host.open(&request(&mut random).streamed())),
            5 if !open.is_empty() => {
                let stream =
                    open.swap_remove(usize::try_from(random.below(open.len() as u64)).unwrap());
                edge.host.abort(stream);
            }
            6 | 7 => {
                tokens.extend(edge.calls().iter().map(|call| call.token));
                let token = random.pick(&tokens);
                let answer = reply(&mut random);
                edge.host
                    .try_reply(token, &answer)
                    .unwrap_or_else(|trap| trap.raise());
            }
            8 => edge
                .host
                .jump_wall_clock(i64::try_from(random.below(2_000_000)).unwrap() - 1_000_000),
            _ => {
                let ms = random.below(3_000);
                edge.host
                    .try_advance(ms)
                    .unwrap_or_else(|trap| trap.raise());
            }
        }
    }
    edge.host.clear_faults();
    for stream in open {
        edge.host.abort(stream);
    }
    // Something ordinary, so that everything is published.
    edge.send(&envelope(42));
    edge.advance(10);
    if metrics_work {
        edge.check_books();
    }
    edge.host.drain();
    edge.advance(11_000);
    if metrics_work {
        edge.check_books();
        assert_eq!(edge.rum("pending"), 0, "seed {seed}");
    }
}

#[test]
fn nothing_traps_and_the_books_are_right() {
    for seed in 0..150 {
        run(seed, true);
    }
}

#[test]
fn nothing_traps_when_metrics_fail_too() {
    for seed in 1_000..1_100 {
        run(seed, false);
    }
}

#[test]
fn callbacks_for_contexts_that_are_not_there() {
    let mut edge = Module::start(Profile::Envoy, &config(""));
    let call = edge.envelope();
    for (callback, arguments) in [
        ("proxy_on_request_headers", &[99, 3, 0][..]),
        ("proxy_on_request_body", &[99, 3, 1][..]),
        ("proxy_on_request_trailers", &[99, 1][..]),
        ("proxy_on_tick", &[99][..]),
        ("proxy_on_done", &[99][..]),
        ("proxy_on_delete", &[99][..]),
        (
            "proxy_on_http_call_response",
            &[99, call.token, 1, 0, 0][..],
        ),
        ("proxy_on_context_create", &[99, 98][..]),
        ("proxy_on_request_headers", &[99, 3, 1][..]),
        ("proxy_on_delete", &[99][..]),
    ] {
        edge.host
            .try_raw(callback, arguments)
            .unwrap_or_else(|trap| trap.raise());
    }
    edge.reply(call.token, &Reply::status(200));
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
}
