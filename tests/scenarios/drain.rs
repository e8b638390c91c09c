//! The end: what is pending is delivered, for at most ten seconds. nginx gives no such chance.

use crate::edge::{Edge, config, envelope};
use crate::module::Module;
use crate::native::Native;
use test_host::{Profile, Reply};

macro_rules! in_envoy {
    ($($scenario:ident),+ $(,)?) => {
        mod core_as_envoy {
            $(#[test] fn $scenario() { super::$scenario::<super::Native>(super::Profile::Envoy); })+
        }
        mod module_in_envoy {
            $(#[test] fn $scenario() { super::$scenario::<super::Module>(super::Profile::Envoy); })+
        }
    };
}

in_envoy!(
    with_nothing_pending_it_ends_at_once,
    what_is_pending_is_delivered_first,
    a_retry_still_happens,
    after_ten_seconds_the_rest_is_dropped,
);

fn with_nothing_pending_it_ends_at_once<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let call = edge.envelope();
    edge.reply(call.token, &Reply::status(200));
    edge.drain();
    assert!(edge.is_gone());
}

fn what_is_pending_is_delivered_first<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    edge.send(&envelope(42));
    edge.drain();
    assert!(!edge.is_gone());
    edge.advance(5);
    let call = edge.call();
    edge.reply(call.token, &Reply::status(200));
    assert!(edge.is_gone());
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
}

fn a_retry_still_happens<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let call = edge.envelope();
    edge.drain();
    edge.reply(call.token, &Reply::status(429).header("retry-after", "2"));
    edge.advance(2_005);
    let call = edge.call();
    edge.reply(call.token, &Reply::status(200));
    assert!(edge.is_gone());
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
}

fn after_ten_seconds_the_rest_is_dropped<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let call = edge.envelope();
    edge.reply(call.token, &Reply::status(429).header("retry-after", "60"));
    edge.drain();
    edge.advance(9_990);
    assert!(!edge.is_gone());
    edge.advance(20);
    assert!(edge.is_gone());
    assert_eq!(edge.books(), [1, 0, 0, 1, 0]);
    assert_eq!(edge.rum("pending_bytes"), 0);
}

#[test]
fn a_reload_under_load_loses_nothing() {
    let mut edge = Module::start(Profile::Envoy, &config(""));
    for _ in 0..10 {
        edge.send(&envelope(42));
    }
    let streaming = edge.open(&envelope(42));
    let new = config("")
        .replace("HOST", "envoy")
        .replace("web@42", "new@42");
    edge.host.reload(&new).unwrap();
    for _ in 0..10 {
        edge.send(&envelope(42));
    }
    edge.body(streaming, b"{}", true);
    edge.advance(5);
    let calls = edge.calls();
    let old = calls
        .iter()
        .filter(|call| call.path().contains("web@42"))
        .count();
    assert_eq!((old, calls.len()), (11, 21));
    for call in calls {
        edge.reply(call.token, &Reply::status(200));
    }
    assert!(edge.is_gone(), "the old root context");
    assert_eq!(edge.books(), [21, 21, 0, 0, 0]);
}
