//! The results as Markdown: the tables, and how they were made.

use crate::fleet::Size;
use crate::scenario::{self, Scenario};
use crate::summary::Summary;
use crate::{SCALE, sls, traffic};

/// A run.
#[derive(Debug)]
pub struct Run {
    /// What happened.
    pub scenario: Scenario,
    /// What came of it: RUM, SLS.
    pub legs: [Summary; 2],
}

const NAMES: [&str; 2] = ["RUM", "SLS"];

/// The whole file. `commit` is what it was made of.
#[must_use]
pub fn results(runs: &[Run], size: Size, commit: &str) -> String {
    let Size {
        workers,
        quiet,
        seed,
        ..
    } = size;
    let minutes = |ms: u64| ms / 60_000;
    let requests = scenario::requests(workers, quiet);
    let mut text = format!(
        "# A fleet through an outage\n\n\
         `make fleet` wrote this; benches/fleet/src says how it is simulated. Time is virtual: a run is the same on every machine.\n\n\
         * commit {commit}\n\
         * {workers} workers of the core, both legs, {requests:.0} envelopes a second: {quiet} of each worker, {:.0} times as many of \
         one in {}; seed {seed}\n\
         * {} minute of ordinary traffic, {} minutes of the outage, {} minutes of traffic after it, and until nothing is pending\n\
         * budgets, bodies, batches and SLS's bytes a second are a {SCALE}th of the real ones: {} bytes of a body stand for {} KiB, \
         1 MiB of `limits.max_pending_bytes` for its default. What is charged for each beside its bytes is not smaller, so budgets \
         are full sooner than they would be\n\
         * a shard of SLS takes {} bytes and {} writes a second, above that it answers 403; RUM 429\n\n",
        traffic::BUSY_TIMES,
        traffic::BUSY_ONE_OF,
        minutes(size.before_ms),
        minutes(size.outage_ms),
        minutes(size.after_ms),
        traffic::BODY_BYTES,
        traffic::BODY_BYTES * SCALE / 1_024,
        sls::SHARD_BYTES,
        sls::SHARD_WRITES,
    );
    text.push_str("## Scenarios\n\n| name | what happens for ten minutes | settings | quota of RUM; shards | plot |\n| --- | --- | --- | --- | --- |\n");
    for run in runs {
        let scenario = &run.scenario;
        text.push_str(&format!(
            "| {} | {} | {} | {} copies/s; {} | [{}.svg]({}.svg) |\n",
            scenario.name,
            scenario.title,
            scenario.settings.words(),
            scenario.rum_quota(workers, quiet),
            scenario.shards(workers, quiet),
            scenario.name,
            scenario.name
        ));
    }
    text.push_str(
        "\n## What came of it\n\n\
         *Lost* is of what came during the outage: by attempts or age (`failed`), and for want of room (`dropped`). *All*, *half*: \
         seconds from the end of the outage until what came before it was delivered. *Load* is that of a second, as a part of the \
         quota, refused calls included.\n\n",
    );
    text.push_str(&outcomes(runs));
    text
}

/// The table of results.md, which `src/manual/scale.md` shows too.
#[must_use]
pub fn outcomes(runs: &[Run]) -> String {
    let mut text = String::from(
        "| scenario | leg | lost: failed | lost: dropped | half, s | all, s | load before | first second after | busiest second after | calls refused after | calls for each that was delivered |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for run in runs {
        for (name, leg) in NAMES.iter().zip(&run.legs) {
            let outage = leg.in_outage.max(1) as f64;
            let percent = |part: u64| format!("{:.0} %", part as f64 / outage * 100.0);
            text.push_str(&format!(
                "| {} | {name} | {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} % | {:.2} |\n",
                run.scenario.name,
                percent(leg.failed),
                percent(leg.dropped),
                leg.until_half_s,
                leg.until_all_s,
                leg.usual,
                leg.first,
                leg.peak,
                leg.refused * 100.0,
                leg.attempts as f64 / leg.delivered.max(1) as f64,
            ));
        }
    }
    text
}
