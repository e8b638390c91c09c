"""The wires of test_smuggling.py as writes to SLS, through mode `sign`.

Whatever the client made of its bytes: what arrives at SLS is what Envoy's own parser read, POST, for the listed
logstore, with one body, and that one is signed with the edge's key. Nothing else arrives.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from support import sample, sign_edge, sls_edge, smuggle, smuggle1
from support.envoy import Envoy
from support.fake_sls import FakeSls, Key
from support.http1 import Request
from support.primary import Primary
from support.shared import Shared
from support.sls_group import Group
from support.smuggle import CASES, of

# As long as the paths that they stand for: chunk sizes and lengths stay right.
STORE = "app-1"
TARGETS = {
    b"api/1/envelope/": b"logstores/app-1",
    b"api/2/envelope/?hidden": b"logstores/other?key=xy",
    b"api/2/envelope/": b"logstores/other",
    b"api/3/envelope/?after": b"logstores/app-1?key=a",
    b"api/1/../2/envelope/": b"logstores/app-1/../x",
    b"api/1%2fenvelope/": b"logstores%2fapp-1",
}
# All that may be written; the second one is what AFTER has become.
ALLOWED = {"/logstores/app-1", "/logstores/app-1?key=a"}

DENIED = {403, 413}


def as_write(wire: bytes) -> bytes:
    for target, write in TARGETS.items():
        wire = wire.replace(target, write)
    return wire


class AnyBody(FakeSls):
    """Takes these bodies, which are no log groups. The head is judged, and the signature by the body that came."""

    def _read_group(self, request: Request) -> Group:
        return Group(request.body, [])


class Seen(NamedTuple):
    """What became of one case, with the module and without."""

    statuses: list[int]
    plain_statuses: list[int]
    arrived: list[Request]
    plain: list[Request]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Seen]]:
    directory = tmp_path_factory.mktemp("smuggling-sign")
    service = AnyBody({sls_edge.KEY_ID: Key(sls_edge.SECRET)}, sls_edge.PROJECT, sls_edge.ENDPOINT, STORE)
    service.region, service.version = sls_edge.REGION, "v4"
    anywhere = Primary()

    def listed(bootstrap: sample.Yaml) -> None:
        for listener in bootstrap["static_resources"]["listeners"]:
            sample.plugin(listener)["sign"] = {"logstores": [STORE]}

    with (
        sign_edge.start(directory / "with", service, "v4", also=listed, kind=Shared) as edge,
        Envoy(
            directory / "without", 9, 9, name=sign_edge.NAME, with_mirror=False,
            edit=lambda bootstrap: sls_edge.clusters(bootstrap, anywhere.port, None),
        ) as plain,
    ):  # fmt: skip
        statuses = smuggle.sweep([edge.port, plain.port], as_write)
        sign_edge.settled(edge)
        yield {
            case: Seen(*statuses[number], of(number, service.requests), of(number, anywhere.requests))
            for number, case in enumerate(CASES)
        }
    service.close()
    anywhere.close()
    service.verify()


def writes(requests: list[Request]) -> Counter[tuple[str, str]]:
    return Counter((request.target, request.sha256) for request in requests)


def test_the_wires_are_those_of_a_log_service() -> None:
    for target, write in TARGETS.items():
        assert len(target) == len(write)
    assert not [name for name, both in smuggle.WIRES.items() if b"api/" in as_write(b"".join(both))]


@pytest.mark.parametrize("then", ["alone", "then-another"])
@pytest.mark.parametrize("name", smuggle.WIRES)
def test_what_arrives_is_what_was_asked_for_and_allowed(name: str, then: str, seen: dict) -> None:
    """That it is signed is the fake's business: it refuses and writes down whatever is not, and so fails the module."""
    found: Seen = seen[name, then]
    parsed = [request for request in found.plain if request.complete]
    allowed = [request for request in parsed if request.method == "POST" and request.target in ALLOWED]
    got, wanted = writes(found.arrived), writes(allowed)
    assert got <= wanted
    # A denial may come before the body has, and then ends the connection with all that is behind it.
    if not DENIED & set(found.statuses):
        assert got == wanted
        assert found.statuses == found.plain_statuses
    for request in found.arrived:
        assert smuggle1.COOKIE not in request.head


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_the_wires_are_signed_and_refused(version: str, seen: dict) -> None:
    """Guards against a suite that passes because nothing is signed, or everything."""
    cases = [bool(found.arrived) for (name, _), found in seen.items() if name.startswith(version)]
    assert min(cases.count(True), cases.count(False)) > len(cases) / 8


def test_what_is_denied_is_denied_by_the_module(seen: dict) -> None:
    """And without it, it would have passed."""
    for name in ("h1-dots", "h1-encoded-slash"):
        found: Seen = seen[name, "alone"]
        assert (found.statuses, found.plain_statuses) == ([403], [200, -1]), name
