//! A model of SLS: shards, each with its bytes and writes a second (manual: sls, "Limits"); above that 403
//! `ShardWriteQuotaExceed`. As `lb` does, it picks a shard for each write. The signature is taken for right.

use crate::SCALE;
use crate::group;
use crate::measure::Measure;
use crate::reply::{Reply, State};
use sentry_edge_mirror::delivery::backoff::Jitter;
use sentry_edge_mirror::delivery::call::Call;

/// Raw bytes a second of a shard: 5 MB, scaled.
pub const SHARD_BYTES: u64 = 5_000_000 / SCALE;
/// Writes a second of a shard.
pub const SHARD_WRITES: u64 = 500;

const QUOTA: &[u8] =
    br#"{"errorCode":"ShardWriteQuotaExceed","errorMessage":"shard write quota exceed"}"#;
const BUSY: &[u8] = br#"{"errorCode":"ServerBusy","errorMessage":"the server is busy"}"#;

#[derive(Clone, Copy, Debug, Default)]
struct Shard {
    bytes: u64,
    writes: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Sls {
    /// Where it is.
    pub state: State,
    shards: Vec<Shard>,
    second: u64,
}

impl Sls {
    /// A logstore with so many shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self {
            state: State::Up,
            shards: vec![Shard::default(); shards.max(1)],
            second: 0,
        }
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// A write comes.
    pub fn call(
        &mut self,
        call: &Call<'_>,
        now: u64,
        random: &mut Jitter,
        measure: &mut Measure,
    ) -> Reply {
        measure.sls.attempt(now);
        match self.state {
            State::Refuses => return Reply::refused(random),
            State::Hangs => return Reply::timed_out(call.timeout_ms),
            State::Up | State::Throttles | State::Busy => {}
        }
        let raw = raw_bytes(call);
        let all = self.shards.len() as f64;
        let bytes = raw as f64 / SHARD_BYTES as f64 / all;
        let writes = 1.0 / SHARD_WRITES as f64 / all;
        measure.sls.load(now, bytes);
        measure.writes(now, writes);
        if now / 1_000 != self.second {
            self.second = now / 1_000;
            self.shards.fill(Shard::default());
        }
        let reply = |status, random: &mut Jitter| {
            Reply::of_target(status, random).with("x-log-requestid", "1".to_owned())
        };
        if self.state == State::Busy {
            measure.sls.refusal(now);
            return Reply {
                body: BUSY,
                ..reply(503, random)
            };
        }
        let most = u64::try_from(self.shards.len() - 1).unwrap_or(u64::MAX);
        let at = usize::try_from(random.up_to(most)).unwrap_or(0);
        let shard = &mut self.shards[at];
        // A write larger than a shard's second is taken by one that has done nothing else.
        let fits = shard.bytes + raw <= SHARD_BYTES || shard.bytes == 0;
        if self.state == State::Throttles || !fits || shard.writes >= SHARD_WRITES {
            measure.sls.refusal(now);
            return Reply {
                body: QUOTA,
                ..reply(403, random)
            };
        }
        shard.bytes += raw;
        shard.writes += 1;
        let raw = usize::try_from(raw).unwrap_or(0);
        for number in group::numbers(call.body, raw) {
            measure.sls.taken(number, now);
        }
        reply(200, random)
    }
}

fn raw_bytes(call: &Call<'_>) -> u64 {
    let value = call.headers.get(b"x-log-bodyrawsize");
    let text = value.and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
