"""Envoy with the SLS leg, against the fakes: envoy/tee-sls.yaml with its own ports, names and key."""

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import sample, sls_group
from .envoy import Envoy
from .fake_metadata import FakeMetadata
from .fake_rum import FakeRum
from .fake_sls import FakeSls, Key
from .fast_sls import FastSls
from .http1 import Request
from .primary import Primary

PROJECT, ENDPOINT, STORE, REGION = "edge-logs", "cn-hangzhou.log.aliyuncs.com", "sentry", "cn-hangzhou"
KEY_ID, SECRET = "LTAI-edge", "edge-secret"
LITERAL = {"access_key_id": KEY_ID, "access_key_secret": SECRET}
RAM_ROLE = {"ecs_ram_role": {"upstream": "metadata"}}
# A test waits for logs, so batches leave soon and tries come quickly.
QUICK = {"initial_backoff_ms": 100, "max_backoff_ms": 1000, "max_attempts": 50}
NAME = "tee-sls.yaml"


def fake_sls(port: int = 0) -> FakeSls:
    """The service with our logstore and our key."""
    server = FakeSls({KEY_ID: Key(SECRET)}, PROJECT, ENDPOINT, STORE, port)
    server.region = REGION
    return server


def section(credential: sample.Yaml = LITERAL, **changes: Any) -> sample.Yaml:
    """The `sls` part of the plugin's configuration."""
    base = {
        "upstream": "sls",
        "endpoint": ENDPOINT,
        "project": PROJECT,
        "logstore": STORE,
        "signature": "v1",
        "credential": credential,
        "batch": {"linger_ms": 100},
        "retry": QUICK,
        "timeout_ms": 1500,
    }
    return sample.merge(base, changes)


def clusters(bootstrap: sample.Yaml, sls: int, metadata: int | None) -> None:
    """Points the clusters of the leg to the fakes; a bootstrap of another sample gets them first."""
    found = bootstrap["static_resources"]["clusters"]
    for name, port in (("sls", sls), ("metadata", metadata)):
        if name not in [cluster["name"] for cluster in found]:
            found.append(copy.deepcopy(sample.cluster(sample.load(NAME), name)))
        if port is not None:
            address = sample.address(sample.cluster(bootstrap, name))
            address["address"], address["port_value"] = "127.0.0.1", port


def edit(
    sls: FakeSls | FastSls, sls_section: sample.Yaml, metadata: FakeMetadata | None = None, rum: bool = True
) -> Callable[[sample.Yaml], None]:
    """The change that gives a bootstrap its SLS leg, and takes the RUM leg away if that is wanted."""

    def change(bootstrap: sample.Yaml) -> None:
        clusters(bootstrap, sls.port, metadata.port if metadata else None)
        for listener in bootstrap["static_resources"]["listeners"]:
            configuration = sample.plugin(listener)
            configuration["sls"] = sample.merge(configuration["sls"], sls_section)
            # Merged, two kinds of credentials would be one that is neither.
            configuration["sls"]["credential"] = sls_section["credential"]
            if not rum:
                del configuration["rum"]

    return change


def start(
    directory: Path,
    primary: Primary,
    rum: FakeRum | None,
    sls: FakeSls | FastSls,
    sls_section: sample.Yaml | None = None,
    metadata: FakeMetadata | None = None,
    kind: type[Envoy] = Envoy,
    **options: Any,
) -> Envoy:
    """Envoy with both legs, or with `rum` None with the SLS leg alone."""
    change = edit(sls, sls_section or section(), metadata, rum is not None)
    return kind(directory, primary.port, rum.port if rum else 9, name=NAME, edit=change, **options)


def logs_of(request: Request) -> list[sls_group.Log]:
    """The logs in a PutLogs request, for a script that decides by what it is sent."""
    size = int(request.header("x-log-bodyrawsize") or 0)
    raw = sls_group.decompress(request.body, request.header("x-log-compresstype"), size)
    return sls_group.parse(raw, time.time()).logs
