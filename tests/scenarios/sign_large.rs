//! Mode `sign`: writes that are too large for one callback are hashed in ticks; and whatever a client sends, no callback is
//! longer than its bound.

use crate::at_the_gate;
use crate::edge::{Edge, Refusal};
use crate::module::Module;
use crate::sign::{
    LITERAL, bare_write, check, config, config_with, key, refused, sdk_write, taken,
};
use sentry_edge_mirror::meter::CALLBACK;
use test_host::{Headers, Profile, Request, What, When};

at_the_gate!(
    a_large_write_is_hashed_in_ticks,
    large_writes_take_turns_and_a_small_one_does_not_wait,
    a_client_that_goes_away_while_its_write_is_hashed,
    what_is_wrong_with_a_large_write_is_answered_by_a_tick,
    a_host_that_fails_in_a_tick_lets_nothing_through,
    what_costs_more_than_it_is_worth_is_answered,
    what_looks_like_grpc_is_answered,
);

/// v4, and bodies that are too large for one callback.
fn large_config() -> String {
    config_with(
        LITERAL,
        r#", "signature": "v4", "region": "cn-test""#,
        r#", "limits": {"max_body_bytes": 16777216}"#,
    )
}

fn large_body(seed: usize, size: usize) -> Vec<u8> {
    (seed..seed + size).map(|n| (n % 251) as u8).collect()
}

fn a_large_write_is_hashed_in_ticks<G: Edge>() {
    let body = large_body(0, 1_500_001);
    for (config, region) in [(config(), None), (large_config(), Some("cn-test"))] {
        let mut gate = G::start(Profile::Envoy, &config);
        for pieces in [1_500_001, 700_000] {
            for end in ["with the last piece", "apart", "with trailers"] {
                let mut request = Request::post("/logstores/app-log").body_in(&body, pieces);
                request.ends_apart = end == "apart";
                request.trailers = (end == "with trailers").then(Headers::new);
                let id = gate.upload(&request);
                assert!(gate.seen(id).is_waiting(), "{pieces} {end}");
                assert!(gate.is_ticking());
                gate.served(id);
                check(&gate.seen(id), "/logstores/app-log", &body, &key(), region);
                gate.respond(id, &taken());
                gate.close(id);
            }
        }
        assert_eq!(gate.writes(), [6, 6, 0, 0]);
        assert_eq!(gate.sign("bytes"), 6 * 1_500_001);
        gate.advance(300);
        assert!(!gate.is_ticking(), "nothing is left to do");
    }
}

fn large_writes_take_turns_and_a_small_one_does_not_wait<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &large_config());
    let sizes = [4 << 20, 300_000, 300_000, 300_000];
    let bodies: Vec<Vec<u8>> = sizes
        .iter()
        .enumerate()
        .map(|(seed, size)| large_body(seed, *size))
        .collect();
    let ids: Vec<u32> = bodies
        .iter()
        .map(|body| gate.upload(&bare_write(body)))
        .collect();
    let small = gate.exchange(&bare_write(b"small"), &taken());
    let region = Some("cn-test");
    check(&small, "/logstores/app-log", b"small", &key(), region);
    assert!(ids.iter().all(|id| gate.seen(*id).is_waiting()));
    // Those that came behind the largest do not wait for all of it.
    let mut left = Vec::new();
    for _ in 0..5_000 {
        gate.advance(1);
        for (id, body) in ids.iter().zip(&bodies) {
            if !left.contains(id) && !gate.seen(*id).is_waiting() {
                check(&gate.seen(*id), "/logstores/app-log", body, &key(), region);
                left.push(*id);
            }
        }
    }
    assert_eq!((left.len(), left.last()), (4, Some(&ids[0])));
    for id in ids {
        gate.respond(id, &taken());
        gate.close(id);
    }
    assert_eq!(gate.writes(), [5, 5, 0, 0]);
}

