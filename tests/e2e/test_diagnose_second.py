"""`sentry-edge-mirror diagnose` on a real edge with four second Sentries, each with a trouble of its own.

With UPDATE=1 what the command was answered is kept for tests/cli/diagnose.rs.
"""

import http.server
import json
import os
import re
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import fake_rum, paths, replay, sample, second, wait
from support.envoy import PREFIX, Envoy, settled
from support.fake_rum import Behaviour, FakeRum
from support.primary import Primary
from support.second import FakeSecond
from support.shared import Shared

CAPTURED = paths.ROOT / "tests/cli/fixtures/diagnose/second.json"
DULL = re.compile(r"^http\.admin|\.external\.|bytes|_cx_(http1|destroy|total|active)|match_count")
QUICK = {"max_attempts": 2, "initial_backoff_ms": 20, "max_backoff_ms": 50}
# Of each kind of envelope so many are sent.
COUNT = 3
# What each does. `limits` takes transactions again in a minute, `closed` tomorrow.
TROUBLES: dict[str, fake_rum.Behaviour | fake_rum.Script | None] = {
    "away": None,
    "wrong": Behaviour(status=403),
    "limits": second.limited("transaction", 60),
    "closed": second.limited("transaction", 86_400),
}


class Between(http.server.BaseHTTPRequestHandler):
    """Passes requests on to an admin endpoint, and keeps the last answer to each."""

    port: int
    answers: dict[str, Any]

    def do_GET(self) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.path}") as answer:
            body = answer.read()
        self.answers[self.path.partition("?")[0]] = json.loads(body)
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def diagnose(envoy: Envoy, *more: str) -> tuple[int, str, dict[str, Any]]:
    """Its status, what it says, and what it was answered."""
    answers: dict[str, Any] = {}
    handler = type("Handler", (Between,), {"port": envoy.admin_port, "answers": answers})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as between:
        threading.Thread(target=between.serve_forever, daemon=True).start()
        command = [paths.command(), "diagnose", "--seconds", "2", *more, f"127.0.0.1:{between.server_port}"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
        between.shutdown()
    assert ran.stderr == "", ran.stderr
    return ran.returncode, ran.stdout, answers


def plugins(found: Any) -> Iterator[sample.Yaml]:
    """Those in Envoy's dump."""
    if isinstance(found, dict) and {"vm_config", "configuration"} <= set(found):
        yield found
    elif isinstance(found, dict | list):
        for value in found.values() if isinstance(found, dict) else found:
            yield from plugins(value)


def capture(answers: dict[str, Any]) -> dict[str, Any]:
    """What the command looks at: not all the zeros and bytes, and nothing of the machine that this ran on."""
    found = {entry["name"]: entry["value"] for entry in answers["/stats"]["stats"] if "name" in entry}
    stats = {name: value for name, value in found.items() if name.startswith(PREFIX) or value and not DULL.search(name)}
    (plugin, *_) = plugins(answers["/config_dump"])
    plugin["vm_config"]["code"]["local"]["filename"] = "dist/sentry_edge_mirror.wasm"
    server = {name: answers["/server_info"][name] for name in ("version", "state")}
    return {"/stats": stats, "/server_info": server, "/config_dump": {"configs": [plugin]}}


def names(captured: dict[str, Any]) -> set[str]:
    """Of the module's metrics."""
    return {name for name in captured["/stats"] if name.startswith(PREFIX)}


@pytest.fixture
def start(tmp_path: Path, primary: Primary, rum: FakeRum) -> Iterator[Callable[..., Envoy]]:
    """An edge with these second Sentries."""
    with ExitStack() as stack:

        def starter(targets: dict[str, FakeSecond], kind: type[Envoy] = Shared, **configuration: Any) -> Envoy:
            clusters = [second.cluster(server.port, name) for name, server in targets.items()]
            sections = [second.section(server.port, name) for name, server in targets.items()]

            def edit(bootstrap: sample.Yaml) -> None:
                for cluster in clusters:
                    cluster(bootstrap)

            sentry = {name: target for section in sections for name, target in section.items()}
            envoy = kind(
                tmp_path / "envoy",
                primary.port,
                rum.port,
                configuration={"sentry": sentry, "retry": QUICK} | configuration,
                edit=edit,
            )
            return stack.enter_context(envoy)

        yield starter


def send(envoy: Envoy, item_type: str, count: int = COUNT) -> None:
    with replay.Client(envoy.port) as client:
        for number in range(count):
            assert client.request("/api/1/envelope/", second.envelope(item_type, number)).status == 200


def said(text: str, leg: str) -> str:
    """The problems of a leg, and what to do."""
    lines = text.splitlines()
    found = [line for line in lines if line.startswith((f"problem: {leg}.", f"problem: {leg} "))]
    return "\n".join(f"{line}\n{lines[lines.index(line) + 1]}" for line in found)


def test_each_target_is_called_by_its_name(
    start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    targets = {name: FakeSecond() for name in TROUBLES}
    # What it was answered is kept: no other test's plugin is to be in it.
    envoy = start(targets, Envoy)
    for name, behave in TROUBLES.items():
        if behave is None:
            targets[name].close()
        else:
            targets[name].behave = behave
    send(envoy, "transaction", 1)
    for name in ("limits", "closed"):
        wait.until(f"the 429 of {name}", lambda name=name: targets[name].received == 1)
    settled(envoy, leg="sentry.closed", failed=1)
    send(envoy, "transaction", COUNT - 1)
    send(envoy, "event")
    both = 2 * COUNT
    settled(envoy, leg="rum", captured=both, delivered=both)
    for leg, books in {
        "sentry.away": {"captured": both, "failed": both},
        "sentry.wrong": {"captured": both, "failed": both},
        "sentry.limits": {"captured": both, "delivered": COUNT, "pending": COUNT, "in_flight": 0},
        "sentry.closed": {"captured": COUNT + 1, "delivered": COUNT, "failed": 1, "skipped.limited": COUNT - 1},
    }.items():
        settled(envoy, leg=leg, queued=0, **books)
    status, text, answers = diagnose(envoy)
    assert status == 1, text
    expected = {
        "sentry.away": [
            f"sentry.away.failed is {both}",
            "refuses for good, or answers stay away; cluster away:",
            "connections failed",
            "attempts or age ran out",
        ],
        "sentry.wrong": [
            f"sentry.wrong.failed is {both}",
            "sentry.wrong does not accept the key of a copy",
            f"cluster wrong: {both} answers with 403",
            "sentry.wrong.projects",
        ],
        "sentry.limits": [
            "sentry.limits limits: it answered 429 to 1 calls",
            "sentry.limits.items",
        ],
        "sentry.closed": [
            "sentry.closed.failed is 1",
            "sentry.closed limits: it answered 429 to 1 calls",
            f"sentry.closed.skipped.limited is {COUNT - 1}",
            "takes no more of some categories",
        ],
    }
    for leg, parts in expected.items():
        assert all(part in said(text, leg) for part in parts), text
        assert f"\n  {leg}: captured " in text
    assert said(text, "rum") == "" and "RUM" not in text, text
    # Nobody's key is printed.
    assert not [project for project in second.PROJECTS if second.dsn(project, 1).key in text], text
    # Nothing happens now.
    assert diagnose(envoy, "--recent")[0] == 0
    captured = capture(answers)
    if os.environ.get("UPDATE"):
        CAPTURED.parent.mkdir(parents=True, exist_ok=True)
        CAPTURED.write_text(json.dumps(captured, indent=1, sort_keys=True) + "\n")
    kept = json.loads(CAPTURED.read_text())
    assert names(kept) == names(captured), "another set of metrics: run this with UPDATE=1"
    second.everything_at_rum(primary, rum, rum_config)
    for server in targets.values():
        server.close()
        assert server.violations == []


def test_a_target_that_is_well(
    start: Callable[..., Envoy], primary: Primary, rum: FakeRum, saas: FakeSecond, rum_config: dict
) -> None:
    envoy = start({second.NAME: saas})
    send(envoy, "event")
    second.books(envoy, captured=COUNT, delivered=COUNT)
    settled(envoy, captured=COUNT, delivered=COUNT)
    status, text, _ = diagnose(envoy)
    assert status == 0 and text.endswith("nothing is wrong\n"), text
    assert f"  {second.LEG}: captured {COUNT}, delivered {COUNT}, failed 0" in text
    for request in primary.requests:
        saas.expect_of(request)
    second.everything_at_rum(primary, rum, rum_config)


def test_a_target_whose_budget_is_full(
    start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    server = FakeSecond()
    server.behave = Behaviour(hang=True)
    envoy = start(
        {second.NAME: server},
        sentry={
            second.NAME: second.section(server.port)[second.NAME]
            | {"timeout_ms": 60_000, "limits": {"max_pending_bytes": 32_768, "max_in_flight": 2}}
        },
        limits={"max_body_bytes": 16_384},
    )
    with replay.Client(envoy.port) as client:
        for number in range(8):
            body = second.envelope("event", number).ljust(12_000)
            assert client.request("/api/1/envelope/", body).status == 200
    wait.until("something was dropped", lambda: envoy.metrics()[f"{second.LEG}.dropped"] > 0)
    settled(envoy, captured=8, delivered=8)
    status, text, _ = diagnose(envoy)
    problems = said(text, second.LEG)
    assert status == 1 and f"{second.LEG}.limits.max_pending_bytes" in problems, text
    assert "of 32768 bytes): data is lost" in problems and "in_flight is at its limit" in problems, text
    second.everything_at_rum(primary, rum, rum_config)
    server.close()
    assert server.violations == []
