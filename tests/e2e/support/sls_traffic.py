"""Traffic of which every request makes logs of its own: what arrives twice was doubled on the way."""

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from .clients import Clients
from .replay import Client


def event(message: str, **more: Any) -> bytes:
    """An envelope with one event; `more`: further members of it."""
    identity = uuid.uuid4().hex
    fields = {"event_id": identity, "timestamp": time.time(), "message": message, "level": "info", **more}
    payload = json.dumps(fields).encode()
    header = json.dumps({"event_id": identity}).encode()
    return b'%s\n{"type":"event","length":%d}\n%s\n' % (header, len(payload), payload)


def logs(messages: list[str]) -> bytes:
    """An envelope with one container of logs."""
    trace = uuid.uuid4().hex
    entries = [{"timestamp": time.time(), "trace_id": trace, "level": "info", "body": text} for text in messages]
    payload = json.dumps({"items": entries}).encode()
    kind = {"type": "log", "item_count": len(entries), "content_type": "application/vnd.sentry.items.log+json"}
    return b"{}\n" + json.dumps(kind).encode() + b"\n" + payload


@dataclass
class Result:
    """What the clients saw."""

    sent: int = 0
    wrong: list[str] = field(default_factory=list)
    unanswered: int = 0  # see support/load.py: a listener that is being replaced may do that
    slowest: float = 0.0


class Traffic(Clients):
    """Sends events over keep-alive connections until `stop`, each connection with a pause after each request."""

    def __init__(self, port: int, connections: int = 4, pause: float = 0.01, padding: int = 0) -> None:
        self.result = Result()
        self._port, self._pause, self._padding = port, pause, padding
        super().__init__(connections)

    def _run(self, worker: int) -> None:
        client: Client | None = None
        number = 0
        while not self._stopping.is_set():
            number += 1
            began = time.monotonic()
            answer, problem = None, ""
            try:
                client = client or Client(self._port)
                text = f"worker {worker} number {number} " + "x" * self._padding
                answer = client.request(f"/api/{number % 3 + 1}/envelope/", event(text))
            except OSError as error:
                problem = repr(error)
            with self._lock:
                self.result.sent += 1
                self.result.slowest = max(self.result.slowest, time.monotonic() - began)
                if answer is not None and answer.status == 0:
                    self.result.unanswered += 1
                elif answer is None or not answer.by_primary or answer.status != 200:
                    self.result.wrong.append(problem or f"{answer}")
            if client and (answer is None or not answer.keeps_connection):
                client.close()
                client = None
            # The pace of the traffic, which `stop` cuts short; nothing is waited for here.
            self._stopping.wait(self._pause)
        if client:
            client.close()

    def stop(self) -> Result:
        self.halt()
        return self.result
