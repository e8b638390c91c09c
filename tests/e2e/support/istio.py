"""What Istio makes of its resources for the Envoy of a gateway. Written from its sources (1.28 to 1.31), not copied.

* `pilot/pkg/model/extensions.go`: a WasmPlugin becomes an extension configuration, its pluginConfig JSON in a StringValue.
* `pkg/wasm/convert.go`: the agent puts a local file in place of the image, drops its own variables, and puts a filter
  that allows (FAIL_OPEN) or denies everything in place of a module that it cannot have.
* `pilot/pkg/networking/core`: a ServiceEntry with its DestinationRule becomes the cluster `outbound|PORT||HOST`.
* `pilot/pkg/networking/core/envoyfilter`: patches. Messages are merged, entries of a map of Any are replaced.

Only two things differ here: configuration discovery reads a file and not ADS, and names are resolved by the test.
"""

import copy
import json
from pathlib import Path

import yaml

from . import manifests, paths, sample
from .manifests import OPTIONS, UPSTREAM_TLS, Yaml

WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
STRING = "type.googleapis.com/google.protobuf.StringValue"
POLICIES = {"FAIL_OPEN": "FAIL_OPEN", "FAIL_CLOSE": "FAIL_CLOSED", "FAIL_RELOAD": "FAIL_RELOAD"}
# Of a gateway's HTTP connection manager, what changes requests: MeshConfig.pathNormalization is BASE by default.
MANAGER: Yaml = {"normalize_path": True, "path_with_escaped_slashes_action": "KEEP_UNCHANGED", "server_name": "istio-envoy"}
SYSTEM_CA = "file-root:system"


def resource_name(plugin: Yaml) -> str:
    return f"{plugin['metadata']['namespace']}.{plugin['metadata']['name']}"


