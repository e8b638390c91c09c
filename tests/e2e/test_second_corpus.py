"""The whole corpus to a second Sentry (`sentry`, with `routes: all`): each copy is the request but for its path, its key and its
DSN, worked out a second time in Python; and the primary gets the same bytes as without the module.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from support import fixtures, relay_envelope, replay, rules, second
from support.envoy import settled
from support.http1 import Request
from support.pair import Setup, setup, without_request_id
from support.rekey import Rekeyed
from support.second import FakeSecond


class Two(NamedTuple):
    """Envoy with the leg and Envoy without the module, and the second Sentry."""

    pair: Setup
    second: FakeSecond
    seen: list[tuple[Request, Rekeyed]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Two]:
    saas = FakeSecond()
    # The corpus has projects of every size, which nobody lists.
    section = second.section(saas.port, routes="all", default=second.dsn(1, saas.port).text)
    configuration = {"rum": {"routes": "all"}, "sentry": section}
    directory = tmp_path_factory.mktemp("second")
    edges = setup(directory, rum_config["authority"], configuration, edit=second.cluster(saas.port))
    for pair in edges:
        yield Two(pair, saas, [])
        second.books(pair.mirrored, captured=saas.expected, delivered=saas.expected, pending=0)
    saas.close()
    saas.verify()


def same_bytes(fixture: fixtures.Fixture, pair: Setup) -> list[Request]:
    """Sends through both; what the primary got, which has to be the same."""
    marks = pair.primary.mark(), pair.plain_primary.mark()
    answers = [replay.replay(fixture, edge.port) for edge in (pair.mirrored, pair.plain)]
    one, other = [[(answer.status, answer.body) for answer in of] for of in answers]
    assert one == other
    got = [request for request in pair.primary.since(marks[0]) if request.complete]
    plain = [request for request in pair.plain_primary.since(marks[1]) if request.complete]
    wanted = [(without_request_id(request), request.body, request.framing) for request in plain]
    assert [(without_request_id(request), request.body, request.framing) for request in got] == wanted
    if fixture.wire is None:
        assert all((r.target, r.body) == (fixture.meta["path"], fixture.body) for r in got)
    return got


def expect(two: Two, rum_config: dict, request: Request) -> None:
    """The copies for RUM and for the second Sentry."""
    two.pair.rum.expect(rules.Copy.of(rum_config, request, everything=True))
    project = rules.project(request.target, everything=True)
    known = project if project in second.PROJECTS else 1
    found = second.rekey.of(second.dsn(known, two.second.port), request, everything=True)
    if found is not None:
        two.second.expect(found.copy)
        two.seen.append((request, found))


@pytest.mark.parametrize("fixture", fixtures.load(), ids=str)
def test_the_copy_is_the_request_with_another_key(fixture: fixtures.Fixture, two: Two, rum_config: dict) -> None:
    for request in same_bytes(fixture, two.pair):
        expect(two, rum_config, request)
    for target in (two.pair.rum, two.second):
        target.wait()
        target.verify()


def test_the_corpus_has_envelopes_that_change_and_others(two: Two) -> None:
    """Guards against a suite that passes because nothing was to be done."""
    changed = [(request, copy) for request, copy in two.seen if copy.changed]
    print(f"{len(changed)} of {len(two.seen)} copies have another body")
    assert len(changed) > 50 and len(two.seen) - len(changed) > 50
    assert {request.header("content-encoding") for request, _ in changed} >= {None, "gzip", "br"}
    for request, copy in changed:
        if request.header("content-encoding") is None:
            # All behind the header, byte for byte.
            rest = request.body[relay_envelope.head(request.body)[1] :]
            assert copy.body.endswith(rest) and rest
    settled(two.pair.mirrored, captured=two.pair.rum.expected, delivered=two.pair.rum.expected)
