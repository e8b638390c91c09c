"""What the SLS tests do and ask again and again."""

from . import expected_logs, replay, rules
from .envoy import Envoy, settled
from .fake_rum import FakeRum
from .fake_sls import FakeSls
from .http1 import Request
from .sls_group import Log

HOUR = 3600


def post(envoy: Envoy, *bodies: bytes) -> None:
    """Sends envelopes on one connection; the primary's answers come as if there were no legs."""
    with replay.Client(envoy.port) as client:
        for body in bodies:
            answer = client.request("/api/1/envelope/", body)
            assert (answer.status, answer.by_primary) == (200, True)


def expect_copies(rum: FakeRum, rum_config: dict, requests: list[Request]) -> None:
    for request in requests:
        rum.expect(rules.Copy.of(rum_config, request))


def expectation(requests: list[Request]) -> list[expected_logs.Expected]:
    return [log for request in requests for log in expected_logs.of_request(request)]


def arrived(envoy: Envoy, sls: FakeSls, requests: list[Request], began: float, words: bool = True) -> list[Log]:
    """Waits until the module says that all is delivered, then compares what the logstore has with the expectation."""
    wanted = expectation(requests)
    settled(envoy, 30, leg="sls", captured=len(wanted), delivered=len(wanted), failed=0, dropped=0, pending=0)
    logs = sls.since(0)
    problems = expected_logs.differences(wanted, logs, began, words)
    assert not problems, f"{len(problems)} differences:\n  " + "\n  ".join(problems[:20])
    assert expected_logs.by_type(wanted).total() == len(logs)
    return logs


def check_times(logs: list[Log], began: float) -> None:
    """A log's time is its item's own where SLS accepts that, else the nearest that it accepts, and then it says so."""
    for log in logs:
        own = int(log["timestamp"])
        if began - 6.9 * 24 * HOUR < own / 1000 < began + 13 * 60:
            assert (log.time, log.time_ns // 1_000_000) == divmod(own, 1000), log
            assert log.get("sentry.time_clamped") is None, log
        elif not began - 7.1 * 24 * HOUR < own / 1000 < began + 17 * 60:
            assert log.get("sentry.time_clamped") == "true", log
