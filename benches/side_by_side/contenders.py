"""The proxies that are compared: their configurations, as text, for given ports.

`relay` is nginx/mirror-relay.conf (relay.py). All Envoys share one bootstrap and differ only in what mirrors; all listen on loopback with one worker. `ours` and
`placement` are samples of this repository (envoy/tee.yaml, envoy/shadow.yaml) with the ports, the module's path and the RUM
mapping replaced, so what is measured is what operators start. Circuit breakers of the other Envoys are open (MANY): else they would lose most copies
of a slow RUM and look cheap.
"""

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from relay import nginx_relay

WORKSPACE = "bench-ws"
SERVICE = "bench-svc"
PROJECT = "4242"
PREFIX = f"/rum/sentry/{WORKSPACE}/{SERVICE}"
AUTHORITY = "rum.bench.test"
MANY = 100_000

HTTP = "type.googleapis.com/envoy.extensions.filters"
HCM = f"{HTTP}.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{HTTP}.http.router.v3.Router"}}

LUA = f"""
local forwarded = {{ "content-type", "content-encoding", "user-agent", "origin", "referer", "x-sentry-auth",
  "x-request-id", "traceparent", "baggage", "sentry-trace", "x-forwarded-for", "x-forwarded-proto" }}

function envoy_on_request(handle)
  local headers = handle:headers()
  local path = headers:get(":path")
  if headers:get(":method") ~= "POST" or not path:match("^/api/%d+/envelope/") then
    return
  end
  local copy = {{ [":method"] = "POST", [":path"] = "{PREFIX}" .. path, [":authority"] = "{AUTHORITY}" }}
  for _, name in ipairs(forwarded) do
    copy[name] = headers:get(name)
  end
  local body = handle:body(true)
  handle:httpCall("rum", copy, body:getBytes(0, body:length()), 5000, true)
end
"""

# Cheap, because it is one hop and looks at nothing: all headers go along, Envoy's own too, and nothing is counted.
UPSTREAM = f"""
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace(":path", "{PREFIX}" .. headers:get(":path"))
  headers:replace(":authority", "{AUTHORITY}")
end
"""


@dataclass(frozen=True)
class Ports:
    """Where everything listens, all on loopback."""

    edge: int
    admin: int
    inner: int
    primary: int
    rum: int


@dataclass(frozen=True)
class Contender:
    """One proxy: what it is called, which program runs it, what its copies look like."""

    key: str
    title: str
    program: str = "envoy"
    mirrors: bool = True
    rewrites: bool = True

    def copy_path(self, target: str) -> str:
        """The request target that RUM must see for a request with this target."""
        return PREFIX + target if self.rewrites else target


PLAIN = Contender("plain", "Envoy, no mirror", mirrors=False, rewrites=False)
SHADOW = Contender("shadow", "Envoy shadow, not rewritten", rewrites=False)
LOOP = Contender("loop", "Envoy shadow + 2nd listener")
UPSTREAM_LUA = Contender("peer", "Envoy shadow + upstream Lua")
LUA_CALL = Contender("lua", "Envoy Lua httpCall")
NGINX = Contender("nginx", "nginx mirror + map", program="nginx")
RELAY = Contender("relay", "nginx mirror + map + relay", program="nginx")
OURS = Contender("ours", "this module, mode tee")
PLACEMENT = Contender("placement", "Envoy shadow + this module in its cluster")
ALL = (PLAIN, SHADOW, LOOP, UPSTREAM_LUA, LUA_CALL, NGINX, RELAY, OURS, PLACEMENT)
# Which sample is started, with which module.
SAMPLES = {OURS: ("tee.yaml", "sentry_edge_mirror.wasm"), PLACEMENT: ("shadow.yaml", "sentry_edge_mirror_shadow.wasm")}


def write_config(contender: Contender, ports: Ports, repository: Path, directory: Path) -> Path:
    """Writes the contender's configuration file and returns its path."""
    if contender is NGINX:
        path = directory / "nginx.conf"
        path.write_text(nginx_mirror(ports, directory))
        return path
    if contender is RELAY:
        path = directory / "nginx.conf"
        path.write_text(nginx_relay(repository, directory, ports.edge, ports.primary, ports.rum, PREFIX, AUTHORITY))
        return path
    path = directory / "envoy.json"
    path.write_text(json.dumps(bootstrap(contender, ports, repository), indent=1))
    return path


def bootstrap(contender: Contender, ports: Ports, repository: Path) -> dict:
    """The configuration of one that is an Envoy."""
    return ours(contender, ports, repository) if contender in SAMPLES else other_envoy(contender, ports)


# --- Envoy, without us -------------------------------------------------------------------------------------------------


