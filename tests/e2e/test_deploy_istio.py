"""envoy/deploy/istio/: the Envoy configuration that Istio makes of it (support/istio.py), on real Envoy."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import istio, manifests, paths, replay, rules, sample, sign_edge, sls_edge, sls_traffic, tls, wait
from support.envoy import Envoy, balance, settled, version
from support.fake_metadata import FakeMetadata
from support.fake_sls import FakeSls
from support.load import Load
from support.manifests import Yaml
from support.primary import Primary
from support.shared import Shared
from support.tls import Receiver

MIRROR = manifests.load("istio/mirror.yaml")
SLS = manifests.load("istio/sls.yaml")
SIGN = manifests.load("istio/sign.yaml")
PLUGIN = manifests.one(MIRROR, "WasmPlugin")
FILTERS = [part for part in MIRROR if part["kind"] == "EnvoyFilter"]
NAME = "istio-system.sentry-edge-mirror"
KEYS = {"SLS_ACCESS_KEY_ID": sls_edge.KEY_ID, "SLS_ACCESS_KEY_SECRET": sls_edge.SECRET}


def configuration() -> Yaml:
    """The plugin's, with its INLINE variable filled in: what the rules of the mirror go by."""
    own = json.loads(json.dumps(PLUGIN["spec"]["pluginConfig"]).replace("${RUM_WORKSPACE}", "shop"))
    return own["rum"]


def with_config(**changes: Yaml) -> Yaml:
    plugin = manifests.one(MIRROR, "WasmPlugin")
    plugin["spec"]["pluginConfig"] = sample.merge(plugin["spec"]["pluginConfig"], changes)
    return plugin


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    yield from tls.receiver(tmp_path, configuration()["authority"])


def rum_cluster(receiver: Receiver) -> Yaml:
    entry, rule = (manifests.one(MIRROR, kind, "rum")["spec"] for kind in ("ServiceEntry", "DestinationRule"))
    made = istio.patched(istio.cluster(entry, rule), FILTERS)
    assert made["name"] == PLUGIN["spec"]["pluginConfig"]["rum"]["upstream"]
    manifests.local(made, receiver.rum.port, "rum.example.com")
    istio.trusting(made, receiver.authority)
    return made


class Gateway:
    """The ingress gateway's Envoy, and the file by which the agent updates its plugin."""

    def __init__(self, directory: Path, primary: Primary, clusters: list[Yaml], extension: Yaml, **options: object) -> None:
        self.discovery = istio.Discovery(directory / "ecds")
        self.discovery.put(extension)
        names = [extension["name"]]
        if options.pop("early", False):
            names.append("early")
            quiet = with_config()
            quiet["spec"]["pluginConfig"] = {"rum": {name: configuration()[name] for name in ("upstream", "authority")}}
            self.discovery.put({**istio.extension(quiet, module()), "name": "early"})
        filters = [self.discovery.filter(name) for name in names]
        listener = manifests.listener(filters, [manifests.route()], istio.MANAGER)
        if "config" in extension["typed_config"]:
            options |= {"kind": Shared, "plugin": extension["typed_config"]["config"]}
        self.envoy = manifests.start(directory / "envoy", primary.port, [listener], clusters, **options)

    def update(self, extension: Yaml) -> None:
        before = self._taken()
        self.discovery.put(extension)
        wait.until("the update was taken", lambda: self._taken() > before, 60)

    def _taken(self) -> int:
        return sum(self.envoy.stats(r"extension_config_discovery.*config_reload$").values())


@pytest.fixture
def start(tmp_path: Path, primary: Primary) -> Iterator[Callable[..., Gateway]]:
    running: list[Gateway] = []

    def starter(clusters: list[Yaml], extension: Yaml, **options: object) -> Gateway:
        running.append(Gateway(tmp_path / f"gateway{len(running)}", primary, clusters, extension, **options))
        return running[-1]

    yield starter
    for gateway in running:
        gateway.envoy.stop()


def module() -> Path:
    return Path(paths.module())


