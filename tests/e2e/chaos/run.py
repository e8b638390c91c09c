"""One fault after another, each in a world of its own: what must hold, and the table of what came of it."""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chaos.faults import FAULTS, Fault
from chaos.world import BUDGET, LEGS, MIB, SLACK, WORKERS, Books, Memory, World
from support import wait

AUTHORITY = "rum.example.com"


@dataclass
class Row:
    """What came of one fault."""

    fault: Fault
    requests: int
    books: dict[str, Books]
    median: float  # of the primary's latency, as a ratio to the edge without a mirror
    p99: float
    growth: int
    unanswered: tuple[int, int]  # at the edge with the mirror, and at the one without
    problems: list[str] = field(default_factory=list)

    def cells(self) -> list[str]:
        legs = []
        for book in self.books.values():
            counted = "" if self.fault.ends else f" ({book.failed + book.dropped})"
            legs += [f"{self.requests - book.taken + book.foreign}{counted}", f"{book.doubled}"]
        times = [f"{self.median:.2f}", f"{self.p99:.2f}", f"{self.growth / MIB:.0f}"]
        return [self.fault.title, "no" if self.problems else "yes", f"{self.requests}", *legs, *times]


# Lost: what the target never took of what the primary answered; in brackets what the module counts as failed or dropped.
HEAD = ["fault", "survived", "requests", "RUM lost", "RUM doubled", "SLS lost", "SLS doubled", "latency, median", "p99", "memory, MiB"]


def run(fault: Fault, directory: Path, seconds: float, pause: float = 0.005) -> Row:
    """One fault from the beginning to the end of all its consequences. `pause`: of each client after a request."""
    world = World(directory, AUTHORITY, pause=pause)
    try:
        _warm(world)
        memory = Memory(world.edge)
        fault.do(world, fault.legs, fault.seconds or seconds)
        if fault.ends:
            world.crowd.stop()
            metrics: dict[str, int] = {}
        else:
            _warm(world)
            world.crowd.stop()
            metrics = world.quiet(60)
        growth = memory.stop()
        books = world.books(metrics)
        mirrored, plain = world.crowd.mirrored, world.crowd.plain
        row = Row(
            fault,
            len(mirrored.answered),
            books,
            mirrored.percentile(0.5) / plain.percentile(0.5),
            mirrored.percentile(0.99) / plain.percentile(0.99),
            growth,
            (mirrored.unanswered, plain.unanswered),
        )
        row.problems = list(_problems(row, world, metrics))
        return row
    finally:
        world.close()


def _warm(world: World) -> None:
    before = len(world.crowd.mirrored.answered)
    wait.until("the load flows", lambda: len(world.crowd.mirrored.answered) > before + 100, 30)


def _problems(row: Row, world: World, metrics: dict[str, int]) -> list[str]:
    """Everything that must not be, whatever the fault."""
    fault, found = row.fault, []
    mirrored, plain = world.crowd.mirrored, world.crowd.plain
    found += [f"primary: {text}" for text in plain.wrong]
    if fault.ends:
        # After its end nobody answers. Before it, all was right; a request that was cut off has no answer at all.
        found += [f"primary: {text}" for text in mirrored.wrong if "refused" not in text]
    else:
        found += [f"primary: {text}" for text in mirrored.wrong]
        if "configuration" not in fault.name and mirrored.unanswered:
            found.append(f"{mirrored.unanswered} requests without an answer")
    found += [f"violation: {text}" for text in world.violations()]
    if not fault.ends and (text := world.problem(metrics)):
        found.append(f"books: {text}")
    if row.growth > WORKERS * BUDGET + SLACK:
        found.append(f"memory grew by {row.growth // MIB} MiB")
    for leg in LEGS:
        found += [f"{leg}: {text}" for text in _leg_problems(row, leg, mirrored.unanswered)]
    return found


def _leg_problems(row: Row, leg: str, unanswered: int) -> list[str]:
    fault, book, found = row.fault, row.books[leg], []
    hit = leg in fault.legs
    # A request whose answer was cut off on its way to the client may have been mirrored all the same.
    if book.foreign > unanswered:
        found.append(f"{book.foreign} arrived of {unanswered} without an answer")
    if leg == "rum" and book.doubled:
        found.append(f"{book.doubled} doubled")
    if leg == "sls" and book.doubled and not (fault.ambiguous and hit):
        found.append(f"{book.doubled} doubled without need")
    if fault.ends:
        if fault.name.startswith("drain") and book.taken < row.requests:
            found.append(f"{row.requests - book.taken} lost by an orderly end")
        return found
    if book.pending:
        found.append(f"{book.pending} still pending")
    if not row.requests <= book.captured <= row.requests + unanswered:
        found.append(f"captured {book.captured} of {row.requests} requests")
    lost = book.captured - book.taken
    if lost > book.failed + book.dropped:
        found.append(f"{lost} lost, but only {book.failed} failed and {book.dropped} dropped")
    if book.delivered > book.taken + book.doubled:
        found.append(f"{book.delivered} delivered, but {book.taken} taken")
    if not (fault.ambiguous and hit) and (book.failed or book.dropped or lost):
        found.append(f"{lost} lost without need ({book.failed} failed, {book.dropped} dropped)")
    if leg == "sls" and lost:
        found.append(f"{lost} logs lost")
    return found


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each fault lasts")
    parser.add_argument("--only", default="", help="only faults with this in their name")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if options.only in fault.title]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        for number, fault in enumerate(chosen):
            row = run(fault, Path(directory) / str(number), options.seconds)
            rows.append(row)
            print(f"{number + 1}/{len(chosen)} {' | '.join(row.cells())}", flush=True)
            for problem in row.problems[:10]:
                print(f"    PROBLEM {problem}", flush=True)
    print(f"\n{table(rows)}")
    return 1 if any(row.problems for row in rows) else 0


if __name__ == "__main__":
    # Threads of the fakes must not hold up the end.
    code = main()
    sys.stdout.flush()
    os._exit(code)
