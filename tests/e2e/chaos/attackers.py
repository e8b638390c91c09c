"""Clients of one project that send hostile bodies, at a rate of their own."""

import time
from itertools import count

from hostile import Body
from support.clients import Clients
from support.fake_sls import Log
from support.replay import Client

PROJECT = "666"
TARGET = f"/api/{PROJECT}/envelope/?sentry_key=k"


def is_theirs(log: Log) -> bool:
    return log.get("sentry.project_id") == PROJECT


class Attackers(Clients):
    """The bodies in turn, `rate` a second in all, until `halt`. Each on a connection of its own."""

    def __init__(self, port: int, bodies: list[Body], rate: float, connections: int = 10) -> None:
        self.answered = 0
        self.wrong: list[str] = []
        self._port, self._rate, self._interval = port, rate, connections / rate
        # Made before the first is sent: that takes a while.
        self._wires = [(body, body.wire()) for body in bodies]
        self._numbers = count()
        self._begin = time.monotonic()
        super().__init__(connections)

    def _run(self, worker: int) -> None:
        due = self._begin + worker / self._rate
        while not self._stopping.wait(due - time.monotonic()):
            with self._lock:
                body, wire = self._wires[next(self._numbers) % len(self._wires)]
            self._one(body, wire)
            due = max(due + self._interval, time.monotonic())

    def _one(self, body: Body, wire: bytes) -> None:
        problem = ""
        try:
            with Client(self._port, timeout=50) as client:
                answer = client.request(TARGET, wire, headers=body.headers)
                if answer.status != 200 or not answer.by_primary:
                    problem = f"{body.name}: {answer.status} {answer.body[:80]!r}"
        except OSError as error:
            problem = f"{body.name}: {error!r}"
        with self._lock:
            self.answered += not problem
            self.wrong += [problem] * bool(problem)
