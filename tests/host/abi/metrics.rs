//! Metric calls; the two hosts differ in what may be done to which kind.

use wasmtime::Caller;

use super::super::memory::{put_u32, put_u64, read};
use super::super::metrics::Kind;
use super::super::rules::Rule;
use super::super::state::State;
use super::{Answer, Status};

pub(super) fn define(
    c: &mut Caller<'_, State>,
    kind: u32,
    name: u32,
    len: u32,
    out: u32,
) -> Answer {
    let Some(name) = read(c, name, len) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    let Some(kind) = Kind::from_abi(kind) else {
        return Ok(Status::BAD_ARGUMENT);
    };
    let id = c.data().metrics.define(kind, &name, c.data().is_nginx());
    Ok(Status::written(put_u32(c, out, id)))
}

pub(super) fn increment(c: &mut Caller<'_, State>, id: u32, offset: i64) -> Answer {
    let nginx = c.data().is_nginx();
    change(c, id, |kind, value| match kind {
        Kind::Counter if nginx || offset > 0 => {
            *value = value.wrapping_add(offset);
            Some(Status::OK)
        }
        Kind::Gauge if !nginx => {
            *value = value.wrapping_add(offset);
            Some(Status::OK)
        }
        _ if nginx => None,
        _ => Some(Status::BAD_ARGUMENT),
    })
}

pub(super) fn record(c: &mut Caller<'_, State>, id: u32, sample: u64) -> Answer {
    let nginx = c.data().is_nginx();
    let metrics = c.data().metrics.clone();
    if let Some(true) = metrics.with(id, |metric| metric.kind == Kind::Histogram) {
        metrics.with(id, |metric| metric.samples.push(sample));
        return Ok(Status::OK);
    }
    change(c, id, |kind, value| match kind {
        Kind::Gauge => {
            *value = sample as i64;
            Some(Status::OK)
        }
        Kind::Counter if nginx => None,
        // `Context::recordMetric` adds to a counter.
        _ => {
            *value = value.wrapping_add(sample as i64);
            Some(Status::OK)
        }
    })
}

pub(super) fn get(c: &mut Caller<'_, State>, id: u32, out: u32) -> Answer {
    match c
        .data()
        .metrics
        .with(id, |metric| (metric.kind, metric.value))
    {
        Some((Kind::Histogram, _)) if c.data().is_nginx() => Err(c
            .data_mut()
            .broken(Rule::HistogramRead, format_args!("metric {id}"))),
        Some((Kind::Histogram, _)) => Ok(Status::BAD_ARGUMENT),
        Some((_, value)) => Ok(Status::written(put_u64(c, out, value as u64))),
        None => unknown(c, id),
    }
}

/// Changes a value; `None` from `act` is nginx's trap for the wrong kind.
fn change(
    c: &mut Caller<'_, State>,
    id: u32,
    act: impl FnOnce(Kind, &mut i64) -> Option<Status>,
) -> Answer {
    let done = c
        .data()
        .metrics
        .clone()
        .with(id, |metric| act(metric.kind, &mut metric.value));
    match done {
        Some(Some(status)) => Ok(status),
        Some(None) => Err(c
            .data_mut()
            .broken(Rule::MetricKind, format_args!("metric {id}"))),
        None => unknown(c, id),
    }
}

fn unknown(c: &mut Caller<'_, State>, id: u32) -> Answer {
    if c.data().is_nginx() {
        return Err(c
            .data_mut()
            .broken(Rule::MetricUnknown, format_args!("metric {id}")));
    }
    Ok(Status::NOT_FOUND)
}
