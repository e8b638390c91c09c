"""Hostile bodies: envelopes that are cheap to send and dear to read. Made anew at each use, and always the same bytes.

`names.txt` is the table: what there is, how it is encoded, how large it is when decoded. Whatever sends them (make pause, make
chaos, make soak, the tests) takes them from here.
"""

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import containers, encodings, envelopes, json_rules, texts

MIB = 1 << 20
NAMES = Path(__file__).with_name("names.txt")
# By name. Most make a decoded body of a size; those of encodings.py make the encoded one.
MAKERS: dict[str, Callable[[int], bytes]] = {
    **json_rules.MAKERS,
    **texts.MAKERS,
    **envelopes.MAKERS,
    **containers.MAKERS,
}
ENCODED: dict[str, Callable[[], bytes]] = encodings.MAKERS

# One or two of each kind, where all of them would take too long.
SOME = (
    "counts",
    "counts-around-string",
    "keys-sensitive",
    "strings-in-strings",
    "strings-broken",
    "deep-arrays",
    "digits-spaces",
    "pairs-chain",
    "header-inherited",
    "items-many",
    "logs",
    "frames",
    "gzip-bomb",
    "gzip-tables",
    "br-flushes",
    "zstd-blocks-empty",
)


@dataclass(frozen=True)
class Body:
    """A row of names.txt."""

    name: str
    coding: str  # Content-Encoding; empty: none
    decoded: int  # bytes, about; 0: as it is decoded by nobody, or to nothing
    what: str

    @property
    def headers(self) -> list[tuple[str, str]]:
        coding = [("Content-Encoding", self.coding)] if self.coding else []
        return [("Content-Type", "application/x-sentry-envelope"), *coding]

    def wire(self) -> bytes:
        """What is sent."""
        return _wire(self)

    def plain(self) -> bytes:
        """Before its encoding; only of those that are made so."""
        return MAKERS[self.name](self.decoded)


# A few dozen that are sent again and again; all are small on the wire but those without an encoding.
@cache
def _wire(body: Body) -> bytes:
    if body.name in ENCODED:
        return ENCODED[body.name]()
    plain = body.plain()
    return gzip.compress(plain, 6, mtime=0) if body.coding == "gzip" else plain


def _row(line: str) -> Body:
    name, coding, size, what = line.split(maxsplit=3)
    return Body(name, "" if coding == "-" else coding, int(float(size) * MIB), what)


BODIES = {body.name: body for body in map(_row, NAMES.read_text().splitlines()[1:])}
assert BODIES.keys() == MAKERS.keys() | ENCODED.keys(), BODIES.keys() ^ (MAKERS.keys() | ENCODED.keys())


def harmless(wire: int, decoded: int) -> Body:
    """As many bytes on the wire, and decoded to about as many, of which there is nothing to be read: an attachment."""
    name = f"harmless {wire} {decoded}"
    if decoded <= wire:
        found = Body(name, "", wire, "an attachment, not encoded")
        MAKERS[name] = lambda size: envelopes.attachment(_noise(size - 200))
    else:
        found = Body(name, "gzip", decoded, "an attachment")
        # Zeros become about a thousandth of themselves.
        noise = _noise(max(0, wire - decoded // 1025))
        MAKERS[name] = lambda size: envelopes.attachment(noise + bytes(size - 200 - len(noise)))
    return found


def _noise(size: int) -> bytes:
    return random.Random(11).randbytes(max(0, size))
