"""What Envoy Gateway makes of its resources. Written from its sources and their expected results (1.6 to 1.9).

* `internal/xds/translator/wasm.go`: the plugin is a filter of the listener that is disabled, and a route enables it. Its
  module comes by HTTP, from the cluster `wasm_cluster` of the bootstrap.
* `internal/xds/translator/jsonpatch.go`: an `add` with an empty path is a whole resource.
* `internal/xds/translator/listener.go`: what a listener does to requests, and what a ClientTrafficPolicy changes of it.
"""

import copy
import hashlib
import http.server
import json
import threading
from pathlib import Path

from . import manifests
from .istio import STRING, WASM
from .manifests import Yaml

FETCHES = "wasm_cluster"
ENABLED = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


class ModuleServer:
    """The controller's own server, from which Envoy gets the module."""

    def __init__(self, module: Path) -> None:
        data = module.read_bytes()
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.asked = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def cluster(self) -> Yaml:
        ends = manifests.assignment(FETCHES, manifests.endpoint("127.0.0.1", self.port))
        return {"name": FETCHES, "type": "STATIC", "connect_timeout": "10s", "load_assignment": ends}


def filter_name(policy: Yaml, index: int = 0) -> str:
    return f"envoy.filters.http.wasm/{vm_id(policy, index)}"


def vm_id(policy: Yaml, index: int = 0) -> str:
    return f"envoyextensionpolicy/{policy['metadata']['namespace']}/{policy['metadata']['name']}/wasm/{index}"


def http_filter(policy: Yaml, server: ModuleServer, index: int = 0) -> Yaml:
    """The filter in the listener."""
    spec = policy["spec"]["wasm"][index]
    assert spec["code"]["type"] == "Image"
    uri = f"https://envoy-gateway.envoy-gateway-system.svc.cluster.local:18002/{server.sha256}.wasm"
    remote = {
        "http_uri": {"uri": uri, "cluster": FETCHES, "timeout": "10s"},
        "sha256": server.sha256,
        "retry_policy": {"num_retries": 10, "retry_back_off": {"base_interval": "1s", "max_interval": "30s"}},
    }
    machine: Yaml = {"vm_id": vm_id(policy, index), "runtime": "envoy.wasm.runtime.v8", "code": {"remote": remote}}
    if spec.get("env", {}).get("hostKeys"):
        machine["environment_variables"] = {"host_env_keys": spec["env"]["hostKeys"]}
    config = {
        "name": spec["name"],
        "vm_config": machine,
        "configuration": {"@type": STRING, "value": json.dumps(spec["config"])},
        "fail_open": spec.get("failOpen", False),
    }
    return {"name": filter_name(policy, index), "disabled": True, "typed_config": {"@type": WASM, "config": config}}


def enabling(policy: Yaml) -> Yaml:
    """What the routes of the HTTPRoute get that the policy names."""
    (target,) = policy["spec"]["targetRefs"]
    assert target["kind"] == "HTTPRoute"
    return {"typed_per_filter_config": {filter_name(policy): {"@type": ENABLED, "config": {}}}}


def added_clusters(policies: list[Yaml]) -> dict[str, Yaml]:
    """What the EnvoyPatchPolicies add."""
    found = {}
    for policy in policies:
        for patch in policy["spec"]["jsonPatches"]:
            assert patch["type"] == CLUSTER and patch["operation"]["op"] == "add" and patch["operation"]["path"] == ""
            assert patch["operation"]["value"]["name"] == patch["name"]
            found[patch["name"]] = copy.deepcopy(patch["operation"]["value"])
    return found


def bootstrap(proxy: Yaml) -> Yaml:
    """What the bootstrap says beside listeners and clusters, after the patches of an EnvoyProxy."""
    layer = {"name": "global_config", "static_layer": {"re2.max_program_size.warn_level": 1000}}
    made: Yaml = {"layered_runtime": {"layers": [layer]}}
    patches = proxy["spec"]["bootstrap"]
    assert patches["type"] == "JSONPatch"
    for patch in patches["jsonPatches"]:
        *path, key = patch["path"].strip("/").split("/")
        assert patch["op"] == "add" and path in ([], ["layered_runtime", "layers", "0", "static_layer"])
        (layer["static_layer"] if path else made)[key] = patch["value"]
    return made


def manager(traffic: Yaml | None) -> Yaml:
    """Of a listener's HTTP connection manager, what changes requests; with a ClientTrafficPolicy."""
    made: Yaml = {
        "merge_slashes": True,
        "normalize_path": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "server_header_transformation": "PASS_THROUGH",
        "http2_protocol_options": {
            "initial_connection_window_size": 1048576,
            "initial_stream_window_size": 65536,
            "max_concurrent_streams": 100,
        },
    }
    if traffic is not None:
        path = traffic["spec"].get("path", {})
        actions = {"KeepUnchanged": "KEEP_UNCHANGED", "UnescapeAndRedirect": "UNESCAPE_AND_REDIRECT"}
        made["path_with_escaped_slashes_action"] = actions[path.get("escapedSlashesAction", "UnescapeAndRedirect")]
        made["merge_slashes"] = not path.get("disableMergeSlashes", False)
        underscores = {"Allow": "ALLOW", "RejectRequest": "REJECT_REQUEST"}
        action = traffic["spec"].get("headers", {}).get("withUnderscoresAction", "RejectRequest")
        made["common_http_protocol_options"]["headers_with_underscores_action"] = underscores[action]
    return made
