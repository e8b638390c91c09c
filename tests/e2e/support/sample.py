"""Reads the sample configurations of envoy/ and changes in them only what a test must: ports, addresses, the plugin.

The end-to-end tests start these files and no others, so a sample that does not work fails the suite.
"""

import copy
from collections.abc import Callable
from typing import Any

import yaml

from .paths import ROOT

Yaml = dict[str, Any]
SAMPLES = ROOT / "envoy"
FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"


def load(name: str) -> Yaml:
    return yaml.safe_load((SAMPLES / name).read_text())


def hcm(listener: Yaml) -> Yaml:
    """The HTTP connection manager of a listener."""
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def has_mirror(listener: Yaml) -> bool:
    return any(f["name"] == "sentry_edge_mirror" for f in hcm(listener)["http_filters"])


def filter_of(listener: Yaml) -> Yaml:
    """The HTTP filter of a listener."""
    (found,) = [f for f in hcm(listener)["http_filters"] if f["name"] == "sentry_edge_mirror"]
    return found


def mirror(listener: Yaml) -> Yaml:
    """The plugin configuration (`config` of the wasm filter) of a listener."""
    return filter_of(listener)["typed_config"]["config"]


def routes(listener: Yaml) -> list[Yaml]:
    """All routes of a listener; in mode `tee` some of them show a request to the module."""
    return [route for host in hcm(listener)["route_config"]["virtual_hosts"] for route in host["routes"]]


def show(listener: Yaml, **filters: bool) -> None:
    """The routes that show requests to the module turn these filters on instead, or off."""
    shown = [route for route in routes(listener) if "typed_per_filter_config" in route]
    of = {name: {"@type": FILTER_CONFIG, **({"config": {}} if on else {"disabled": True})} for name, on in filters.items()}
    for route in shown:
        route["typed_per_filter_config"] = of


def plugin(listener: Yaml) -> Yaml:
    """Our own configuration object inside it."""
    return mirror(listener)["configuration"]["value"]


def rum() -> Yaml:
    """The `rum` part of tee.yaml, as it is without any of its environment variables."""
    section = plugin(load("tee.yaml")["static_resources"]["listeners"][0])["rum"]
    default = {"workspace": "everything-else", "service_id": "default@cccc3333"}
    return section | {"authority": "rum.example.com", "default": default}


def cluster(bootstrap: Yaml, name: str) -> Yaml:
    (found,) = [c for c in bootstrap["static_resources"]["clusters"] if c["name"] == name]
    return found


def address(cluster: Yaml) -> Yaml:
    """The socket address of a cluster's single endpoint."""
    return cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]


def merge(base: Yaml, changes: Yaml) -> Yaml:
    """`base` with `changes` laid over it; None removes a key."""
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def adapt_listener(listener: Yaml, configuration: Yaml | None = None, with_mirror: bool = True) -> Yaml:
    """The listener on a free port, with changes laid over the plugin's configuration, or without the plugin."""
    listener = copy.deepcopy(listener)
    listener["address"]["socket_address"]["port_value"] = 0
    if with_mirror and has_mirror(listener):
        holder = mirror(listener)["configuration"]
        holder["value"] = merge(holder["value"], configuration or {})
    else:
        chain = hcm(listener)
        chain["http_filters"] = [f for f in chain["http_filters"] if f["name"] != "sentry_edge_mirror"]
        for route in routes(listener):
            route.pop("typed_per_filter_config", None)
    return listener


def adapt(
    bootstrap: Yaml,
    primary: int,
    rum: int,
    configuration: Yaml | None = None,
    with_mirror: bool = True,
    edit: Callable[[Yaml], None] | None = None,
) -> Yaml:
    """The bootstrap with free ports of its own, and the two targets on the given ports of loopback."""
    bootstrap = copy.deepcopy(bootstrap)
    bootstrap["admin"]["address"]["socket_address"]["port_value"] = 0
    resources = bootstrap["static_resources"]
    resources["listeners"] = [
        adapt_listener(listener, configuration, with_mirror) for listener in resources.get("listeners", [])
    ]
    # A sample has the targets that its mode has.
    ports = {"primary": primary, "rum": rum}
    for target in resources.get("clusters", []):
        if target["name"] in ports:
            address(target)["port_value"] = ports[target["name"]]
    if edit is not None:
        edit(bootstrap)
    return bootstrap
