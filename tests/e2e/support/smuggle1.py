"""HTTP/1.1 as two parsers could read it in two ways, as bytes, by name."""

BODY = b'{}\n{"type":"event"}\n{}\n'
# By which a conversation's requests and copies are found again: all run at the same time.
AGENT = b"case-0000"
# No copy and no write to SLS may carry it.
COOKIE = b"session=smuggled"


def post(*lines: bytes, body: bytes = b"", end: bytes = b"\r\n", target: bytes = b"/api/1/envelope/") -> bytes:
    """A request of these header lines, as they are."""
    first = [b"POST %s HTTP/1.1" % target, b"Host: edge.example", b"User-Agent: " + AGENT, b"Cookie: " + COOKIE]
    return end.join([*first, *lines, b"", b""]) + body


# What a smuggler would like to be taken for a request of its own.
HIDDEN = post(b"Content-Length: 2", body=b"{}", target=b"/api/2/envelope/?hidden")
# Somebody else's request on the same connection, which is answered on both sides or on neither.
AFTER = post(b"Content-Length: 2", body=b"{}", target=b"/api/3/envelope/?after")


def chunk(data: bytes, size: bytes | None = None) -> bytes:
    return (b"%x" % len(data) if size is None else size) + b"\r\n" + data + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"
LENGTH = b"Content-Length: %d"
WIRES = {
    # Which of the two lengths counts?
    "cl.te": post(LENGTH % (len(LAST) + len(HIDDEN)), CHUNKED, body=LAST + HIDDEN),
    "te.cl": post(b"Content-Length: 4", CHUNKED, body=chunk(HIDDEN) + LAST),
    "te.cl-first-line": post(CHUNKED, b"Content-Length: 3", body=chunk(BODY) + LAST),
    "two-lengths-that-differ": post(b"Content-Length: 2", LENGTH % (2 + len(HIDDEN)), body=b"{}" + HIDDEN),
    "two-lengths-alike": post(b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
    "length-list": post(b"Content-Length: 2, 2", body=b"{}"),
    "length-list-that-differs": post(b"Content-Length: 2, 90", body=b"{}" + HIDDEN),
    "length-plus": post(b"Content-Length: +2", body=b"{}"),
    "length-minus": post(b"Content-Length: -2", body=b"{}"),
    "length-hex": post(b"Content-Length: 0x2", body=b"{}"),
    "length-spaces": post(b"Content-Length:  2 ", body=b"{}"),
    "length-empty": post(b"Content-Length:", body=b"{}"),
    "length-beyond-64-bits": post(b"Content-Length: 18446744073709551618", body=b"{}"),
    "length-beyond-32-bits": post(b"Content-Length: 4294967298", body=b"{}"),
    "length-space-before-colon": post(b"Content-Length : 2", body=b"{}"),
    "no-length-and-a-body": post(body=HIDDEN),
    # Is it chunked?
    "te-te": post(CHUNKED, CHUNKED, body=chunk(BODY) + LAST),
    "te-other": post(CHUNKED, b"Transfer-Encoding: identity", body=chunk(BODY) + LAST),
    "te-list": post(b"Transfer-Encoding: identity, chunked", body=chunk(BODY) + LAST),
    "te-gzip-chunked": post(b"Transfer-Encoding: gzip, chunked", body=chunk(BODY) + LAST),
    "te-chunked-last-not": post(b"Transfer-Encoding: chunked, identity", body=chunk(BODY) + LAST),
    "te-case": post(b"transfer-ENCODING: Chunked", body=chunk(BODY) + LAST),
    "te-x": post(b"Transfer-Encoding: xchunked", b"Content-Length: 2", body=b"{}"),
    "te-tab": post(b"Transfer-Encoding:\tchunked", body=chunk(BODY) + LAST),
    "te-vertical-tab": post(b"Transfer-Encoding: \x0bchunked", body=chunk(BODY) + LAST),
    "te-space-before-colon": post(b"Transfer-Encoding : chunked", b"Content-Length: 2", body=b"{}"),
    "te-quoted": post(b'Transfer-Encoding: "chunked"', body=chunk(BODY) + LAST),
    "te-in-1.0": post(CHUNKED, body=chunk(BODY) + LAST).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    # How long is a chunk?
    "chunk-extension": post(CHUNKED, body=chunk(BODY, b"%x;a=b" % len(BODY)) + LAST),
    "chunk-extension-quoted": post(CHUNKED, body=chunk(BODY, b'%x;a="\r\n0\r\n\r\n"' % len(BODY)) + LAST),
    "chunk-extension-bare-lf": post(CHUNKED, body=b"2;\n{}\r\n" + LAST),
    "chunk-extension-long": post(CHUNKED, body=chunk(BODY, b"%x;%s" % (len(BODY), b"a" * 40_000)) + LAST),
    "chunk-leading-zeros": post(CHUNKED, body=chunk(BODY, b"%016x" % len(BODY)) + LAST),
    "chunk-size-beyond-64-bits": post(CHUNKED, body=chunk(BODY, b"10000000000000016") + LAST),
    "chunk-size-beyond-32-bits": post(CHUNKED, body=chunk(BODY, b"100000016") + LAST),
    "chunk-size-ffffffffffffffff": post(CHUNKED, body=chunk(BODY, b"f" * 16) + LAST),
    "chunk-size-0x": post(CHUNKED, body=chunk(BODY, b"0x%x" % len(BODY)) + LAST),
    "chunk-size-minus": post(CHUNKED, body=chunk(BODY, b"-2") + LAST),
    "chunk-size-empty": post(CHUNKED, body=b"\r\n" + LAST),
    "chunk-size-space": post(CHUNKED, body=chunk(BODY, b"%x " % len(BODY)) + LAST),
    "chunk-too-short": post(CHUNKED, body=chunk(BODY, b"2") + LAST),
    "chunk-without-crlf": post(CHUNKED, body=b"2\r\n{}" + LAST),
    "chunk-bare-lf": post(CHUNKED, body=b"2\n{}\n0\n\n"),
    "chunk-bare-cr": post(CHUNKED, body=b"2\r{}\r0\r\r"),
    "chunked-trailers": post(CHUNKED, b"Trailer: X-A", body=chunk(BODY) + b"0\r\nX-A: b\r\n\r\n"),
    "chunked-trailer-length": post(CHUNKED, body=chunk(BODY) + b"0\r\nContent-Length: 99\r\n\r\n"),
    "chunked-never-ends": post(CHUNKED, body=chunk(BODY)),
    # Where does a line end, and what is a line?
    "bare-lf": post(b"Content-Length: 2", body=b"{}", end=b"\n"),
    "bare-cr": post(b"Content-Length: 2\rX: y", body=b"{}"),
    "obs-fold": post(b"X-Folded: a\r\n b", b"Content-Length: 2", body=b"{}"),
    "obs-fold-length": post(b"Content-Length:\r\n 2", body=b"{}"),
    "obs-fold-te": post(b"Transfer-Encoding:\r\n chunked", b"Content-Length: 2", body=b"{}"),
    "nul-in-value": post(b"X-A: a\x00b", b"Content-Length: 2", body=b"{}"),
    "nul-in-name": post(b"X\x00A: b", b"Content-Length: 2", body=b"{}"),
    "space-first": post(b" Content-Length: 9", b"Content-Length: 2", body=b"{}"),
    "no-colon": post(b"Content-Length 2", body=b"{}"),
    "empty-name": post(b": x", b"Content-Length: 2", body=b"{}"),
    "two-hosts": post(b"Host: other.example", b"Content-Length: 2", body=b"{}"),
    "absolute-target": post(b"Content-Length: 2", body=b"{}", target=b"http://other.example/api/1/envelope/"),
    "fragment": post(b"Content-Length: 2", body=b"{}", target=b"/api/1/envelope/#/api/2/envelope/"),
    "dots": post(b"Content-Length: 2", body=b"{}", target=b"/api/1/../2/envelope/"),
    "encoded-slash": post(b"Content-Length: 2", body=b"{}", target=b"/api/1%2fenvelope/"),
    "nul-in-target": post(b"Content-Length: 2", body=b"{}", target=b"/api/1/envelope/\x00"),
    "space-in-target": post(b"Content-Length: 2", body=b"{}", target=b"/api/1/envelope/? HTTP/1.1 x"),
    "tab-after-method": post(b"Content-Length: 2", body=b"{}").replace(b"POST ", b"POST\t", 1),
    "blank-lines-first": b"\r\n\r\n" + post(b"Content-Length: 2", body=b"{}"),
    "method-override": post(b"X-HTTP-Method-Override: GET", b"Content-Length: 2", body=b"{}"),
    "connection-names-length": post(b"Connection: content-length", b"Content-Length: 2", body=b"{}"),
    "connection-names-the-marker": post(b"Connection: x-sentry-edge-mirror", b"Content-Length: 2", body=b"{}"),
    "upgrade-h2c": post(b"Upgrade: h2c", b"Connection: upgrade, http2-settings", b"Content-Length: 2", body=b"{}"),
    "expect-and-hidden": post(b"Expect: 100-continue", b"Content-Length: 2", body=b"{}" + HIDDEN),
    "expect-other": post(b"Expect: 200-ok", b"Content-Length: 2", body=b"{}"),
    "pipelined": post(b"Content-Length: 2", body=b"{}" + HIDDEN + HIDDEN),
    "huge-head": post(b"X-A: " + b"a" * 70_000, b"Content-Length: 2", body=b"{}"),
    "many-headers": post(*[b"X-%d: a" % n for n in range(150)], b"Content-Length: 2", body=b"{}"),
    "marked": post(b"X-Sentry-Edge-Mirror: 1", b"Content-Length: 2", body=b"{}"),
    "not-http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
