//! `gzip` (RFC 1952) and `deflate`, which is zlib (RFC 1950).

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{MAX_MEMBERS, Output, Reason, SCRATCH};

/// One zlib stream; what stands behind it is ignored, as Relay does.
pub(super) fn zlib(mut input: &[u8], output: &mut Output) -> Result<(), Reason> {
    inflate(&mut Decompress::new(true), &mut input, output, &mut None)
}

/// Runs one deflate stream to its end and leaves `input` behind it. `crc` sees the decoded bytes, if there is one.
fn inflate(
    z: &mut Decompress,
    input: &mut &[u8],
    output: &mut Output,
    crc: &mut Option<Crc>,
) -> Result<(), Reason> {
    let mut scratch = vec![0; SCRATCH];
    loop {
        let (consumed, produced) = (z.total_in(), z.total_out());
        let status = z.decompress(input, &mut scratch, FlushDecompress::None);
        let status = status.map_err(|_| Reason::Corrupt("not a deflate stream"))?;
        let consumed = usize::try_from(z.total_in().saturating_sub(consumed)).unwrap_or(usize::MAX);
        let produced =
            usize::try_from(z.total_out().saturating_sub(produced)).unwrap_or(usize::MAX);
        let decoded = scratch.get(..produced).unwrap_or_default();
        *input = input.get(consumed..).unwrap_or_default();
        if let Some(crc) = crc {
            crc.update(decoded);
        }
        output.push(decoded)?;
        match status {
            Status::StreamEnd => return Ok(()),
            Status::Ok | Status::BufError if consumed == 0 && produced == 0 => {
                return Err(Reason::Truncated);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// RFC 1952. Bytes behind the last member that do not begin another one are ignored, as gzip(1) and Relay do.
pub(super) fn gzip(mut input: &[u8], output: &mut Output) -> Result<(), Reason> {
    let mut z = Decompress::new(false);
    for member in 0..MAX_MEMBERS {
        if member > 0 {
            if !input.starts_with(&[0x1f, 0x8b]) {
                return Ok(());
            }
            z.reset(false);
        }
        let before = output.len;
        let mut crc = Some(Crc::new());
        skip_gzip_header(&mut input)?;
        inflate(&mut z, &mut input, output, &mut crc)?;
        let expected_crc = u32::from_le_bytes(take(&mut input)?);
        let expected_size = u32::from_le_bytes(take(&mut input)?);
        // ISIZE is modulo 2^32; a member larger than that cannot pass the cap on a 32-bit host.
        let size = u64::try_from(output.len.saturating_sub(before)).unwrap_or(u64::MAX)
            & u64::from(u32::MAX);
        if crc.is_some_and(|crc| crc.sum() != expected_crc) || size != u64::from(expected_size) {
            return Err(Reason::Corrupt("gzip checksum"));
        }
    }
    Err(Reason::Corrupt("too many gzip members"))
}

fn skip_gzip_header(input: &mut &[u8]) -> Result<(), Reason> {
    /// The bits of FLG that are followed by a part of their own.
    const HCRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const RESERVED: u8 = 0xe0;

    let [id1, id2, method, flags, _mtime @ .., _xfl, _os] = take::<10>(input)?;
    if [id1, id2, method] != [0x1f, 0x8b, 8] || flags & RESERVED != 0 {
        return Err(Reason::Corrupt("gzip header"));
    }
    if flags & EXTRA != 0 {
        let length = u16::from_le_bytes(take(input)?);
        *input = input.get(usize::from(length)..).ok_or(Reason::Truncated)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = memchr::memchr(0, input).ok_or(Reason::Truncated)?;
            *input = input
                .get(end.saturating_add(1)..)
                .ok_or(Reason::Truncated)?;
        }
    }
    if flags & HCRC != 0 {
        take::<2>(input)?;
    }
    Ok(())
}

fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Reason> {
    let (head, rest) = input.split_first_chunk::<N>().ok_or(Reason::Truncated)?;
    *input = rest;
    Ok(*head)
}
