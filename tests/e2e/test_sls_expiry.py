"""A key that expires is replaced in time. A file of its own, because a minute passes in it: files run side by side."""

import time
from collections.abc import Callable

from support import sls_edge, sls_traffic, wait
from support.envoy import Envoy
from support.fake_metadata import FakeMetadata
from support.fake_sls import FakeSls
from support.primary import Primary
from support.sls_checks import arrived, post


def test_a_credential_is_replaced_before_it_expires(
    start_sls: Callable[..., Envoy], sls: FakeSls, metadata: FakeMetadata, primary: Primary
) -> None:
    """One that lives for two minutes is due at once, and asked for again a minute later; SLS never sees it refused."""
    metadata.life_s = 120.0
    envoy = start_sls(sls_edge.section(sls_edge.RAM_ROLE), metadata=metadata, with_rum=False)
    began = time.time()
    post(envoy, sls_traffic.event("with the first key"))
    sls.wait(1)
    metadata.rotate()
    wait.until("the second key was handed out", lambda: len(metadata.issued) == 2, 75, 0.1)
    rounds = metadata.calls["keys"]

    def signed_with_the_second() -> bool:
        post(envoy, sls_traffic.event("with which key?"))
        return "STS.0002" in (sls.requests[-1].header("authorization") or "")

    # Each instance of the module asks for itself, and the worker's may be the second to do so.
    wait.until("a write is signed with the second key", signed_with_the_second, 10, 0.2)
    arrived(envoy, sls, primary.requests, began)
    assert rounds <= 4
    assert sls.refused == []
