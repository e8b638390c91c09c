"""Requests that two parsers could read in two ways, as bytes, through Envoy with and without the module.

HTTP/1.1 (support/smuggle1.py) and HTTP/2, which becomes HTTP/1.1 behind the edge (support/smuggle2.py).

The primary gets what it would get without the module, the client the same answers, and no copy holds anything that the
primary did not get: a copy of a request that nobody sent would be the smuggler's success.
"""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from support import rules, sls_checks, sls_edge, smuggle, smuggle2
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.http1 import Request
from support.pair import Setup, setup, without_request_id
from support.primary import Primary
from support.shared import Shared
from support.smuggle import CASES, WIRES, of, talk


class Seen(NamedTuple):
    """What became of one case."""

    statuses: list[int]
    plain_statuses: list[int]
    requests: list[Request]
    plain_requests: list[Request]
    copies: list[Request]


@pytest.fixture(scope="module", params=["tee.yaml", "tee-sls.yaml"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Setup]:
    """With one leg, and with both: the SLS leg reads the same bytes, and nothing that the primary did not get."""
    directory, began = tmp_path_factory.mktemp("smuggling"), time.time()
    if request.param == "tee.yaml":
        yield from setup(directory, rum_config["authority"])
        return
    sls = sls_edge.fake_sls()
    for both in setup(
        directory, rum_config["authority"], name=request.param, edit=sls_edge.edit(sls, sls_edge.section())
    ):
        yield both
        logs = sls_checks.arrived(both.mirrored, sls, [r for r in both.primary.requests if r.complete], began)
        assert len(logs) > 10, "a leg that does nothing changes nothing"
    sls.close()
    sls.verify()


@pytest.fixture(scope="module")
def seen(pair: Setup, rum_config: dict) -> dict[tuple[str, str], Seen]:
    """All cases through both edges. Copies beyond those of what the primary got fail the test module at its end."""
    statuses = smuggle.sweep([pair.mirrored.port, pair.plain.port])
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
    with Shared(tmp_path, primary.port, rum.port) as edge, ThreadPoolExecutor() as pool:
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
