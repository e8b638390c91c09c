//! `br` (RFC 7932).

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Output, Reason, SCRATCH};

/// One brotli stream; what stands behind it is ignored, as Relay does.
pub(super) fn br(input: &[u8], output: &mut Output) -> Result<(), Reason> {
    let alloc = StandardAlloc::default;
    // "Strict" is the standard's window limit of 16 MiB; the format's large-window extension is not `br`.
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let mut scratch = vec![0; SCRATCH];
    let (mut left, mut read, mut total) = (input.len(), 0, 0);
    loop {
        let (mut room, mut written) = (scratch.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut read,
            input,
            &mut room,
            &mut written,
            &mut scratch,
            &mut total,
            &mut state,
        );
        output.push(scratch.get(..written).unwrap_or_default())?;
        match result {
            BrotliResult::ResultSuccess => return Ok(()),
            BrotliResult::NeedsMoreInput => return Err(Reason::Truncated),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => return Err(Reason::Corrupt("not a brotli stream")),
        }
    }
}
