"""Envoy's hot restart (`--restart-epoch`): what the old process has pending it goes on delivering, and the new one's books have it."""

import http.client
import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from support import paths, replay, sample, wait
from support.envoy import PREFIX
from support.fake_rum import FakeRum
from support.free_port import free_port
from support.primary import Primary

PATIENT = {"rum": {"timeout_ms": 2000}, "retry": {"max_attempts": 100, "initial_backoff_ms": 100, "max_backoff_ms": 500}}


class Epoch:
    """One process of a hot restart."""

    def __init__(self, directory: Path, config: Path, base: int, number: int, shutdown_s: int) -> None:
        address = directory / f"admin-{number}"
        command = [paths.envoy(), "-c", str(config), "--concurrency", "1", "--base-id", str(base)]
        command += ["--restart-epoch", str(number), "--drain-time-s", "1", "--parent-shutdown-time-s", str(shutdown_s)]
        command += ["--admin-address-path", str(address), "--log-path", str(directory / f"log-{number}")]
        self.process = subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait.until("the admin address", lambda: address.exists() and ":" in address.read_text(), 60)
        self._port = int(address.read_text().rsplit(":", 1)[1])
        wait.until("live", lambda: self._get("/ready").strip() == "LIVE", 60)

    def _get(self, path: str) -> str:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""

    def rum(self) -> dict[str, int]:
        text = self._get(f"/stats?format=json&filter={PREFIX}rum")
        found = json.loads(text)["stats"] if text else []
        return {entry["name"].removeprefix(f"{PREFIX}rum."): entry["value"] for entry in found if "name" in entry}

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


@pytest.mark.parametrize("long", [True, False], ids=["long-enough", "too-short"])
def test_what_the_old_process_had_pending(long: bool, tmp_path: Path, primary: Primary) -> None:
    rum = FakeRum("rum.example.com", keep=False)
    bootstrap = sample.adapt(sample.load("tee.yaml"), primary.port, rum.port, PATIENT, True, None)
    port = free_port()
    bootstrap["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = port
    config = tmp_path / "envoy.yaml"
    config.write_text(yaml.safe_dump(bootstrap))
    # Shared memory of the machine: another run must not have the same.
    base = os.getpid() % 30_000 * 2 + long
    epochs: list[Epoch] = []

    def post(count: int) -> None:
        for _ in range(count):
            with replay.Client(port) as client:
                assert client.request("/api/1/envelope/", b"{}\n").status == 200

    try:
        epochs.append(Epoch(tmp_path, config, base, 0, 5))
        rum.close()
        post(5)
        wait.until("five wait", lambda: epochs[0].rum().get("pending") == 5, 20)
        epochs.append(Epoch(tmp_path, config, base, 1, 40 if long else 3))
        old, new = epochs
        post(2)
        # The old one's gauges and counters are added to the new one's.
        wait.until("all seven are seen", lambda: new.rum().get("captured") == 7 and new.rum()["pending"] == 7, 30)
        if long:
            rum.reopen()
            wait.until("all are delivered", lambda: new.rum()["delivered"] == 7 and new.rum()["pending"] == 0, 35)
        old.process.wait(90)
        if not long:
            rum.reopen()
            wait.until("the rest is delivered", lambda: new.rum()["delivered"] == 2, 30)
        time.sleep(2)
        books = new.rum()
        lost = books["captured"] - books["delivered"] - books["failed"] - books["dropped"] - books["pending"]
        # Nobody is left who could count it: shared data is a process's own.
        assert (books["captured"], lost) == (7, 0 if long else 5), books
    finally:
        for epoch in reversed(epochs):
            epoch.stop()
        rum.close()
