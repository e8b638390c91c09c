"""What Higress makes of its resources: resources of Istio, of which it is a fork. Written from its sources (2.2).

* `pkg/ingress/config/ingress_config.go`: `defaultConfig` becomes pluginConfig, and `matchRules` its key `_rules_`.
* `registry/direct`: a registry of an McpBridge becomes a ServiceEntry with the host NAME.TYPE, and with protocol https a
  DestinationRule with its SNI.
"""

import copy

from .manifests import Yaml


def plugin(resource: Yaml) -> Yaml:
    """The WasmPlugin of Istio."""
    spec = copy.deepcopy(resource["spec"])
    if "pluginConfig" not in spec:
        config = {} if spec.get("defaultConfigDisable") else copy.deepcopy(spec.get("defaultConfig", {}))
        rules = [_rule(rule) for rule in spec.get("matchRules", []) if not rule.get("configDisable")]
        spec["pluginConfig"] = config | ({"_rules_": rules} if rules else {})
    for own in ("defaultConfig", "defaultConfigDisable", "matchRules"):
        spec.pop(own, None)
    return {**resource, "spec": spec}


def _rule(rule: Yaml) -> Yaml:
    keys = {"ingress": "_match_route_", "domain": "_match_domain_", "service": "_match_service_"}
    matched = {name: rule[key] for key, name in keys.items() if rule.get(key)}
    assert matched, "a rule without a condition: Higress refuses the plugin"
    return rule.get("config", {}) | matched


def entry(registry: Yaml) -> tuple[Yaml, Yaml | None]:
    """ServiceEntry and DestinationRule of a registry of type dns or static."""
    host, protocol = f"{registry['name']}.{registry['type']}", registry.get("protocol", "http").upper()
    port: Yaml = {"number": registry["port"], "name": protocol, "protocol": protocol}
    address = registry["domain"]
    if registry["type"] == "static":
        address, own = registry["domain"].rsplit(":", 1)
        port["targetPort"] = int(own)
    made = {"hosts": [host], "ports": [port], "resolution": registry["type"].upper(), "endpoints": [{"address": address}]}
    if protocol != "HTTPS":
        return made, None
    sni = registry.get("sni") or address
    settings = {"port": {"number": registry["port"]}, "tls": {"mode": "SIMPLE", "sni": sni}}
    return made, {"host": host, "trafficPolicy": {"portLevelSettings": [settings]}}


def registry(bridge: Yaml, name: str) -> Yaml:
    # There is only one that Higress reads.
    assert bridge["metadata"]["name"] == "default"
    (found,) = [part for part in bridge["spec"]["registries"] if part["name"] == name]
    return found
