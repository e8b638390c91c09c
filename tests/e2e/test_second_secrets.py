"""The keys of a second Sentry, which the configuration has and nobody else gets to see: not in Envoy's log, not in what it
publishes, not in what the command prints.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from support import bugsink, fake_rum, paths, planted, replay, rekey, sample, second, wait
from support.envoy import Envoy
from support.fake_rum import FakeRum
from support.http1 import Request
from support.primary import Primary
from support.second import FakeSecond

BASIC = rekey.basic(second.dsn(1, 1))
KEYS = [bugsink.key(its) for its in second.PROJECTS.values()]
# In each place in which a key can stand: the copy has the other key there.
CREDENTIALS = [
    ("/api/1/envelope/", [("X-Sentry-Auth", "Sentry sentry_version=7, sentry_key=theirs, sentry_secret=old")]),
    ("/api/2/envelope/", [("Authorization", "Sentry sentry_key=theirs")]),
    ("/api/3/envelope/", [("Authorization", "Basic MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA6")]),
    ("/api/1/envelope/?sentry_key=theirs", []),
    ("/api/1/store/?sentry_key=theirs", []),
]
BODY = second.envelope("event", 1, '{"dsn":"https://theirs@edge.example/1","trace":{"public_key":"theirs"}}')


def send_all(port: int, body: bytes = BODY) -> None:
    for target, headers in CREDENTIALS:
        with replay.Client(port) as client:
            plain = b"{}\n" if any(value.startswith("Basic") for _, value in headers) else body
            assert client.request(target, plain, headers).status == 200


def published(envoy: Envoy) -> str:
    pages = ("/stats", "/stats/prometheus", "/config_dump", "/clusters", "/listeners", "/server_info")
    return "\n".join(envoy.admin(page) for page in pages)


def troubled(port: int, primary: Primary, rum: FakeRum, saas: FakeSecond, envoy: Envoy) -> None:
    """Every kind of credential, taken, refused, limited and in vain."""

    def quoting(request: Request) -> fake_rum.Behaviour:
        return fake_rum.Behaviour(status=400, headers=(("x-quote", request.target),))

    for number, behaviour in enumerate((fake_rum.OK, quoting, fake_rum.Behaviour(status=403)), 1):
        saas.behave = behaviour
        send_all(port)
        second.books(envoy, captured=number * len(CREDENTIALS), pending=0)
    saas.close()
    send_all(port)
    wait.until("a retry", lambda: envoy.metrics()[f"{second.LEG}.retries"] > 0)
    saas.reopen()
    saas.behave = fake_rum.OK
    second.books(envoy, captured=4 * len(CREDENTIALS), delivered=2 * len(CREDENTIALS), pending=0)
    for request in (primary.requests[: len(CREDENTIALS)], primary.requests[3 * len(CREDENTIALS) :]):
        for each in request:
            saas.expect_of(each, everything=True)


@pytest.mark.parametrize(("level", "args"), [("info", ("--component-log-level", "wasm:trace")), ("trace", ())])
def test_no_key_comes_out_of_envoy(
    level: str, args: tuple[str, ...], tmp_path: Path, primary: Primary, rum: FakeRum, saas: FakeSecond
) -> None:
    """The DSNs are in Envoy's environment, so that its own dump of the configuration has none."""
    names = {str(project): f"SECOND_{project}" for project in second.PROJECTS}
    environment = {name: second.dsn(int(project), saas.port).text for project, name in names.items()}
    add = second.cluster(saas.port)

    def edit(bootstrap: sample.Yaml) -> None:
        add(bootstrap)
        (listener,) = bootstrap["static_resources"]["listeners"]
        sample.mirror(listener)["vm_config"]["environment_variables"]["host_env_keys"] += environment

    target = {"upstream": second.NAME, "routes": "all", "projects": {p: f"${{{name}}}" for p, name in names.items()}}
    configuration = {"sentry": {second.NAME: target}, "retry": second.RETRY, "rum": None}
    ports = primary.port, rum.port
    with Envoy(
        tmp_path / "envoy",
        *ports,
        configuration=configuration,
        edit=edit,
        args=args,
        level=level,
        environment=environment,
    ) as envoy:
        troubled(envoy.port, primary, rum, saas, envoy)
        pages = published(envoy)
    log = envoy.log()
    secrets = [*KEYS, BASIC.removeprefix("Basic ")]
    assert "sentry.saas" in pages and planted.found_in(pages, secrets) == {}
    assert "proxy_on_request_headers" in log, "the module's own calls are not in the trace"
    assert "sentry.saas" in log, "nothing was said of the leg: this shows nothing"
    # At trace Envoy itself writes the headers of the module's calls: SECURITY.md names that limit.
    ours = planted.not_by_envoy(log) if level == "trace" else log
    assert planted.found_in(ours, secrets) == {}


