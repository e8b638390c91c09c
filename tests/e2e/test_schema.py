"""The JSON Schema of the plugin configuration says what `check` says, as far as a schema can."""

import copy
import json
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
import yaml

from support import paths, sample

FOLDER = sample.SAMPLES / "schema"
SCHEMA: dict[str, Any] = json.loads((FOLDER / "plugin.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
LITERAL = {"access_key_id": "${KEY_ID}", "access_key_secret": "${KEY_SECRET}", "security_token": "${TOKEN:-}"}
SLS = {
    "upstream": "sls", "scheme": "https", "endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "my-project", "logstore": "sentry",
    "topic": "t", "source": "s", "signature": "v4", "region": "cn-hangzhou", "credential": LITERAL, "compression": "lz4",
    "batch": {"max_bytes": 1024, "max_logs": 10, "linger_ms": 100}, "payload": True, "spans": False, "max_item_bytes": 8192,
    "scrub": True, "scrub_keys": ["iban"], "client_ip": "none", "timeout_ms": 100,
    "retry": {"max_attempts": 3, "initial_backoff_ms": 5, "max_backoff_ms": 50, "max_age_ms": 500},
}  # fmt: skip
PLACE = {"workspace": "w", "service_id": "s@1"}
DSN = "https://0123456789abcdef@second.example.com/sentry/7"
BASES: list[dict[str, Any]] = [
    {
        "host": "envoy", "mode": "tee", "fast_ack": False,
        "rum": {
            "enabled": True, "upstream": "rum", "authority": "rum.example.com:8443", "scheme": "https", "default": PLACE,
            "projects": {"1": {**PLACE, "upstream": "own", "authority": "own.example.com", "sample": "${X:-1}", "items": {"not": ["attachment"]}, "rate": {"copies_per_s": 1}}, "0042": PLACE},
            "exclude": [7, "8"], "routes": "envelope", "timeout_ms": 5000, "client_ip": "truncated", "rate": {"copies_per_s": 5, "bytes_per_s": 1000},
            "sample": 0.5, "items": ["event", "log"], "scrub": True, "scrub_keys": ["iban"], "only_accepted": True,
        },
        "sls": SLS,
        "sentry": {
            "saas": {
                "enabled": True, "upstream": "second", "authority": "second.example.com:8443", "scheme": "https", "default": "https://k@h.example.com/7",
                "projects": {"1": DSN, "0042": {"dsn": DSN, "client_ip": "none", "rate": {"copies_per_s": 1}, "sample": 0.5, "items": ["event"], "scrub": True, "only_accepted": False}},
                "exclude": [7, "8"], "routes": "all", "timeout_ms": 5000, "limits": {"max_pending_bytes": 1000, "max_in_flight": 2}, "client_ip": "truncated",
                "rate": {"bytes_per_s": 1000}, "sample": "${X:-1}", "items": {"not": ["attachment"]}, "scrub": True, "scrub_keys": ["iban"], "only_accepted": True,
            },
            "Off": {"enabled": False, "whatever": 1},
        },
        "limits": {"max_body_bytes": 1000, "max_decoded_bytes": 1000, "max_pending_bytes": 100000, "max_in_flight": 8},
        "retry": {"max_attempts": 3, "initial_backoff_ms": 5, "max_backoff_ms": 50, "max_age_ms": 500, "ambiguous": False},
    },
    {"host": "nginx", "lanes": 4, "rum": {"upstream": "rum.example.com:443", "authority": "rum.example.com", "projects": "1=w/s,2=w/t"}},
    {"host": "nginx", "lane": 3},
    {"sentry": {"a": {"upstream": "second", "default": DSN}, "b_2": {"upstream": "second", "projects": {"1": "https://${X}@h.example.com/7"}, "default": "none"}}},
    {"mode": "rewrite", "fast_ack": "${ACK:-true}", "rum": {"upstream": "rum", "authority": "${HOST:-a}", "default": PLACE, "timeout_ms": "${MS:-100}"}},
    {"rum": {"enabled": "${RUM:-false}", "whatever": 1}, "sls": {**SLS, "credential": {"ecs_ram_role": {"role": "r", "upstream": "m"}}}},
    {
        "mode": "sign", "sign": {"logstores": ["app", "other-app"]},
        "sls": {key: SLS[key] for key in ("endpoint", "project", "signature", "region", "credential")},
        "limits": {"max_body_bytes": 1000, "max_pending_bytes": 1000000},
    },
]  # fmt: skip
# Of everything that somebody might write: types, edges, words of other keys, references.
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 1.5, 8192, 10**6, 10**12, "", "x", "a b", "1", "${X}", "${X:-1}", "${X:-true}", "${", "${}", "${1x}", "tee",
    "sign", "rewrite", "nginx", "envoy", "https", "v1", "v4", "all", "none", "rum.example.com", "rum.example.com:80", "a/b", "..", "UPPER",
    "host", [], ["x"], [1], [0], [True], {}, {"a": 1}, PLACE, LITERAL,
    DSN, {"dsn": DSN}, "https://second.example.com/7", {"second": {"upstream": "second", "default": DSN}},
]  # fmt: skip
KEYS = ["zz", "host", "mode", "lane", "rum", "sls", "sentry", "sign", "limits", "retry", "upstream", "workspace", "dsn", "default", "ambiguous", "max_body_bytes", "enabled"]


def check(directory: Path, configurations: list[Any]) -> list[str]:
    """What `check` finds wrong with each, one after the other; empty for a valid one."""
    directory.mkdir(exist_ok=True)
    names = []
    for number, configuration in enumerate(configurations):
        (directory / f"{number}.json").write_text(json.dumps(configuration))
        names.append(f"{number}.json")
    variables = ["--env=X=1", "--env=KEY_ID=k", "--env=KEY_SECRET=s"]
    command = [paths.command(), "check", "--quiet", *variables, *names]
    ran = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode in (0, 1), ran.stderr
    found = [""] * len(configurations)
    for line in ran.stdout.splitlines():
        match = re.match(r"(\d+)\.json:\d+: (.*)", line)
        if match:
            found[int(match[1])] += match[2] + "\n"
    return found


def places(node: Any, path: tuple = ()) -> list[tuple]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def at(node: Any, path: tuple) -> Any:
    for key in path:
        node = node[key]
    return node


def mutated(chance: random.Random) -> Any:
    configuration = copy.deepcopy(chance.choice(BASES))
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        path = chance.choice(places(configuration))
        node = at(configuration, path)
        if isinstance(node, dict) and chance.random() < 0.5:
            node[chance.choice(KEYS)] = copy.deepcopy(chance.choice(VALUES))
        elif path and chance.random() < 0.3 and isinstance(at(configuration, path[:-1]), dict):
            del at(configuration, path[:-1])[path[-1]]
        elif path:
            at(configuration, path[:-1])[path[-1]] = copy.deepcopy(chance.choice(VALUES))
    return configuration


def test_it_is_a_schema_and_the_command_prints_it() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    printed = subprocess.run([paths.command(), "schema"], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(printed.stdout) == SCHEMA


def test_what_check_takes_the_schema_takes(tmp_path: Path) -> None:
    """And so what the schema refuses check refuses."""
    chance = random.Random(14)
    configurations = BASES + [mutated(chance) for _ in range(4000)]
    taken = 0
    for configuration, problems in zip(configurations, check(tmp_path / "all", configurations), strict=True):
        if not problems:
            taken += 1
            error = jsonschema.exceptions.best_match(VALIDATOR.iter_errors(configuration))
            assert error is None, (configuration, error and (list(error.absolute_path), error.message))
    assert taken > 300, taken


def test_what_check_refuses_for_a_key_a_type_or_a_range_the_schema_refuses(tmp_path: Path) -> None:
    """What belongs together, and what only the host decides, is beyond a schema; a value by itself is not."""
    simple = re.compile(r"unknown key|expected (an integer from|true or false|one of|an object|a list|a string)|required, got nothing")
    chance = random.Random(15)
    configurations = [mutated(chance) for _ in range(4000)]
    refused = 0
    for configuration, problems in zip(configurations, check(tmp_path / "all", configurations), strict=True):
        text = json.dumps(configuration)
        # A reference may become anything, and a mode that is none decides what the rest means.
        if simple.search(problems) and "${X" not in text and "mode: " not in problems:
            refused += 1
            assert not VALIDATOR.is_valid(configuration), (configuration, problems)
    assert refused > 300, refused


@pytest.mark.parametrize("number", range(len(BASES)))
def test_each_object_has_the_keys_that_check_names(number: int, tmp_path: Path) -> None:
    """A key that the module learns must come into the schema, too."""
    base = BASES[number]
    objects = [path for path in places(base) if isinstance(at(base, path), dict) and path[-1:] != ("projects",)]
    configurations = []
    for path in objects:
        configuration = copy.deepcopy(base)
        at(configuration, path)["zz"] = 1
        configurations.append(configuration)
    for path, configuration, problems in zip(objects, configurations, check(tmp_path / "keys", configurations), strict=True):
        named = re.search(r"unknown key \(expected one of ([^)]*)\)", problems)
        keys = named[1].split(", ") if named else []
        if base.get("mode") == "sign" and path == ("limits",):
            # `check` names them, and then says that the mode has no use for them.
            keys = [key for key in keys if key not in ("max_decoded_bytes", "max_in_flight")]
        for key in keys:
            trial = copy.deepcopy(configuration)
            del at(trial, path)["zz"]
            at(trial, path)[key] = "\x00"
            unknown = [error for error in VALIDATOR.iter_errors(trial) if error.validator == "additionalProperties" and f"'{key}'" in error.message]
            assert not unknown, (path, key)


def envoy_validator() -> jsonschema.Draft7Validator:
    resources = [("plugin.json", referencing.Resource(SCHEMA, referencing.jsonschema.DRAFT7))]
    registry = referencing.Registry().with_resources(resources)
    return jsonschema.Draft7Validator(json.loads((FOLDER / "envoy.json").read_text()), registry=registry)


def with_modeline() -> list[Path]:
    return [path for path in sorted(sample.SAMPLES.rglob("*.yaml")) if "yaml-language-server" in path.read_text()]


@pytest.mark.parametrize("path", with_modeline(), ids=lambda path: str(path.relative_to(sample.SAMPLES)))
def test_the_modeline_of_a_sample_leads_to_a_schema_that_takes_it(path: Path) -> None:
    modeline = re.search(r"^# yaml-language-server: \$schema=(\S+)$", path.read_text(), re.MULTILINE)
    assert modeline and (path.parent / modeline[1]).resolve() == FOLDER / "envoy.json"
    document = yaml.safe_load(path.read_text())
    validator = envoy_validator()
    assert validator.is_valid(document)
    spoilt = yaml.safe_load(re.sub(r"(?m)^(\s+)(rum|sls|sentry):$", r"\1\2:\n\1  zz: 1", path.read_text(), count=1))
    assert not validator.is_valid(spoilt)


def test_the_samples_have_modelines() -> None:
    assert {"tee.yaml", "tee-sls.yaml", "tee-tls.yaml", "tee-second-sentry.yaml", "sign.yaml", "mirror-target.yaml", "edge.yaml"} <= {path.name for path in with_modeline()}


def test_the_hook_of_pre_commit_runs_check() -> None:
    (hook,) = yaml.safe_load((paths.ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["language"], hook["id"]) == ("rust", "sentry-edge-mirror-check")
    program, *arguments = hook["entry"].split()
    assert program == Path(paths.command()).name
    assert re.search(hook["files"], "deploy/sentry-edge-mirror.yaml") and not re.search(hook["files"], "deploy/envoy.txt")
    for file, status in (("envoy/tee.yaml", 0), ("tests/cli/fixtures/check/bad.yaml", 1)):
        ran = subprocess.run([paths.command(), *arguments, file], cwd=paths.ROOT, capture_output=True, timeout=30, check=False)
        assert ran.returncode == status, ran
