//! Each host call alone, always, in each way: from the start on, the configuration included, and from later on.

use super::chance::{all_faults, host_calls};
use super::mode::{EVERYWHERE, Mode};
use super::{end, exchange};
use crate::edge::Edge;
use crate::module::Module;
use test_host::{Guest, Hits, Options, Profile, Reply, StartError, What, When};

/// When a mode makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Never,
    AtTheStart,
    /// Later too, or only later.
    Later,
}

fn made(call: &str, mode: Mode, profile: Profile) -> Made {
    let nginx = profile == Profile::Nginx;
    let never = match call {
        // nginx does not have it, and where nothing is delivered from here nothing outlasts the streams.
        "proxy_done" => nginx || mode.signs() || mode == Mode::Rewrite,
        // The target of an nginx location.
        "proxy_set_property" | "proxy_replace_header_map_value" => !(mode.rewrites() && nginx),
        // FastAck takes in what it answers.
        "proxy_set_header_map_pairs" => nginx || !mode.holds() || mode == Mode::FastAck,
        // Large writes only.
        "proxy_set_effective_context" | "proxy_continue_stream" => mode != Mode::SignWithRole,
        // nginx's location answers by itself.
        "proxy_send_local_response" => nginx || !mode.holds(),
        // Copies go on in place, and a key that is configured is not fetched.
        "proxy_http_call" => matches!(mode, Mode::Rewrite | Mode::Sign),
        // On nginx shared data needs a zone.
        "proxy_get_shared_data" => nginx,
        // Where nothing waits from one tick to the next, there is no account.
        "proxy_set_shared_data" => nginx || matches!(mode, Mode::Sign | Mode::Rewrite),
        // Only of what an orphan leaves.
        "proxy_get_metric" => true,
        // Samples of the latency, and nginx's gauges.
        "proxy_record_metric" => !nginx && mode.signs(),
        _ => false,
    };
    let at_the_start = match call {
        "proxy_define_metric" => true,
        // Once, or the worker dies.
        "proxy_set_tick_period_milliseconds" => nginx,
        // The configuration; bodies go by.
        "proxy_get_buffer_bytes" => mode == Mode::Rewrite,
        // A first look, and in five seconds the next.
        "proxy_get_shared_data" => matches!(mode, Mode::Sign | Mode::Rewrite),
        // Which host it is; who sent a copy is of no interest without one.
        "proxy_get_property" => !nginx && !mode.has_rum(),
        _ => false,
    };
    match (never, at_the_start) {
        (true, _) => Made::Never,
        (_, true) => Made::AtTheStart,
        _ => Made::Later,
    }
}

/// Ordinary traffic, and what the module never sees the like of, so that each of its calls is made.
fn traffic(edge: &mut Module, mode: Mode, what: Option<&What>) {
    let (profile, honest) = (edge.profile(), !matches!(what, Some(What::Data(_))));
    for round in 0..3 {
        let seen = exchange(edge, mode, &mode.ordinary(profile), 200);
        mode.check_exchange(&seen, honest);
        let seen = exchange(edge, mode, &mode.unwanted(profile), 200);
        mode.check_exchange(&seen, honest);
        edge.advance(5);
        for call in mode.fetch_keys(edge) {
            edge.reply(call.token, &Reply::status(200));
        }
        // One that nobody asked for, which goes to the log.
        edge.reply(u32::MAX, &Reply::status(200));
        edge.advance(700);
        if let (1, Some(large)) = (round, mode.large()) {
            let seen = exchange(edge, mode, &large, 200);
            mode.check_exchange(&seen, honest);
        }
    }
    if profile == Profile::Envoy {
        // Something is left, so that the end is asked for.
        exchange(edge, mode, &mode.ordinary(profile), 200);
        edge.drain();
        edge.advance(11_000);
    }
}

/// A start under a fault. A configuration that cannot be read, or whose host cannot be told, is refused.
fn start(
    mode: Mode,
    profile: Profile,
    call: &'static str,
    what: &What,
    hits: &Hits,
) -> Option<Module> {
    let options = Options {
        faults: vec![(call, When::Always, what.clone())],
        hits: hits.clone(),
        // The host is told from a property that lies.
        tolerate: vec![test_host::Rule::ConfigureRefused],
        ..mode.options(profile)
    };
    match mode.try_start(profile, options) {
        Ok(edge) => Some(edge),
        Err(StartError::Rejected { callback, logs }) => {
            assert_eq!(callback, "proxy_on_configure");
            assert!(
                ["proxy_get_buffer_bytes", "proxy_get_property"].contains(&call),
                "{call} {what:?}: {logs:?}"
            );
            assert!(
                logs.iter().any(|log| log.level == 4),
                "refused without a word: {call} {what:?}"
            );
            None
        }
        Err(error) => panic!("{mode:?} {profile:?}, {call} {what:?}: {error}"),
    }
}

