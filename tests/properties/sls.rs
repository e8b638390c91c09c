//! Properties of the SLS core: the batcher loses and doubles nothing and never exceeds a limit, whatever comes in, and
//! no bytes of a client, a target or a metadata service make anything panic.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Poll;

use crate::settings;
use proptest::prelude::*;
use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sls::batch::{Batcher, Limits};
use sentry_edge_mirror::sls::clock::Clock;
use sentry_edge_mirror::sls::compress::Compression;
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::log_group::MAX_RAW_BYTES;
use sentry_edge_mirror::sls::log_time::LogTime;
use sentry_edge_mirror::sls::metadata::{RamRole, Reply};
use sentry_edge_mirror::sls::put_logs::Destination;
use sentry_edge_mirror::sls::signature::Signature;
use sentry_edge_mirror::sls::wire_digest::WireDigest;
use sentry_edge_mirror::sls::write::lz4::{Decoder, Encoder};
use sentry_edge_mirror::sls::write::{
    Batch, EXTRA_REQUESTS, Group, Indivisible, Packing, Unpacker,
};
use sentry_edge_mirror::sls::write_request::{self, Incoming, Rules};
use sentry_edge_mirror::sls::{date, query, response};

use oracles::log_group::parse;

const T0: u64 = 1_709_190_489_000;

#[derive(Clone, Debug)]
enum Step {
    Push {
        time: LogTime,
        contents: Vec<(String, String)>,
    },
    Wait {
        ms: u64,
    },
    ClockBack {
        ms: u64,
    },
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z._]{1,8}", "[a-z]{120,128}"]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        (0_usize..3_000).prop_map(|length| "é".repeat(length))
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let contents = prop::collection::vec((key(), value()), 0..6);
    let time = prop_oneof![Just(at(T0)), time()];
    prop_oneof![
        8 => (time, contents).prop_map(|(time, contents)| Step::Push { time, contents }),
        1 => (0_u64..5_000).prop_map(|ms| Step::Wait { ms }),
        1 => (0_u64..5_000).prop_map(|ms| Step::ClockBack { ms }),
    ]
}

fn at(unix_ms: u64) -> LogTime {
    LogTime {
        seconds: u32::try_from(unix_ms / 1_000).unwrap(),
        nanos: u32::try_from(unix_ms % 1_000).unwrap() * 1_000_000,
    }
}

fn time() -> impl Strategy<Value = LogTime> {
    let parts = (any::<u32>(), 0_u32..1_000_000_000);
    parts.prop_map(|(seconds, nanos)| LogTime { seconds, nanos })
}

fn batcher(limits: Limits) -> Batcher {
    let to = Destination::new("abc", "localhost", "abc", "a", "src", &[]).unwrap();
    Batcher::new(Rc::new(to), limits)
}

/// The last one tells it from all others.
fn push(
    batcher: &mut Batcher,
    number: usize,
    time: LogTime,
    contents: &[(String, String)],
    now: u64,
) -> Vec<Group> {
    let number = number.to_string();
    let contents = contents
        .iter()
        .map(|(key, value)| (key.as_bytes(), value.as_bytes()));
    let contents = contents.chain([(&b"NUMBER"[..], number.as_bytes())]);
    let pushed = batcher.push(time, contents, now);
    assert!(!pushed.lost);
    pushed.sealed
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![
        Just(Compression::Lz4),
        Just(Compression::Deflate),
        Just(Compression::None)
    ]
}

/// Meters for one step each: the first of `units`, then in turn.
fn to_the_end<T>(units: &[u64], mut step: impl FnMut(&mut Meter) -> Poll<T>) -> T {
    let mut units = units.iter().cycle();
    loop {
        let mut meter = Meter::new(*units.next().unwrap());
        if let Poll::Ready(done) = step(&mut meter) {
            return done;
        }
        assert!(meter.is_empty(), "it stopped although it need not");
    }
}

fn units() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(1_u64..5_000, 1..20)
}

fn pack(group: Group, compression: Compression, units: &[u64]) -> Batch {
    let mut packing = Packing::new(group, compression, &Signature::V1);
    to_the_end(units, |meter| packing.step(meter))
}

fn unpack(batch: &Batch, units: &[u64]) -> Vec<u8> {
    let mut unpacker = Unpacker::new(batch.body());
    to_the_end(units, |meter| unpacker.step(batch.body(), meter)).unwrap()
}

