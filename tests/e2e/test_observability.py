"""What is to be seen of an edge: names and labels in a real Prometheus that scrapes a real Envoy under load with faults, every
query of the dashboard, rules and their runbooks, and OTLP.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from support import dashboard, paths, prometheus, replay, sample, seen, wait
from support.envoy import Envoy, settled
from support.fake_rum import Behaviour, FakeRum
from support.otlp import Otlp
from support.primary import Primary
from support.prometheus import HERE, Prometheus

sys.path.append(str(paths.ROOT / "tests" / "tools"))
import links  # noqa: E402

RULES = yaml.safe_load((HERE / "rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
PROMTOOL = sorted((paths.E2E / "promtool").glob("*.yml"))
# At least four scrapes, as Grafana chooses it.
INTERVAL = "10s"


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        [prometheus.program("promtool"), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# ---- rules


@pytest.mark.parametrize("file", PROMTOOL, ids=lambda path: path.stem)
def test_the_alerts_fire_when_they_should_and_only_then(file: Path) -> None:
    promtool("test", "rules", str(file))


def test_each_alert_is_tested_to_fire() -> None:
    fires = {
        case["alertname"]
        for file in PROMTOOL
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert fires == {rule["alert"] for rule in ALERTS}


def test_prometheus_takes_the_files() -> None:
    promtool("check", "config", str(HERE / "prometheus.yml"))
    promtool("check", "rules", str(HERE / "rules.yml"), str(HERE / "names.yml"))


def test_each_runbook_is_there() -> None:
    for rule in ALERTS:
        file, _, fragment = rule["annotations"]["runbook_url"].partition("#")
        document = links.read((paths.ROOT / file).read_text())
        assert fragment in document.anchors, rule["alert"]


def test_the_rules_know_the_limit_of_the_samples() -> None:
    listener = sample.load("tee.yaml")["static_resources"]["listeners"][0]
    assert sample.plugin(listener)["limits"]["max_pending_bytes"] == prometheus.SAMPLES_LIMIT
    assert str(prometheus.SAMPLES_LIMIT) in (HERE / "rules.yml").read_text()


# ---- stats_tags


def bootstraps() -> list[Path]:
    files = [path for path in sample.SAMPLES.rglob("*.yaml") if path.parent.name != "observability"]
    return [path for path in files if re.search(r"^admin:", path.read_text(), re.M)]


def test_every_bootstrap_has_the_same_tags() -> None:
    files = bootstraps()
    assert len(files) >= 10
    wanted = sample.load("tee.yaml")["stats_config"]
    for path in files:
        assert yaml.safe_load(path.read_text()).get("stats_config") == wanted, path
    patches = [
        patch
        for document in yaml.safe_load_all((sample.SAMPLES / "deploy/envoy-gateway/mirror.yaml").read_text())
        if document["kind"] == "EnvoyProxy"
        for patch in document["spec"]["bootstrap"]["jsonPatches"]
    ]
    assert [patch["value"] for patch in patches if patch["path"] == "/stats_config"] == [wanted]


# ---- a real Prometheus


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seen.Seen]:
    with ExitStack() as stack:
        found = seen.Seen(tmp_path_factory.mktemp("seen"), stack)
        found.run(4.0)
        yield found


def types(envoy: Envoy) -> dict[str, str]:
    """The module's metrics in Envoy's text for Prometheus, and their kinds."""
    text = envoy.admin("/stats/prometheus")
    return {name: kind for name, kind in re.findall(r"^# TYPE (sentry_edge_mirror_\w+) (\w+)$", text, re.MULTILINE)}


def test_names_at_stats_stay_and_labels_are_in_prometheus(world: seen.Seen) -> None:
    names = world.edge.metrics()
    assert {"rum.captured", "rum.skipped.route", "sls.captured", "sls.skipped.loop"} <= set(names)
    assert {"sign.received", "sign.denied.forbidden", "sign.answered.2xx"} <= set(world.sign.metrics())
    found = types(world.edge)
    assert found["sentry_edge_mirror_captured"] == "counter"
    assert not [name for name in found if re.match(r"sentry_edge_mirror_(rum|sls|sign)_", name)]
    text = world.edge.admin("/stats/prometheus") + world.sign.admin("/stats/prometheus")
    for line in (
        'sentry_edge_mirror_skipped{leg="rum",reason="too_large"} ',
        'sentry_edge_mirror_denied{leg="sign",reason="forbidden"} ',
        'sentry_edge_mirror_answered{leg="sign",class="2xx"} ',
    ):
        assert line in text, [each for each in text.splitlines() if each.startswith(line[:26])]


def test_counters_end_in_total_and_gauges_do_not(world: seen.Seen) -> None:
    kinds = types(world.edge) | types(world.sign)
    stored = set(world.prometheus.api("label/__name__/values"))
    wanted = {
        "counter": lambda name: {f"{name}_total"},
        "gauge": lambda name: {name},
        "histogram": lambda name: {
            name.replace("latency_ms", "latency_milliseconds") + end for end in ("_bucket", "_sum", "_count")
        },
    }
    expected = {each for name, kind in kinds.items() for each in wanted[kind](name)}
    assert len(kinds) > 25
    found = {name for name in stored if name.startswith("sentry_edge_mirror_")}
    assert found == expected


def series(found: Prometheus, instance: int) -> Iterator[str]:
    """The module's series of an Envoy, without the recorded ones, of buckets only the last."""
    for each in found.query(f'{{__name__=~"sentry_edge_mirror_.+", leg!="", instance="127.0.0.1:{instance}", le=~"|\\\\+Inf"}}'):
        labels = json.loads(each)
        labels.pop("instance")
        yield prometheus.key(labels)


