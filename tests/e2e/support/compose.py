"""The Compose files of envoy/self-hosted/, laid over each other and filled in as Docker Compose does it."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import podman_compose
import yaml
from jsonschema.validators import validator_for

from . import paths

KIT = paths.ROOT / "envoy" / "self-hosted"
# What the files lean on: the names in Sentry's own file, as far as ours name them.
SENTRY = {
    "services": {
        "nginx": {
            "image": "nginx",
            "ports": ["$SENTRY_BIND:80/tcp"],
            "volumes": [{"type": "bind", "source": "./nginx.conf", "target": "/etc/nginx/nginx.conf"}],
        }
    }
}


def load(path: Path) -> dict[str, Any]:
    """With Compose's own tags (`!reset`), which the library's loader knows."""
    return yaml.safe_load(path.read_text())


def schema_problems(document: dict[str, Any]) -> list[str]:
    """What the Compose specification's schema says against a file."""
    spec = find_spec("check_jsonschema")
    assert spec is not None and spec.origin is not None
    file = Path(spec.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(file.read_text())
    problems = validator_for(schema)(schema).iter_errors(_plain(document))
    return [f"{problem.json_path}: {problem.message[:300]}" for problem in problems]


def _plain(node: Any) -> Any:
    """Without the tagged values: they stand for nothing that a schema could know."""
    if isinstance(node, dict):
        tags = (podman_compose.ResetTag, podman_compose.OverrideTag)
        return {key: _plain(value) for key, value in node.items() if not isinstance(value, tags)}
    return node


def environment(text: str) -> dict[str, str]:
    """A file like .env."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def project(names: list[str], variables: dict[str, str]) -> dict[str, Any]:
    """`docker compose config` for Sentry's file and these of ours: the services."""
    files = [SENTRY, *(load(KIT / name) for name in names)]
    filled = [podman_compose.rec_subs(file, variables) for file in files]
    merged: dict[str, Any] = podman_compose.rec_merge({}, *filled)
    return merged["services"]


def mounted(service: dict[str, Any], target: str) -> Path:
    """The file of the kit that a service sees at a path; of two for one path the later one, as in Compose."""
    sources = [volume["source"] for volume in service["volumes"] if volume["target"] == target]
    assert sources, f"nothing is mounted at {target}"
    return KIT / Path(sources[-1]).relative_to("edge")
