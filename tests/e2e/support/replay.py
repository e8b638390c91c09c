"""Sends fixture requests to Envoy as they were captured: raw sockets, the same chunks, HTTP/2 where it was HTTP/2."""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events

from .fixtures import Fixture


@dataclass
class Answer:
    """What came back. `status` 0: the connection ended without an answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name), None)

    @property
    def by_primary(self) -> bool:
        return self.header("x-answered-by") == "primary"

    @property
    def keeps_connection(self) -> bool:
        return self.status != 0 and (self.header("connection") or "").lower() != "close"


NOTHING = Answer(0, [], b"")


class Client:
    """A client connection, kept alive between requests like an SDK's."""

    def __init__(self, port: int, timeout: float = 20.0, source: str = "127.0.0.1") -> None:
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(
        self,
        target: str,
        body: bytes = b"",
        headers: list[tuple[str, str]] | None = None,
        method: str = "POST",
        chunks: list[int] | None = None,
    ) -> Answer:
        """One request with a Content-Length, or in chunks of the given sizes, and its answer."""
        lines = [f"{method} {target} HTTP/1.1", "Host: edge.example"]
        lines += [f"{name}: {value}" for name, value in headers or []]
        lines.append("Transfer-Encoding: chunked" if chunks is not None else f"Content-Length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        if chunks is None:
            self.send(head + body)
        else:
            self.send(head)
            for piece in chunked(body, chunks):
                self.send(piece)
        return self.answer(method)

    def answer(self, method: str = "POST") -> Answer:
        """Reads the next answer, passing over 100 Continue."""
        while True:
            answer = self._one_answer(method)
            if answer.status != 100:
                return answer

    def _one_answer(self, method: str) -> Answer:
        while b"\r\n\r\n" not in self._rest:
            if not self._more():
                return NOTHING
        head, self._rest = self._rest.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = [(k, v.strip()) for k, _, v in (line.partition(":") for line in lines[1:])]
        answer = Answer(status, headers, b"")
        if method == "HEAD" or status in (100, 204, 304):
            return answer
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            answer.body = b"".join(self._chunks())
        else:
            answer.body = self._exactly(int(answer.header("content-length") or 0))
        return answer

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self._rest += data
        return bool(data)

    def _exactly(self, count: int) -> bytes:
        while len(self._rest) < count and self._more():
            pass
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def _line(self) -> bytes:
        while b"\r\n" not in self._rest and self._more():
            pass
        line, _, self._rest = self._rest.partition(b"\r\n")
        return line

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line() or b"0", 16):
            yield self._exactly(size)
            self._line()
        self._line()

    def closed_by_peer(self) -> bool:
        """Whether the peer has ended the connection (nothing is read that was not there)."""
        self.socket.settimeout(0.0)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(20.0)


def chunked(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The body as chunks of these sizes; what they leave over is the last chunk."""
    at = 0
    for size in [*sizes, len(body)]:
        piece = body[at : at + size]
        at += len(piece)
        if piece:
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def replay(fixture: Fixture, port: int, source: str = "127.0.0.1") -> list[Answer]:
    """Sends a fixture on a connection of its own, as captured, and returns the answers (more than one if pipelined)."""
    if fixture.wire is not None:
        return _replay_wire(fixture.wire, port, source)
    if fixture.framing == "h2-data":
        return [_replay_h2(fixture, port)]
    with Client(port, source=source) as client:
        return [replay_on(client, fixture)]


def replay_on(client: Client, fixture: Fixture) -> Answer:
    """Sends an HTTP/1.1 fixture on a connection that may have served others before."""
    meta = fixture.meta
    lines = [f"{meta['method']} {meta['path']} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in meta["headers"]]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if fixture.framing == "chunked":
        client.send(head)
        for piece in chunked(fixture.body, meta.get("chunk_sizes", [])):
            client.send(piece)
    elif meta.get("expect_100_continue"):
        client.send(head)
        first = client._one_answer(meta["method"])
        if first.status != 100:
            return first
        client.send(fixture.body)
    else:
        client.send(head + fixture.body)
    return client.answer(meta["method"])


def _replay_wire(wire: bytes, port: int, source: str) -> list[Answer]:
    """Sends bytes as they are and reads an answer for each request line in them."""
    with Client(port, source=source) as client:
        client.send(wire)
        if wire.startswith(b"PRI "):
            # Only a preface: there is nothing to answer. Envoy closes when we do.
            client.socket.shutdown(socket.SHUT_WR)
            while client._more():
                pass
            return []
        return [client.answer() for _ in range(max(1, len(re.findall(rb" HTTP/1\.[01]\r?\n", wire))))]


def _replay_h2(fixture: Fixture, port: int) -> Answer:
    """HTTP/2 with prior knowledge: Envoy's AUTO codec recognises the preface, so no TLS is needed for it."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    with Client(port) as client:
        connection.initiate_connection()
        headers = [(n, "http" if n == ":scheme" else v) for n, v in fixture.meta["headers"]]
        connection.send_headers(1, headers, end_stream=not fixture.body)
        client.send(connection.data_to_send())
        answer, left, ended = Answer(0, [], b""), fixture.body, False
        while not ended:
            window = min(connection.local_flow_control_window(1), connection.max_outbound_frame_size)
            while left and window > 0:
                piece, left = left[:window], left[window:]
                connection.send_data(1, piece, end_stream=not left)
                window = min(connection.local_flow_control_window(1), connection.max_outbound_frame_size)
            client.send(connection.data_to_send())
            data = client.socket.recv(65536)
            if not data:
                return answer
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    answer.headers = [(str(k), str(v)) for k, v in event.headers]
                    answer.status = int(dict(answer.headers)[":status"])
                elif isinstance(event, h2.events.DataReceived):
                    answer.body += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
                    ended = True
            client.send(connection.data_to_send())
        return answer
