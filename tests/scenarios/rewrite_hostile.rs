//! Mode `rewrite` in a host that fails at random: nothing unchanged leaves, nothing traps, the books are right.

use crate::edge::{Edge, for_host};
use crate::host::{Guest, Host, Options, Profile, Request, Response, What, When};
use crate::module::Module;
use crate::target::rewriting;

/// SplitMix64, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound).unwrap()
    }
}

const CALLS: [&str; 9] = [
    "proxy_get_header_map_value",
    "proxy_get_header_map_pairs",
    "proxy_get_buffer_bytes",
    "proxy_get_property",
    "proxy_set_property",
    "proxy_set_header_map_pairs",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_http_call",
];

fn run(profile: Profile, fast_ack: bool, seed: u64) {
    let mut random = Random(seed);
    let limits = r#", "limits": {"max_pending_bytes": 20000, "max_body_bytes": 4000}"#;
    let mut config = rewriting(limits);
    if fast_ack {
        config = config.replace(
            r#""mode": "rewrite""#,
            r#""mode": "rewrite", "fast_ack": true"#,
        );
        config = config.replace(
            r#""authority":"#,
            r#""upstream": "rum.test:80", "authority":"#,
        );
    }
    let options = Options {
        allow_on_headers_stop_iteration: true,
        target_variable: Some("sentry_edge_mirror".into()),
        ..Options::new(for_host(profile, &config))
    };
    let mut edge = Module::from_host(Host::new(profile, Guest::sentry_edge_mirror(), options));
    for call in CALLS {
        if random.below(3) > 0 {
            let what = match random.below(3) {
                0 => What::Nothing,
                _ => What::Status(u32::try_from(random.below(12)).unwrap() + 1),
            };
            // An edit that says OK and does nothing cannot be told from one that worked.
            let writes = call.starts_with("proxy_set") || call.starts_with("proxy_replace");
            let what = match what {
                What::Nothing if writes => What::Status(10),
                what => what,
            };
            edge.host.fault(call, When::Chance(0.2), what);
        }
    }
    for _ in 0..60 {
        let target = [
            "/api/42/envelope/",
            "/api/7/envelope/",
            "/api/42/store/",
            "/",
        ][random.below(4)];
        let mut request = Request::post(target).header("cookie", "secret");
        let pieces = random.below(4);
        for _ in 0..pieces {
            request = request.chunk(vec![b'x'; random.below(3_000)]);
        }
        if profile == Profile::Nginx {
            request = request.mirrored_to("/_mirror");
        }
        let stream = edge.host.open(&request);
        edge.host
            .try_body(stream)
            .unwrap_or_else(|trap| trap.raise());
        let status = [200, 204, 400, 429, 503][random.below(5)];
        // Only what has left is answered by a target; or nobody answers.
        if edge.host.so_far(stream).upstream.headers.is_some() && random.below(4) > 0 {
            edge.host.respond(stream, &Response::status(status));
        }
        let exchange = edge.host.close(stream);
        if let Some(headers) = exchange.upstream.headers {
            assert!(
                headers.text(":path").unwrap().starts_with("/rum/sentry/"),
                "seed {seed}: {headers:?}"
            );
            let cookie = headers.get("cookie").unwrap_or_default();
            assert!(cookie.is_empty(), "seed {seed}: {headers:?}");
        }
        edge.host.advance(1);
        for call in edge.calls() {
            assert_eq!(call.headers.get("cookie"), None);
            edge.reply(call.token, &crate::host::Reply::status(status));
        }
    }
    edge.host.clear_faults();
    edge.host.advance(400_000);
    let [captured, delivered, failed, dropped, pending] = edge.books();
    assert_eq!(captured, delivered + failed + dropped, "seed {seed}");
    assert_eq!((pending, edge.rum("in_flight")), (0, 0), "seed {seed}");
}

#[test]
fn in_envoy() {
    for seed in 0..40 {
        run(Profile::Envoy, false, seed);
        run(Profile::Envoy, true, seed);
    }
}

#[test]
fn in_nginx() {
    for seed in 0..40 {
        run(Profile::Nginx, false, seed);
    }
}
