//! Shared data: a key-value store with compare-and-swap.

use wasmtime::Caller;

use super::super::memory::{give, put_u32, read};
use super::super::rules::Rule;
use super::super::state::State;
use super::{Answer, Status};

pub(super) fn get(
    c: &mut Caller<'_, State>,
    key: u32,
    len: u32,
    out: u32,
    size: u32,
    cas: u32,
) -> Answer {
    let Some(key) = read(c, key, len) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    check_zone(c, &key)?;
    let (value, version) = match c.data().shared.get(&key) {
        Some((value, version)) => (Ok(value.clone()), *version),
        None => (Err(Status::NOT_FOUND), 0),
    };
    if value.is_ok() && !put_u32(c, cas, version) {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    }
    give(c, value, out, size)
}

/// A `cas` of 0 always writes.
pub(super) fn set(
    c: &mut Caller<'_, State>,
    key: u32,
    len: u32,
    value: u32,
    size: u32,
    cas: u32,
) -> Answer {
    let (Some(key), Some(value)) = (read(c, key, len), read(c, value, size)) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    check_zone(c, &key)?;
    let shared = &mut c.data_mut().shared;
    let version = shared.get(&key).map_or(0, |(_, version)| *version);
    if cas != 0 && cas != version {
        return Ok(Status::CAS_MISMATCH);
    }
    shared.insert(key, (value, version + 1));
    Ok(Status::OK)
}

fn check_zone(c: &mut Caller<'_, State>, key: &[u8]) -> wasmtime::Result<()> {
    let state = c.data_mut();
    if state.is_nginx() && !state.options.shm_zone {
        return Err(state.broken(Rule::SharedDataZone, key.escape_ascii()));
    }
    Ok(())
}
