"""Planted secrets, every fault, every log level, each mode: none in Envoy's log, its statistics or our messages.

At debug and trace Envoy itself writes the headers that pass through it. With the module these are not only the clients',
as without it, but also those of the module's own calls and of what it signs: Authorization, the security token, the
token for the metadata service. That is a limit, which SECURITY.md names and a test here holds on to. Such lines are told
apart by their form (`planted.ENVOYS_OWN`): at trace there is nothing in any other line, and in none what is in no header.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from chaos import gateway
from chaos.gateway import Gateway
from support import fake_rum, fake_sls, planted, replay, rewrite_edge, sample, sign_edge, sls_edge, wait
from support.envoy import Envoy
from support.fake_metadata import FakeMetadata
from support.fake_rum import FakeRum
from support.fake_sls import Behaviour, Key
from support.listener import DRAIN, Listener
from support.planted import ALL, IN_METADATA, KEY_ID, KEY_SECRET, NOT_IN_HEADERS, QUOTE, TOKEN
from support.primary import Primary
from support.shared import Shared
from test_reload import replace, updates

ENVIRONMENT = {
    "SLS_ACCESS_KEY_ID": KEY_ID,
    "SLS_ACCESS_KEY_SECRET": KEY_SECRET,
    "SLS_SECURITY_TOKEN": TOKEN,
}
FROM_ENVIRONMENT = {
    "access_key_id": "${SLS_ACCESS_KEY_ID}",
    "access_key_secret": "${SLS_ACCESS_KEY_SECRET}",
    "security_token": "${SLS_SECURITY_TOKEN}",
}
# No key id and no token is written so; what is wrong with it may be said, but not what it is.
IN_THE_WRONG_PLACE = {
    "access_key_id": "${SLS_ACCESS_KEY_SECRET} x",
    "access_key_secret": "${SLS_SECURITY_TOKEN}\n",
    "security_tokn": "${SLS_SECURITY_TOKEN}",
}
RETRY = {"max_attempts": 2, "initial_backoff_ms": 10, "max_backoff_ms": 50}
LIMITS = {"max_body_bytes": 200_000, "max_pending_bytes": 2_000_000}
BOTH_LEGS = {"rum": {"timeout_ms": 300, "exclude": ["7"]}, "retry": RETRY}
SIGNED = {"endpoint": sls_edge.ENDPOINT, "project": sls_edge.PROJECT, "signature": "v1", "region": sls_edge.REGION}


class Mode(NamedTuple):
    """A sample, and what is laid over the plugin's configuration in it."""

    sample: str
    configuration: sample.Yaml
    sls: sample.Yaml
    cases: list[planted.Case]


SLS_LEG = sls_edge.section({}, timeout_ms=300, retry=RETRY)
MODES = {
    "tee": Mode(sls_edge.NAME, BOTH_LEGS, SLS_LEG, planted.envelopes()),
    "rewrite": Mode(rewrite_edge.NAME, sample.merge(BOTH_LEGS, {"fast_ack": False}), SLS_LEG, planted.envelopes()),
    "fast_ack": Mode(rewrite_edge.NAME, BOTH_LEGS, SLS_LEG, planted.envelopes()),
    "sign": Mode(sign_edge.NAME, {"sign": {"logstores": [sls_edge.STORE]}}, SIGNED, planted.writes(sls_edge.STORE)),
}

WRONG_KEYS = (
    IN_METADATA + " is no JSON \xff",
    f'{{"Code": "{IN_METADATA}", "Message": "{IN_METADATA}"}}',
    f'{{"Code": "Success", "AccessKeyId": "a", "AccessKeySecret": ["{IN_METADATA}"], "SecurityToken": 1}}',
    f'{{"Code": "Success", "AccessKeyId": "a", "AccessKeySecret": "{IN_METADATA}", "SecurityToken": "{IN_METADATA}\\n", '
    f'"Expiration": "{IN_METADATA}"}}',
)
# By kind of request, one after the other, each met by a new configuration that has no key yet.
METADATA = [("token", Behaviour(status=500, body=IN_METADATA.encode()))]
METADATA += [("token", Behaviour(status=200, body=f"{IN_METADATA}\r\n\xff".encode("latin-1")))]
METADATA += [("role", Behaviour(status=status, body=f"{IN_METADATA} \xff/".encode("latin-1"))) for status in (200, 503)]
METADATA += [("role", Behaviour(reset=True)), ("keys", Behaviour(status=404, body=IN_METADATA.encode()))]
METADATA += [("keys", Behaviour(status=200, body=text.encode("latin-1"))) for text in WRONG_KEYS]
NETWORK = (gateway.HANG_BEFORE, gateway.HANG_AFTER, gateway.RESET, gateway.DRIP, gateway.GARBAGE)
STATUSES = ((400, "PostBodyInvalid"), (401, "Unauthorized"), (403, "ExceedQuota"), (404, "LogStoreNotExist"))
STATUSES += ((429, "ExceedQuota"), (500, "InternalServerError"), (503, "ServerBusy"))


