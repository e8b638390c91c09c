"""What Envoy holds in memory before the first request, and where it is: `make idle`.

Run with the Python of the project's venv: .tools/venv/bin/python benches/idle/run.py

Each row is an Envoy of its own with `envoy/tee-sls.yaml`, five times in turn with the others, read some seconds after it was
ready: the resident memory from the kernel (`smaps_rollup`), Envoy's heap from `/memory`. Medians. The parts are above Envoy
without the module with as many workers:

* used: what Envoy's allocator has given out
* free: what it keeps for later, mostly what compiling the module took
* V8: private memory that is not the allocator's: machine code and the workers' linear memories
* files: pages of the binary that are used now, and were not before
"""

import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "e2e")]

from support import documents, results, sample  # noqa: E402
from support.envoy import Envoy  # noqa: E402

ROUNDS = 5
# The compiler is through, and the allocator was asked to give back a few times.
SECONDS = 6.0
MIB = 1 << 20
MANAGER = documents.configuration("envoy/sizing.md", "memory_allocator_manager:")
PAGE = """# Memory before the first request

`make idle` wrote this; benches/idle/run.py says how it is measured. MiB, `envoy/tee-sls.yaml`. The parts are above Envoy without
the module.

{heading}

{table}
"""


@dataclass(frozen=True)
class Contender:
    """An Envoy."""

    title: str
    workers: int
    mirror: bool
    manager: bool = False


CONTENDERS = [
    Contender("without the module", 1, mirror=False),
    Contender("mode tee", 1, mirror=True),
    Contender("mode tee, `memory_allocator_manager`", 1, mirror=True, manager=True),
    Contender("without the module, 4 workers", 4, mirror=False),
    Contender("mode tee, 4 workers", 4, mirror=True),
    Contender("mode tee, 4 workers, `memory_allocator_manager`", 4, mirror=True, manager=True),
]


@dataclass
class Memory:
    """In bytes."""

    resident: int
    used: int
    free: int
    outside: int
    files: int


def measure(contender: Contender, directory: Path) -> Memory:
    """Starts it, waits, reads."""

    def edit(bootstrap: sample.Yaml) -> None:
        if contender.manager:
            bootstrap.update(MANAGER)

    with Envoy(
        directory,
        9,
        9,
        name="tee-sls.yaml",
        with_mirror=contender.mirror,
        concurrency=contender.workers,
        edit=edit,
        environment={"SLS_ACCESS_KEY_ID": "id", "SLS_ACCESS_KEY_SECRET": "secret"},
    ) as envoy:
        time.sleep(SECONDS)
        kernel = rollup(envoy.process.pid)
        heap = {key: int(value) for key, value in json.loads(envoy.admin("/memory")).items()}
    private, physical, used = kernel["Pss_Anon"], heap["total_physical_bytes"], heap["allocated"]
    return Memory(kernel["Rss"], used, physical - used, private - physical, kernel["Rss"] - private)


def rollup(pid: int) -> dict[str, int]:
    """The kernel's sums over all mappings."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    pairs = (line.split(":") for line in lines)
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def median(rows: list[Memory]) -> Memory:
    """Of each part by itself."""
    return Memory(*(int(statistics.median(getattr(row, name) for row in rows)) for name in Memory.__annotations__))


def cells(contender: Contender, found: dict[Contender, Memory]) -> list[str]:
    """A line of the table."""
    own = found[contender]
    plain = found[next(other for other in CONTENDERS if not other.mirror and other.workers == contender.workers)]
    if not contender.mirror:
        return [contender.title, shown(own.resident), *[""] * 5]
    parts = [getattr(own, name) - getattr(plain, name) for name in Memory.__annotations__]
    return [contender.title, shown(own.resident), *map(shown, parts)]


def shown(size: int) -> str:
    return f"{size / MIB:.0f}"


def main() -> int:
    before = results.load()
    rows: dict[Contender, list[Memory]] = {contender: [] for contender in CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="idle-") as directory:
        for number in range(ROUNDS):
            for place, contender in enumerate(CONTENDERS):
                rows[contender].append(measure(contender, Path(directory) / f"{number}-{place}"))
    found = {contender: median(several) for contender, several in rows.items()}
    head = ["Envoy", "resident", "above it", "used", "free", "V8", "files"]
    table = results.table(head, [cells(contender, found) for contender in CONTENDERS])
    print(table)
    (HERE / "results.md").write_text(PAGE.format(heading=results.heading(before, counted=True), table=table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
