"""The ways of envoy/updates.md that lose nothing: a new module, a new key, off in a hurry, while RUM and SLS are away.

Each copy and each log arrives once, whatever waited when the update came.
"""

import time
from collections.abc import Callable
from pathlib import Path

from support import replay, rules, sample, self_hosted, sls_edge, sls_traffic, tls, wait
from support.envoy import Envoy, settled
from support.fake_rum import Behaviour, FakeRum
from support.fake_sls import FakeSls, Key
from support.primary import Primary
from support.sls_checks import arrived
from support.update_edge import (
    Ecds,
    Edge,
    Lds,
    another_module,
    away,
    back,
    both_legs,
    drains,
    plugin,
    quiet,
    send,
)

NEXT = "sentry_edge_mirror_next"
TARGET = "/api/1/envelope/?sentry_key=k"


def held(envoy: Envoy, count: int) -> None:
    """So many wait, and nothing was lost."""
    for leg in ("rum", "sls"):
        settled(envoy, leg=leg, captured=count, delivered=0, failed=0, dropped=0, pending=count)


def all_arrived(envoy: Envoy, primary: Primary, rum: FakeRum, sls: FakeSls, began: float, rum_config: dict) -> None:
    """Each copy and each log of what the primary got, once; and the books say so."""
    count = len(primary.requests)
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    for leg in ("rum", "sls"):
        settled(envoy, 20, leg=leg, captured=count, delivered=count, failed=0, dropped=0, pending=0)
    rum.wait()
    arrived(envoy, sls, primary.requests, began)
    assert sls.doubled() == []


def pass_drain_time() -> None:
    """The listener's two seconds, and the ten that a root context is given."""
    since = time.monotonic()
    wait.until("13 s have passed", lambda: time.monotonic() > since + 13, 20, 0.2)


def replace_filter(
    edge: Edge, old: dict, new: dict, primary: Primary, rum: FakeRum, sls: FakeSls, began: float, rum_config: dict
) -> None:
    """The new filter comes beside the old one, of which no route knows any more while 20 wait in it, and which goes when
    all have arrived."""
    away(rum, sls)
    send(edge.envoy, 20)
    held(edge.envoy, 20)
    edge.update([{"typed_config": old, "off": True}, {"name": NEXT, "typed_config": new}])
    send(edge.envoy, 5)
    pass_drain_time()
    held(edge.envoy, 25)
    back(rum, sls)
    all_arrived(edge.envoy, primary, rum, sls, began, rum_config)
    edge.update([{"name": NEXT, "typed_config": new}])


def test_lds_a_new_module(
    start_edge: Callable[..., Edge], tmp_path: Path, primary: Primary, rum: FakeRum, sls: FakeSls, rum_config: dict
) -> None:
    """The new filter beside the old one, which no route turns on; then the old one is taken away."""
    old, began = plugin(both_legs()), time.time()
    new = plugin(both_legs(), module=another_module(tmp_path))
    edge = start_edge(Lds, [{"typed_config": old}], concurrency=2)
    replace_filter(edge, old, new, primary, rum, sls, began, rum_config)
    send(edge.envoy, 3)
    pass_drain_time()
    for request in primary.requests[25:]:
        rum.expect(rules.Copy.of(rum_config, request))
    settled(edge.envoy, captured=28, delivered=28, failed=0, dropped=0, pending=0)
    settled(edge.envoy, leg="sls", captured=28, delivered=28, failed=0, dropped=0, pending=0)
    drains(edge.envoy)


def test_lds_a_new_key(
    start_edge: Callable[..., Edge], primary: Primary, rum: FakeRum, sls: FakeSls, rum_config: dict
) -> None:
    """The key comes by the environment, so it is another VM: as with a new module. The old key goes last."""
    references = {"access_key_id": "${KEY_ID}", "access_key_secret": "${KEY_SECRET}"}
    configuration, began = both_legs(sls={"credential": references}), time.time()
    sls.keys["LTAI-next"] = Key("next-secret")
    old = plugin(configuration, environment={"KEY_ID": sls_edge.KEY_ID, "KEY_SECRET": sls_edge.SECRET})
    new = plugin(configuration, environment={"KEY_ID": "LTAI-next", "KEY_SECRET": "next-secret"})
    edge = start_edge(Lds, [{"typed_config": old}])
    replace_filter(edge, old, new, primary, rum, sls, began, rum_config)
    del sls.keys[sls_edge.KEY_ID]
    send(edge.envoy, 3)
    for request in primary.requests[25:]:
        rum.expect(rules.Copy.of(rum_config, request))
    settled(edge.envoy, leg="sls", captured=28, delivered=28, failed=0, dropped=0, pending=0)
    rum.wait()