fn number(raw: &[u8]) -> Vec<usize> {
    let (logs, _) = parse(raw);
    logs.iter()
        .map(|(_, contents)| contents.last().unwrap().1.parse().unwrap())
        .collect()
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn the_batcher_loses_and_doubles_nothing_and_keeps_its_limits(
        steps in prop::collection::vec(step(), 0..80),
        max_bytes in 1_usize..8_000,
        max_logs in 1_usize..12,
        linger_ms in 0_u64..4_000,
        compression in compression(),
        units in units(),
    ) {
        let limits = Limits::new(max_bytes, max_logs, linger_ms);
        let mut batcher = batcher(limits);
        let mut now = T0;
        let mut pushed: Vec<usize> = Vec::new();
        let mut sealed: Vec<(u64, Group)> = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push { time, contents } => {
                    let full = push(&mut batcher, n, time, &contents, now);
                    pushed.push(n);
                    sealed.extend(full.into_iter().map(|group| (now, group)));
                }
                Step::Wait { ms } => now += ms,
                Step::ClockBack { ms } => now -= ms,
            }
            let due = batcher.next_due();
            let old = batcher.seal_due(now);
            prop_assert!(old.iter().all(|batch| due.is_some_and(|due| due <= now) || batch.opened_ms() > now));
            sealed.extend(old.map(|group| (now, group)));
            prop_assert!(batcher.next_due().is_none_or(|due| due > now));
            let held: usize = sealed.iter().map(|(_, batch)| batch.logs()).sum();
            prop_assert_eq!(held + batcher.logs(), pushed.len());
        }
        sealed.extend(batcher.seal().map(|group| (now, group)));
        prop_assert_eq!((batcher.logs(), batcher.bytes(), batcher.next_due()), (0, 0, None));
        let packed = sealed.into_iter().map(|(at, group)| {
            let raw = group.raw().to_vec();
            let batch = pack(group, compression, &units);
            assert_eq!(unpack(&batch, &units), raw);
            (at, raw, batch)
        });
        let packed: Vec<_> = packed.collect();
        let numbers: Vec<usize> = packed.iter().flat_map(|(_, raw, _)| number(raw)).collect();
        prop_assert_eq!(&numbers, &pushed, "lost, doubled or out of order");
        for (at, raw, batch) in &packed {
            let (logs, trailer) = parse(raw);
            prop_assert_eq!(logs.len(), batch.logs());
            prop_assert_eq!(trailer.len(), batch.destination().trailer().len());
            prop_assert!(batch.logs() >= 1 && batch.logs() <= max_logs);
            prop_assert!(raw.len() <= max_bytes || batch.logs() == 1, "{} bytes", raw.len());
            prop_assert!(raw.len() <= MAX_RAW_BYTES && raw.len() == batch.body().raw_size());
            for (seconds, _) in logs {
                // Moved at a time at most all steps away.
                prop_assert!(seconds * 1_000 + 7 * 86_400_000 > at - 500_000 && seconds * 1_000 < at + 900_000 + 500_000);
            }
        }
    }

    #[test]
    fn dividing_loses_only_what_is_refused_and_costs_a_bounded_number_of_requests(
        logs in 1_usize..200,
        poison in prop::collection::btree_set(0_usize..200, 0..6),
        too_large in prop_oneof![Just(usize::MAX), 20_usize..2_000],
        compression in compression(),
        units in units(),
    ) {
        let mut batcher = batcher(Limits::new(usize::MAX, usize::MAX, 0));
        for n in 0..logs {
            push(&mut batcher, n, at(T0), &[], T0);
        }
        let mut queue: VecDeque<Group> = batcher.seal().into_iter().collect();
        let (mut requests, mut delivered, mut dropped, mut spent) = (0, Vec::new(), Vec::new(), false);
        while let Some(group) = queue.pop_front() {
            requests += 1;
            let numbers = number(group.raw());
            let batch = pack(group, compression, &units);
            prop_assert_eq!(numbers.len(), batch.logs());
            if batch.body().raw_size() <= too_large && !numbers.iter().any(|n| poison.contains(n)) {
                delivered.extend(numbers);
                continue;
            }
            match batch.divide() {
                Ok(mut dividing) => queue.extend(to_the_end(&units, |meter| dividing.step(meter)).unwrap()),
                Err(Indivisible::Single) => dropped.extend(numbers),
                Err(Indivisible::Spent) => {
                    spent = true;
                    dropped.extend(numbers);
                }
            }
        }
        prop_assert!(requests <= 1 + usize::from(EXTRA_REQUESTS));
        let mut all: Vec<usize> = delivered.iter().chain(&dropped).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..logs).collect::<Vec<_>>());
        if !spent && too_large == usize::MAX {
            prop_assert!(dropped.iter().all(|n| poison.contains(n)));
        }
    }

    /// Bytes in runs, repeated and changed: what LZ4 finds something in.
    #[test]
    fn lz4_blocks_go_both_ways_between_us_and_the_library(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 0_usize..40, any::<u8>()), 0..40),
        units in units(),
    ) {
        let mut raw: Vec<u8> = Vec::new();
        for (bytes, times, step) in parts {
            raw.extend(bytes.repeat(times % 7));
            raw.extend(bytes.iter().map(|byte| byte.wrapping_add(step) % 4));
            raw.extend_from_within(..raw.len().min(times * 8));
        }
        let mut encoder = Encoder::default();
        let block = to_the_end(&units, |meter| encoder.step(&raw, meter)).unwrap();
        prop_assert_eq!(&lz4_flex::block::decompress(&block, raw.len()).unwrap(), &raw);
        let theirs = lz4_flex::block::compress(&raw);
        prop_assert!(block.len() <= theirs.len() + theirs.len() / 20 + 16, "{} > {}", block.len(), theirs.len());
        for block in [block, theirs] {
            let mut decoder = Decoder::new(raw.len());
            prop_assert_eq!(&to_the_end(&units, |meter| decoder.step(&block, meter)).unwrap(), &raw);
        }
    }

    #[test]
    fn any_bytes_are_a_block_for_both_of_us_or_for_neither(
        mut block in prop::collection::vec(prop_oneof![2 => any::<u8>(), 1 => Just(0x1F_u8), 2 => 0_u8..4], 0..60),
        size in 0_usize..400,
        units in units(),
    ) {
        let theirs = lz4_flex::block::decompress(&block, size).ok().filter(|raw| raw.len() == size);
        let mut decoder = Decoder::new(size);
        let ours = to_the_end(&units, |meter| decoder.step(&block, meter)).ok();
        prop_assert_eq!(ours, theirs);
        // With the size that it has, if it is one.
        block.truncate(20);
        if let Ok(raw) = lz4_flex::block::decompress(&block, 1 << 12) {
            let mut decoder = Decoder::new(raw.len());
            prop_assert_eq!(to_the_end(&units, |meter| decoder.step(&block, meter)), Ok(raw));
        }
    }

    #[test]
    fn any_answer_can_be_classified(status in any::<u16>(), id in any::<bool>(), value in any::<String>(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        let header = |name: &str| match name {
            "x-log-requestid" => id.then(|| "x".to_owned()),
            _ => Some(value.clone()),
        };
        let decision = response::classify(status, header, &body);
        prop_assert_eq!(decision == response::Decision::Done, status == 200 || (id && (200..300).contains(&status)));
    }

    #[test]
    fn any_metadata_service_can_be_borne(
        answers in prop::collection::vec((any::<u16>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..40), 0_u64..90_000), 0..40),
        random in any::<u64>(),
    ) {
        let mut role = RamRole::new(None, random);
        let mut now = T0;
        let mut rounds: Vec<u64> = Vec::new();
        for (status, answered, body, wait) in answers {
            if let Some(request) = role.next_request(now) {
                if request.method == "PUT" {
                    rounds.push(now);
                }
                if answered { role.on_reply(now, request.id, &Reply { status: if status & 1 == 0 { 200 } else { status }, date: None, received_ms: now, body: &body }) } else { role.on_failure(now, request.id) }
            }
            now += wait;
            role.wake_at();
        }
        prop_assert!(role.current(now).is_none());
        prop_assert!(rounds.windows(2).all(|pair| pair[1] - pair[0] >= 1_000));
    }

    #[test]
    fn any_request_can_be_judged(
        method in prop_oneof![Just("POST".to_owned()), any::<String>()],
        target in prop_oneof![any::<String>(), "/logstores/app-log(/shards/(lb|route))?(\\?[a-z=&%+0-9]{0,20})?"],
        headers in prop::collection::vec((prop_oneof![any::<String>(), "(x-log-|X-ACS-|content-)[a-z0-9]{0,6}"], prop::collection::vec(any::<u8>(), 0..10)), 0..8),
        v4 in any::<bool>(),
        now in any::<u64>(),
    ) {
        let signature = if v4 { Signature::V4 { region: "cn-hangzhou".to_owned() } } else { Signature::V1 };
        let rules = Rules { logstores: vec!["app-log".to_owned()], max_body_bytes: 10, host: "a.b".to_owned(), signature };
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let incoming = Incoming { method: &method, target: &target, headers: &headers, body: &WireDigest::of(&rules.signature, b"x") };
        let key = Credential::new("id", "secret", None).unwrap();
        match write_request::sign(&rules, &incoming, Some(&key), now) {
            Ok(sent) => {
                prop_assert!(target.starts_with("/logstores/app-log") && method == "POST");
                prop_assert!(sent.get(b"authorization").is_some());
            }
            Err(denial) => prop_assert!(serde_json::from_str::<serde_json::Value>(&denial.body()).is_ok()),
        }
    }

    #[test]
    fn any_text_can_be_read(text in any::<String>(), ms in any::<u64>()) {
        let _ = (date::parse_http(&text), date::parse_rfc3339(&text), query::parse(&text), query::split(&text));
        let whole = ms.min(253_402_300_799_000) / 1_000 * 1_000;
        prop_assert_eq!(date::parse_http(&date::http(ms)), Some(whole));
    }

    #[test]
    fn the_clock_follows_any_server(local in any::<u64>(), server in any::<u64>()) {
        let mut clock = Clock::default();
        clock.learn(local, server);
        let _ = clock.now(local);
        clock.learn(server, local);
    }
}
