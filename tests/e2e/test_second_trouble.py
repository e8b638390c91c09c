"""A second Sentry that is away, or has limits: nobody else notices, and what waits goes when it can."""

import statistics
import time
from collections.abc import Callable

import pytest

from support import bugsink, fake_rum, replay, second, wait
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.fake_sls import FakeSls
from support.http1 import Request
from support.primary import Primary
from support.second import FakeSecond
from support.sls_checks import expectation
from support.sls_traffic import event

# Of the primary's answer, while the second Sentry is away: beside what it was before, or so many seconds more on a machine
# that has other things to do.
RATIO, MORE_SECONDS = 5.0, 0.030


def paced(port: int, count: int) -> list[float]:
    """Sends events to all projects, a hundred a second, and gives how long each answer took."""
    took = []
    with replay.Client(port) as client:
        for number in range(count):
            began = time.monotonic()
            answer = client.request(f"/api/{number % 3 + 1}/envelope/", event(f"number {number}"))
            took.append(time.monotonic() - began)
            assert (answer.status, answer.by_primary) == (200, True)
            time.sleep(max(0.0, 0.01 - took[-1]))
    return took


def test_a_second_sentry_that_is_away(
    start_second: Callable[..., Envoy],
    primary: Primary,
    rum: FakeRum,
    saas: FakeSecond,
    sls: FakeSls,
    rum_config: dict,
) -> None:
    envoy = start_second(sls=sls)
    before = paced(envoy.port, 100)
    second.books(envoy, captured=100, delivered=100)
    saas.close()
    away = paced(envoy.port, 300)
    # While it is away: the other legs have everything, and the second's waits.
    second.everything_at_rum(primary, rum, rum_config)
    settled(envoy, captured=400, delivered=400, pending=0, retries=0)
    logs = len(expectation(primary.requests))
    assert logs == 400
    settled(envoy, 30, leg="sls", captured=logs, delivered=logs, failed=0, dropped=0, pending=0, retries=0)
    books = second.books(envoy, captured=400, delivered=100, pending=300, failed=0, dropped=0)
    assert books["retries"] > 0
    slowest = max(RATIO * statistics.median(before), statistics.median(before) + MORE_SECONDS)
    assert statistics.median(away) < slowest, (statistics.median(before), statistics.median(away))
    saas.reopen()
    for request in primary.requests:
        saas.expect_of(request)
    saas.wait(seconds=30)
    second.books(envoy, captured=400, delivered=400, failed=0, dropped=0, pending=0)
    assert len(sls.since(0)) == logs and sls.doubled() == []


def types(requests: list[Request]) -> list[str]:
    """Of the one item of each."""
    return ["transaction" if b'"transaction"' in request.body else "event" for request in requests]


LIMIT_SECONDS = 3


def test_a_limit_of_transactions_holds_back_no_errors(
    start_second: Callable[..., Envoy], primary: Primary, rum: FakeRum, saas: FakeSecond, rum_config: dict
) -> None:
    envoy = start_second()
    saas.behave = second.limited("transaction", LIMIT_SECONDS)
    with replay.Client(envoy.port) as client:

        def send(item_type: str, number: int) -> None:
            target = f"/api/1/envelope/?sentry_key={bugsink.key(1)}"
            assert client.request(target, second.envelope(item_type, number)).status == 200

        send("transaction", 0)
        wait.until("the 429", lambda: saas.received == 1)
        began = time.monotonic()
        second.books(envoy, captured=1, pending=1, in_flight=0, retries=0)
        saas.behave = fake_rum.OK
        for number in range(1, 11):
            send("transaction", number)
            send("event", number)
        saas.wait(10)
        books = second.books(envoy, captured=21, delivered=10, pending=11, retries=0, failed=0)
        # Read within the limit, or it says nothing.
        assert time.monotonic() - began < LIMIT_SECONDS
    assert types(saas.taken) == ["event"] * 10 and books["attempts"] == 11
    for request in primary.requests:
        saas.expect_of(request)
    saas.wait()
    assert time.monotonic() - began >= LIMIT_SECONDS - 0.5
    assert types(saas.taken[10:]) == ["transaction"] * 11
    books = second.books(envoy, captured=21, delivered=21, retries=1, failed=0, dropped=0)
    assert books["attempts"] == saas.received == 22
    # Each is said once: what waited has not been tried in the meantime.
    second.everything_at_rum(primary, rum, rum_config)


