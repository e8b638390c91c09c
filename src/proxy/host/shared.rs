//! What is shared with other instances: shared data, and the values of metrics.

use super::{NOT_FOUND, OK, Status, take};
use crate::worker::account::Read;
use std::ptr::null_mut;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_metric(id: u32, value: *mut u64) -> Status;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> Status;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> Status;
}

/// The value of a counter or gauge.
pub(in crate::proxy) fn metric(id: u32) -> Option<u64> {
    let mut value = 0;
    let status = unsafe { proxy_get_metric(id, &raw mut value) };
    (status == OK).then_some(value)
}

/// Shared data and its version. (On nginx this call traps.)
pub(in crate::proxy) fn shared(key: &str) -> Read {
    let (mut data, mut size, mut cas) = (null_mut(), 0, 0);
    let status = unsafe {
        proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            &raw mut data,
            &raw mut size,
            &raw mut cas,
        )
    };
    match take(status, data, size) {
        Some(value) => Read::Found(value, cas),
        None if status == NOT_FOUND => Read::Absent,
        None => Read::Failed,
    }
}

/// Sets shared data if it still has this version.
pub(in crate::proxy) fn set_shared(key: &str, value: &[u8], cas: u32) -> bool {
    let (name, size) = (key.as_ptr(), key.len());
    let status = unsafe { proxy_set_shared_data(name, size, value.as_ptr(), value.len(), cas) };
    status == OK
}
