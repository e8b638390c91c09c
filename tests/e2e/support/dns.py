"""A DNS server on loopback that can be silent, deny, fail, or answer 127.0.0.1 to every name."""

import socket
import struct
import threading
from collections import Counter


class Dns:
    """`mode`: silent, nxdomain, servfail or up. `asked` counts the queries, `asked_for` those of each name.

    A name in `gone` does not exist, whatever the mode.
    """

    def __init__(self, mode: str = "silent") -> None:
        self.mode = mode
        self.gone: frozenset[str] = frozenset()
        self.asked = 0
        self.asked_for: Counter[str] = Counter()
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
        end, labels = 12, []
        while query[end]:
            labels.append(query[end + 1 : end + 1 + query[end]].decode("latin-1").lower())
            end += query[end] + 1
        name = ".".join(labels)
        self.asked_for[name] += 1
        question = query[12 : end + 5]
        (kind,) = struct.unpack("!H", query[end + 1 : end + 3])
        code = {"nxdomain": 3, "servfail": 2}.get(self.mode, 0) if name not in self.gone else 3
        record = struct.pack("!HHHIH4B", 0xC00C, 1, 1, 1, 4, 127, 0, 0, 1) if code == 0 and kind == 1 else b""
        header = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, 1 if record else 0, 0, 0)
        return header + question + record
