//! What SLS may answer, and what becomes of the logs.

use crate::edge::Edge;
use crate::everywhere;
use crate::sls::{config, error, events, logs, taken, write};
use test_host::{Call, Profile, Reply};

everywhere!(
    every_answer_is_a_decision,
    a_retry_is_signed_anew,
    a_wrong_clock_is_corrected_and_the_write_repeated_at_once,
    what_was_signed_before_the_correction_is_repeated_too,
    a_poisonous_log_is_lost_alone,
    what_is_too_large_is_cut_until_it_fits,
    a_quota_holds_everything_back,
    a_dead_target_is_probed_with_one_write_at_a_time,
    an_outage_of_twenty_seconds_loses_nothing,
    attempts_and_age_have_an_end,
    an_answer_that_never_comes_is_tried_again,
    a_refused_dispatch_is_tried_again,
);

fn every_answer_is_a_decision<E: Edge>(profile: Profile) {
    let [delivered, failed, pending] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    let rows = [
        (taken(), delivered),
        (Reply::status(200), delivered),
        (Reply::empty(), pending),
        (Reply::status(503), pending),
        (Reply::status(403).body("<html>"), pending),
        (Reply::status(504).body("upstream request timeout"), pending),
        (error(500, "InternalServerError"), pending),
        (error(500, "RequestTimeout"), pending),
        (error(502, "ServerBusy"), pending),
        (error(503, "ServerBusy"), pending),
        (error(400, "RequestTimeExpired"), pending),
        (error(400, "MissingBodyRawSize"), failed),
        (error(400, "InvalidAPIVersion"), failed),
        (error(400, "PostBodyInvalid"), failed),
        (error(400, "InvalidTimestamp"), failed),
        (error(400, "InvalidEncoding"), failed),
        (error(400, "InvalidKey"), failed),
        (error(413, "PostBodyTooLarge"), failed),
        (error(400, "PostBodyTooLarge"), failed),
        (error(411, "MissingContentLength"), failed),
        (error(415, "InvalidContentType"), failed),
        (error(401, "Unauthorized"), pending),
        (error(401, "InvalidAccessKeyId"), pending),
        (error(401, "SecurityTokenExpired"), pending),
        (error(401, "SignatureNotMatch"), pending),
        (error(403, "WriteQuotaExceed"), pending),
        (error(403, "ShardWriteQuotaExceed"), pending),
        (error(429, "ExceedQuota"), pending),
        (error(403, "ProjectForbidden"), failed),
        (error(404, "ProjectNotExist"), pending),
        (error(404, "LogStoreNotExist"), pending),
        (error(400, "SomethingNew"), pending),
    ];
    for (reply, [delivered, failed, pending]) in rows {
        let mut edge = E::start(profile, &config("", ""));
        let call = write(&mut edge, &["x"]);
        edge.reply(call.token, &reply);
        assert_eq!(edge.logs(), [1, delivered, failed, 0, pending], "{reply:?}");
    }
}

fn a_retry_is_signed_anew<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    let first = write(&mut edge, &["x"]);
    edge.advance(2_000);
    edge.reply(first.token, &error(500, "InternalServerError"));
    edge.advance(1_000);
    let second = edge.call();
    assert_eq!(second.body, first.body);
    assert_ne!(second.header("x-log-date"), first.header("x-log-date"));
    assert_ne!(
        second.header("authorization"),
        first.header("authorization")
    );
    edge.reply(second.token, &taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.sls("retries"), 1);
}

/// Hours away from any clock of the tests.
const SERVER_DATE: &str = "Thu, 01 Jan 2026 05:00:00 GMT";

fn expired() -> Reply {
    error(400, "RequestTimeExpired").header("date", SERVER_DATE)
}

fn a_wrong_clock_is_corrected_and_the_write_repeated_at_once<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    let first = write(&mut edge, &["x"]);
    edge.reply(first.token, &expired());
    edge.advance(10);
    let second = edge.call();
    assert_eq!(second.header("date").unwrap(), SERVER_DATE);
    edge.reply(second.token, &taken());
    // And from now on.
    let third = write(&mut edge, &["y"]);
    assert!(
        third
            .header("date")
            .unwrap()
            .starts_with("Thu, 01 Jan 2026 05:00:0")
    );
    edge.reply(third.token, &taken());
    assert_eq!(edge.logs(), [2, 2, 0, 0, 0]);
}

fn what_was_signed_before_the_correction_is_repeated_too<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(r#", "batch": {"max_logs": 1}"#, ""));
    edge.send(&events(&["a", "b", "c"]));
    edge.advance(10);
    let mut right = 0;
    for _ in 0..8 {
        for call in edge.calls() {
            let is_right = call
                .header("date")
                .unwrap()
                .starts_with("Thu, 01 Jan 2026 05:");
            right += usize::from(is_right);
            edge.reply(call.token, &if is_right { taken() } else { expired() });
        }
        edge.advance(10);
    }
    assert_eq!(right, 3);
    assert_eq!(edge.logs(), [3, 3, 0, 0, 0]);
}

