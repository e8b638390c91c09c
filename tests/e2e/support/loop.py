"""One background thread with an asyncio loop for all the servers of a test run, so that tests are plain functions."""

import asyncio
import functools
import threading
from collections.abc import Coroutine
from typing import Any

from .free_port import free_port


@functools.cache
def _get() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="servers", daemon=True).start()
    return loop


def run(coroutine: Coroutine[Any, Any, Any], timeout: float = 60.0) -> Any:
    """Runs a coroutine on the servers' loop and waits for its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, _get()).result(timeout)


class Server:
    """A TCP server on a free port of loopback; subclasses write `handle`. Closing it closes its connections."""

    # Whether another socket may be bound to the port.
    reuse_port = False

    def __init__(self, port: int = 0, ssl: Any = None) -> None:
        self._tasks: set[asyncio.Task] = set()
        self._ssl = ssl
        self._server: asyncio.Server | None = None
        run(self._start(port or free_port()))

    async def _start(self, port: int) -> None:
        # The backlog is deep because some tests open hundreds of connections to a server that never answers.
        self._server = await asyncio.start_server(
            self._serve,
            "127.0.0.1",
            port,
            ssl=self._ssl,
            backlog=1024,
            limit=1 << 20,
            reuse_port=self.reuse_port,
        )
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=5)

    @property
    def connections_open(self) -> int:
        """Connections that are being served at this moment."""
        return len(self._tasks)

    def close(self) -> None:
        """Stops listening and drops every connection: from here on connecting is refused."""
        run(self._stop())

    def reopen(self) -> None:
        """Listens again on the same port."""
        run(self._start(self.port))
