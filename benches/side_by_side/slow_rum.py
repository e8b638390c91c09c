"""A RUM receiver that answers every request after a delay (default 2 s), at little cost.

One asyncio process: a request is recognised by its header block, its body is only counted, and the answer is written by a
timer, so a thousand waiting requests are a thousand timers. HTTP/1.1 with keep-alive; request bodies with Content-Length
or chunked.

Two paths are its own and are answered at once:
  GET /_count  the number of copies received so far
  GET /_seen   the copies whose path holds `verify=`: path, host, length and SHA-256 of the body

Usage: slow_rum.py PORT DELAY_SECONDS
"""

import asyncio
import hashlib
import json
import re
import sys

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
HOST = re.compile(rb"\r\nhost:\s*([^\r]*)", re.IGNORECASE)


class Totals:
    """What the process has seen; one object, shared by all connections."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.count = 0
        self.seen: list[dict] = []


class Connection(asyncio.Protocol):
    """One client connection: a buffer, cut into requests."""

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self.buffer = bytearray()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (request := self.take_request()) is not None:
            self.answer(*request)

    def take_request(self) -> tuple[bytes, bytes] | None:
        """Cuts one whole request off the buffer: its head and its body. None: more bytes are needed."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, start = bytes(self.buffer[:end]), end + 4
        length = LENGTH.search(head)
        if length or not CHUNKED.search(head):
            stop = start + (int(length[1]) if length else 0)
            if len(self.buffer) < stop:
                return None
            body = bytes(self.buffer[start:stop])
        else:
            body = b""
            while True:
                line = self.buffer.find(b"\r\n", start)
                if line < 0:
                    return None
                size = int(self.buffer[start:line].split(b";")[0], 16)
                stop = line + 2 + size + 2
                if len(self.buffer) < stop:
                    return None
                if size == 0:
                    break
                body += self.buffer[line + 2 : line + 2 + size]
                start = stop
        del self.buffer[:stop]
        return head, body

    def answer(self, head: bytes, body: bytes) -> None:
        """Counts the request and answers it: the own paths at once, a copy after the delay."""
        path = head.split(b" ", 2)[1]
        if path == b"/_count":
            self.reply_json(self.totals.count)
        elif path == b"/_seen":
            self.reply_json(self.totals.seen)
        else:
            self.totals.count += 1
            if b"verify=" in path:
                host = HOST.search(head)
                self.totals.seen.append(
                    {
                        "path": path.decode("latin-1"),
                        "host": host[1].decode("latin-1") if host else "",
                        "length": len(body),
                        "sha256": hashlib.sha256(body).hexdigest(),
                    }
                )
            asyncio.get_running_loop().call_later(self.totals.delay, self.write, ANSWER)

    def reply_json(self, value) -> None:
        text = json.dumps(value).encode()
        self.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text))

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


async def main(port: int, delay: float) -> None:
    """Serves until the process is ended."""
    totals = Totals(delay)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(totals), "127.0.0.1", port, backlog=4096
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
