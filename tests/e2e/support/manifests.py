"""The manifests of envoy/deploy/, as files, and what every control plane does with the Envoy of a gateway."""

import copy
from pathlib import Path
from typing import Any

import yaml

from . import paths, sample
from .envoy import Envoy

DEPLOY = paths.ROOT / "envoy" / "deploy"
UPSTREAM_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}
Yaml = sample.Yaml


def load(*names: str) -> list[Yaml]:
    """All resources of these files."""
    return [part for name in names for part in yaml.safe_load_all((DEPLOY / name).read_text()) if part]


def one(resources: list[Yaml], kind: str, name: str | None = None) -> Yaml:
    """The only resource of a kind (and name)."""
    found = [part for part in resources if part["kind"] == kind and name in (None, part["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return copy.deepcopy(found[0])


def endpoint(address: str, port: int) -> Yaml:
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}


def assignment(name: str, *endpoints: Yaml) -> Yaml:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": list(endpoints)}]}


def local(cluster: Yaml, port: int, address: str | None = None) -> None:
    """The cluster's name as it would have been resolved, to a port of loopback. `address`: what must stand there."""
    if address is not None:
        assert sample.address(cluster)["address"] == address
    cluster.pop("cluster_type", None)
    cluster["type"] = "STATIC"
    for unused in ("dns_lookup_family", "dns_refresh_rate", "respect_dns_ttl", "wait_for_warm_on_init"):
        cluster.pop(unused, None)
    cluster["load_assignment"] = assignment(cluster["name"], endpoint("127.0.0.1", port))


def trusting(cluster: Yaml, authority: Path) -> None:
    """The authority of a test in place of the system's, where the cluster names a file."""
    context = cluster["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["validation_context"]["trusted_ca"]["filename"].startswith("/etc/ssl/certs/")
    context["validation_context"]["trusted_ca"]["filename"] = str(authority)


def route(name: str = "primary", match: Yaml | None = None, **more: Any) -> Yaml:
    return {"match": match or {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s"}, **more}


def listener(filters: list[Yaml], routes: list[Yaml], manager: Yaml, **more: Any) -> Yaml:
    """A listener of a gateway: its HTTP filters, its routes, and what the control plane says of the rest (`manager`)."""
    connections = {
        "@type": HCM,
        "stat_prefix": "edge",
        "use_remote_address": True,
        "http_filters": [*filters, ROUTER],
        "route_config": {"name": "edge", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    chain = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connections | manager}]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    return {"name": "edge", "address": address, "filter_chains": [{"filters": chain}], **more}


def start(
    directory: Path,
    primary: int,
    listeners: list[Yaml],
    clusters: list[Yaml],
    kind: type[Envoy] = Envoy,
    **options: Any,
) -> Envoy:
    """Envoy as a gateway would start it, with these resources and the cluster of the primary."""
    more: Yaml = options.pop("bootstrap", {})
    front = {"name": "primary", "type": "STATIC", "connect_timeout": "2s"}
    front["load_assignment"] = assignment("primary", endpoint("127.0.0.1", primary))

    def edit(bootstrap: Yaml) -> None:
        admin = bootstrap["admin"]
        bootstrap.clear()
        resources = {"listeners": listeners, "clusters": [front, *clusters]}
        bootstrap |= {"admin": admin, "node": {"id": "edge", "cluster": "edge"}, "static_resources": resources} | more

    return kind(directory, primary, 9, edit=edit, **options)
