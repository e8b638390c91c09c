"""A stock nginx in front of Envoy speaks HTTP/1.0 to it, unless it is told otherwise: the samples take that."""

from pathlib import Path

import pytest
import yaml

from support import nginx, replay, rules, sample
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.primary import Primary
from support.shared import Shared

CONFIG = """pid logs/nginx.pid;
events {}
http {
    server {
        listen 127.0.0.1:PORT;
        location / { proxy_pass http://127.0.0.1:ENVOY; }
    }
}
"""
MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def managers(node: object) -> list[dict]:
    """Every HTTP connection manager of a file."""
    if isinstance(node, list):
        return [found for item in node for found in managers(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if str(node.get("@type", "")).endswith(MANAGER) else []
    return own + [found for value in node.values() for found in managers(value)]


def test_clients_of_a_stock_nginx_are_served_and_mirrored(
    tmp_path: Path, envoy: Envoy, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    listener = nginx.listener()
    text = CONFIG.replace("PORT", str(listener.getsockname()[1])).replace("ENVOY", str(envoy.port))
    with nginx.Nginx(tmp_path / "nginx", text, listener) as front, replay.Client(front.port) as client:
        for body in (b"", b"{}\n", b"x" * 100_000):
            answer = client.request("/api/1/envelope/", body)
            assert (answer.status, answer.by_primary) == (200, True), answer
        # nginx reads a body in chunks whole, and passes it on with its length.
        assert client.request("/api/1/envelope/", b"chunked" * 9, chunks=[7] * 9).status == 200
    assert [len(request.body) for request in primary.requests] == [0, 3, 100_000, 63]
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    settled(envoy, captured=4, delivered=4)


def test_without_the_option_envoy_refuses_them(tmp_path: Path, primary: Primary, rum: FakeRum) -> None:
    """So that the test above cannot pass by itself."""

    def edit(bootstrap: sample.Yaml) -> None:
        del sample.hcm(bootstrap["static_resources"]["listeners"][0])["http_protocol_options"]

    listener = nginx.listener()
    with Shared(tmp_path / "envoy", primary.port, rum.port, edit=edit) as envoy:
        text = CONFIG.replace("PORT", str(listener.getsockname()[1])).replace("ENVOY", str(envoy.port))
        with nginx.Nginx(tmp_path / "nginx", text, listener) as front, replay.Client(front.port) as client:
            assert client.request("/api/1/envelope/", b"{}\n").status == 426


# Compose has tags of its own, and its files no connection manager.
# A patch of somebody else's connection manager (EnvoyFilter) has no filters: what that takes is not ours to say.
FILES = [
    path
    for path in sorted(sample.SAMPLES.rglob("*.yaml"))
    if not path.name.startswith("compose.") and sample.SAMPLES / "deploy" / "istio" not in path.parents
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(sample.SAMPLES)))
def test_every_sample_that_serves_takes_them(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        for manager in managers(document):
            filters = [entry["name"] for entry in manager["http_filters"]]
            if any("sentry_edge_mirror" in name for name in filters):
                assert manager.get("http_protocol_options", {}).get("accept_http_10") is True, manager["stat_prefix"]
