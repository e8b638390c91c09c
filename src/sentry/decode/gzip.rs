//! `gzip` (RFC 1952) and `deflate`, which is zlib (RFC 1950): the wrapping around a deflate stream.

use flate2::Crc;

use super::inflate::Inflate;
use super::output::Output;
use super::{Coding, MAX_MEMBERS, Reason};
use crate::meter::Meter;

/// Costs, in units of a meter; measured.
const MEMBER: u64 = 900;
const NAME_BYTE: u64 = 4;
const CRC_BYTE: u64 = 11;
const ADLER_BYTE: u64 = 9;

/// The bits of FLG that announce an additional part.
const HCRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// How a stream is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrap {
    /// RFC 1952. Bytes after the last member that do not begin another one are ignored, as in gzip(1) and Relay.
    Gzip,
    /// RFC 1950, one stream. What follows it is ignored, as in Relay.
    Zlib,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    /// Texts of a member's header that are still to come, by their FLG bits.
    Texts(u8),
    Stream,
    Trailer,
}

/// See the module's documentation.
pub(super) struct Gzip {
    wrap: Wrap,
    state: State,
    at: usize,
    members: u32,
    /// How much had been decoded before this member.
    before: usize,
    crc: Crc,
    adler: Adler,
    inflate: Inflate,
}

impl Gzip {
    pub(super) fn new(wrap: Wrap) -> Self {
        Self {
            wrap,
            state: State::Header,
            at: 0,
            members: 0,
            before: 0,
            crc: Crc::new(),
            adler: Adler::default(),
            inflate: Inflate::new(),
        }
    }
}

impl Coding for Gzip {
    fn restart(&mut self) {
        (self.state, self.at, self.members) = (State::Header, 0, 0);
    }

    fn memory(&self) -> usize {
        self.inflate.memory()
    }

    fn advance(
        &mut self,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<bool, Reason> {
        match (self.state, self.wrap) {
            (State::Header, Wrap::Gzip) => {
                if self.members == MAX_MEMBERS {
                    return Err(Reason::Corrupt("too many gzip members"));
                }
                let rest = body.get(self.at..).unwrap_or_default();
                if self.members > 0 && !rest.starts_with(&[0x1f, 0x8b]) {
                    return Ok(true);
                }
                meter.spend(MEMBER);
                self.gzip_header(body)?;
            }
            (State::Header, Wrap::Zlib) => {
                let [cmf, flg] = self.take(body)?;
                let window = u32::from(cmf >> 4);
                let check = u16::from_be_bytes([cmf, flg]);
                if check % 31 != 0 || flg & 0x20 != 0 || cmf & 15 != 8 || window > 7 {
                    return Err(Reason::Corrupt("not a deflate stream"));
                }
                self.state = State::Texts(0);
            }
            (State::Texts(flags), _) => self.text(flags, body, output, meter)?,
            (State::Stream, _) => {
                let before = output.len();
                let end = self.inflate.advance(body, output, meter)?;
                if !output.second() {
                    self.checksum(output.since(before), meter);
                }
                if let Some(at) = end {
                    (self.at, self.state) = (at, State::Trailer);
                }
            }
            (State::Trailer, Wrap::Gzip) => {
                self.gzip_trailer(body, output)?;
                self.members = self.members.saturating_add(1);
                self.state = State::Header;
            }
            (State::Trailer, Wrap::Zlib) => {
                let expected = u32::from_be_bytes(self.take(body)?);
                if !output.second() && self.adler.sum() != expected {
                    return Err(Reason::Corrupt("not a deflate stream"));
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Gzip {
    fn gzip_header(&mut self, body: &[u8]) -> Result<(), Reason> {
        let [id1, id2, method, flags, _mtime @ .., _xfl, _os] = self.take::<10>(body)?;
        if [id1, id2, method] != [0x1f, 0x8b, 8] || flags & RESERVED != 0 {
            return Err(Reason::Corrupt("gzip header"));
        }
        if flags & EXTRA != 0 {
            let length = u16::from_le_bytes(self.take(body)?);
            self.at = self.at.saturating_add(usize::from(length));
            if self.at > body.len() {
                return Err(Reason::Truncated);
            }
        }
        self.state = State::Texts(flags);
        Ok(())
    }

    /// Skips a piece of the rest of a header, or begins the stream.
    fn text(
        &mut self,
        flags: u8,
        body: &[u8],
        output: &Output,
        meter: &mut Meter,
    ) -> Result<(), Reason> {
        if flags & (NAME | COMMENT) != 0 {
            let rest = body.get(self.at..).unwrap_or_default();
            let piece = rest.get(..meter.bytes(NAME_BYTE)).unwrap_or(rest);
            let Some(end) = memchr::memchr(0, piece) else {
                meter.spend_bytes(piece.len(), NAME_BYTE);
                self.at = self.at.saturating_add(piece.len());
                return if piece.len() == rest.len() {
                    Err(Reason::Truncated)
                } else {
                    Ok(())
                };
            };
            meter.spend_bytes(end, NAME_BYTE);
            self.at = self.at.saturating_add(end).saturating_add(1);
            let done = if flags & NAME != 0 { NAME } else { COMMENT };
            self.state = State::Texts(flags & !done);
            return Ok(());
        }
        if flags & HCRC != 0 {
            self.take::<2>(body)?;
        }
        self.before = output.len();
        self.crc.reset();
        self.adler = Adler::default();
        self.inflate.begin(self.at, output);
        self.state = State::Stream;
        Ok(())
    }

    fn checksum(&mut self, decoded: &[u8], meter: &mut Meter) {
        match self.wrap {
            Wrap::Gzip => {
                meter.spend_bytes(decoded.len(), CRC_BYTE);
                self.crc.update(decoded);
            }
            Wrap::Zlib => {
                meter.spend_bytes(decoded.len(), ADLER_BYTE);
                self.adler.update(decoded);
            }
        }
    }

    fn gzip_trailer(&mut self, body: &[u8], output: &Output) -> Result<(), Reason> {
        let expected_crc = u32::from_le_bytes(self.take(body)?);
        let expected_size = u32::from_le_bytes(self.take(body)?);
        // ISIZE is modulo 2^32. On a 32-bit host a member larger than that cannot pass the cap.
        let size = output.len().saturating_sub(self.before);
        let size = u64::try_from(size).unwrap_or(u64::MAX) & u64::from(u32::MAX);
        let wrong = self.crc.sum() != expected_crc || size != u64::from(expected_size);
        if wrong && !output.second() {
            return Err(Reason::Corrupt("gzip checksum"));
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self, body: &[u8]) -> Result<[u8; N], Reason> {
        let rest = body.get(self.at..).and_then(<[u8]>::first_chunk::<N>);
        self.at = self.at.saturating_add(N);
        rest.copied().ok_or(Reason::Truncated)
    }
}

/// The checksum of zlib: RFC 1950, section 8.2.
#[derive(Clone, Copy)]
struct Adler(u32, u32);

impl Default for Adler {
    fn default() -> Self {
        Self(1, 0)
    }
}

impl Adler {
    const PRIME: u32 = 65_521;

    fn update(&mut self, bytes: &[u8]) {
        // As many as keep the sums below 2^32.
        for bytes in bytes.chunks(5_552) {
            for byte in bytes {
                self.0 = self.0.wrapping_add(u32::from(*byte));
                self.1 = self.1.wrapping_add(self.0);
            }
            (self.0, self.1) = (self.0 % Self::PRIME, self.1 % Self::PRIME);
        }
    }

    fn sum(self) -> u32 {
        self.1 << 16 | self.0
    }
}
