"""Real SDK programs -> real Envoy with the sample -> real Bugsink, and the copy at RUM.

What Bugsink was sent is written down by a forwarder in front of it; the copy has to be those bytes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from support import programs, rules
from support.bugsink import Bugsink
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.forwarder import Forwarder
from support.shared import Shared


class Stack(NamedTuple):
    """Everything between an SDK and its two receivers."""

    envoy: Envoy
    forwarder: Forwarder
    bugsink: Bugsink
    rum: FakeRum


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("sdk")
    rum = FakeRum(rum_config["authority"])
    bugsink = Bugsink(directory / "bugsink")
    forwarder = Forwarder(bugsink.port)
    try:
        with Shared(directory / "envoy", forwarder.port, rum.port, concurrency=2) as envoy:
            yield Stack(envoy, forwarder, bugsink, rum)
            settled(envoy, captured=rum.expected, delivered=rum.expected, pending=0)
    finally:
        forwarder.close()
        bugsink.stop()
        rum.close()
    rum.verify()


CASES = [(language, what) for language, kinds in programs.KINDS.items() for what in kinds]


@pytest.mark.parametrize(("language", "what"), CASES)
def test_event_is_at_the_server_and_byte_identical_at_rum(
    language: str, what: str, stack: Stack, rum_config: dict
) -> None:
    # Two mapped projects and one that takes the default.
    project = CASES.index((language, what)) % 3 + 1
    mark, taken = stack.forwarder.mark(), len(stack.rum.taken)
    ids = programs.run(language, what, project, stack.envoy.port)

    exchanges = stack.forwarder.since(mark)
    assert exchanges, "the SDK sent nothing"
    for exchange in exchanges:
        assert exchange.status == 200
        copy = rules.Copy.of(rum_config, exchange.request)
        assert copy is not None, f"an SDK sent something that is no envelope: {exchange.request}"
        stack.rum.expect(copy)
    if what not in ("transaction", "logs", "check_in"):
        assert ids, "the program reported no event"
    for event_id in ids:
        assert stack.bugsink.event(event_id) is not None, f"{event_id} is not in Bugsink"

    stack.rum.wait()
    copies = stack.rum.taken[taken:]
    assert sorted(c.body for c in copies) == sorted(e.request.body for e in exchanges)
    workspace = {1: "shop/web@aaaa1111", 2: "shop/api@bbbb2222", 3: "everything-else/default@cccc3333"}[project]
    assert {c.target.split("?")[0] for c in copies} == {f"/rum/sentry/{workspace}/api/{project}/envelope/"}


def test_the_programs_show_the_framings_and_encodings_of_real_sdks(stack: Stack) -> None:
    """If an SDK update changed what it sends, the tests above would quietly test less."""
    requests = [exchange.request for exchange in stack.forwarder.exchanges]
    assert {request.framing for request in requests} == {"content-length", "chunked"}
    assert {request.header("content-encoding") for request in requests} >= {None, "br", "gzip"}
