//! nginx: calls at a time are root contexts, and who gets them.
//!
//! Every other scenario runs with one root context and with four; the host fails a test in which one of them has two
//! calls out.

use crate::edge::{Edge, config, envelope, for_host, for_host_with, lane};
use crate::module::ModuleWith;
use crate::native::NativeWith;
use crate::sls::{UPSTREAM, events, section, section_with, taken};
use std::collections::BTreeSet;
use test_host::{Call, Guest, Host, Options, Profile, Reply, StartError};

macro_rules! with_lanes {
    ($($scenario:ident),+ $(,)?) => {
        mod core_with_2 { $(#[test] fn $scenario() { super::$scenario::<super::NativeWith<2>>(); })+ }
        mod core_with_4 { $(#[test] fn $scenario() { super::$scenario::<super::NativeWith<4>>(); })+ }
        mod module_with_2 { $(#[test] fn $scenario() { super::$scenario::<super::ModuleWith<2>>(); })+ }
        mod module_with_4 { $(#[test] fn $scenario() { super::$scenario::<super::ModuleWith<4>>(); })+ }
    };
}

with_lanes!(
    calls_at_a_time_are_the_root_contexts,
    a_lane_is_free_when_its_own_call_has_ended,
    max_in_flight_bounds_them_further,
    a_leg_that_hangs_leaves_a_lane_to_the_other_one,
    a_key_is_fetched_while_the_copies_hang,
);

const NGINX: Profile = Profile::Nginx;

fn roots(calls: &[Call]) -> BTreeSet<u32> {
    calls.iter().map(|call| call.root).collect()
}

fn calls_at_a_time_are_the_root_contexts<E: Edge>() {
    let mut edge = E::start(NGINX, &config(""));
    for _ in 0..20 {
        edge.send(&envelope(42));
    }
    edge.advance(100);
    let calls = edge.calls();
    let lanes = usize::from(E::LANES);
    assert_eq!((calls.len(), roots(&calls).len()), (lanes, lanes));
    assert_eq!(edge.books(), [20, 0, 0, 0, 20]);
    assert_eq!(edge.rum("in_flight"), i64::from(E::LANES));
    for call in calls {
        edge.reply(call.token, &Reply::status(200));
    }
    while edge.rum("pending") > 0 {
        for call in edge.calls() {
            edge.reply(call.token, &Reply::status(200));
        }
    }
    assert_eq!(edge.books(), [20, 20, 0, 0, 0]);
    assert_eq!(edge.rum("unexpected_replies"), 0);
}

fn a_lane_is_free_when_its_own_call_has_ended<E: Edge>() {
    let mut edge = E::start(NGINX, &config(""));
    for _ in 0..20 {
        edge.send(&envelope(42));
    }
    edge.advance(10);
    let mut call = edge.calls().pop().unwrap();
    for reply in [
        Reply::status(200),
        Reply::status(400),
        Reply::failed("timeout"),
        Reply::failed("broken connection"),
    ] {
        edge.reply(call.token, &reply);
        edge.advance(10);
        let next = edge.call();
        assert_eq!(next.root, call.root);
        call = next;
    }
}

fn max_in_flight_bounds_them_further<E: Edge>() {
    let mut edge = E::start(NGINX, &config(r#", "limits": {"max_in_flight": 1}"#));
    for _ in 0..5 {
        edge.send(&envelope(42));
    }
    for _ in 0..5 {
        edge.advance(100);
        let call = edge.call();
        edge.reply(call.token, &Reply::status(200));
    }
    assert_eq!(edge.books(), [5, 5, 0, 0, 0]);
}

fn both(section: &str) -> String {
    format!(
        r#"{{"host": "HOST", "rum": {{"upstream": "rum.test:80", "authority": "rum.example.com",
            "default": {{"workspace": "ws", "service_id": "web"}}}}, {section}}}"#
    )
}

fn a_leg_that_hangs_leaves_a_lane_to_the_other_one<E: Edge>() {
    let mut edge = E::start(NGINX, &both(&section("")));
    for round in 0..10 {
        edge.send(&events(&["a", "b"]));
        edge.advance(2_020);
        let calls = edge.calls();
        let [writes, copies]: [Vec<&Call>; 2] = [true, false].map(|sls| {
            calls
                .iter()
                .filter(|call| (call.upstream == UPSTREAM) == sls)
                .collect()
        });
        assert_eq!(writes.len(), 1, "round {round}");
        assert!(copies.len() <= usize::from(E::LANES.div_ceil(2)));
        for write in writes {
            edge.reply(write.token, &taken());
        }
        // The copies' target says nothing.
    }
    assert_eq!(edge.logs(), [20, 20, 0, 0, 0]);
}

fn a_key_is_fetched_while_the_copies_hang<E: Edge>() {
    let credential = r#""credential": {"ecs_ram_role": {"upstream": "metadata.test:80"}}"#;
    let mut edge = E::start(NGINX, &both(&section_with(credential, "")));
    for _ in 0..5 {
        edge.send(&events(&["a"]));
    }
    // The metadata service is down: it is asked again and again.
    let mut asked = 0;
    for _ in 0..600 {
        edge.advance(100);
        for call in edge.calls() {
            if call.upstream == "metadata.test:80" {
                asked += 1;
                edge.reply(call.token, &Reply::failed("broken connection"));
            }
        }
    }
    assert!(asked > 10, "{asked}");
    assert!((1..=i64::from(E::LANES.div_ceil(2))).contains(&edge.rum("in_flight")));
}

/// A worker with these root contexts, in this order, whatever they say.
fn worker(configs: &[String]) -> Host {
    let guest = Guest::sentry_edge_mirror();
    let mut host = Host::new(NGINX, guest, Options::new(&configs[0]));
    for config in &configs[1..] {
        host.add_root(config);
    }
    host
}

/// A request in the location of this root context.
fn send_to(host: &mut Host, root: u32) {
    let exchange = host.try_send_on(root, &envelope(42)).unwrap();
    exchange.assert_untouched();
}

fn main(lanes: u8) -> String {
    for_host_with(NGINX, lanes, &config(""))
}

fn said(host: &Host, text: &str) -> usize {
    host.logs()
        .iter()
        .filter(|log| log.text.contains(text))
        .count()
}

/// The calls of `rounds` ticks, each answered at the next one.
fn deliver(host: &mut Host, rounds: usize) -> Vec<Call> {
    let mut all = Vec::new();
    for _ in 0..rounds {
        host.advance(4);
        let calls = host.take_calls();
        for call in &calls {
            host.reply(call.token, &Reply::status(200));
        }
        all.extend(calls);
    }
    all
}

#[test]
fn root_contexts_are_configured_in_any_order() {
    for main_at in 0..3 {
        let mut configs = vec![lane(1), lane(2)];
        configs.insert(main_at, main(3));
        let mut host = worker(&configs);
        // nginx gives requests to the root context of their location.
        let serving = u32::try_from(main_at).unwrap() + 1;
        for _ in 0..9 {
            send_to(&mut host, serving);
        }
        host.advance(4);
        assert_eq!(roots(host.calls()).len(), 3, "main at {main_at}");
        for call in host.take_calls() {
            host.reply(call.token, &Reply::status(200));
        }
        assert_eq!(deliver(&mut host, 10).len(), 6);
        host.advance(2_000);
        assert_eq!(said(&host, "lane"), 0, "{:#?}", host.logs());
        assert_eq!(host.metric("sentry_edge_mirror.rum.delivered"), 9);
    }
}

#[test]
fn a_lane_alone_does_nothing() {
    let mut host = worker(&[lane(1), lane(2)]);
    host.send(&envelope(42)).assert_untouched();
    host.advance(5_000);
    assert!(
        host.calls().is_empty() && host.logs().is_empty(),
        "{:#?}",
        host.logs()
    );
}

#[test]
fn lanes_that_are_missing_or_not_used_are_told_once() {
    for (lanes, there, text) in [
        (
            4,
            0,
            "lanes is 4, which needs 3 lane locations (see nginx/tee.conf), and there are 0: at most 1",
        ),
        (4, 2, "and there are 2: at most 3 calls"),
        (1, 2, "lanes is 1, which needs 0 lane locations"),
    ] {
        let mut configs = vec![main(lanes)];
        configs.extend((1..=there).map(lane));
        let mut host = worker(&configs);
        for _ in 0..8 {
            host.send(&envelope(42)).assert_untouched();
        }
        host.advance(10_000);
        let calls = host.take_calls();
        assert_eq!(calls.len(), usize::from(lanes.min(there + 1)));
        assert_eq!(said(&host, text), 1, "{:#?}", host.logs());
        assert_eq!(said(&host, "lanes is"), 1);
    }
}

#[test]
fn the_second_lane_of_a_number_is_a_bad_configuration() {
    let mut host = worker(&[main(3), lane(2), lane(2)]);
    assert_eq!(
        said(
            &host,
            "bad plugin configuration, 1 problem; lane: another location is lane 2 already, got 2"
        ),
        1
    );
    assert_eq!((host.tick_period(2), host.tick_period(3)), (Some(4), None));
    for _ in 0..8 {
        host.send(&envelope(42)).assert_untouched();
    }
    host.advance(2_000);
    assert_eq!(roots(host.calls()), BTreeSet::from([1, 2]));
    assert_eq!(said(&host, "there are 1: at most 2 calls at a time"), 1);
}

#[test]
fn a_bad_lane_is_logged_in_full_and_passes_traffic() {
    let mut host = worker(&[
        r#"{"host": "nginx", "lane": 0, "rum": {}, "key": "s3cr3t"}"#.to_owned(),
        main(1),
        r#"{"host": "nginx", "lane": 65}"#.to_owned(),
        r#"{"lane": 1}"#.to_owned(),
        r#"{"host": "nginx", "lane""#.to_owned(),
        r#"{"host": "nginx", "lanes": 0}"#.to_owned(),
    ]);
    for text in [
        "3 problems; rum: a lane has its number and nothing else",
        "; lane: expected an integer from 1 to 64, got 0",
        "1 problem; lane: expected an integer from 1 to 64, got 65",
        "1 problem; lane: only nginx has lanes",
        "syntax error",
        "lanes: expected an integer from 1 to 64, got 0",
    ] {
        assert_eq!(said(&host, text), 1, "{text}: {:#?}", host.logs());
    }
    assert_eq!(said(&host, "s3cr3t"), 0);
    host.send(&envelope(42)).assert_untouched();
    send_to(&mut host, 2);
    host.advance(2_000);
    assert_eq!(roots(host.calls()), BTreeSet::from([2]));
    assert_eq!(host.ticks(), 500, "only the good one");
}

#[test]
fn envoy_has_no_lanes() {
    let guest = Guest::sentry_edge_mirror();
    let more = for_host_with(NGINX, 4, &config("")).replace(r#""nginx""#, r#""envoy""#);
    for config in [lane(1), more] {
        let refused = Host::try_new(Profile::Envoy, guest, Options::new(config));
        assert!(matches!(refused, Err(StartError::Rejected { .. })));
    }
}

/// Two locations with a configuration each, of which one's target hangs.
#[test]
fn the_lanes_serve_every_configuration_fairly() {
    let other = main(4).replace("rum.test:80", "other.test:80");
    let mut host = worker(&[main(4), lane(1), lane(2), lane(3), other]);
    let mut served = 0;
    for round in 0..200 {
        for serving in [1, 5] {
            send_to(&mut host, serving);
        }
        host.advance(4);
        for call in host.take_calls() {
            if call.upstream == "rum.test:80" {
                served += 1;
                host.reply(call.token, &Reply::status(200));
            }
        }
        assert!(served >= round, "{served} in round {round}");
    }
    let hanging = host.in_flight().len();
    assert!((1..=4).contains(&hanging), "{hanging}");
    // With both well, both drain.
    for token in host.in_flight() {
        host.reply(token, &Reply::status(200));
    }
    let calls = deliver(&mut host, 100);
    let others = calls.iter().filter(|call| call.upstream == "other.test:80");
    assert!(others.count() >= 190);
    assert_eq!(host.metric("sentry_edge_mirror.rum.pending"), 0);
}

/// With a dead neighbour, a configuration still has more than its own root context.
#[test]
fn of_two_configurations_the_one_with_fewer_calls_is_next() {
    let other = main(3).replace("rum.test:80", "other.test:80");
    let mut host = worker(&[main(3), lane(1), lane(2), other]);
    for serving in [1, 4] {
        for _ in 0..8 {
            send_to(&mut host, serving);
        }
    }
    host.advance(8);
    let calls = host.take_calls();
    let of = |name: &str| calls.iter().filter(|call| call.upstream == name).count();
    assert_eq!((of("rum.test:80"), of("other.test:80")), (2, 2));
}

/// After a trap nginx makes a fresh instance and configures each root context with its next tick or request, in any order
/// and without `on_vm_start`; the timers of the old one tick on.
#[test]
fn a_new_instance_has_its_lanes_back() {
    let mut host = worker(&[main(3), lane(1), lane(2)]);
    for _ in 0..8 {
        host.send(&envelope(42)).assert_untouched();
    }
    host.advance(4);
    let old = host.take_calls();
    assert_eq!(old.len(), 3);
    host.restart().unwrap();
    // An answer to a call of the old one.
    host.try_reply_to(2, old[1].token, &Reply::status(200))
        .unwrap();
    for _ in 0..8 {
        host.send(&envelope(42)).assert_untouched();
    }
    for root in [2, 2, 1, 3, 1, 2, 3, 77] {
        host.try_tick(root).unwrap();
    }
    assert_eq!(roots(host.calls()).len(), 3);
    for call in host.take_calls() {
        host.reply(call.token, &Reply::status(200));
    }
    assert_eq!(deliver(&mut host, 10).len(), 5);
    host.advance(2_000);
    assert_eq!(said(&host, "lanes is"), 0);
}

/// A context that is there and was never configured, a lane that is configured again, answers that go astray.
#[test]
fn nothing_a_host_does_to_a_lane_traps() {
    let mut host = worker(&[main(2), lane(1)]);
    host.send(&envelope(42)).assert_untouched();
    host.send(&envelope(42)).assert_untouched();
    host.advance(4);
    let calls = host.take_calls();
    assert_eq!(calls.len(), 2);
    for callback in [
        "proxy_on_context_create",
        "proxy_on_tick",
        "proxy_on_done",
        "proxy_on_delete",
    ] {
        host.try_raw(
            callback,
            &[9, 0][..if callback == "proxy_on_context_create" {
                2
            } else {
                1
            }],
        )
        .unwrap();
    }
    let size = u32::try_from(lane(1).len()).unwrap();
    host.try_raw("proxy_on_configure", &[2, size]).unwrap();
    // To the wrong context: it is for nobody, and the slot stays taken.
    host.try_raw("proxy_on_http_call_response", &[1, calls[1].token, 0, 0, 0])
        .unwrap();
    host.send(&envelope(42)).assert_untouched();
    host.advance(100);
    assert!(host.calls().is_empty());
    for call in calls {
        host.reply(call.token, &Reply::status(200));
    }
    assert_eq!(deliver(&mut host, 4).len(), 1);
}

/// The old worker's ticks end at once; the new one has lanes of its own, and the gauges are its own.
#[test]
fn a_reload_under_load() {
    let configs = [main(4), lane(1), lane(2), lane(3)];
    let mut old = worker(&configs);
    for _ in 0..20 {
        old.send(&envelope(42)).assert_untouched();
    }
    old.advance(120);
    assert_eq!(old.in_flight().len(), 4);
    old.stop();
    let mut new = old.beside(&configs[0]).unwrap();
    for config in &configs[1..] {
        new.add_root(config);
    }
    for _ in 0..20 {
        new.send(&envelope(42)).assert_untouched();
    }
    assert_eq!(deliver(&mut new, 10).len(), 20);
    // Requests that were open still end in the old one.
    old.send(&envelope(42)).assert_untouched();
    old.advance(1_000);
    assert_eq!(old.take_calls().len(), 4, "those of before");
    new.advance(200);
    assert_eq!(new.metric("sentry_edge_mirror.rum.delivered"), 20);
    for gauge in ["pending", "pending_bytes", "in_flight"] {
        assert_eq!(new.metric(&format!("sentry_edge_mirror.rum.{gauge}")), 0);
    }
}

/// One root context is what a configuration without `lanes` has.
#[test]
fn without_lanes_nothing_is_said() {
    let mut host = worker(&[for_host(NGINX, &config(""))]);
    host.advance(5_000);
    assert_eq!(said(&host, "lane"), 0);
}