def post(envoy: Envoy, project: int = 1, body: bytes = b"{}") -> None:
    with replay.Client(envoy.port) as client:
        assert client.request(f"/api/{project}/envelope/?sentry_key=abc", body, [("Cookie", "session=s3cret")]).by_primary


def arrived(receiver: Receiver, primary: Primary) -> None:
    for request in primary.requests:
        receiver.rum.expect(rules.Copy.of(configuration(), request))
    receiver.rum.wait(seconds=20)


def test_copies_reach_rum_by_the_names_of_istio(
    start: Callable[..., Gateway], receiver: Receiver, primary: Primary
) -> None:
    """`outbound|443||host` as upstream, TLS that is verified, an INLINE variable, and nothing of Envoy's own in a copy."""
    gateway = start([rum_cluster(receiver)], istio.extension(PLUGIN, module()), environment=KEYS)
    for project in (1, 2, 7):
        post(gateway.envoy, project)
    arrived(receiver, primary)
    assert set(receiver.names) == {"rum.example.com"}
    services = {request.target.split("/")[4] for request in receiver.rum.taken}
    assert services == {"web@aaaa1111", "api@bbbb2222", "default@cccc3333"}
    settled(gateway.envoy, captured=3, delivered=3)
    # Under the prefix that a proxy of Istio publishes by default.
    assert all(name.startswith("wasm") for name in gateway.envoy.stats("sentry_edge_mirror"))


def test_without_the_envoy_filter_rum_would_see_headers_of_envoy(
    start: Callable[..., Gateway], receiver: Receiver, primary: Primary
) -> None:
    cluster = rum_cluster(receiver)
    del cluster["typed_extension_protocol_options"][manifests.OPTIONS]["http_filters"]
    post(start([cluster], istio.extension(PLUGIN, module())).envoy)
    arrived(receiver, primary)
    violations, receiver.rum.violations = receiver.rum.violations, []
    assert violations and all("'x-envoy-" in line for line in violations)
    receiver.rum.taken.clear()
    receiver.rum._expected.clear()


def test_a_certificate_of_another_name_gets_nothing(
    start: Callable[..., Gateway], tmp_path: Path, primary: Primary
) -> None:
    (tmp_path / "other").mkdir()
    for other in tls.receiver(tmp_path / "other", "elsewhere.example.com"):
        gateway = start([rum_cluster(other)], istio.extension(PLUGIN, module()))
        post(gateway.envoy)
        wait.until("a handshake", lambda other=other: other.names)
        settled(gateway.envoy, captured=1, delivered=0, pending=1)


def test_an_update_under_load_loses_nothing_unseen(
    start: Callable[..., Gateway], receiver: Receiver, primary: Primary
) -> None:
    gateway = start([rum_cluster(receiver)], istio.extension(PLUGIN, module()), concurrency=2)
    load = Load(gateway.envoy.port, 2000, connections=4, seconds=120)
    for milliseconds in (4000, 3000, 2000):
        taken = receiver.rum.accepted
        wait.until("the load flows", lambda taken=taken: receiver.rum.accepted > taken + 30, 30)
        gateway.update(istio.extension(with_config(rum={"timeout_ms": milliseconds}), module()))
    result = load.stop()
    assert result.wrong == [] and result.unanswered == 0
    # The VM stays: every request is captured once, and every copy is delivered.
    count = len(primary.requests)
    settled(gateway.envoy, 30, captured=count, delivered=count, pending=0, in_flight=0)
    arrived(receiver, primary)


def test_an_image_that_is_away_stops_nobody(
    start: Callable[..., Gateway], receiver: Receiver, primary: Primary
) -> None:
    """FAIL_OPEN: until the agent has it, a filter that allows everything stands in its place.

    Envoy before 1.38 does not survive its first module once its workers run (manual: hosts, "The first module comes at the
    start"): there another plugin is there before.
    """
    gateway = start([rum_cluster(receiver)], istio.extension(PLUGIN), early=version() < (1, 38))
    post(gateway.envoy)
    assert not gateway.envoy.metrics().get("rum.captured")
    primary.requests.clear()
    gateway.update(istio.extension(PLUGIN, module()))
    post(gateway.envoy)
    arrived(receiver, primary)
    settled(gateway.envoy, captured=1, delivered=1)
    assert balance(gateway.envoy.metrics()) is None


