#![allow(
    clippy::arithmetic_side_effects,
    clippy::unreachable,
    clippy::unwrap_used
)]
//! A scripted metadata service.

use super::*;

const T0: u64 = 1_709_190_489_000; // Thu, 29 Feb 2024 07:08:09 GMT
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn keys(n: u32, expires_ms: u64) -> String {
    let mut at = date::basic(expires_ms);
    for (place, mark) in [(4, '-'), (7, '-'), (13, ':'), (16, ':')] {
        at.insert(place, mark);
    }
    format!(
        r#"{{"AccessKeyId":"STS.k{n}","AccessKeySecret":"hunter2","SecurityToken":"t0ken/+=","Expiration":"{at}","LastUpdated":"2024-02-29T00:00:00Z","Code":"Success"}}"#
    )
}

/// Sends what the machine wants at `now` to `service` until it wants nothing more: the requests made.
fn run(
    role: &mut RamRole,
    now: u64,
    mut service: impl FnMut(&Request) -> Option<(u16, String)>,
) -> Vec<String> {
    let mut made = Vec::new();
    while let Some(request) = role.next_request(now) {
        let token = request.headers.get("x-aliyun-ecs-metadata-token").is_some();
        made.push(format!(
            "{} {}{}",
            request.method,
            request.path.rsplit('/').next().unwrap(),
            if token { " +" } else { "" }
        ));
        match service(&request) {
            Some((status, body)) => role.on_reply(
                now,
                request.id,
                &Reply {
                    status,
                    date: None,
                    received_ms: now,
                    body: body.as_bytes(),
                },
            ),
            None => role.on_failure(now, request.id),
        }
        assert!(made.len() < 10, "no end: {made:?}");
    }
    made
}

fn good(n: u32, expires_ms: u64) -> impl FnMut(&Request) -> Option<(u16, String)> {
    move |request| {
        Some((
            200,
            match (request.method, request.path.as_str()) {
                ("PUT", "/latest/api/token") => {
                    assert_eq!(
                        request
                            .headers
                            .get("x-aliyun-ecs-metadata-token-ttl-seconds"),
                        Some("21600")
                    );
                    "meta-token\n".to_owned()
                }
                ("GET", "/latest/meta-data/ram/security-credentials/") => {
                    "writer\nother\n".to_owned()
                }
                ("GET", "/latest/meta-data/ram/security-credentials/writer") => keys(n, expires_ms),
                other => unreachable!("{other:?}"),
            },
        ))
    }
}

fn id_at(role: &RamRole, now: u64) -> Option<&str> {
    role.current(now).map(Credential::access_key_id)
}

#[test]
fn hardened_mode_with_a_discovered_role_then_only_what_is_needed() {
    let mut role = RamRole::new(None, 0);
    assert_eq!((role.current(T0), role.wake_at()), (None, 0));
    assert_eq!(
        run(&mut role, T0, good(1, T0 + 6 * HOUR)),
        ["PUT token", "GET  +", "GET writer +"]
    );
    assert_eq!(id_at(&role, T0), Some("STS.k1"));
    assert_eq!(role.current(T0).unwrap().expires_ms(), Some(T0 + 6 * HOUR));
    let due = T0 + 6 * HOUR - 15 * MINUTE;
    assert_eq!(role.wake_at(), due);
    assert!(role.next_request(due - 1).is_none());
    // The name is known by now; the new credential replaces the old.
    assert_eq!(
        run(&mut role, due, good(2, due + 6 * HOUR)),
        ["PUT token", "GET writer +"]
    );
    assert_eq!(id_at(&role, due), Some("STS.k2"));
    let shown = format!("{role:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("t0ken") && !shown.contains("STS.k"),
        "{shown}"
    );
}

