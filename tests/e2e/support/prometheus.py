"""Starts Debian's Prometheus with envoy/observability/prometheus.yml, scraping what a test runs, and asks it.

Changed in the file are the targets, the intervals, and, if a test wants that, which of the rules are loaded and which limit
they are told.
"""

import http.client
import json
import math
import os
import re
import shutil
import signal
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import yaml

from . import paths, wait
from .free_port import free_port

HERE = paths.ROOT / "envoy" / "observability"
# As the samples have it, and the rules.
SAMPLES_LIMIT = 67108864
Sample = tuple[float, float]


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is missing: run `make e2e`, which installs it")
    return found


def configuration(targets: list[int], interval: str, rules: list[str], renamed: bool = True) -> dict[str, Any]:
    """The file with these admin ports as targets; `renamed` false: as scraped by somebody who knows nothing of it."""
    loaded = yaml.safe_load((HERE / "prometheus.yml").read_text())
    loaded["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
    loaded["rule_files"] = rules
    (job,) = loaded["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in targets]}]
    if not renamed:
        del job["metric_relabel_configs"]
    return loaded


def rules(directory: Path, name: str, limit: int, interval: str) -> str:
    """A copy of a file of rules that knows the limit of the Envoys that are scraped."""
    text = (HERE / name).read_text()
    if name == "rules.yml":
        assert str(SAMPLES_LIMIT) in text
        text = text.replace(str(SAMPLES_LIMIT), str(limit))
    text = text.replace("interval: 15s", f"interval: {interval}")
    (directory / name).write_text(text)
    return name


class Prometheus:
    """A running Prometheus."""

    def __init__(
        self,
        directory: Path,
        targets: list[int],
        *,
        interval: str = "1s",
        limit: int = SAMPLES_LIMIT,
        files: tuple[str, ...] = ("rules.yml",),
        renamed: bool = True,
    ) -> None:
        directory.mkdir(parents=True)
        own = [rules(directory, name, limit, interval) for name in files]
        config = directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(configuration(targets, interval, own, renamed)))
        self._log = directory / "log"
        self._port = free_port()
        command = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "GOMAXPROCS": "1"},
            )
        try:
            wait.until("Prometheus ready", self._ready, 60, 0.1)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"Prometheus ended at its start:\n{self._log.read_text()[-3000:]}"
        try:
            return self._get("/-/ready")[0] == 200
        except OSError:
            return False

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def api(self, name: str, **arguments: str) -> Any:
        """`data` of an answer of the API, which has to be a success."""
        status, body = self._get(f"/api/v1/{name}?{urllib.parse.urlencode(arguments)}")
        answer = json.loads(body)
        assert status == 200 and answer["status"] == "success", f"{name} {arguments}: {status} {body[:1000]!r}"
        return answer["data"]

    def query(self, expression: str) -> dict[str, float]:
        """An instant query: values by the labels, as text."""
        found = self.api("query", query=expression)["result"]
        return {key(each["metric"]): float(each["value"][1]) for each in found}

    def query_range(self, expression: str, start: float, end: float, step: float) -> dict[str, list[Sample]]:
        """What a graph would show, series by series; without NaN."""
        arguments = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": str(step)}
        found = self.api("query_range", query=expression, **arguments)["result"]
        return {
            key(each["metric"]): [(at, float(value)) for at, value in each["values"] if math.isfinite(float(value))]
            for each in found
        }

    def stop(self) -> None:
        code = self.process.poll()
        if code is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        log = self._log.read_text(errors="replace")
        assert code is None, f"Prometheus had died with {code}:\n{log[-3000:]}"
        bad = [line for line in re.findall(r"^.*level=(?:error|warn).*$", log, re.MULTILINE) if "Received SIGTERM" not in line]
        assert not bad, "\n".join(bad[:10])

    def __enter__(self) -> "Prometheus":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def key(labels: dict[str, str]) -> str:
    return json.dumps(labels, sort_keys=True)