def test_a_configuration_that_is_wrong_leaves_the_old_one(
    start: Callable[..., Gateway], receiver: Receiver, primary: Primary
) -> None:
    gateway = start([rum_cluster(receiver)], istio.extension(PLUGIN, module()))
    post(gateway.envoy)
    gateway.discovery.put(istio.extension(with_config(rum={"upstrem": "rum"}), module()))
    wait.until("it is refused", lambda: "rum.upstrem: unknown key" in gateway.envoy.log(), 30)
    post(gateway.envoy)
    arrived(receiver, primary)
    settled(gateway.envoy, captured=2, delivered=2)


# ---- the SLS leg, and how the key gets in


def renamed(resource: Yaml) -> Yaml:
    """The names of the fake log service in place of the manifest's."""
    ours = f"{sls_edge.PROJECT}.{sls_edge.ENDPOINT}"
    return json.loads(json.dumps(resource).replace(f"my-log-project.{sls_edge.ENDPOINT}", ours))


def sls_cluster(sls: FakeSls, filters: list[Yaml]) -> Yaml:
    """The fake speaks no TLS: that is the same text as RUM's, and tried there."""
    entry, rule = (renamed(manifests.one(SLS, kind, "sls"))["spec"] for kind in ("ServiceEntry", "DestinationRule"))
    made = istio.patched(istio.cluster(entry, rule), renamed(filters))
    assert made.pop("transport_socket")["typed_config"]["sni"] == f"{sls_edge.PROJECT}.{sls_edge.ENDPOINT}"
    manifests.local(made, sls.port)
    return made


def metadata_cluster(metadata: FakeMetadata) -> Yaml:
    made = istio.cluster(manifests.one(SLS, "ServiceEntry", "ecs-metadata")["spec"])
    manifests.local(made, metadata.port, "100.100.100.200")
    return made


def both(credential: Yaml) -> Yaml:
    section = sls_edge.section(credential, upstream=f"outbound|443||{sls_edge.PROJECT}.{sls_edge.ENDPOINT}")
    plugin = with_config()
    plugin["spec"]["pluginConfig"] = {"sls": section}
    return plugin


def test_the_key_by_the_gateways_environment(
    start: Callable[..., Gateway], sls: FakeSls, primary: Primary
) -> None:
    """HOST: the key comes from the gateway's own environment, and Envoy shows it nowhere."""
    credential = {"access_key_id": "${SLS_ACCESS_KEY_ID}", "access_key_secret": "${SLS_ACCESS_KEY_SECRET}"}
    gateway = start([sls_cluster(sls, [])], istio.extension(both(credential), module()), environment=KEYS)
    post(gateway.envoy, 1, sls_traffic.event("by the environment"))
    sls.wait(1)
    settled(gateway.envoy, leg="sls", captured=1, delivered=1)
    shown = gateway.envoy.admin("/config_dump?include_eds")
    assert "SLS_ACCESS_KEY_SECRET" in shown
    assert sls_edge.SECRET not in shown and sls_edge.KEY_ID not in shown


def test_the_key_inline_is_shown(start: Callable[..., Gateway], sls: FakeSls) -> None:
    """INLINE works too, and this is why it is not for keys."""
    plugin = both({"access_key_id": "${ID}", "access_key_secret": "${SECRET}"})
    plugin["spec"]["vmConfig"]["env"] = [
        {"name": "ID", "valueFrom": "INLINE", "value": sls_edge.KEY_ID},
        {"name": "SECRET", "valueFrom": "INLINE", "value": sls_edge.SECRET},
    ]
    gateway = start([sls_cluster(sls, [])], istio.extension(plugin, module()))
    post(gateway.envoy, 1, sls_traffic.event("inline"))
    sls.wait(1)
    assert sls_edge.SECRET in gateway.envoy.admin("/config_dump")


