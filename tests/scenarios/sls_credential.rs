//! Credentials of the instance's RAM role: writes wait while there is none, and take up a new one.

use crate::edge::Edge;
use crate::everywhere;
use crate::sls::{UPSTREAM, check_signature, error, events, section_with, taken};
use sentry_edge_mirror::sls::credential::Credential;
use test_host::{Call, Profile, Reply};

everywhere!(
    writes_wait_for_the_credential_and_then_leave,
    plain_mode_comes_second,
    a_refused_credential_is_refreshed,
    without_a_credential_what_waits_grows_old,
    an_unreachable_service_is_asked_again,
);

const METADATA: &str = "metadata.test:80";

fn config(extra: &str) -> String {
    let credential = format!(r#""credential": {{"ecs_ram_role": {{"upstream": "{METADATA}"}}}}"#);
    format!(
        r#"{{"host": "HOST", {} {extra}}}"#,
        section_with(&credential, "")
    )
}

fn keys(id: &str) -> Reply {
    // The clock of the tests starts with 2026.
    Reply::status(200).body(format!(
        r#"{{"Code": "Success", "AccessKeyId": "{id}", "AccessKeySecret": "secret-of-{id}", "SecurityToken": "token-of-{id}",
            "Expiration": "2026-01-01T06:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z"}}"#
    ))
}

/// Answers the metadata service's calls, with this id; the writes are left over.
fn serve_metadata<E: Edge>(edge: &mut E, id: &str) -> Vec<Call> {
    let mut writes = Vec::new();
    for _ in 0..8 {
        for call in edge.calls() {
            if call.upstream == UPSTREAM {
                writes.push(call);
                continue;
            }
            assert_eq!((call.upstream.as_str(), call.body.len()), (METADATA, 0));
            assert_eq!(call.header(":authority").unwrap(), "100.100.100.200");
            let reply = match call.path().as_str() {
                "/latest/api/token" => Reply::status(200).body("metadata-token"),
                "/latest/meta-data/ram/security-credentials/" => {
                    Reply::status(200).body("edge-role")
                }
                "/latest/meta-data/ram/security-credentials/edge-role" => keys(id),
                other => panic!("{other}"),
            };
            if call.path() != "/latest/api/token" {
                let token = call.header("x-aliyun-ecs-metadata-token");
                assert_eq!(token.as_deref(), Some("metadata-token"));
            }
            edge.reply(call.token, &reply);
        }
        edge.advance(10);
    }
    writes
}

fn key(id: &str) -> Credential {
    Credential::new(
        id,
        &format!("secret-of-{id}"),
        Some(&format!("token-of-{id}")),
    )
    .unwrap()
}

fn writes_wait_for_the_credential_and_then_leave<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    edge.send(&events(&["x"]));
    edge.advance(2_500);
    let call = edge.call();
    assert_eq!(
        (call.upstream.as_str(), call.path().as_str()),
        (METADATA, "/latest/api/token")
    );
    assert_eq!(edge.logs(), [1, 0, 0, 0, 1]);
    edge.reply(call.token, &Reply::status(200).body("metadata-token"));
    edge.advance(10);
    let writes = serve_metadata(&mut edge, "STS.one");
    let [write] = writes.as_slice() else {
        panic!("{writes:?}")
    };
    assert_eq!(
        write.header("x-acs-security-token").unwrap(),
        "token-of-STS.one"
    );
    check_signature(write, &key("STS.one"), None);
    edge.reply(write.token, &taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.sls("attempts"), 1, "metadata calls are not attempts");
}

fn plain_mode_comes_second<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    edge.advance(10);
    let call = edge.call();
    edge.reply(call.token, &Reply::status(404));
    edge.advance(10);
    let call = edge.call();
    assert_eq!(call.header("x-aliyun-ecs-metadata-token"), None);
    edge.reply(call.token, &Reply::status(200).body("edge-role"));
    edge.advance(10);
    let call = edge.call();
    edge.reply(call.token, &keys("STS.plain"));
    edge.send(&events(&["x"]));
    edge.advance(2_020);
    let write = edge.call();
    check_signature(&write, &key("STS.plain"), None);
    edge.reply(write.token, &taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
}

fn a_refused_credential_is_refreshed<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    edge.advance(10);
    assert!(serve_metadata(&mut edge, "STS.one").is_empty());
    edge.send(&events(&["x"]));
    edge.advance(2_020);
    let write = edge.call();
    edge.reply(write.token, &error(401, "SecurityTokenExpired"));
    // Once a minute, so that a wrong policy does not become a storm; the write is repeated in between.
    let mut writes = Vec::new();
    for _ in 0..70 {
        for call in serve_metadata(&mut edge, "STS.two") {
            let old = call
                .header("authorization")
                .unwrap()
                .starts_with("LOG STS.one:");
            writes.push(old);
            edge.reply(
                call.token,
                &if old {
                    error(401, "SecurityTokenExpired")
                } else {
                    taken()
                },
            );
        }
        edge.advance(1_500);
    }
    assert_eq!(writes.last(), Some(&false), "{writes:?}");
    assert!(writes.len() < 8, "{writes:?}");
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
}

fn without_a_credential_what_waits_grows_old<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(r#", "retry": {"max_age_ms": 20000}"#));
    edge.send(&events(&["x"]));
    for _ in 0..300 {
        for call in edge.calls() {
            assert_eq!(call.upstream, METADATA);
            edge.reply(call.token, &Reply::empty());
        }
        edge.advance(100);
    }
    assert_eq!(edge.logs(), [1, 0, 1, 0, 0]);
    assert_eq!(edge.sls("attempts"), 0);
}

fn an_unreachable_service_is_asked_again<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    edge.send(&events(&["x"]));
    // The token in hardened mode and the role in plain mode: the round is over.
    edge.refuse(2);
    edge.advance(500);
    assert_eq!(edge.calls().len(), 0);
    let mut writes = Vec::new();
    while writes.is_empty() {
        edge.advance(500);
        writes.extend(serve_metadata(&mut edge, "STS.late"));
    }
    assert_eq!(writes.len(), 1);
    edge.reply(writes[0].token, &taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
}
