"""envoy/deploy/envoy-gateway/: the Envoy configuration that Envoy Gateway makes of it, on real Envoy."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import envoy_gateway, manifests, paths, replay, rules, sample, sls_edge, sls_traffic, tls, wait
from support.envoy import Envoy, settled
from support.envoy_gateway import ModuleServer
from support.fake_metadata import FakeMetadata
from support.fake_sls import FakeSls
from support.manifests import Yaml
from support.primary import Primary
from support.tls import Receiver

MIRROR = manifests.load("envoy-gateway/mirror.yaml")
SLS = manifests.load("envoy-gateway/sls.yaml")
POLICY = manifests.one(MIRROR, "EnvoyExtensionPolicy")
PROXY = manifests.one(MIRROR, "EnvoyProxy")
TRAFFIC = manifests.one(MIRROR, "ClientTrafficPolicy")
SECTION = json.loads(json.dumps(POLICY["spec"]["wasm"][0]["config"]["rum"]).replace("${RUM_WORKSPACE:-everything-else}", "everything-else"))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    yield from tls.receiver(tmp_path, SECTION["authority"])


@pytest.fixture(scope="module")
def server() -> Iterator[ModuleServer]:
    running = ModuleServer(Path(paths.module()))
    yield running
    running.close()


def rum_cluster(receiver: Receiver) -> Yaml:
    made = envoy_gateway.added_clusters([part for part in MIRROR if part["kind"] == "EnvoyPatchPolicy"])["rum"]
    manifests.local(made, receiver.rum.port, "rum.example.com")
    manifests.trusting(made, receiver.authority)
    return made


def listener(policy: Yaml, server: ModuleServer, traffic: Yaml | None = TRAFFIC) -> Yaml:
    """The listener of the Gateway, with the route of the policy and one of another HTTPRoute."""
    other = manifests.route(match={"path_separated_prefix": "/other"})
    routes = [other, manifests.route(**envoy_gateway.enabling(policy))]
    return manifests.listener(
        [envoy_gateway.http_filter(policy, server)],
        routes,
        envoy_gateway.manager(traffic),
        per_connection_buffer_limit_bytes=32768,
    )


@pytest.fixture
def start(tmp_path: Path, primary: Primary, server: ModuleServer) -> Iterator[Callable[..., Envoy]]:
    running: list[Envoy] = []

    def starter(clusters: list[Yaml], policy: Yaml = POLICY, traffic: Yaml | None = TRAFFIC, **options: object) -> Envoy:
        options.setdefault("bootstrap", envoy_gateway.bootstrap(PROXY))
        made, directory = listener(policy, server, traffic), tmp_path / f"envoy{len(running)}"
        running.append(manifests.start(directory, primary.port, [made], [server.cluster(), *clusters], **options))
        return running[-1]

    yield starter
    for envoy in running:
        envoy.stop()


def send(envoy: Envoy, target: str, body: bytes = b"{}", headers: tuple = ()) -> replay.Answer:
    with replay.Client(envoy.port) as client:
        return client.request(target, body, [("Cookie", "session=s3cret"), *headers])


def arrived(receiver: Receiver, primary: Primary) -> None:
    for request in primary.requests:
        receiver.rum.expect(rules.Copy.of(SECTION, request))
    receiver.rum.wait(seconds=20)


def test_only_the_route_of_the_policy_is_mirrored(
    start: Callable[..., Envoy], receiver: Receiver, primary: Primary, server: ModuleServer
) -> None:
    """The module by URL, the filter disabled in the listener and enabled by the route, TLS that is verified."""
    asked = server.asked
    envoy = start([rum_cluster(receiver)])
    assert server.asked > asked
    for project in (1, 2, 7):
        assert send(envoy, f"/api/{project}/envelope/?sentry_key=abc").by_primary
    assert send(envoy, "/other/api/1/envelope/").by_primary
    arrived(receiver, primary)
    assert set(receiver.names) == {"rum.example.com"}
    # The other route's request was not even looked at.
    metrics = settled(envoy, captured=3, delivered=3)
    # By the bootstrap's `stats_tags`.
    assert re.search(r'^sentry_edge_mirror_captured{[^}]*leg="rum"[^}]*} 3$', envoy.admin("/stats/prometheus"), re.MULTILINE)
    assert not any(value for name, value in metrics.items() if ".skipped." in name)


def test_the_bootstraps_limit_is_above_the_modules_size(
    tmp_path: Path, primary: Primary, server: ModuleServer, receiver: Receiver
) -> None:
    """With the limit of the samples, 64 KiB, the module never comes, and the listener never opens."""
    (layer,) = envoy_gateway.bootstrap(PROXY)["layered_runtime"]["layers"]
    limit = layer["static_layer"]["http.async_response_buffer_limit"]
    assert 2 * Path(paths.module()).stat().st_size < limit <= 16 * 1024 * 1024
    samples = sample.load("tee.yaml")["layered_runtime"]
    with pytest.raises(AssertionError):
        manifests.start(
            tmp_path / "low",
            primary.port,
            [listener(POLICY, server)],
            [server.cluster(), rum_cluster(receiver)],
            bootstrap={"layered_runtime": samples},
            ready_seconds=8,
        )
    assert not primary.requests


def test_what_clients_send_is_left_alone(
    start: Callable[..., Envoy], receiver: Receiver, primary: Primary
) -> None:
    """With the ClientTrafficPolicy. Without it slashes are merged, %2F is redirected, and an underscore is refused."""
    target, under = "/api//1/envelope/?path=a%2Fb", (("x_y", "1"),)
    envoy = start([rum_cluster(receiver)])
    assert send(envoy, target, headers=under).by_primary
    assert send(envoy, "/a%2Fb").by_primary
    assert [request.target for request in primary.requests] == [target, "/a%2Fb"]
    arrived(receiver, primary)
    without = start([rum_cluster(receiver)], traffic=None)
    assert send(without, "/api/1/envelope/", headers=under).status == 400
    assert send(without, "/a%2Fb").status in (301, 307)


def test_a_configuration_that_is_wrong_stops_nobody(start: Callable[..., Envoy], primary: Primary) -> None:
    """`failOpen`: the module is fetched later than the listener's configuration is judged, so Envoy cannot refuse it."""
    policy = manifests.one(MIRROR, "EnvoyExtensionPolicy")
    policy["spec"]["wasm"][0]["config"]["rum"]["upstrem"] = "rum"
    envoy = start([], policy)
    wait.until("it is refused", lambda: "rum.upstrem: unknown key" in envoy.log(), 20)
    assert send(envoy, "/api/1/envelope/").by_primary


