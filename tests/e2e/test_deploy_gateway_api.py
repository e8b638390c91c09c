"""envoy/deploy/gateway-api/: `kubectl kustomize`, the Pod as Kubernetes would start it, and a gateway that mirrors to it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import manifests, paths, replay, sample, sls_edge, sls_traffic, tls, wait
from support.compose import KIT
from support.envoy import Envoy, settled
from support.fake_rum import Behaviour
from support.fake_sls import FakeSls
from support.free_port import free_port
from support.manifests import Yaml
from support.primary import Primary
from support.tls import Receiver

MIB = 1024 * 1024
PROJECTS = {1: "shop/web@aaaa1111", 2: "shop/api@bbbb2222", 7: "shop/default@cccc3333"}


@pytest.fixture(scope="module")
def resources() -> list[Yaml]:
    """What `kubectl apply -k` would send."""
    return kustomized(manifests.DEPLOY / "gateway-api")


def kustomized(folder: Path) -> list[Yaml]:
    command = [paths.kubectl(), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [part for part in yaml.safe_load_all(done.stdout) if part]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    yield from tls.receiver(tmp_path, "rum.example.com")


def container(resources: list[Yaml]) -> Yaml:
    (found,) = manifests.one(resources, "Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def config_map(resources: list[Yaml], name: str) -> Yaml:
    """A generated one, whose name ends with a hash."""
    (found,) = [part for part in resources if re.fullmatch(f"{name}-[a-z0-9]{{10}}", part["metadata"]["name"])]
    return found["data"]


class Pod:
    """The container of the Deployment: its command, variables and files, with the targets on loopback."""

    def __init__(
        self,
        directory: Path,
        resources: list[Yaml],
        receiver: Receiver,
        variables: dict[str, str] | None = None,
        secret: dict[str, str] | None = None,
        sls: int | None = None,
    ) -> None:
        spec = container(resources)
        values = config_map(resources, "sentry-edge-mirror") | (variables or {})
        for entry in spec["env"]:
            key = entry["valueFrom"]["secretKeyRef"]
            assert key["optional"] and key["name"] == "sentry-edge-mirror-sls"
            if secret:
                values[entry["name"]] = secret[key["key"]]
        assert spec["command"] == ["envoy"]
        options = dict(zip(spec["args"][::2], spec["args"][1::2], strict=True))
        files = config_map(resources, "sentry-edge-mirror-envoy")
        mounts = {mount["mountPath"]: mount for mount in spec["volumeMounts"]}
        assert options["--config-path"] == "/etc/envoy/edge/edge.yaml" and mounts["/etc/envoy/edge"]["name"] == "envoy"
        assert mounts["/etc/envoy/sentry_edge_mirror.wasm"]["subPath"] == "plugin.wasm"
        filled = re.sub(r"\$\(([A-Z_]+)\)", lambda found: values[found[1]], options["--config-yaml"])
        more = yaml.safe_load(filled)
        clusters = {cluster["name"]: cluster for cluster in more["static_resources"]["clusters"]}
        manifests.local(clusters["rum"], receiver.rum.port, "rum.example.com")
        manifests.trusting(clusters["rum"], receiver.authority)
        manifests.local(clusters["sls"], sls or 9, values["SLS_ADDRESS"])
        del clusters["sls"]["transport_socket"]
        self.script = directory / "drain.sh"
        directory.mkdir()
        self.script.write_text(files["drain.sh"])
        self.pre_stop: list[str] = spec["lifecycle"]["preStop"]["exec"]["command"]

        def edit(bootstrap: Yaml) -> None:
            own = yaml.safe_load(files["edge.yaml"])
            bootstrap.clear()
            bootstrap |= own
            admin = bootstrap["admin"]["address"]["socket_address"]
            assert admin == {"address": "127.0.0.1", "port_value": int(self.pre_stop[2])}
            port = free_port()
            admin["port_value"] = sample.address(sample.cluster(bootstrap, "admin"))["port_value"] = port
            exposed = {entry["containerPort"] for entry in spec["ports"]}
            for listener in bootstrap["static_resources"]["listeners"]:
                address = listener["address"]["socket_address"]
                assert address["address"] == "0.0.0.0" and address["port_value"] in exposed
                address |= {"address": "127.0.0.1", "port_value": 0}
                if sample.has_mirror(listener):
                    code = sample.mirror(listener)["vm_config"]["code"]["local"]
                    assert code["filename"] in mounts
                    code["filename"] = paths.module()

        self.envoy = Envoy(
            directory / "envoy",
            9,
            9,
            concurrency=int(options["--concurrency"]),
            edit=edit,
            args=("--config-yaml", yaml.safe_dump(more)),
            environment=values,
        )
        statuses = yaml.safe_load(self.envoy.admin("/listeners?format=json"))["listener_statuses"]
        self.ports = {its["name"]: its["local_address"]["socket_address"]["port_value"] for its in statuses}

    def __enter__(self) -> "Pod":
        return self

    def __exit__(self, *_: Any) -> None:
        self.envoy.stop()

    def probe(self, probe: Yaml) -> int:
        assert probe["httpGet"]["port"] == "stats"
        with replay.Client(self.ports["stats"]) as client:
            return client.request(probe["httpGet"]["path"], b"", method="GET").status

    def stop_hook(self) -> subprocess.CompletedProcess[str]:
        shell, script, _, seconds = self.pre_stop
        assert script == "/etc/envoy/edge/drain.sh"
        command = [shell, str(self.script), str(self.envoy.admin_port), seconds]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def gateway(directory: Path, primary: Primary, resources: list[Yaml], target: int, percent: int | None = None) -> Envoy:
    """A gateway of any kind on Envoy: the rules of the HTTPRoute, with `RequestMirror` as shadowing."""
    rules = manifests.one(resources, "HTTPRoute")["spec"]["rules"]
    routes = []
    for rule in rules:
        (match,) = rule["matches"]
        made: Yaml = {"prefix": match["path"]["value"]}
        if "method" in match:
            made["headers"] = [{"name": ":method", "string_match": {"exact": match["method"]}}]
        route = manifests.route(match=made)
        for part in rule.get("filters", []):
            mirror = part["requestMirror"]
            service = manifests.one(resources, "Service", mirror["backendRef"]["name"])
            assert mirror["backendRef"]["port"] in [port["port"] for port in service["spec"]["ports"]]
            share = {"numerator": percent or mirror["percent"], "denominator": "HUNDRED"}
            policy = {"cluster": "mirror", "runtime_fraction": {"default_value": share}}
            route["route"]["request_mirror_policies"] = [policy]
        routes.append(route)
    cluster = {"name": "mirror", "type": "STATIC", "connect_timeout": "2s"}
    cluster["load_assignment"] = manifests.assignment("mirror", manifests.endpoint("127.0.0.1", target))
    return manifests.start(directory, primary.port, [manifests.listener([], routes, {})], [cluster])


def send(port: int, project: int, body: bytes = b"{}") -> None:
    with replay.Client(port) as client:
        answer = client.request(f"/api/{project}/envelope/?sentry_key=abc", body, [("Cookie", "session=s3cret")])
        assert answer.by_primary


def arrived(receiver: Receiver, primary: Primary) -> None:
    wanted = [(f"/rum/sentry/{PROJECTS[int(its.target.split('/')[2])]}{its.target}", its.sha256) for its in primary.requests]
    wait.until("the copies", lambda: len(receiver.rum.taken) >= len(wanted), 20)
    assert sorted((its.target, its.sha256) for its in receiver.rum.taken) == sorted(wanted)
    assert receiver.rum.violations == []
    receiver.rum.taken.clear()


def test_a_gateway_mirrors_to_it(
    resources: list[Yaml], tmp_path: Path, primary: Primary, receiver: Receiver
) -> None:
    with Pod(tmp_path / "pod", resources, receiver) as pod:
        with gateway(tmp_path / "gateway", primary, resources, pod.ports["mirror_target"]) as front:
            for project in PROJECTS:
                send(front.port, project)
            with replay.Client(front.port) as client:
                assert client.request("/organizations/", b"", method="GET").by_primary
            primary.requests.pop()
            arrived(receiver, primary)
            settled(pod.envoy, captured=3, delivered=3)
            assert set(receiver.names) == {"rum.example.com"}


def test_a_part_of_it(resources: list[Yaml], tmp_path: Path, primary: Primary, receiver: Receiver) -> None:
    """`percent`: some arrive, some do not, and no client notices. And neither when the Pods are away."""
    with Pod(tmp_path / "pod", resources, receiver) as pod:
        with gateway(tmp_path / "gateway", primary, resources, pod.ports["mirror_target"], 50) as front:
            for _ in range(100):
                send(front.port, 1)
            # Of 100 with an even chance, 20 to 80 are as good as certain.
            wait.until("some have come", lambda: receiver.rum.accepted >= 20, 20)
            settled(pod.envoy, pending=0)
            assert receiver.rum.accepted <= 80
        receiver.rum.taken.clear()
    with gateway(tmp_path / "alone", primary, resources, free_port()) as front:
        send(front.port, 1)


def test_logs_are_one_overlay_away(
    resources: list[Yaml], tmp_path: Path, primary: Primary, receiver: Receiver, sls: FakeSls
) -> None:
    variables = {
        "EDGE_SLS": "true",
        "SLS_ADDRESS": f"{sls_edge.PROJECT}.{sls_edge.ENDPOINT}",
        "SLS_ENDPOINT": sls_edge.ENDPOINT,
        "SLS_PROJECT": sls_edge.PROJECT,
        "SLS_LOGSTORE": sls_edge.STORE,
    }
    secret = {"id": sls_edge.KEY_ID, "secret": sls_edge.SECRET}
    with Pod(tmp_path / "pod", resources, receiver, variables, secret, sls.port) as pod:
        with gateway(tmp_path / "gateway", primary, resources, pod.ports["mirror_target"]) as front:
            send(front.port, 1, sls_traffic.event("by an overlay"))
            sls.wait(1, 20)
            arrived(receiver, primary)
            settled(pod.envoy, leg="sls", captured=1, delivered=1)
        assert sls_edge.SECRET not in pod.envoy.admin("/config_dump")


def test_probes_and_the_orderly_end(resources: list[Yaml], tmp_path: Path, receiver: Receiver) -> None:
    spec = container(resources)
    with Pod(tmp_path / "pod", resources, receiver) as pod:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert pod.probe(spec[name]) == 200, name
        receiver.rum.behave = Behaviour(status=503)
        with replay.Client(pod.ports["mirror_target"]) as client:
            assert client.request("/api/1/envelope/", b"{}").status == 204
        settled(pod.envoy, captured=1, pending=1)
        receiver.rum.behave = Behaviour()
        done = pod.stop_hook()
        assert done.returncode == 0, done.stderr
        assert receiver.rum.accepted == 1
        # It lives while it drains.
        assert "server.live: 1" in pod.envoy.admin("/stats?filter=server.live")
        receiver.rum.taken.clear()
    grace = manifests.one(resources, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= int(spec["lifecycle"]["preStop"]["exec"]["command"][-1]) + 15


def test_resources_are_those_of_the_formula(resources: list[Yaml]) -> None:
    """envoy/sizing.md, with the limits of edge.yaml and both legs."""
    own = yaml.safe_load(config_map(resources, "sentry-edge-mirror-envoy")["edge.yaml"])
    limits = sample.plugin(own["static_resources"]["listeners"][0])["limits"]
    decoded, item, batch = 32 * MIB, MIB, 524_288
    parts = 8 * MIB + limits["max_pending_bytes"] + limits["max_body_bytes"] + 2 * decoded + 2 * 16 * MIB
    parts += 2 * (12 * item + 8 * MIB) + max(5 * batch, 10 * MIB)
    worker = -(-parts * 5 // 4 // MIB)
    (heap,) = [
        monitor["typed_config"]["max_heap_size_bytes"]
        for monitor in own["overload_manager"]["resource_monitors"]
        if monitor["name"].endswith("fixed_heap")
    ]
    spec = container(resources)
    workers = int(spec["args"][spec["args"].index("--concurrency") + 1])
    assert spec["resources"]["requests"]["memory"] == f"{workers * worker + 128}Mi"
    assert spec["resources"]["limits"]["memory"] == f"{workers * worker + heap // MIB}Mi"
    # A limit of the processor would only make it late.
    assert set(spec["resources"]["limits"]) == {"memory"}


def test_what_is_disrupted_is_one_at_a_time(resources: list[Yaml]) -> None:
    deployment = manifests.one(resources, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for kind in ("PodDisruptionBudget", "Service"):
        selector = manifests.one(resources, kind)["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert wanted and wanted.items() <= labels.items(), kind
    assert deployment["spec"]["replicas"] > manifests.one(resources, "PodDisruptionBudget")["spec"]["maxUnavailable"]
    names = {part["metadata"].get("namespace") for part in resources}
    assert names == {"sentry"}


def test_an_image_of_ones_own_in_place_of_the_volume(resources: list[Yaml], tmp_path: Path) -> None:
    shutil.copytree(manifests.DEPLOY / "gateway-api", tmp_path / "gateway-api")
    overlay = tmp_path / "gateway-api" / "kustomization.yaml"
    image = "[{name: envoyproxy/envoy, newName: registry.example.com/edge, newTag: v1}]"
    overlay.write_text(f"{overlay.read_text()}\ncomponents: [own-image]\nimages: {image}\n")
    made = kustomized(overlay.parent)
    before, after = (manifests.one(those, "Deployment")["spec"]["template"]["spec"] for those in (resources, made))
    assert [volume["name"] for volume in before["volumes"]] == ["envoy", "module"]
    assert [volume["name"] for volume in after["volumes"]] == ["envoy"]
    assert [mount["mountPath"] for mount in container(made)["volumeMounts"]] == ["/etc/envoy/edge"]
    assert container(made)["image"] == "registry.example.com/edge:v1"


def test_the_files_are_those_of_the_kit() -> None:
    base = manifests.DEPLOY / "gateway-api" / "base"
    assert (base / "edge.yaml").read_bytes() == (KIT / "mirror.yaml").read_bytes()
    assert (base / "drain.sh").read_bytes() == (KIT / "drain.sh").read_bytes()
