"""Planted secrets, every fault, every log level: none of them in Envoy's log, its statistics or our own messages.

What Envoy itself logs of the headers that pass through it, at debug and below, it logs without us too: there only the
lines of the module are looked at, and everything that is in no header.
"""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chaos import gateway
from chaos.gateway import Gateway
from support import fake_rum, fake_sls, replay, sample, sls_edge, wait
from support.envoy import Envoy
from support.fake_metadata import FakeMetadata
from support.fake_rum import FakeRum
from support.fake_sls import FakeSls, Key
from support.primary import Primary

# Each is found by its own piece of text.
DSN_KEY = "d5c0ffee" * 4
IN_HEADERS = {
    "cookie": "planted-cookie",
    "authorization": "Bearer planted-bearer",
    "proxy-authorization": "Basic " + base64.b64encode(b"planted:proxy").decode(),
    "x-api-key": "planted-api-key",
    "x-sentry-auth": f"Sentry sentry_version=7, sentry_key={DSN_KEY}, sentry_secret=planted-dsn-secret",
    "user-agent": "planted-agent",
    "x-forwarded-for": "198.51.100.77",
}
IN_BODIES = ("planted-message", "planted-person@example.com", "planted-attachment", "planted-envelope-key")
KEY_SECRET, TOKEN = "planted-access-key-secret", "planted-security-token"
# The error texts of targets quote what they were sent, in a header or in the body.
QUOTE = f"you sent planted-echo {DSN_KEY}"
EVENT = json.dumps({"message": IN_BODIES[0], "user": {"email": IN_BODIES[1]}}).encode()
HEADER = json.dumps({"dsn": f"https://{IN_BODIES[3]}@edge.example/1"}).encode()
ENVELOPE = HEADER + b'\n{"type":"event"}\n' + EVENT + b'\n{"type":"attachment","length":18}\n' + IN_BODIES[2].encode()
ALL = [re.sub(r"^\w+ ", "", value) for value in IN_HEADERS.values()]
ALL += [DSN_KEY, "planted-dsn-secret", *IN_BODIES, KEY_SECRET, TOKEN, "planted-echo"]
NOT_IN_HEADERS = [*IN_BODIES, KEY_SECRET]

CONFIGURATION = {
    "rum": {"timeout_ms": 300, "exclude": ["7"]},
    "limits": {"max_body_bytes": 200_000, "max_pending_bytes": 2_000_000},
    "retry": {"max_attempts": 2, "initial_backoff_ms": 10, "max_backoff_ms": 50},
}
SLS_CHANGES = {"timeout_ms": 300, "retry": {"max_attempts": 2, "initial_backoff_ms": 10, "max_backoff_ms": 50}}
MODES = (gateway.HANG_BEFORE, gateway.HANG_AFTER, gateway.RESET, gateway.DRIP, gateway.GARBAGE)
STATUSES = ((400, "PostBodyInvalid"), (401, "Unauthorized"), (403, "ExceedQuota"), (404, "LogStoreNotExist"))
STATUSES += ((429, "ExceedQuota"), (500, "InternalServerError"), (503, "ServerBusy"))


