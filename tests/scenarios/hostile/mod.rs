//! A host, a clock and targets that misbehave in every way at once, in every mode and both hosts: the instance never
//! traps, nothing goes on that must not, and as long as the metrics themselves work the books are right.
//!
//! `HOSTILE_SEEDS` is how many seeds of random hosts are run. What fails says how it can be run again.

mod chance;
mod contexts;
mod each_call;
mod mode;
mod sizes;

use crate::edge::{Edge, envelope};
use crate::module::Module;
use chance::{break_host, end_somehow, reply};
use mode::{EVERYWHERE, Mode};
use oracles::random::Random;
use test_host::{Exchange, Profile, Reply, Request, Response, What, When};

/// A whole exchange; the target answers if the request gets there.
fn exchange(edge: &mut Module, mode: Mode, request: &Request, status: u16) -> Exchange {
    let host = &mut edge.host;
    let stream = host.open(request);
    host.try_body(stream).unwrap_or_else(|trap| trap.raise());
    // What is hashed in ticks gets some.
    let is_large = mode.signs() && request.body().len() > 100_000;
    for _ in 0..if is_large { 30 } else { 0 } {
        let so_far = host.so_far(stream);
        if so_far.upstream.headers.is_some() || so_far.local_response.is_some() {
            break;
        }
        host.advance(3);
    }
    if mode.has_left(&host.so_far(stream)) {
        host.respond(stream, &Response::status(status));
    }
    host.close(stream)
}

/// The listener goes away, and what is pending ends soon, answered or not. In nginx the worker stops without a word.
fn end(edge: &mut Module) {
    match edge.profile() {
        Profile::Envoy => {
            edge.drain();
            edge.advance(11_000);
        }
        Profile::Nginx => edge.host.stop(),
    }
}

/// The same, with the books checked before it and after it.
fn end_with_books(edge: &mut Module, mode: Mode) {
    mode.check_books(edge);
    end(edge);
    let pending = mode.check_books(edge);
    let nginx = edge.profile() == Profile::Nginx;
    assert!(pending == 0 || nginx, "{mode:?}: {pending} pending");
}

/// Says of a failure which random host it was, and how to run it again.
struct Run(u64, Mode, Profile);

impl Drop for Run {
    fn drop(&mut self) {
        let Self(seed, mode, profile) = self;
        if std::thread::panicking() {
            eprintln!("failed in {mode:?} on {profile:?}: HOSTILE_SEED={seed} runs it again");
        }
    }
}

/// The seeds from the first one on: `most` of them, or as the environment says.
fn seeds(first: u64, most: u64) -> std::ops::Range<u64> {
    let number = |name: &str| {
        let value = std::env::var(name).ok()?;
        let number = value.parse();
        Some(number.unwrap_or_else(|_| panic!("{name}: expected a number, got {value:?}")))
    };
    match number("HOSTILE_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + number("HOSTILE_SEEDS").unwrap_or(most),
    }
}

/// A root context ends while its streams are open, and another takes its place.
fn replace_root(edge: &mut Module, mode: Mode, random: &mut Random) {
    let root = edge.host.current_root();
    edge.host.end_root_first(root, random.below(2) == 0);
    // What faults do to a start is each_call's.
    edge.host.clear_faults();
    edge.host.add_root(mode.config_for(edge.profile()));
}

fn run(seed: u64, mode: Mode, profile: Profile, metrics_work: bool) {
    let _run = Run(seed, mode, profile);
    let mut random = Random(seed);
    let mut edge = mode.start(profile);
    let mut honest = break_host(&mut edge.host, &mut random, metrics_work);
    let mut tokens = vec![0, 1, u32::MAX];
    let mut open: Vec<u32> = Vec::new();
    for _ in 0..120 {
        match random.below(13) {
            0..=3 => {
                let request = mode.request(profile, &mut random);
                let status = random.pick(&[200, 204, 400, 429, 503]);
                let seen = exchange(&mut edge, mode, &request, status);
                mode.check_exchange(&seen, honest);
            }
            4 => {
                let request = mode.request(profile, &mut random).streamed();
                open.push(edge.host.open(&request));
            }
            5 if !open.is_empty() => {
                let stream =
                    open.swap_remove(usize::try_from(random.below(open.len() as u64)).unwrap());
                match random.below(2) {
                    0 => drop(edge.host.abort(stream)),
                    _ => end_somehow(&mut edge.host, &mut random, stream),
                }
            }
            // Also twice, late, and to tokens that were never given out.
            6..=8 => {
                tokens.extend(edge.calls().iter().map(|call| call.token));
                let recent = tokens.len().saturating_sub(4);
                let token = match random.below(2) {
                    0 => random.pick(&tokens),
                    _ => random.pick(&tokens[recent..]),
                };
                edge.reply(token, &reply(&mut random));
            }
            9 => {
                let back = i64::try_from(random.below(1_000_000)).unwrap();
                let ahead = random.below(2) == 0;
                edge.host.jump_wall_clock(if ahead { back } else { -back });
            }
            10 => edge.host.stop_wall_clock(random.below(2) == 0),
            11 if random.below(4) == 0 => {
                replace_root(&mut edge, mode, &mut random);
                honest &= break_host(&mut edge.host, &mut random, metrics_work);
            }
            _ => edge.advance(random.below(3_000)),
        }
    }
    edge.host.clear_faults();
    edge.host.stop_wall_clock(false);
    for stream in open {
        edge.host.abort(stream);
    }
    // Something ordinary, so that everything is published. A tick that was asked for before the clock leapt may be late.
    exchange(&mut edge, mode, &mode.ordinary(profile), 200);
    edge.advance(2_000);
    if metrics_work {
        end_with_books(&mut edge, mode)
    } else {
        end(&mut edge)
    }
}

