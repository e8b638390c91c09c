//! Copies that come back: known by their path, or by the marker when the path was changed on the way.

use crate::edge::{Edge, config, envelope};
use crate::everywhere;
use crate::sls::{config as sls_config, events, section};
use test_host::{Call, Profile, Reply, Request};

everywhere!(
    a_copy_that_comes_back_is_counted_and_goes_no_further,
    two_edges_that_mirror_to_each_other_send_one_copy_a_request,
    a_marked_request_makes_no_logs_either,
    a_marked_request_holds_none_of_the_budget,
);

const MARKER: &str = "x-sentry-edge-mirror";
const PREFIX: &str = "/rum/sentry/ws/web@42";

/// The copy as another hop passes it on: at `path`, with all that it carries.
fn passed_on(call: &Call, path: &str) -> Request {
    let mut request = Request::post(path);
    for (name, value) in call.headers.iter() {
        let name = std::str::from_utf8(name).unwrap();
        if !name.starts_with(':') {
            request = request.header(name, String::from_utf8(value.to_vec()).unwrap());
        }
    }
    request.chunk(&call.body)
}

fn stripped(call: &Call) -> Request {
    let path = call.path();
    passed_on(call, path.strip_prefix(PREFIX).unwrap())
}

fn a_copy_that_comes_back_is_counted_and_goes_no_further<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let copy = edge.envelope();
    assert_eq!(copy.header(MARKER).as_deref(), Some("1"));
    edge.send(&passed_on(&copy, &copy.path()));
    assert_eq!(edge.rum("skipped.loop"), 1, "by its path");
    edge.send(&stripped(&copy));
    assert_eq!(edge.rum("skipped.loop"), 2, "by the marker");
    assert_eq!(edge.calls().len(), 0);
    edge.reply(copy.token, &Reply::status(200));
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
}

fn two_edges_that_mirror_to_each_other_send_one_copy_a_request<E: Edge>(profile: Profile) {
    let [mut one, mut two] = [(); 2].map(|()| E::start(profile, &config("")));
    for _ in 0..3 {
        hand_over(&mut one, &mut two);
        hand_over(&mut two, &mut one);
    }
    for edge in [&mut one, &mut two] {
        assert_eq!(edge.rum("skipped.loop"), 3);
        assert_eq!(edge.books(), [3, 3, 0, 0, 0]);
    }
}

/// A request at one edge, whose copy goes to the other: what stands between them takes the prefix off.
fn hand_over<E: Edge>(from: &mut E, to: &mut E) {
    let copy = from.envelope();
    to.send(&stripped(&copy));
    from.reply(copy.token, &Reply::status(200));
    to.advance(50);
    assert_eq!(to.calls().len(), 0);
}

fn a_marked_request_makes_no_logs_either<E: Edge>(profile: Profile) {
    let both = format!(
        r#"{{"host": "HOST", "rum": {{"upstream": "rum.test:80", "authority": "rum.example.com",
            "projects": {{"42": {{"workspace": "ws", "service_id": "web@42"}}}}}}, {}}}"#,
        section("")
    );
    for (config, legs) in [(both, ["rum", "sls"]), (sls_config("", ""), ["sls", "sls"])] {
        let mut edge = E::start(profile, &config);
        for spelling in [MARKER, "X-Sentry-Edge-Mirror"] {
            edge.send(&events(&["again"]).header(spelling, ""));
        }
        edge.advance(3_000);
        assert_eq!(edge.calls().len(), 0);
        for leg in legs {
            assert_eq!(
                edge.metric(&format!("sentry_edge_mirror.{leg}.skipped.loop")),
                2,
                "{leg}"
            );
        }
        assert_eq!(edge.logs(), [0; 5]);
    }
}

fn a_marked_request_holds_none_of_the_budget<E: Edge>(profile: Profile) {
    let mut edge = E::start(
        profile,
        &config(r#", "limits": {"max_pending_bytes": 20000, "max_body_bytes": 10000}"#),
    );
    let marked = Request::post("/api/42/envelope/").header(MARKER, "1");
    let open: Vec<u32> = (0..50).map(|_| edge.open(&marked)).collect();
    let copy = {
        edge.send(&envelope(42));
        edge.advance(5);
        edge.call()
    };
    edge.reply(copy.token, &Reply::status(200));
    for stream in open {
        edge.abort(stream);
    }
    assert_eq!(edge.rum("skipped.loop"), 50);
    assert_eq!(edge.rum("skipped.aborted"), 0);
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
}
