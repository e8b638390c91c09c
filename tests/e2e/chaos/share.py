"""Whether one project can starve another: hostile bodies ten times a second, and all logs of somebody else must arrive.

One worker. Each body has an Envoy of its own, which is ended as soon as the other's logs are there: how long the hostile ones
still take is nobody's business here.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from chaos.attackers import Attackers
from hostile import BODIES, SOME, Body
from support import results, sls_edge, sls_traffic
from support.clients import Clients
from support.envoy import TRAP, Envoy
from support.fake_rum import FakeRum
from support.fast_sls import FastSls
from support.primary import Primary
from support.replay import Client

AUTHORITY = "rum.example.com"
PROJECT = 42
PATTERN = rb"number \d+ of 42"
HOSTILE_RATE = 10.0
RATE = 4.0
SECONDS = 30.0
# After the last log was sent: nobody else's turn may take longer.
GRACE_SECONDS = 30.0


class Neighbour(Clients):
    """Sends one log a request, `RATE` a second, and knows when each was answered."""

    def __init__(self, port: int) -> None:
        self.answered: dict[bytes, float] = {}
        self.wrong: list[str] = []
        self._port = port
        super().__init__(1)

    def _run(self, worker: int) -> None:
        due = time.monotonic()
        with Client(self._port, timeout=50) as client:
            for number in count():
                if self._stopping.wait(due - time.monotonic()):
                    return
                text = f"number {number} of {PROJECT}"
                try:
                    answer = client.request(f"/api/{PROJECT}/envelope/?sentry_key=k", sls_traffic.logs([text]))
                except OSError as error:
                    self.wrong.append(repr(error))
                    return
                if answer.status == 200 and answer.by_primary:
                    self.answered[text.encode()] = time.monotonic()
                else:
                    self.wrong.append(f"{answer.status} {answer.body[:80]!r}")
                due = max(due + 1 / RATE, time.monotonic())


@dataclass
class Share:
    """What came of one body."""

    body: Body
    sent: int = 0  # of the neighbour
    hostile: int = 0
    missing: int = 0
    slowest: float = 0.0  # seconds from the neighbour's answer to its log at the target
    problems: list[str] = field(default_factory=list)

    def cells(self) -> list[str]:
        verdict = "no" if self.problems else "yes"
        return [self.body.name, verdict, f"{self.hostile}", f"{self.sent}", f"{self.missing}", f"{self.slowest:.1f}"]


HEAD = ["body", "all arrived", "hostile bodies", "logs of the other project", "missing", "slowest, s"]


def share(directory: Path, body: Body, seconds: float) -> Share:
    """One body against the neighbour."""
    primary, rum, sls = Primary(keep=False), FakeRum(AUTHORITY, keep=False), FastSls(PATTERN)
    edge = sls_edge.start(directory, primary, rum, sls, traps=True)
    found = Share(body)
    try:
        neighbour = Neighbour(edge.port)
        attackers = Attackers(edge.port, [body], HOSTILE_RATE)
        time.sleep(seconds)
        attackers.halt()
        neighbour.halt()
        end = time.monotonic() + GRACE_SECONDS
        while neighbour.answered.keys() - sls.found.keys() and time.monotonic() < end:
            time.sleep(0.05)
        found.sent, found.hostile = len(neighbour.answered), attackers.answered
        found.missing = len(neighbour.answered.keys() - sls.found.keys())
        took = [sls.found[text] - at for text, at in neighbour.answered.items() if text in sls.found]
        found.slowest = max(took, default=0.0)
        found.problems = _problems(found, edge, neighbour, attackers, sls.violations, seconds)
        return found
    finally:
        edge.process.kill()
        edge.process.wait()
        for server in (primary, rum, sls):
            server.close()


def _problems(
    found: Share, edge: Envoy, neighbour: Neighbour, attackers: Attackers, violations: list[str], seconds: float
) -> list[str]:
    problems = [f"neighbour: {text}" for text in neighbour.wrong] + [f"hostile: {text}" for text in attackers.wrong]
    problems += [f"violation: {text}" for text in violations[:5]]
    if found.missing:
        problems.append(f"{found.missing} of {found.sent} logs missing {GRACE_SECONDS:.0f} s later")
    # Otherwise it shows little: the worker was held up, and nobody could send.
    if found.sent < RATE * seconds / 2 or found.hostile < HOSTILE_RATE * seconds / 2:
        problems.append(f"only {found.sent} logs and {found.hostile} hostile bodies could be sent")
    if edge.process.poll() is not None or TRAP.search(edge.log()):
        problems.append("the module trapped, or Envoy died")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every body, not one or two of a kind (two hours)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="how long each is sent; another time: nothing is written"
    )
    parser.add_argument("--only", help="bodies with this in their name; nothing is written")
    options = parser.parse_args()
    heading = results.heading(results.load())
    names = BODIES if options.all or options.only else SOME
    rows: list[Share] = []
    with tempfile.TemporaryDirectory(prefix="share-") as directory:
        for name in names:
            if (options.only or "") not in name:
                continue
            row = share(Path(directory) / name, BODIES[name], options.seconds)
            rows.append(row)
            print(" | ".join(row.cells()), flush=True)
            for problem in row.problems[:10]:
                print(f"    PROBLEM {problem}", flush=True)
    failed = [f"* {row.body.name}: {problem}" for row in rows for problem in row.problems[:3]]
    text = (
        "# One project's hostile bodies, another project's logs\n\n`make chaos` or `make share` wrote this: each body "
    )
    text += f"{HOSTILE_RATE:.0f} times a second for {options.seconds:.0f} s, one worker.\n\n{heading}\n\n"
    text += (
        ("\n".join(failed) or "All logs arrived.") + "\n\n" + results.table(HEAD, [row.cells() for row in rows]) + "\n"
    )
    if options.seconds == SECONDS and not options.only:
        (HERE / "share.md").write_text(text)
    return 1 if failed else 0


if __name__ == "__main__":
    # Threads of the fakes must not hold up the end.
    code = main()
    sys.stdout.flush()
    os._exit(code)
