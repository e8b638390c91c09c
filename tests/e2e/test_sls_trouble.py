"""Whatever SLS does, no log is lost or doubled that need not be, and neither RUM nor the primary notices."""

import time
from collections.abc import Callable

import pytest

from support import replay, sls_edge, sls_traffic, wait
from support.envoy import Envoy, settled
from support.fake_rum import Behaviour as RumBehaviour
from support.fake_rum import FakeRum
from support.fake_sls import OK, Behaviour, FakeSls
from support.http1 import Request
from support.primary import Primary
from support.sls_checks import HOUR, arrived, expect_copies, post
from support.sls_errors import ROWS, UNDECIDED

# ---- outages


def test_an_outage_of_twenty_seconds_loses_and_doubles_nothing(
    start_sls: Callable[..., Envoy], sls: FakeSls, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    """The port is closed under traffic, for as long as a restart takes; RUM does not notice."""
    # A write that is answered late is sent again, as it must be: on a busy machine the fake is late after the outage.
    envoy = start_sls(sls_edge.section(timeout_ms=30_000), concurrency=2)
    began = time.time()
    traffic = sls_traffic.Traffic(envoy.port)
    sls.wait(50)
    sls.close()
    closed, copies = time.monotonic(), rum.accepted
    wait.until("twenty seconds of outage", lambda: time.monotonic() - closed >= 20, 30, 0.1)
    assert envoy.metrics()["sls.pending"] > 500
    assert rum.accepted > copies + 500
    sls.reopen()
    taken = len(sls.logs)
    wait.until("logs flow again", lambda: len(sls.logs) > taken + 500, 20)
    result = traffic.stop()
    assert (result.wrong, result.unanswered) == ([], 0)
    assert result.slowest < 5
    expect_copies(rum, rum_config, primary.requests)
    arrived(envoy, sls, primary.requests, began)
    assert sls.doubled() == []


def test_an_answer_that_is_lost_costs_no_log(start_sls: Callable[..., Envoy], sls: FakeSls, primary: Primary) -> None:
    """SLS took the logs, but the answer says otherwise: sent again, as delivery is at least once."""
    first: list[Request] = []

    def once(request: Request) -> Behaviour:
        first.append(request)
        return Behaviour(500, "InternalServerError", stored=True) if len(first) == 1 else OK

    sls.behave = once
    envoy = start_sls(with_rum=False)
    post(envoy, *(sls_traffic.event(f"number {n}") for n in range(5)))
    settled(envoy, 15, leg="sls", captured=5, delivered=5, failed=0, pending=0)
    assert len({log["event_id"] for log in sls.logs}) == 5
    assert 1 <= len(sls.doubled()) <= 5


def test_a_dead_sls_leaves_rum_alone(
    start_sls: Callable[..., Envoy], sls: FakeSls, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    """SLS hangs until its budget is full and drops: not one copy of RUM is dropped or late for it."""
    sls.behave = Behaviour(hang=True)
    limits = {"limits": {"max_pending_bytes": 400_000, "max_body_bytes": 100_000}}
    envoy = start_sls(sls_edge.section(timeout_ms=60_000), configuration=limits)
    traffic = sls_traffic.Traffic(envoy.port, padding=5000)
    wait.until("SLS's budget is full", lambda: envoy.metrics()["sls.dropped"] > 20, 30)
    taken = rum.accepted
    wait.until("RUM goes on", lambda: rum.accepted > taken + 50)
    result = traffic.stop()
    assert (result.wrong, result.unanswered) == ([], 0)
    total = len(primary.requests)
    expect_copies(rum, rum_config, primary.requests)
    settled(envoy, captured=total, delivered=total, failed=0, dropped=0, pending=0)
    metrics = settled(envoy, leg="sls", captured=total, delivered=0)
    assert metrics["sls.pending_bytes"] <= 400_000
    assert sls.logs == []


def test_a_dead_rum_leaves_sls_alone(
    start_sls: Callable[..., Envoy], sls: FakeSls, primary: Primary, rum: FakeRum
) -> None:
    rum.behave = RumBehaviour(hang=True)
    # Each leg has a half: enough for SLS to hold the traffic of a second, and soon full of copies that nobody takes.
    limits = {"limits": {"max_pending_bytes": 6_000_000, "max_body_bytes": 100_000}, "rum": {"timeout_ms": 60_000}}
    envoy = start_sls(configuration=limits)
    began = time.time()
    traffic = sls_traffic.Traffic(envoy.port, padding=5000)
    wait.until("RUM's budget is full", lambda: envoy.metrics()["rum.dropped"] > 20, 30)
    taken = len(sls.logs)
    wait.until("SLS goes on", lambda: len(sls.logs) > taken + 50)
    result = traffic.stop()
    assert (result.wrong, result.unanswered) == ([], 0)
    arrived(envoy, sls, primary.requests, began)
    assert sls.doubled() == []


# ---- every row of the error table


def first_only(behaviour: Behaviour) -> Callable[[Request], Behaviour]:
    met: list[Request] = []

    def script(request: Request) -> Behaviour:
        met.append(request)
        return behaviour if len(met) == 1 else OK

    return script


@pytest.mark.parametrize("row", [name for name, (fate, _) in ROWS.items() if fate in ("retry", "refresh")])
def test_what_may_heal_is_tried_again(
    row: str, start_sls: Callable[..., Envoy], sls: FakeSls, primary: Primary
) -> None:
    sls.behave = first_only(ROWS[row][1])
    envoy = start_sls(with_rum=False)
    began = time.time()
    post(envoy, *(sls_traffic.event(f"number {n}") for n in range(3)))
    arrived(envoy, sls, primary.requests, began)
    assert sls.doubled() == []
    metrics = envoy.metrics()
    assert metrics["sls.retries"] >= 1
    # Signed anew each time: a request that went out twice as it was would carry the same date for ever.
    assert len(sls.requests) >= 2


@pytest.mark.parametrize("row", [name for name, (fate, _) in ROWS.items() if fate == "drop"])
def test_our_own_mistakes_are_not_repeated(row: str, start_sls: Callable[..., Envoy], sls: FakeSls) -> None:
    sls.behave = ROWS[row][1]
    envoy = start_sls(with_rum=False)
    post(envoy, sls_traffic.logs(["one", "two"]))
    metrics = settled(envoy, leg="sls", captured=2, delivered=0, pending=0)
    assert metrics["sls.failed"] + metrics["sls.dropped"] == 2
    assert metrics["sls.retries"] == 0
    assert len(sls.requests) == 1


@pytest.mark.parametrize("row", [name for name, (fate, _) in ROWS.items() if fate == "split"])
def test_what_is_too_large_is_divided(
    row: str, start_sls: Callable[..., Envoy], sls: FakeSls, primary: Primary
) -> None:
    """The service of this test takes no more than two logs at once."""
    refusal = ROWS[row][1]
    sls.behave = lambda request: refusal if len(sls_edge.logs_of(request)) > 2 else OK
    envoy = start_sls(with_rum=False)
    began = time.time()
    post(envoy, sls_traffic.logs([f"number {n}" for n in range(9)]))
    arrived(envoy, sls, primary.requests, began)
    assert sls.doubled() == []
    assert len(sls_edge.logs_of(sls.requests[0])) == 9


@pytest.mark.parametrize("row", [name for name, (fate, _) in ROWS.items() if fate == "isolate"])
def test_one_bad_log_does_not_take_the_others_with_it(row: str, start_sls: Callable[..., Envoy], sls: FakeSls) -> None:
    refusal = ROWS[row][1]

    def poisoned(request: Request) -> Behaviour:
        bad = any(log.get("sentry.message") == "number 5" for log in sls_edge.logs_of(request))
        return refusal if bad else OK

    sls.behave = poisoned
    envoy = start_sls(with_rum=False)
    post(envoy, sls_traffic.logs([f"number {n}" for n in range(9)]))
    metrics = settled(envoy, leg="sls", captured=9, delivered=8, pending=0)
    assert metrics["sls.failed"] + metrics["sls.dropped"] == 1
    assert sorted(log["sentry.message"] for log in sls.logs) == [f"number {n}" for n in range(9) if n != 5]
    assert sls.doubled() == []
    # Halving finds one of nine in at most nine requests; sending it over and over would be more.
    assert len(sls.requests) <= 10


@pytest.mark.parametrize("row", UNDECIDED)
def test_what_is_left_to_us_ends_and_is_counted(row: str, start_sls: Callable[..., Envoy], sls: FakeSls) -> None:
    sls.behave = UNDECIDED[row]
    envoy = start_sls(sls_edge.section(retry={"max_attempts": 2, "max_backoff_ms": 200}), with_rum=False)
    post(envoy, sls_traffic.logs(["one", "two"]))
    metrics = settled(envoy, leg="sls", captured=2, delivered=0, pending=0)
    assert metrics["sls.failed"] + metrics["sls.dropped"] == 2
    # What comes after is sent when all is well again.
    sls.behave = OK
    post(envoy, sls_traffic.event("after"))
    settled(envoy, leg="sls", captured=3, delivered=1, pending=0)


@pytest.mark.parametrize("version", ["v1", "v4"])
@pytest.mark.parametrize("skew", [-2 * HOUR, 16 * 60, 2 * HOUR, 5 * 24 * HOUR])
def test_a_wrong_clock_of_the_edge_is_corrected_by_the_service(
    version: str, skew: int, start_sls: Callable[..., Envoy], sls: FakeSls
) -> None:
    """One refusal teaches the time, and every request after it is signed with that. The clients' clocks are right."""
    sls.skew = skew
    envoy = start_sls(sls_edge.section(signature=version, region=sls_edge.REGION), with_rum=False)
    post(envoy, sls_traffic.event("first", timestamp=sls.now()))
    sls.wait(1)
    assert [refusal.code for refusal in sls.refused] == ["RequestTimeExpired"]
    post(envoy, *(sls_traffic.event(f"number {n}", timestamp=sls.now()) for n in range(3)))
    settled(envoy, leg="sls", captured=4, delivered=4, failed=0, pending=0)
    assert len(sls.refused) == 1
    assert sls.doubled() == []


@pytest.mark.parametrize("skew", [-2 * HOUR, 10 * 24 * HOUR])
def test_times_that_the_service_cannot_take_are_clamped_once_its_time_is_known(
    skew: int, start_sls: Callable[..., Envoy], sls: FakeSls
) -> None:
    """Clients and edge are both wrong. The batch that taught the time was clamped by the wrong one and may be refused
    for good, counted; no later one may."""
    sls.skew = skew
    envoy = start_sls(with_rum=False)
    post(envoy, sls_traffic.event("first"))
    settled(envoy, leg="sls", captured=1, pending=0)
    sls.verify(ignoring=("time is out of range",))
    lost = 1 - len(sls.logs)
    post(envoy, *(sls_traffic.event(f"number {n}") for n in range(3)))
    settled(envoy, leg="sls", captured=4, delivered=4 - lost, pending=0)
    assert len(sls.logs) == 4 - lost


# ---- the primary


@pytest.mark.parametrize("row", ["hang", "reset", "500-InternalServerError", "401-Unauthorized", "closed"])
def test_the_primary_does_not_notice(row: str, start_sls: Callable[..., Envoy], sls: FakeSls, primary: Primary) -> None:
    """Ten requests on one connection, as quick as ever; the bound is far from both a quick answer and SLS's trouble."""
    if row == "closed":
        sls.close()
    else:
        sls.behave = ROWS[row][1]
    envoy = start_sls(sls_edge.section(retry={"max_attempts": 2}), with_rum=False)
    took = []
    with replay.Client(envoy.port) as client:
        for number in range(10):
            began = time.monotonic()
            answer = client.request("/api/1/envelope/", sls_traffic.event(f"number {number}"))
            took.append(time.monotonic() - began)
            assert (answer.status, answer.by_primary) == (200, True)
    assert sorted(took)[5] < 0.35, took
    assert len(primary.requests) == 10