#[test]
fn plain_mode_is_the_second_choice() {
    // No PUT: refused, unanswered, or an answer that is no token.
    for refusal in [
        Some((404, String::new())),
        None,
        Some((200, "<html> </html>".to_owned())),
        Some((200, String::new())),
    ] {
        let mut role = RamRole::new(Some("writer".to_owned()), 0);
        let mut service = good(1, T0 + HOUR);
        let made = run(&mut role, T0, |request| {
            if request.method == "PUT" {
                refusal.clone()
            } else {
                service(request)
            }
        });
        assert_eq!(made, ["PUT token", "GET writer"]);
        assert!(role.current(T0).is_some());
    }
    // A token that the GETs do not take.
    for refusal in [Some((403, String::new())), None] {
        let mut role = RamRole::new(None, 0);
        let mut service = good(1, T0 + HOUR);
        let with_token =
            |request: &Request| request.headers.get("x-aliyun-ecs-metadata-token").is_some();
        let made = run(&mut role, T0, |request| {
            if with_token(request) {
                refusal.clone()
            } else {
                service(request)
            }
        });
        assert_eq!(made, ["PUT token", "GET  +", "GET ", "GET writer"]);
        assert!(role.current(T0).is_some());
    }
}

#[test]
fn at_most_one_round_a_minute_and_the_old_credential_until_it_expires() {
    let mut role = RamRole::new(Some("writer".to_owned()), 0);
    run(&mut role, T0, good(1, T0 + HOUR));
    let due = T0 + 45 * MINUTE;
    let mut rounds = 0;
    for second in 0..15 * 60 {
        let now = due + second * 1_000;
        rounds += run(&mut role, now, |_| Some((500, String::new())))
            .iter()
            .filter(|made| made.starts_with("PUT"))
            .count();
        assert_eq!(id_at(&role, now), Some("STS.k1"));
    }
    assert_eq!(rounds, 15);
    assert_eq!(role.current(T0 + HOUR), None, "expired: writes wait");
    run(&mut role, T0 + HOUR, good(2, T0 + 2 * HOUR));
    assert_eq!(id_at(&role, T0 + HOUR), Some("STS.k2"));
}

#[test]
fn a_refusal_by_sls_asks_for_a_new_one_but_not_at_once_again() {
    let mut role = RamRole::new(Some("writer".to_owned()), 0);
    run(&mut role, T0, good(1, T0 + HOUR));
    role.ask_refresh();
    assert_eq!(role.wake_at(), T0 + MINUTE);
    assert!(role.next_request(T0 + MINUTE - 1).is_none());
    assert_eq!(run(&mut role, T0 + MINUTE, good(2, T0 + HOUR)).len(), 2);
    assert_eq!(id_at(&role, T0 + MINUTE), Some("STS.k2"));
    assert!(
        role.next_request(T0 + 3 * MINUTE).is_none(),
        "asked once, answered once"
    );
}

#[test]
fn an_unreachable_service_is_tried_with_backoff_while_there_is_nothing_to_lose() {
    let mut role = RamRole::new(None, 0);
    let mut now = T0;
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(run(&mut role, now, |_| None), ["PUT token", "GET "]);
        waits.push((role.wake_at() - now) / 1_000);
        now = role.wake_at();
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    // With a credential in hand there is no hurry.
    run(&mut role, now, good(1, now + 10 * MINUTE));
    let next = role.wake_at();
    run(&mut role, next, |_| None);
    assert_eq!(role.wake_at(), next + MINUTE);
}

#[test]
fn replies_are_checked() {
    let at = T0 + HOUR;
    for (status, body) in [
        (404, keys(1, at)),
        (200, String::new()),
        (200, "null".to_owned()),
        (200, keys(1, at).replace("Success", "Failed")),
        (200, keys(1, at).replace("\"Code\"", "\"Cod\"")),
        (200, keys(1, at).replace("hunter2", "")),
        (200, keys(1, at).replace("t0ken/+=", "a\\r\\nb")),
        (200, keys(1, at).replace("\"STS.k1\"", "7")),
        (200, keys(1, at).replace("Expiration", "expiration")),
        (200, keys(1, at).replace("2024-", "soon-")),
        (200, keys(1, T0)),
        (
            200,
            keys(1, at).replace("t0ken/+=", &"x".repeat(MAX_REPLY_BYTES)),
        ),
    ] {
        let mut role = RamRole::new(Some("writer".to_owned()), 0);
        let made = run(&mut role, T0, |request| {
            Some(if request.method == "PUT" {
                (404, String::new())
            } else {
                (status, body.clone())
            })
        });
        assert_eq!(made.len(), 2, "{body}");
        assert_eq!(
            (role.current(T0), role.wake_at()),
            (None, T0 + MINUTE),
            "{status} {body}"
        );
    }
    let mut lenient = RamRole::new(Some("writer".to_owned()), 0);
    run(&mut lenient, T0, |_| {
        Some((200, keys(1, at).replace("Success", "success")))
    });
    assert!(lenient.current(T0).is_some());
    // A role's name that would lead elsewhere.
    let mut role = RamRole::new(None, 0);
    let made = run(&mut role, T0, |request| {
        Some(if request.method == "PUT" {
            (404, String::new())
        } else {
            (200, "../../x".to_owned())
        })
    });
    assert_eq!((made.len(), role.wake_at()), (2, T0 + MINUTE));
}

