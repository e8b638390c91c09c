"""An edge with everything to be seen: both legs, mode `sign`, traffic of every kind, faults, and a Prometheus that looks on."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from . import fake_rum, fake_sls, sample, sign_edge, sls_edge
from .clients import Clients
from .envoy import Envoy
from .fake_rum import FakeRum
from .primary import Primary
from .prometheus import Prometheus
from .replay import Client
from .slow_bodies import SlowBodies

MIB = 1 << 20
WORKERS = 2
# So small that what waits can be seen in it.
LIMIT = 2 * MIB
LARGEST = 256 << 10
# Requests a second.
RATE = 60.0
CONFIGURATION: dict[str, Any] = {
    "rum": {"timeout_ms": 1500, "exclude": ["8"]},
    "limits": {"max_pending_bytes": LIMIT, "max_body_bytes": LARGEST, "max_in_flight": 64},
    "retry": {"max_attempts": 6, "initial_backoff_ms": 200, "max_backoff_ms": 2000},
}


def envelope(number: int) -> bytes:
    """An error event of some size."""
    event = {"level": "error", "message": f"seen {number}", "extra": {"padding": "x" * (number % 7 * 500)}}
    return b'{"event_id":"%032x"}\n{"type":"event"}\n%b\n' % (number, json.dumps(event).encode())


class Traffic(Clients):
    """Envelopes at a steady rate, and among them whatever is skipped or cannot be read."""

    def __init__(self, port: int, rate: float = RATE, connections: int = 3) -> None:
        self.wrong: list[str] = []
        self.count = 0
        self._port, self._pause = port, connections / rate
        super().__init__(connections)

    def _odd(self, client: Client, number: int) -> int:
        """One of the requests that are no plain envelopes; its status."""
        target, body, headers = "/api/1/envelope/", envelope(number), []
        match number // 10 % 8:
            case 0:
                target = "/api/1/store/"
            case 1:
                target = "/api/8/envelope/"
            case 2:
                body = b"x" * (LARGEST + 1)
            case 3:
                headers = [("x-sentry-edge-mirror", "1")]
            case 4:
                body = b"no envelope"
            case 5:
                headers = [("Content-Encoding", "gzip")]
            case 6:
                headers = [("User-Agent", "caf\xe9")]
            case _:
                with suppress(OSError), Client(self._port) as leaving:
                    leaving.send(b"POST /api/1/envelope/ HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n1")
        return client.request(target, body, headers).status

    def _run(self, worker: int) -> None:
        with Client(self._port) as client:
            while not self._stopping.is_set():
                with self._lock:
                    self.count += 1
                    number = self.count
                began = time.monotonic()
                plain = number % 10 != 0
                target = f"/api/{number % 3 + 1}/envelope/"
                status = client.request(target, envelope(number)).status if plain else self._odd(client, number)
                if status != 200:
                    self.wrong.append(f"{number}: {status}")
                self._stopping.wait(max(0.0, began + self._pause - time.monotonic()))


class Writes(Clients):
    """Programs that write to SLS through the signing edge: what is allowed, and what is not."""

    def __init__(self, port: int) -> None:
        self.statuses: set[int] = set()
        self._port = port
        super().__init__(1)

    def _run(self, worker: int) -> None:
        while not self._stopping.is_set():
            for store in (sign_edge.STORE, "of-somebody-else"):
                # What is denied is the last of its connection.
                with Client(self._port) as client:
                    answer = client.request(f"/logstores/{store}", sign_edge.group("seen"), [sign_edge.PROTOBUF])
                    self.statuses.add(answer.status)
            self._stopping.wait(0.25)


class Seen:
    """All of it, running. `envoys` are the edge, the same without `stats_tags`, and the signing one."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.primary, self.rum = Primary(keep=False), FakeRum(sample.rum()["authority"], keep=False)
        self.sls, self.signed = sls_edge.fake_sls(), sls_edge.fake_sls()
        self.sls.only = self.signed.only = lambda _: False
        for server in (self.primary, self.rum, self.sls, self.signed):
            stack.callback(server.close)
        self.edge = stack.enter_context(self._edge(directory / "edge", lambda _: None))
        self.plain = stack.enter_context(self._edge(directory / "plain", without_tags))
        self.sign = stack.enter_context(sign_edge.start(directory / "sign", self.signed))
        self.prometheus = stack.enter_context(
            Prometheus(
                directory / "prometheus", [e.admin_port for e in (self.edge, self.sign)], limit=LIMIT
            )
        )
        self.began = time.time()
        self.faults: list[tuple[str, float, float]] = []

    def _edge(self, directory: Path, also: Callable[[sample.Yaml], None]) -> Envoy:
        leg = sls_edge.edit(self.sls, sls_edge.section(retry={"max_attempts": 8}))

        def edit(bootstrap: sample.Yaml) -> None:
            leg(bootstrap)
            also(bootstrap)

        return Envoy(
            directory,
            self.primary.port,
            self.rum.port,
            name=sls_edge.NAME,
            configuration=CONFIGURATION,
            concurrency=WORKERS,
            edit=edit,
        )

    def steps(self, seconds: float) -> Iterator[tuple[str, float]]:
        """What goes wrong, one after the other, each for a while; put right again."""
        yield "", seconds
        self.rum.behave = fake_rum.Behaviour(status=503)
        yield "RUM answers 503", seconds
        self.rum.behave = fake_rum.OK
        yield "", seconds / 2
        self.rum.close()
        yield "RUM is away", seconds
        self.rum.reopen()
        yield "", seconds / 2
        self.sls.behave = fake_sls.Behaviour(401, "SignatureNotMatch")
        yield "SLS refuses the key", seconds
        self.sls.behave = fake_sls.OK
        yield "", seconds
        self.rum.behave = fake_rum.Behaviour(seconds=1.0)
        yield "RUM takes 1 s", seconds
        self.rum.behave = fake_rum.Behaviour(status=400)
        yield "RUM answers 400", seconds / 2
        self.rum.behave = fake_rum.OK
        yield "", seconds / 2

    def run(self, seconds: float) -> None:
        """The faults under load; a fault lasts so long."""
        traffic, writes = Traffic(self.edge.port), Writes(self.sign.port)
        slow = SlowBodies(self.edge.port, 60, LARGEST // 4, pause=5.0)
        try:
            for what, lasts in self.steps(seconds):
                begin = time.time()
                time.sleep(lasts)
                if what:
                    self.faults.append((what, begin, time.time()))
        finally:
            slow.close()
            writes.halt()
            traffic.halt()
        self.ended = time.time()
        assert not traffic.wrong, traffic.wrong[:10]
        assert traffic.count > RATE / 4 * (self.ended - self.began), f"only {traffic.count} requests: a client has ended"
        assert writes.statuses == {200, 403}, writes.statuses
        assert not self.rum.violations, self.rum.violations[:10]
        self.signed.verify()


def without_tags(bootstrap: sample.Yaml) -> None:
    """As where the bootstrap is not ours."""
    del bootstrap["stats_config"]
