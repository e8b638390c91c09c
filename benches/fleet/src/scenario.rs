//! What happens to the targets, and with which settings.

use crate::SCALE;
use crate::reply::State;
use crate::traffic;
use sentry_edge_mirror::config::Config;

/// Raw bytes of a log of [`traffic::BODY_BYTES`]: its payload, and the fields that are made of it.
pub const LOG_BYTES: f64 = 2_350.0;

/// What happens to the targets between the beginning of the outage and its end.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// A file's name.
    pub name: &'static str,
    /// What happens.
    pub title: &'static str,
    /// To RUM.
    pub rum: State,
    /// RUM's 429 say when it will be over.
    pub says_until: bool,
    /// To SLS.
    pub sls: State,
    /// What RUM and SLS take, times what comes when nothing waits.
    pub quota: [f64; 2],
    /// What differs from the defaults.
    pub settings: Settings,
}

/// What an operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings {
    /// Nothing.
    Defaults,
    /// As the samples in `envoy/` have it.
    Samples,
    /// What outlasts ten minutes: attempts, age, and a budget for what comes meanwhile.
    Outlast,
}

impl Settings {
    /// As the table says it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Defaults => "defaults",
            Self::Samples => "`retry.max_attempts: 12`, as in the samples",
            Self::Outlast => {
                "`retry: {max_attempts: 100, max_age_ms: 900000}`, `sls.retry.max_attempts: 100`, four times the budget"
            }
        }
    }

    fn retry(self) -> (&'static str, &'static str) {
        match self {
            Self::Defaults => ("", ""),
            Self::Samples => (r#""max_attempts": 12"#, ""),
            Self::Outlast => (
                r#""max_attempts": 100, "max_age_ms": 900000"#,
                r#""max_attempts": 100"#,
            ),
        }
    }

    fn budget(self) -> u64 {
        match self {
            Self::Defaults | Self::Samples => 1,
            Self::Outlast => 4,
        }
    }
}

const BOTH: Scenario = Scenario {
    name: "away",
    title: "both targets away: connections are refused",
    rum: State::Refuses,
    says_until: false,
    sls: State::Refuses,
    quota: [2.0, 2.0],
    settings: Settings::Defaults,
};

/// All of them.
#[must_use]
pub fn all() -> Vec<Scenario> {
    vec![
        BOTH,
        Scenario {
            name: "silent",
            title: "both targets away: calls time out",
            rum: State::Hangs,
            sls: State::Hangs,
            ..BOTH
        },
        Scenario {
            name: "samples",
            title: "both targets away: connections are refused",
            settings: Settings::Samples,
            ..BOTH
        },
        Scenario {
            name: "outlast",
            title: "both targets away: connections are refused",
            settings: Settings::Outlast,
            ..BOTH
        },
        Scenario {
            name: "throttled",
            title: "RUM answers 429, SLS 403 ShardWriteQuotaExceed",
            rum: State::Throttles,
            sls: State::Throttles,
            settings: Settings::Samples,
            ..BOTH
        },
        Scenario {
            name: "retry-after",
            title: "RUM answers 429 with a Retry-After that names the end, SLS 503 ServerBusy",
            rum: State::Throttles,
            says_until: true,
            sls: State::Busy,
            settings: Settings::Outlast,
            ..BOTH
        },
        Scenario {
            name: "few-shards",
            title: "both targets away; SLS has hardly more shards than it needs",
            quota: [1.25, 1.25],
            settings: Settings::Outlast,
            ..BOTH
        },
    ]
}

impl Scenario {
    /// The configuration of a worker.
    ///
    /// # Panics
    /// When the core does not take it.
    #[must_use]
    pub fn config(&self) -> Config {
        let (retry, sls_retry) = self.settings.retry();
        let pending = (64 << 20) / SCALE * self.settings.budget();
        let json = format!(
            r#"{{"rum": {{"upstream": "rum", "authority": "rum.example.com",
                "default": {{"workspace": "w", "service_id": "s"}}}},
                "sls": {{"upstream": "sls", "endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "fleet", "logstore": "sentry",
                "credential": {{"access_key_id": "id", "access_key_secret": "secret"}},
                "batch": {{"max_bytes": {}}}, "max_item_bytes": {}, "retry": {{{sls_retry}}}}},
                "limits": {{"max_pending_bytes": {pending}, "max_body_bytes": {}, "max_decoded_bytes": {}}},
                "retry": {{{retry}}}}}"#,
            (512 << 10) / SCALE,
            (1 << 20) / SCALE,
            (10 << 20) / SCALE,
            (32 << 20) / SCALE,
        );
        Config::parse(json.as_bytes(), &|_| None).expect("a good configuration")
    }

    /// RUM's quota: copies a second.
    #[must_use]
    pub fn rum_quota(&self, workers: usize, quiet: f64) -> u64 {
        (requests(workers, quiet) * self.quota[0]).ceil() as u64
    }

    /// SLS's shards: for the bytes of the logs, or for a write every two seconds of each worker.
    #[must_use]
    pub fn shards(&self, workers: usize, quiet: f64) -> usize {
        let bytes = requests(workers, quiet) * LOG_BYTES / crate::sls::SHARD_BYTES as f64;
        let writes = workers as f64 / 2.0 / crate::sls::SHARD_WRITES as f64;
        (bytes.max(writes) * self.quota[1]).ceil() as usize
    }
}

/// Requests a second of all workers.
#[must_use]
pub fn requests(workers: usize, quiet: f64) -> f64 {
    (0..workers)
        .map(|worker| traffic::rate(worker, quiet))
        .sum()
}
