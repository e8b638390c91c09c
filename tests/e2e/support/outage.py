"""RUM taken away for ten seconds and given back, under a steady load: what became of each copy, and a picture of it for the
terminal.
"""

import json
import time
from dataclasses import dataclass, field

from . import bugsink, rules, sample, wait
from .fake_rum import FakeRum
from .forwarder import Forwarder
from .replay import Client

BEFORE, AWAY, AFTER = 2.0, 10.0, 2.0
# Envelopes a second.
RATE = 10.0
# Copies are tried again at least this often, and do not run out of tries; the sample waits up to 30 s between them. So the
# picture is done soon after RUM is back.
RETRY = {"max_backoff_ms": 1500, "max_attempts": 100}
COLUMN = 0.25
WAITING, ARRIVES = "\u2591", "\u2588"
BARS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


@dataclass
class Copy:
    """An envelope: when it was sent, answered by the primary, and, if it was, taken by RUM; in seconds from the beginning."""

    sent: float
    answered: float
    arrived: float | None = None


@dataclass
class Outage:
    """What happened."""

    away: float = 0.0
    back: float = 0.0
    copies: list[Copy] = field(default_factory=list)
    doubled: int = 0

    @property
    def end(self) -> float:
        return max([self.back, *(copy.arrived or copy.answered for copy in self.copies)])


def session(number: int) -> bytes:
    """A session: the smallest that SDKs send, and Bugsink does nothing with it."""
    update = {"sid": f"{number:032x}", "status": "ok", "attrs": {"release": "demo@1.0"}}
    return b'{}\n{"type":"session"}\n%b\n' % json.dumps(update).encode()


def run(port: int, rum: FakeRum, forwarder: Forwarder, config: sample.Yaml) -> tuple[Outage, list[str]]:
    """Sends steadily, takes RUM away and gives it back. Also what was wrong: the primary's answers."""
    found, wrong, bodies = Outage(), [], {}
    mark, before, began = forwarder.mark(), len(rum.taken), time.monotonic()

    def now() -> float:
        return time.monotonic() - began

    with Client(port) as client:
        while now() < BEFORE + AWAY + AFTER:
            if not found.away and now() >= BEFORE:
                # With nothing under way: a copy that RUM may have taken is not sent again.
                wait.until("RUM idle", lambda: len(rum.taken) - before == len(found.copies))
                rum.close()
                found.away = now()
            if found.away and not found.back and now() >= found.away + AWAY:
                rum.reopen()
                found.back = now()
            number = len(found.copies)
            sent = now()
            target = f"/api/1/envelope/?sentry_key={bugsink.key(1)}"
            status = client.request(target, session(number)).status
            if status != 200:
                wrong.append(f"the primary's answer while RUM was away: {status}")
            bodies[session(number)] = number
            found.copies.append(Copy(sent, now()))
            time.sleep(max(0.0, number / RATE + 1 / RATE - now()))
    for exchange in forwarder.since(mark):
        rum.expect(rules.Copy.of(config, exchange.request))
    wait.until("every copy at RUM", lambda: len(rum.taken) - before >= len(found.copies), 20)
    for taken in rum.taken[before:]:
        copy = found.copies[bodies[taken.body]]
        found.doubled += copy.arrived is not None
        copy.arrived = taken.arrived - began
    return found, wrong


def picture(found: Outage) -> list[str]:
    """A line for the copies of each second, from left to right what became of them."""
    columns = int(found.end / COLUMN) + 1
    line = "  {:>12} {}  {}".format

    def column(at: float) -> int:
        return min(columns - 1, int(at / COLUMN))

    scale = [" "] * (columns + 6)
    for second in range(0, int(found.end) + 1, 2):
        text = f"{second} s"
        scale[column(second) : column(second) + len(text)] = text
    away, back = column(found.away), column(found.back)
    rum = "\u2500" * away + "away".center(back - away, "\u00d7") + "\u2500" * (columns - back)
    lines = [line("", "".join(scale)[:columns], "").rstrip(), line("RUM", rum, "")]
    answered = [0] * columns
    waiting = [0] * columns
    for copy in found.copies:
        answered[column(copy.answered)] += 1
        for place in range(column(copy.sent) + 1, column(found.end if copy.arrived is None else copy.arrived)):
            waiting[place] += 1
    slowest = max(copy.answered - copy.sent for copy in found.copies)
    lines.append(line("primary", bars(answered), f"{len(found.copies)} answered, slowest {1000 * slowest:.0f} ms"))
    lines.append(line("waiting", bars(waiting), f"most {max(waiting)}"))
    for second in range(int(found.copies[-1].sent) + 1):
        group = [copy for copy in found.copies if int(copy.sent) == second]
        if not group:
            continue
        drawn = [" "] * columns
        for copy in group:
            last = columns if copy.arrived is None else column(copy.arrived)
            for place in range(column(copy.sent), last):
                drawn[place] = drawn[place].replace(" ", WAITING)
        for copy in group:
            if copy.arrived is not None:
                drawn[column(copy.arrived)] = ARRIVES
        there = sum(copy.arrived is not None for copy in group)
        lines.append(line(f"sent at {second:2} s", "".join(drawn), f"{there} of {len(group)}"))
    return [text.rstrip() for text in lines]


def bars(values: list[int]) -> str:
    """So many, as the height of a character; none is a space."""
    most = max([*values, 1])
    return "".join(BARS[-(-value * (len(BARS) - 1) // most)] for value in values)