def test_the_role_of_the_node(start: Callable[..., Gateway], sls: FakeSls, metadata: FakeMetadata) -> None:
    """No key at all: the ServiceEntry of the metadata service is the upstream."""
    plugin = both({"ecs_ram_role": {"upstream": "outbound|80||metadata.ecs.internal"}})
    gateway = start([sls_cluster(sls, []), metadata_cluster(metadata)], istio.extension(plugin, module()))
    post(gateway.envoy, 1, sls_traffic.event("by the role"))
    sls.wait(1)
    shown = gateway.envoy.admin("/config_dump")
    assert metadata.issued and not any(key.secret in shown for key in sls.keys.values())


# ---- modes that hold a request


def test_sign_by_an_envoy_filter(tmp_path: Path, sls: FakeSls, primary: Primary) -> None:
    filters = [renamed(part) for part in SIGN if part["kind"] == "EnvoyFilter"]
    text = json.dumps(filters).replace('\\"my-log-project\\"', f'\\"{sls_edge.PROJECT}\\"')
    filters = json.loads(text.replace('\\"app-log\\"', f'\\"{sls_edge.STORE}\\"'))
    cluster = sls_cluster(sls, filters)
    (http,) = manifests.one(SIGN, "VirtualService")["spec"]["http"]
    assert http["route"][0]["destination"]["host"] == manifests.one(SLS, "ServiceEntry", "sls")["spec"]["hosts"][0]
    route = manifests.route(cluster["name"], request_headers_to_remove=http["headers"]["request"]["remove"])
    discovery = istio.Discovery(tmp_path / "ecds")
    listener = istio.patched_listener(manifests.listener([], [route], istio.MANAGER), filters, discovery)
    with manifests.start(tmp_path / "envoy", primary.port, [listener], [cluster], environment=KEYS) as envoy:
        sign_edge.put(sign_edge.sdk(envoy), ["signed", "by the gateway"])
        with replay.Client(envoy.port) as client:
            # More than Envoy holds without the patches of the listener.
            many = sign_edge.group(*(os.urandom(40_000).hex() for _ in range(40)))
            assert client.request(f"/logstores/{sls_edge.STORE}", many, [sign_edge.PROTOBUF]).status == 200
            assert client.request("/logstores/other", many, [sign_edge.PROTOBUF]).status == 403
        sign_edge.settled(envoy, signed=2, denied_forbidden=1)
    assert len(sls.since(0)) == 42


def test_fast_ack_by_the_same_envoy_filter(tmp_path: Path, receiver: Receiver, primary: Primary) -> None:
    """Another configuration in it, and routes that lead nowhere: what arrives is the copy, and is answered at once."""
    (sign,) = [part for part in json.loads(json.dumps(SIGN)) if part["kind"] == "EnvoyFilter"]
    config = istio.patches([sign], "EXTENSION_CONFIG")[0]["patch"]["value"]["typed_config"]["config"]
    config["configuration"]["value"] = json.dumps({"mode": "rewrite", "fast_ack": True, "rum": configuration()})
    config["vm_config"]["environment_variables"]["host_env_keys"] = []
    nowhere = {"match": {"prefix": "/"}, "direct_response": {"status": 204}}
    discovery = istio.Discovery(tmp_path / "ecds")
    listener = istio.patched_listener(manifests.listener([], [nowhere], istio.MANAGER), [sign], discovery)
    with manifests.start(tmp_path / "envoy", primary.port, [listener], [rum_cluster(receiver)]) as envoy:
        # More than Envoy holds by default.
        body = b"{}\n" * 500_000
        with replay.Client(envoy.port) as client:
            assert client.request("/api/2/envelope/", body).status == 204
        settled(envoy, captured=1, delivered=1)
    (copy,) = receiver.rum.taken
    assert copy.target == "/rum/sentry/shop/api@bbbb2222/api/2/envelope/" and len(copy.body) == len(body)
    receiver.rum.taken.clear()
