"""One fault after another, each in a world of its own: what must hold, and the table of what came of it."""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chaos.faults import FAULTS, Fault
from chaos.world import CUT_PER_RELOAD, LEGS, MIB, WORKERS, Books, Memory, World
from support import wait

AUTHORITY = "rum.example.com"
# The primary's latency may be so many times what it is without the module, or so many seconds more, whichever is larger:
# the second is for a machine whose few cores serve everybody here. A client that the mirror held up would wait for a
# slow target (0.3 s) or for a call's end (2 s).
RATIO = 5.0
MORE_SECONDS = {"median": 0.030, "p99": 0.200, "slowest": 1.5}
PARTS = {"median": 0.5, "p99": 0.99, "slowest": 1.0}


@dataclass
class Row:
    """What came of one fault."""

    fault: Fault
    requests: int
    books: dict[str, Books]
    latency: dict[str, tuple[float, float]]  # of the primary in seconds, with the mirror and without
    growth: int
    unanswered: int
    after: dict[str, int]  # of each leg, with `cut`: what may be lost by what the last metrics said, and what came then
    problems: list[str] = field(default_factory=list)

    def cells(self) -> list[str]:
        legs = []
        for leg, book in self.books.items():
            counted = self.after[leg] if self.fault.cut else book.failed + book.dropped
            legs += [f"{self.requests - book.taken + book.foreign} ({counted})", f"{book.doubled}"]
        requests = f"{self.requests}"
        if self.unanswered and not self.fault.cut:
            requests += f" and {self.unanswered} cut off"
        times = [_ratio(*self.latency[name]) for name in ("median", "p99")]
        verdict = "no" if self.problems else "yes"
        return [self.fault.title, verdict, requests, *legs, *times, f"{self.growth / MIB:.0f}"]


def _ratio(mirrored: float, plain: float) -> str:
    return f"{mirrored / plain:.2f} ({(mirrored - plain) * 1000:+.1f} ms)"


# Lost: what the target never took of what the primary answered; in brackets what the module counts as failed or dropped,
# or at a sudden end what could be lost.
HEAD = [
    "fault",
    "survived",
    "requests",
    "RUM lost",
    "RUM doubled",
    "SLS lost",
    "SLS doubled",
    "latency, median",
    "p99",
    "memory, MiB",
]


def run(fault: Fault, directory: Path, seconds: float, pause: float = 0.005) -> Row:
    """One fault from the beginning to the end of all its consequences. `pause`: of each client after a request."""
    world = World(directory, AUTHORITY, fault.configuration, pause, fault.sizes)
    try:
        _warm(world)
        memory = Memory(world.edge)
        fault.do(world, fault.legs, fault.seconds or seconds)
        if fault.ends:
            world.crowd.halt()
            world.rest()
            metrics = world.last
        else:
            _warm(world)
            world.crowd.halt()
            metrics = world.quiet(60)
        growth = memory.stop()
        books = world.books(metrics)
        mirrored, plain = world.crowd.mirrored, world.crowd.plain
        requests = len(mirrored.answered)
        row = Row(
            fault,
            requests,
            books,
            {name: (mirrored.percentile(part), plain.percentile(part)) for name, part in PARTS.items()},
            growth,
            mirrored.unanswered,
            {leg: _may_be_lost(leg, metrics, requests - world.before_last) for leg in LEGS},
        )
        row.problems = list(_problems(row, world, metrics))
        return row
    finally:
        world.close()


def _may_be_lost(leg: str, metrics: dict[str, int], later: int) -> int:
    """By a sudden end: what was pending, what had not been read, and what came after the last look."""
    return metrics[f"{leg}.pending"] + (metrics["sls.queued"] if leg == "sls" else 0) + later


def _warm(world: World) -> None:
    before = len(world.crowd.mirrored.answered)
    wait.until("the load flows", lambda: len(world.crowd.mirrored.answered) > before + 100, 30)


