//! Both legs at once: one body, two outcomes, and neither waits for the other. Also the end of the SLS leg.

use crate::edge::Edge;
use crate::everywhere;
use crate::module::Module;
use crate::native::Native;
use crate::sls::{UPSTREAM, config as sls_config, events, logs, section, taken};
use test_host::{Profile, Reply, Request};

everywhere!(
    both_legs_get_the_envelope,
    a_dead_sls_takes_nothing_from_rum,
    a_dead_rum_takes_nothing_from_sls,
    a_skip_of_one_leg_is_not_one_of_the_other,
    an_end_before_the_end_is_none_for_both,
);

macro_rules! in_envoy {
    ($($scenario:ident),+ $(,)?) => {
        mod drain_of_the_core {
            $(#[test] fn $scenario() { super::$scenario::<super::Native>(super::Profile::Envoy); })+
        }
        mod drain_of_the_module {
            $(#[test] fn $scenario() { super::$scenario::<super::Module>(super::Profile::Envoy); })+
        }
    };
}

in_envoy!(
    a_drain_seals_at_once_and_delivers,
    after_ten_seconds_the_rest_is_lost_and_counted,
);

fn config(extra: &str) -> String {
    format!(
        r#"{{"host": "HOST", "rum": {{"upstream": "rum.test:80", "authority": "rum.example.com", "exclude": [7],
            "projects": {{"42": {{"workspace": "ws", "service_id": "web@42"}}}}}}, {} {extra}}}"#,
        section("")
    )
}

fn both_legs_get_the_envelope<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let request = events(&["both"]);
    edge.send(&request);
    edge.advance(5);
    let copy = edge.call();
    assert_eq!(
        (copy.upstream.as_str(), &copy.body),
        ("rum.test:80", &request.body())
    );
    edge.reply(copy.token, &Reply::status(200));
    edge.advance(2_020);
    let write = edge.call();
    assert_eq!(write.upstream, UPSTREAM);
    let logs = logs(&write);
    assert!(
        logs[0].contains("both") && logs[0].contains("web@42"),
        "RUM's app.id: {logs:?}"
    );
    edge.reply(write.token, &taken());
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
}

/// Sends `count` events of 10 kB; one target takes everything, the other one never answers well. What is left is
/// answered for `seconds` more.
fn one_dead<E: Edge>(edge: &mut E, dead: &str, count: usize) {
    let long = "x".repeat(10_000);
    for n in 0..count + 30 {
        if n < count {
            edge.send(&events(&[&long]));
        }
        for _ in 0..20 {
            edge.advance(100);
            for call in edge.calls() {
                let refused = call.upstream == dead;
                edge.reply(
                    call.token,
                    &if refused { Reply::status(503) } else { taken() },
                );
            }
        }
    }
}

fn a_dead_sls_takes_nothing_from_rum<E: Edge>(profile: Profile) {
    let mut edge = E::start(
        profile,
        &config(r#", "limits": {"max_pending_bytes": 400000}"#),
    );
    one_dead(&mut edge, UPSTREAM, 40);
    assert_eq!(edge.books(), [40, 40, 0, 0, 0]);
    let [captured, delivered, _, dropped, _] = edge.logs();
    assert_eq!((captured, delivered), (40, 0));
    assert!(dropped > 0, "its own share is full: {:?}", edge.logs());
    assert!(edge.sls("pending_bytes") <= 200_000);
}

fn a_dead_rum_takes_nothing_from_sls<E: Edge>(profile: Profile) {
    let rum = r#", "limits": {"max_pending_bytes": 400000}, "retry": {"max_attempts": 100}"#;
    let mut edge = E::start(profile, &config(rum));
    one_dead(&mut edge, "rum.test:80", 40);
    assert_eq!(edge.logs(), [40, 40, 0, 0, 0]);
    let [captured, delivered, _, dropped, _] = edge.books();
    assert_eq!((captured, delivered), (40, 0));
    assert!(dropped > 0, "its own share is full: {:?}", edge.books());
}

fn a_skip_of_one_leg_is_not_one_of_the_other<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let body = b"{}\n{\"type\":\"event\"}\n{\"message\":\"m\"}\n";
    edge.send(&Request::post("/api/7/envelope/").chunk(body));
    edge.send(&Request::post("/api/9/envelope/").chunk(body));
    edge.advance(2_020);
    let write = edge.call();
    assert_eq!(logs(&write).len(), 2, "both become logs");
    edge.reply(write.token, &taken());
    assert_eq!(
        (edge.rum("skipped.excluded"), edge.rum("skipped.unmapped")),
        (1, 1)
    );
    assert_eq!((edge.books(), edge.logs()), ([0; 5], [2, 2, 0, 0, 0]));
}

fn an_end_before_the_end_is_none_for_both<E: Edge>(profile: Profile) {
    if profile == Profile::Nginx {
        // The body comes in one call, with the end.
        return;
    }
    let mut edge = E::start(profile, &config(""));
    let stream = edge.open(&Request::post("/api/42/envelope/"));
    edge.body(stream, b"{}\n", false);
    edge.abort(stream);
    edge.advance(200);
    assert_eq!(
        (edge.rum("skipped.aborted"), edge.sls("skipped.aborted")),
        (1, 1)
    );
    assert_eq!((edge.books(), edge.logs()), ([0; 5], [0; 5]));
}

fn a_drain_seals_at_once_and_delivers<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &sls_config("", ""));
    edge.send(&events(&["last"]));
    edge.drain();
    assert!(!edge.is_gone());
    edge.advance(10);
    let call = edge.call();
    edge.reply(call.token, &taken());
    assert!(edge.is_gone());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
}

fn after_ten_seconds_the_rest_is_lost_and_counted<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &sls_config("", ""));
    edge.send(&events(&["a", "b"]));
    edge.advance(10);
    edge.drain();
    for _ in 0..98 {
        for call in edge.calls() {
            edge.reply(call.token, &Reply::status(503));
        }
        edge.advance(100);
    }
    assert!(!edge.is_gone());
    edge.advance(400);
    assert!(edge.is_gone());
    assert_eq!(edge.logs(), [2, 0, 0, 2, 0]);
    assert_eq!((edge.sls("pending_bytes"), edge.sls("queued")), (0, 0));
}
