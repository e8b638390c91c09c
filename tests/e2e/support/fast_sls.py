"""A log service that takes everything, as fast as it comes, and looks only for what it is told to: no part of it is judged.

For runs in which the edge writes as much as it can; `fake_sls.py` would be what they wait for.
"""

import asyncio
import re
import time

from . import http1, loop, sls_group
from .sls_group import Refusal


class FastSls(loop.Server):
    """`found`: each text that matched `pattern` in a write, and when it was there first."""

    def __init__(self, pattern: bytes | None = None) -> None:
        self.found: dict[bytes, float] = {}
        self.violations: list[str] = []
        self.bytes = 0  # of bodies, as they came
        self._pattern = re.compile(pattern) if pattern else None
        super().__init__()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await http1.read_request(reader)) is not None and request.complete:
            self.bytes += len(request.body)
            if self._pattern:
                self._look(request, self._pattern)
            writer.write(http1.response(200, b"", [("x-log-requestid", f"{time.time_ns():024X}")]))
            await writer.drain()

    def _look(self, request: http1.Request, pattern: re.Pattern[bytes]) -> None:
        size = int(request.header("x-log-bodyrawsize") or 0)
        try:
            raw = sls_group.decompress(request.body, request.header("x-log-compresstype"), size)
        except Refusal as refusal:
            self.violations.append(f"{request}: {refusal}")
            return
        for text in pattern.findall(raw):
            self.found.setdefault(text, time.monotonic())
