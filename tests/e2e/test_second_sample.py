"""envoy/tee-second-sentry.yaml: copies go to another Sentry over verified TLS, with its key, and only what the first one took."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from support import replay, sample, wait
from support.envoy import Envoy, settled
from support.primary import Primary

KEY = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e"
DSN = f"https://{KEY}@second.example.com/7"
ENVIRONMENT = {"SECOND_DSN_1": DSN, "SECOND_DSN_2": DSN}


class Second:
    """A Sentry that takes everything: targets, X-Sentry-Auth and bodies."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.authority = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("second.example.com").configure_cert(context)
        self.got: list[tuple[str, str | None, bytes]] = []
        got = self.got

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                got.append((self.path, self.headers.get("x-sentry-auth"), body))
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Second]:
    server = Second(tmp_path)
    yield server
    server.close()


def test_the_sample_sends_copies_with_the_key_of_the_second_sentry(tmp_path: Path, primary: Primary, second: Second) -> None:
    def edit(bootstrap: sample.Yaml) -> None:
        cluster = sample.cluster(bootstrap, "second")
        cluster["type"] = "STATIC"
        del cluster["cluster_type"]
        sample.address(cluster).update(address="127.0.0.1", port_value=second.port)
        validation = cluster["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
        validation["trusted_ca"]["filename"] = str(second.authority)

    envelope = b'{"dsn":"https://first@first.example.com/1"}\n{"type":"event"}\n{"message":"\xc3\xa4"}\n'
    auth = [("x-sentry-auth", "Sentry sentry_version=7, sentry_key=first, sentry_secret=old")]
    options = {"name": "tee-second-sentry.yaml", "edit": edit, "environment": ENVIRONMENT}
    with Envoy(tmp_path / "envoy", primary.port, 0, **options) as envoy, replay.Client(envoy.port) as client:
        assert client.request("/api/1/envelope/?sentry_version=7", envelope, headers=auth).by_primary
        assert client.request("/api/3/envelope/", envelope).by_primary
        wait.until("the copy", lambda: second.got)
        settled(envoy, leg="sentry.second", captured=1, delivered=1, pending=0)
        assert envoy.metrics()["sentry.second.skipped.unmapped"] <= 1
        text = envoy.admin("/stats/prometheus")
        assert 'sentry_edge_mirror_delivered{leg="sentry.second"} 1' in text
        assert KEY not in text + envoy.admin("/config_dump") + envoy.log()
    assert primary.requests[0].body == envelope
    ((target, credential, body),) = second.got
    assert target == "/api/7/envelope/?sentry_version=7"
    assert credential == f"Sentry sentry_version=7, sentry_key={KEY}"
    assert body == envelope.replace(b"https://first@first.example.com/1", DSN.encode())
