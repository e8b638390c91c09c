"""How long a client waits while another one's hostile body is read: `make pause`. Not a part of `make check`.

Run with the Python of the project's venv: .tools/venv/bin/python benches/pause/run.py [--quick] [--only PIECE]

Real Envoy with one worker and envoy/tee-sls.yaml. A second client, a process of its own, asks the worker every millisecond for
something that Envoy answers itself. Each body of tests/hostile is sent alone and four at once; measured is the second client's
longest wait until nothing more comes of the bodies: the median of three maxima. Beside it the same with a harmless body (an
attachment) of the same size class, on the wire and decoded; and the harmless one beside nothing at all. Each may be 50 ms more.

Exit status 1 when one is not. Results are written to benches/pause/results.md after a whole run; it says there when the
machine was not quiet.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "e2e"), str(HERE)]

import hostile  # noqa: E402
from hostile import BODIES, MIB, Body  # noqa: E402
from support import results  # noqa: E402
from world import MOST_SECONDS, Edge, Targets, settle  # noqa: E402

MORE_SECONDS = 0.050
# So many at once.
COUNTS = (1, 4)
ROUNDS = 3
# How long nothing is sent, for what a wait is then.
NOTHING_SECONDS = 3.0
QUIET_SECONDS = 180.0


@dataclass
class Measured:
    """A body's longest waits by how many there were, each the median of the rounds; infinite when it ended the service."""

    body: Body
    waits: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0  # of the longest round
    grown: int = 0
    trapped: bool = False


def measure(directory: Path, targets: Targets, body: Body, counts: tuple[int, ...], rounds: int) -> Measured:
    """One body, with an Envoy of its own."""
    found = Measured(body)
    with Edge(directory, targets) as edge:
        for count in counts:
            waits = []
            try:
                for _ in range(rounds):
                    wait, took = edge.send(body, count)
                    waits.append(wait)
                    found.seconds = max(found.seconds, took)
            except (RuntimeError, OSError, AssertionError) as error:
                print(f"    {body.name}: {str(error)[:200]}", file=sys.stderr)
                found.waits[count] = float("inf")
                break
            found.waits[count] = statistics.median(waits)
        if edge.envoy.process.poll() is None:
            found.grown = edge.grown()
        found.trapped = edge.trapped()
    settle(targets)
    return found


def reference(body: Body) -> Body:
    """The harmless body to compare with: sizes are rounded up to powers of two, and no decoder makes more than its limit."""
    wire = _class(len(body.wire()))
    decoded = min(32 * MIB, _class(body.decoded)) if body.coding else 0
    return hostile.harmless(min(wire, 19 * MIB // 2), decoded)


def _class(size: int) -> int:
    return 1 << max(10, (size - 1).bit_length())


@dataclass
class Row:
    """A body and what it is judged by."""

    found: Measured
    limits: dict[int, float]

    @property
    def problems(self) -> list[str]:
        over = [
            f"{self.found.body.name}, {count} at once: {_ms(wait)}, at most {_ms(self.limits[count])}"
            for count, wait in self.found.waits.items()
            if wait > self.limits[count]
        ]
        return over + [f"{self.found.body.name}: the module trapped"] * self.found.trapped

    def cells(self) -> list[str]:
        found = self.found
        cells = [found.body.name, found.body.coding or "-", f"{len(found.body.wire()):,}".replace(",", " ")]
        for count, limit in self.limits.items():
            cells += [_ms(found.waits.get(count, float("inf"))), _ms(limit)]
        over = f"over {MOST_SECONDS:.0f}" if found.seconds > MOST_SECONDS else f"{found.seconds:.1f}"
        return [*cells, over, f"{found.grown / MIB:.0f}", "no" if self.problems else "yes"]


def _ms(seconds: float) -> str:
    return "not served" if seconds == float("inf") else f"{seconds * 1000:.1f}"


def head(counts: tuple[int, ...]) -> list[str]:
    words = {1: "alone", 4: "four"}
    waits = [cell for count in counts for cell in (f"{words[count]}, ms", "at most")]
    return ["body", "encoding", "bytes", *waits, "done after, s", "memory, MiB", "kept"]


def rows(directory: Path, bodies: list[Body], counts: tuple[int, ...], rounds: int) -> Iterator[Row]:
    targets = Targets()
    numbers = iter(range(1 << 20))

    def next_one(body: Body) -> Measured:
        return measure(directory / str(next(numbers)), targets, body, counts, rounds)

    with contextlib.closing(targets):
        with Edge(directory / "nothing", targets) as edge:
            idle = statistics.median(edge.nothing(NOTHING_SECONDS) for _ in range(rounds))
        settle(targets)
        known: dict[str, Measured] = {}
        for body in bodies:
            other = reference(body)
            if other.name not in known:
                known[other.name] = next_one(other)
                yield Row(known[other.name], dict.fromkeys(counts, idle + MORE_SECONDS))
            limits = {count: wait + MORE_SECONDS for count, wait in known[other.name].waits.items()}
            yield Row(next_one(body), {count: limits.get(count, idle + MORE_SECONDS) for count in counts})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, each body alone; nothing is written")
    parser.add_argument("--only", default="", help="bodies with this in their name (several: a,b); nothing is written")
    options = parser.parse_args()
    pieces = options.only.split(",")
    bodies = [body for body in BODIES.values() if any(piece in body.name for piece in pieces)]
    counts, rounds = (COUNTS[:1], 1) if options.quick else (COUNTS, ROUNDS)
    whole = not options.quick and not options.only
    before = results.wait_quiet(QUIET_SECONDS if whole else 0)
    heading = results.heading(before)
    print(heading, flush=True)
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="pause-") as directory:
        for row in rows(Path(directory), bodies, counts, rounds):
            found.append(row)
            print(" | ".join(row.cells()), flush=True)
    problems = [problem for row in found for problem in row.problems]
    verdict = "\n".join(f"* {text}" for text in problems) or "Every wait is within its bound."
    text = "# What a hostile body makes another client wait\n\n"
    text += "`make pause` wrote this; benches/pause/run.py says how it is measured.\n\n"
    text += f"{heading}\n\n{verdict}\n\n{results.table(head(counts), [row.cells() for row in found])}\n"
    if whole:
        (HERE / "results.md").write_text(text)
    print(f"\n{verdict}")
    return 1 if problems else 0


if __name__ == "__main__":
    # Threads of the fakes must not hold up the end.
    code = main()
    sys.stdout.flush()
    os._exit(code)
