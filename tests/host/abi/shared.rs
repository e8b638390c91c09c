//! Shared data: a key-value store with compare-and-swap, as `SharedData` in proxy-wasm-cpp-host keeps it for a `vm_id`.
//!
//! One counter gives the versions of all keys. What is not there is written whatever the `cas`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use wasmtime::Caller;

use super::super::instance::Host;
use super::super::memory::{give, put_u32, read};
use super::super::rules::Rule;
use super::super::state::State;
use super::{Answer, Status};

/// Shared data outlives an instance: it belongs to the process, so several instances may share it.
#[derive(Clone, Default)]
pub(in super::super) struct SharedData(Rc<RefCell<Values>>);

#[derive(Default)]
struct Values {
    by_key: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_cas: u32,
}

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
    let found = c.data().shared.0.borrow().by_key.get(&key).cloned();
    let (value, version) = match found {
        Some((value, version)) => (Ok(value), version),
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
    let written = c.data().shared.set(key, value, cas);
    Ok(if written {
        Status::OK
    } else {
        Status::CAS_MISMATCH
    })
}

impl SharedData {
    fn set(&self, key: Vec<u8>, value: Vec<u8>, cas: u32) -> bool {
        let values = &mut *self.0.borrow_mut();
        let known = values.by_key.get(&key).map(|(_, version)| *version);
        if known.is_some_and(|known| cas != 0 && cas != known) {
            return false;
        }
        values.last_cas += 1;
        values.by_key.insert(key, (value, values.last_cas));
        true
    }
}

impl Host {
    /// All shared data.
    pub fn shared_data(&self) -> BTreeMap<String, Vec<u8>> {
        let values = self.state().shared.0.borrow();
        let pairs = values.by_key.iter();
        pairs
            .map(|(key, (value, _))| (String::from_utf8_lossy(key).into_owned(), value.clone()))
            .collect()
    }

    /// Puts a value into shared data, as another worker would.
    pub fn share(&self, key: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref().to_vec();
        assert!(self.state().shared.set(key.into(), value, 0));
    }
}

fn check_zone(c: &mut Caller<'_, State>, key: &[u8]) -> wasmtime::Result<()> {
    let state = c.data_mut();
    if state.is_nginx() && !state.options.shm_zone {
        return Err(state.broken(Rule::SharedDataZone, key.escape_ascii()));
    }
    Ok(())
}