def test_without_tags_the_same_names_come_out(world: seen.Seen, tmp_path: Path) -> None:
    """Where `stats_tags` cannot be set: by the relabelling, and, where nothing can be renamed, by names.yml."""
    with replay.Client(world.plain.port) as client:
        for number in range(5):
            assert client.request("/api/1/envelope/", seen.envelope(number)).by_primary
    for leg in ("rum", "sls"):
        settled(world.plain, leg=leg, pending=0, captured=5)
    assert not [name for name in types(world.plain) if name == "sentry_edge_mirror_captured"]
    wanted = set(series(world.prometheus, world.edge.admin_port))
    ports = [world.plain.admin_port]
    with Prometheus(tmp_path / "renamed", ports) as renamed:
        wait.until("the same series", lambda: set(series(renamed, ports[0])) == wanted, 30, 0.5)
    with Prometheus(tmp_path / "named", ports, files=("names.yml", "rules.yml"), renamed=False) as named:
        wait.until("the same series", lambda: wanted <= set(series(named, ports[0])), 30, 0.5)


PANELS = list(dashboard.panels())
# What the traffic and the faults make of each: where something has to be seen, not only a line at 0.
QUIET = {
    "Answers to calls given up",
    "Envelopes that wait to be read, SLS",
}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_every_query_of_the_dashboard_has_data(panel: dashboard.Panel, world: seen.Seen) -> None:
    highest = 0.0
    for expression, _ in panel.queries:
        found = world.prometheus.query_range(
            dashboard.filled(expression, INTERVAL), world.began, world.ended, 1.0
        )
        points = [value for values in found.values() for _, value in values]
        assert len(points) > 5, expression
        highest = max(highest, *points)
    assert highest > 0 or panel.title in QUIET, panel.queries


def test_what_can_be_chosen_is_there(world: seen.Seen) -> None:
    for variable in dashboard.load()["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            found = world.prometheus.api("series", **{"match[]": dashboard.filled(selector, INTERVAL)})
            assert {each[label] for each in found}, variable["name"]


def test_the_rules_are_computed(world: seen.Seen) -> None:
    groups = world.prometheus.api("rules")["groups"]
    states = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert set(states.values()) == {"ok"}, states
    edge = f'instance="127.0.0.1:{world.edge.admin_port}"'
    budgets = world.prometheus.query(f"sentry_edge_mirror:budget_bytes{{{edge}}}")
    assert set(budgets.values()) == {seen.LIMIT * seen.WORKERS / 2} and len(budgets) == 2
    (ingest,) = world.prometheus.query(f'sentry_edge_mirror:ingest_requests:rate5m{{{edge}, count="envelopes"}}').values()
    (decided,) = world.prometheus.query(f"sentry_edge_mirror:decided:rate5m{{{edge}}}").values()
    assert 0 < ingest <= decided * 1.02
    lost = world.prometheus.query(f'sentry_edge_mirror:lost:ratio_rate5m{{{edge}, leg="rum"}}')
    assert 0.01 < max(lost.values()) < 1
    firing = {json.loads(each)["alertname"] for each in world.prometheus.query("ALERTS")}
    assert "SentryEdgeMirrorLoss" in firing and "SentryEdgeMirrorOff" not in firing


# ---- OTLP


def test_otlp_has_the_same_names_and_labels(tmp_path: Path, primary: Primary, rum: FakeRum) -> None:
    """envoy/observability/otlp.yaml, laid over a sample as it says."""
    receiver = Otlp()
    try:
        overlay = yaml.safe_load((HERE / "otlp.yaml").read_text())
        sample.address(sample.cluster(overlay, "otlp"))["port_value"] = receiver.port
        overlay["stats_flush_interval"] = "0.5s"
        arguments = ("--config-yaml", yaml.safe_dump(overlay))
        with Envoy(tmp_path, primary.port, rum.port, args=arguments) as envoy:
            prefix = "wasmcustom.sentry_edge_mirror."
            leg = ("leg", "rum")
            # So long that the gauge is not 0 at some push: Envoy pushes no gauge that never was anything else.
            rum.behave = Behaviour(seconds=3.0)
            with replay.Client(envoy.port) as client:
                for _ in range(3):
                    assert client.request("/api/1/envelope/", b"{}").by_primary
                assert client.request("/api/1/store/", b"{}").by_primary
            wait.until("the gauge by OTLP", lambda: receiver.values.get((f"{prefix}pending", (leg,))) == 3, 20, 0.05)
            rum.wait(3)
            wanted = {
                (f"{prefix}captured", (leg,)): 3,
                (f"{prefix}delivered", (leg,)): 3,
                (f"{prefix}pending", (leg,)): 0,
                (f"{prefix}skipped", (leg, ("reason", "route"))): 1,
            }
            wait.until("the module's metrics by OTLP", lambda: wanted.items() <= receiver.values.items(), 20, 0.1)
    finally:
        receiver.close()
    assert receiver.violations == []
    assert {f"{prefix}captured", f"{prefix}skipped"} <= receiver.counters
    assert f"{prefix}pending" not in receiver.counters
    rum.taken.clear()  # three empty ones, counted above
