"""Two Envoys from the same sample, one without the module, each with a primary of its own: what one changes shows."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .envoy import Envoy, settled
from .fake_rum import FakeRum
from .http1 import Request
from .primary import Primary
from .shared import Shared


class Setup(NamedTuple):
    """Both, and the receiver of the copies."""

    mirrored: Envoy
    primary: Primary
    rum: FakeRum
    plain: Envoy
    plain_primary: Primary


def setup(directory: Any, authority: str, configuration: dict | None = None, **options: Any) -> Iterator[Setup]:
    """`options`: of the Envoy with the module."""
    primary, plain_primary, rum = Primary(), Primary(), FakeRum(authority)
    with (
        Shared(directory / "with", primary.port, rum.port, configuration=configuration, **options) as mirrored,
        Envoy(directory / "without", plain_primary.port, rum.port, with_mirror=False) as plain,
    ):
        yield Setup(mirrored, primary, rum, plain, plain_primary)
        settled(mirrored, captured=rum.expected, delivered=rum.expected, pending=0)
    for server in (primary, plain_primary, rum):
        server.close()
    rum.verify()


def without_request_id(request: Request) -> bytes:
    """The head as received, but for the id that Envoy makes up for a request that has none."""
    return re.sub(rb"(?mi)^(x-request-id: )[0-9a-f-]{36}\r$", rb"\1made up\r", request.head)