def address(port: int) -> dict:
    """A loopback address."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name: str, port: int) -> dict:
    """A static cluster with one endpoint and open circuit breakers."""
    limits = {
        "max_connections": MANY,
        "max_pending_requests": MANY,
        "max_requests": MANY,
        "max_retries": MANY,
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }


def listener(name: str, port: int, route: dict, filters: list[dict], **manager) -> dict:
    """A listener with one HTTP connection manager and one route for everything."""
    config = {
        "@type": HCM,
        "stat_prefix": name,
        "http_filters": [*filters, ROUTER],
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}
            ]
        },
        **manager,
    }
    network_filter = {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}
    return {"name": name, "address": address(port), "filter_chains": [{"filters": [network_filter]}]}


def lua(source: str) -> dict:
    """A Lua filter."""
    config = {"@type": f"{HTTP}.http.lua.v3.Lua", "default_source_code": {"inline_string": source}}
    return {"name": "envoy.filters.http.lua", "typed_config": config}


def other_envoy(contender: Contender, ports: Ports) -> dict:
    """The bootstrap of `plain`, `shadow`, `loop`, `peer` and `lua`."""
    route: dict = {"cluster": "primary", "timeout": "30s"}
    filters: list[dict] = []
    clusters = [cluster("primary", ports.primary)]
    listeners = []
    if contender.mirrors:
        clusters.append(cluster("rum", ports.rum))
    if contender in (SHADOW, UPSTREAM_LUA):
        route["request_mirror_policies"] = [{"cluster": "rum"}]
    if contender is LOOP:
        route["request_mirror_policies"] = [{"cluster": "inner"}]
        clusters.append(cluster("inner", ports.inner))
        rewrite = {
            "cluster": "rum",
            "timeout": "5s",
            "prefix_rewrite": f"{PREFIX}/",
            "host_rewrite_literal": AUTHORITY,
        }
        listeners.append(listener("inner", ports.inner, rewrite, [], generate_request_id=False))
    if contender is UPSTREAM_LUA:
        codec = {"@type": f"{HTTP}.http.upstream_codec.v3.UpstreamCodec"}
        clusters[-1]["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                "http_filters": [
                    lua(UPSTREAM),
                    {"name": "envoy.filters.http.upstream_codec", "typed_config": codec},
                ],
            }
        }
    if contender is LUA_CALL:
        filters.append(lua(LUA))
    listeners.insert(0, listener("edge", ports.edge, route, filters, use_remote_address=True))
    return {
        "admin": {"address": address(ports.admin)},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


# --- Envoy, with us ----------------------------------------------------------------------------------------------------


class SampleError(Exception):
    """A sample is missing, or not shaped as this program expects."""


def sample_path(contender: Contender, repository: Path) -> Path:
    """The sample that is measured."""
    return repository / "envoy" / SAMPLES[contender][0]


def module_path(contender: Contender, repository: Path) -> Path:
    """The module that is measured."""
    return repository / "dist" / SAMPLES[contender][1]


def ours(contender: Contender, ports: Ports, repository: Path) -> dict:
    """The sample with our ports, the absolute path of the module and the bench's RUM mapping."""
    path = sample_path(contender, repository)
    bootstrap = yaml.safe_load(path.read_text())
    try:
        return adapt_sample(bootstrap, ports, module_path(contender, repository))
    except (KeyError, IndexError, TypeError) as error:
        raise SampleError(f"{path}: not the shape expected ({error!r})") from error


def adapt_sample(bootstrap: dict, ports: Ports, module: Path) -> dict:
    """The substitution itself. In both samples the clusters are called `primary` and `rum`."""
    bootstrap = copy.deepcopy(bootstrap)
    bootstrap["admin"]["address"] = address(ports.admin)
    static = bootstrap["static_resources"]
    static["listeners"][0]["address"] = address(ports.edge)
    plugin = plugin_config(bootstrap)
    plugin["vm_config"]["code"] = {"local": {"filename": str(module)}}
    adapt_plugin_config(plugin["configuration"])
    for each in static["clusters"]:
        each["type"] = "STATIC"
        each.pop("transport_socket", None)
        port = {"primary": ports.primary, "rum": ports.rum}[each["name"]]
        each["load_assignment"] = cluster(each["name"], port)["load_assignment"]
    return bootstrap


