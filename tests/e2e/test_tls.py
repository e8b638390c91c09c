"""envoy/tee-tls.yaml: the primary is served while RUM's name does not resolve; copies go over verified TLS only."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from support import replay, rules, sample, tls, wait
from support.dns import Dns
from support.envoy import Envoy, settled
from support.primary import Primary
from support.tls import Receiver

# A name that does not resolve waits for as long as the copy may be tried.
PATIENT = {"retry": {"max_attempts": 50, "initial_backoff_ms": 100, "max_backoff_ms": 500}}


@pytest.fixture
def receiver(tmp_path: Path, rum_config: dict) -> Iterator[Receiver]:
    yield from tls.receiver(tmp_path, rum_config["authority"])


@pytest.fixture
def dns() -> Iterator[Dns]:
    server = Dns()
    yield server
    server.close()


def edit(dns: Dns, authority: Path, name: str = "rum.example.com", warm: bool | None = False) -> Callable:
    """What the sample needs to run here: our resolver and authority. `warm` None: without wait_for_warm_on_init."""

    def change(bootstrap: sample.Yaml) -> None:
        rum = sample.cluster(bootstrap, "rum")
        resolver = rum["cluster_type"]["typed_config"]["typed_dns_resolver_config"]["typed_config"]
        resolver["resolvers"] = [{"socket_address": {"address": "127.0.0.1", "port_value": dns.port}}]
        validation = rum["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
        validation["trusted_ca"]["filename"] = str(authority)
        validation["match_typed_subject_alt_names"][0]["matcher"]["exact"] = name
        assert rum["wait_for_warm_on_init"] is False
        if warm is None:
            del rum["wait_for_warm_on_init"]

    return change


def start(directory: Path, primary: Primary, receiver: Receiver, change: Callable) -> Envoy:
    return Envoy(directory, primary.port, receiver.rum.port, name="tee-tls.yaml", configuration=PATIENT, edit=change)


def test_name_that_does_not_resolve_at_start_delays_nothing_but_the_copies(
    tmp_path: Path, primary: Primary, receiver: Receiver, dns: Dns, rum_config: dict
) -> None:
    began = time.monotonic()
    with start(tmp_path / "envoy", primary, receiver, edit(dns, receiver.authority)) as envoy:
        # The resolver is silent: without wait_for_warm_on_init: false the listener would open after its timeouts only.
        with replay.Client(envoy.port) as client:
            assert client.request("/api/1/envelope/", b"before").by_primary
        assert time.monotonic() - began < 10
        wait.until("the resolver was asked", lambda: dns.asked)
        settled(envoy, captured=1, delivered=0, pending=1)

        dns.mode = "up"
        for request in primary.requests:
            receiver.rum.expect(rules.Copy.of(rum_config, request))
        receiver.rum.wait(seconds=30)
        assert set(receiver.names) == {"rum.example.com"}

        # A name server that loses the name later on does not stop the mirror.
        for mode in ("nxdomain", "servfail", "silent"):
            dns.mode = mode
            asked = dns.asked
            wait.until(f"asked again, {mode}", lambda asked=asked: dns.asked > asked + 1, 30)
            with replay.Client(envoy.port) as client:
                assert client.request("/api/2/envelope/", mode.encode()).by_primary
            receiver.rum.expect(rules.Copy.of(rum_config, primary.requests[-1]))
            receiver.rum.wait(seconds=5)
        settled(envoy, captured=4, delivered=4, pending=0)


def test_without_the_setting_a_silent_resolver_keeps_the_edge_closed(
    tmp_path: Path, primary: Primary, receiver: Receiver, dns: Dns
) -> None:
    """Shows that the sample's `wait_for_warm_on_init: false` is needed: the finding written down in it."""
    with pytest.raises(AssertionError, match="Envoy ready"):
        Envoy(
            tmp_path / "envoy",
            primary.port,
            receiver.rum.port,
            name="tee-tls.yaml",
            edit=edit(dns, receiver.authority, warm=None),
            ready_seconds=3,
        ).stop()


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_certificate_that_does_not_fit_gets_no_copy(
    wrong: str, tmp_path: Path, primary: Primary, receiver: Receiver, dns: Dns
) -> None:
    dns.mode = "up"
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    change = (
        edit(dns, tmp_path / "other.pem") if wrong == "authority" else edit(dns, receiver.authority, "else.example.com")
    )
    with start(tmp_path / "envoy", primary, receiver, change) as envoy:
        with replay.Client(envoy.port) as client:
            assert client.request("/api/1/envelope/", b"secret").by_primary
        # Verified before anything is sent: the copy is tried again and again, and waits.
        wait.until("several tries", lambda: envoy.metrics()["rum.attempts"] >= 3, 30)
        settled(envoy, captured=1, delivered=0)
        failed = envoy.stats("cluster.rum.ssl.fail_verify")
        assert sum(failed.values()) >= 1, failed
    assert receiver.rum.received == 0