class Site:
    """An edge in one mode, and targets that fail on demand and quote what they were sent."""

    def __init__(self, directory: Path, mode: Mode, level: str) -> None:
        self.mode, self.version = mode, 0
        self.primary, self.rum, self.sls = Primary(), FakeRum("rum.example.com"), sls_edge.fake_sls()
        self.sls.keys[KEY_ID] = Key(KEY_SECRET, TOKEN)
        self.metadata = FakeMetadata(self.sls.keys.__setitem__)
        self.gateways = [Gateway(self.rum.port), Gateway(self.sls.port)]
        self.listener = Listener(directory / "listeners", listener_of(mode))
        self.listener.write(self.configuration(FROM_ENVIRONMENT))

        def edit(bootstrap: sample.Yaml) -> None:
            self.listener.replace_static(bootstrap)
            sls_edge.clusters(bootstrap, self.gateways[1].port, self.metadata.port)

        self.edge = Envoy(
            directory,
            self.primary.port,
            self.gateways[0].port,
            name=mode.sample,
            edit=edit,
            level=level,
            args=DRAIN,
            environment=ENVIRONMENT,
        )
        self.listener.use_port(self.edge.port)

    def close(self) -> None:
        self.edge.stop()
        for server in (self.primary, *self.gateways, self.rum, self.sls, self.metadata):
            server.close()

    def configuration(self, credential: sample.Yaml) -> sample.Yaml:
        """Each time another one, as far as Envoy can see."""
        self.version += 1
        limits = LIMITS | {"max_pending_bytes": LIMITS["max_pending_bytes"] + self.version}
        return {**self.mode.configuration, "limits": limits, "sls": {**self.mode.sls, "credential": credential}}

    def send(self) -> None:
        """Requests with everything planted, all at the same time."""

        def one(case: planted.Case) -> None:
            target, body, more = case
            with suppress(ConnectionError), replay.Client(self.edge.port) as client:
                answer = client.request(target, body, headers=[*planted.IN_HEADERS.items(), *more])
                assert answer.by_primary or self.mode is not MODES["tee"]

        with ThreadPoolExecutor(len(self.mode.cases)) as pool:
            list(pool.map(one, self.mode.cases))
        with replay.Client(self.edge.port) as client:  # goes away in the middle
            target, body, _ = self.mode.cases[0]
            client.send(f"POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: 99999\r\n\r\n".encode() + body)

    def suffer(self) -> None:
        """Every fault, one after the other, each with all the requests."""
        self.send()
        for kind, behaviour in METADATA:
            self.metadata.behave = {kind: behaviour}
            calls = self.metadata.calls[kind]
            replace(self.edge, self.listener, self.configuration(sls_edge.RAM_ROLE))
            wait.until(f"a call for {kind}", lambda kind=kind, calls=calls: self.metadata.calls[kind] > calls)
            self.send()
        self.metadata.behave = {}
        replace(self.edge, self.listener, self.configuration(sls_edge.RAM_ROLE))
        wait.until("something signed with the role's key", self._signed_by_role)
        for mode in NETWORK:
            for each in self.gateways:
                each.mode = mode
            self._under_fault()
        for status, code in STATUSES:
            self.rum.behave = fake_rum.Behaviour(status=status, headers=(("x-quote", QUOTE), ("retry-after", "0")))
            self.sls.behave = Behaviour(status=status, code=code, message=QUOTE + KEY_SECRET)
            # A refused key is asked for again, and used no more if it is the same.
            self.metadata.rotate()
            self._under_fault()
        self.sls.behave = Behaviour(status=500, code="", body=(QUOTE + KEY_SECRET).encode(), request_id=False)
        self._under_fault()
        self.listener.write(self.configuration(IN_THE_WRONG_PLACE))
        wait.until("the configuration is refused", lambda: updates(self.edge, "rejected") == 1)
        for each in self.gateways:
            each.close()
        self._under_fault()

    def _signed_by_role(self) -> bool:
        self.send()
        return any("STS." in (request.header("authorization") or "") for request in self.sls.requests)

    def _under_fault(self) -> None:
        """Sends, waits until each leg has met the fault (its books are not the matter here), and ends it."""
        before = self.edge.metrics()
        self.send()

        def met() -> bool:
            now = self.edge.metrics()
            # Logs of a configuration that got no key stay pending, whatever the target does.
            pending = [value for name, value in now.items() if re.search(r"in_flight$|(rum|sign)\.pending$", name)]
            return not any(pending) and now.get("sls.attempts", 1) > before.get("sls.attempts", 0)

        with suppress(AssertionError):
            wait.until("the fault met", met, 2)
        for each in self.gateways:
            each.mode = gateway.PASS
        self.rum.behave, self.sls.behave = fake_rum.OK, fake_sls.OK

    def published(self) -> str:
        """All that can be read of Envoy at its admin endpoint."""
        pages = ("/stats", "/stats/prometheus", "/config_dump", "/clusters", "/listeners", "/server_info")
        return "\n".join(self.edge.admin(page) for page in pages)


