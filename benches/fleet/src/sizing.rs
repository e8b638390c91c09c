//! How much a rate of envelopes takes, by what the benches measured: the table of `src/manual/scale.md`.

/// What the arithmetic rests on.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Wasm instructions from an envelope to its part of a signed write, in thousands: the 8 KiB row of benches/sls/results.md.
    pub kilo_instructions: f64,
    /// Raw bytes of its log, in the same file.
    pub log_bytes: f64,
}

/// Of an envelope: that row.
pub const BODY_BYTES: f64 = 8_192.0;
/// Wasm instructions a second of a core: one a nanosecond, which is a slow one.
pub const INSTRUCTIONS: f64 = 1e9;
/// Reading has so much of a worker's time at most: src/pace.rs.
pub const READING: f64 = 0.3;
/// Requests a second of one worker at which benches/side_by_side measures, with time to spare.
pub const REQUESTS: f64 = 800.0;
/// Twice what comes usually: for peaks, and for what comes back after an outage (delivery/outbox/gate.rs).
pub const SPARE: f64 = 2.0;
/// Workers of an edge: cores of a machine.
pub const EDGE_WORKERS: f64 = 16.0;
/// Of a shard (manual: sls, "Limits").
pub const SHARD_BYTES: f64 = 5e6;
/// See above.
pub const SHARD_WRITES: f64 = 500.0;
/// A worker writes once in so many seconds at least, `sls.batch.linger_ms`; and so many bytes at most, `sls.batch.max_bytes`.
pub const LINGER_S: f64 = 2.0;
/// See above.
pub const BATCH_BYTES: f64 = 524_288.0;
/// What a copy is charged beside its body: headers, and a fixed part.
pub const COPY_BYTES: f64 = 1_024.0;
/// Of a log's bytes, what is left when it is packed.
pub const PACKED: f64 = 0.2;
/// An outage to outlast, in seconds.
pub const OUTAGE_S: f64 = 600.0;

impl Measured {
    /// From the text of benches/sls/results.md.
    #[must_use]
    pub fn read(results: &str) -> Option<Self> {
        let mut rows = results.lines().filter(|line| line.starts_with("| 8 KiB |"));
        let mut cell = |at: usize| rows.next()?.split('|').nth(at)?.trim().parse().ok();
        Some(Self {
            kilo_instructions: cell(9)?,
            log_bytes: cell(3)?,
        })
    }

    /// Envelopes a second of a worker with the SLS leg.
    #[must_use]
    pub fn read_a_second(&self) -> f64 {
        READING * INSTRUCTIONS / (self.kilo_instructions * 1e3)
    }
}

/// The table.
#[must_use]
pub fn table(measured: &Measured) -> String {
    let mut text = String::from(
        "| envelopes a second | legs | workers | edges of 16 workers | shards | RUM takes, copies a second | `limits.max_pending_bytes` for 10 minutes | the default budget holds |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for rate in [1e3, 1e4, 1e6] {
        for (legs, rum, sls) in [
            ("RUM", true, false),
            ("SLS", false, true),
            ("both", true, true),
        ] {
            text.push_str(&row(measured, rate, legs, rum, sls));
        }
    }
    text
}

fn row(measured: &Measured, rate: f64, legs: &str, rum: bool, sls: bool) -> String {
    let each = if sls {
        measured.read_a_second().min(REQUESTS)
    } else {
        REQUESTS
    };
    let workers = (rate * SPARE / each).ceil();
    let usual = rate / workers;
    let writes = (workers / LINGER_S).max(rate * measured.log_bytes / BATCH_BYTES);
    let bytes = rate * measured.log_bytes;
    let shards = (SPARE * (bytes / SHARD_BYTES).max(writes / SHARD_WRITES)).ceil();
    // Of the two legs each has half.
    let copy = if rum { BODY_BYTES + COPY_BYTES } else { 0.0 };
    let log = if sls {
        measured.log_bytes * PACKED
    } else {
        0.0
    };
    let share = if rum && sls { 2.0 } else { 1.0 };
    let needed = usual * copy.max(log) * share * OUTAGE_S / (1 << 20) as f64;
    let held = f64::from(64 << 20) / share / (usual * copy.max(log));
    let needed = if needed > 768.0 {
        format!("{needed:.0} MiB: more workers, or a shorter outage")
    } else {
        format!("{:.0} MiB", needed.max(64.0))
    };
    format!(
        "| {} | {legs} | {} | {} | {} | {} | {needed} | {held:.0} s |\n",
        grouped(rate),
        grouped(workers),
        grouped((workers / EDGE_WORKERS).ceil()),
        if sls { grouped(shards) } else { "-".to_owned() },
        if rum {
            grouped(rate * SPARE)
        } else {
            "-".to_owned()
        },
    )
}

/// `1 000 000`.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
