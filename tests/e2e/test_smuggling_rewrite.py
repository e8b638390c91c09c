"""The wires of test_smuggling.py through mode `rewrite`, plain and with `fast_ack`, as if nginx had let them pass.

Nothing leaves unchanged: whatever reaches RUM has the path and headers of a copy (the fake RUM judges each head, also
that of a request which breaks off), and it is one copy of one request that Envoy's own parser read.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from support import sample, smuggle
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum, own_headers
from support.http1 import Request
from support.primary import Primary
from support.rewrite_edge import FAST, NAME, PLAIN, copy_of
from support.shared import Shared
from support.smuggle import CASES, of


# So many answers of its own Envoy queues for requests that came at once; then it ends the connection.
QUEUED = 2
PEER = ("x-forwarded-for", ("127.0.0.1",))
Went = tuple[str, str, tuple]


class Seen(NamedTuple):
    """What became of one case: the copies that arrived, and those of what would have passed without the module."""

    copies: Counter[Went]
    wanted: Counter[Went]
    all_wanted: bool  # nothing was answered before its body had come, or beyond what Envoy queues


def let_everything_pass(bootstrap: sample.Yaml) -> None:
    """The sample's Envoy without the module answers by itself; here it forwards what it has parsed."""
    for listener in bootstrap["static_resources"]["listeners"]:
        (host,) = sample.hcm(listener)["route_config"]["virtual_hosts"]
        host["routes"] = [{"match": {"prefix": "/"}, "route": {"cluster": "rum"}}]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Envoy, Primary]]:
    anywhere = Primary()
    directory = tmp_path_factory.mktemp("smuggling-parsed")
    with Envoy(directory, 9, anywhere.port, name=NAME, with_mirror=False, edit=let_everything_pass) as plain:
        yield plain, anywhere
    anywhere.close()


@pytest.fixture(scope="module", params=[FAST, PLAIN], ids=["fast_ack", "plain"])
def seen(
    request: pytest.FixtureRequest,
    parsed: tuple[Envoy, Primary],
    tmp_path_factory: pytest.TempPathFactory,
    rum_config: dict[str, Any],
) -> Iterator[dict[tuple[str, str], Seen]]:
    rum = FakeRum(rum_config["authority"])
    directory = tmp_path_factory.mktemp("smuggling-rewrite")
    plain, anywhere = parsed
    mark = anywhere.mark()

    def wanted(requests: list[Request]) -> list[Went]:
        copies = (copy_of(one, rum_config, request.param is PLAIN) for one in requests)
        # No nginx has named the client, so it is the peer.
        return [(copy.path, copy.sha256, tuple(sorted((*copy.headers, PEER)))) for copy in copies if copy is not None]

    with Shared(directory, 9, rum.port, name=NAME, configuration=request.param) as edge:
        smuggle.sweep([edge.port, plain.port])
        settled(edge, pending=0, in_flight=0)
        arrived, passed = list(rum.taken), anywhere.since(mark)
        found = {}
        for number, case in enumerate(CASES):
            copies = Counter((copy.target, copy.sha256, own_headers(copy)) for copy in of(number, arrived))
            whole = [one for one in of(number, passed) if one.complete]
            every = wanted(whole)
            queued = request.param is PLAIN or len(whole) <= QUEUED
            found[case] = Seen(copies, Counter(every), queued and len(every) == len(whole))
        yield found
    rum.close()
    assert rum.violations == []


@pytest.mark.parametrize("then", ["alone", "then-another"])
@pytest.mark.parametrize("name", smuggle.WIRES)
def test_what_leaves_is_one_copy_of_one_request(name: str, then: str, seen: dict) -> None:
    found: Seen = seen[name, then]
    assert found.copies <= found.wanted
    # What is no copy is answered at once, before its body has come, and that ends the connection.
    if found.all_wanted:
        assert found.copies == found.wanted


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_the_wires_are_copied_and_refused(version: str, seen: dict) -> None:
    """Guards against a suite that passes because nothing leaves."""
    cases = [bool(found.copies) for (name, _), found in seen.items() if name.startswith(version)]
    assert min(cases.count(True), cases.count(False)) > len(cases) / 8