def _problems(row: Row, world: World, metrics: dict[str, int]) -> list[str]:
    """Everything that must not be, whatever the fault."""
    fault, found = row.fault, list(world.problems)
    mirrored, plain = world.crowd.mirrored, world.crowd.plain
    found += [f"primary: {text}" for text in plain.wrong + mirrored.wrong]
    if plain.unanswered or plain.refused:
        found.append(f"without the module {plain.unanswered} unanswered, {plain.refused} refused")
    # After Envoy's end nobody answers, and a signal cuts off what is under way. A drain cuts as a reload does.
    if not fault.ends and mirrored.refused:
        found.append(f"{mirrored.refused} requests refused")
    allowed = CUT_PER_RELOAD * (world.reloads + fault.ends)
    if not fault.cut and mirrored.unanswered > allowed:
        found.append(f"{mirrored.unanswered} requests without an answer, not {allowed}")
    found += [f"violation: {text}" for text in world.violations()]
    if text := world.problem(metrics):
        found.append(f"books: {text}")
    for name, (ours, theirs) in row.latency.items():
        if ours > max(RATIO * theirs, theirs + MORE_SECONDS[name]):
            found.append(f"primary: {name} latency {ours * 1000:.0f} ms, without the module {theirs * 1000:.0f} ms")
    if row.growth > WORKERS * world.budget + fault.slack:
        found.append(f"memory grew by {row.growth // MIB} MiB")
    for leg in LEGS:
        judge = _cut_problems if fault.cut else _leg_problems
        found += [f"{leg}: {text}" for text in judge(row, leg, world)]
    return found


def _cut_problems(row: Row, leg: str, world: World) -> list[str]:
    """Of a leg whose Envoy ended with something pending: what is lost is no more than that."""
    book, found = row.books[leg], []
    known = book.captured + (world.last["sls.queued"] if leg == "sls" else 0)
    if known < world.before_last:
        found.append(f"{known} known of {world.before_last} requests some time after their answers")
    if book.failed or book.dropped or book.doubled:
        found.append(f"{book.failed} failed, {book.dropped} dropped, {book.doubled} doubled before the end")
    if book.delivered > book.taken:
        found.append(f"{book.delivered} delivered, but {book.taken} taken")
    if (lost := row.requests - book.taken + book.foreign) > row.after[leg]:
        found.append(f"{lost} lost, but only {row.after[leg]} could be")
    if not row.after[leg] > row.requests - world.before_last:
        found.append("nothing was pending: this shows nothing")
    if book.foreign > row.unanswered:
        found.append(f"{book.foreign} arrived of {row.unanswered} without an answer")
    return found


def _leg_problems(row: Row, leg: str, world: World) -> list[str]:
    fault, book, found = row.fault, row.books[leg], []
    hit = leg in fault.legs
    # A request whose answer was cut off on its way to the client may have been mirrored all the same.
    if book.foreign > row.unanswered:
        found.append(f"{book.foreign} arrived of {row.unanswered} without an answer")
    if leg == "rum" and book.doubled:
        found.append(f"{book.doubled} doubled")
    if leg == "sls" and book.doubled and not (fault.ambiguous and hit):
        found.append(f"{book.doubled} doubled without need")
    if book.pending:
        found.append(f"{book.pending} still pending")
    if not row.requests <= book.captured <= row.requests + row.unanswered:
        found.append(f"captured {book.captured} of {row.requests} requests")
    lost = book.captured - book.taken
    if lost > book.failed + book.dropped:
        found.append(f"{lost} lost, but only {book.failed} failed and {book.dropped} dropped")
    if book.delivered > book.taken + book.doubled:
        found.append(f"{book.delivered} delivered, but {book.taken} taken")
    if not (fault.ambiguous and hit) and (book.failed or book.dropped or lost):
        found.append(f"{lost} lost without need ({book.failed} failed, {book.dropped} dropped)")
    if leg in world.cut and book.failed + book.dropped > world.cut[leg]:
        found.append(f"{book.failed} failed, {book.dropped} dropped: {world.cut[leg]} connections were cut")
    if fault.full and hit and not book.dropped:
        found.append("nothing dropped: the budget was not full")
    if not fault.full and book.dropped:
        found.append(f"{book.dropped} dropped, with room for all")
    if leg == "sls" and (lost > book.dropped or book.failed):
        found.append(f"{lost} logs lost, {book.failed} failed")
    return found


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each fault lasts")
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
