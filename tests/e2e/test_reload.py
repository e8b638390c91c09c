"""envoy/tee-lds: new configurations under load. Nothing is lost, nothing doubled, and a bad one changes nothing."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import replay, rules, sample, wait
from support.envoy import Envoy, settled
from support.fake_rum import Behaviour, FakeRum
from support.listener import DRAIN, Listener
from support.load import Load
from support.primary import Primary


@pytest.fixture
def start(tmp_path: Path, primary: Primary, rum: FakeRum) -> Iterator[Callable[[sample.Yaml, int], tuple]]:
    running: list[Envoy] = []

    def starter(configuration: sample.Yaml, concurrency: int = 1) -> tuple[Envoy, Listener]:
        listener = Listener(tmp_path / "listeners")
        listener.write(configuration)
        envoy = Envoy(
            tmp_path / "envoy",
            primary.port,
            rum.port,
            name="tee-lds/bootstrap.yaml",
            concurrency=concurrency,
            edit=listener.point,
            args=DRAIN,
        )
        running.append(envoy)
        listener.use_port(envoy.port)
        return envoy, listener

    yield starter
    for envoy in running:
        envoy.stop()


def updates(envoy: Envoy, what: str) -> int:
    return envoy.stats(f"listener_manager.lds.update_{what}$").get(f"listener_manager.lds.update_{what}", 0)


def replace(envoy: Envoy, listener: Listener, configuration: sample.Yaml) -> None:
    """Replaces the configuration and waits until Envoy has taken it."""
    before = updates(envoy, "success")
    listener.write(configuration)
    wait.until("the update was taken", lambda: updates(envoy, "success") > before)


def test_reloads_under_load_lose_nothing(start: Callable, primary: Primary, rum: FakeRum, rum_config: dict) -> None:
    """Five reloads under load, with a receiver slow enough that there are always copies in flight."""
    # Room for everything: what is looked for is a copy lost by a reload, not one dropped by a budget.
    room = {"limits": {"max_in_flight": 400}}
    envoy, listener = start(room, concurrency=2)
    rum.behave = Behaviour(seconds=0.2)
    load = Load(envoy.port, 2000, connections=6)
    for version in range(5):
        taken = rum.accepted
        wait.until("the load flows", lambda taken=taken: rum.accepted > taken + 50)
        replace(envoy, listener, {**room, "rum": {"timeout_ms": 5001 + version}})
    taken = rum.accepted
    wait.until("the load flows after the last reload", lambda: rum.accepted > taken + 50)
    result = load.stop()

    assert result.wrong == []
    # Not one of the requests without an answer may have reached the primary, or trying again would double it.
    assert len(result.bodies) == len(primary.requests) > 300
    assert result.sent == len(result.bodies) + result.unanswered
    assert result.unanswered <= 10, result.unanswered
    total = len(result.bodies)
    metrics = settled(envoy, 30, captured=total, delivered=total, failed=0, dropped=0, pending=0)
    assert metrics["rum.in_flight"] == 0
    # Exactly the bodies that were sent, each once; the fixture then compares paths and headers too.
    assert Counter(request.sha256 for request in rum.taken) == Counter(result.bodies)
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    wait.until("the old listeners are gone", lambda: drained(envoy), 30)


def drained(envoy: Envoy) -> bool:
    return envoy.stats("listener_manager.total_listeners_draining")["listener_manager.total_listeners_draining"] == 0


def test_copies_that_wait_survive_the_reload(start: Callable, primary: Primary, rum: FakeRum, rum_config: dict) -> None:
    """RUM is down when the listener is replaced and comes back while it drains: the old listener's copies arrive."""
    patient = {"retry": {"max_attempts": 100, "initial_backoff_ms": 100, "max_backoff_ms": 300}}
    envoy, listener = start(patient)
    rum.close()
    with replay.Client(envoy.port) as client:
        for number in range(20):
            assert client.request("/api/1/envelope/", b"%d" % number).by_primary
    settled(envoy, captured=20, pending=20)
    replace(envoy, listener, {**patient, "rum": {"timeout_ms": 4000}})
    # The old listener has gone from Envoy; its plugin still has to be there.
    wait.until("the old listener is drained", lambda: drained(envoy), 30)
    settled(envoy, captured=20, pending=20)
    rum.reopen()
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    settled(envoy, captured=20, delivered=20, failed=0, dropped=0)
    rum.wait()


