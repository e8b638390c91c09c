"""The panels of the dashboard, as pictures, of a real Envoy under load with faults: `make pictures`.

    .tools/venv/bin/python tests/e2e/pictures/run.py [--seconds N]

It asks a real Prometheus what Grafana would ask, and has draw.py draw it (which needs matplotlib, in an environment of its
own: tests/tools/setup.sh pictures). One picture for each row of the dashboard, into envoy/observability/pictures.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from support import dashboard, paths, wait  # noqa: E402
from support.seen import Seen  # noqa: E402

PICTURES = paths.ROOT / "envoy" / "observability" / "pictures"
INTERVAL = "10s"
STEP = 1.0


def panel(world: Seen, found: dashboard.Panel) -> dict[str, Any]:
    """What a panel shows of the run."""
    lines = []
    for expression, form in found.queries:
        asked = dashboard.filled(expression, INTERVAL)
        answer = world.prometheus.query_range(asked, world.began, world.ended, STEP)
        assert answer, f"{found.title}: no data for {asked}"
        for labels, points in sorted(answer.items()):
            name = dashboard.legend(form, json.loads(labels))
            lines.append({"name": name, "points": [(at - world.began, value) for at, value in points]})
    return {
        "row": found.row,
        "title": found.title,
        "unit": found.unit,
        "stacked": found.stacked,
        "limit": found.limit,
        "lines": lines,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each fault lasts (20)")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="pictures.") as directory, ExitStack() as stack:
        world = Seen(Path(directory), stack)
        print(f"  pictures: load with faults, about {7.5 * seconds:.0f} s", flush=True)
        world.run(seconds)
        last = f"timestamp(sentry_edge_mirror_captured_total) >= {world.ended:.0f}"
        wait.until("the last scrape", lambda: world.prometheus.query(last), 30, 0.2)
        data = {
            "seconds": world.ended - world.began,
            "faults": [(what, begin - world.began, end - world.began) for what, begin, end in world.faults],
            "panels": [panel(world, each) for each in dashboard.panels()],
        }
        file = Path(directory) / "data.json"
        file.write_text(json.dumps(data))
        began = time.monotonic()
        python = paths.program(paths.TOOLS / "pictures" / "bin" / "python")
        subprocess.run([python, str(HERE / "draw.py"), str(file), str(PICTURES)], check=True)
        print(f"  pictures: drawn in {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
