"""envoy/shadow.yaml: Envoy mirrors by itself, and the module rewrites each copy in the cluster that it goes to."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import replay, rules, sample, trap_module, wait
from support.envoy import Envoy, settled
from support.fake_rum import Behaviour, FakeRum
from support.http1 import Request
from support.primary import Primary
from support.shared import Shared

NAME = "shadow.yaml"
SECRETS = [("Cookie", "sentrysid=secret"), ("Authorization", "Bearer secret"), ("X-Sentry-Auth", "Sentry sentry_key=k")]


@pytest.fixture
def start(tmp_path: Path, primary: Primary, rum: FakeRum) -> Iterator[Callable[..., Envoy]]:
    running: list[Envoy] = []

    def starter(**options: object) -> Envoy:
        kind = Envoy if options.get("traps") else Shared
        running.append(kind(tmp_path / f"envoy{len(running)}", primary.port, rum.port, name=NAME, **options))
        return running[-1]

    yield starter
    for envoy in running:
        envoy.stop()


def plugin(bootstrap: sample.Yaml) -> sample.Yaml:
    """The module's configuration inside Envoy's: in the cluster."""
    (options,) = sample.cluster(bootstrap, "rum")["typed_extension_protocol_options"].values()
    return options["http_filters"][0]["typed_config"]["config"]


def test_each_envelope_reaches_both_and_the_copy_carries_no_secret(
    start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    envoy = start()
    sent = 0
    with replay.Client(envoy.port) as client:
        for project in (1, 2, 77):
            for size in (2, 5_000, 300_000):
                target = f"/api/{project}/envelope/?sentry_version=7&n={sent}"
                answer = client.request(target, b"x" * size, SECRETS)
                assert (answer.status, answer.by_primary) == (200, True)
                sent += 1
        for other in ("/api/1/store/", "/", "/static/x.js"):
            assert client.request(other, b"{}").status == 200
    wait.until("all copies", lambda: rum.accepted == sent, 10)
    assert len(primary.requests) == sent + 3
    originals = {rules.copy_path(rum_config, request.target): request for request in primary.requests}
    for copy in rum.taken:
        assert copy.body == originals[copy.target].body
        assert not any("secret" in value for _, value in copy.headers), copy.headers
    # What it carries besides is looked at by the receiver itself; X-Forwarded-For names the client twice.
    rum.taken = []
    settled(envoy, captured=sent, delivered=sent, in_place=sent, pending=0, failed=0)


@pytest.mark.parametrize("trouble", [Behaviour(hang=True), Behaviour(reset=True), Behaviour(status=503), Behaviour(status=500)])
def test_the_primary_does_not_notice(
    trouble: Behaviour, start: Callable[..., Envoy], primary: Primary, rum: FakeRum
) -> None:
    envoy = start()
    rum.behave = trouble
    with replay.Client(envoy.port) as client:
        for _ in range(10):
            began = time.monotonic()
            answer = client.request("/api/1/envelope/", b"{}")
            assert (answer.status, answer.by_primary) == (200, True)
            assert time.monotonic() - began < 3
    # One attempt each, and each is counted.
    if not trouble.hang:
        settled(envoy, captured=10, delivered=0, failed=10, pending=0)


def test_a_trap_of_the_module_leaves_the_primary_alone(
    tmp_path: Path, start: Callable[..., Envoy], primary: Primary, rum: FakeRum
) -> None:
    module = tmp_path / "trap.wasm"
    module.write_bytes(trap_module.build())

    def edit(bootstrap: sample.Yaml) -> None:
        plugin(bootstrap)["vm_config"]["code"]["local"]["filename"] = str(module)

    envoy = start(edit=edit, traps=True)
    poison = [(f"x-{n}", "x") for n in range(trap_module.TOO_MANY)]
    with replay.Client(envoy.port) as client:
        for headers in ([], poison, [], poison, []):
            assert client.request("/api/1/envelope/", b"{}", headers).status == 200
    # The module that traps rewrites nothing: what it let pass came as it was. None of that is a fault of ours.
    rum.violations, rum.taken = [], []


def test_the_shadow_artefact_refuses_what_it_cannot_do(tmp_path: Path, primary: Primary, rum: FakeRum) -> None:
    bootstrap = sample.adapt(sample.load(NAME), primary.port, rum.port)
    value = plugin(bootstrap)["configuration"]["value"]
    value["fast_ack"] = True
    value["rum"]["upstream"] = "rum"
    log = Envoy.refused(tmp_path / "envoy", bootstrap)
    assert "sentry_edge_mirror_shadow.wasm is for mode rewrite in Envoy, without sls and fast_ack only: use sentry_edge_mirror.wasm" in log


def test_a_target_that_does_not_read_stalls_nobody_with_bodies_that_fit_the_buffer(
    start: Callable[..., Envoy], primary: Primary, rum: FakeRum
) -> None:
    """Envoy streams a copy beside its request: with its default buffers, 8 MB would never reach the primary."""
    envoy = start()
    rum.behave = Behaviour(hang_before_reading=True)
    with replay.Client(envoy.port) as client:
        answer = client.request("/api/1/envelope/", b"x" * 8_000_000)
        assert (answer.status, answer.by_primary) == (200, True)


def test_books_and_copies_agree_with_two_workers(start: Callable[..., Envoy], rum: FakeRum) -> None:
    """Many copies from two workers; each is counted once where it was seen."""
    envoy = start(concurrency=2)
    with replay.Client(envoy.port) as one, replay.Client(envoy.port) as two:
        for number in range(200):
            assert (one, two)[number % 2].request(f"/api/{number % 3 + 1}/envelope/", b"{}").status == 200
    wait.until("all copies", lambda: rum.accepted == 200, 20)
    settled(envoy, captured=200, delivered=200, pending=0)
    rum.taken = []
