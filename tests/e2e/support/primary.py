"""The recording primary: answers like a Sentry server would and keeps every request byte for byte."""

import asyncio
import json
import threading

from . import http1, loop

# So that a test can tell the primary's answer from one that Envoy made by itself.
MARK = ("x-answered-by", "primary")


class Primary(loop.Server):
    """Answers 200 (or `status`) `{"id": ...}` at once. Everything it was sent is in `requests`, in order of completion."""

    def __init__(self, port: int = 0, keep: bool = True) -> None:
        self.requests: list[http1.Request] = []
        self.count = 0
        self.status = 200
        self.early: int | None = None  # set: this is the answer to the headers, and nothing is read after them
        self._open = asyncio.Event()
        self._open.set()
        self._keep = keep  # under load only the count is kept
        self._lock = threading.Lock()
        super().__init__(port)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.early is not None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(http1.response(self.early, b"", [MARK, ("connection", "close")]))
            await writer.drain()
            while await reader.read(65_536):  # a close with bytes unread would be a reset
                pass
            return
        while (request := await http1.read_request(reader)) is not None:
            with self._lock:
                self.count += 1
                if self._keep:
                    self.requests.append(request)
            if not request.complete:
                return
            await self._open.wait()
            body = json.dumps({"id": request.sha256[:32]}).encode()
            writer.write(
                http1.response(self.status, body, [MARK, ("content-type", "application/json")], request.method == "HEAD")
            )
            await writer.drain()

    def hold(self) -> None:
        """Reads requests, but answers none of them until `release`."""
        self._open.clear()

    def release(self) -> None:
        async def set_it() -> None:
            self._open.set()

        loop.run(set_it())

    def mark(self) -> int:
        """A place in the record; `since(mark)` gives what came after it."""
        return len(self.requests)

    def since(self, mark: int) -> list[http1.Request]:
        with self._lock:
            return self.requests[mark:]
