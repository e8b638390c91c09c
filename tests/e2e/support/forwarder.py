"""Stands between Envoy and the real server and writes down what goes in; bytes pass as they come, both ways."""

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass, field

from . import http1, loop


@dataclass
class Exchange:
    """A request as the server got it, and the status it answered."""

    request: http1.Request
    done: float = field(default_factory=time.monotonic)
    status: int = 0


class Forwarder(loop.Server):
    """Forwards TCP to `target` and parses a copy of the stream. `exchanges` are those that have been answered."""

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.exchanges: list[Exchange] = []
        self._lock = threading.Lock()
        super().__init__(port)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        copy = asyncio.StreamReader(limit=1 << 20)
        waiting: asyncio.Queue[http1.Request] = asyncio.Queue()

        async def upstream() -> None:
            while data := await reader.read(65536):
                copy.feed_data(data)
                server_writer.write(data)
                await server_writer.drain()
            copy.feed_eof()
            server_writer.write_eof()

        async def parse() -> None:
            while (request := await http1.read_request(copy)) is not None:
                waiting.put_nowait(request)

        async def downstream() -> None:
            # Envoy never pipelines, so the first bytes after a request are the status line of its answer.
            status = 0
            while data := await server_reader.read(65536):
                if data.startswith(b"HTTP/1.1 ") and data[9:12] != b"100":
                    status = int(data[9:12])
                    request = await waiting.get()
                    with self._lock:
                        self.exchanges.append(Exchange(request, status=status))
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.create_task(job()) for job in (upstream, parse, downstream)]
        try:
            await asyncio.wait([tasks[0], tasks[2]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(Exception):
                await asyncio.gather(*tasks, return_exceptions=True)
            server_writer.close()

    def mark(self) -> int:
        return len(self.exchanges)

    def since(self, mark: int) -> list[Exchange]:
        with self._lock:
            return self.exchanges[mark:]