def with_sls(credential: Yaml) -> Yaml:
    policy = manifests.one(MIRROR, "EnvoyExtensionPolicy")
    policy["spec"]["wasm"][0]["config"] = {"sls": sls_edge.section(credential, upstream="sls")}
    return policy


def sls_clusters(sls: FakeSls, metadata: FakeMetadata | None = None) -> list[Yaml]:
    added = envoy_gateway.added_clusters(SLS)
    # The fake speaks no TLS: the text is RUM's, and tried there.
    assert added["sls"].pop("transport_socket")["typed_config"]["sni"] == "my-log-project.cn-hangzhou.log.aliyuncs.com"
    manifests.local(added["sls"], sls.port, "my-log-project.cn-hangzhou.log.aliyuncs.com")
    manifests.local(added["metadata"], metadata.port if metadata else 9, "100.100.100.200")
    return list(added.values())


def test_the_key_by_a_secret_in_the_environment(start: Callable[..., Envoy], sls: FakeSls) -> None:
    variables = PROXY["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]["env"]
    names = {variable["name"] for variable in variables if "secretKeyRef" in variable["valueFrom"]}
    assert names <= set(POLICY["spec"]["wasm"][0]["env"]["hostKeys"])
    environment = dict(zip(sorted(names), (sls_edge.KEY_ID, sls_edge.SECRET), strict=True))
    credential = {"access_key_id": "${SLS_ACCESS_KEY_ID}", "access_key_secret": "${SLS_ACCESS_KEY_SECRET}"}
    envoy = start(sls_clusters(sls), with_sls(credential), environment=environment)
    send(envoy, "/api/1/envelope/", sls_traffic.event("by a Secret"))
    sls.wait(1)
    settled(envoy, leg="sls", captured=1, delivered=1)
    shown = envoy.admin("/config_dump?include_eds")
    assert "SLS_ACCESS_KEY_SECRET" in shown
    assert sls_edge.SECRET not in shown and sls_edge.KEY_ID not in shown


def test_the_role_of_the_node(start: Callable[..., Envoy], sls: FakeSls, metadata: FakeMetadata) -> None:
    envoy = start(sls_clusters(sls, metadata), with_sls({"ecs_ram_role": {"upstream": "metadata"}}))
    send(envoy, "/api/1/envelope/", sls_traffic.event("by the role"))
    sls.wait(1)
    settled(envoy, leg="sls", captured=1, delivered=1)
    shown = envoy.admin("/config_dump")
    assert metadata.issued and not any(key.secret in shown for key in sls.keys.values())