fn each_host_call_may_always_fail(among: impl Fn(Mode) -> bool) {
    let mut wrong = Vec::new();
    for (mode, profile) in EVERYWHERE.into_iter().filter(|(mode, _)| among(*mode)) {
        for call in host_calls() {
            let [from_start, later] = [Hits::default(), Hits::default()];
            for what in all_faults(call) {
                if let Some(mut edge) = start(mode, profile, call, &what, &from_start) {
                    traffic(&mut edge, mode, Some(&what));
                }
                let options = Options {
                    hits: later.clone(),
                    ..mode.options(profile)
                };
                let mut edge = mode.try_start(profile, options).unwrap();
                edge.host.fault(call, When::Always, what.clone());
                traffic(&mut edge, mode, Some(&what));
                edge.host.clear_faults();
                end(&mut edge);
            }
            let hit = match [&from_start, &later].map(|hits| hits.of(call) > 0) {
                [false, false] => Made::Never,
                [true, false] => Made::AtTheStart,
                [_, true] => Made::Later,
            };
            if hit != made(call, mode, profile) {
                wrong.push((call, mode, profile, hit));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "hit at other times than expected: {wrong:#?}"
    );
}

#[test]
fn each_host_call_may_always_fail_in_tee() {
    each_host_call_may_always_fail(|mode| matches!(mode, Mode::Both | Mode::Role));
}

#[test]
fn each_host_call_may_always_fail_in_rewrite() {
    each_host_call_may_always_fail(|mode| {
        matches!(mode, Mode::RewriteWithLogs | Mode::Rewrite | Mode::FastAck)
    });
}

#[test]
fn each_host_call_may_always_fail_in_sign() {
    each_host_call_may_always_fail(|mode| matches!(mode, Mode::Sign | Mode::SignWithRole));
}

#[test]
fn these_are_all_host_calls() {
    let mut imported = Guest::sentry_edge_mirror().imports("env");
    let mut ours = host_calls();
    imported.sort_unstable();
    ours.sort_unstable();
    assert_eq!(imported, ours);
}

/// A reload under faults: refused, the old configuration serves on; taken, the new one does.
#[test]
fn a_reload_may_come_under_faults() {
    let calls = [
        "proxy_get_buffer_bytes",
        "proxy_get_property",
        "proxy_define_metric",
        "proxy_log",
        "proxy_get_current_time_nanoseconds",
        "proxy_set_tick_period_milliseconds",
    ];
    for (mode, profile) in EVERYWHERE
        .into_iter()
        .filter(|(_, profile)| *profile == Profile::Envoy)
    {
        for call in calls {
            for what in all_faults(call) {
                let mut edge = mode.start(profile);
                let old = edge.host.current_root();
                let before = edge.host.fault_hits(call);
                edge.host.fault(call, When::Always, what.clone());
                // Streams that the old one serves still.
                let stream = edge.host.open(&mode.ordinary(profile).streamed());
                if let Err(error) = edge.host.try_add_root(mode.config_for(profile)) {
                    assert!(matches!(error, StartError::Rejected { .. }), "{error}");
                    assert_eq!(edge.host.current_root(), old);
                }
                let honest = !matches!(what, What::Data(_));
                let seen = exchange(&mut edge, mode, &mode.ordinary(profile), 200);
                mode.check_exchange(&seen, honest);
                assert!(edge.host.fault_hits(call) > before, "{call} in {mode:?}");
                edge.host.clear_faults();
                let seen = exchange(&mut edge, mode, &mode.ordinary(profile), 200);
                mode.check_exchange(&seen, true);
                mode.check_exchange(&edge.host.abort(stream), honest);
                end(&mut edge);
            }
        }
    }
}

/// What the standard library asks of WASI for us: the environment, for `${NAME}` only, and a seed. It takes no error: the
/// start fails, before anything is in force.
#[test]
fn a_start_without_environment_or_randomness_fails() {
    let config = Mode::Rum.config_for(Profile::Envoy);
    let asks = config.replace("rum.example.com", "${AUTHORITY}");
    for (call, config) in [
        ("environ_sizes_get", &asks),
        ("environ_get", &asks),
        ("random_get", &config),
    ] {
        let start = |faults| {
            let options = Options {
                faults,
                ..Options::new(config)
            };
            Mode::Rum.try_start(Profile::Envoy, options.env("AUTHORITY", "rum.example.com"))
        };
        assert!(start(Vec::new()).is_ok());
        let failed = start(vec![(call, When::Always, What::Status(28))]).err();
        let Some(StartError::Trap(trap)) = failed else {
            panic!("{call}: {failed:?}");
        };
        assert_eq!(trap.callback, "proxy_on_configure");
    }
}
