"""HTTP/2 streams that announce a body and send a byte of it from time to time, without end."""

import socket
import threading
from contextlib import suppress

from . import smuggle2
from .replay import Client

TARGET = b"/api/666/envelope/?sentry_key=k"


class SlowBodies:
    """Opened at once, and slow until `close`. `ended`: streams that the edge answered or reset."""

    def __init__(self, port: int, streams: int, announced: int, connections: int = 4, pause: float = 20.0) -> None:
        self.ended = 0
        self._pause = pause
        self._stopping = threading.Event()
        self._clients = [Client(port) for _ in range(connections)]
        # Stream numbers of clients are odd.
        self._streams = [range(1, 2 * len(range(n, streams, connections)), 2) for n in range(connections)]
        length = (b"content-length", str(announced).encode())
        for client, streams_of in zip(self._clients, self._streams, strict=True):
            heads = [smuggle2.headers([*smuggle2.pseudo(TARGET), length], stream) for stream in streams_of]
            client.send(smuggle2.wire(b"".join(heads)))
            client.socket.settimeout(None)
        self._threads = [threading.Thread(target=self._read, args=(client,), daemon=True) for client in self._clients]
        self._threads.append(threading.Thread(target=self._drip, daemon=True))
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "SlowBodies":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drip(self) -> None:
        while not self._stopping.is_set():
            for client, streams in zip(self._clients, self._streams, strict=True):
                with suppress(OSError):
                    client.send(b"".join(smuggle2.frame(smuggle2.DATA, 0, stream, b"{") for stream in streams))
            self._stopping.wait(self._pause)

    def _read(self, client: Client) -> None:
        for found in smuggle2.answers(client):
            self.ended += len(self._streams[0]) if found == smuggle2.GONE else 1

    def close(self) -> None:
        self._stopping.set()
        for client in self._clients:
            with suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)
            client.close()