fn a_client_that_goes_away_while_its_write_is_hashed<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &large_config());
    let body = large_body(0, 1 << 20);
    let [gone, stays] = [(); 2].map(|()| gate.upload(&bare_write(&body)));
    gate.advance(3);
    gate.close(gone);
    let unfinished = gate.arrive(&bare_write(b"x"));
    gate.body(unfinished, &body, false);
    gate.served(stays);
    let region = Some("cn-test");
    check(
        &gate.seen(stays),
        "/logstores/app-log",
        &body,
        &key(),
        region,
    );
    gate.respond(stays, &taken());
    gate.close(stays);
    // What has come of this one is hashed; the rest has not come. Its account is renewed meanwhile.
    gate.advance(3_000);
    assert!(gate.seen(unfinished).is_waiting());
    gate.close(unfinished);
    assert_eq!(gate.writes(), [3, 1, 0, 2]);
    assert_eq!(gate.sign("pending_bytes"), 0);
    gate.advance(300);
    assert!(!gate.is_ticking());
}

fn what_is_wrong_with_a_large_write_is_answered_by_a_tick<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &large_config());
    let body = large_body(0, 300_000);
    let unknown_size = bare_write(&body).header("x-log-compresstype", "lz4");
    let id = gate.upload(&unknown_size);
    assert!(gate.seen(id).is_waiting());
    gate.served(id);
    assert_eq!(
        refused(&gate.seen(id)),
        (400, "MissingBodyRawSize".to_owned())
    );
    gate.close(id);
    // What is too much is known at once, whatever waits for its turn.
    let id = gate.arrive(&bare_write(b"x"));
    gate.body(id, &body, false);
    gate.body(id, &vec![0; 16 << 20], false);
    assert_eq!(
        refused(&gate.seen(id)),
        (413, "PostBodyTooLarge".to_owned())
    );
    gate.close(id);
    assert_eq!(gate.writes(), [2, 0, 2, 0]);
    gate.advance(300);
    assert!(!gate.is_ticking());
}

fn a_host_that_fails_in_a_tick_lets_nothing_through<G: Edge>() {
    let body = large_body(0, 300_000);
    for fault in [
        Refusal::Replace,
        Refusal::Body,
        Refusal::Continue,
        Refusal::Enter,
    ] {
        let mut gate = G::start(Profile::Envoy, &large_config());
        gate.exchange(&bare_write(b"x"), &taken());
        let id = gate.upload(&bare_write(&body));
        assert!(gate.seen(id).is_waiting());
        gate.fault(fault, u32::MAX);
        gate.advance(2_000);
        let seen = gate.seen(id);
        match fault {
            // In whose name nothing can be done, it cannot be answered either.
            Refusal::Enter => assert!(seen.is_waiting()),
            _ => assert_eq!(refused(&seen), (503, "ServerBusy".to_owned()), "{fault:?}"),
        }
        gate.close(id);
        assert_eq!(gate.sign("denied.host"), 1, "{fault:?}");
        assert_eq!(gate.writes(), [2, 1, 1, 0]);
    }
}

fn what_costs_more_than_it_is_worth_is_answered<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    let invalid = (400, "ParameterInvalid".to_owned());
    let long = format!("/logstores/app-log?key={}", "k".repeat(4_096));
    let mut request = bare_write(b"x");
    request.headers.replace(":path", long);
    assert_eq!(refused(&gate.exchange(&request, &taken())), invalid);
    let long = bare_write(b"x").header("x-log-mode", "m".repeat(4_096));
    assert_eq!(refused(&gate.exchange(&long, &taken())), invalid);
    let many = (0..25).fold(bare_write(b"x"), |request, n| {
        request.header(format!("x-log-{n}"), "")
    });
    assert_eq!(refused(&gate.exchange(&many, &taken())), invalid);
    // What is not signed may be longer.
    let fine = bare_write(b"x").header("user-agent", "u".repeat(30_000));
    let seen = gate.exchange(&fine, &taken());
    check(&seen, "/logstores/app-log", b"x", &key(), None);
    assert_eq!(gate.writes(), [4, 1, 3, 0]);
}

fn what_looks_like_grpc_is_answered<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web",
        " Application/gRPC;a=b",
    ] {
        let request = bare_write(b"x").header("content-type", kind);
        let seen = gate.exchange(&request, &taken());
        assert_eq!(refused(&seen), (400, "InvalidContentType".to_owned()));
    }
    assert_eq!(gate.writes(), [4, 0, 4, 0]);
}

