//! Guest memory: reading arguments, handing out results, and what both cost.
//!
//! Results are written into memory that the guest allocates (`malloc`, else `proxy_on_memory_allocate`), as in
//! `WasmBase::copyToPointerSize`. A guest that returns 0 gets an error status and no data.

use wasmtime::{AsContextMut, Caller};

use super::abi::{Answer, Status};
use super::fault::What;
use super::options::Profile;
use super::state::State;

/// What an argument of pointer and size points at.
pub(super) fn read(c: &mut Caller<'_, State>, pointer: u32, size: u32) -> Option<Vec<u8>> {
    let memory = c.data().memory?;
    let (bytes, state) = memory.data_and_store_mut(c);
    let start = pointer as usize;
    let out = bytes
        .get(start..start.checked_add(size as usize)?)?
        .to_vec();
    state.cost.bytes_from_guest += u64::from(size);
    Some(out)
}

/// Raw bytes without accounting, for out-parameters.
pub(super) fn put(c: &mut Caller<'_, State>, pointer: u32, bytes: &[u8]) -> bool {
    c.data()
        .memory
        .is_some_and(|memory| memory.write(c, pointer as usize, bytes).is_ok())
}

pub(super) fn put_u32(c: &mut Caller<'_, State>, pointer: u32, value: u32) -> bool {
    put(c, pointer, &value.to_le_bytes())
}

pub(super) fn put_u64(c: &mut Caller<'_, State>, pointer: u32, value: u64) -> bool {
    put(c, pointer, &value.to_le_bytes())
}

/// Payload bytes into memory the guest named itself (WASI).
pub(super) fn fill(c: &mut Caller<'_, State>, pointer: u32, bytes: &[u8]) -> bool {
    c.data_mut().cost.bytes_to_guest += bytes.len() as u64;
    put(c, pointer, bytes)
}

/// The end of every getter: hands the value out, or the status. A fault of the test comes first.
pub(super) fn give(
    c: &mut Caller<'_, State>,
    value: Result<Vec<u8>, Status>,
    pointer: u32,
    size: u32,
) -> Answer {
    let value = match c.data_mut().forced.take() {
        Some(What::Nothing) => return Ok(Status::OK),
        Some(What::Data(data)) => data,
        _ => match value {
            Ok(value) => value,
            Err(status) => return Ok(status),
        },
    };
    let envoy = c.data().profile == Profile::Envoy;
    // Envoy writes a null pointer for an empty value; nginx asks the guest for 0 bytes.
    let at = if value.is_empty() && envoy {
        0
    } else {
        match allocate(c, value.len() as u32)? {
            0 => {
                return Ok(if envoy {
                    Status::INVALID_MEMORY_ACCESS
                } else {
                    Status::INTERNAL_FAILURE
                });
            }
            at => at,
        }
    };
    let written =
        fill(c, at, &value) && put_u32(c, pointer, at) && put_u32(c, size, value.len() as u32);
    Ok(if written {
        Status::OK
    } else {
        Status::INVALID_MEMORY_ACCESS
    })
}

fn allocate(c: &mut Caller<'_, State>, size: u32) -> wasmtime::Result<u32> {
    let cost = &mut c.data_mut().cost;
    cost.allocations += 1;
    cost.allocated_bytes += u64::from(size);
    let Some(allocate) = c.data().allocate.clone() else {
        return Ok(0);
    };
    allocate.call(c.as_context_mut(), size)
}