/// A target that refuses by `refuses`; gives how many logs it has at the end.
fn serve<E: Edge>(edge: &mut E, refuses: impl Fn(&Call) -> Option<Reply>) -> usize {
    let mut has = 0;
    for _ in 0..80 {
        for call in edge.calls() {
            let refusal = refuses(&call);
            has += if refusal.is_none() {
                logs(&call).len()
            } else {
                0
            };
            edge.reply(call.token, &refusal.unwrap_or_else(taken));
        }
        edge.advance(10);
    }
    has
}

fn a_poisonous_log_is_lost_alone<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    edge.send(&events(&["a", "b", "POISON", "d", "e", "f", "g"]));
    edge.advance(2_020);
    let has = serve(&mut edge, |call| {
        let bad = logs(call).iter().any(|log| log.contains("POISON"));
        bad.then(|| error(400, "PostBodyInvalid"))
    });
    assert_eq!(has, 6);
    assert_eq!(edge.logs(), [7, 6, 1, 0, 0]);
    assert!(edge.sls("divided") >= 2);
}

fn what_is_too_large_is_cut_until_it_fits<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    edge.send(&events(&["a", "b", "c", "d", "e", "f", "g", "h"]));
    edge.advance(2_020);
    let has = serve(&mut edge, |call| {
        (logs(call).len() > 2).then(|| error(413, "PostBodyTooLarge"))
    });
    assert_eq!(has, 8);
    assert_eq!(edge.logs(), [8, 8, 0, 0, 0]);
}

fn a_quota_holds_everything_back<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    let call = write(&mut edge, &["x"]);
    edge.reply(call.token, &error(403, "ShardWriteQuotaExceed"));
    edge.send(&events(&["y"]));
    edge.advance(14_000);
    assert_eq!(
        edge.calls().len(),
        0,
        "the shortest wait is half of the longest backoff"
    );
    let has: usize = (0..20)
        .map(|_| {
            edge.advance(1_000);
            serve(&mut edge, |_| None)
        })
        .sum();
    assert_eq!(has, 2);
    assert_eq!(edge.logs(), [2, 2, 0, 0, 0]);
}

fn a_dead_target_is_probed_with_one_write_at_a_time<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(r#", "batch": {"max_logs": 1}"#, ""));
    edge.send(&events(&["a", "b", "c", "d", "e", "f"]));
    edge.advance(30);
    for call in edge.calls() {
        edge.reply(call.token, &Reply::empty());
    }
    let mut probes = 0;
    for _ in 0..1_000 {
        edge.advance(10);
        let calls = edge.calls();
        assert!(calls.len() <= 1, "{}", calls.len());
        for call in calls {
            probes += 1;
            edge.reply(call.token, &Reply::empty());
        }
    }
    assert!((5..200).contains(&probes), "{probes}");
    assert_eq!(edge.logs(), [6, 0, 0, 0, 6]);
    let mut has = 0;
    for _ in 0..100 {
        has += serve(&mut edge, |_| None);
    }
    assert_eq!(has, 6);
    assert_eq!(edge.logs(), [6, 6, 0, 0, 0]);
}

fn an_outage_of_twenty_seconds_loses_nothing<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    for second in 0..20 {
        edge.send(&events(&[&format!("log {second}")]));
        edge.advance(1_000);
        for call in edge.calls() {
            edge.reply(call.token, &Reply::status(503));
        }
    }
    let mut seen = Vec::new();
    for _ in 0..400 {
        for call in edge.calls() {
            seen.extend(logs(&call));
            edge.reply(call.token, &taken());
        }
        edge.advance(100);
    }
    assert_eq!(seen.len(), 20);
    for second in 0..20 {
        let text = format!("log {second}\"");
        assert_eq!(
            seen.iter().filter(|log| log.contains(&text)).count(),
            1,
            "{second}"
        );
    }
    assert_eq!(edge.logs(), [20, 20, 0, 0, 0]);
}

fn attempts_and_age_have_an_end<E: Edge>(profile: Profile) {
    for retry in [
        r#""max_attempts": 3"#,
        r#""max_attempts": 100, "max_age_ms": 5000"#,
    ] {
        let mut edge = E::start(profile, &config(&format!(r#", "retry": {{{retry}}}"#), ""));
        edge.send(&events(&["x"]));
        edge.advance(2_020);
        for _ in 0..300 {
            for call in edge.calls() {
                edge.reply(call.token, &Reply::status(503));
            }
            edge.advance(100);
        }
        assert_eq!(edge.logs(), [1, 0, 1, 0, 0], "{retry}");
        assert_eq!(edge.calls().len(), 0);
    }
}

fn an_answer_that_never_comes_is_tried_again<E: Edge>(profile: Profile) {
    if profile == Profile::Nginx {
        // It always tells, and the slot is taken until then.
        return;
    }
    let mut edge = E::start(profile, &config("", ""));
    let lost = write(&mut edge, &["x"]);
    edge.advance(9_000);
    let call = edge.call();
    edge.reply(call.token, &taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
    // It came after all.
    edge.reply(lost.token, &taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
}

fn a_refused_dispatch_is_tried_again<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    edge.refuse(2);
    edge.send(&events(&["x"]));
    edge.advance(6_000);
    let call = edge.call();
    edge.reply(call.token, &taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.sls("attempts"), 3);
}
