"""HTTP/2 that becomes something else in HTTP/1.1: frames as bytes, by name, and a reader of the answers' frames."""

from collections.abc import Iterator

from hpack import Decoder, Encoder

from .replay import Client
from .smuggle1 import AGENT, COOKIE, HIDDEN

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 0, 1, 3, 4, 7, 9
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Stand for frames among the statuses.
RESET, GONE = -2, -3

Pairs = list[tuple[bytes, bytes]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def headers(pairs: Pairs, stream: int = 1, flags: int = END_HEADERS) -> bytes:
    # Without indexing: the edge's table is then the same whatever was refused before.
    encoded = Encoder().encode([(name, value, True) for name, value in pairs], huffman=False)
    return frame(HEADERS, flags, stream, encoded)


def pseudo(path: bytes = b"/api/1/envelope/", method: bytes = b"POST") -> Pairs:
    start = [(b":method", method), (b":scheme", b"http"), (b":authority", b"edge.example"), (b":path", path)]
    return [*start, (b"user-agent", AGENT), (b"cookie", COOKIE)]


def post(*more: tuple[bytes, bytes], body: tuple[bytes, ...] = (b"{}",), path: bytes = b"/api/1/envelope/") -> bytes:
    """A request on stream 1: these headers, and one DATA frame for each piece."""
    data = [frame(DATA, END_STREAM * (n == len(body)), 1, piece) for n, piece in enumerate(body, 1)]
    return headers(pseudo(path) + list(more)) + b"".join(data)


def odd(pairs: Pairs) -> bytes:
    return headers(pairs) + frame(DATA, END_STREAM, 1, b"{}")


LINES = b"\r\n\r\n" + HIDDEN
FRAMES = {
    # The length that HTTP/1.1 would believe.
    "length-long": post((b"content-length", b"500")),
    "length-right": post((b"content-length", b"2")),
    "length-twice": post((b"content-length", b"2"), (b"content-length", b"200")),
    "length-list": post((b"content-length", b"2, 200")),
    "length-junk": post((b"content-length", b"2a")),
    "length-without-data": headers([*pseudo(), (b"content-length", b"2")], flags=END_HEADERS | END_STREAM),
    "te-chunked": post((b"transfer-encoding", b"chunked"), body=(b"0\r\n\r\n" + HIDDEN,)),
    "te-chunked-and-length": post((b"transfer-encoding", b"chunked"), (b"content-length", b"2")),
    "chunks-as-data": post(body=(b"0\r\n\r\n", HIDDEN)),
    "te-trailers": post((b"te", b"trailers")),
    "te-gzip": post((b"te", b"gzip")),
    "connection": post((b"connection", b"content-length, close")),
    "upgrade": post((b"upgrade", b"websocket")),
    # Lines inside of names and values.
    "crlf-in-value": post((b"x-a", b"b" + LINES)),
    "lf-in-value": post((b"x-a", b"b\ntransfer-encoding: chunked")),
    "cr-in-value": post((b"x-a", b"b\rtransfer-encoding: chunked")),
    "nul-in-value": post((b"x-a", b"b\0c")),
    "crlf-in-name": post((b"x-a: b\r\ntransfer-encoding", b"chunked")),
    "colon-in-name": post((b"transfer-encoding: chunked\r\nx-a", b"b")),
    "space-in-name": post((b"transfer-encoding ", b"chunked")),
    "capital-name": post((b"Transfer-Encoding", b"chunked")),
    "empty-name": post((b"", b"b")),
    "crlf-in-path": post(path=b"/api/1/envelope/ HTTP/1.1\r\nhost: a" + LINES),
    "space-in-path": post(path=b"/api/1/envelope/ HTTP/1.1"),
    "no-slash-path": post(path=b"api/1/envelope/"),
    "absolute-path": post(path=b"http://other.example/api/1/envelope/"),
    "crlf-in-method": odd(pseudo(method=b"POST / HTTP/1.1" + LINES)),
    "crlf-in-authority": odd([(n, v + LINES if n == b":authority" else v) for n, v in pseudo()]),
    # Which of them counts?
    "two-paths": odd([*pseudo()[:4], (b":path", b"/api/2/envelope/"), *pseudo()[4:]]),
    "two-methods": odd([*pseudo()[:4], (b":method", b"GET"), *pseudo()[4:]]),
    "host-that-differs": post((b"host", b"other.example")),
    "pseudo-header-last": odd([*pseudo()[:3], (b"user-agent", AGENT), (b":path", b"/api/1/envelope/")]),
    "unknown-pseudo-header": odd([(b":x", b"y"), *pseudo()]),
    "no-path": odd([pair for pair in pseudo() if pair[0] != b":path"]),
    "marked": post((b"x-sentry-edge-mirror", b"1")),
    # Where does it end?
    "trailers": headers(pseudo())
    + frame(DATA, 0, 1, b"{}")
    + headers([(b"content-length", b"99"), (b"x-a", b"b")], flags=END_HEADERS | END_STREAM),
    "trailers-pseudo": headers(pseudo())
    + frame(DATA, 0, 1, b"{}")
    + headers([(b":path", b"/api/2/envelope/")], flags=END_HEADERS | END_STREAM),
    "reset-in-the-middle": headers(pseudo()) + frame(DATA, 0, 1, b"{") + frame(RST_STREAM, 0, 1, b"\0\0\0\x08"),
    "never-ends": headers(pseudo()) + frame(DATA, 0, 1, b"{}"),
    "headers-in-pieces": frame(HEADERS, 0, 1, headers(pseudo())[9:20])
    + frame(CONTINUATION, END_HEADERS, 1, headers(pseudo())[20:])
    + frame(DATA, END_STREAM, 1, b"{}"),
    "headers-cut-by-data": frame(HEADERS, 0, 1, headers(pseudo())[9:20]) + frame(DATA, END_STREAM, 1, HIDDEN),
    "padding": headers(pseudo()) + frame(DATA, END_STREAM | 8, 1, b"\x10{}" + b"\0" * 16),
    "padding-too-long": headers(pseudo()) + frame(DATA, END_STREAM | 8, 1, b"\xff{}"),
}
# The edge ends stream or connection behind a request that is whole: what the primary has of it by then is a matter of
# timing, with and without a mirror.
BREAKS = {
    "length-short": post((b"content-length", b"0"), body=(HIDDEN,)),
    "data-after-the-end": post() + frame(DATA, END_STREAM, 1, HIDDEN),
    "headers-after-the-end": post() + headers(pseudo(b"/api/2/envelope/?hidden"), flags=END_HEADERS | END_STREAM),
    "data-of-no-stream": post() + frame(DATA, END_STREAM, 7, HIDDEN),
}
# Somebody else's request on the same connection.
AFTER = headers(pseudo(b"/api/3/envelope/?after"), 3) + frame(DATA, END_STREAM, 3, b"{}")


def wire(frames: bytes) -> bytes:
    return PREFACE + frame(SETTINGS, 0, 0) + frames


def answers(client: Client) -> Iterator[int]:
    """Statuses by HEADERS frames, and RESET or GONE; ends with the connection. TimeoutError when nothing more comes."""
    decoder = Decoder()
    while len(head := client._exactly(9)) == 9:
        size, kind = int.from_bytes(head[:3], "big"), head[3]
        payload = client._exactly(size)
        if kind == HEADERS:
            yield int(dict(decoder.decode(payload))[":status"])
        elif kind == RST_STREAM:
            yield RESET
        elif kind == GOAWAY:
            yield GONE