class Site:
    """An edge with both legs, and targets that fail on demand and quote what they were sent."""

    def __init__(self, directory: Path, level: str, credential: sample.Yaml) -> None:
        self.primary, self.rum, self.sls = Primary(), FakeRum("rum.example.com"), sls_edge.fake_sls()
        self.sls.keys[sls_edge.KEY_ID] = Key(KEY_SECRET, TOKEN)
        self.metadata = FakeMetadata(self.sls.keys.__setitem__)
        self.gateways = [Gateway(self.rum.port), Gateway(self.sls.port)]
        section = sls_edge.section(credential, **SLS_CHANGES)

        def edit(bootstrap: sample.Yaml) -> None:
            sls_edge.edit(self.sls, section, self.metadata)(bootstrap)
            sls_edge.clusters(bootstrap, self.gateways[1].port, None)

        self.edge = Envoy(
            directory,
            self.primary.port,
            self.gateways[0].port,
            name=sls_edge.NAME,
            configuration=CONFIGURATION,
            edit=edit,
            level=level,
            environment=ENVIRONMENT,
        )

    def close(self) -> None:
        self.edge.stop()
        for server in (self.primary, *self.gateways, self.rum, self.sls, self.metadata):
            server.close()

    def send(self) -> None:
        """Requests with everything planted, good ones and bad ones."""
        headers = list(IN_HEADERS.items())
        packed = gzip.compress(ENVELOPE)
        query = f"?sentry_key={DSN_KEY}&sentry_secret=planted-dsn-secret"
        cases = [
            ("/api/1/envelope/", ENVELOPE, []),
            (f"/api/2/envelope/{query}", ENVELOPE, [("referer", "https://planted-cookie.example/")]),
            ("/api/3/envelope/", packed, [("content-encoding", "gzip")]),
            ("/api/3/envelope/", packed[:-20], [("content-encoding", "gzip")]),
            ("/api/3/envelope/", packed, [("content-encoding", "planted-api-key")]),
            ("/api/1/envelope/", b"planted-message is no envelope", []),
            ("/api/1/envelope/", ENVELOPE, [("x-request-id", "caf\xe9 planted-cookie")]),
            ("/api/1/envelope/", ENVELOPE, [("x-sentry-edge-mirror", "planted-cookie")]),
            ("/api/1/envelope/", ENVELOPE * 2_000, []),
            (f"/api/7/envelope/{query}", ENVELOPE, []),
            (f"/api/1/store/{query}", EVENT, []),
        ]
        with replay.Client(self.edge.port) as client:
            for target, body, more in cases:
                assert client.request(target, body, headers=headers + more).by_primary
        with replay.Client(self.edge.port) as client:  # goes away in the middle
            client.send(b"POST /api/1/envelope/ HTTP/1.1\r\nhost: a\r\ncontent-length: 999\r\n\r\n" + ENVELOPE)

    def suffer(self) -> None:
        """Every fault, one after the other, each with all the requests."""
        for mode in MODES:
            for one in self.gateways:
                one.mode = mode
            self.send()
            self._over()
        for status, code in STATUSES:
            self.rum.behave = fake_rum.Behaviour(status=status, headers=(("x-quote", QUOTE), ("retry-after", "0")))
            self.sls.behave = fake_sls.Behaviour(status=status, code=code, message=QUOTE + KEY_SECRET)
            self.send()
            self._over()
        self.sls.behave = fake_sls.Behaviour(status=500, code="", body=(QUOTE + KEY_SECRET).encode(), request_id=False)
        self.send()
        self._over()
        for one in self.gateways:
            one.close()
        self.send()
        self._over()

    def _over(self) -> None:
        """Nothing is pending, and the fault is over. A leg whose key was refused waits for another one."""
        with suppress(AssertionError):
            wait.until("all settled", lambda: not any(self.edge.metrics()[f"{leg}.pending"] for leg in ("rum", "sls")), 3)
        for one in self.gateways:
            one.mode = gateway.PASS
        self.rum.behave, self.sls.behave = fake_rum.OK, fake_sls.OK

    def published(self) -> str:
        """All that can be read of Envoy at its admin endpoint."""
        pages = ("/stats", "/stats/prometheus", "/config_dump", "/clusters", "/listeners", "/server_info")
        return "\n".join(self.edge.admin(page) for page in pages)


LITERAL = {f"access_key_{part}": f"${{SLS_ACCESS_KEY_{part.upper()}}}" for part in ("id", "secret")}
CREDENTIALS = {
    "environment": {**LITERAL, "security_token": "${SLS_SECURITY_TOKEN}"},
    "role": sls_edge.RAM_ROLE,
}
ENVIRONMENT = {
    "SLS_ACCESS_KEY_ID": sls_edge.KEY_ID,
    "SLS_ACCESS_KEY_SECRET": KEY_SECRET,
    "SLS_SECURITY_TOKEN": TOKEN,
}


@pytest.fixture(params=CREDENTIALS)
def credential(request: pytest.FixtureRequest) -> Iterator[sample.Yaml]:
    return CREDENTIALS[request.param]


def planted_in(text: str, secrets: list[str]) -> dict[str, str]:
    """Each secret that is there, with the first line that has it."""
    found = {}
    for secret in secrets:
        for line in text.splitlines():
            if secret in line:
                found[secret] = line[:300]
                break
    return found


@pytest.mark.parametrize("level", ["warning", "info", "trace"])
def test_nothing_planted_comes_out(level: str, tmp_path: Path, credential: sample.Yaml) -> None:
    site = Site(tmp_path, level, credential)
    try:
        site.suffer()
        published, issued = site.published(), [key.secret for key in site.sls.keys.values()]
        issued += [key.token for key in site.sls.keys.values() if key.token and key.token != TOKEN]
    finally:
        site.close()
    log = site.edge.log()
    assert planted_in(published, ALL + issued) == {}
    ours = "\n".join(line for line in log.splitlines() if "[wasm]" in line)
    assert planted_in(ours, ALL + issued) == {}
    if level == "trace":
        assert "proxy_on_request_headers" in ours, "the module's own calls are not in the trace"
        keys = [key.secret for key in site.sls.keys.values()]
        assert planted_in(log, NOT_IN_HEADERS + keys) == {}
    else:
        assert planted_in(log, ALL + issued) == {}
        assert len(ours.splitlines()) > 5, "a suite that sees no messages passes for nothing"


def test_a_refused_configuration_names_the_key_and_not_the_value(tmp_path: Path) -> None:
    primary = Primary()
    sls = sls_edge.fake_sls()
    bad = {"access_key_id": "planted id", "access_key_secret": "planted secret", "security_tokn": TOKEN}

    def edit(bootstrap: sample.Yaml) -> None:
        sls_edge.edit(sls, sls_edge.section(bad))(bootstrap)

    bootstrap = sample.adapt(sample.load(sls_edge.NAME), primary.port, 9, edit=edit)
    log = Envoy.refused(tmp_path, bootstrap)
    primary.close()
    sls.close()
    ours = "\n".join(line for line in log.splitlines() if "[wasm]" in line)
    assert "sls.credential" in ours
    assert planted_in(ours, ["planted secret", TOKEN]) == {}
