"""Bombs, and streams of which little or nothing comes for much work, of each decoder. Made encoded."""

import gzip
import zlib
from collections.abc import Callable
from itertools import repeat

import brotli
import zstandard

from .envelopes import HEADER

MIB = 1 << 20
# Beyond what any configuration lets a body decode to.
BOMB = 256
SLOW = MIB
SMALL = HEADER + b'{"type":"event","length":2}\n{}\n'


def _deflated(wbits: int) -> bytes:
    """Zeros, behind the beginning of an envelope."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    pieces = [packer.compress(piece) for piece in (HEADER, *repeat(bytes(MIB), BOMB))]
    return b"".join(pieces) + packer.flush()


class _Bits:
    """Least significant bit first, as deflate has it."""

    def __init__(self) -> None:
        self.value = self.count = 0

    def put(self, value: int, bits: int) -> None:
        self.value |= value << self.count
        self.count += bits

    def code(self, code: int, bits: int) -> None:
        """Huffman codes stand the other way round."""
        self.put(int(f"{code:0{bits}b}"[::-1], 2), bits)


def _tables() -> bytes:
    """Blocks of deflate (RFC 1951, 3.2.7) that build tables of 286 and 30 codes and end at once."""
    bits = _Bits()
    bits.put(0, 1)  # not the last one
    bits.put(2, 2)  # with tables of its own
    bits.put(286 - 257, 5)
    bits.put(30 - 1, 5)
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    # Lengths come as codes too: of 8, of 9, of "the one before, 3 to 6 times more" (16), of 4 and of 5.
    codes = {8: (0b00, 2), 9: (0b01, 2), 16: (0b10, 2), 4: (0b110, 3), 5: (0b111, 3)}
    bits.put(len(order) - 4, 4)
    for symbol in order:
        bits.put(codes.get(symbol, (0, 0))[1], 3)
    # Both sets are complete, as decoders want them: 226 of 8 bits and 60 of 9; 2 of 4 and 28 of 5.
    for length, count in ((8, 226), (9, 60), (4, 2), (5, 28)):
        bits.code(*codes[length])
        count -= 1
        while count >= 3:
            bits.code(*codes[16])
            bits.put(min(6, count) - 3, 2)
            count -= min(6, count)
        for _ in range(count):
            bits.code(*codes[length])
    # The end of the block, symbol 256, is the 31st of those of 9 bits, which begin behind those of 8.
    bits.code((226 << 1) + 256 - 226, 9)
    # An empty stored block brings it back to a whole byte.
    bits.put(0, 3)
    whole = bits.value.to_bytes((bits.count + 7) // 8, "little") + b"\0\0\xff\xff"
    return whole * (SLOW // len(whole))


def _then_small(blocks: bytes) -> bytes:
    """Hand-made blocks that make nothing, and then a small envelope."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return blocks + packer.compress(SMALL) + packer.flush()


def _gzip_of(blocks: bytes) -> bytes:
    trailer = zlib.crc32(SMALL).to_bytes(4, "little") + len(SMALL).to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + _then_small(blocks) + trailer


def _zlib_of(blocks: bytes) -> bytes:
    return b"\x78\x9c" + _then_small(blocks) + zlib.adler32(SMALL).to_bytes(4, "big")


def _members() -> bytes:
    member = gzip.compress(b"", mtime=0)
    return member * (SLOW // len(member)) + gzip.compress(SMALL, mtime=0)


def _br_flushes() -> bytes:
    """A block with tables of its own for each byte."""
    packer = brotli.Compressor(quality=5)
    return (
        b"".join(packer.process(SMALL[at % 7 : at % 7 + 9]) + packer.flush() for at in range(20_000)) + packer.finish()
    )


def _zstd(blocks: bytes) -> bytes:
    """A frame (RFC 8878, 3.1.1) with a window of 8 MiB, of these blocks and an empty last one."""
    return b"\x28\xb5\x2f\xfd\x00\x68" + blocks + (1).to_bytes(3, "little")


def _zstd_block(kind: int, size: int, content: bytes) -> bytes:
    return (size << 3 | kind << 1).to_bytes(3, "little") + content


RAW, RLE = 0, 1

MAKERS: dict[str, Callable[[], bytes]] = {
    "gzip-bomb": lambda: _deflated(31),
    "gzip-stored-empty": lambda: _gzip_of(b"\0\0\0\xff\xff" * (SLOW // 5)),
    "gzip-tables": lambda: _gzip_of(_tables()),
    "gzip-members": _members,
    "deflate-bomb": lambda: _deflated(15),
    "deflate-stored-empty": lambda: _zlib_of(b"\0\0\0\xff\xff" * (SLOW // 5)),
    "deflate-tables": lambda: _zlib_of(_tables()),
    "deflate-raw-bomb": lambda: _deflated(-15),
    "br-bomb": lambda: brotli.compress(HEADER + bytes(BOMB * MIB), quality=1, lgwin=24),
    # RFC 7932, 9.2: a window of 16 bits, blocks of metadata of no byte, and an empty last one.
    "br-empty": lambda: b"\x0c" + b"\x06" * SLOW + b"\x03",
    "br-flushes": _br_flushes,
    "zstd-bomb": lambda: _zstd(_zstd_block(RLE, 128 << 10, b"\0") * (BOMB * 8)),
    "zstd-bomb-packed": lambda: zstandard.ZstdCompressor(level=1).compress(HEADER + bytes(BOMB * MIB)),
    "zstd-blocks-empty": lambda: _zstd(_zstd_block(RAW, 0, b"") * (SLOW // 3)),
    "zstd-frames": lambda: b"\x50\x2a\x4d\x18\0\0\0\0" * (SLOW // 8) + zstandard.ZstdCompressor().compress(SMALL),
}