#[test]
fn a_wrong_local_clock_does_not_shorten_the_life() {
    for local in [T0 + 10 * HOUR, T0 - 10 * HOUR] {
        let mut role = RamRole::new(Some("writer".to_owned()), 0);
        let token = role.next_request(local).unwrap();
        role.on_failure(local, token.id);
        let request = role.next_request(local).unwrap();
        let body = keys(1, T0 + HOUR);
        role.on_reply(
            local,
            request.id,
            &Reply {
                status: 200,
                date: Some(&date::http(T0)),
                received_ms: T0,
                body: body.as_bytes(),
            },
        );
        assert_eq!(
            role.current(local).unwrap().expires_ms(),
            Some(local + HOUR)
        );
    }
}

#[test]
fn a_proxy_that_answers_for_a_service_that_is_gone_is_no_answer() {
    let mut role = RamRole::new(Some("writer".to_owned()), 0);
    let made = run(&mut role, T0, |_| {
        Some((503, "no healthy upstream".to_owned()))
    });
    assert_eq!(made, ["PUT token", "GET writer"]);
    assert_eq!(role.wake_at(), T0 + 1_000, "not after a minute");
}

#[test]
fn lost_and_late_answers() {
    let mut role = RamRole::new(Some("writer".to_owned()), 0);
    let first = role.next_request(T0).unwrap();
    assert!(role.next_request(T0 + LOST_MS - 1).is_none());
    assert_eq!(role.wake_at(), T0 + LOST_MS);
    assert!(
        role.next_request(T0 + LOST_MS).is_none(),
        "the round is over, the next one waits"
    );
    let second = role.next_request(T0 + LOST_MS + 1_000).unwrap();
    role.on_reply(
        T0 + LOST_MS + 1_000,
        first.id,
        &Reply {
            status: 200,
            date: None,
            received_ms: T0,
            body: b"late",
        },
    );
    role.on_failure(T0 + LOST_MS + 1_000, first.id);
    assert!(
        role.next_request(T0 + LOST_MS + 1_000).is_none(),
        "still waiting for {}",
        second.id
    );
    role.on_reply(
        T0 + LOST_MS + 1_000,
        second.id,
        &Reply {
            status: 404,
            date: None,
            received_ms: T0,
            body: b"",
        },
    );
    assert!(role.next_request(T0 + LOST_MS + 1_000).is_some());
}

#[test]
fn workers_refresh_at_different_times() {
    let mut times = std::collections::BTreeSet::new();
    for random in [0, 1_000, 299_999, 300_000, u64::MAX] {
        let mut role = RamRole::new(Some("writer".to_owned()), random);
        run(&mut role, T0, good(1, T0 + HOUR));
        let due = role.wake_at();
        assert!((T0 + 40 * MINUTE..=T0 + 45 * MINUTE).contains(&due));
        times.insert(due);
    }
    assert_eq!(times.len(), 4);
}

#[test]
fn a_replaced_role_is_discovered_again() {
    let mut role = RamRole::new(None, 0);
    run(&mut role, T0, good(1, T0 + HOUR));
    let due = role.wake_at();
    let made = run(&mut role, due, |request| {
        Some(if request.method == "PUT" {
            (200, "t".to_owned())
        } else {
            (404, String::new())
        })
    });
    assert_eq!(made, ["PUT token", "GET writer +", "GET writer"]);
    assert_eq!(
        run(&mut role, due + MINUTE, good(2, due + HOUR)),
        ["PUT token", "GET  +", "GET writer +"]
    );
}
