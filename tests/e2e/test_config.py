"""Envoy refuses a configuration that cannot be right, with our message in its log; the samples agree."""

import copy
import json
from pathlib import Path

import pytest

from support import paths, replay, rules, sample
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.primary import Primary
from support.shared import Shared

BAD: dict[str, tuple[sample.Yaml, list[str]]] = {
    "unknown-key": ({"rum": {"upstrem": "rum"}}, ["rum.upstrem"]),
    "wrong-type": ({"limits": {"max_in_flight": "many"}}, ["limits.max_in_flight", "many"]),
    "out-of-range": ({"rum": {"timeout_ms": 0}}, ["rum.timeout_ms", "0"]),
    "missing-environment": ({"rum": {"authority": "${NOBODY_SETS_THIS}"}}, ["rum.authority", "NOBODY_SETS_THIS"]),
    "bad-workspace": (
        {"rum": {"projects": {"1": {"workspace": "../up", "service_id": "x"}}}},
        ["rum.projects", "workspace", "../up"],
    ),
    "listed-and-excluded": ({"rum": {"exclude": ["1"]}}, ["rum.exclude", "1"]),
    "no-leg": ({"rum": None}, ["rum"]),
    "several-at-once": (
        {"rum": {"timeout_ms": -1, "colour": "red"}, "limits": {"max_pending_bytes": 0}},
        ["rum.timeout_ms", "rum.colour", "limits.max_pending_bytes"],
    ),
}


# As an update, and one of them at the start too: there Envoy ends.
AT_START = "several-at-once"


@pytest.mark.parametrize(("name", "edge"), [*((name, Shared) for name in BAD), (AT_START, Envoy)])
def test_bad_configuration_is_refused_with_its_reason(name: str, edge: type[Envoy], tmp_path: Path) -> None:
    changes, reasons = BAD[name]
    log = edge.refused(tmp_path, sample.adapt(sample.load("tee.yaml"), 9, 9, changes))
    messages = [line for line in log.splitlines() if "wasm log" in line and "[error]" in line]
    assert messages, log[-3000:]
    for reason in reasons:
        assert any(reason in line for line in messages), messages


def test_environment_reaches_the_configuration(tmp_path: Path, primary: Primary, rum: FakeRum) -> None:
    """The sample takes the authority and the default's workspace and service id from Envoy's environment, if set."""
    rum.authority = "rum.elsewhere.example"
    environment = {"RUM_AUTHORITY": rum.authority, "RUM_WORKSPACE": "ws-env", "RUM_SERVICE_ID": "svc@env"}
    with Envoy(tmp_path, primary.port, rum.port, environment=environment) as envoy:
        with replay.Client(envoy.port) as client:
            assert client.request("/api/77/envelope/", b"{}").by_primary
        rum.wait(1)
        assert rum.taken[0].target == "/rum/sentry/ws-env/svc@env/api/77/envelope/"
        settled(envoy, captured=1, delivered=1)
    rum.taken.clear()  # checked above; the rules of the fixture are those of the unset environment


def test_project_without_a_mapping_is_not_mirrored(
    tmp_path: Path, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    change = {"rum": {"default": None, "exclude": ["7"]}}
    with Shared(tmp_path, primary.port, rum.port, configuration=change) as envoy:
        with replay.Client(envoy.port) as client:
            for project in (3, 7, 4507123456789012, 1):
                assert client.request(f"/api/{project}/envelope/", b"{}").by_primary
        # The last one is mapped: when it has arrived, so would have any other.
        rum.expect(rules.Copy.of(rum_config, primary.requests[3]))
        settled(envoy, captured=1, delivered=1, pending=0)
        skipped = {name: value for name, value in envoy.metrics().items() if name.startswith("rum.skipped.") and value}
        assert skipped == {"rum.skipped.unmapped": 2, "rum.skipped.excluded": 1}


def without_addresses(listener: sample.Yaml) -> sample.Yaml:
    listener = copy.deepcopy(listener)
    listener.pop("@type", None)
    return listener


def test_samples_differ_only_where_they_say() -> None:
    tee, tls, lds = sample.load("tee.yaml"), sample.load("tee-tls.yaml"), sample.load("tee-lds/bootstrap.yaml")
    (edge,) = tee["static_resources"]["listeners"]
    assert tls["static_resources"]["listeners"] == [edge]
    assert sample.cluster(tls, "primary") == sample.cluster(tee, "primary")
    for key in ("upstream_connection_options", "circuit_breakers", "typed_extension_protocol_options"):
        assert sample.cluster(tls, "rum")[key] == sample.cluster(tee, "rum")[key]

    assert lds["static_resources"]["clusters"] == tee["static_resources"]["clusters"]
    (resource,) = sample.load("tee-lds/listeners/edge.yaml")["resources"]
    assert without_addresses(resource) == edge
    # With the SLS leg: the section, its limit, its variables and its two clusters.
    sls = sample.load("tee-sls.yaml")
    (both,) = copy.deepcopy(sls["static_resources"]["listeners"])
    del sample.plugin(both)["sls"]
    sample.plugin(both)["limits"].pop("max_decoded_bytes", None)
    names = sample.mirror(both)["vm_config"]["environment_variables"]["host_env_keys"]
    names[:] = [name for name in names if not name.startswith("SLS_")]
    assert both == edge
    assert sls["static_resources"]["clusters"][:2] == tee["static_resources"]["clusters"]
    assert [cluster["name"] for cluster in sls["static_resources"]["clusters"][2:]] == ["sls", "metadata"]

    # With a second Sentry instead of RUM: the section, its variables, and its cluster.
    second = sample.load("tee-second-sentry.yaml")
    (other,) = copy.deepcopy(second["static_resources"]["listeners"])
    del sample.plugin(other)["sentry"]
    sample.plugin(other)["rum"] = sample.plugin(edge)["rum"]
    environment = sample.mirror(edge)["vm_config"]["environment_variables"]
    sample.mirror(other)["vm_config"]["environment_variables"] = environment
    assert other == edge
    theirs = json.loads(json.dumps(sample.cluster(tls, "rum")).replace("rum.example.com", "second.example.com"))
    theirs["name"] = theirs["load_assignment"]["cluster_name"] = "second"
    assert sample.cluster(second, "second") == theirs
    assert sample.cluster(second, "primary") == sample.cluster(tee, "primary")

    for other in (tls, lds, sls, second):
        assert other["admin"] == tee["admin"]
        assert other["overload_manager"] == tee["overload_manager"]


def test_every_sample_is_tested() -> None:
    """A new file in envoy/ has to appear here, and then in a test that starts it (those of Compose: test_self_hosted.py,
    those for Kubernetes: test_deploy_manifests.py, that of OTLP: test_observability.py)."""
    files = [path for path in sample.SAMPLES.rglob("*.yaml") if not path.name.startswith("compose.")]
    files = [path for path in files if sample.SAMPLES / "deploy" not in path.parents]
    found = {str(path.relative_to(sample.SAMPLES)) for path in files}
    assert found == {
        "tee.yaml",
        "sign.yaml",
        "mirror-target.yaml",
        "shadow.yaml",
        "tee-sls.yaml",
        "tee-tls.yaml",
        "tee-second-sentry.yaml",
        "tee-lds/bootstrap.yaml",
        "tee-lds/listeners/edge.yaml",
        "self-hosted/front.yaml",
        "self-hosted/mirror.yaml",
        "observability/otlp.yaml",
    }
    assert paths.module().endswith("dist/sentry_edge_mirror.wasm")
