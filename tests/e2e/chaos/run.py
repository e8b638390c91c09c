"""One fault after another, each in a world of its own: what must hold, and the table of what came of it."""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from chaos.crowd import RATE
from chaos.faults import FAULTS, Fault
from chaos.world import CUT_PER_RELOAD, LEGS, MIB, SECOND, WORKERS, Books, Memory, World
from support import results, wait

AUTHORITY = "rum.example.com"
# Of a fault that has no time of its own.
SECONDS = 6.0
# The primary's latency may be so many times what it is without the module, or so many seconds more, whichever is larger:
# the second is for a machine whose few cores serve everybody here. A client that the mirror held up would wait for a
# slow target (0.3 s) or for a call's end (2 s).
RATIO = 5.0
MORE_SECONDS = {"median": 0.030, "p99": 0.200, "slowest": 1.5}
# Until nothing waits any more; hostile bodies are read slowly, on purpose.
QUIET_SECONDS = 180.0
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
        for leg in (*LEGS, SECOND):
            if (book := self.books.get(leg)) is None:
                legs += ["", ""]
                continue
            counted = self.after[leg] if self.fault.cut else book.failed + book.dropped
            legs += [f"{self.requests - book.taken + book.foreign} ({counted})", f"{book.doubled}"]
        requests = f"{self.requests}"
        if others := self.books["rum"].others:
            requests += f" and {others} hostile"
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
    "second Sentry lost",
    "second doubled",
    "latency, median",
    "p99",
    "memory, MiB",
]


def run(fault: Fault, directory: Path, seconds: float, rate: float = RATE, busy: bool = False) -> Row:
    """One fault from the beginning to the end of all its consequences. `rate`: requests a second. `busy`: the machine does
    something else too, so of the latencies only the slowest says whether the mirror held up a client."""
    world = World(directory, AUTHORITY, fault.configuration, rate, fault.sizes, fault.with_second)
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
            metrics = world.quiet(QUIET_SECONDS)
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
            {leg: _may_be_lost(leg, metrics, requests - world.before_last) for leg in world.legs},
        )
        judged = ["slowest"] if busy else list(PARTS)
        row.problems = _problems(row, world, metrics, judged)
        return row
    finally:
        world.close()


def _may_be_lost(leg: str, metrics: dict[str, int], later: int) -> int:
    """By a sudden end: what was pending, what had not been read, and what came after the last look."""
    return metrics[f"{leg}.pending"] + (metrics["sls.queued"] if leg == "sls" else 0) + later


def _warm(world: World) -> None:
    before = len(world.crowd.mirrored.answered)
    wait.until("the load flows", lambda: len(world.crowd.mirrored.answered) > before + 100, 30)


