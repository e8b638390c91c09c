"""Which requests the module sees: in mode `tee` the samples' filter is disabled, and turned on by routes.

What a filter sees is asked with one that traps on a request with many headers (support/trap_module.py): then the answer is
503, and whoever passes it by is answered by the primary.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from support import paths, replay, rules, sample, trap_module
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.primary import Primary
from support.shared import Shared

TEE = ("tee.yaml", "tee-sls.yaml", "tee-tls.yaml", "tee-second-sentry.yaml", "tee-lds/listeners/edge.yaml", "self-hosted/front.yaml")
SEEN = ({"prefix": "/api/"}, {"safe_regex": {"regex": "/.*/api/.*"}})
POISON = [(f"x-{n}", "x") for n in range(trap_module.TOO_MANY)]
# What no Sentry takes for ingest, or is behind a path of which nothing was said.
UNSEEN = (
    ("GET", "/"), ("GET", "/organizations/shop/issues/?project=1"), ("GET", "/api"), ("POST", "/API/42/envelope/"),
    ("POST", "/%61pi/42/envelope/"), ("POST", "/sentry/api"), ("POST", "/?/api/42/envelope/"),
    ("GET", "/api/0/organizations/"), ("POST", "/api/0/relays/projectconfigs/"), ("GET", "/_static/dist/app.js"), ("POST", "/rum/sentry/other"),
)  # fmt: skip


def listeners(name: str) -> list[sample.Yaml]:
    """Those of a sample that have the mirror."""
    loaded = sample.load(name)
    found = loaded["resources"] if "resources" in loaded else loaded["static_resources"]["listeners"]
    return [listener for listener in found if sample.has_mirror(listener)]


@pytest.mark.parametrize("name", TEE)
def test_other_routes_differ_in_nothing_else(name: str) -> None:
    """The last route takes all that is left, to where the others lead."""
    for listener in listeners(name):
        assert sample.filter_of(listener)["disabled"] is True
        web_api, *seen, rest = sample.routes(listener)
        assert web_api == {"match": {"prefix": "/api/0/"}, "route": rest["route"]}
        assert rest == {"match": {"prefix": "/"}, "route": rest["route"]}
        shown = {"sentry_edge_mirror": {"@type": sample.FILTER_CONFIG, "config": {}}}
        wanted = [{"match": taken, "route": rest["route"], "typed_per_filter_config": shown} for taken in SEEN]
        assert seen == wanted


def trapping(directory: Path) -> Callable[[sample.Yaml], None]:
    module = directory / "trap.wasm"
    module.write_bytes(trap_module.build())

    def edit(bootstrap: sample.Yaml) -> None:
        (listener,) = bootstrap["static_resources"]["listeners"]
        sample.mirror(listener)["vm_config"]["code"]["local"]["filename"] = str(module)

    return edit


@pytest.mark.parametrize(
    "target",
    [
        "/api/42/envelope/",
        "/api/00/42/",
        "/api/0042/store/",
        "//api/42/envelope/",
        "/sentry/api/42/envelope/",
        "/./api/42/envelope/",
        "/rum/sentry/a/b/api/42/envelope/",
    ],
)
def test_other_requests_never_reach_the_filter(target: str, tmp_path: Path, primary: Primary, rum: FakeRum) -> None:
    with Envoy(tmp_path / "envoy", primary.port, rum.port, edit=trapping(tmp_path), traps=True) as envoy:
        with replay.Client(envoy.port) as client:
            for method, path in UNSEEN:
                assert client.request(path, b"", POISON, method).by_primary, path
            # One that does reach it: the means works.
            assert client.request(target, b"", POISON).status == 503
    assert len(primary.requests) == len(UNSEEN)


def test_what_the_module_does_not_see_is_not_counted(
    tmp_path: Path, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    """Other requests move no metric, and an envelope between them is mirrored."""
    with Shared(tmp_path, primary.port, rum.port) as envoy:
        before = envoy.metrics()
        with replay.Client(envoy.port) as client:
            for method, path in UNSEEN:
                assert client.request(path, b"{}" if method == "POST" else b"", method=method).by_primary, path
            assert envoy.metrics() == before
            assert client.request("/api/42/envelope/", b"{}").by_primary
        # Counters are published in ticks: had others been counted, they would be in it.
        after = settled(envoy, captured=1, delivered=1, pending=0)
        rum.expect(rules.Copy.of(rum_config, primary.requests[-1]))
        moved = {name for name, value in after.items() if value != before[name]}
        assert moved == {"rum.captured", "rum.delivered", "rum.attempts", "rum.bytes"}


def test_a_dsn_with_a_path_needs_no_route(tmp_path: Path, primary: Primary, rum: FakeRum, rum_config: dict) -> None:
    targets = ["/sentry/api/42/envelope/?x", "/api/42/envelope/"]
    with Shared(tmp_path, primary.port, rum.port, configuration={"dsn_path": "/sentry"}) as envoy:
        with replay.Client(envoy.port) as client:
            for target in targets:
                assert client.request(target, b"{}").by_primary
        settled(envoy, captured=2, delivered=2, pending=0)
    default = f"/rum/sentry/{rum_config['default']['workspace']}/{rum_config['default']['service_id']}"
    found = {request.target for request in rum.taken}
    assert found == {f"{default}{target.removeprefix('/sentry')}" for target in targets}
    rum.taken.clear()  # checked above; the rules of the fixture know of no path


def off(bootstrap: sample.Yaml) -> None:
    (listener,) = bootstrap["static_resources"]["listeners"]
    sample.show(listener, sentry_edge_mirror=False)


def elsewhere(bootstrap: sample.Yaml) -> None:
    (listener,) = bootstrap["static_resources"]["listeners"]
    sample.show(listener, another=True)


@pytest.mark.parametrize("edit", [None, off, elsewhere])
def test_the_command_notices_what_no_route_turns_on(
    edit: Callable[[sample.Yaml], None] | None, tmp_path: Path, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    """`check` before it, `explain` of a request, `diagnose` while it runs: as Envoy does it."""
    file = tmp_path / "envoy.yaml"
    file.write_text(yaml.safe_dump(sample.adapt(sample.load("tee.yaml"), 9, 9, edit=edit), sort_keys=False))
    target = "/api/3/envelope/"
    said = {
        "check": run("check", file),
        "explain": run("explain", file, "POST", target),
    }
    with Envoy(tmp_path / "envoy", primary.port, rum.port, edit=edit) as envoy:
        with replay.Client(envoy.port) as client:
            assert client.request(target, b"{}").by_primary
        if edit is None:
            rum.expect(rules.Copy.of(rum_config, primary.requests[0]))
            settled(envoy, captured=1, delivered=1, pending=0)
        said["diagnose"] = run("diagnose", "--seconds", "1", f"http://127.0.0.1:{envoy.admin_port}")
        settled(envoy, captured=0 if edit else 1)
    wanted = {
        "check": "no route turns the filter on (typed_per_filter_config): the module sees no request, nothing is mirrored",
        "explain": "the module does not see it",
        "diagnose": "problem: the filter is disabled, and no route turns it on: nothing is mirrored",
    }
    assert {name: wanted[name] in said[name] for name in wanted} == dict.fromkeys(wanted, edit is not None), said


def run(*words: object) -> str:
    ran = subprocess.run([paths.command(), *map(str, words)], cwd=paths.ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert not ran.stderr
    return ran.stdout
