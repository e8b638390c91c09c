"""Envoy in mode `sign` against the fakes: envoy/sign.yaml with its own ports, names and key; and its clients."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aliyun.log import LogClient, LogItem, PutLogsRequest
from aliyun.log.log_logs_raw_pb2 import LogGroupRaw

from . import paths, sample, sls_edge, wait
from .envoy import Envoy
from .fake_metadata import FakeMetadata
from .fake_sls import FakeSls

NAME = "sign.yaml"
STORE = sls_edge.STORE


def start(
    directory: Path,
    sls: FakeSls,
    version: str = "v1",
    metadata: FakeMetadata | None = None,
    limits: sample.Yaml | None = None,
    also: Callable[[sample.Yaml], None] | None = None,
    kind: type[Envoy] = Envoy,
    **options: Any,
) -> Envoy:
    """The sample, with the fake's names and our key or role."""

    def change(bootstrap: sample.Yaml) -> None:
        sls_edge.clusters(bootstrap, sls.port, metadata.port if metadata else None)
        for listener in bootstrap["static_resources"]["listeners"]:
            configuration = sample.plugin(listener)
            configuration["sign"] = {"logstores": [STORE]}
            configuration["limits"] = limits or {}
            configuration["sls"] = {
                "endpoint": sls_edge.ENDPOINT,
                "project": sls_edge.PROJECT,
                "signature": version,
                "region": sls_edge.REGION,
                "credential": sls_edge.RAM_ROLE if metadata else sls_edge.LITERAL,
            }
        if also is not None:
            also(bootstrap)

    return kind(directory, 9, 9, name=NAME, edit=change, **options)


def group(*messages: str) -> bytes:
    """A log group as a program without an SDK would make it."""
    made = LogGroupRaw(Topic="plain")
    for message in messages:
        log = made.Logs.add(Time=int(time.time()))
        log.Contents.add(Key="message", Value=message.encode())
    return made.SerializeToString()


PROTOBUF = ("content-type", "application/x-protobuf")


def sdk(envoy: Envoy, version: str = "v1") -> LogClient:
    """The official SDK for Python with a key that nobody knows, told to connect to the edge."""
    made = LogClient(
        sls_edge.ENDPOINT, "LTAI-nobody", "wrong", "wrong-token", auth_version=version, region=sls_edge.REGION
    )
    send = made._sendRequest

    def locally(method: str, url: str, *rest: object) -> object:
        return send(method, re.sub(r"http://[^/]+", f"http://127.0.0.1:{envoy.port}", url), *rest)

    made._sendRequest = locally
    return made


def put(client: LogClient, messages: list[str], store: str = STORE, **more: Any) -> None:
    items = [LogItem(int(time.time()), contents=[("message", message)]) for message in messages]
    client.put_logs(PutLogsRequest(sls_edge.PROJECT, store, "python", "edge", items, **more))


def node(envoy: Envoy, store: str, *texts: str) -> str:
    """Runs the official SDK for Node.js, with a key that nobody knows; what it says became of its write."""
    done = subprocess.run(
        [paths.node(), str(paths.E2E / "programs" / "sls_node_app.cjs"), str(envoy.port), store, *texts],
        check=True,
        env={"PATH": "/usr/bin:/bin", "NODE_PATH": paths.node_modules()},
        text=True,
        capture_output=True,
        timeout=60,
    )
    return done.stdout.strip()


def settled(envoy: Envoy, seconds: float = 15.0, **wanted: int) -> dict[str, int]:
    """Waits until nothing is open, the books balance and the named metrics (`denied_forbidden=3`) have these values;
    gives all."""
    names = {re.sub("^(denied|answered)_", r"\1.", name): value for name, value in wanted.items()}
    names = {"pending": 0, "in_flight": 0} | names
    last: dict[str, int] = {}

    def probe() -> dict[str, int] | None:
        nonlocal last
        last = {name.removeprefix("sign."): value for name, value in envoy.metrics().items() if "sign." in name}
        denied = sum(value for name, value in last.items() if name.startswith("denied."))
        answered = sum(value for name, value in last.items() if name.startswith("answered."))
        balanced = (
            last.get("received") == last["signed"] + denied + last["aborted"] + last["pending"]
            and last["signed"] == answered + last["unanswered"] + last["in_flight"]
        )
        return last if balanced and all(last.get(name) == value for name, value in names.items()) else None

    try:
        return wait.until("balanced metrics of mode sign", probe, seconds, 0.02)
    except AssertionError:
        raise AssertionError(f"wanted {names}, have {last}") from None
