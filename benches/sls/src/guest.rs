//! The entry points of the wasm build.

use crate::{Stage, Workload};

/// Room for an argument; it stays.
#[unsafe(no_mangle)]
extern "C" fn reserve(size: usize) -> *mut u8 {
    Box::leak(vec![0; size].into_boxed_slice()).as_mut_ptr()
}

/// Opens the workload in `size` bytes from [`reserve`].
///
/// # Safety
/// The host passes what `reserve` gave.
#[unsafe(no_mangle)]
unsafe extern "C" fn open(bytes: *const u8, size: usize) -> *const Workload {
    // SAFETY: see above.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, size) };
    Box::leak(Box::new(Workload::new(bytes)))
}

/// The batch before compression: its address and, in the upper half, its size.
///
/// # Safety
/// The host passes what `open` gave.
#[unsafe(no_mangle)]
unsafe extern "C" fn raw(workload: *const Workload) -> u64 {
    // SAFETY: see above.
    let raw = unsafe { &*workload }.raw();
    (raw.len() as u64) << 32 | raw.as_ptr() as u64
}

/// Runs a stage, by its place in [`Stage::ALL`], so many times.
///
/// # Safety
/// The host passes what `open` gave.
#[unsafe(no_mangle)]
unsafe extern "C" fn run(workload: *const Workload, stage: usize, times: u32) -> usize {
    // SAFETY: see above.
    let workload = unsafe { &*workload };
    (0..times).fold(0, |sum, _| sum ^ workload.run(Stage::ALL[stage]))
}
