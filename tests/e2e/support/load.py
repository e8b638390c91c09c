"""Load from keep-alive connections, like many SDKs at once: threads, each with a connection of its own."""

import hashlib
import time
from dataclasses import dataclass, field

from .clients import Clients
from .replay import NOTHING, Client


@dataclass
class Result:
    """What the clients saw."""

    sent: int = 0
    wrong: list[str] = field(default_factory=list)
    # Requests whose connection was closed without a byte of an answer: a listener that is being replaced may do that to
    # a connection that comes in at that very moment (seen with Envoy 1.40 without our module too). SDKs try again.
    unanswered: int = 0
    bodies: list[str] = field(default_factory=list)  # sha256 of every body that was answered 200 by the primary
    slowest: float = 0.0


class Load(Clients):
    """Sends POSTs with unique bodies of a size until `stop`, or for at most `seconds`."""

    def __init__(self, port: int, size: int, connections: int = 8, seconds: float = 30.0, keep: bool = True) -> None:
        self.result = Result()
        self._port, self._size, self._keep = port, size, keep
        self._end = time.monotonic() + seconds
        super().__init__(connections)

    def _run(self, worker: int) -> None:
        client: Client | None = None
        number = 0
        while not self._stopping.is_set() and time.monotonic() < self._end:
            number += 1
            body = f"{worker} {number} ".encode().ljust(self._size, b".")
            began = time.monotonic()
            try:
                client = client or Client(self._port)
                answer = client.request(f"/api/{number % 3 + 1}/envelope/", body)
            except ConnectionResetError:
                # The same moment, seen from the other side: the connection was still in the old listener's queue.
                answer = NOTHING
            except OSError as error:
                answer = None
                problem = repr(error)
            else:
                problem = f"{answer.status} {answer.body[:80]!r}"
            with self._lock:
                self.result.sent += 1
                self.result.slowest = max(self.result.slowest, time.monotonic() - began)
                if answer is not None and answer.status == 200 and answer.by_primary:
                    if self._keep:
                        self.result.bodies.append(hashlib.sha256(body).hexdigest())
                elif answer is not None and answer.status == 0:
                    self.result.unanswered += 1
                else:
                    self.result.wrong.append(problem)
            # A listener that is being replaced asks for a new connection in its answer.
            if client and (answer is None or not answer.keeps_connection):
                client.close()
                client = None
        if client:
            client.close()

    def stop(self) -> Result:
        self.halt()
        return self.result

    def join(self) -> Result:
        self.wait()
        return self.result