def test_lds_off_in_a_hurry(
    start_edge: Callable[..., Edge], primary: Primary, rum: FakeRum, sls: FakeSls, rum_config: dict
) -> None:
    """The routes turn the filter off, and it stays: no new copies, and those that wait are delivered, however long that takes."""
    own, began = plugin(both_legs()), time.time()
    edge = start_edge(Lds, [{"typed_config": own}])
    away(rum, sls)
    send(edge.envoy, 20)
    held(edge.envoy, 20)
    edge.update([{"typed_config": own, "off": True}])
    copied = list(primary.requests)
    send(edge.envoy, 5)
    pass_drain_time()
    held(edge.envoy, 20)
    back(rum, sls)
    assert len(primary.requests) == 25
    primary.requests[:] = copied
    all_arrived(edge.envoy, primary, rum, sls, began, rum_config)
    # And on again.
    edge.update([{"typed_config": own}])
    send(edge.envoy, 1)
    rum.expect(rules.Copy.of(rum_config, primary.requests[-1]))
    settled(edge.envoy, captured=21, delivered=21, dropped=0)
    rum.wait()


def test_ecds_a_new_module(
    start_edge: Callable[..., Edge], tmp_path: Path, primary: Primary, rum: FakeRum, sls: FakeSls, rum_config: dict
) -> None:
    """Two filters, of which one captures nothing, change roles. The old VM stays, with ten seconds for what waits."""
    began, module = time.time(), another_module(tmp_path)
    old, new = plugin(both_legs()), plugin(both_legs(), module=module)
    edge = start_edge(
        Ecds, [{"typed_config": old}, {"name": NEXT, "typed_config": plugin(quiet())}], concurrency=2
    )
    away(rum, sls)
    send(edge.envoy, 20)
    held(edge.envoy, 20)
    edge.update([{"typed_config": plugin(quiet())}, {"name": NEXT, "typed_config": new}])
    # The ten seconds have begun.
    back(rum, sls)
    send(edge.envoy, 5)
    all_arrived(edge.envoy, primary, rum, sls, began, rum_config)
    # The old VM goes, with nothing in it.
    edge.update([{"typed_config": plugin(quiet(), module=module)}, {"name": NEXT, "typed_config": new}])
    send(edge.envoy, 3)
    for request in primary.requests[25:]:
        rum.expect(rules.Copy.of(rum_config, request))
    settled(edge.envoy, captured=28, delivered=28, failed=0, dropped=0, pending=0)
    settled(edge.envoy, leg="sls", captured=28, delivered=28, failed=0, dropped=0, pending=0)
    drains(edge.envoy)


def test_ecds_off_in_a_hurry(
    start_edge: Callable[..., Edge], primary: Primary, rum: FakeRum, sls: FakeSls, rum_config: dict
) -> None:
    """A configuration that captures nothing: in force with the next request, and ten seconds for what waits."""
    began = time.time()
    edge = start_edge(Ecds, [{"typed_config": plugin(both_legs())}])
    away(rum, sls)
    send(edge.envoy, 20)
    held(edge.envoy, 20)
    edge.update([{"typed_config": plugin(quiet())}])
    copied = list(primary.requests)
    send(edge.envoy, 5)
    held(edge.envoy, 20)
    back(rum, sls)
    primary.requests[:] = copied
    all_arrived(edge.envoy, primary, rum, sls, began, rum_config)


def test_compose_a_new_key_or_a_new_module(tmp_path: Path, primary: Primary, sls: FakeSls) -> None:
    """`docker compose up -d` ends the old container by drain.sh, then starts the new one: what waits is delivered."""
    variables = {
        "EDGE_SLS": "true",
        "SLS_ENDPOINT": sls_edge.ENDPOINT,
        "EDGE_SLS_PROJECT": sls_edge.PROJECT,
        "EDGE_SLS_LOGSTORE": sls_edge.STORE,
        "EDGE_SLS_ACCESS_KEY_ID": sls_edge.KEY_ID,
        "EDGE_SLS_ACCESS_KEY_SECRET": sls_edge.SECRET,
    }
    behind = dict.fromkeys(("sentry", "sentry_rum"), primary.port)
    sls.keys["LTAI-next"] = Key("next-secret")
    for receiver in tls.receiver(tmp_path, self_hosted.VARIABLES["RUM_ENDPOINT"]):
        # Slow, so that something waits when the end comes.
        receiver.rum.behave = Behaviour(seconds=1.0)
        with self_hosted.edge(tmp_path / "old", "front", receiver, behind, variables, sls.port) as old:
            for number in range(10):
                with replay.Client(old.port) as client:
                    assert client.request(TARGET, sls_traffic.event(f"old {number}")).by_primary
            drains(old)
            for leg in ("rum", "sls"):
                settled(old, leg=leg, captured=10, delivered=10, failed=0, dropped=0, pending=0)
        del sls.keys[sls_edge.KEY_ID]
        rotated = {"EDGE_SLS_ACCESS_KEY_ID": "LTAI-next", "EDGE_SLS_ACCESS_KEY_SECRET": "next-secret"}
        with self_hosted.edge(tmp_path / "new", "front", receiver, behind, variables | rotated, sls.port) as new:
            with replay.Client(new.port) as client:
                assert client.request(TARGET, sls_traffic.event("new")).by_primary
            for leg in ("rum", "sls"):
                settled(new, leg=leg, captured=1, delivered=1, failed=0, dropped=0, pending=0)
        sent = sorted(request.sha256 for request in primary.requests)
        assert sorted(request.sha256 for request in receiver.rum.taken) == sent and len(sent) == 11
        receiver.rum.taken.clear()
    assert len(sls.logs) == 11
    assert sls.doubled() == []
