"""Edges that are updated while they run: the filter comes by LDS with its listener, or by ECDS alone, as in Istio.

Files that Envoy watches, replaced by renames. What changes the VM is a new .wasm file (`another_module`) or other
environment variables; what does not is the plugin's configuration.
"""

import copy
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from . import fake_rum, fake_sls, paths, replay, sample, sls_edge, sls_traffic, wait
from .envoy import Envoy, version
from .fake_rum import FakeRum
from .fake_sls import FakeSls
from .listener import DRAIN

STRING = "type.googleapis.com/google.protobuf.StringValue"
WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
Filters = list[sample.Yaml]
# Longer than a target is away in the tests, and not much later when it is back.
PATIENT = {"retry": {"max_attempts": 100, "initial_backoff_ms": 500, "max_backoff_ms": 2000}}


def leb(number: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while True:
        out.append(number & 0x7F | (0x80 if number > 0x7F else 0))
        number >>= 7
        if number == 0:
            return bytes(out)


def another_module(directory: Path, name: str = "another") -> Path:
    """The module as another file: a section more that nobody reads."""
    content = leb(len(name)) + name.encode() + b"x"
    path = directory / f"{name}.wasm"
    path.write_bytes(Path(paths.module()).read_bytes() + b"\x00" + leb(len(content)) + content)
    return path


def another_environment(variables: dict[str, str]) -> sample.Yaml:
    """The part of `vm_config` with which these variables are in force: before 1.39 they make no other VM by themselves."""
    part: sample.Yaml = {"environment_variables": {"key_values": variables}}
    if version() < (1, 39):
        part["configuration"] = {"@type": STRING, "value": json.dumps(variables)}
    return part


def plugin(
    configuration: sample.Yaml, module: Path | None = None, environment: dict[str, str] | None = None
) -> sample.Yaml:
    """The `typed_config` of the filter: the sample's, with this configuration."""
    (listener,) = sample.load("tee-lds/listeners/edge.yaml")["resources"]
    config = copy.deepcopy(sample.mirror(listener))
    config["vm_config"]["code"]["local"]["filename"] = str(module or paths.module())
    config["vm_config"].update(another_environment(environment or {}))
    # As text: a Struct is serialised with its members in another order each time, so it is another configuration.
    text = json.dumps(configuration)
    config["configuration"] = {"@type": STRING, "value": text}
    return {"@type": WASM, "config": config}


def both_legs(**changes: Any) -> sample.Yaml:
    """A configuration with both legs."""
    return sample.merge({"rum": sample.rum(), "sls": sls_edge.section(**PATIENT), **PATIENT}, changes)


def quiet() -> sample.Yaml:
    """A configuration that captures nothing."""
    return {"rum": {name: sample.rum()[name] for name in ("upstream", "authority")}}


def away(rum: FakeRum, sls: FakeSls) -> None:
    """Neither target takes anything. (A port that is closed for long may belong to somebody else in the end.)"""
    rum.behave = fake_rum.Behaviour(status=503)
    sls.behave = fake_sls.Behaviour(status=500, code="InternalServerError")


def back(rum: FakeRum, sls: FakeSls) -> None:
    """Both do again."""
    rum.behave, sls.behave = fake_rum.OK, fake_sls.OK


def send(envoy: Envoy, count: int) -> None:
    """Each over a connection of its own, so that all workers get some."""
    for number in range(count):
        body = sls_traffic.event(f"number {number}")

        def answered(body: bytes = body) -> bool:
            with replay.Client(envoy.port) as client:
                answer = client.request("/api/1/envelope/", body)
            # No answer, and nothing at the primary: see support/load.py.
            assert answer.by_primary or answer.status == 0, answer
            return answer.by_primary

        wait.until("an answer of the primary", answered)


def drains(envoy: Envoy) -> None:
    """The kit's own script says that nothing waits any more."""
    script = paths.ROOT / "envoy" / "self-hosted" / "drain.sh"
    command = ["bash", str(script), str(envoy.admin_port), "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


class Edge:
    """Envoy, and the file that it watches."""

    def __init__(self, directory: Path, primary: int, rum: int, sls: int, filters: Filters, **options: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory / "watched"
        self._directory.mkdir()
        self._port = 0
        self._known: dict[str, sample.Yaml] = {}
        self.write(filters)

        def edit(bootstrap: sample.Yaml) -> None:
            self._point(bootstrap)
            sls_edge.clusters(bootstrap, sls, None)

        name = "tee-lds/bootstrap.yaml"
        self.envoy = Envoy(directory / "envoy", primary, rum, name=name, edit=edit, args=DRAIN, **options)
        self._port = self.envoy.port

    def write(self, filters: Filters) -> int:
        """Puts these filters in place of the mirror's: name, `plugin`, and `off: True` for one that no request is to
        reach. Gives how many updates Envoy is to take."""
        raise NotImplementedError

    def update(self, filters: Filters) -> None:
        """The same, and waits until Envoy has taken it."""
        before = self._taken()
        wanted = before + self.write(filters)
        wait.until("the update was taken", lambda: self._taken() >= wanted, 60)

    def _taken(self) -> int:
        return sum(self.envoy.stats(self.SUCCESS).values())

    def _put(self, name: str, resources: list[sample.Yaml]) -> None:
        new = self._directory / "new"
        new.write_text(yaml.safe_dump({"resources": resources}, sort_keys=False))
        os.rename(new, self._directory / name)

    def _listener(self, filters: Filters) -> sample.Yaml:
        (listener,) = sample.load("tee-lds/listeners/edge.yaml")["resources"]
        chain = sample.hcm(listener)
        chain["http_filters"] = [*filters, chain["http_filters"][-1]]
        listener["address"]["socket_address"]["port_value"] = self._port
        return listener

    def _watch(self, name: str) -> sample.Yaml:
        path = str(self._directory / name)
        return {"path_config_source": {"path": path, "watched_directory": {"path": str(self._directory)}}}

    def _point(self, bootstrap: sample.Yaml) -> None:
        bootstrap["dynamic_resources"]["lds_config"] = self._watch("listeners.yaml") | {"resource_api_version": "V3"}

    def stop(self) -> None:
        self.envoy.stop()


class Lds(Edge):
    """The listener is replaced, and the old one drains for two seconds."""

    SUCCESS = "listener_manager.lds.update_success$"

    def write(self, filters: Filters) -> int:
        # As in the samples: each is disabled in its entry, and the routes say which is on.
        entries = [{"name": "sentry_edge_mirror", "disabled": True, **entry} for entry in filters]
        shown = {entry["name"]: not entry.pop("off", False) for entry in entries}
        listener = self._listener(entries)
        sample.show(listener, **shown)
        self._put("listeners.yaml", [listener])
        return 1


class Ecds(Edge):
    """The listener stays; each filter's configuration comes by its name."""

    SUCCESS = r"extension_config_discovery.*config_reload$"

    def write(self, filters: Filters) -> int:
        entries = [{"name": "sentry_edge_mirror", **entry} for entry in filters]
        kind = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
        changed = [entry for entry in entries if self._known.get(entry["name"]) != entry]
        for entry in changed:
            # Envoy wants exactly one resource in each.
            resource = {"@type": kind, "name": entry["name"], "typed_config": entry["typed_config"]}
            self._put(f"{entry['name']}.yaml", [resource])
            self._known[entry["name"]] = copy.deepcopy(entry)
        if not (self._directory / "listeners.yaml").exists():
            names = [{"name": entry["name"], "config_discovery": self._discovery(entry["name"])} for entry in entries]
            listener = self._listener(names)
            # A gateway's filters see every request.
            sample.show(listener)
            self._put("listeners.yaml", [listener])
        return len(changed)

    def _discovery(self, name: str) -> sample.Yaml:
        source = self._watch(f"{name}.yaml") | {"resource_api_version": "V3"}
        return {"config_source": source, "type_urls": [WASM]}
