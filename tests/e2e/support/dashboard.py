"""Reads envoy/observability/dashboard.json as Grafana would: panels, queries with their variables filled in, legends."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import paths

FILE = paths.ROOT / "envoy" / "observability" / "dashboard.json"


@dataclass
class Panel:
    """What is drawn in one place."""

    title: str
    row: str
    unit: str
    stacked: bool
    limit: float | None
    queries: list[tuple[str, str]] = field(default_factory=list)  # expression, legend


def load() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def panels() -> Iterator[Panel]:
    row = ""
    for panel in load()["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        defaults = panel["fieldConfig"]["defaults"]
        steps = defaults.get("thresholds", {}).get("steps", [{}])
        yield Panel(
            panel["title"],
            row,
            defaults["unit"],
            defaults["custom"]["stacking"]["mode"] == "normal",
            steps[-1].get("value"),
            [(target["expr"], target["legendFormat"]) for target in panel["targets"]],
        )


def filled(expression: str, interval: str) -> str:
    """With everything chosen that can be chosen."""
    for name, value in {"__rate_interval": interval, "job": ".*", "instance": ".*"}.items():
        expression = re.sub(rf"\${name}\b", value, expression)
    assert "$" not in expression, expression
    return expression


def legend(form: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), form)
