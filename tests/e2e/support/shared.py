"""One Envoy for many tests, one after the other. Nearly all that a start costs, three seconds of a core, is V8 compiling
the module; a listener with another configuration costs a hundredth of that.

Each test has listeners and clusters of its own, by LDS and CDS from files that Envoy watches, made of a sample as ever.
With the listener comes a new instance of the module on each worker, since the one before went with its listener. What
outlives a test is the process and its compiled module; its counters begin at 0 again. A process in which anything is left
pending is ended, and so is each at the end of the run, when it must be alive.

For whoever looks at the process itself (memory, signals, traps, its start, all pages of its admin endpoint): `Envoy`.
"""

import copy
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from . import sample, wait
from .envoy import PREFIX, TRAP, Envoy

# A listener that is removed is gone at once, with its connections; and a line of the log is there at once.
OPTIONS = ("--drain-time-s", "0", "--drain-strategy", "immediate", "--file-flush-interval-msec", "20")
HOLDER = "type.googleapis.com/envoy.extensions.wasm.v3.WasmService"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


def text_of(type_url: str, resources: list[sample.Yaml]) -> str:
    return yaml.safe_dump({"resources": [{"@type": type_url, **entry} for entry in resources]})


class _Host(Envoy):
    """The process: a sample without its listeners and clusters."""

    def __init__(
        self,
        directory: Path,
        bootstrap: sample.Yaml,
        holder: sample.Yaml,
        concurrency: int,
        environment: dict[str, str] | None,
    ) -> None:
        self._directory = directory
        self.tests = 0
        self.put("listeners", "resources: []")
        self.put("clusters", "resources: []")
        bootstrap = copy.deepcopy(bootstrap)
        bootstrap.setdefault("node", {"id": "edge", "cluster": "sentry-edge-mirror"})
        bootstrap["dynamic_resources"] = {"lds_config": self._watch("listeners"), "cds_config": self._watch("clusters")}
        # It keeps the compiled module while there is no listener. It is on the main thread alone and captures nothing.
        service = {"@type": HOLDER, "singleton": True, "config": holder}
        bootstrap["bootstrap_extensions"] = [{"name": "envoy.bootstrap.wasm", "typed_config": service}]
        self._launch(directory, bootstrap, concurrency, ("-l", "info", *OPTIONS), environment, False)
        self._ready(60)

    def _listener_port(self) -> int:
        return -1  # none yet

    def _watch(self, kind: str) -> sample.Yaml:
        # Each in its own: any rename in a watched directory makes Envoy read its file again.
        watched = self._directory / kind
        source = {"path": str(watched / "all.yaml"), "watched_directory": {"path": str(watched)}}
        return {"path_config_source": source, "resource_api_version": "V3"}

    def put(self, kind: str, text: str) -> None:
        watched = self._directory / kind
        watched.mkdir(parents=True, exist_ok=True)
        new = watched / "new"
        new.write_text(text)
        os.rename(new, watched / "all.yaml")

    def holds_something(self) -> bool:
        """Whether a gauge of the module is not 0."""
        found = json.loads(self.admin(f"/stats?format=json&type=Gauges&filter={PREFIX}"))["stats"]
        return any(entry["value"] for entry in found if "name" in entry)

    def count(self, kind: str, what: str) -> int:
        """How many updates were taken (`success`) or refused (`rejected`)."""
        name = {"listeners": "listener_manager.lds", "clusters": "cluster_manager.cds"}[kind] + f".update_{what}"
        return self.stats(f"^{name}$").get(name, 0)

    def update(self, kind: str, type_url: str, resources: list[sample.Yaml]) -> None:
        """Puts this in place, and waits until Envoy has taken it."""
        taken, rejected = self.count(kind, "success"), self.count(kind, "rejected")
        self.put(kind, text_of(type_url, resources))

        def is_taken() -> bool:
            assert self.count(kind, "rejected") == rejected, f"Envoy refused the {kind}:\n{self.log()[-3000:]}"
            return self.count(kind, "success") > taken

        wait.until(f"the {kind} are taken", is_taken, 30)

    def is_quiet(self) -> bool:
        """Whether no listener is on its way out."""
        return not any(self.stats("listener_manager.total_listeners_draining").values())


_hosts: dict[str, _Host] = {}
_lent: set[str] = set()
_directories: list[Path] = []


def close() -> None:
    """Ends all; fails if one had died."""
    hosts = list(_hosts.values())
    _hosts.clear()
    for host in hosts:
        host.stop()
    # Not sooner: a log is read after a test's end too.
    for directory in _directories:
        shutil.rmtree(directory)


