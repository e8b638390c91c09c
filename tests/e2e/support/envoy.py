"""Starts real Envoy with one of our samples, reads its statistics, and stops it.

Envoy chooses its own ports (0 in the configuration), so any number of tests can run at once. A trap of a wasm module
fails the test that stops that Envoy, whatever else the test looked at.
"""

import functools
import http.client
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from . import paths, sample, wait

PREFIX = "wasmcustom.sentry_edge_mirror."
# Whatever this module's instance dies of, this is in the log; a rejected configuration is not a trap.
TRAP = re.compile(r"Function: proxy_\w+ failed|Uncaught RuntimeError|panicked at")


@functools.cache
def version() -> tuple[int, ...]:
    """Of the Envoy under test: (1, 40, 0)."""
    said = subprocess.run([paths.envoy(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"/(\d+\.\d+\.\d+)/", said)
    assert found is not None, said
    return tuple(int(part) for part in found[1].split("."))


class Envoy:
    """A running Envoy."""

    def __init__(
        self,
        directory: Path,
        primary: int,
        rum: int,
        *,
        name: str = "tee.yaml",
        configuration: sample.Yaml | None = None,
        with_mirror: bool = True,
        concurrency: int = 1,
        edit: Callable[[sample.Yaml], None] | None = None,
        args: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        traps: bool = False,
        level: str = "info",
        ready_seconds: float = 30,
    ) -> None:
        bootstrap = sample.adapt(sample.load(name), primary, rum, configuration, with_mirror, edit)
        self._launch(directory, bootstrap, concurrency, ("-l", level, *args), environment, traps)
        self._ready(ready_seconds)

    @classmethod
    def refused(cls, directory: Path, bootstrap: sample.Yaml, seconds: float = 20.0) -> str:
        """Starts Envoy with a configuration that it has to refuse; returns its log."""
        envoy = cls.__new__(cls)
        envoy._launch(directory, bootstrap, 1, (), None, False)
        try:
            code = envoy.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("Envoy did not refuse the configuration") from None
        finally:
            envoy.process.kill()
            envoy.process.wait()
        assert code != 0, "Envoy ended as if all had been well"
        return envoy.log()

    def _launch(
        self,
        directory: Path,
        bootstrap: sample.Yaml,
        concurrency: int,
        args: tuple[str, ...],
        environment: dict[str, str] | None,
        traps: bool,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.bootstrap = bootstrap
        self.traps = traps
        self._admin_file = directory / "admin.address"
        self._log_file = directory / "envoy.log"
        config = directory / "envoy.yaml"
        config.write_text(yaml.safe_dump(bootstrap, sort_keys=False))
        command = [paths.envoy(), "-c", str(config), "--concurrency", str(concurrency), "--use-dynamic-base-id"]
        command += ["--admin-address-path", str(self._admin_file), "--log-path", str(self._log_file)]
        with (directory / "stderr.log").open("wb") as stderr:
            # The samples name the module relative to the repository's root.
            self.process = subprocess.Popen(
                [*command, *args],
                cwd=paths.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C is for us; we end it in order
                env={**os.environ, **(environment or {})},
            )

    def _ready(self, seconds: float) -> None:
        def live() -> bool:
            assert self.process.poll() is None, f"Envoy ended at its start:\n{self.log()[-3000:]}"
            return self._admin_file.exists() and ":" in self._admin_file.read_text()

        try:
            wait.until("Envoy's admin address", live, seconds)
            self.admin_port = int(self._admin_file.read_text().rsplit(":", 1)[1])
            wait.until("Envoy ready", self._is_live, seconds)
            # A listener that comes by LDS may be a moment later than Envoy itself.
            self.port: int = wait.until("the listener's port", self._listener_port, seconds)
        except BaseException as error:
            self.process.kill()
            self.process.wait()
            error.add_note(f"Envoy's log:\n{self.log()[-3000:]}")
            raise

    def _is_live(self) -> bool:
        try:
            return self.admin("/ready").strip() == "LIVE"
        except TimeoutError:
            return False  # it compiles the module, on a machine that has other things to do

    def _listener_port(self) -> int:
        listeners = json.loads(self.admin("/listeners?format=json")).get("listener_statuses", [])
        return listeners[0]["local_address"]["socket_address"]["port_value"] if listeners else 0

    # ---- the admin endpoint

    def admin(self, path: str, method: str = "GET") -> str:
        # Envoy compiles a new module in the same thread: on a machine that has other things to do it takes its time.
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=30)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose name matches."""
        found = json.loads(self.admin(f"/stats?format=json&filter={pattern}"))["stats"]
        return {entry["name"]: entry["value"] for entry in found if "name" in entry}

    def metrics(self) -> dict[str, int]:
        """The module's counters and gauges, without their prefix: `rum.captured` and so on."""
        return {name.removeprefix(PREFIX): value for name, value in self.stats(PREFIX).items()}

    def log(self) -> str:
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    # ---- the process

    def rss(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def cpu_seconds(self) -> float:
        """User and system time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Stops it and fails if it had died, or if the module had trapped."""
        code = self.process.poll()
        if code is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("Envoy did not stop within 15 s") from None
        assert code is None, f"Envoy had died with {code}:\n{self.log()[-3000:]}"
        trap = TRAP.search(self.log())
        assert self.traps or trap is None, f"the module trapped:\n{self.log()[-3000:]}"

    def __enter__(self) -> "Envoy":
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()


def balance(metrics: dict[str, int], leg: str = "rum") -> str | None:
    """What is wrong with the books: captured = delivered + failed + dropped + pending, in flight within pending."""
    if f"{leg}.captured" not in metrics:
        return f"no {leg}.captured in {metrics}"
    ended = {name: metrics.get(f"{leg}.{name}", 0) for name in ("delivered", "failed", "dropped", "pending")}
    if metrics[f"{leg}.captured"] != sum(ended.values()):
        return f"{leg}: captured {metrics[f'{leg}.captured']} is not the sum of {ended}"
    if metrics.get(f"{leg}.in_flight", 0) > ended["pending"]:
        return f"{leg}: in flight {metrics[f'{leg}.in_flight']} of pending {ended['pending']}"
    return None


def settled(envoy: Envoy, seconds: float = 15.0, leg: str = "rum", **wanted: int) -> dict[str, int]:
    """Waits until the leg's books balance and the named metrics (`delivered=3`) have these values; returns all metrics.

    Statistics are read one by one while workers count, so a single reading may be askew; a settled one must not be.
    """
    last: dict[str, int] = {}

    def probe() -> dict[str, int] | None:
        nonlocal last
        last = envoy.metrics()
        right = balance(last, leg) is None and all(last.get(f"{leg}.{name}", 0) == v for name, v in wanted.items())
        return last if right else None

    try:
        return wait.until("balanced metrics", probe, seconds, 0.02)
    except AssertionError:
        raise AssertionError(
            f"wanted {wanted}, {leg} books: {balance(last, leg) or 'balanced'}, metrics {last}"
        ) from None
