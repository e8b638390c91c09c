"""Requests that two parsers could read in two ways, as bytes, through Envoy with and without the module.

HTTP/1.1 (support/smuggle1.py) and HTTP/2, which becomes HTTP/1.1 behind the edge (support/smuggle2.py).

The primary gets what it would get without the module, the client the same answers, and no copy holds anything that the
primary did not get: a copy of a request that nobody sent would be the smuggler's success.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from support import replay, rules, smuggle1, smuggle2
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.http1 import Request
from support.pair import Setup, setup, without_request_id
from support.primary import Primary

# By name: the case's own bytes, and those of somebody else's request behind them.
WIRES = {f"h1-{name}": (wire, smuggle1.AFTER) for name, wire in smuggle1.WIRES.items()}
WIRES |= {f"h2-{name}": (smuggle2.wire(frames), smuggle2.AFTER) for name, frames in smuggle2.FRAMES.items()}
CASES = [(name, then) for name in WIRES for then in ("alone", "then-another")]
# So long nothing came: the edge waits for more.
SILENCE_SECONDS = 1.5


class Seen(NamedTuple):
    """What became of one case."""

    statuses: list[int]
    plain_statuses: list[int]
    requests: list[Request]
    plain_requests: list[Request]
    copies: list[Request]


def answers(client: replay.Client) -> Iterator[int]:
    """Statuses of HTTP/1.1 answers, up to the end of the connection."""
    while status := client.answer().status:
        yield status


def talk(port: int, wire: bytes) -> list[int]:
    """Sends bytes and reads all answers: their statuses in order; -1 when it ends in silence."""
    statuses: list[int] = []
    is_h2 = wire.startswith(smuggle2.PREFACE)
    # The sending side stays open: Envoy gives up a request whose client has half closed.
    with replay.Client(port, timeout=SILENCE_SECONDS) as client:
        try:
            client.send(wire)
        except OSError:
            pass  # refused in the middle: the answer is there to be read
        try:
            for status in smuggle2.answers(client) if is_h2 else answers(client):
                # HTTP/1.1, refused: Envoy answers and closes at once, and the reset may overtake the answer.
                if status == 400 and not is_h2:
                    break
                statuses.append(status)
        except TimeoutError:
            statuses.append(-1)
    # The streams of one HTTP/2 connection are answered in any order.
    return sorted(statuses) if is_h2 else statuses


def agent(number: int) -> bytes:
    return b"case-%04d" % number


def of(number: int, requests: list[Request]) -> list[Request]:
    return [request for request in requests if agent(number) in request.head]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Setup]:
    yield from setup(tmp_path_factory.mktemp("smuggling"), rum_config["authority"])


@pytest.fixture(scope="module")
def seen(pair: Setup, rum_config: dict) -> dict[tuple[str, str], Seen]:
    """All cases through both edges. Copies beyond those of what the primary got fail the test module at its end."""
    wires = {}
    for number, (name, then) in enumerate(CASES):
        wire, after = WIRES[name]
        wire += after if then == "then-another" else b""
        wires[number] = wire.replace(smuggle1.AGENT, agent(number))
    with ThreadPoolExecutor(48) as pool:
        jobs = {n: [pool.submit(talk, port, w) for port in (pair.mirrored.port, pair.plain.port)] for n, w in wires.items()}
        statuses = {number: [job.result() for job in both] for number, both in jobs.items()}
    for request in pair.primary.requests:
        pair.rum.expect(rules.Copy.of(rum_config, request))
    pair.rum.wait()
    arrived = list(pair.rum.taken)
    return {
        case: Seen(
            *statuses[number],
            of(number, pair.primary.requests),
            of(number, pair.plain_primary.requests),
            of(number, arrived),
        )
        for number, case in enumerate(CASES)
    }


@pytest.mark.parametrize("then", ["alone", "then-another"])
@pytest.mark.parametrize("name", WIRES)
def test_the_primary_gets_what_it_would_get_without_us(name: str, then: str, seen: dict) -> None:
    found: Seen = seen[name, then]
    assert found.statuses == found.plain_statuses
    # How much gets through of a request that never ends is a matter of timing, on both sides.
    # The streams of one HTTP/2 connection come in any order.
    with_module, without = (
        sorted((without_request_id(r), r.framing, r.body) for r in requests if r.complete)
        for requests in (found.requests, found.plain_requests)
    )
    assert with_module == without


@pytest.mark.parametrize("then", ["alone", "then-another"])
@pytest.mark.parametrize("name", WIRES)
def test_a_copy_has_nothing_that_the_primary_did_not_get(name: str, then: str, seen: dict, rum_config: dict) -> None:
    found: Seen = seen[name, then]
    copies = [rules.Copy.of(rum_config, request) for request in found.requests]
    expected = Counter((copy.path, copy.sha256) for copy in copies if copy)
    assert Counter((copy.target, copy.sha256) for copy in found.copies) == expected


def test_when_the_edge_breaks_off_behind_a_whole_request_its_copy_is_that_request(
    tmp_path: Path, rum_config: dict
) -> None:
    """The copy may be there although the primary never saw the request; what came behind the request is in neither."""
    primary, rum = Primary(), FakeRum(rum_config["authority"])
    wires = [smuggle2.wire(frames) for frames in smuggle2.BREAKS.values()]
    with Envoy(tmp_path, primary.port, rum.port) as edge, ThreadPoolExecutor() as pool:
        # At first there is no connection to the primary, later there is one.
        for _ in range(2):
            list(pool.map(talk, [edge.port] * len(wires), wires))
        metrics = settled(edge, pending=0)
    primary.close()
    rum.close()
    own = rules.copy_path(rum_config, "/api/1/envelope/"), b"{}"
    assert [(copy.target, copy.body) for copy in rum.taken] == [own] * metrics["rum.captured"]
    whole = {(request.target, request.body) for request in primary.requests if request.complete}
    # The second one: the length that was announced.
    assert whole <= {("/api/1/envelope/", b"{}"), ("/api/1/envelope/", b"")}
    assert not rum.violations


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_the_wires_are_taken_refused_and_cut_short(version: str, seen: dict) -> None:
    """Guards against a suite that passes because Envoy refuses everything, or nothing."""
    outcomes = [
        any(request.complete for request in found.requests)
        for (name, _), found in seen.items()
        if name.startswith(version)
    ]
    assert min(outcomes.count(True), outcomes.count(False)) > len(outcomes) / 8
    known = {
        ("h1-chunk-extension", "alone"): [200, -1],
        ("h1-chunk-extension", "then-another"): [200, 200, -1],
        ("h1-te.cl", "alone"): [],
        ("h1-chunked-never-ends", "alone"): [-1],
        ("h2-length-right", "then-another"): [-1, 200, 200],
        ("h2-reset-in-the-middle", "alone"): [-1],
    }
    assert {case: seen[case].plain_statuses for case in known} == known