#[test]
fn nothing_traps_and_the_books_are_right() {
    for seed in seeds(0, 12) {
        for (mode, profile) in EVERYWHERE {
            run(seed, mode, profile, true);
        }
    }
}

#[test]
fn nothing_traps_when_metrics_fail_too() {
    for seed in seeds(1_000, 8) {
        for (mode, profile) in EVERYWHERE {
            run(seed, mode, profile, false);
        }
    }
}

/// Found here: after a clock that had failed once, all that was pending seemed to be half a century old.
#[test]
fn a_clock_that_fails_once_ages_nothing() {
    for (mode, profile) in [(Mode::Rum, Profile::Envoy), (Mode::Rum, Profile::Nginx)] {
        for what in [What::Status(10), What::Nothing] {
            let mut edge = mode.start(profile);
            let call = edge.envelope();
            edge.host
                .fault("proxy_get_current_time_nanoseconds", When::Next(1), what);
            edge.send(&envelope(43));
            assert_eq!(edge.books(), [2, 0, 0, 0, 2]);
            edge.reply(call.token, &Reply::status(200));
            edge.advance(5);
            let waiting = edge.host.in_flight();
            edge.reply(waiting[0], &Reply::status(200));
            assert_eq!(edge.books(), [2, 2, 0, 0, 0]);
        }
    }
}

/// Found here: the answer was not counted, and the write in flight for ever.
#[test]
fn a_signed_request_that_ends_twice_is_still_answered() {
    let mut edge = Mode::Sign.start(Profile::Envoy);
    let stream = edge
        .host
        .open(&Mode::Sign.ordinary(Profile::Envoy).streamed());
    edge.host.body(stream, b"body", true);
    let told = edge.host.try_raw("proxy_on_request_trailers", &[stream, 1]);
    assert_eq!(told.unwrap_or_else(|trap| trap.raise()), Some(1));
    edge.host.respond(stream, &Response::status(200));
    edge.host.close(stream);
    assert_eq!(Mode::Sign.check_books(&mut edge), 0);
    assert_eq!(edge.metric("sentry_edge_mirror.sign.answered.2xx"), 1);
}

/// Found here: two calls that told the same nonsense looked like a client's own request, and the filter answered. nginx
/// closes the client's connection then, which the host tells.
#[test]
fn nonsense_for_a_path_is_left_to_the_location() {
    let mut edge = Mode::Rewrite.start(Profile::Nginx);
    for call in ["proxy_get_header_map_value", "proxy_get_property"] {
        let what = What::Data(b"nonsense".to_vec());
        edge.host.fault(call, When::Always, what);
    }
    let request = Mode::Rewrite.ordinary(Profile::Nginx);
    let seen = exchange(&mut edge, Mode::Rewrite, &request, 200);
    assert_eq!(seen.upstream.headers, None);
}

/// Found here: what was begun before stayed pending for ever.
#[test]
fn headers_that_come_twice_end_what_was_begun() {
    for (mode, profile) in EVERYWHERE {
        let mut edge = mode.start(profile);
        let stream = edge.host.open(&mode.ordinary(profile).streamed());
        edge.host
            .try_raw("proxy_on_request_headers", &[stream, 3, 0])
            .unwrap_or_else(|trap| trap.raise());
        edge.host.abort(stream);
        // In nginx a request without an end counts as one that is complete; its copy waits for an answer.
        if profile == Profile::Envoy || mode == Mode::Rewrite {
            end(&mut edge);
            assert_eq!(mode.check_books(&mut edge), 0, "{mode:?} {profile:?}");
        }
    }
}
