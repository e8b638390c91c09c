"""`sentry-edge-mirror diagnose` on the real Envoy, with faults made there: it says what is wrong, and why."""

import datetime
import email.utils
import http.server
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import paths, poisoned_module, replay, sample, sls_edge, wait
from support.envoy import Envoy, settled
from support.fake_metadata import FakeMetadata
from support.fake_rum import Behaviour, FakeRum
from support.fake_sls import FakeSls
from support.primary import Primary
from support.shared import Shared

SECONDS = "2"
BODY = b'{}\n{"type":"event"}\n{"message":"x"}\n'
QUICK = {"rum": {"timeout_ms": 500}, "retry": {"max_attempts": 2, "initial_backoff_ms": 20, "max_backoff_ms": 50}}


def diagnose(envoy: Envoy, *more: str) -> tuple[int, str]:
    command = [paths.command(), "diagnose", "--seconds", SECONDS, *more, f"http://127.0.0.1:{envoy.admin_port}"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert ran.stderr == "", ran.stderr
    return ran.returncode, ran.stdout


def problems(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("problem: ")]


def post(envoy: Envoy, count: int = 1, headers: list[tuple[str, str]] | None = None) -> None:
    for _ in range(count):
        with replay.Client(envoy.port) as client:
            client.request("/api/1/envelope/", BODY, headers)


@pytest.fixture
def envoy(tmp_path: Path, primary: Primary, rum: FakeRum) -> Iterator[Envoy]:
    """One of its own: what an Envoy has by itself is what is looked at."""
    with Envoy(tmp_path / "envoy", primary.port, rum.port) as running:
        yield running


def test_all_is_well(envoy: Envoy, rum: FakeRum) -> None:
    rum.behave = Behaviour()
    status, text = diagnose(envoy)
    assert (status, problems(text)) == (0, []), text
    assert text.startswith("Envoy 1.") and "1 of our plugin configurations" in text
    assert text.endswith("nothing is wrong\n")


@pytest.mark.parametrize("trouble", ["away", "refusing", "throttling"])
def test_copies_that_rum_does_not_take(trouble: str, tmp_path: Path, primary: Primary) -> None:
    rum = FakeRum("rum.example.com", keep=False)
    with Shared(tmp_path / "envoy", primary.port, rum.port, configuration=QUICK) as envoy:
        if trouble == "away":
            rum.close()
        else:
            rum.behave = Behaviour(status=400) if trouble == "refusing" else Behaviour(status=429, headers=(("Retry-After", "60"),))
        post(envoy, 3)
        if trouble == "throttling":
            settled(envoy, captured=3, pending=3, in_flight=0)
        else:
            settled(envoy, captured=3, failed=3, pending=0)
        status, text = diagnose(envoy)
        assert status == 1, text
        expected = {
            "away": ["rum.failed is 3", "connections failed"],
            "refusing": ["rum.failed is 3", "3 answers with 400"],
            "throttling": ["RUM throttles: it answered 429", "rum.pending is 3, and nothing was delivered"],
        }
        assert all(part in "\n".join(problems(text)) for part in expected[trouble]), text
        if trouble == "away":
            # A script that asks what happens now hears nothing of what was lost before.
            assert diagnose(envoy, "--recent")[0] == 0
    rum.close()


def test_a_full_budget(tmp_path: Path, primary: Primary) -> None:
    rum = FakeRum("rum.example.com", keep=False)
    rum.behave = Behaviour(hang=True)
    small = {"rum": {"timeout_ms": 60000}, "limits": {"max_pending_bytes": 65536, "max_body_bytes": 16384}}
    with Shared(tmp_path / "envoy", primary.port, rum.port, configuration=small) as envoy:
        for _ in range(12):
            with replay.Client(envoy.port) as client:
                client.request("/api/1/envelope/", b"x" * 12000)
        wait.until("something was dropped", lambda: envoy.metrics()["rum.dropped"] > 0)
        status, text = diagnose(envoy)
        assert status == 1 and "the budget is full" in text, text
    rum.close()


def test_a_missing_credential(tmp_path: Path, primary: Primary, sls: FakeSls) -> None:
    """The metadata service is away, so logs wait and are never tried."""
    metadata = FakeMetadata(lambda *_: None)
    metadata.close()
    section = sls_edge.section(sls_edge.RAM_ROLE)
    with sls_edge.start(tmp_path / "envoy", primary, None, sls, section, metadata, kind=Shared) as envoy:
        post(envoy, 2)
        wait.until("logs wait", lambda: envoy.metrics().get("sls.pending", 0) > 0)
        status, text = diagnose(envoy)
        assert status == 1 and "there is no credential; cluster metadata:" in text, text
        assert sls_edge.SECRET not in text and sls_edge.KEY_ID not in text


def test_a_trap(tmp_path: Path, primary: Primary) -> None:
    """Envoy has no statistic of it: the module counts nothing while requests pass."""
    rum = FakeRum("rum.example.com", keep=False)
    module = poisoned_module.build(tmp_path)

    def edit(bootstrap: sample.Yaml) -> None:
        plugin = sample.mirror(bootstrap["static_resources"]["listeners"][0])
        plugin["vm_config"]["code"]["local"]["filename"] = str(module)

    with Envoy(tmp_path / "envoy", primary.port, rum.port, edit=edit, traps=True) as envoy:
        post(envoy, 5)
        settled(envoy, captured=5, delivered=5)
        post(envoy, 1, [(f"x-{number}", "x") for number in range(poisoned_module.TOO_MANY)])
        ended = threading.Event()

        def clients() -> None:
            while not ended.wait(0.2):
                post(envoy)

        thread = threading.Thread(target=clients)
        thread.start()
        try:
            status, text = diagnose(envoy)
        finally:
            ended.set()
            thread.join()
        assert status == 1 and "counted none of them: nothing matches, or it is off after a trap" in text, text
    rum.close()


class Ahead(http.server.BaseHTTPRequestHandler):
    """Passes requests on to an admin endpoint; in the answers it is twenty minutes later."""

    port: int

    def do_GET(self) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.path}") as answer:
            body = answer.read()
            date = email.utils.parsedate_to_datetime(answer.headers["date"]) + datetime.timedelta(minutes=20)
        self.send_response_only(200)
        self.send_header("date", email.utils.format_datetime(date, usegmt=True))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_wrong_clock(envoy: Envoy) -> None:
    handler = type("Handler", (Ahead,), {"port": envoy.admin_port})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as ahead:
        threading.Thread(target=ahead.serve_forever, daemon=True).start()
        command = [paths.command(), "diagnose", "--seconds", "1", f"127.0.0.1:{ahead.server_port}"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
        ahead.shutdown()
    assert ran.returncode == 1 and "wrong clock: Envoy's is 1" in ran.stdout, ran


def test_what_is_no_admin_endpoint(primary: Primary) -> None:
    for port in (primary.port, 1):
        ran = subprocess.run([paths.command(), "diagnose", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=150, check=False)
        assert (ran.returncode, ran.stdout) == (2, ""), ran
        assert ran.stderr.startswith("error: "), ran
