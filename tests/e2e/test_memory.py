"""What a receiver that hangs, and bodies that are dear to read, may cost in memory, measured as Envoy's RSS."""

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from hostile import BODIES, SOME
from support import documents, replay, sample, sls_edge, wait
from support.envoy import TRAP, Envoy, settled, version
from support.fast_sls import FastSls
from support.fake_rum import Behaviour, FakeRum
from support.load import Load
from support.primary import Primary

MIB = 1 << 20


@pytest.mark.parametrize("size", [16_000, 200_000])
def test_memory_with_a_hanging_receiver(size: int, tmp_path: Path, rum_config: dict) -> None:
    """The sample's own limits (64 MiB, 128 in flight). The bound is that of the project: budget + 48 MiB."""
    primary, rum = Primary(keep=False), FakeRum(rum_config["authority"], keep=False)
    try:
        with Envoy(tmp_path, primary.port, rum.port, configuration={"retry": {"max_attempts": 1}}) as envoy:
            # Warm: what Envoy needs for traffic at all is not what is measured.
            warm = Load(envoy.port, size, seconds=1.0, keep=False).join()
            assert (warm.wrong, warm.unanswered) == ([], 0)
            before = envoy.rss()
            budget = 67_108_864
            rum.behave = Behaviour(hang=True)
            # Ten seconds, and on a busy machine until the budget is reached.
            load, began = Load(envoy.port, size, seconds=60.0, keep=False), time.monotonic()
            peak = before
            while load.running and (time.monotonic() < began + 10 or not envoy.metrics()["rum.dropped"]):
                peak = max(peak, envoy.rss())
                time.sleep(0.05)
            result = load.stop()
            metrics = settled(envoy)
            print(f"{size} bytes: {result.sent} requests, grown by {(peak - before) / MIB:.0f} MiB, {metrics}")

            assert (result.wrong, result.unanswered) == ([], 0)
            assert metrics["rum.pending_bytes"] <= budget
            assert metrics["rum.dropped"] > 0, f"{result.sent} requests were too few to reach the budget"
            assert peak - before <= budget + 48 * MIB
            # And the primary is as quick as ever.
            with replay.Client(envoy.port) as client:
                assert client.request("/api/1/envelope/", b"{}").by_primary
    finally:
        primary.close()
        rum.close()
    assert rum.violations == []


# As envoy/sizing.md has it with the defaults and both legs: a test of the module holds that sum to its formula.
FORMULA = (8 + 64 + 10 + 64 + 32 + 40 + 10) * 5 // 4 * MIB
# Envoy's own: connections, and its copies of what is in flight (a quarter of the budget).
ENVOY = 48 * MIB
# The larger ones of what is decoded, and every rule.
WORST = (*SOME, "gzip-bomb", "br-bomb", "zstd-bomb", "counts", "strings-in-strings", "logs-empty", "items-many")


def test_memory_with_the_worst_bodies(tmp_path: Path) -> None:
    """One after another, and four of each at a time: the formula holds, and what is freed is used again."""
    primary, rum, sls = Primary(keep=False), FakeRum("rum.example.com", keep=False), FastSls()
    edge = sls_edge.start(tmp_path, primary, rum, sls, traps=True)
    try:
        with replay.Client(edge.port, timeout=60) as client:
            assert client.request("/api/1/envelope/", b"{}").by_primary
            before, peaks = edge.rss(), []
            for name in WORST:
                body = BODIES[name]
                for project in range(4):
                    answer = client.request(f"/api/{project + 1}/envelope/", body.wire(), headers=body.headers)
                    assert answer.by_primary
                end = time.monotonic() + 60
                while edge.metrics().get("sls.queued", 0) and time.monotonic() < end:
                    time.sleep(0.05)
                peaks.append(edge.rss() - before)
        print(f"grown by {max(peaks) / MIB:.0f} MiB of {FORMULA / MIB:.0f}: {[peak // MIB for peak in peaks]}")
        assert edge.process.poll() is None and not TRAP.search(edge.log())
        assert max(peaks) <= FORMULA + ENVOY
    finally:
        edge.process.terminate()
        try:
            edge.process.wait(10)
        except subprocess.TimeoutExpired:
            edge.process.kill()
        for server in (primary, rum, sls):
            server.close()


def test_an_idle_envoy_gives_back_what_compiling_took(tmp_path: Path, primary: Primary, rum: FakeRum) -> None:
    """The block of sizing.md. Older versions refuse it, as is said there."""
    manager = documents.configuration("envoy/sizing.md", "memory_allocator_manager:")
    if version() < (1, 38):
        bootstrap = sample.adapt(sample.load("tee.yaml"), primary.port, rum.port)
        assert "soft_memory_limit_bytes" in Envoy.refused(tmp_path, bootstrap | manager)
        return

    def free(folder: Path, edit: Callable[[sample.Yaml], None] | None) -> Callable[[], int]:
        envoy = stack.enter_context(Envoy(folder, primary.port, rum.port, edit=edit))
        return lambda: int(json.loads(envoy.admin("/memory"))["pageheap_free"])

    with ExitStack() as stack:
        kept = free(tmp_path / "as it is", None)
        given_back = free(tmp_path / "with it", lambda bootstrap: bootstrap.update(manager))
        wait.until("the free memory is gone", lambda: given_back() < 8 * MIB, 30, 0.2)
        assert kept() > 2 * 8 * MIB