def test_copies_that_wait_survive_the_removal(start: Callable, primary: Primary, rum: FakeRum, rum_config: dict) -> None:
    """The listener is removed while RUM is down: what waited is delivered when it comes back in the drain time.

    Later would be too late: with the last listener of the module Envoy ends the whole VM, without waiting for `on_done`.
    """
    patient = {"retry": {"max_attempts": 100, "initial_backoff_ms": 100, "max_backoff_ms": 300}}
    envoy, listener = start(patient)
    rum.close()
    with replay.Client(envoy.port) as client:
        for number in range(20):
            assert client.request("/api/1/envelope/", b"%d" % number).by_primary
    settled(envoy, captured=20, pending=20)
    listener.remove()
    wait.until("the listener is on its way out", lambda: updates(envoy, "success") > 1 and not drained(envoy))
    rum.reopen()
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    rum.wait()
    wait.until("the listener is gone", lambda: drained(envoy), 30)


def test_a_reload_does_not_wait_for_ever(start: Callable, rum: FakeRum) -> None:
    """A receiver that stays away: ten seconds after the old listener's end its copies are counted as lost."""
    patient = {"retry": {"max_attempts": 100, "initial_backoff_ms": 500, "max_backoff_ms": 1000}}
    envoy, listener = start(patient)
    rum.close()
    with replay.Client(envoy.port) as client:
        assert client.request("/api/1/envelope/", b"lost").by_primary
    settled(envoy, captured=1, pending=1)
    replace(envoy, listener, {**patient, "rum": {"timeout_ms": 4000}})
    metrics = settled(envoy, 25, captured=1, delivered=0, pending=0)
    assert metrics["rum.dropped"] + metrics["rum.failed"] == 1


def test_new_mapping_applies_to_the_next_request(start: Callable, primary: Primary, rum: FakeRum) -> None:
    envoy, listener = start({})
    with replay.Client(envoy.port) as client:
        assert client.request("/api/1/envelope/", b"old").by_primary
    rum.wait(1)
    changed = {"rum": {"projects": {"1": {"workspace": "new", "service_id": "one"}}}}
    replace(envoy, listener, changed)

    def through_new() -> bool:
        with replay.Client(envoy.port) as client:
            # No answer: see support/load.py.
            assert client.request("/api/1/envelope/", b"new").status in (200, 0)
        return any(request.target.startswith("/rum/sentry/new/one/") for request in list(rum.taken))

    # A connection may still be accepted by the old listener at the very moment of the change.
    wait.until("the new path is used", through_new, pause=0.05)
    total = len(primary.requests)
    settled(envoy, captured=total, delivered=total, pending=0)
    assert {r.target for r in rum.taken} <= {
        "/rum/sentry/shop/web@aaaa1111/api/1/envelope/",
        "/rum/sentry/new/one/api/1/envelope/",
    }
    rum.taken.clear()  # compared above


def test_refused_update_leaves_the_old_configuration_serving(
    start: Callable, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    envoy, listener = start({})
    listener.write({"rum": {"timeout_ms": 0, "colour": "red"}})
    wait.until("the update was rejected", lambda: updates(envoy, "rejected") == 1)
    messages = [line for line in envoy.log().splitlines() if "wasm log" in line]
    assert any("rum.timeout_ms" in line and "[error]" in line for line in messages), messages
    assert any("rum.colour" in line and "[error]" in line for line in messages), messages
    with replay.Client(envoy.port) as client:
        for number in range(5):
            assert client.request("/api/1/envelope/", b"%d" % number).by_primary
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    rum.wait()
    settled(envoy, captured=5, delivered=5)


def test_orderly_shutdown_delivers_what_waits(
    start: Callable, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    """As envoy/tee.yaml says: drain the listeners, wait for pending 0, then stop."""
    patient = {"retry": {"max_attempts": 100, "initial_backoff_ms": 100, "max_backoff_ms": 300}}
    envoy, _ = start(patient)
    rum.close()
    with replay.Client(envoy.port) as client:
        for number in range(10):
            assert client.request("/api/1/envelope/", b"%d" % number).by_primary
    settled(envoy, captured=10, pending=10)
    assert envoy.admin("/drain_listeners?graceful", "POST").strip() == "OK"
    rum.reopen()
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    settled(envoy, captured=10, delivered=10, pending=0)
