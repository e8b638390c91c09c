//! The most memory that a worker needs with its configuration: the sum of the budgets and of what reading takes besides. A
//! configuration that needs more than an instance can have is refused, because it would end in a trap.
//!
//! Envoy's hosts give an instance 1 GiB: 16384 pages of 64 KiB (measured).

use super::reader::Reader;
use super::{Config, Limits, Mode};
use crate::copies::leg::{MAX_ACTIVE, MAX_ACTIVE_SECOND};
use crate::copies::settings::Copies;
use crate::sls::readers::MAX_READERS;
use crate::sls::record::MAX_SCRUBBED;
use std::fmt;

/// The most an instance can have.
pub const MAX_BYTES: u64 = 1_073_741_824;

/// The code's data, stack, tables, and what lives as long as the instance.
const MODULE_BYTES: u64 = 8_388_608;
/// Decoders' windows and tables: brotli 16 MiB at most, zstd 8 MiB; only one of the two is open.
const WINDOW_BYTES: u64 = 16_777_216;
/// A log is made from an item in pieces: the part that was read and what becomes of it, the same for JSON in its strings down
/// to four levels, its fields, and the log itself.
const PER_ITEM_BYTE: u64 = 12;
/// Needed besides that for one log, however small its item.
const RECORD_BYTES: u64 = 8_388_608;
/// The open batch may have doubled its room. Packed, and divided when SLS refuses it, it exists up to three more times.
const PER_BATCH_BYTE: u64 = 5;
/// A log larger than a batch travels alone: a payload of 1 MiB, and fields.
const LARGEST_LOG_BYTES: u64 = 2_097_152;
/// A quarter of the total: memory is given out in pieces of all sizes, with gaps between them.
const GAPS: u64 = 4;

/// The most that a worker needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The module itself.
    pub module: u64,
    /// `limits.max_pending_bytes`: copies, envelopes and writes that are waiting or in flight, and bodies being received. In
    /// mode `sign` the proxy holds the bodies; the headers are here.
    pub budgets: u64,
    /// With `sentry`: `limits.max_pending_bytes` of each target, and once what bodies being received may hold.
    pub sentries: u64,
    /// A growing body exists twice while it is moved: `limits.max_body_bytes` once more.
    pub growing: u64,
    /// With `sls`: two decoded bodies, `limits.max_decoded_bytes` each. With a `sample` for RUM: two more. With `items` or
    /// `scrub`: four more. For each second Sentry: two. With `encoding` gzip half as many again.
    pub decoded: u64,
    /// The windows of their decoders.
    pub windows: u64,
    /// With `sls`: two logs being made, 12 x `sls.max_item_bytes` and 8 MiB each. With `rum.scrub`: two items of copies, 12 x
    /// 4 MiB each.
    pub record: u64,
    /// With `sls`: the open batch and the one being packed or divided, 5 x `sls.batch.max_bytes`.
    pub batches: u64,
    /// A quarter of all that, for gaps.
    pub gaps: u64,
}

impl Needed {
    /// Adds what a leg of copies needs that reads `active` copies at a time.
    fn read_copies(&mut self, copies: &Copies, active: usize, limits: &Limits) {
        let each = |bytes: u64| bytes.saturating_mul(wide(active));
        let body = each(wide(limits.max_decoded_bytes));
        let touched = if copies.touches() { body } else { 0 };
        if copies.reads() {
            self.decoded = self.decoded.saturating_add(body).saturating_add(touched);
            self.windows = self.windows.saturating_add(each(WINDOW_BYTES));
        }
        // What is encoded exists twice.
        if copies.touches() && copies.encodes() {
            self.decoded = self.decoded.saturating_add(body);
        }
        if copies.scrubs() {
            let item = wide(MAX_SCRUBBED).saturating_mul(PER_ITEM_BYTE);
            self.record = self.record.saturating_add(each(item));
        }
    }

    /// The total.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.without_gaps().saturating_add(self.gaps)
    }

    fn without_gaps(&self) -> u64 {
        self.parts()
            .into_iter()
            .fold(0, |sum, (_, bytes)| u64::saturating_add(sum, bytes))
    }

    fn parts(&self) -> [(&'static str, u64); 8] {
        [
            ("the module", self.module),
            ("limits.max_pending_bytes", self.budgets),
            ("sentry", self.sentries),
            ("limits.max_body_bytes", self.growing),
            ("limits.max_decoded_bytes", self.decoded),
            ("decoders", self.windows),
            ("items", self.record),
            ("sls.batch.max_bytes", self.batches),
        ]
    }
}

/// The total, and what it is made of.
impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes (", self.total())?;
        for (name, bytes) in self.parts() {
            if bytes > 0 {
                write!(f, "{name} {bytes}, ")?;
            }
        }
        write!(f, "gaps {})", self.gaps)
    }
}

fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// The most that a worker needs with this configuration.
#[must_use]
pub fn needed(config: &Config) -> Needed {
    let limits = &config.limits;
    let growing = match config.mode {
        Mode::Sign => 0,
        Mode::Tee | Mode::Rewrite { .. } => wide(limits.max_body_bytes),
    };
    let mut needed = Needed {
        module: MODULE_BYTES,
        budgets: wide(limits.max_pending_bytes),
        sentries: 0,
        growing,
        decoded: 0,
        windows: 0,
        record: 0,
        batches: 0,
        gaps: 0,
    };
    if let Some(sls) = &config.sls {
        let readers = wide(MAX_READERS);
        let each = |bytes: u64| bytes.saturating_mul(readers);
        needed.decoded = each(wide(limits.max_decoded_bytes));
        needed.windows = each(WINDOW_BYTES);
        let items = wide(sls.max_item_bytes).saturating_mul(PER_ITEM_BYTE);
        needed.record = each(items.saturating_add(RECORD_BYTES));
        let batch = wide(sls.batch.max_bytes()).max(LARGEST_LOG_BYTES);
        needed.batches = batch.saturating_mul(PER_BATCH_BYTE);
    }
    if let Some(rum) = &config.rum {
        needed.read_copies(rum, MAX_ACTIVE, limits);
    }
    for sentry in &config.sentries {
        needed.read_copies(&sentry.copies, MAX_ACTIVE_SECOND, limits);
        needed.sentries = needed
            .sentries
            .saturating_add(wide(sentry.max_pending_bytes));
    }
    // Bodies being received are charged to RUM and SLS as far as those have room.
    if !config.sentries.is_empty() {
        let collecting = wide(config.collecting_bytes());
        needed.sentries = needed.sentries.saturating_add(collecting);
    }
    needed.gaps = needed.without_gaps() / GAPS;
    needed
}

/// Refuses a configuration that does not fit.
pub(super) fn check(reader: &mut Reader<'_>, config: &Config) {
    let needed = needed(config);
    if needed.total() > MAX_BYTES {
        let pending = config.limits.max_pending_bytes;
        let what = format!(
            "expected that a worker needs at most {MAX_BYTES} bytes, but it needs {needed}, got {pending}"
        );
        reader.problem("limits.max_pending_bytes", what);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, Needed, needed};
    use crate::config::Config;

    fn parse(limits: &str, sls: &str) -> Result<Config, String> {
        let json = format!(
            r#"{{"rum": {{"upstream": "rum", "authority": "rum.example.com", "default": {{"workspace": "w", "service_id": "s"}}}},
                "limits": {{{limits}}} {sls}}}"#
        );
        Config::parse(json.as_bytes(), &|_| None).map_err(|error| error.to_string())
    }

    fn sls(more: &str) -> String {
        format!(
            r#", "sls": {{"upstream": "sls", "endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "my-project", "logstore": "sentry",
                "credential": {{"access_key_id": "id", "access_key_secret": "secret"}} {more}}}"#
        )
    }

    #[test]
    fn the_defaults_need_a_fraction() {
        let rum = needed(&parse("", "").unwrap());
        assert_eq!(
            rum,
            Needed {
                module: 8 << 20,
                budgets: 64 << 20,
                sentries: 0,
                growing: 10 << 20,
                decoded: 0,
                windows: 0,
                record: 0,
                batches: 0,
                gaps: 41 << 19,
            }
        );
        let both = needed(&parse("", &sls("")).unwrap());
        assert_eq!((both.decoded, both.windows), (64 << 20, 32 << 20));
        assert_eq!((both.record, both.batches), (40 << 20, 10 << 20));
        let sum = (8 + 64 + 10 + 64 + 32 + 40 + 10) << 20;
        assert_eq!(both.total(), sum + sum / 4);
        assert_eq!(
            rum.to_string(),
            "107479040 bytes (the module 8388608, limits.max_pending_bytes 67108864, limits.max_body_bytes 10485760, gaps 21495808)"
        );
    }

    #[test]
    fn rules_that_read_need_bodies_after_decoding() {
        let json = r#"{"rum": {"upstream": "rum", "authority": "a", "default": {"workspace": "w", "service_id": "s"},
            "projects": {"1": {"workspace": "w", "service_id": "s", "sample": 0.5}}}}"#;
        let config = Config::parse(json.as_bytes(), &|_| None).unwrap();
        let sampled = needed(&config);
        assert_eq!((sampled.decoded, sampled.windows), (64 << 20, 32 << 20));
        let json = json.replace(r#""sample": 0.5"#, r#""items": ["event"]"#);
        let config = Config::parse(json.as_bytes(), &|_| None).unwrap();
        let sorted = needed(&config);
        assert_eq!((sorted.decoded, sorted.windows), (128 << 20, 32 << 20));
        assert_eq!(sorted.record, 0);
        let json = json.replace(r#""items": ["event"]"#, r#""scrub": true"#);
        let config = Config::parse(json.as_bytes(), &|_| None).unwrap();
        assert_eq!(needed(&config).record, 96 << 20);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers() {
        let most = |pending: u64| {
            let limits =
                format!(r#""max_pending_bytes": {pending}, "max_decoded_bytes": 268435456"#);
            parse(&limits, &sls(r#", "max_item_bytes": 4194304"#))
        };
        let fixed = (8 + 10 + 2 * 256 + 2 * 16 + 2 * (48 + 8) + 10) << 20;
        let room = MAX_BYTES / 5 * 4 - fixed;
        let config = most(room - 8).unwrap();
        assert!(needed(&config).total() <= MAX_BYTES);
        let refused = most(room + 8).unwrap_err();
        let pending = room + 8;
        let text = "limits.max_pending_bytes: expected that a worker needs at most 1073741824 bytes, but it needs ";
        assert!(refused.contains(text));
        assert!(refused.contains(&format!("limits.max_pending_bytes {pending}, ")));
        assert!(refused.ends_with(&format!(", got {pending}")), "{refused}");
    }

    /// Any single key may be at its maximum.
    #[test]
    fn the_maxima_fit() {
        for (limits, section) in [
            (r#""max_pending_bytes": 805306368"#, String::new()),
            (r#""max_body_bytes": 268435456"#, sls("")),
            (r#""max_decoded_bytes": 268435456"#, sls("")),
            ("", sls(r#", "max_item_bytes": 4194304"#)),
            ("", sls(r#", "batch": {"max_bytes": 9728000}"#)),
        ] {
            assert!(parse(limits, &section).is_ok(), "{limits} {section}");
        }
    }
}
