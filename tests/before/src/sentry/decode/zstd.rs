//! `zstd` (RFC 8878).

use std::io::Read;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{MAX_MEMBERS, MAX_WINDOW, Output, Reason, SCRATCH};

/// Frames and skippable frames, one after the other.
pub(super) fn zstd(mut input: &[u8], output: &mut Output) -> Result<(), Reason> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW);
    let mut scratch = vec![0; SCRATCH];
    for _ in 0..MAX_MEMBERS {
        if input.is_empty() {
            return Ok(());
        }
        match decoder.init(&mut input) {
            Ok(()) => zstd_frame(&mut decoder, &mut input, output, &mut scratch)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let length = usize::try_from(length).map_err(|_| Reason::Truncated)?;
                input = input.get(length..).ok_or(Reason::Truncated)?;
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(Reason::Window),
            // The decoder reports a short read as an I/O error like any other; nothing else can go wrong on a slice.
            Err(_) if input.is_empty() => return Err(Reason::Truncated),
            Err(_) => return Err(Reason::Corrupt("not a zstd frame")),
        }
    }
    Err(Reason::Corrupt("too many zstd frames"))
}

fn zstd_frame(
    decoder: &mut FrameDecoder,
    input: &mut &[u8],
    output: &mut Output,
    scratch: &mut [u8],
) -> Result<(), Reason> {
    loop {
        if !decoder.is_finished() {
            // One block, at most 128 KiB decoded, before the output is looked at: the cap holds to that.
            let block = decoder.decode_blocks(&mut *input, BlockDecodingStrategy::UptoBlocks(1));
            if block.is_err() {
                let truncated = input.is_empty();
                return Err(if truncated {
                    Reason::Truncated
                } else {
                    Reason::Corrupt("zstd block")
                });
            }
        }
        while decoder.can_collect() > 0 {
            let count = decoder
                .read(scratch)
                .map_err(|_| Reason::Corrupt("zstd block"))?;
            output.push(scratch.get(..count).unwrap_or_default())?;
        }
        if decoder.is_finished() {
            let stored = decoder.get_checksum_from_data();
            let fine = stored.is_none() || stored == decoder.get_calculated_checksum();
            return if fine {
                Ok(())
            } else {
                Err(Reason::Corrupt("zstd checksum"))
            };
        }
    }
}
