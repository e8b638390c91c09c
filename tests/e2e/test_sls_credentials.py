"""Keys that are fetched, refused, replaced, disabled and enabled again: logs wait for one, and none is lost."""

import time
from collections.abc import Callable

import pytest

from support import sls_edge, sls_traffic, wait
from support.envoy import Envoy, settled
from support.fake_metadata import OPTIONAL, PLAIN_ONLY, REQUIRED, FakeMetadata, Mode
from support.fake_rum import FakeRum
from support.fake_sls import Behaviour, FakeSls
from support.primary import Primary
from support.sls_checks import arrived, expect_copies, post


@pytest.mark.parametrize("mode", [OPTIONAL, REQUIRED, PLAIN_ONLY], ids=["optional", "required", "plain"])
def test_the_instance_role_signs(
    mode: Mode, start_sls: Callable[..., Envoy], sls: FakeSls, metadata: FakeMetadata, primary: Primary
) -> None:
    """Hardened mode first, plain second; the security token goes along and is signed (the fake checks both)."""
    metadata.mode = mode
    envoy = start_sls(sls_edge.section(sls_edge.RAM_ROLE), metadata=metadata, with_rum=False)
    began = time.time()
    post(envoy, sls_traffic.event("signed by the role"))
    arrived(envoy, sls, primary.requests, began)
    # One round per instance of the module: the worker's, and the one that Envoy has on its main thread.
    assert 1 <= metadata.calls["keys"] <= 2
    assert metadata.calls["token"] == metadata.calls["keys"]
    if mode is not PLAIN_ONLY:
        assert metadata.calls["refused"] == 0


def test_writes_wait_while_there_is_no_credential(
    start_sls: Callable[..., Envoy],
    sls: FakeSls,
    metadata: FakeMetadata,
    primary: Primary,
    rum: FakeRum,
    rum_config: dict,
) -> None:
    """The metadata service is away when Envoy starts: the copies go, the logs wait, none is lost."""
    metadata.close()
    envoy = start_sls(sls_edge.section(sls_edge.RAM_ROLE), metadata=metadata)
    began = time.time()
    post(envoy, *(sls_traffic.event(f"number {n}") for n in range(10)))
    expect_copies(rum, rum_config, primary.requests)
    rum.wait()
    settled(envoy, leg="sls", captured=10, pending=10, attempts=0)
    assert sls.requests == []
    metadata.reopen()
    arrived(envoy, sls, primary.requests, began)
    assert sls.doubled() == []


def test_a_revoked_role_key_is_replaced(
    start_sls: Callable[..., Envoy], sls: FakeSls, metadata: FakeMetadata, primary: Primary
) -> None:
    """SLS refuses the key: a new one is asked for, at most once a minute, and what waited is signed with it."""
    patient = {"max_attempts": 100, "max_backoff_ms": 4000}
    envoy = start_sls(sls_edge.section(sls_edge.RAM_ROLE, retry=patient), metadata=metadata, with_rum=False)
    began = time.time()
    post(envoy, sls_traffic.event("with the first key"))
    sls.wait(1)
    sls.keys["STS.0001"].refuse = (401, "SecurityTokenExpired", "the security token has expired")
    metadata.rotate()
    post(envoy, *(sls_traffic.event(f"number {n}") for n in range(5)))
    sls.wait(6, 90)
    arrived(envoy, sls, primary.requests, began)
    assert metadata.issued == ["STS.0001", "STS.0002"]
    assert metadata.keys_at[-1] - metadata.keys_at[0] >= 55
    assert metadata.calls["keys"] <= 3
    assert sls.doubled() == []


def test_a_literal_key_that_is_disabled_and_enabled_again(
    start_sls: Callable[..., Envoy], sls: FakeSls, primary: Primary
) -> None:
    envoy = start_sls(with_rum=False)
    began = time.time()
    sls.keys[sls_edge.KEY_ID].refuse = (401, "Unauthorized", "AccessKeyId is disabled")
    post(envoy, *(sls_traffic.event(f"number {n}") for n in range(5)))
    wait.until("the key was refused twice", lambda: len(sls.refused) >= 2)
    assert sls.logs == []
    settled(envoy, leg="sls", captured=5, pending=5, failed=0)
    sls.keys[sls_edge.KEY_ID].refuse = None
    arrived(envoy, sls, primary.requests, began)
    assert sls.doubled() == []


def test_no_secret_is_shown(start_sls: Callable[..., Envoy], sls: FakeSls, metadata: FakeMetadata) -> None:
    """Neither in Envoy's log nor in its statistics, whatever happens to the key."""
    envoy = start_sls(sls_edge.section(sls_edge.RAM_ROLE), metadata=metadata, with_rum=False)
    post(envoy, sls_traffic.event("taken"))
    sls.wait(1)
    key = sls.keys["STS.0001"]
    key.refuse = (401, "Unauthorized", "AccessKeyId is disabled")
    post(envoy, sls_traffic.event("refused"))
    wait.until("the key was refused", lambda: sls.refused)
    shown = envoy.log() + envoy.admin("/stats")
    assert [
        word for word in (key.secret, key.token, "refused", sls_edge.SECRET) if word in shown and len(word) > 8
    ] == []


@pytest.mark.parametrize("kind", ["hang", "reset", "500", "403"])
def test_a_token_that_is_not_to_be_had_leads_to_plain_mode(
    kind: str, start_sls: Callable[..., Envoy], sls: FakeSls, metadata: FakeMetadata, primary: Primary
) -> None:
    """Hardened mode is tried first; whatever is wrong with it, an instance that allows plain mode still signs."""
    trouble = {"hang": Behaviour(hang=True), "reset": Behaviour(reset=True)}
    metadata.behave["token"] = trouble.get(kind) or Behaviour(int(kind), body=b"no")
    envoy = start_sls(sls_edge.section(sls_edge.RAM_ROLE), metadata=metadata, with_rum=False)
    began = time.time()
    post(envoy, sls_traffic.event("signed all the same"))
    arrived(envoy, sls, primary.requests, began)
    assert metadata.calls["refused"] == 0
