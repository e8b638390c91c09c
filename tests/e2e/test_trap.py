"""What a trap would do to the primary under each failure policy: why the samples say FAIL_OPEN.

The module that traps is not ours (support/trap_module.py); everything else is the sample.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import replay, sample, trap_module, wait
from support.envoy import Envoy
from support.fake_rum import FakeRum
from support.primary import Primary

POISON = [(f"x-{n}", "x") for n in range(trap_module.TOO_MANY)]


def trapping(directory: Path, policy: str | None) -> Callable[[sample.Yaml], None]:
    """Replaces the sample's module, and, if told, its policy."""
    directory.mkdir(parents=True, exist_ok=True)
    module = directory / "trap.wasm"
    module.write_bytes(trap_module.build())

    def edit(bootstrap: sample.Yaml) -> None:
        plugin = sample.mirror(bootstrap["static_resources"]["listeners"][0])
        plugin["vm_config"]["code"]["local"]["filename"] = str(module)
        if policy is not None:
            plugin["failure_policy"] = policy
        if policy == "FAIL_RELOAD":
            plugin["reload_config"] = {"backoff": {"base_interval": "20s", "max_interval": "60s"}}

    return edit


def status(port: int, headers: list[tuple[str, str]] | None = None) -> int:
    with replay.Client(port) as client:
        return client.request("/api/1/envelope/", b"{}", headers).status


@pytest.fixture
def start(tmp_path: Path, primary: Primary, rum: FakeRum) -> Iterator[Callable[[str | None], Envoy]]:
    running: list[Envoy] = []

    def starter(policy: str | None) -> Envoy:
        edit = trapping(tmp_path, policy)
        running.append(Envoy(tmp_path / "envoy", primary.port, rum.port, edit=edit, traps=True))
        return running[-1]

    yield starter
    for envoy in running:
        envoy.stop()


def test_samples_policy_lets_everything_after_the_trap_pass(start: Callable, primary: Primary) -> None:
    envoy = start(None)
    assert status(envoy.port) == 200
    with replay.Client(envoy.port) as uploading, replay.Client(envoy.port) as waiting:
        uploading.send(b"POST /api/1/envelope/ HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
        primary.hold()
        waiting.send(b"POST /api/1/envelope/ HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
        wait.until("the second one is at the primary", lambda: primary.count == 2)
        assert status(envoy.port, POISON) == 503
        # The price of any trap: what is in flight on that worker fails at its next step through the filter, be it the
        # rest of its body
        uploading.send(b"67890")
        assert uploading.answer().status == 503
        # or the primary's answer, although neither module exports a callback for that.
        primary.release()
        assert waiting.answer().status == 503
    assert [status(envoy.port) for _ in range(20)] == [200] * 20
    # Even the poison: the filter is not there any more.
    assert status(envoy.port, POISON) == 200


def test_fail_closed_would_take_the_primary_down(start: Callable) -> None:
    envoy = start("FAIL_CLOSED")
    assert status(envoy.port) == 200
    assert status(envoy.port, POISON) == 503
    assert [status(envoy.port) for _ in range(20)] == [503] * 20


def test_fail_reload_would_take_the_primary_down_for_the_backoff(start: Callable) -> None:
    envoy = start("FAIL_RELOAD")
    assert status(envoy.port) == 200
    assert status(envoy.port, POISON) == 503
    # It may load a new instance at once, but a second poisonous request meets the backoff.
    status(envoy.port, POISON)
    assert [status(envoy.port) for _ in range(20)] == [503] * 20