def plugin_config(bootstrap: dict) -> dict:
    """The wasm filter's PluginConfig, in the sample's listener or in one of its clusters."""
    static = bootstrap["static_resources"]
    holders = [static["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]]
    for each in static["clusters"]:
        holders += each.get("typed_extension_protocol_options", {}).values()
    filters = [each for holder in holders for each in holder.get("http_filters", [])]
    found = [each for each in filters if each["typed_config"]["@type"].endswith("wasm.v3.Wasm")]
    return found[0]["typed_config"]["config"]


def adapt_plugin_config(holder: dict) -> None:
    """Maps every project to the bench's workspace, in a Struct or a StringValue."""
    value = holder["value"]
    config = json.loads(value) if isinstance(value, str) else value
    kept = {key: config["rum"][key] for key in ("upstream",) if key in config["rum"]}
    config["rum"] = kept | {"authority": AUTHORITY, "default": {"workspace": WORKSPACE, "service_id": SERVICE}}
    holder["value"] = json.dumps(config) if isinstance(value, str) else config


def pending_budget(repository: Path) -> int:
    """`limits.max_pending_bytes` of the sample, or its default (envoy/README.md)."""
    value = plugin_config(yaml.safe_load(sample_path(OURS, repository).read_text()))["configuration"]["value"]
    config = json.loads(value) if isinstance(value, str) else value
    return int(config.get("limits", {}).get("max_pending_bytes", 64 * 1024 * 1024))


# --- nginx -------------------------------------------------------------------------------------------------------------

NGINX_HEAD = """
daemon off;
{user}
worker_processes 1;
error_log stderr error;
pid {directory}/nginx.pid;
events {{ worker_connections {connections}; }}
"""

NGINX_PATHS = """
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
"""


def nginx_head(directory: Path, connections: int) -> str:
    """The outermost directives. Run by root, the worker must stay root to reach the private directory."""
    user = "user root;" if os.geteuid() == 0 else ""
    return NGINX_HEAD.format(directory=directory, connections=connections, user=user)


def nginx_mirror(ports: Ports, directory: Path) -> str:
    """The vendor's recipe on loopback: same directives and values, without its access log (the Envoys write none)."""
    return nginx_head(directory, 20_000) + f"""
http {{
  {NGINX_PATHS.format(directory=directory)}
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  reset_timedout_connection on;
  keepalive_timeout 75s;
  keepalive_requests 1000000;
  gzip off;
  server_tokens off;
  client_body_buffer_size 64k;
  client_max_body_size 100m;
  proxy_http_version 1.1;
  proxy_redirect off;
  proxy_buffer_size 128k;
  proxy_buffers 4 256k;
  proxy_busy_buffers_size 256k;
  proxy_next_upstream error timeout invalid_header http_502 http_503 non_idempotent;
  proxy_next_upstream_tries 2;
  proxy_set_header Connection '';
  proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Request-Id $request_id;
  proxy_read_timeout 30s;
  proxy_send_timeout 5s;

  upstream relay {{ server 127.0.0.1:{ports.primary}; keepalive 2; }}
  upstream rum_forwarder {{ server 127.0.0.1:{ports.rum}; keepalive 2; }}
  map $request_uri $forwarder_path {{
    default {PREFIX};
    "~^/api/1/envelope/" /rum/sentry/{WORKSPACE}/other-svc;
  }}
  server {{
    listen 127.0.0.1:{ports.edge} backlog=4096;
    location ~ ^/api/[1-9]\\d*/ {{
      proxy_pass http://relay;
      mirror /rum_mirror;
      mirror_request_body on;
    }}
    location = /rum_mirror {{
      internal;
      proxy_pass http://rum_forwarder$forwarder_path$request_uri;
      proxy_set_header Host {AUTHORITY};
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header Connection '';
      proxy_read_timeout 5s;
      proxy_send_timeout 5s;
      proxy_connect_timeout 5s;
      proxy_ignore_client_abort on;
    }}
  }}
}}
"""


def nginx_stub(port: int, directory: Path) -> str:
    """A receiver that answers 200 once it has the body, counts at /_count, and logs requests with `verify=` in the path.

    A bare `return 200` would answer before the body is there, and a proxy that hears the answer early drops the rest of
    the request. `mirror` is what makes nginx read the body first; `empty_gif` refuses a POST at no cost, with 405.
    """
    return nginx_head(directory, 20_000) + f"""
http {{
  {NGINX_PATHS.format(directory=directory)}
  keepalive_timeout 300s;
  keepalive_requests 10000000;
  tcp_nodelay on;
  client_max_body_size 100m;
  client_body_buffer_size 64k;
  default_type application/json;
  log_format copy escape=json '{{"path":"$request_uri","host":"$http_host","length":"$http_content_length"}}';
  map $request_uri $verify {{ default 0; "~verify=" 1; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /_count {{ stub_status; }}
    location / {{
      access_log {directory}/seen.log copy if=$verify;
      mirror /_read;
      empty_gif;
      error_page 405 =200 @answer;
    }}
    location = /_read {{ internal; return 204; }}
    location @answer {{ access_log {directory}/seen.log copy if=$verify; return 200 '{{}}'; }}
  }}
}}
"""
