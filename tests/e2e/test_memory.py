"""A receiver that hangs must not cost more memory than the budget: ten seconds of load, measured as Envoy's RSS."""

import time
from pathlib import Path

import pytest

from support import replay
from support.envoy import Envoy, settled
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
            load = Load(envoy.port, size, seconds=10.0, keep=False)
            peak = before
            while load.running:
                peak = max(peak, envoy.rss())
                time.sleep(0.05)
            result = load.join()
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