def _problems(row: Row, world: World, metrics: dict[str, int], judged: list[str]) -> list[str]:
    """Everything that must not be, whatever the fault. `judged`: latencies."""
    fault, found = row.fault, list(world.problems)
    mirrored, plain = world.crowd.mirrored, world.crowd.plain
    found += [f"primary: {text}" for text in plain.wrong + mirrored.wrong]
    if plain.unanswered or plain.refused:
        found.append(f"without the module {plain.unanswered} unanswered, {plain.refused} refused")
    # After Envoy's end nobody answers, and a signal cuts off what is under way. A drain cuts as a reload does.
    if not fault.ends and mirrored.refused:
        found.append(f"{mirrored.refused} requests refused")
    allowed = world.may_cut + CUT_PER_RELOAD * fault.ends
    if not fault.cut and mirrored.unanswered > allowed:
        found.append(f"{mirrored.unanswered} requests without an answer, not {allowed}")
    found += [f"violation: {text}" for text in world.violations()]
    if text := world.problem(metrics):
        found.append(f"books: {text}")
    for name in judged:
        ours, theirs = row.latency[name]
        if ours > max(RATIO * theirs, theirs + MORE_SECONDS[name]):
            found.append(f"primary: {name} latency {ours * 1000:.0f} ms, without the module {theirs * 1000:.0f} ms")
    if row.growth > WORKERS * world.budgets + fault.slack:
        found.append(f"memory grew by {row.growth // MIB} MiB")
    for leg in world.legs:
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
    if leg != "sls" and book.doubled:
        found.append(f"{book.doubled} doubled")
    if leg == "sls" and book.doubled and not (fault.ambiguous and hit):
        found.append(f"{book.doubled} doubled without need")
    if book.pending:
        found.append(f"{book.pending} still pending")
    # What was dropped of somebody else's logs is captured too.
    dropped = book.dropped if fault.hostile and leg == "sls" else 0
    captured = book.captured - book.others
    if not row.requests <= captured <= row.requests + row.unanswered + dropped:
        found.append(f"captured {captured} of {row.requests} requests")
    lost = row.requests - book.taken + book.foreign if fault.hostile else captured - book.taken
    if lost > book.failed + book.dropped:
        found.append(f"{lost} lost, but only {book.failed} failed and {book.dropped} dropped")
    if book.delivered > book.taken + book.doubled + book.others:
        found.append(f"{book.delivered} delivered, but {book.taken} taken")
    if not (fault.ambiguous and hit or fault.forgets) and (book.failed or book.dropped - dropped or lost):
        found.append(f"{lost} lost without need ({book.failed} failed, {book.dropped} dropped)")
    if leg in world.cut and book.failed + book.dropped > world.cut[leg]:
        found.append(f"{book.failed} failed, {book.dropped} dropped: {world.cut[leg]} connections were cut")
    if fault.full and hit and not book.dropped:
        found.append("nothing dropped: the budget was not full")
    if not fault.full and leg not in world.may_drop and book.dropped:
        found.append(f"{book.dropped} dropped, with room for all")
    if leg == "sls" and (lost > book.dropped - dropped or book.failed):
        found.append(f"{lost} logs lost, {book.failed} failed")
    return found


def table(rows: list[Row]) -> str:
    """Markdown."""
    return results.table(HEAD, [row.cells() for row in rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="how long each fault lasts (6); nothing is written")
    parser.add_argument("--only", help="only faults with this in their name; nothing is written")
    options = parser.parse_args()
    whole = options.seconds is None and options.only is None
    before = results.wait_quiet(60 if whole else 0)
    chosen = [fault for fault in FAULTS if (options.only or "") in fault.title]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        for number, fault in enumerate(chosen):
            row = run(fault, Path(directory) / str(number), options.seconds or SECONDS)
            rows.append(row)
            print(f"{number + 1}/{len(chosen)} {' | '.join(row.cells())}", flush=True)
            for problem in row.problems[:10]:
                print(f"    PROBLEM {problem}", flush=True)
    print(f"\n{table(rows)}")
    if whole:
        (HERE / "results.md").write_text(report(rows, before))
    return 1 if any(row.problems for row in rows) else 0


def report(rows: list[Row], before: float) -> str:
    """The results file."""
    failed = [f"* {row.fault.title}: {problem}" for row in rows for problem in row.problems]
    verdict = "\n".join(failed) or "All survived."
    return f"# What it was put through\n\n{EXPLAINED}\n\n{results.heading(before)}\n\n{verdict}\n\n{table(rows)}\n"


EXPLAINED = """`make chaos` wrote this. tests/README.md ("What it was put through") says what survived means.

*Lost* is what the target never took of what the primary answered, in brackets what the module counted as failed or dropped (more
than lost when the target took what it was late to answer, or when what was dropped is of a hostile body), in the rows with a signal
what could be lost at most. *Latency* is the primary's, as a ratio to the same Envoy without the module, asked in turn by the same
clients. Copies are tried again within a second here (`max_backoff_ms` 1000, 100 attempts, against 30 000 and 3 by default), and the
work of thousands of such tries is what the higher ratios show."""


if __name__ == "__main__":
    # Threads of the fakes must not hold up the end.
    code = main()
    sys.stdout.flush()
    os._exit(code)
