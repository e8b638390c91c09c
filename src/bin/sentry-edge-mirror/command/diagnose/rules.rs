//! What Envoy's statistics mean for all of the module: is it there, does it run, which Envoy, whose clock.

use super::Remark;
use super::facts::Facts;
use super::leg::Leg;
use super::stats::Stats;
use sentry_edge_mirror::metric::Leg as Whose;

/// Versions that the end-to-end suite passes on.
const VERSIONS: std::ops::RangeInclusive<(u64, u64)> = (1, 36)..=(1, 40);
/// So many projects without a second Sentry may be uncounted for a while, in each worker.
const UNCOUNTED: u64 = 63;
/// Clocks of machines that ask a time server differ by less.
const CLOCK_SECONDS: u64 = 60;

pub(super) fn apply(facts: &Facts<'_>) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = presence(facts).into_iter().collect();
    for whose in facts.after.legs() {
        if whose != Whose::Sign {
            remarks.extend(Leg::new(facts, whose).remarks());
        }
    }
    remarks.extend(sign(facts));
    remarks.extend(trap(facts));
    remarks.extend(envoy(facts));
    remarks
}

/// Is the module there at all?
fn presence(facts: &Facts<'_>) -> Option<Remark> {
    if !facts.after.legs().is_empty() {
        return None;
    }
    Some(match facts.settings {
        Some(settings) if settings.plugins > 0 => Remark::problem(
            "the module is configured and has no metrics: its instance did not start",
            "Envoy's log names the reason; `sentry-edge-mirror check` the configuration",
        ),
        Some(_) => Remark::problem(
            "no plugin of ours is in Envoy's configuration",
            "is this the Envoy that is meant?",
        ),
        None => Remark::problem(
            "there are no metrics of the module",
            "is this the Envoy that is meant, and /stats all of it?",
        ),
    })
}

fn sign(facts: &Facts<'_>) -> Vec<Remark> {
    let denied = [
        (
            "no_credential",
            true,
            "there is no credential: the metadata service has not given a key, or the last one has expired",
            "the RAM role",
        ),
        (
            "no_room",
            true,
            "the budget is full: writes are answered with 503",
            "SLS's latency, limits.max_pending_bytes",
        ),
        (
            "host",
            true,
            "Envoy did not hand out requests",
            "please report it",
        ),
        (
            "forbidden",
            false,
            "another method, path, parameter or logstore",
            "sign.logstores",
        ),
        (
            "malformed",
            false,
            "writes that could not be signed for sure",
            "the clients",
        ),
        (
            "too_large",
            false,
            "writes over limits.max_body_bytes",
            "smaller batches",
        ),
    ];
    let of = |(reason, wrong, means, todo): (&str, bool, &str, &str)| {
        let count = facts.count(|stats| stats.ours(&format!("sign.denied.{reason}")));
        (count > 0).then(|| {
            let mut what = format!("sign.denied.{reason} is {count}: {means}");
            if reason == "no_credential" {
                what.push_str(&facts.metadata());
            }
            if wrong {
                Remark::problem(what, todo)
            } else {
                Remark::note(what, todo)
            }
        })
    };
    denied.into_iter().filter_map(of).collect()
}

/// A trap, by what it leaves behind: Envoy has no statistic of it where the policy is FAIL_OPEN.
fn trap(facts: &Facts<'_>) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let reloads = facts.after.starting("wasm.").filter(|(name, _)| {
        name.ends_with(".vm_reload_success") || name.ends_with(".vm_reload_failure")
    });
    let reloaded: u64 = reloads
        .map(|(name, _)| facts.count(|stats| stats.get(&format!("wasm.{name}"))))
        .sum();
    if reloaded > 0 {
        let what = format!(
            "a wasm module trapped and was started again {reloaded} times: what was in flight failed"
        );
        remarks.push(Remark::problem(
            what,
            "look for `Function: proxy_... failed` in the log; failure_policy: FAIL_OPEN",
        ));
    }
    let legs = facts.after.legs();
    let counted = |stats: &Stats| {
        let legs = legs.iter().map(|leg| stats.counted(&leg.to_string()));
        legs.fold(0, u64::saturating_add)
    };
    if facts.settings.is_some_and(|settings| settings.off) {
        remarks.push(Remark::problem(
            "the filter is disabled, and no route turns it on: nothing is mirrored",
            "if it is not switched off on purpose: typed_per_filter_config of the routes, as in envoy/tee.yaml",
        ));
    } else if facts.passed > 0 && !legs.is_empty() && facts.grown(counted) == 0 {
        let what = format!(
            "{} requests passed and the module counted none of them: nothing matches, or it is off after a trap",
            facts.passed
        );
        let todo = "look for `Function: proxy_... failed` in the log; a listener update or a restart brings the module back";
        // An edge that has other traffic, too, may just have had no envelopes.
        let usual = counted(facts.before).saturating_mul(2) >= facts.before.requests();
        remarks.push(if usual && !may_be_unmapped(facts, &legs, counted) {
            Remark::problem(what, todo)
        } else {
            Remark::note(what, todo)
        });
    }
    remarks
}

