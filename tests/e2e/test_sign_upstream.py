"""Mode `sign` as an upstream filter: signed last, and each of Envoy's own retries with a date and a signature of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import replay, sample, sign_edge, sls_edge, upstream_sign
from support.envoy import Envoy
from support.fake_sls import Behaviour, FakeSls
from support.shared import Shared
from support.sign_edge import PROTOBUF, STORE, group, put, sdk, settled

LB = f"/logstores/{STORE}/shards/lb"


@pytest.fixture
def start(tmp_path: Path, sls: FakeSls) -> Iterator[Callable[..., Envoy]]:
    running: list[Envoy] = []

    def retried(bootstrap: sample.Yaml) -> None:
        upstream_sign.move(bootstrap)
        (listener,) = bootstrap["static_resources"]["listeners"]
        (route,) = sample.hcm(listener)["route_config"]["virtual_hosts"][0]["routes"]
        route["route"]["retry_policy"] = {
            "retry_on": "5xx",
            "num_retries": 3,
            "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"},
        }

    def starter(version: str = "v1", **options: Any) -> Envoy:
        sls.version = version
        running.append(sign_edge.start(tmp_path, sls, version, also=retried, kind=Shared, **options))
        return running[-1]

    yield starter
    for envoy in running:
        settled(envoy, pending_bytes=0)
        envoy.stop()
        log = envoy.log()
        for secret in (sls_edge.SECRET, sls_edge.KEY_ID):
            assert secret not in log


def twice(sls: FakeSls) -> None:
    """SLS fails twice, then takes what comes."""
    left = [Behaviour(status=503), Behaviour(status=503)]
    sls.behave = lambda _request: left.pop() if left else Behaviour()


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_each_retry_of_envoys_is_signed_anew(start: Callable[..., Envoy], sls: FakeSls, version: str) -> None:
    envoy = start(version)
    twice(sls)
    put(sdk(envoy, version), ["hello"])
    assert [log["message"] for log in sls.since(0)] == ["hello"]
    # Three attempts, each of them a request of its own to the module; the fake has checked each signature.
    settled(envoy, received=3, signed=3, answered_5xx=2, answered_2xx=1)


def test_a_large_body_is_replayed(start: Callable[..., Envoy], sls: FakeSls) -> None:
    envoy = start()
    twice(sls)
    body = group(*(f"{number} " + "x" * 1_000 for number in range(1_500)))
    with replay.Client(envoy.port) as client:
        assert client.request(LB, body, [PROTOBUF]).status == 200
    assert len(sls.since(0)) == 1_500
    settled(envoy, received=3, signed=3)
