"""Envoy with one worker and both legs, the other client beside it, and somebody who sends bodies and waits for their end."""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from hostile import Body
from support import replay, sample, sls_edge, sls_traffic, wait
from support.envoy import TRAP, Envoy
from support.fake_rum import FakeRum
from support.fast_sls import FastSls
from support.primary import Primary

AUTHORITY = "rum.example.com"
PATH = "/pause"
TARGET = "/api/666/envelope/?sentry_key=k"
# So long the longest wait is looked for; the rest of the work is Envoy's own.
MOST_SECONDS = 60.0
# After it nothing more comes of a body: gauges are at most 100 ms old.
CALM_SECONDS = 1.0
# Of some no log is made at all.
CALM_WITHOUT_LOGS_SECONDS = 4.0


class Targets:
    """Everything but the edge; once for all of them."""

    def __init__(self) -> None:
        self.primary, self.rum, self.sls = Primary(keep=False), FakeRum(AUTHORITY, keep=False), FastSls()

    def close(self) -> None:
        for server in (self.primary, self.rum, self.sls):
            server.close()


class Edge:
    """A fresh Envoy, warm, with the other client at work."""

    def __init__(self, directory: Path, targets: Targets) -> None:
        change = sls_edge.edit(targets.sls, sls_edge.section())

        def edit(bootstrap: sample.Yaml) -> None:
            change(bootstrap)
            (listener,) = bootstrap["static_resources"]["listeners"]
            (host,) = sample.hcm(listener)["route_config"]["virtual_hosts"]
            # Answered by the worker itself, through the module: nobody else's slowness is measured.
            host["routes"].insert(0, {"match": {"path": PATH}, "direct_response": {"status": 204}})

        name = sls_edge.NAME
        self.envoy = Envoy(directory, targets.primary.port, targets.rum.port, name=name, edit=edit, traps=True)
        self._warm()
        command = [sys.executable, str(Path(__file__).with_name("prober.py")), str(self.envoy.port), PATH]
        self._prober = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._before = self.envoy.rss()

    def __enter__(self) -> "Edge":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._prober.kill()
        self._prober.wait()
        if self.envoy.process.poll() is None:
            self.envoy.process.kill()  # it may be busy for long
            self.envoy.process.wait()

    def _warm(self) -> None:
        """Ordinary traffic, so that the module is compiled."""
        with replay.Client(self.envoy.port) as client:
            for number in range(50):
                text = f"number {number} password=hunter2 " + "x" * 4000
                assert client.request("/api/1/envelope/", sls_traffic.event(text)).by_primary
                assert client.request("/api/1/envelope/", sls_traffic.logs([text] * 20)).by_primary

    def _longest(self) -> float:
        """The other client's longest wait since it was asked last."""
        assert self._prober.stdin is not None and self._prober.stdout is not None
        self._prober.stdin.write("\n")
        self._prober.stdin.flush()
        line = self._prober.stdout.readline()
        if not line:
            raise RuntimeError("the other client was not served any more")
        return float(line.split()[0])

    def nothing(self, seconds: float) -> float:
        self._longest()
        time.sleep(seconds)
        return self._longest()

    def send(self, body: Body, count: int) -> tuple[float, float]:
        """So many at once, until nothing more comes of them: the other client's longest wait, and how long it took."""
        self._calm(0)
        captured = self.envoy.metrics().get("sls.captured", 0)
        wire = body.wire()
        self._longest()
        began = time.monotonic()
        with ThreadPoolExecutor(count) as pool:
            for answer in pool.map(lambda _: _post(self.envoy.port, wire, body.headers), range(count)):
                assert answer.by_primary, answer
        ended = self._calm(captured + count)
        return self._longest(), ended - began

    def _calm(self, captured: int) -> float:
        """Waits until so many logs are known and no envelope waits, and for a while after; when that began.

        A worker that is held up says nothing: then the other client is held up too, and is asked for its wait all the same.
        """
        last: tuple[int, ...] = ()
        since, deadline = time.monotonic(), time.monotonic() + MOST_SECONDS
        while time.monotonic() < deadline:
            metrics = self._metrics()
            now = (metrics["sls.captured"], metrics["sls.queued"])
            calm = CALM_SECONDS if now[0] >= captured else CALM_WITHOUT_LOGS_SECONDS
            if now != last or now[1] > 0:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > calm:
                return since
            time.sleep(0.05)
        return time.monotonic()

    def _metrics(self) -> dict[str, int]:
        found = self.envoy.metrics()
        return {name: found.get(name, 0) for name in ("sls.captured", "sls.queued")}

    def grown(self) -> int:
        """Bytes of resident memory, at the worst moment, over those before the first body."""
        status = Path(f"/proc/{self.envoy.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024 - self._before

    def trapped(self) -> bool:
        return TRAP.search(self.envoy.log()) is not None


def _post(port: int, wire: bytes, headers: list[tuple[str, str]]) -> replay.Answer:
    with replay.Client(port, timeout=MOST_SECONDS) as client:
        return client.request(TARGET, wire, headers=headers)


def settle(targets: Targets) -> None:
    """Until the targets have what an edge that was ended had sent."""
    wait.until("no connection to the targets", lambda: not targets.sls.connections_open, 30)