/// Where there are second Sentries alone, requests of projects that none of them lists are counted late.
fn may_be_unmapped(facts: &Facts<'_>, legs: &[Whose], counted: impl Fn(&Stats) -> u64) -> bool {
    let seen = |leg: &Whose| match leg {
        Whose::Sentry(_) => {
            let takes_all = facts.settings.is_some_and(|settings| {
                let target = settings.sentries.get(&leg.to_string());
                target.is_some_and(|target| target.has_default)
            });
            let unmapped = facts.before.ours(&format!("{leg}.skipped.unmapped"));
            !takes_all && (unmapped > 0 || counted(facts.before) == 0)
        }
        Whose::Rum | Whose::Sls | Whose::Sign => false,
    };
    facts.passed <= UNCOUNTED.saturating_mul(facts.workers()) && legs.iter().all(seen)
}

/// Envoy itself.
fn envoy(facts: &Facts<'_>) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if let Some(version) = facts.version() {
        let mut numbers = version
            .split('.')
            .map(|number| number.parse::<u64>().unwrap_or(0));
        let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if number < *VERSIONS.start() {
            let what = format!(
                "Envoy {version} is older than 1.36, the first one that the module was tested with"
            );
            remarks.push(Remark::problem(what, "update Envoy"));
        } else if number > *VERSIONS.end() {
            let what = format!(
                "Envoy {version} is newer than 1.40, the last one that the module was tested with"
            );
            remarks.push(Remark::note(what, ""));
        }
    }
    match facts.member("state").as_deref() {
        None | Some("LIVE") => {}
        Some("DRAINING") => remarks.push(Remark::note(
            "Envoy is draining: it takes no new connections",
            "",
        )),
        Some(_) => remarks.push(Remark::problem(
            "Envoy is not live yet: it waits for a cluster, a listener or a remote module",
            "/init_dump, and Envoy's log",
        )),
    }
    if let Some(ahead) = facts
        .after
        .clock_ahead
        .filter(|ahead| ahead.unsigned_abs() > CLOCK_SECONDS)
    {
        let side = if ahead > 0 { "ahead of" } else { "behind" };
        let what = format!(
            "wrong clock: Envoy's is {} s {side} this machine's",
            ahead.unsigned_abs()
        );
        remarks.push(Remark::problem(what, "a time server for both; SLS refuses what is signed 15 minutes off until its own time is known"));
    }
    let rejected = facts.count(|stats| stats.get("listener_manager.lds.update_rejected"));
    if rejected > 0 || facts.settings.is_some_and(|settings| settings.refused > 0) {
        remarks.push(Remark::problem(
            "an update of a listener was refused: the old one serves",
            "error_state in /config_dump and Envoy's log have the reason; `sentry-edge-mirror check` the new configuration",
        ));
    }
    if facts
        .settings
        .is_some_and(|settings| settings.not_fail_open)
    {
        remarks.push(Remark::problem("a filter in mode tee is not failure_policy: FAIL_OPEN: after a trap every request would fail", "set it"));
    }
    if facts.server.is_none() || facts.settings.is_none() {
        remarks.push(Remark::note(
            "/server_info or /config_dump cannot be read: budgets are taken to be the defaults, version and state are not known",
            "ask Envoy's own admin endpoint, not a filter in front of it",
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::admin::Answer;
    use super::super::settings::Settings;
    use super::{Facts, Stats, trap};

    fn stats(numbers: &[(&str, u64)]) -> Stats {
        let entries = numbers.iter().map(|(name, value)| {
            let whole = if name.starts_with("http.") {
                (*name).to_owned()
            } else {
                format!("wasmcustom.sentry_edge_mirror.{name}")
            };
            format!(r#"{{"name": "{whole}", "value": {value}}}"#)
        });
        let entries: Vec<String> = entries.collect();
        let text = format!(r#"{{"stats": [{}]}}"#, entries.join(","));
        Stats::parse(&Answer { text, clocks: None }).unwrap()
    }

    /// Of so many requests none was counted.
    fn uncounted(passed: u64, numbers: &[(&str, u64)], target: &str) -> Kind {
        let plugin = format!(
            r#"{{"name": "sentry_edge_mirror", "vm_config": {{}}, "configuration": {{
            "@type": "type.googleapis.com/google.protobuf.Struct", "value": {{"sentry": {{"saas": {target}}}}}}}}}"#
        );
        let (stats, settings) = (stats(numbers), Settings::read(&plugin));
        assert_eq!(settings.sentries.len(), 1);
        let facts = Facts {
            before: &stats,
            after: &stats,
            passed,
            seconds: 5,
            recent: false,
            server: None,
            settings: Some(&settings),
        };
        let [remark] = &trap(&facts)[..] else {
            unreachable!("one remark")
        };
        remark.kind
    }

    #[test]
    fn projects_without_a_second_sentry_are_no_trap() {
        let some = r#"{"upstream": "saas", "projects": {"1": "https://a@b/1"}}"#;
        let all = r#"{"upstream": "saas", "default": "https://a@b/1"}"#;
        let idle = [("sentry.saas.captured", 0)];
        assert_eq!(uncounted(63, &idle, some), Kind::Note);
        assert_eq!(uncounted(64, &idle, some), Kind::Problem);
        assert_eq!(uncounted(63, &idle, all), Kind::Problem);
        let busy = [
            ("sentry.saas.captured", 9),
            ("http.edge.downstream_rq_completed", 9),
        ];
        assert_eq!(uncounted(5, &busy, some), Kind::Problem);
        let mixed = [
            ("sentry.saas.captured", 9),
            ("sentry.saas.skipped.unmapped", 64),
        ];
        assert_eq!(uncounted(5, &mixed, some), Kind::Note);
        // RUM counts at once.
        let rum = [("sentry.saas.captured", 0), ("rum.captured", 0)];
        assert_eq!(uncounted(5, &rum, some), Kind::Problem);
    }
}
