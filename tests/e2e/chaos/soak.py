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
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chaos.faults import FAULTS, Fault
from chaos.world import BUDGET, IN_FLIGHT, LEGS, MIB, SLACK, WORKERS, World
from support import fixtures, replay, rules, sample

# Logs without the payload, which this process would have to keep.
CONFIGURATION = {"sls": {"payload": False}}
# Each lasts long enough to be noticed by calls that end after 2 s.
FAULT_SECONDS = (1.0, 5.0)
CALM_SECONDS = (1.0, 3.0)
# What one third may have more than the one before: a backlog larger than any before it (wasm memory never shrinks), the
# connections of a load that had to wait.
MORE_BYTES = 16 * MIB
MORE_FILES = 24
# In less the pools of connections to the targets are still growing: each keeps what its worst moment needed.
LONG_SECONDS = 300.0


class Corpus:
    """The fixtures, over and over, in a random order. `captured` is what they must have added to rum.captured."""

    def __init__(self, port: int, rum: sample.Yaml, seed: int) -> None:
        self.sent = self.captured = 0
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
            try:
                (answer,) = replay.replay(fixture, self._port)
            except OSError as error:
                self.wrong.append(f"{fixture}: {error!r}")
                continue
            self.sent += 1
            method, target = fixture.meta["method"], fixture.meta["path"]
            copied = rules.mirrored(method, target) and rules.copy_path(self._rum, target)
            self.captured += bool(answer.by_primary and copied)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(60)


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


def soak(directory: Path, seconds: float, seed: int) -> list[str]:
    """All that was wrong."""
    rum = sample.rum()
    world = World(directory, rum["authority"], CONFIGURATION, pause=0.05)
    try:
        corpus, samples = Corpus(world.edge.port, rum, seed), Samples(world)
        done = _trouble(world, seconds, random.Random(seed))
        corpus.stop()
        world.crowd.stop()
        metrics = world.quiet(60)
        samples.stop()
        grown = samples.growth(samples.bytes), samples.growth(samples.files)
        print(f"{done} faults, {len(world.crowd.mirrored.answered)} events, {corpus.sent} requests of the corpus")
        print(f"memory: up to {max(samples.bytes) // MIB} MiB, last third {grown[0] / MIB:+.1f} MiB over the second")
        print(f"open files: up to {max(samples.files)}, last third {grown[1]:+d} over the second")
        for leg in LEGS:
            print(f"{leg}: " + ", ".join(f"{end} {metrics.get(f'{leg}.{end}', 0)}" for end in ENDS))
        return list(_problems(world, corpus, samples, metrics, seconds))
    finally:
        world.close()


ENDS = ("captured", "delivered", "failed", "dropped", "pending", "retries")


def _trouble(world: World, seconds: float, chance: random.Random) -> int:
    """Faults, one at a time, with calm between them. Those that end Envoy are left out."""
    faults: list[Fault] = [fault for fault in FAULTS if not fault.ends and "configuration" not in fault.name]
    end, count = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        fault = chance.choice(faults)
        lasts, calm = chance.uniform(*FAULT_SECONDS), chance.uniform(*CALM_SECONDS)
        fault.do(world, fault.legs, min(lasts, left))
        time.sleep(calm)
        count += 1
    return count


def _problems(
    world: World, corpus: Corpus, samples: Samples, metrics: dict[str, int], seconds: float
) -> list[str]:
    """Everything that must not be, whatever the faults."""
    crowd, books, found = world.crowd.mirrored, world.books(metrics), []
    found += [f"primary: {text}" for text in crowd.wrong + corpus.wrong]
    if crowd.unanswered:
        found.append(f"{crowd.unanswered} requests without an answer")
    found += [f"violation: {text}" for text in world.violations()]
    if text := world.problem(metrics):
        found.append(f"books: {text}")
    expected = len(crowd.answered) + corpus.captured
    if books["rum"].captured != expected:
        found.append(f"rum.captured is {books['rum'].captured}, not {expected}")
    for leg, book in books.items():
        lost = len(crowd.answered) - book.taken
        if book.pending:
            found.append(f"{leg}: {book.pending} still pending")
        if lost > book.failed + book.dropped:
            found.append(f"{leg}: {lost} lost, but only {book.failed} failed and {book.dropped} dropped")
        if book.foreign:
            found.append(f"{leg}: {book.foreign} arrived that nobody was answered")
    if books["rum"].doubled:
        found.append(f"rum: {books['rum'].doubled} doubled")
    if (grown := samples.growth(samples.bytes)) > MORE_BYTES:
        found.append(f"memory grows: {grown // MIB} MiB")
    if (peak := max(samples.bytes) - samples.bytes[0]) > WORKERS * BUDGET + SLACK:
        found.append(f"memory: {peak // MIB} MiB more than at the start")
    if seconds >= LONG_SECONDS and (grown := samples.growth(samples.files)) > MORE_FILES:
        found.append(f"open files grow: {grown}")
    if (peak := max(samples.files) - samples.files[0]) > WORKERS * IN_FLIGHT + MORE_FILES:
        found.append(f"open files: {peak} more than at the start")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.seconds:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        problems = soak(Path(directory), options.seconds, options.seed)
    for problem in problems[:20]:
        print(f"PROBLEM {problem}")
    print(f"{len(problems)} problems" if problems else "all adds up")
    return 1 if problems else 0


if __name__ == "__main__":
    # Threads of the fakes must not hold up the end.
    code = main()
    sys.stdout.flush()
    os._exit(code)
