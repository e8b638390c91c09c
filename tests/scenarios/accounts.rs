//! Instances that end with work to do, over shared data as Envoy has it: what they held is booked once, by another.
//!
//! The module only: an instance is a VM, and several of them share metrics and shared data.

use crate::edge::{Edge, PUBLISH_MS, config, config_with_rum, envelope, for_host};
use crate::module::Module;
use crate::seen::sign_books;
use crate::sls;
use test_host::{Guest, Host, Log, Options, Profile, Reply, Request};

const ORPHAN_MS: u64 = 15_000;
const LOOK_MS: u64 = 5_000;
const ERROR: u32 = 4;
const WARN: u32 = 3;

fn start(config: &str) -> Module {
    Module::start(Profile::Envoy, config)
}

/// Another worker, or a new VM.
fn beside(edge: &Module, config: &str) -> Module {
    let config = for_host(Profile::Envoy, config);
    Module::from_host(edge.host.beside(config).unwrap())
}

/// Copies that wait for an answer which does not come.
fn pending(edge: &mut Module, copies: usize) {
    for _ in 0..copies {
        edge.send(&envelope(42));
    }
    edge.advance(PUBLISH_MS);
}

/// Time passes for all of them, second by second.
fn pass(edges: &mut [&mut Module], seconds: u64) {
    for _ in 0..seconds {
        for edge in &mut *edges {
            edge.advance(1_000);
        }
    }
}

fn lines(host: &Host, level: u32) -> Vec<&Log> {
    let logs = host.logs().iter();
    logs.filter(|log| log.level == level).collect()
}

fn said(edges: &[&Module], level: u32) -> usize {
    let lines = edges.iter().map(|edge| lines(&edge.host, level).len());
    lines.sum()
}

/// Whether an account is in use.
fn accounts(edge: &Module) -> usize {
    let values = edge.host.shared_data();
    values
        .values()
        .filter(|value| value.contains(&b'='))
        .count()
}

