"""Says what is in an envelope, for people: the item types. Comparing is done on bytes, never on this."""

import gzip
import json
import zlib

import brotli

from .http1 import Request

_DECODERS = {"gzip": gzip.decompress, "br": brotli.decompress, "deflate": zlib.decompress}


def item_types(request: Request) -> list[str]:
    """The types of the items, in order; what cannot be read is left out."""
    body = _DECODERS.get(request.header("content-encoding") or "", bytes)(request.body)
    _, _, rest = body.partition(b"\n")
    types = []
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        header = json.loads(line)
        length = header.get("length")
        if length is None:
            _, _, rest = rest.partition(b"\n")
        else:
            rest = rest[length + 1 :]
        types.append(header["type"])
    return types
