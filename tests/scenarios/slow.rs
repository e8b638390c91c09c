//! Bodies that come slowly, or not at all: they hold a part of the budget, for a while, and the request goes on.
//!
//! In Envoy; nginx hands a body over when it is whole.

use crate::edge::{Edge, config, config_with_rum, envelope};
use crate::module::Module;
use crate::native::Native;
use crate::sls::{self, UPSTREAM};
use test_host::{Profile, Reply, Request};

macro_rules! in_envoy {
    ($($scenario:ident),+ $(,)?) => {
        mod core_as_envoy {
            $(#[test] fn $scenario() { super::$scenario::<super::Native>(); })+
        }
        mod module_in_envoy {
            $(#[test] fn $scenario() { super::$scenario::<super::Module>(); })+
        }
    };
}

in_envoy!(
    many_that_trickle_take_nothing_from_others,
    many_that_trickle_into_a_small_budget_neither,
    a_large_body_at_100_kib_a_second_arrives,
    silence_is_given_up_and_the_request_goes_on,
    headers_and_nothing_more,
    less_than_1_kib_a_second_is_given_up,
    the_slowest_gives_way_first,
    a_newcomer_finds_room_while_slow_ones_hold_the_half,
    one_that_grows_well_does_not_give_way_to_many_beginnings,
    an_announcement_is_not_charged,
);

const KIB: usize = 1_024;

fn start<E: Edge>(config: &str) -> E {
    E::start(Profile::Envoy, config)
}

fn budget(bytes: usize) -> String {
    config(&format!(r#", "limits": {{"max_pending_bytes": {bytes}}}"#))
}

fn announcing(bytes: usize) -> Request {
    Request::post("/api/43/envelope/").header("content-length", bytes.to_string())
}

/// What is given up, or had to give way, is told by the counters only: the stream itself goes on.
fn open_and_begin<E: Edge>(edge: &mut E, request: &Request, size: usize) -> u32 {
    let stream = edge.open(request);
    edge.body(stream, &vec![b'x'; size], false);
    stream
}

/// A second passes: a whole envelope of another client comes, and both legs' targets take what they get.
fn one_second<E: Edge>(edge: &mut E, message: &str) -> (usize, usize) {
    edge.send(&sls::events(&[message]));
    let (mut copies, mut logs) = (0, 0);
    for _ in 0..10 {
        edge.advance(100);
        for call in edge.calls() {
            match call.upstream.as_str() {
                UPSTREAM => logs += sls::logs(&call).len(),
                _ => copies += 1,
            }
            edge.reply(call.token, &sls::taken());
        }
    }
    (copies, logs)
}

/// Two connections, 140 streams each, of which each announces 256 KiB and sends a byte every 20 s.
fn trickle<E: Edge>(limits: &str, wait: u64) {
    let mut edge: E = start(&config_with_rum(
        "",
        &format!(", {} {limits}", sls::section("")),
    ));
    let streams: Vec<u32> = (0..280)
        .map(|_| open_and_begin(&mut edge, &announcing(262_144), 1))
        .collect();
    edge.advance(wait);
    let (given_way, held) = (edge.rum("dropped"), edge.rum("collecting_bytes"));
    assert_eq!(
        (edge.sls("dropped"), edge.sls("collecting_bytes")),
        (given_way, held)
    );
    assert!(held > 100_000);
    let (mut copies, mut logs) = (0, 0);
    for second in 1..=60 {
        if second % 20 == 0 {
            for stream in &streams {
                edge.body(*stream, b"y", false);
            }
        }
        let taken = one_second(&mut edge, &"z".repeat(10 * KIB));
        (copies, logs) = (copies + taken.0, logs + taken.1);
    }
    edge.advance(3_000);
    for call in edge.calls() {
        logs += sls::logs(&call).len();
        edge.reply(call.token, &sls::taken());
    }
    assert_eq!((copies, logs), (60, 60), "of the others everything arrives");
    let (dropped, slow) = (edge.rum("dropped"), edge.rum("skipped.slow"));
    assert_eq!(dropped + slow, 280);
    assert_eq!(
        (edge.sls("dropped"), edge.sls("skipped.slow")),
        (dropped, slow)
    );
    assert_eq!(
        (edge.rum("collecting_bytes"), edge.sls("collecting_bytes")),
        (0, 0)
    );
    // Their requests go on, and end as they like: that is counted once.
    for (at, stream) in streams.into_iter().enumerate() {
        edge.body(stream, b"y", at % 2 == 0);
        if at % 2 == 1 {
            edge.abort(stream);
        }
    }
    assert_eq!(
        (edge.rum("skipped.slow"), edge.rum("skipped.aborted")),
        (slow, 0)
    );
    assert_eq!(edge.books(), [60 + dropped, 60, 0, dropped, 0]);
    assert_eq!(edge.logs(), [60 + dropped, 60, 0, dropped, 0]);
}

fn many_that_trickle_take_nothing_from_others<E: Edge>() {
    trickle::<E>("", 0);
}

fn many_that_trickle_into_a_small_budget_neither<E: Edge>() {
    trickle::<E>(
        r#", "limits": {"max_pending_bytes": 2000000, "max_body_bytes": 300000}"#,
        4_000,
    );
}

fn a_large_body_at_100_kib_a_second_arrives<E: Edge>() {
    for request in [announcing(10_485_760), Request::post("/api/43/envelope/")] {
        let mut edge: E = start(&budget(32 << 20));
        let slow: Vec<u32> = (0..50)
            .map(|_| open_and_begin(&mut edge, &announcing(262_144), 1))
            .collect();
        let stream = edge.open(&request);
        let piece = vec![b'x'; 102_400];
        for second in 0..103 {
            let left = 10_485_760 - second * piece.len();
            let piece = &piece[..left.min(piece.len())];
            edge.body(stream, piece, piece.len() == left);
            edge.advance(1_000);
        }
        let call = edge.call();
        assert_eq!(call.body.len(), 10_485_760);
        edge.reply(call.token, &Reply::status(200));
        assert_eq!(edge.rum("skipped.slow"), 50);
        for stream in slow {
            edge.abort(stream);
        }
        assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
        assert_eq!(edge.rum("collecting_bytes"), 0);
    }
}

fn silence_is_given_up_and_the_request_goes_on<E: Edge>() {
    let mut edge: E = start(&config(""));
    let stream = open_and_begin(&mut edge, &announcing(10_000_000), 5 << 20);
    edge.advance(29_800);
    assert_eq!(edge.rum("skipped.slow"), 0);
    let held = edge.rum("collecting_bytes");
    assert!(held >= 5 << 20, "{held}");
    edge.advance(3_000);
    assert_eq!(
        (edge.rum("skipped.slow"), edge.rum("collecting_bytes")),
        (1, 0)
    );
    edge.advance(1_000);
    assert!(!edge.is_ticking(), "there is nothing left to look at");
    // It is no longer collected, however fast it goes on.
    edge.body(stream, &vec![b'x'; 1 << 20], false);
    edge.body(stream, b"end", true);
    edge.advance(1_000);
    assert!(edge.calls().is_empty());
    assert_eq!(
        (edge.rum("skipped.slow"), edge.rum("skipped.aborted")),
        (1, 0)
    );
    assert_eq!(edge.books(), [0; 5]);
}

fn headers_and_nothing_more<E: Edge>() {
    let mut edge: E = start(&config(""));
    let streams: Vec<u32> = (0..300).map(|_| edge.open(&announcing(10))).collect();
    edge.advance(29_500);
    assert_eq!(edge.rum("skipped.slow"), 0);
    edge.advance(4_000);
    assert_eq!(
        (edge.rum("skipped.slow"), edge.rum("collecting_bytes")),
        (300, 0)
    );
    for stream in streams {
        edge.abort(stream);
    }
    assert_eq!((edge.rum("skipped.aborted"), edge.books()), (0, [0; 5]));
}

fn less_than_1_kib_a_second_is_given_up<E: Edge>() {
    let mut edge: E = start(&config(""));
    let request = Request::post("/api/42/envelope/");
    let [slow, enough] = [(); 2].map(|()| edge.open(&request));
    for second in 1..=60 {
        edge.body(slow, &[b'x'; 1_000], false);
        edge.body(enough, &[b'x'; 1_100], second == 60);
        edge.advance(1_000);
        if second == 29 {
            assert_eq!(edge.rum("skipped.slow"), 0);
        }
    }
    assert_eq!(edge.call().body.len(), 66_000);
    edge.abort(slow);
    assert_eq!(
        (edge.rum("skipped.slow"), edge.rum("skipped.aborted")),
        (1, 0)
    );
}

fn the_slowest_gives_way_first<E: Edge>() {
    // They may hold 4 MiB.
    let mut edge: E = start(&budget(8 << 20));
    let open = |edge: &mut E| open_and_begin(edge, &announcing(4 << 20), 500 * KIB);
    let stopped = open(&mut edge);
    let [slow, middle, fast] = [(); 3].map(|()| open(&mut edge));
    for _ in 0..16 {
        edge.advance(1_000);
        for (stream, size) in [(slow, 2), (middle, 8), (fast, 60)] {
            edge.body(stream, &vec![b'x'; size * KIB], false);
        }
    }
    let mut newcomers = Vec::new();
    for gone in 1..=3 {
        while edge.rum("dropped") < gone {
            newcomers.push(open_and_begin(&mut edge, &announcing(200 * KIB), 200 * KIB));
            edge.body(fast, &vec![b'x'; 6 * KIB], false);
            edge.body(middle, &[b'x'; 500], false);
            assert!(newcomers.len() < 30);
        }
        // Who is still collected ends as a copy: after the first one, all but the one that had stopped.
        let over = [stopped, slow, middle][gone as usize - 1];
        edge.body(over, b"x", true);
        edge.advance(5);
        assert!(edge.calls().is_empty(), "{gone}");
    }
    edge.body(fast, b"x", true);
    edge.advance(5);
    assert!(edge.call().body.len() > 1_400 * KIB);
    for stream in newcomers {
        edge.abort(stream);
    }
    assert_eq!(edge.rum("collecting_bytes"), 0);
    edge.check_books();
}

fn a_newcomer_finds_room_while_slow_ones_hold_the_half<E: Edge>() {
    // They may hold 1 MiB.
    let mut edge: E = start(&budget(2 << 20));
    let slow: Vec<u32> = (0..20)
        .map(|_| open_and_begin(&mut edge, &announcing(262_144), 50 * KIB))
        .collect();
    edge.advance(5_000);
    let full = edge.rum("dropped");
    let mut sent = 0;
    for round in 0..20 {
        // What is slow goes on to be slow.
        for stream in &slow {
            edge.body(*stream, b"x", false);
        }
        let size = [262_144, 1_000, 100_000][round % 3];
        edge.send(&Request::post("/api/42/envelope/").body_in(&vec![b'y'; size], 16_384));
        edge.advance(500);
        let call = edge.call();
        assert_eq!(call.body.len(), size);
        edge.reply(call.token, &Reply::status(200));
        sent += 1;
        assert!(edge.rum("collecting_bytes") <= 1 << 20);
    }
    for stream in slow {
        edge.abort(stream);
    }
    let [captured, delivered, _, dropped, _] = edge.books();
    assert_eq!((delivered, captured), (sent, sent + dropped));
    assert!(dropped > full, "some gave way");
    let rest = edge.rum("skipped.aborted") + edge.rum("skipped.slow");
    assert_eq!(dropped + rest, 20);
    assert_eq!(edge.rum("collecting_bytes"), 0);
}

/// Whoever opens request after request does not drive out a body that grows well.
fn one_that_grows_well_does_not_give_way_to_many_beginnings<E: Edge>() {
    let mut edge: E = start(&budget(4 << 20));
    let honest = edge.open(&announcing(1 << 20));
    let mut hostile = Vec::new();
    for _ in 0..10 {
        edge.body(honest, &vec![b'x'; 102 * KIB], false);
        for _ in 0..400 {
            hostile.push(open_and_begin(&mut edge, &announcing(262_144), 1));
        }
        edge.advance(1_000);
    }
    edge.body(honest, b"end", true);
    edge.advance(5);
    let call = edge.call();
    assert_eq!(call.body.len(), 1_020 * KIB + 3);
    edge.reply(call.token, &Reply::status(200));
    for stream in hostile {
        edge.abort(stream);
    }
    assert_eq!(edge.rum("collecting_bytes"), 0);
    edge.check_books();
}

fn an_announcement_is_not_charged<E: Edge>() {
    let mut edge: E = start(&config(""));
    let streams: Vec<u32> = (0..100)
        .map(|_| open_and_begin(&mut edge, &announcing(10_000_000), 10))
        .collect();
    let held = edge.rum("collecting_bytes");
    assert!((100 * 10..100 * 8 * 1_024).contains(&held), "{held}");
    for stream in streams {
        edge.body(stream, &vec![b'x'; 20_000], false);
    }
    // The gauge is a second old at most.
    edge.advance(1_000);
    let held = edge.rum("collecting_bytes");
    assert!((100 * 20_010..100 * 2 * 22_000).contains(&held), "{held}");
    edge.send(&envelope(42));
    edge.advance(5);
    let call = edge.call();
    edge.reply(call.token, &Reply::status(200));
    edge.advance(34_000);
    assert_eq!(
        (edge.rum("skipped.slow"), edge.books()),
        (100, [1, 1, 0, 0, 0])
    );
}