# ---- the command


def command(*args: str) -> tuple[int, str]:
    ran = subprocess.run([paths.command(), *args], capture_output=True, text=True, timeout=60, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def file(directory: Path, port: int, edit: Callable[[sample.Yaml], None] = lambda _: None) -> Path:
    """An Envoy configuration with the keys themselves in it."""
    configuration = {"sentry": second.section(port, routes="all")}
    edit(configuration["sentry"][second.NAME])
    found = directory / "envoy.yaml"
    bootstrap = sample.adapt(sample.load("tee.yaml"), 9, 9, configuration, edit=second.cluster(port))
    found.write_text(yaml.safe_dump(bootstrap, sort_keys=False))
    return found


def test_explain_shows_the_copy_and_no_key(tmp_path: Path) -> None:
    path = str(file(tmp_path, 8000))
    for target, headers in CREDENTIALS:
        more = [part for name, value in headers for part in ("-H", f"{name}: {value}")]
        status, said = command("explain", path, "POST", target, *more, "-d", BODY.decode())
        assert status == 0 and f"upstream {second.NAME}" in said, said
        assert planted.found_in(said, [*KEYS, BASIC.removeprefix("Basic ")]) == {}, said


def wrong_path(target: sample.Yaml) -> None:
    target["projects"] = {project: f"{dsn}?x" for project, dsn in target["projects"].items()}


def wrong_key(target: sample.Yaml) -> None:
    target["projects"] = {project: dsn.replace("@", "%20@") for project, dsn in target["projects"].items()}


def wrong_kind(target: sample.Yaml) -> None:
    target["projects"] = list(target["projects"].values())


def swapped(target: sample.Yaml) -> None:
    target["projects"] = {dsn: project for project, dsn in target["projects"].items()}


def in_another_place(place: str) -> Callable[[sample.Yaml], None]:
    def edit(target: sample.Yaml) -> None:
        target[place] = next(iter(target["projects"].values()))

    edit.__name__ = place
    return edit


PLACES = ["upstream", "authority", "scheme", "routes", "timeout_ms", "sample", "exclude", "items", "rate", "unheard_of"]
WRONG = [wrong_path, wrong_key, wrong_kind, swapped, *map(in_another_place, PLACES)]


@pytest.mark.parametrize("edit", WRONG)
def test_what_is_wrong_is_said_without_the_key(edit: Callable[[sample.Yaml], None], tmp_path: Path) -> None:
    path = str(file(tmp_path, 8000, edit))
    for args in (("check", path), ("explain", path, "POST", "/api/1/envelope/", "-d", "{}")):
        status, said = command(*args)
        assert status == 1 and f"sentry.{second.NAME}" in said, said
        assert planted.found_in(said, KEYS) == {}, said


@pytest.mark.parametrize("edit", WRONG)
def test_envoy_refuses_it_without_the_key(edit: Callable[[sample.Yaml], None], tmp_path: Path) -> None:
    bootstrap = yaml.safe_load(file(tmp_path, 8000, edit).read_text())
    log = Envoy.refused(tmp_path / "envoy", bootstrap)
    ours = "\n".join(line for line in log.splitlines() if "[wasm]" in line)
    assert f"sentry.{second.NAME}" in ours
    assert planted.found_in(ours, KEYS) == {}, ours


def test_check_of_a_good_file_prints_no_key(tmp_path: Path) -> None:
    status, said = command("check", str(file(tmp_path, 8000)))
    assert status == 0, said
    assert planted.found_in(said, KEYS) == {}, said
