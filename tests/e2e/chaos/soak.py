"""Soak: mixed traffic on both legs and faults in a random order, for as long as it is told; then everything must add up.

The seed is printed, and the same seed gives the same faults in the same order.
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from h2.exceptions import ProtocolError

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from chaos.faults import FAULTS, STREAMS, Fault, reloads
from chaos.world import BUDGET, IN_FLIGHT, LEGS, MIB, SLACK, WORKERS, World
from support import expected_logs, fixtures, replay, results, rules, sample
from support.http1 import Request

# Logs without the payload, which this process would have to keep.
CONFIGURATION = {"sls": {"payload": False}}
# Each lasts long enough to be noticed by calls that end after 2 s.
FAULT_SECONDS = (1.0, 5.0)
CALM_SECONDS = (1.0, 3.0)
# So many of the faults are new configurations, which a minute has to meet too.
RELOADS = 0.2
LONG = 600.0
# Requests a second.
RATE = 60.0
# What one third may have more than the one before: a backlog larger than any before it (wasm memory never shrinks), the
# connections of a load that had to wait. In a short run most faults are the first of their kind.
MORE_BYTES = 16 * MIB
MORE_BYTES_SHORT = 32 * MIB
MORE_FILES = 24
# In less the pools of connections to the targets are still growing: each keeps what its worst moment needed.
LONG_SECONDS = 300.0


class Corpus:
    """The fixtures, over and over, in a random order. `captured` is what they must have added to the legs' own."""

    def __init__(self, port: int, rum: sample.Yaml, seed: int) -> None:
        self.sent = 0
        self.captured = dict.fromkeys(LEGS, 0)
        # What may have come on top by requests whose answer was cut off.
        self.unanswered, self.perhaps = 0, dict.fromkeys(LEGS, 0)
        self.wrong: list[str] = []
        self._port, self._rum, self._random = port, rum, random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # What Envoy refuses by itself begins no exchange, or one that is aborted: counted by nobody.
        all_of_them = [fixture for fixture in fixtures.load() if fixture.wire is None]
        while not self._stopping.wait(0.1):
            fixture = self._random.choice(all_of_them)
            answer = replay.NOTHING
            try:
                (answer,) = replay.replay(fixture, self._port)
            except ConnectionRefusedError as error:
                self.wrong.append(f"{fixture}: {error!r}")
                continue
            except (ConnectionError, ProtocolError):
                pass  # as in chaos/crowd.py: a listener that is replaced
            except OSError as error:
                self.wrong.append(f"{fixture}: {error!r}")
                continue
            self.sent += 1
            if answer.status and not answer.by_primary:
                self.wrong.append(f"{fixture}: {answer.status}, and not by the primary")
            self.unanswered += answer.status == 0
            counts = self.captured if answer.by_primary else self.perhaps
            for leg, count in _makes(fixture, self._rum).items():
                counts[leg] += count

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(60)


def _makes(fixture: fixtures.Fixture, rum: sample.Yaml) -> dict[str, int]:
    """How many copies and logs a fixture makes."""
    method, target = fixture.meta["method"], fixture.meta["path"]
    headers = [(name, value) for name, value in fixture.meta["headers"] if not name.startswith(":")]
    request = Request(method, target, "HTTP/1.1", headers, b"", fixture.body, complete=True)
    return {
        "rum": int(rules.Copy.of(rum, request) is not None),
        "sls": 0 if request.header(rules.MARKER) else _logs(fixture.name, request),
    }


_LOGS: dict[str, int] = {}


def _logs(name: str, request: Request) -> int:
    """Read once: it takes longer than sending."""
    if name not in _LOGS:
        _LOGS[name] = len(expected_logs.of_request(request))
    return _LOGS[name]


