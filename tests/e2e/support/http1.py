"""A reader of HTTP/1.1 requests that keeps every byte: the head as received, the body with its framing taken off.

The servers of the suite use it instead of a library because libraries normalise: case, order, duplicates, spaces.
It trusts its peer (Envoy) to be well-formed and raises `Malformed` when it is not.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field


class Malformed(Exception):
    """The peer wrote something that is not an HTTP/1.1 request."""


@dataclass
class Request:
    """One request as it was received."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]  # latin-1, so that every byte is kept; names in the case they came in
    head: bytes  # request line and headers, as received
    body: bytes = b""
    framing: str = "none"  # content-length, chunked, none
    chunk_sizes: list[int] = field(default_factory=list)
    complete: bool = False  # false: the peer went away inside the body
    arrived: float = 0.0  # time.monotonic() at the end of the head

    def values(self, name: str) -> list[str]:
        return [v for k, v in self.headers if k.lower() == name]

    def header(self, name: str) -> str | None:
        found = self.values(name)
        return found[0] if found else None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def __str__(self) -> str:
        return f"{self.method} {self.target[:120]} ({len(self.body)} bytes {self.sha256[:8]})"


async def read_head(reader: asyncio.StreamReader) -> Request | None:
    """The next request's head, or None when the peer closed between requests."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Malformed(f"cut inside a head: {error.partial[:80]!r}") from None
        return None
    lines = head[:-4].decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3:
        raise Malformed(f"request line {lines[0][:120]!r}")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise Malformed(f"header line {line[:120]!r}")
        headers.append((name, value.strip(" \t")))
    return Request(parts[0], parts[1], parts[2], headers, head, arrived=time.monotonic())


async def read_body(reader: asyncio.StreamReader, request: Request) -> None:
    """Reads the body into the request; `complete` says whether all of it came."""
    lengths = request.values("content-length")
    encodings = request.values("transfer-encoding")
    if (lengths and encodings) or len(lengths) > 1 or len(encodings) > 1:
        raise Malformed(f"content-length {lengths} with transfer-encoding {encodings}")
    pieces = []
    try:
        if encodings:
            if encodings[0].lower() != "chunked":
                raise Malformed(f"transfer-encoding {encodings[0]!r}")
            request.framing = "chunked"
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0].strip(), 16):
                request.chunk_sizes.append(size)
                pieces.append(await reader.readexactly(size))
                if await reader.readexactly(2) != b"\r\n":
                    raise Malformed("no CR LF after a chunk")
            while (await reader.readuntil(b"\r\n")) != b"\r\n":
                pass  # trailers
        elif lengths:
            request.framing = "content-length"
            pieces.append(await reader.readexactly(int(lengths[0])))
        request.complete = True
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    request.body = b"".join(pieces)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Head and body; None when the peer closed between requests."""
    request = await read_head(reader)
    if request is not None:
        await read_body(reader, request)
    return request


def response(status: int, body: bytes = b"", headers: list[tuple[str, str]] | None = None, head: bool = False) -> bytes:
    """The bytes of an answer with a Content-Length; `head`: to a HEAD request, which gets no body."""
    lines = [f"HTTP/1.1 {status} X"]
    lines += [f"{name}: {value}" for name, value in headers or []]
    if status != 204:
        lines.append(f"content-length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (b"" if head else body)
