//! What goes wrong, by a seed: faults of host calls, requests, answers.

use oracles::random::Random;
use test_host::{Host, Reply, What, When};

const CLOCK: &str = "proxy_get_current_time_nanoseconds";
/// What hands out bytes.
const GETTERS: [&str; 4] = [
    "proxy_get_header_map_value",
    "proxy_get_header_map_pairs",
    "proxy_get_buffer_bytes",
    "proxy_get_property",
];
/// The books are read from them.
const METRICS: [&str; 4] = [
    "proxy_increment_metric",
    "proxy_record_metric",
    "proxy_define_metric",
    "proxy_get_metric",
];
/// The books that outlive an instance.
const SHARED: [&str; 2] = ["proxy_get_shared_data", "proxy_set_shared_data"];
/// What only answers with a status, metrics aside: the books are read from them.
const WRITES: [&str; 9] = [
    "proxy_http_call",
    "proxy_set_tick_period_milliseconds",
    "proxy_log",
    "proxy_set_property",
    "proxy_set_header_map_pairs",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_effective_context",
    "proxy_continue_stream",
];

/// A RAM role's key, as the metadata service says it.
pub const ROLE_KEY: &str = r#"{"Code": "Success", "AccessKeyId": "edge-id", "AccessKeySecret": "secret", "SecurityToken": "token",
    "Expiration": "2026-01-01T00:20:00Z"}"#;

/// More than any limit of the configurations.
const HUGE: usize = 1_000_000;

/// Every host call of the module; a test says when this list is not all.
pub fn host_calls() -> Vec<&'static str> {
    let rest = [CLOCK, "proxy_done"];
    [&GETTERS[..], &METRICS, &SHARED, &WRITES, &rest].concat()
}

fn reads(call: &str) -> bool {
    gives_bytes(call) || call == CLOCK
}

fn gives_bytes(call: &str) -> bool {
    GETTERS.contains(&call) || call == "proxy_get_shared_data"
}

/// Not found, bad argument, empty, internal failure, and one that the ABI does not have; for what hands something out
/// also nothing, and too much.
pub fn all_faults(call: &str) -> Vec<What> {
    let mut faults = [1, 2, 7, 10, u32::MAX].map(What::Status).to_vec();
    if reads(call) {
        faults.push(What::Nothing);
    }
    if gives_bytes(call) {
        faults.extend([What::Data(Vec::new()), What::Data(vec![0xff; HUGE])]);
    }
    faults
}

fn fault(random: &mut Random, call: &str) -> Option<What> {
    Some(match random.below(7) {
        0 => What::Status(u32::try_from(random.below(20) + 1).unwrap()),
        1 => What::Status(u32::MAX),
        2 if reads(call) => What::Nothing,
        3 if gives_bytes(call) => What::Data(random.bytes(300)),
        4 if gives_bytes(call) => What::Data(vec![0xff; HUGE]),
        5 if gives_bytes(call) => What::Data(Vec::new()),
        _ => return None,
    })
}

/// Some calls fail from time to time, each in its own way. Gives whether headers are read as they are, or not at all.
pub fn break_host(host: &mut Host, random: &mut Random, metrics_work: bool) -> bool {
    let mut honest = true;
    for call in GETTERS.into_iter().chain([CLOCK]).chain(WRITES) {
        if let Some(what) = fault(random, call) {
            honest &= !matches!(what, What::Data(_));
            host.fault(call, When::Chance(0.2), what);
        }
    }
    // What shared data says is believed of others only, and no request depends on it.
    for call in SHARED {
        if let Some(what) = fault(random, call) {
            host.fault(call, When::Chance(0.2), what);
        }
    }
    if !metrics_work {
        for call in METRICS {
            host.fault(call, When::Chance(0.3), What::Status(10));
        }
    }
    honest
}

/// What a target, the metadata service or somebody in their place may answer.
pub fn reply(random: &mut Random) -> Reply {
    let status = random.pick(&[
        "200", "200", "429", "503", "500", "400", "401", "413", "", "abc", "99999", "-1",
        "\u{fffd}",
    ]);
    let mut reply = Reply::empty().header(":status", status);
    for name in ["retry-after", "x-log-requestid", "x-log-time", "date"] {
        if random.below(2) == 0 {
            reply = reply.header(name, random.bytes(12));
        }
    }
    match random.below(6) {
        0 => Reply::empty(),
        1 => reply.body(random.bytes(400)),
        2 => reply.body(vec![0xff; HUGE]),
        3 => {
            let codes = [
                "PostBodyTooLarge",
                "PostBodyInvalid",
                "RequestTimeExpired",
                "Unauthorized",
                "WriteQuotaExceed",
            ];
            let code = random.pick(&codes);
            reply.body(format!(
                r#"{{"errorCode": "{code}", "errorMessage": "no"}}"#
            ))
        }
        // What the metadata service says, in its order or not.
        4 => reply.body(random.pick(&["token", "edge-role", "{\"Code\": \"Success\"}"])),
        _ => reply.body(ROLE_KEY),
    }
}

/// A context ends as no host ends it: deleted without a word, done twice, its callbacks in disorder.
pub fn end_somehow(host: &mut Host, random: &mut Random, stream: u32) {
    for _ in 0..=random.below(4) {
        let (callback, rest) = random.pick(&[
            ("proxy_on_delete", &[][..]),
            ("proxy_on_done", &[][..]),
            ("proxy_on_log", &[][..]),
            ("proxy_on_request_body", &[7, 1][..]),
            ("proxy_on_request_body", &[7, 0][..]),
            ("proxy_on_request_headers", &[3, 1][..]),
            ("proxy_on_request_headers", &[3, 0][..]),
            ("proxy_on_request_trailers", &[1][..]),
            ("proxy_on_response_headers", &[1, 1][..]),
            ("proxy_on_response_body", &[1, 1][..]),
        ]);
        // What the host's own callbacks find afterwards is what stays of the context.
        host.try_raw(callback, &[&[stream], rest].concat())
            .unwrap_or_else(|trap| trap.raise());
    }
    host.abort(stream);
}