class Shared(Envoy):
    """A test's part of such a process. It takes the same arguments as `Envoy`, as far as they are not the process' own."""

    def __init__(
        self,
        directory: Path,
        primary: int,
        rum: int,
        *,
        name: str = "tee.yaml",
        configuration: sample.Yaml | None = None,
        concurrency: int = 1,
        edit: Callable[[sample.Yaml], None] | None = None,
        environment: dict[str, str] | None = None,
        plugin: sample.Yaml | None = None,
    ) -> None:
        """`plugin`: the one that comes by another way than in a listener or a cluster."""
        bootstrap = sample.adapt(sample.load(name), primary, rum, configuration, True, edit)
        listeners = self._take(bootstrap, concurrency, environment, plugin)
        try:
            self._host.update("listeners", LISTENER, listeners)
            self.port: int = wait.until("the listener's port", self._listener_port, 10)
        except BaseException:
            self._retire()
            raise

    @classmethod
    def refused(cls, _directory: Path, bootstrap: sample.Yaml, seconds: float = 20.0) -> str:
        """Gives it a configuration that it has to refuse; returns its log."""
        part = cls.__new__(cls)
        listeners = part._take(bootstrap)
        assert not part._takes(text_of(LISTENER, listeners), seconds), "Envoy did not refuse the configuration"
        return part.log()

    @classmethod
    def takes(cls, bootstrap: str) -> bool:
        """Whether it takes the listener of this file, which it reads as it is written there."""
        part = cls.__new__(cls)
        part._take(sample.adapt(sample.load("tee.yaml"), 9, 9))
        text = bootstrap.split("  listeners:\n  - ", 1)[1].split("\n  clusters:\n", 1)[0]
        return part._takes(f"resources:\n  - '@type': {LISTENER}\n    {text}\n", 20)

    def _takes(self, listeners: str, seconds: float) -> bool:
        """Gives it this file of listeners, and then itself back."""
        host = self._host
        taken, rejected = host.count("listeners", "success"), host.count("listeners", "rejected")
        host.put("listeners", listeners)
        is_taken = lambda: host.count("listeners", "success") > taken  # noqa: E731
        try:
            wait.until("an answer", lambda: is_taken() or host.count("listeners", "rejected") > rejected, seconds)
            if not is_taken():
                wait.until("the refusal in the log", lambda: "config update rejected" in self.log(), 15)
                return False
            self._name = "edge"
            self.stop()
        except BaseException:
            self._retire()
            raise
        finally:
            _lent.discard(self._key)
        return True

    def _take(
        self,
        bootstrap: sample.Yaml,
        concurrency: int = 1,
        environment: dict[str, str] | None = None,
        plugin: sample.Yaml | None = None,
    ) -> list[sample.Yaml]:
        """Takes a process and gives it the clusters; the listeners are still to come."""
        resources = bootstrap["static_resources"]
        listeners, clusters = resources.pop("listeners"), resources.pop("clusters")
        self._borrow(bootstrap, _holder([plugin, *listeners, *clusters]), concurrency, environment)
        self.process, self.admin_port = self._host.process, self._host.admin_port
        self.bootstrap = bootstrap | {"static_resources": resources | {"listeners": listeners, "clusters": clusters}}
        self._log_start = len(self._host.log())
        self._host.tests += 1
        for listener in listeners:
            # With the name of one before it would be an update of that.
            listener["name"] = f"{listener['name']}-{self._host.tests}"
        self._name = listeners[0]["name"]
        try:
            self._host.update("clusters", CLUSTER, clusters)
            self.admin("/reset_counters", "POST")
        except BaseException:
            self._retire()
            raise
        return listeners

    def _borrow(self, *process: Any) -> None:
        """One with the same arguments, or a new one."""
        wanted = json.dumps(process, sort_keys=True)
        # A test with two of a kind has two processes.
        numbers = (f"{wanted} {number}" for number in range(100))
        self._key = next(key for key in numbers if key not in _lent)
        if self._key not in _hosts:
            directory = Path(tempfile.mkdtemp(prefix="shared-envoy-"))
            _directories.append(directory)
            _hosts[self._key] = _Host(directory, *process)
        self._host = _hosts[self._key]
        _lent.add(self._key)

    def _listener_port(self) -> int:
        listeners = json.loads(self.admin("/listeners?format=json")).get("listener_statuses", [])
        ports = {entry["name"]: entry["local_address"]["socket_address"]["port_value"] for entry in listeners}
        return ports.get(self._name, 0)

    def log(self) -> str:
        return self._host.log()[self._log_start :]

    def stop(self) -> None:
        """Gives it back, and fails if it had died, or if the module had trapped."""
        if self._key not in _lent:
            return
        try:
            assert self.process.poll() is None, f"Envoy had died:\n{self.log()[-3000:]}"
            # What is about to end may: to wait for it is cheaper than another process.
            deadline = time.monotonic() + 3
            while self._host.holds_something() and time.monotonic() < deadline:
                time.sleep(0.05)
            self._host.update("listeners", LISTENER, [])
            wait.until("the listener is gone", self._host.is_quiet, 15)
            # After it nothing of this test comes into the log.
            wait.until("its removal is in the log", lambda: f"remove listener '{self._name}'" in self.log(), 15)
            self._host.update("clusters", CLUSTER, [])
            trap = TRAP.search(self.log())
            assert trap is None, f"the module trapped:\n{self.log()[-3000:]}"
        except BaseException:
            self._retire()
            raise
        _lent.discard(self._key)
        if self._host.holds_something():
            _hosts.pop(self._key).stop()

    def _retire(self) -> None:
        """The next test gets another process."""
        _hosts.pop(self._key, None)
        _lent.discard(self._key)
        if self._host.process.poll() is None:
            self._host.process.terminate()
            self._host.process.wait(15)


def _holder(resources: Any) -> sample.Yaml:
    """The first plugin in them, with a configuration that captures nothing. It shares the compiled module with every
    plugin that has the same `vm_config`."""
    plugin = copy.deepcopy(next(_plugins(resources)))
    quiet = {"mode": "rewrite", "rum": {"authority": sample.rum()["authority"]}}
    plugin["configuration"] = {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": json.dumps(quiet),
    }
    return plugin


def _plugins(found: Any) -> Iterator[sample.Yaml]:
    """In a listener or in a cluster."""
    if isinstance(found, dict) and "vm_config" in found:
        yield found
    elif isinstance(found, dict | list):
        for value in found.values() if isinstance(found, dict) else found:
            yield from _plugins(value)
