"""envoy/tee-lds with an SLS leg: new configurations under load lose no log and double none."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import replay, rules, sample, sls_edge, sls_traffic, wait
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.fake_sls import Behaviour, FakeSls
from support.listener import DRAIN, Listener
from support.primary import Primary
from support.sls_checks import arrived
from test_reload import drained, replace


@pytest.fixture
def start(tmp_path: Path, primary: Primary, rum: FakeRum, sls: FakeSls) -> Iterator[Callable]:
    running: list[Envoy] = []

    def starter(configuration: sample.Yaml, concurrency: int = 1) -> tuple[Envoy, Listener]:
        listener = Listener(tmp_path / "listeners")
        listener.write(configuration)

        def edit(bootstrap: sample.Yaml) -> None:
            listener.point(bootstrap)
            sls_edge.clusters(bootstrap, sls.port, None)

        name = "tee-lds/bootstrap.yaml"
        envoy = Envoy(tmp_path / "e", primary.port, rum.port, name=name, concurrency=concurrency, edit=edit, args=DRAIN)
        running.append(envoy)
        listener.use_port(envoy.port)
        return envoy, listener

    yield starter
    for envoy in running:
        envoy.stop()


def test_reloads_under_load_lose_no_log(
    start: Callable, primary: Primary, rum: FakeRum, sls: FakeSls, rum_config: dict
) -> None:
    """Five reloads under traffic, with a slow service, so that at each there are open batches and calls in flight."""
    configuration = {"sls": sls_edge.section(batch={"linger_ms": 300}), "limits": {"max_in_flight": 400}}
    envoy, listener = start(configuration, concurrency=2)
    began = time.time()
    sls.behave = Behaviour(seconds=0.2)
    traffic = sls_traffic.Traffic(envoy.port, connections=6)
    for version in range(5):
        taken = len(sls.logs)
        wait.until("logs flow", lambda taken=taken: len(sls.logs) > taken + 50, 20)
        replace(envoy, listener, sample.merge(configuration, {"sls": {"timeout_ms": 1501 + version}}))
    taken = len(sls.logs)
    wait.until("logs flow after the last reload", lambda: len(sls.logs) > taken + 50, 20)
    result = traffic.stop()
    assert result.wrong == []
    assert result.unanswered <= 10, result.unanswered
    assert len(primary.requests) == result.sent - result.unanswered > 300
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    arrived(envoy, sls, primary.requests, began)
    assert sls.doubled() == []
    settled(envoy, 30, captured=len(primary.requests), delivered=len(primary.requests), pending=0)
    wait.until("the old listeners are gone", lambda: drained(envoy), 30)


def test_logs_that_wait_survive_the_reload(
    start: Callable, primary: Primary, sls: FakeSls, rum: FakeRum, rum_config: dict
) -> None:
    """SLS is down when the listener is replaced and comes back afterwards: what the old instance held arrives."""
    configuration = {"sls": sls_edge.section()}
    envoy, listener = start(configuration)
    began = time.time()
    sls.close()
    with replay.Client(envoy.port) as client:
        for number in range(20):
            assert client.request("/api/1/envelope/", sls_traffic.event(f"number {number}")).by_primary
    settled(envoy, leg="sls", captured=20, pending=20)
    replace(envoy, listener, sample.merge(configuration, {"sls": {"timeout_ms": 1600}}))
    wait.until("the old listener is drained", lambda: drained(envoy), 30)
    sls.reopen()
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    rum.wait()
    arrived(envoy, sls, primary.requests, began)
    assert sls.doubled() == []