def test_a_429_about_transactions_is_no_loss_of_the_others(
    start_second: Callable[..., Envoy], primary: Primary, rum: FakeRum, saas: FakeSecond, rum_config: dict
) -> None:
    """Relay takes the event and says 429 for the rest: sent again, it would be there twice."""
    envoy = start_second()
    saas.behave = second.limited("transaction", 1)
    both = second.envelope("event", 1) + b'{"type":"transaction"}\n{}\n'
    with replay.Client(envoy.port) as client:
        assert client.request("/api/1/envelope/", both).status == 200
    wait.until("the 429", lambda: saas.received == 1)
    books = second.books(envoy, captured=1, delivered=1, failed=0, dropped=0)
    assert books["attempts"] == 1
    second.everything_at_rum(primary, rum, rum_config)


BUDGET, BODY, AGE_MS = 40_000, 2_000, 60_000
# One copy goes as it came, the other is another envelope.
HEADERS = ["{}", '{"dsn":"https://theirs@edge.example/1"}']


@pytest.mark.parametrize("header", HEADERS, ids=["as it came", "renamed"])
def test_what_waits_for_a_limit_leaves_room_for_errors(
    start_second: Callable[..., Envoy], primary: Primary, rum: FakeRum, saas: FakeSecond, rum_config: dict, header: str
) -> None:
    """What waits has three quarters of the budget at most. The primary and RUM notice nothing."""
    envoy = start_second(retry=second.RETRY | {"max_age_ms": AGE_MS}, limits={"max_pending_bytes": BUDGET})
    saas.behave = second.limited("transaction", 15)
    with replay.Client(envoy.port) as client:

        def send(item_type: str, number: int) -> None:
            body = second.envelope(item_type, number, header).ljust(BODY)
            assert client.request("/api/1/envelope/", body).status == 200

        for number in range(61):
            send("transaction", number)
            if number == 0:
                wait.until("the 429", lambda: saas.received == 1)
        books = second.books(envoy, captured=61, in_flight=0, delivered=0, failed=0, attempts=1)
        assert 3 < books["pending"] and BUDGET / 2 < books["pending_bytes"] <= BUDGET * 3 / 4, books
        assert books["dropped"] == 61 - books["pending"]
        for number in range(10):
            send("event", number)
            wait.until("the event", lambda number=number: saas.accepted == number + 1)
    assert saas.received == 11
    # What waited goes afterwards: the first ones.
    saas.behave = lambda request: fake_rum.Behaviour()
    for kind, count in (("event", 10), ("transaction", books["pending"])):
        sent = [request for request in primary.requests if types([request]) == [kind]]
        for request in sent[:count]:
            saas.expect_of(request)
    second.books(envoy, 40, captured=71, delivered=10 + books["pending"], failed=0, pending=0)
    second.everything_at_rum(primary, rum, rum_config)


def test_a_limit_for_a_day_closes_its_category(
    start_second: Callable[..., Envoy], primary: Primary, rum: FakeRum, saas: FakeSecond, rum_config: dict
) -> None:
    """As of a plan without transactions: they would wait in vain, and do not go at all."""
    envoy = start_second(retry=second.RETRY | {"max_age_ms": 10_000})
    saas.behave = second.limited("transaction", 86_400)
    with replay.Client(envoy.port) as client:

        def send(item_type: str, number: int) -> None:
            assert client.request("/api/1/envelope/", second.envelope(item_type, number)).status == 200

        send("transaction", 0)
        # Its own next try would come when it is too old.
        second.books(envoy, captured=1, failed=1)
        for number in range(1, 21):
            send("transaction", number)
        for number in range(10):
            send("event", number)
    books = second.books(envoy, captured=11, delivered=10, failed=1, dropped=0, pending=0)
    assert books["skipped.limited"] == 20
    assert saas.received == 11
    for request in primary.requests:
        if types([request]) == ["event"]:
            saas.expect_of(request)
    second.everything_at_rum(primary, rum, rum_config)
