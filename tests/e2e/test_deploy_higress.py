"""envoy/deploy/higress/: the Envoy configuration that Higress makes of it (support/higress.py), on real Envoy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import higress, istio, manifests, paths, replay, rules, sample, sls_edge, sls_traffic, tls, wait
from support.envoy import Envoy, settled
from support.fake_metadata import FakeMetadata
from support.fake_sls import FakeSls
from support.manifests import Yaml
from support.primary import Primary
from support.shared import Shared
from support.tls import Receiver

RESOURCES = manifests.load("higress/mirror.yaml")
PLUGIN = manifests.one(RESOURCES, "WasmPlugin")
BRIDGE = manifests.one(RESOURCES, "McpBridge")
FILTERS = [part for part in RESOURCES if part["kind"] == "EnvoyFilter"]


def cluster(name: str) -> Yaml:
    return istio.patched(istio.cluster(*higress.entry(higress.registry(BRIDGE, name))), FILTERS)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    yield from tls.receiver(tmp_path, PLUGIN["spec"]["defaultConfig"]["rum"]["authority"])


def rum_cluster(receiver: Receiver) -> Yaml:
    made = cluster("rum")
    manifests.local(made, receiver.rum.port, "rum.example.com")
    istio.trusting(made, receiver.authority)
    return made


def gateway(directory: Path, primary: Primary, plugin: Yaml, clusters: list[Yaml], **options: object) -> Envoy:
    extension = istio.extension(higress.plugin(plugin), Path(paths.module()))
    discovery = istio.Discovery(directory / "ecds")
    discovery.put(extension)
    listener = manifests.listener([discovery.filter(extension["name"])], [manifests.route()], istio.MANAGER)
    options |= {"kind": Shared, "plugin": extension["typed_config"]["config"]}
    return manifests.start(directory / "envoy", primary.port, [listener], clusters, **options)


def post(envoy: Envoy, project: int = 1, body: bytes = b"{}") -> None:
    with replay.Client(envoy.port) as client:
        assert client.request(f"/api/{project}/envelope/?sentry_key=abc", body, [("Cookie", "session=s3cret")]).by_primary


def test_copies_reach_rum_by_the_names_of_higress(tmp_path: Path, receiver: Receiver, primary: Primary) -> None:
    with gateway(tmp_path, primary, PLUGIN, [rum_cluster(receiver)]) as envoy:
        for project in (1, 2, 7):
            post(envoy, project)
        for request in primary.requests:
            receiver.rum.expect(rules.Copy.of(PLUGIN["spec"]["defaultConfig"]["rum"], request))
        receiver.rum.wait(seconds=20)
        assert set(receiver.names) == {"rum.example.com"}
        settled(envoy, captured=3, delivered=3)


def test_a_certificate_of_another_name_gets_nothing(tmp_path: Path, primary: Primary) -> None:
    """Higress itself would take it: the EnvoyFilter does not."""
    (tmp_path / "other").mkdir()
    for other in tls.receiver(tmp_path / "other", "elsewhere.example.com"):
        with gateway(tmp_path, primary, PLUGIN, [rum_cluster(other)]) as envoy:
            post(envoy)
            wait.until("a handshake", lambda other=other: other.names)
            settled(envoy, captured=1, delivered=0, pending=1)


def test_a_cluster_that_is_not_pushed_is_seen(tmp_path: Path, primary: Primary) -> None:
    """`onlyPushRouteCluster`: the plugin is there and its cluster is not. Nobody waits, and the copy is counted."""
    plugin = manifests.one(RESOURCES, "WasmPlugin")
    plugin["spec"]["defaultConfig"]["retry"] = {"max_attempts": 12, "max_age_ms": 1000}
    with gateway(tmp_path, primary, plugin, []) as envoy:
        post(envoy)
        settled(envoy, captured=1, delivered=0, failed=1)
        wait.until("it is in the log", lambda: "outbound|443||rum.dns" in envoy.log(), 20)


def test_match_rules_are_refused_and_it_is_said_what_to_write(tmp_path: Path, primary: Primary) -> None:
    plugin = manifests.one(RESOURCES, "WasmPlugin")
    plugin["spec"]["matchRules"] = [{"domain": ["sentry.example.com"], "config": plugin["spec"]["defaultConfig"]}]
    with gateway(tmp_path, primary, plugin, []) as envoy:
        # No configuration, and the plugin is told to fail open.
        wait.until("it is refused", lambda: "_rules_: " in envoy.log(), 20)
        line = next(line for line in envoy.log().splitlines() if "_rules_: " in line)
        assert "matchRules" in line and "rum.projects" in line and "defaultConfig" in line
        assert "unknown key" not in line


def test_the_role_of_the_node(tmp_path: Path, sls: FakeSls, metadata: FakeMetadata, primary: Primary) -> None:
    """No key at all: the registry of the metadata service is the upstream."""
    credential = {"ecs_ram_role": {"upstream": "outbound|80||ecs-metadata.static"}}
    plugin = manifests.one(RESOURCES, "WasmPlugin")
    plugin["spec"]["defaultConfig"] = {"sls": sls_edge.section(credential, upstream="outbound|443||sls.dns")}
    logs, role = cluster("sls"), cluster("ecs-metadata")
    # The fake speaks no TLS: the text is RUM's, and tried there.
    assert logs.pop("transport_socket")["typed_config"]["sni"] == "my-log-project.cn-hangzhou.log.aliyuncs.com"
    manifests.local(logs, sls.port)
    assert sample.address(role)["port_value"] == 80
    manifests.local(role, metadata.port, "100.100.100.200")
    with gateway(tmp_path, primary, plugin, [logs, role]) as envoy:
        post(envoy, 1, sls_traffic.event("by the role"))
        sls.wait(1)
        settled(envoy, leg="sls", captured=1, delivered=1)
        shown = envoy.admin("/config_dump")
        assert not any(key.secret in shown for key in sls.keys.values())


def test_the_key_by_environment(tmp_path: Path, sls: FakeSls, primary: Primary) -> None:
    """`gateway.env` of the Helm chart, and `vmConfig.env` with HOST (Higress 2.1 and later)."""
    credential = {"access_key_id": "${SLS_ACCESS_KEY_ID}", "access_key_secret": "${SLS_ACCESS_KEY_SECRET}"}
    plugin = manifests.one(RESOURCES, "WasmPlugin")
    plugin["spec"]["defaultConfig"] = {"sls": sls_edge.section(credential, upstream="outbound|443||sls.dns")}
    names = {"SLS_ACCESS_KEY_ID": sls_edge.KEY_ID, "SLS_ACCESS_KEY_SECRET": sls_edge.SECRET}
    plugin["spec"]["vmConfig"] = {"env": [{"name": name, "valueFrom": "HOST"} for name in names]}
    logs = cluster("sls")
    del logs["transport_socket"]
    manifests.local(logs, sls.port)
    with gateway(tmp_path, primary, plugin, [logs], environment=names) as envoy:
        post(envoy, 1, sls_traffic.event("by the environment"))
        sls.wait(1)
        settled(envoy, leg="sls", captured=1, delivered=1)
        assert sls_edge.SECRET not in envoy.admin("/config_dump")
