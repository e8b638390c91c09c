"""Updates that replace the VM (another .wasm file, another environment) and traps: no copy and no log is lost unseen.

What the old VM held is counted by another instance, some 20 s later: see src/worker/account.rs.
"""

import time
from collections.abc import Callable
from pathlib import Path

from support import poisoned_module, replay, sample, wait
from support.envoy import Envoy, balance, settled
from support.fake_rum import FakeRum
from support.fake_sls import FakeSls
from support.update_edge import PATIENT, Ecds, Edge, Lds, another_module, away, back, both_legs, drains, plugin, send

# How long the books may take: 15 s without a sign of life, and the looks before and after.
BOOKED = 27.0
SAID = "ended with work to do"


def all_lost(envoy: Envoy, count: int) -> None:
    """Both legs have counted what was pending, and their gauges are down."""
    for leg in ("rum", "sls"):
        settled(envoy, BOOKED, leg=leg, captured=count, delivered=0, failed=0, dropped=count, pending=0, in_flight=0)
    metrics = envoy.metrics()
    assert metrics["rum.pending_bytes"] == metrics["sls.pending_bytes"] == metrics["sls.queued"] == 0


CASES = [(Lds, "code", 1), (Lds, "environment", 2), (Ecds, "code", 2), (Ecds, "environment", 1)]


def test_what_a_replaced_vm_held_is_counted(
    start_edge: Callable[..., Edge], tmp_path: Path, rum: FakeRum, sls: FakeSls
) -> None:
    """By LDS and by ECDS, another file and another environment, one worker and two: all at the same time."""
    away(rum, sls)
    edges = []
    for kind, what, workers in CASES:
        edge = start_edge(kind, [{"typed_config": plugin(both_legs())}], concurrency=workers)
        edges.append((edge, what, workers))
        send(edge.envoy, 20)
    for edge, what, _ in edges:
        for leg in ("rum", "sls"):
            settled(edge.envoy, leg=leg, captured=20, pending=20)
        module = another_module(tmp_path) if what == "code" else None
        environment = {"ANOTHER": "one"} if what == "environment" else None
        edge.update([{"typed_config": plugin(both_legs(), module, environment)}])
    for edge, _, workers in edges:
        all_lost(edge.envoy, 20)
        # Envoy writes its log every ten seconds.
        wait.until("the loss is in the log", lambda edge=edge: SAID in edge.envoy.log(), 15)
        lines = [line for line in edge.envoy.log().splitlines() if SAID in line]
        assert all("[error]" in line for line in lines) and len(lines) <= workers, lines
    # The next requests are as good as ever.
    back(rum, sls)
    for edge, _, _ in edges:
        send(edge.envoy, 3)
        for leg in ("rum", "sls"):
            settled(edge.envoy, leg=leg, captured=23, delivered=3, dropped=20, pending=0)
        drains(edge.envoy)
    rum.taken.clear()


POISON = [(f"x-{number}", "x") for number in range(poisoned_module.TOO_MANY)]


def poison(envoy: Envoy) -> None:
    with replay.Client(envoy.port) as client:
        assert client.request("/api/1/envelope/", b"{}", POISON).status == 503


def trapped(start_edge: Callable[..., Edge], own: dict, rum: FakeRum, sls: FakeSls, **options: int) -> Edge:
    """An edge of which an instance has trapped while 20 copies and 20 logs waited."""
    edge = start_edge(Lds, [{"typed_config": own}], traps=True, **options)
    away(rum, sls)
    send(edge.envoy, 20)
    for leg in ("rum", "sls"):
        settled(edge.envoy, leg=leg, captured=20, pending=20)
    poison(edge.envoy)
    return edge


def test_what_a_trap_took_along_is_counted(
    start_edge: Callable[..., Edge], tmp_path: Path, rum: FakeRum, sls: FakeSls
) -> None:
    """FAIL_RELOAD: the instance that comes after the trap counts what the other one held."""
    own = plugin(both_legs(), module=poisoned_module.build(tmp_path))
    own["config"]["failure_policy"] = "FAIL_RELOAD"
    own["config"]["reload_config"] = {"backoff": {"base_interval": "1s", "max_interval": "2s"}}
    edge = trapped(start_edge, own, rum, sls)

    def is_back() -> bool:
        with replay.Client(edge.envoy.port) as client:
            # No envelope, but the module sees it.
            return client.request("/api/1/other", b"").status == 200

    wait.until("the module is back", is_back, 15, 0.2)
    all_lost(edge.envoy, 20)
    drains(edge.envoy)


def test_a_trap_of_one_worker_is_counted_by_another(
    start_edge: Callable[..., Edge], tmp_path: Path, rum: FakeRum, sls: FakeSls
) -> None:
    """FAIL_OPEN, as in the samples: the module is off on one worker; the other counts, and keeps what it has itself."""
    own = plugin(both_legs(), module=poisoned_module.build(tmp_path))
    edge = trapped(start_edge, own, rum, sls, concurrency=2)

    def counted() -> bool:
        metrics = edge.envoy.metrics()
        return metrics["rum.dropped"] > 0 and metrics["sls.dropped"] > 0

    wait.until("the loss is counted", counted, BOOKED)
    back(rum, sls)
    lost = edge.envoy.metrics()["rum.dropped"]
    assert 0 < lost < 20
    for leg in ("rum", "sls"):
        settled(edge.envoy, leg=leg, captured=20, delivered=20 - lost, failed=0, dropped=lost, pending=0)
    rum.taken.clear()
    drains(edge.envoy)


def test_who_is_alive_is_not_taken(
    start_edge: Callable[..., Edge], tmp_path: Path, rum: FakeRum, sls: FakeSls
) -> None:
    """Beside what is replaced there is a second filter, in a VM of its own, and one with another `vm_id`."""
    other = plugin({"rum": sample.rum(), **PATIENT})
    other["config"]["vm_config"]["vm_id"] = "another"
    second = plugin({"rum": sample.rum(), **PATIENT}, environment={"SECOND": "1"})
    entries = [
        {"name": "second", "typed_config": second},
        {"name": "third", "typed_config": other},
    ]
    edge = start_edge(Ecds, [{"typed_config": plugin(both_legs())}, *entries], concurrency=2)
    away(rum, sls)
    send(edge.envoy, 10)
    settled(edge.envoy, captured=30, pending=30)
    edge.update([{"typed_config": plugin(both_legs(), module=another_module(tmp_path))}, *entries])
    settled(edge.envoy, BOOKED, captured=30, dropped=10, pending=20)
    settled(edge.envoy, leg="sls", captured=10, dropped=10, pending=0)
    # Long enough for whoever would take the others.
    seen = time.monotonic()
    wait.until("20 s have passed", lambda: time.monotonic() > seen + 20, 30, 0.5)
    assert balance(edge.envoy.metrics()) is None
    settled(edge.envoy, captured=30, dropped=10, pending=20)
    back(rum, sls)
    settled(edge.envoy, captured=30, dropped=10, delivered=20, pending=0)
    rum.taken.clear()