/// Whatever a client sends: a callback is short.
#[test]
fn every_callback_has_a_bound() {
    let piled = |name: &str, most: usize| {
        (0..most).fold(bare_write(b"x"), |request, n| {
            request.header(format!("{name}{n}"), "v")
        })
    };
    let small = |key: usize| {
        let mut request = bare_write(b"x");
        let escaped = "!".repeat(key);
        let target = format!("/logstores/app-log?key={escaped}");
        request.headers.replace(":path", target);
        request
    };
    let heads = [
        bare_write(b"x"),
        piled("x-log-", 24),
        piled("x-log-meta-", 2_500),
        piled("a", 3_000),
        piled("a", 100_000),
        small(4_000),
        small(60_000),
        small(1 << 20).header("x-log-a", "v".repeat(4_000)),
        bare_write(b"x").header("user-agent", "u".repeat(65_000)),
        bare_write(b"x").header("user-agent", "u".repeat(8 << 20)),
        bare_write(b"x").header("content-length", "9".repeat(60_000)),
        small(4_000)
            .header("x-log-a", "v".repeat(4_000))
            .header("a", "u".repeat(50_000)),
    ];
    // Whole writes up to what one callback may hash, and more.
    let sizes = [1, 64, 100, 110, 114, 118, 122, 490, 500, 512, 1_024, 16_384];
    for config in [config(), large_config()] {
        for head in &heads {
            for kib in sizes {
                if kib > 1_024 && *head != heads[0] {
                    continue;
                }
                let mut gate = Module::start(Profile::Envoy, &config);
                let mut request = head.clone();
                request.chunks = vec![vec![b'x'; kib << 10]];
                gate.exchange(&request, &taken());
                let (callback, instructions) = gate.host.largest_callback();
                eprintln!(
                    "XX {} {kib} {callback} {instructions}",
                    request.headers.len()
                );
                assert!(
                    instructions <= CALLBACK,
                    "{callback}: {instructions}, {kib} KiB, {} headers",
                    request.headers.len()
                );
            }
        }
    }
}

/// A write of ordinary size is signed in the callback that completed it.
#[test]
fn a_small_write_needs_no_tick() {
    for (config, size) in [(config(), 512 << 10), (large_config(), 65_536)] {
        let mut gate = Module::start(Profile::Envoy, &config);
        let id = gate.upload(&sdk_write(&vec![b'x'; size]));
        assert!(gate.seen(id).headers.is_some(), "{size}");
        let (_, instructions) = gate.host.largest_callback();
        assert!(instructions <= CALLBACK, "{instructions}");
    }
}

/// Envoy answers what it takes for gRPC with 200 whatever it was told; a client would take that for success.
#[test]
fn a_refusal_is_no_success_for_what_envoy_takes_for_grpc() {
    let grpc = |target: &str| {
        let mut request = bare_write(b"x").header("content-type", "application/grpc");
        request.headers.replace(":path", target);
        request
    };
    for (target, status) in [("/logstores/app-log", "400"), ("/logstores/other", "403")] {
        let mut gate = Module::start(Profile::Envoy, &config());
        let id = gate.upload(&grpc(target));
        let told = gate.host.so_far(id).downstream.headers.unwrap();
        assert_eq!(told.text(":status").as_deref(), Some(status));
        gate.close(id);
        // A status that cannot be put right is not told.
        let fault = "proxy_replace_header_map_value";
        gate.host.fault(fault, When::Always, What::Status(10));
        let id = gate.upload(&grpc(target));
        assert_eq!(gate.host.so_far(id).downstream.headers, None);
        gate.close(id);
        assert_eq!(gate.writes(), [2, 0, 2, 0]);
    }
}

/// A listener that goes away waits for its requests, also for those that are hashed in its ticks.
#[test]
fn a_drain_waits_for_what_is_hashed() {
    let mut gate = Module::start(Profile::Envoy, &large_config());
    let root = gate.host.current_root();
    let body = large_body(0, 1 << 20);
    let id = gate.upload(&bare_write(&body));
    gate.host.drain();
    assert!(gate.seen(id).is_waiting() && !gate.host.is_gone(root));
    gate.served(id);
    let region = Some("cn-test");
    check(&gate.seen(id), "/logstores/app-log", &body, &key(), region);
    gate.respond(id, &taken());
    gate.close(id);
    assert!(gate.host.is_gone(root));
    assert_eq!(gate.metric("sentry_edge_mirror.sign.answered.2xx"), 1);
}
