"""Stands before a target and fails the way networks do: below HTTP, and also in the middle of things."""

import asyncio
import socket

from support import loop
from support.fake_sls import reset

# Modes. Connections that are open change with the mode at their next bytes.
PASS = "pass"
HANG_BEFORE = "hang before reading"
HANG_AFTER = "hang after reading"
RESET = "reset mid-body"
DRIP = "drip the answer"
GARBAGE = "answer garbage"
# Smaller than any request, so that what was sent is never read whole.
A_PIECE = 200
# A small answer takes longer than the call may.
DRIP_SECONDS = 0.1


class Gateway(loop.Server):
    """Forwards TCP to `target`, in the current mode."""

    reuse_port = True

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.mode = PASS
        # Bound, and never listens: while the gateway is closed, nobody else's connection may get its port, not even one
        # from Envoy to this very port, which Linux would then connect to itself.
        self._guard = socket.socket()
        self._guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._guard.bind(("127.0.0.1", port))
        self.cut = 0  # connections that the last `close` cut: each had one call on it at most
        super().__init__(self._guard.getsockname()[1])

    async def _stop(self) -> None:
        self.cut = self.connections_open
        await super()._stop()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.mode == HANG_BEFORE:
            # Nothing is read until the trouble is over; the peer has long given up by then.
            await asyncio.sleep(0.05)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        back = asyncio.create_task(self._back(server_reader, writer))
        try:
            await self._forth(reader, writer, server_writer)
        finally:
            back.cancel()
            server_writer.close()

    async def _forth(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(A_PIECE if self.mode == RESET else 65536):
            match self.mode:
                case "reset mid-body":
                    reset(writer)
                    return
                case "answer garbage":
                    writer.write(b"\x16\x03\x01 this is no HTTP at all \r\n\r\n")
                    await writer.drain()
                    return
                case "hang before reading" | "hang after reading":
                    # Read, never answered. What was forwarded of this request before is cut off when the peer gives up.
                    while await reader.read(65536):
                        pass
                    return
            server.write(data)
            await server.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.mode == DRIP:
                for at in range(len(data)):
                    writer.write(data[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(DRIP_SECONDS)
            else:
                writer.write(data)
                await writer.drain()
        writer.close()