/// It waits longer for answers than any test.
fn patient() -> String {
    config_with_rum(r#", "timeout_ms": 60000"#, "")
}

#[test]
fn what_a_dead_instance_held_is_booked_once_by_one_of_three() {
    let mut dead = start(&patient());
    pending(&mut dead, 20);
    assert_eq!(dead.books(), [20, 0, 0, 0, 20]);
    assert_eq!(accounts(&dead), 1);
    let mut siblings = [(); 3].map(|()| beside(&dead, &patient()));
    drop(dead);
    let [a, b, c] = &mut siblings;
    pass(&mut [a, b, c], ORPHAN_MS / 1_000 - 1);
    assert_eq!(a.books(), [20, 0, 0, 0, 20], "not yet");
    pass(&mut [a, b, c], LOOK_MS / 1_000 + 1);
    assert_eq!(a.books(), [20, 0, 0, 20, 0]);
    assert_eq!(a.rum("pending_bytes"), 0);
    assert_eq!(a.rum("in_flight"), 0);
    assert_eq!(said(&[a, b, c], ERROR), 1);
    assert_eq!(accounts(a), 0);
    pass(&mut [a, b, c], 60);
    assert_eq!(a.books(), [20, 0, 0, 20, 0]);
    assert!(
        !a.is_ticking() && !b.is_ticking() && !c.is_ticking(),
        "nobody is left to look after"
    );
}

#[test]
fn copies_that_no_rule_has_decided_about_are_booked_too() {
    let config = config_with_rum(r#", "only_accepted": true"#, "");
    let mut dead = start(&config);
    for _ in 0..3 {
        dead.upload(&envelope(42));
    }
    assert_eq!((dead.rum("queued"), dead.books()), (3, [0; 5]));
    let mut new = beside(&dead, &config);
    drop(dead);
    pass(&mut [&mut new], 25);
    assert_eq!(new.books(), [3, 0, 0, 3, 0]);
    assert_eq!((new.rum("queued"), new.rum("pending_bytes")), (0, 0));
    assert_eq!(said(&[&new], ERROR), 1);
}

#[test]
fn logs_are_booked_too_those_that_nobody_has_read_as_well() {
    let config = config(&format!(
        ", {}",
        sls::section(r#", "batch": {"linger_ms": 60000}"#)
    ));
    let mut dead = start(&config);
    for _ in 0..3 {
        dead.send(&envelope(42));
    }
    dead.advance(PUBLISH_MS);
    let [captured, .., logs] = dead.logs();
    assert_eq!((captured, logs), (3, 3));
    let mut new = beside(&dead, &config);
    drop(dead);
    pass(&mut [&mut new], 25);
    assert_eq!(new.logs(), [3, 0, 0, 3, 0]);
    assert_eq!(new.books(), [3, 0, 0, 3, 0]);
    assert_eq!(said(&[&new], ERROR), 1);
}

/// The new configuration has no SLS leg: the metrics are still there, since another VM has them.
#[test]
fn a_leg_that_the_new_configuration_does_not_have_is_booked() {
    let both = config(&format!(
        ", {}",
        sls::section(r#", "batch": {"linger_ms": 60000}"#)
    ));
    let mut dead = start(&both);
    dead.send(&envelope(42));
    dead.advance(PUBLISH_MS);
    let mut new = beside(&dead, &config(""));
    drop(dead);
    pass(&mut [&mut new], 25);
    assert_eq!(new.logs(), [1, 0, 0, 1, 0]);
    assert_eq!(new.books(), [1, 0, 0, 1, 0]);
}

#[test]
fn live_instances_are_never_taken() {
    // It waits for a target that stays away, it drains, and it has two listeners.
    let mut one = start(&patient());
    pending(&mut one, 5);
    one.host.add_root(for_host(Profile::Envoy, &patient()));
    let mut two = beside(&one, &patient());
    pending(&mut two, 7);
    let mut idle = beside(&one, &patient());
    pass(&mut [&mut one, &mut two, &mut idle], 55);
    assert_eq!(one.books(), [12, 0, 0, 0, 12]);
    one.host.drain();
    pass(&mut [&mut one, &mut two, &mut idle], 4);
    assert_eq!(one.books(), [12, 0, 0, 0, 12], "it drains");
    for level in [WARN, ERROR] {
        assert_eq!(said(&[&one, &two, &idle], level), 0);
    }
}

#[test]
fn an_owner_that_stood_still_goes_on_with_what_it_has() {
    let mut stalled = start(&patient());
    pending(&mut stalled, 20);
    let calls = stalled.calls();
    let mut sibling = beside(&stalled, &patient());
    pass(&mut [&mut sibling], 25);
    assert_eq!(sibling.books(), [20, 0, 0, 20, 0]);
    // Its slot was used by somebody else in between.
    sibling.send(&envelope(42));
    sibling.advance(PUBLISH_MS);
    let call = sibling.call();
    sibling.reply(call.token, &Reply::status(200));
    assert_eq!(sibling.books(), [21, 1, 0, 20, 0]);

    pass(&mut [&mut stalled], 1);
    assert_eq!(stalled.books(), [41, 1, 0, 20, 20]);
    assert_eq!(said(&[&stalled], WARN), 1);
    for call in &calls {
        stalled.reply(call.token, &Reply::status(200));
    }
    assert_eq!(stalled.books(), [41, 21, 0, 20, 0]);
    assert_eq!(stalled.rum("pending_bytes"), 0);
    pass(&mut [&mut stalled, &mut sibling], 40);
    assert_eq!(stalled.books(), [41, 21, 0, 20, 0]);
    assert_eq!(said(&[&stalled], WARN), 1);
}

/// FAIL_RELOAD: the instance that comes next in the same place.
#[test]
fn what_a_trap_took_along_is_booked_by_the_next_instance() {
    let mut edge = start(&patient());
    pending(&mut edge, 4);
    edge.host.restart().unwrap();
    let mut edge = Module::from_host(edge.host);
    edge.advance(25_000);
    assert_eq!(edge.books(), [4, 0, 0, 4, 0]);
    assert!(!edge.is_ticking());
}

/// An account is only as old as the last publication.
#[test]
fn what_is_taken_over_is_what_was_published_last() {
    let mut dead = start(&patient());
    pending(&mut dead, 20);
    let calls = dead.calls();
    for call in &calls[..8] {
        dead.reply(call.token, &Reply::status(200));
    }
    dead.advance(PUBLISH_MS);
    assert_eq!(dead.books(), [20, 8, 0, 0, 12]);
    // Nobody has heard of these.
    for call in &calls[8..10] {
        dead.reply(call.token, &Reply::status(200));
    }
    let mut new = beside(&dead, &patient());
    drop(dead);
    pass(&mut [&mut new], 25);
    assert_eq!(new.books(), [20, 8, 0, 12, 0]);
}

#[test]
fn signed_writes_are_aborted_or_unanswered() {
    let config = r#"{"host": "HOST", "mode": "sign", "sign": {"logstores": ["store"]}, "sls": {"project": "proj",
        "endpoint": "cn-test.log.aliyuncs.com", "credential": {"access_key_id": "id", "access_key_secret": "secret"}}}"#;
    let options = Options {
        allow_on_headers_stop_iteration: true,
        ..Options::new(for_host(Profile::Envoy, config))
    };
    let host = Host::new(Profile::Envoy, Guest::sentry_edge_mirror(), options);
    let mut dead = Module::from_host(host);
    let write = Request::post("/logstores/store").chunk(b"body");
    let signed = dead.host.open(&write.clone().streamed());
    dead.host.body(signed, b"body", true);
    dead.host.open(&write.streamed());
    // Nothing but a write's end is published at once.
    for _ in 0..70 {
        dead.host
            .send(&Request::post("/logstores/other").chunk(b""));
    }
    dead.advance(2 * PUBLISH_MS);
    let books =
        |edge: &Module| sign_books(|what| edge.metric(&format!("sentry_edge_mirror.sign.{what}")));
    let before = books(&dead);
    assert!(before.open > 0, "{before:?}");
    let mut new = beside(&dead, config);
    drop(dead);
    pass(&mut [&mut new], 25);
    assert_eq!(books(&new).open, 0);
}

#[test]
fn strange_values_under_our_keys_change_nothing() {
    let mut edge = start(&patient());
    let strange: [&[u8]; 4] = [
        b"",
        b"theirs",
        b"sentry_edge_mirror/1 x rum.pending=5",
        &[0xff; 50_000],
    ];
    for (slot, value) in strange.into_iter().enumerate() {
        edge.host
            .share(&format!("sentry_edge_mirror/account/{slot}"), value);
    }
    pending(&mut edge, 2);
    let mut sibling = beside(&edge, &patient());
    pass(&mut [&mut edge, &mut sibling], 30);
    assert_eq!(edge.books()[3..], [0, 2]);
    drop(edge);
    pass(&mut [&mut sibling], 25);
    assert_eq!(sibling.books()[3..], [2, 0]);
    let values = sibling.host.shared_data();
    for (slot, value) in strange.into_iter().enumerate() {
        assert_eq!(values[&format!("sentry_edge_mirror/account/{slot}")], value);
    }
}

/// The metrics went with the last VM that had them: nothing is subtracted from what is not there.
#[test]
fn a_gauge_never_goes_below_zero() {
    let edge = start(&patient());
    let account = b"sentry_edge_mirror/1 00000000000000aa rum.pending=20 sls.pending=7";
    edge.host.share("sentry_edge_mirror/account/0", account);
    let mut new = beside(&edge, &patient());
    pass(&mut [&mut new], 25);
    assert_eq!(new.books(), [0, 0, 0, 0, 0]);
    assert_eq!(new.logs(), [0, 0, 0, 0, 0]);
    assert_eq!(said(&[&new], ERROR), 1);
}

#[test]
fn an_idle_instance_does_nothing_and_a_busy_one_little() {
    let mut edge = start(&patient());
    assert!(!edge.is_ticking());
    pending(&mut edge, 1);
    edge.host.reset_cost();
    edge.advance(10_000);
    let cost = edge.host.cost();
    let calls = |name: &str| cost.host_calls.get(name).copied().unwrap_or_default();
    assert!(
        (9..=11).contains(&calls("proxy_set_shared_data")),
        "{cost:?}"
    );
    assert!(calls("proxy_get_shared_data") <= 20, "{cost:?}");
    let headers = edge.host.cost_of("proxy_on_request_headers");
    assert!(!headers.host_calls.contains_key("proxy_get_shared_data"));
}

/// Both legs of one instance, in one root context or in two, stand in accounts of their own.
#[test]
fn two_root_contexts_of_one_vm_have_two_accounts() {
    let mut edge = start(&patient());
    pending(&mut edge, 2);
    edge.host.add_root(for_host(Profile::Envoy, &patient()));
    pending(&mut edge, 3);
    assert_eq!(accounts(&edge), 2);
    let mut new = beside(&edge, &patient());
    drop(edge);
    pass(&mut [&mut new], 25);
    assert_eq!(new.books(), [5, 0, 0, 5, 0]);
}

/// One that was there before, and has nothing to do: its next request makes it look.
#[test]
fn an_idle_sibling_looks_when_it_has_traffic() {
    let mut dead = start(&patient());
    let mut idle = beside(&dead, &patient());
    pending(&mut dead, 5);
    drop(dead);
    pass(&mut [&mut idle], 60);
    assert!(!idle.is_ticking());
    assert_eq!(idle.books(), [5, 0, 0, 0, 5]);
    let call = idle.envelope();
    idle.reply(call.token, &Reply::status(200));
    assert!(idle.is_ticking(), "it watches now");
    pass(&mut [&mut idle], 25);
    assert_eq!(idle.books(), [6, 1, 0, 5, 0]);
    assert!(!idle.is_ticking());
}

/// Every slot in use, and every owner dead: no look takes long.
#[test]
fn a_look_is_bounded() {
    let edge = start(&patient());
    let held: String = ["rum", "sls", "sign"]
        .map(|leg| format!(" {leg}.pending=9 {leg}.pending_bytes=99999 {leg}.in_flight=9"))
        .concat();
    for slot in 0..256 {
        let account = format!("sentry_edge_mirror/1 {slot:016x}{held}");
        edge.host
            .share(&format!("sentry_edge_mirror/account/{slot}"), account);
    }
    let mut new = beside(&edge, &patient());
    let start = new.host.cost_of("proxy_on_configure").fuel;
    let mut most = start;
    while new.is_ticking() {
        new.host.reset_cost();
        new.advance(LOOK_MS);
        let ticks = new.host.cost_of("proxy_on_tick");
        most = most.max(ticks.fuel / ticks.callbacks.max(1));
    }
    assert!(most < 6_000_000, "{most}, {start} at the start");
    assert_eq!(accounts(&new), 0);
}