def extension(plugin: Yaml, module: Path | None = None) -> Yaml:
    """The WasmPlugin as Envoy gets it from the agent, which has the image as a file. Without the file: it could not be had."""
    spec, name = plugin["spec"], resource_name(plugin)
    assert spec["url"].startswith("oci://")
    if module is None:
        rules = {} if POLICIES[spec["failStrategy"]] == "FAIL_OPEN" else {"rules": {}}
        return {"name": name, "typed_config": {"@type": RBAC, **rules}}
    environment: Yaml = {}
    for variable in spec.get("vmConfig", {}).get("env", []):
        if variable.get("valueFrom", "INLINE") == "INLINE":
            environment.setdefault("key_values", {})[variable["name"]] = variable["value"]
        else:
            assert "value" not in variable
            environment.setdefault("host_env_keys", []).append(variable["name"])
    machine: Yaml = {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": str(module)}}}
    if environment:
        machine["environment_variables"] = environment
    config = {
        "name": name,
        "root_id": spec.get("pluginName", ""),
        "failure_policy": POLICIES[spec.get("failStrategy", "FAIL_CLOSE")],
        "vm_config": machine,
        "configuration": {"@type": STRING, "value": json.dumps(spec["pluginConfig"])},
    }
    return {"name": name, "typed_config": {"@type": WASM, "config": config}}


class Discovery:
    """The extension configurations of a gateway, in files that Envoy watches."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._directory = directory

    def put(self, extension: Yaml) -> None:
        kind = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
        new = self._directory / "new"
        new.write_text(yaml.safe_dump({"resources": [{"@type": kind, **extension}]}, sort_keys=False))
        new.rename(self._directory / f"{extension['name']}.yaml")

    def filter(self, name: str) -> Yaml:
        """The HTTP filter that stands for it in the listener."""
        path = {"path": str(self._directory / f"{name}.yaml"), "watched_directory": {"path": str(self._directory)}}
        source = {"path_config_source": path, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
        return {"name": name, "config_discovery": {"config_source": source, "type_urls": [WASM, RBAC]}}


# ---- clusters


def cluster_name(host: str, port: int) -> str:
    return f"outbound|{port}||{host}"


def cluster(entry: Yaml, rule: Yaml | None = None) -> Yaml:
    """Of a ServiceEntry with one host and one port, and its DestinationRule."""
    (host,), (port,) = entry["hosts"], entry["ports"]
    name = cluster_name(host, port["number"])
    addresses = [part["address"] for part in entry.get("endpoints", [])] or [host]
    made: Yaml = {"name": name, "connect_timeout": "10s"}
    if entry["resolution"] == "DNS":
        made |= {"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "60s", "respect_dns_ttl": True}
    else:
        made["type"] = "STATIC"
    ends = [manifests.endpoint(address, port.get("targetPort", port["number"])) for address in addresses]
    made["load_assignment"] = manifests.assignment(name, *ends)
    # Unlimited, as Istio has it by default.
    made["circuit_breakers"] = {
        "thresholds": [dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), 4294967295)]
    }
    if rule is not None:
        assert rule["host"] == host
        _traffic(made, policy(rule, port["number"]))
    return made


def policy(rule: Yaml, port: int) -> Yaml:
    """What holds for a port: its own settings replace those for all."""
    for own in rule["trafficPolicy"].get("portLevelSettings", []):
        if own["port"]["number"] == port:
            return own
    return rule["trafficPolicy"]


def _traffic(made: Yaml, policy: Yaml) -> None:
    pool = policy.get("connectionPool", {})
    tcp, http = pool.get("tcp", {}), pool.get("http", {})
    if "connectTimeout" in tcp:
        made["connect_timeout"] = tcp["connectTimeout"]
    if "tcpKeepalive" in tcp:
        alive = tcp["tcpKeepalive"]
        seconds = {key: int(alive[key].removesuffix("s")) for key in ("time", "interval")}
        made["upstream_connection_options"] = {
            "tcp_keepalive": {
                "keepalive_probes": alive["probes"],
                "keepalive_time": seconds["time"],
                "keepalive_interval": seconds["interval"],
            }
        }
    options: Yaml = {"explicit_http_config": {"http_protocol_options": {}}}
    if "idleTimeout" in http:
        options["common_http_protocol_options"] = {"idle_timeout": http["idleTimeout"]}
    tls = policy["tls"]
    assert tls["mode"] == "SIMPLE" and tls["sni"]
    made["typed_extension_protocol_options"] = {OPTIONS: {"@type": f"type.googleapis.com/{OPTIONS}", **options}}
    names = [{"exact": name} for name in tls.get("subjectAltNames", [])]
    made["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": UPSTREAM_TLS,
            "sni": tls["sni"],
            "common_tls_context": {
                "combined_validation_context": {
                    "default_validation_context": {"match_subject_alt_names": names} if names else {},
                    "validation_context_sds_secret_config": {"name": SYSTEM_CA},
                }
            },
        },
    }


def trusting(cluster: Yaml, authority: Path) -> None:
    """The agent's answer for the system's authorities: here that of the test."""
    secret = {"name": SYSTEM_CA, "validation_context": {"trusted_ca": {"filename": str(authority)}}}
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    file = authority.with_name("sds.yaml")
    file.write_text(yaml.safe_dump({"resources": [{"@type": kind, **secret}]}))
    context = cluster["transport_socket"]["typed_config"]["common_tls_context"]["combined_validation_context"]
    wanted = context["validation_context_sds_secret_config"]
    assert wanted["name"] == SYSTEM_CA
    wanted["sds_config"] = {"path_config_source": {"path": str(file)}, "resource_api_version": "V3"}


# ---- EnvoyFilter


def patches(filters: list[Yaml], kind: str) -> list[Yaml]:
    return [part for one in filters for part in one["spec"]["configPatches"] if part["applyTo"] == kind]


def patched(cluster: Yaml, filters: list[Yaml]) -> Yaml:
    """The cluster after the CLUSTER patches that are for it."""
    _, port, _, host = cluster["name"].split("|")
    for part in copy.deepcopy(patches(filters, "CLUSTER")):
        assert part["match"]["context"] == "GATEWAY" and part["patch"]["operation"] == "MERGE"
        wanted, value = part["match"]["cluster"], part["patch"]["value"]
        own = {"name": cluster["name"], "service": host, "portNumber": int(port)}
        if any(own[key] != text for key, text in wanted.items()):
            continue
        if "transport_socket" in value:
            # Merged message by message, and then nothing else of this patch.
            cluster = sample.merge(cluster, {"transport_socket": value["transport_socket"]})
            continue
        entries = {**cluster.get("typed_extension_protocol_options", {}), **value["typed_extension_protocol_options"]}
        rest = {key: its for key, its in value.items() if key != "typed_extension_protocol_options"}
        cluster = sample.merge(cluster, rest) | {"typed_extension_protocol_options": entries}
    return cluster


def patched_listener(listener: Yaml, filters: list[Yaml], discovery: Discovery) -> Yaml:
    """The listener after the patches for itself, its connection manager and its filters. Extensions go to `discovery`."""
    for part in patches(filters, "LISTENER"):
        listener = sample.merge(listener, part["patch"]["value"])
    manager = sample.hcm(listener)
    for part in patches(filters, "NETWORK_FILTER"):
        manager |= sample.merge(manager, part["patch"]["value"]["typed_config"])
    for part in patches(filters, "EXTENSION_CONFIG"):
        assert part["patch"]["operation"] == "ADD"
        discovery.put(fetched(part["patch"]["value"]))
    for part in patches(filters, "HTTP_FILTER"):
        assert part["patch"]["operation"] == "INSERT_BEFORE"
        before = part["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"]
        place = [entry["name"] for entry in manager["http_filters"]].index(before)
        made, ours = part["patch"]["value"], discovery.filter(part["patch"]["value"]["name"])
        assert made["config_discovery"]["type_urls"] == ours["config_discovery"]["type_urls"]
        assert made["config_discovery"]["config_source"]["ads"] == {}
        manager["http_filters"].insert(place, ours)
    return listener


def fetched(extension: Yaml) -> Yaml:
    """An extension of an EnvoyFilter, after the agent has fetched its image."""
    machine = extension["typed_config"]["config"]["vm_config"]
    assert machine["code"]["remote"]["http_uri"]["uri"].startswith("oci://")
    code = {"vm_config": {**machine, "code": {"local": {"filename": paths.module()}}}}
    config = {**extension["typed_config"]["config"], **code}
    return {**extension, "typed_config": {**extension["typed_config"], "config": config}}
