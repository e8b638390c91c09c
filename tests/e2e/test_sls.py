"""The SLS leg with real Envoy: what is sent to the edge is in the logstore, once.

The fake judges every request (support/fake_sls.py), support/expected_logs.py says what has to arrive.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import fixtures, programs, replay, sample, sls_edge, sls_traffic
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.fake_sls import FakeSls, Key
from support.primary import Primary
from support.sls_checks import arrived, check_times, expect_copies, post

# ---- the whole corpus


VARIANTS = {
    "v1-lz4": {"signature": "v1", "scrub": False},
    "v4-deflate": {"signature": "v4", "region": sls_edge.REGION, "compression": "deflate", "scrub": True},
    "v1-none": {"signature": "v1", "compression": "none", "scrub": False, "batch": {"max_logs": 1}},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("legs", ["both", "sls-alone"])
def test_the_whole_corpus_is_in_the_logstore(
    variant: str,
    legs: str,
    start_sls: Callable[..., Envoy],
    sls: FakeSls,
    primary: Primary,
    rum: FakeRum,
    rum_config: dict,
) -> None:
    """Each fixture with its own framing and encoding; per item type, id, time, message and payload."""
    change = VARIANTS[variant]
    sls.version = str(change["signature"])
    envoy = start_sls(sls_edge.section(**change), with_rum=legs == "both")
    began = time.time()
    for fixture in fixtures.load():
        replay.replay(fixture, envoy.port)
    # A request on whose body a wire fixture ends is never complete: neither stored nor expected.
    requests = [request for request in primary.requests if request.complete]
    if legs == "both":
        expect_copies(rum, rum_config, requests)
    logs = arrived(envoy, sls, requests, began, words=not change["scrub"])
    check_times(logs, began)
    assert len(logs) > 300
    assert all(log.topic == "sentry" for log in logs)
    blobs = [log for log in logs if log.get("sentry.item_type") in ("attachment", "replay_recording", "profile_chunk")]
    # An attachment by reference is JSON, which is kept.
    blobs = [log for log in blobs if log.get("sentry.attachment.location") is None]
    assert blobs
    assert all(log.get("payload") is None and log["sentry.item_bytes"].isdigit() for log in blobs)
    if legs == "both":
        rum.wait()


def test_sensitive_values_stay_behind(start_sls: Callable[..., Envoy], sls: FakeSls) -> None:
    """`sls.scrub` is on by default: what stands under a sensitive key, at any depth, is not in any field."""
    secret = "correct-horse-battery"
    body = sls_traffic.event("hello", extra={"a": [{"db_PassWord": secret}], "Api_Key": secret})
    envoy = start_sls(sls_edge.section(), with_rum=False)
    post(envoy, body)
    (log,) = sls.wait(1)
    assert log.get("sentry.error") is None
    assert not [key for key, value in log.fields.items() if secret in value]
    assert log["payload"].count("[Filtered]") == 2


# ---- live SDKs


# In three programs, each for a project.
SOME, OTHERS, NODE = programs.KINDS["python"][:4], programs.KINDS["python"][4:], programs.KINDS["node"]
CASES = [("python", " ".join(SOME)), ("python", " ".join(OTHERS)), ("node", " ".join(NODE))]


def test_live_sdk_programs(
    start_sls: Callable[..., Envoy], sls: FakeSls, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    """Python and Node programs: every event id that a program reports is in the logstore, with all else it sent."""
    envoy = start_sls(sls_edge.section(scrub=False), concurrency=2)
    began = time.time()
    ids = []
    for number, (language, what) in enumerate(CASES):
        ids += programs.run(language, what, number + 1, envoy.port)
    expect_copies(rum, rum_config, primary.requests)
    logs = arrived(envoy, sls, primary.requests, began)
    check_times(logs, began)
    assert len(ids) > 5
    assert set(ids) <= {log.get("event_id") for log in logs if log["sentry.item_type"] == "event"}
    assert {log["sentry.item_type"] for log in logs} >= {"event", "transaction", "log", "attachment", "session"}
    assert {log.get("app.version") for log in logs} >= {"shop@1.2.3"}
    assert sls.doubled() == []


# ---- the sample


def test_the_sample_as_it_is(tmp_path: Path, primary: Primary, rum: FakeRum, rum_config: dict) -> None:
    """envoy/tee-sls.yaml with nothing changed but addresses; its key comes from the environment."""
    name = sls_edge.NAME
    own = sample.plugin(sample.load(name)["static_resources"]["listeners"][0])["sls"]
    service = FakeSls({"LTAI-env": Key("env-secret", "env-token")}, own["project"], own["endpoint"], own["logstore"])
    key = {"SLS_ACCESS_KEY_ID": "LTAI-env", "SLS_ACCESS_KEY_SECRET": "env-secret", "SLS_SECURITY_TOKEN": "env-token"}
    try:
        with Envoy(
            tmp_path / "envoy",
            primary.port,
            rum.port,
            name=name,
            environment=key,
            edit=lambda bootstrap: sls_edge.clusters(bootstrap, service.port, None),
        ) as envoy:
            began = time.time()
            post(envoy, sls_traffic.event("hello"))
            expect_copies(rum, rum_config, primary.requests)
            arrived(envoy, service, primary.requests, began)
            settled(envoy, captured=1, delivered=1)
    finally:
        service.close()
    service.verify()