def listener_of(mode: Mode) -> sample.Yaml:
    """The sample's listener, which does not wait long, knows our environment, and has no key but those laid over it."""
    (listener,) = sample.load(mode.sample)["static_resources"]["listeners"]
    for host in sample.hcm(listener)["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            if mode.sample != sls_edge.NAME and "route" in route:
                route["route"]["timeout"] = "0.3s"
    keys = sample.mirror(listener)["vm_config"]["environment_variables"]["host_env_keys"]
    keys += [name for name in ENVIRONMENT if name not in keys]
    sample.plugin(listener).get("sls", {}).pop("credential", None)
    if mode.configuration.get("fast_ack") is False:
        # Forwarded is where the route leads.
        del sample.plugin(listener)["rum"]["upstream"]
    return listener


# What is there at warning is there at info too, which is seen once.
CASES = [("tee", "warning"), *((mode, level) for mode in MODES for level in ("info", "trace"))]


@pytest.mark.parametrize(("mode", "level"), CASES)
def test_nothing_planted_comes_out(mode: str, level: str, tmp_path: Path) -> None:
    site = Site(tmp_path, MODES[mode], level)
    try:
        site.suffer()
        published = site.published()
    finally:
        site.close()
    log = site.edge.log()
    role = [site.sls.keys[name] for name in site.metadata.issued]
    tokens = [*(key.token for key in role), *site.metadata.tokens]
    in_no_header = [*NOT_IN_HEADERS, *(key.secret for key in role)]
    everything = [*ALL, *in_no_header, *tokens]
    assert planted.found_in(published, everything) == {}
    assert planted.found_in(planted.not_by_envoy(log), everything) == {}
    assert planted.found_in(log, in_no_header) == {}
    ours = [line for line in log.splitlines() if "[wasm]" in line]
    assert len(ours) > 5, "a suite that sees no messages passes for nothing"
    assert "sls.credential.security_tokn" in log, "the configuration was refused for another reason"
    if level != "trace":
        assert planted.by_envoy(log) == ""
        return
    assert any("proxy_on_request_headers" in line for line in ours), "the module's own calls are not in the trace"
    # The limit: what is in the headers of our own calls is in the log, and only for our sake.
    there = planted.found_in(planted.by_envoy(log), [TOKEN, *tokens, "'authorization', 'LOG STS."])
    assert len(there) > 2 and TOKEN in there, there


def test_a_refused_configuration_names_the_key_and_not_the_value(tmp_path: Path) -> None:
    primary = Primary()
    sls = sls_edge.fake_sls()
    bad = {"access_key_id": "planted id", "access_key_secret": "planted secret", "security_tokn": TOKEN}

    def edit(bootstrap: sample.Yaml) -> None:
        sls_edge.edit(sls, sls_edge.section(bad))(bootstrap)

    bootstrap = sample.adapt(sample.load(sls_edge.NAME), primary.port, 9, edit=edit)
    log = Shared.refused(tmp_path, bootstrap)
    primary.close()
    sls.close()
    ours = "\n".join(line for line in log.splitlines() if "[wasm]" in line)
    assert "sls.credential" in ours
    assert planted.found_in(ours, ["planted secret", TOKEN]) == {}
