"""Draws what run.py found: draw.py DATA.json FOLDER. With matplotlib, and nothing of the suite's own environment."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.ticker import EngFormatter, FuncFormatter, PercentFormatter  # noqa: E402

COLUMNS = 2
MANY = 6
UNITS = {
    "reqps": FuncFormatter(lambda value, _: f"{value:g}/s"),
    "cps": FuncFormatter(lambda value, _: f"{value:g}/s"),
    "percentunit": PercentFormatter(1.0),
    "bytes": EngFormatter("B"),
    "Bps": EngFormatter("B/s"),
    "ms": FuncFormatter(lambda value, _: f"{value:g} ms"),
    "short": FuncFormatter(lambda value, _: f"{value:g}"),
}


def panel(axes: Axes, found: dict[str, Any], faults: list, seconds: float, names: bool) -> None:
    axes.set_title(found["title"], loc="left", fontsize=10, pad=22 if names else 6)
    lines = [line for line in found["lines"] if line["points"]]
    # Of many lines those that are more than 0.
    if found["stacked"] or len(lines) > MANY:
        lines = [line for line in lines if any(value for _, value in line["points"])] or lines[:1]
    if found["stacked"]:
        times = sorted({at for line in lines for at, _ in line["points"]})
        values = [[dict(map(tuple, line["points"])).get(at, 0.0) for at in times] for line in lines]
        axes.stackplot(times, values, labels=[line["name"] for line in lines], alpha=0.6)
    else:
        for number, line in enumerate(lines):
            # Later lines are thinner: what lies on another is seen.
            axes.plot(*zip(*line["points"], strict=True), label=line["name"], linewidth=max(0.8, 2.2 - 0.5 * number))
    if found["limit"] is not None:
        axes.axhline(found["limit"], color="tab:red", linewidth=0.8, linestyle="--")
    for number, (what, begin, end) in enumerate(faults):
        axes.axvspan(begin, end, color="0.5", alpha=0.15, linewidth=0)
        if names:
            # In turn on two lines: neighbours do not meet.
            place = ((begin + end) / 2, 1.01 + 0.07 * (number % 2))
            axes.annotate(what, place, xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=6)
    axes.set_xlim(0, seconds)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(UNITS[found["unit"]])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=5, frameon=False)


def main() -> int:
    data, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    rows: dict[str, list] = {}
    for found in data["panels"]:
        rows.setdefault(found["row"], []).append(found)
    for number, (row, panels) in enumerate(rows.items(), 1):
        height = -(-len(panels) // COLUMNS)
        figure, grid = plt.subplots(height, COLUMNS, figsize=(12, 2.9 * height), squeeze=False, layout="constrained")
        for place, axes in enumerate(grid.flat):
            if place < len(panels):
                panel(axes, panels[place], data["faults"], data["seconds"], place < COLUMNS)
            else:
                axes.set_visible(False)
        figure.suptitle(row, fontsize=12, x=0.01, ha="left")
        name = re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")
        # Without the date and the library's version: the same data are the same bytes.
        figure.savefig(folder / f"{number}-{name}.png", dpi=90, metadata={"Software": None})
        plt.close(figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
