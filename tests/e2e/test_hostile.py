"""The hostile bodies of tests/hostile are what their table says."""

import gzip
import json
import sys
import zlib

import brotli
import pytest
import zstandard

import hostile
from hostile import BODIES, MIB, Body

SIZE = MIB // 4
# What is no JSON, or more than Python's reader takes.
ODD = {"number-long", "numbers-long", "deep-arrays", "deep-objects"}


def decoded(body: Body) -> bytes:
    wire = body.wire()
    match body.coding:
        case "gzip":
            return gzip.decompress(wire)
        case "deflate":
            return zlib.decompress(wire, -15 if "raw" in body.name else 15)
        case "br":
            return brotli.decompress(wire)
        case "zstd":
            return zstandard.ZstdDecompressor().stream_reader(wire, read_across_frames=True).read()
    return wire


@pytest.mark.parametrize("name", hostile.ENCODED)
def test_an_encoded_one_decodes_to_its_size(name: str) -> None:
    body = BODIES[name]
    assert len(body.wire()) <= 2 * MIB
    assert abs(len(decoded(body)) - body.decoded) <= 4096


@pytest.mark.parametrize("name", hostile.MAKERS)
def test_a_made_one_is_an_envelope_of_its_size(name: str) -> None:
    plain = hostile.MAKERS[name](SIZE)
    assert plain == hostile.MAKERS[name](SIZE)
    assert len(plain) <= (3 * SIZE if name in ("header-inherited", "numbers-long") else SIZE) + MIB
    header, line, rest = plain.split(b"\n", 2)
    sys.set_int_max_str_digits(0)
    assert isinstance(json.loads(header), dict)
    if name.startswith(("items-", "lines-", "item-")):
        return
    payload = rest[: json.loads(line)["length"]]
    assert rest[len(payload) :] == b"\n"
    if name not in ODD:
        assert isinstance(json.loads(payload), dict)


def test_those_on_the_wire_are_small_and_fit_the_limits() -> None:
    for name in ("counts", "strings-in-strings", "logs-attributes", "header-inherited"):
        body = BODIES[name]
        assert len(body.wire()) < MIB // 4
        assert body.decoded // 2 < len(decoded(body)) <= body.decoded <= 32 * MIB


@pytest.mark.parametrize(("wire", "size"), [(32_760, 32 * MIB), (MIB, 0), (10 * MIB, 10 * MIB)])
def test_a_harmless_one_has_the_sizes_it_is_asked_for(wire: int, size: int) -> None:
    body = hostile.harmless(wire, size)
    assert abs(len(body.wire()) - wire) <= 0.01 * wire + 512
    assert abs(len(decoded(body)) - max(wire, size)) <= 512