@dataclass
class Samples:
    """Resident bytes and open files of Envoy, once a second."""

    world: World
    bytes: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(1):
            self.bytes.append(self.world.edge.rss())
            self.files.append(len(os.listdir(f"/proc/{self.world.edge.process.pid}/fd")))
            self.world.forget_bodies()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)

    def growth(self, values: list[int]) -> int:
        """How much the least of the last third is over that of the second: the most says what the faults were, and in
        the first third all warms up."""
        third = max(1, len(values) // 3)
        return min(values[-third:]) - min(values[third : 2 * third] or values)


def soak(directory: Path, seconds: float, seed: int, say: Callable[[str], None] = print) -> list[str]:
    """All that was wrong. `say` gets what it was like, line by line."""
    rum = sample.rum()
    world = World(directory, rum["authority"], CONFIGURATION, rate=RATE)
    try:
        corpus, samples = Corpus(world.edge.port, rum, seed), Samples(world)
        done = _trouble(world, seconds, random.Random(seed))
        corpus.stop()
        world.crowd.halt()
        metrics = world.quiet(180)
        samples.stop()
        grown = samples.growth(samples.bytes), samples.growth(samples.files)
        events = f"{len(world.crowd.mirrored.answered)} events, {corpus.sent} requests of the corpus"
        cut = world.crowd.mirrored.unanswered + corpus.unanswered
        say(f"{done} faults, {events}, {world.attacks} hostile bodies")
        say(f"{world.reloads} configurations, which cut {cut} requests off")
        say(f"memory: up to {max(samples.bytes) // MIB} MiB, last third {grown[0] / MIB:+.1f} MiB over the second")
        arrived = f"RUM took {len(world.rum.taken)} copies, SLS {len(world.sls.logs)} logs"
        say(f"{arrived}, some of them more than once")
        say(f"open files: up to {max(samples.files)}, last third {grown[1]:+d} over the second")
        for leg in LEGS:
            say(f"{leg}: " + ", ".join(f"{end} {metrics.get(f'{leg}.{end}', 0)}" for end in ENDS))
        return list(_problems(world, corpus, samples, metrics, seconds))
    finally:
        world.close()


ENDS = ("captured", "delivered", "failed", "dropped", "pending", "retries")


def _trouble(world: World, seconds: float, chance: random.Random) -> int:
    """Faults, one at a time, with calm between them: those that need no Envoy of their own."""
    faults: list[Fault] = [fault for fault in FAULTS if not (fault.ends or fault.configuration or fault.with_second)]
    (reload,) = [fault for fault in faults if fault.do is reloads]
    end, count = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        fault = reload if chance.random() < RELOADS else chance.choice(faults)
        lasts, calm = chance.uniform(*FAULT_SECONDS), chance.uniform(*CALM_SECONDS)
        fault.do(world, fault.legs, min(lasts, left))
        time.sleep(calm)
        count += 1
    return count


def _problems(world: World, corpus: Corpus, samples: Samples, metrics: dict[str, int], seconds: float) -> list[str]:
    """Everything that must not be, whatever the faults."""
    crowd, books, found = world.crowd.mirrored, world.books(metrics), list(world.problems)
    found += [f"primary: {text}" for text in crowd.wrong + corpus.wrong]
    cut = crowd.unanswered + corpus.unanswered
    if crowd.refused or cut > (allowed := world.may_cut):
        found.append(f"{crowd.refused} requests refused, {cut} without an answer, not {allowed}")
    found += [f"violation: {text}" for text in world.violations()]
    if text := world.problem(metrics):
        found.append(f"books: {text}")
    # Of the corpus' logs nobody can say which of two equal ones was sent twice, so here all count that came.
    arrived = {"rum": len(world.rum.taken), "sls": len(world.sls.logs) + world.sls.others}
    for leg, book in books.items():
        least = len(crowd.answered) + corpus.captured[leg]
        # What was dropped of a hostile body's logs is captured too.
        most = least + crowd.unanswered + corpus.perhaps[leg] + (book.dropped if leg in world.may_drop else 0)
        captured = book.captured - book.others
        if not least <= captured <= most:
            found.append(f"{leg}.captured is {captured}, not {least} to {most}")
        if book.delivered > arrived[leg]:
            found.append(f"{leg}: {book.delivered} delivered, but {arrived[leg]} taken")
        lost = len(crowd.answered) - book.taken
        if book.pending:
            found.append(f"{leg}: {book.pending} still pending")
        if lost > book.failed + book.dropped:
            found.append(f"{leg}: {lost} lost, but only {book.failed} failed and {book.dropped} dropped")
        if leg == "sls" and lost > 0 and not world.forgot:
            found.append(f"{leg}: {lost} lost, which nothing but a VM that went may do")
        if book.foreign > crowd.unanswered:
            found.append(f"{leg}: {book.foreign} arrived of {crowd.unanswered} without an answer")
        if book.dropped and leg not in world.may_drop:
            found.append(f"{leg}: {book.dropped} dropped, with room for all")
    # Nothing at RUM twice: what it took beyond what counts as delivered is what counts as failed.
    rum = books["rum"]
    if arrived["rum"] > rum.delivered + rum.failed:
        found.append(f"rum: {arrived['rum']} taken, but {rum.delivered} delivered and {rum.failed} failed")
    if books["sls"].failed:
        found.append(f"sls: {books['sls'].failed} logs lost")
    if books["rum"].doubled:
        found.append(f"rum: {books['rum'].doubled} doubled")
    if (grown := samples.growth(samples.bytes)) > (MORE_BYTES if seconds >= LONG_SECONDS else MORE_BYTES_SHORT):
        found.append(f"memory grows: {grown // MIB} MiB")
    if (peak := max(samples.bytes) - samples.bytes[0]) > WORKERS * BUDGET + SLACK:
        found.append(f"memory: {peak // MIB} MiB more than at the start")
    if seconds >= LONG_SECONDS and (grown := samples.growth(samples.files)) > MORE_FILES:
        found.append(f"open files grow: {grown}")
    if (peak := max(samples.files) - samples.files[0]) > WORKERS * IN_FLIGHT + STREAMS + MORE_FILES:
        found.append(f"open files: {peak} more than at the start")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=LONG, help="when it is another time, nothing is written")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    heading = results.heading(results.load())
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say(f"seed {options.seed}, {options.seconds:.0f} s")
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        problems = soak(Path(directory), options.seconds, options.seed, say)
    for problem in problems[:20]:
        say(f"PROBLEM {problem}")
    say(f"{len(problems)} problems" if problems else "all adds up")
    if options.seconds == LONG:
        text = "\n".join(f"* {line}" for line in lines)
        (HERE / "soak.md").write_text(f"# The last soak\n\n`make soak` wrote this.\n\n{heading}\n\n{text}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    # Threads of the fakes must not hold up the end.
    code = main()
    sys.stdout.flush()
    os._exit(code)
