"""A DNS server on loopback that can be silent, deny, fail, or answer 127.0.0.1 to every name."""

import socket
import struct
import threading


class Dns:
    """`mode`: silent, nxdomain, servfail or up. `asked` counts the queries."""

    def __init__(self, mode: str = "silent") -> None:
        self.mode = mode
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, name="dns", daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                query, peer = self._socket.recvfrom(2048)
            except OSError:
                return
            self.asked += 1
            if self.mode != "silent":
                self._socket.sendto(self._answer(query), peer)

    def _answer(self, query: bytes) -> bytes:
        """RFC 1035: header, the question repeated, and for type A one record that points at the question's name."""
        end = 12
        while query[end]:
            end += query[end] + 1
        question = query[12 : end + 5]
        (kind,) = struct.unpack("!H", query[end + 1 : end + 3])
        code = {"nxdomain": 3, "servfail": 2}.get(self.mode, 0)
        record = struct.pack("!HHHIH4B", 0xC00C, 1, 1, 1, 4, 127, 0, 0, 1) if code == 0 and kind == 1 else b""
        header = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, 1 if record else 0, 0, 0)
        return header + question + record
