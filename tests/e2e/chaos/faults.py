"""The faults, each as a function that does it to a world for so many seconds and puts everything right again."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

from hostile import BODIES, SOME
from support import fake_rum, fake_sls, sample, wait
from support.listener import DRAIN
from support.slow_bodies import SlowBodies

from . import gateway
from .attackers import Attackers
from .crowd import SIZES
from .world import LEGS, MIB, SECOND, SLACK, WORKERS, World

Legs = tuple[str, ...]
BOTH: Legs = LEGS
RUM: Legs = ("rum",)
SLS: Legs = ("sls",)
ALL: Legs = (*LEGS, SECOND)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, with whom, and what that may cost."""

    name: str
    do: Callable[[World, Legs, float], None]
    legs: Legs = BOTH
    # Nobody can know whether the target took what it did not answer: the RUM leg then counts a copy as failed rather
    # than send it twice, the SLS leg (at least once) sends it again.
    ambiguous: bool = False
    # Envoy ends; what counts are the metrics that were read last.
    ends: bool = False
    # It does so with copies pending: they are lost.
    cut: bool = False
    # More comes in than the budget holds.
    full: bool = False
    # Somebody sends hostile bodies: of theirs logs may be dropped, of the others' none.
    hostile: bool = False
    # The VM goes: what it has pending is lost, and has to be counted.
    forgets: bool = False
    slack: int = SLACK  # bytes that Envoy may grow by beside the budgets
    configuration: sample.Yaml = field(default_factory=dict)
    sizes: tuple[int, ...] = SIZES
    seconds: float | None = None  # instead of the harness' own

    @property
    def title(self) -> str:
        if self.with_second:
            return f"{self.name} ({'all three' if self.legs == ALL else 'second Sentry only'})"
        return self.name if self.legs == BOTH else f"{self.name} ({self.legs[0]} only)"

    @property
    def with_second(self) -> bool:
        """Whether there is a second Sentry in its world."""
        return SECOND in self.legs


def nothing(_world: World, _legs: Legs, seconds: float) -> None:
    time.sleep(seconds)


def network(mode: str) -> Callable[[World, Legs, float], None]:
    """A mode of the gateways."""

    def do(world: World, legs: Legs, seconds: float) -> None:
        world.mode(legs, mode)
        time.sleep(seconds)
        world.mode(legs, gateway.PASS)

    return do


def away(world: World, legs: Legs, seconds: float) -> None:
    """Nobody listens, and open connections are cut; then it comes back."""
    for leg in legs:
        world.gateways[leg].close()
        world.cut[leg] = world.gateways[leg].cut
    time.sleep(seconds)
    for leg in legs:
        world.gateways[leg].reopen()


def answers(status: int, retry_after: str | None = None) -> Callable[[World, Legs, float], None]:
    """The target answers every request with a status."""
    headers = (("Retry-After", retry_after),) if retry_after else ()
    codes = {500: "InternalServerError", 503: "ServerBusy", 429: "ExceedQuota"}

    def do(world: World, legs: Legs, seconds: float) -> None:
        trouble = fake_rum.Behaviour(status=status, headers=headers)
        world.behave(legs, trouble, fake_sls.Behaviour(status=status, code=codes[status]))
        time.sleep(seconds)
        world.behave(legs, fake_rum.OK, fake_sls.OK)

    return do


def no_name(world: World, legs: Legs, seconds: float) -> None:
    """The targets' names cease to be; at their addresses all is well, but nobody may know."""
    before = Counter(world.dns.asked_for)
    names = {leg: f"{leg}.chaos.test" for leg in legs}
    world.dns.gone = frozenset(names.values())
    world.expect_soon("the clusters are empty", lambda: not any(world.members(leg) for leg in legs))
    time.sleep(seconds)
    for leg, name in names.items():
        world.expect(world.members(leg) == 0, f"{leg}: the cluster was not empty")
        world.expect(world.dns.asked_for[name] > before[name], f"{leg}: nobody asked for {name}")
    for leg in set(LEGS) - set(legs):
        world.expect(world.members(leg) == 1, f"{leg}: the cluster lost its member")
    world.dns.gone = frozenset()
    world.expect_soon("the clusters have their member again", lambda: all(world.members(leg) == 1 for leg in legs))


def reloads(world: World, _legs: Legs, seconds: float) -> None:
    """A new configuration every two seconds."""
    before, written = world.updates("success"), 0
    end = time.monotonic() + seconds
    while written == 0 or time.monotonic() < end:
        world.reload()
        written += 1
        time.sleep(2)
    world.expect_soon("all updates were taken", lambda: world.updates("success") >= before + written)
    taken = world.updates("success") - before
    world.expect(taken == written, f"{taken} updates taken, {written} written")
    world.expect(world.updates("rejected") == 0, f"{world.updates('rejected')} updates rejected")


def hostile_bodies(world: World, _legs: Legs, seconds: float) -> None:
    """One of each kind, in turn, two a second."""
    attackers = Attackers(world.edge.port, [BODIES[name] for name in SOME], rate=2)
    time.sleep(seconds)
    attackers.halt()
    world.attacks += attackers.answered
    world.may_drop.add("sls")
    world.expect(attackers.answered > seconds, f"only {attackers.answered} hostile bodies sent")
    world.problems += attackers.wrong


# Together more than a leg has room for, had each body what it announces.
STREAMS = 140
# Nothing is known of how slow a body is before; then at most so much later it is given up.
GIVEN_UP_SECONDS = 30 + 5


def slow_bodies(world: World, _legs: Legs, seconds: float) -> None:
    """Bodies that announce as much as both legs of both workers have room for, and send a byte every 20 s."""
    before = world.edge.metrics()
    with SlowBodies(world.edge.port, STREAMS, WORKERS * world.budget // STREAMS) as slow:
        time.sleep(seconds)
        world.expect(slow.ended == 0, f"{slow.ended} slow bodies were answered or reset")
        metrics = world.edge.metrics()
    if seconds >= GIVEN_UP_SECONDS:
        for leg in LEGS:
            name = f"{leg}.skipped.slow"
            given_up = metrics.get(name, 0) - before.get(name, 0)
            world.expect(given_up == STREAMS, f"{name} is {given_up}, not {STREAMS}")


def another_vm(change: Callable[[World], None], busy: bool) -> Callable[[World, Legs, float], None]:
    """A listener update for which Envoy starts another VM; `busy`: with copies and logs that wait in the old one."""

    def do(world: World, _legs: Legs, seconds: float) -> None:
        before = world.updates("success")
        if busy:
            world.behave(BOTH, fake_rum.Behaviour(status=503), fake_sls.Behaviour(status=503, code="ServerBusy"))
            time.sleep(1)
            world.look()
            world.expect(world.last["rum.pending"] > 0, "nothing was pending: this shows nothing")
        change(world)
        world.forgot = True
        world.may_drop.update(LEGS)
        world.expect_soon("the update was taken", lambda: world.updates("success") > before)
        # The old listener drains meanwhile, and its VM goes with it.
        time.sleep(max(seconds, DRAIN_SECONDS + 1))
        world.behave(BOTH, fake_rum.OK, fake_sls.OK)

    return do


def fill(world: World, legs: Legs, seconds: float) -> None:
    """Targets that hang, until the budgets are full and for some time more."""
    world.mode(legs, gateway.HANG_AFTER)
    end, peak = time.monotonic() + seconds, Counter[str]()
    while time.monotonic() < end:
        metrics = world.edge.metrics()
        for leg in legs:
            peak[leg] = max(peak[leg], metrics[f"{leg}.pending_bytes"])
        time.sleep(0.1)
    world.mode(legs, gateway.PASS)
    for leg in legs:
        # Each leg has its half.
        share = WORKERS * world.budget // 2
        world.expect(share // 2 < peak[leg] <= share, f"{leg}: {peak[leg]} bytes pending of {share}")


def orderly(world: World, _legs: Legs, seconds: float) -> None:
    """As envoy/updates.md says: drain the listeners, wait until nothing waits, SIGTERM."""
    time.sleep(seconds)
    assert world.edge.admin("/drain_listeners?graceful", "POST").strip() == "OK"
    world.crowd.halt()
    calm = time.monotonic()

    def over() -> bool:
        nonlocal calm
        if world.waits():
            calm = time.monotonic()
        return time.monotonic() - calm > 1

    wait.until("nothing waits for a second", over, 60, 0.1)
    world.edge.process.terminate()
    world.edge.process.wait(20)


def orderly_slow(world: World, legs: Legs, seconds: float) -> None:
    """Likewise, with something to wait for."""
    _slow(world)
    orderly(world, legs, seconds)


def ended(by: Signals) -> Callable[[World, Legs, float], None]:
    """A signal in the midst of it, with slow targets so that there is something to lose."""

    def do(world: World, _legs: Legs, seconds: float) -> None:
        _slow(world)
        time.sleep(seconds)
        world.look()
        world.edge.process.send_signal(by)
        world.edge.process.wait(20)

    return do


def _slow(world: World) -> None:
    world.behave(BOTH, fake_rum.Behaviour(seconds=0.3), fake_sls.Behaviour(seconds=0.3))


def everywhere(name: str, do: Callable[[World, Legs, float], None], **more: Any) -> list[Fault]:
    """One leg, the other, both."""
    return [Fault(name, do, legs, **more) for legs in (RUM, SLS, BOTH)]


SMALL = 8 * MIB
DRAIN_SECONDS = float(DRAIN[1])
# Each announces less than what a newcomer always has room for: 234 KiB.
SLOW = Fault(
    "slow bodies, budget 16 MiB a worker", slow_bodies, configuration={"limits": {"max_pending_bytes": 2 * SMALL}}
)
OTHER_ENVIRONMENT = Fault(
    "another environment, targets away", another_vm(World.another_environment, busy=True), forgets=True
)
FAULTS: list[Fault] = [
    Fault("nothing", nothing),
    *everywhere("refuses connections", away, ambiguous=True),
    *everywhere("hangs before reading", network(gateway.HANG_BEFORE), ambiguous=True),
    *everywhere("hangs after reading", network(gateway.HANG_AFTER), ambiguous=True),
    Fault(
        "hangs, budget 8 MiB a worker",
        fill,
        ambiguous=True,
        full=True,
        # Envoy's own copies of the bodies in flight are held to a quarter of the budgets; the rest is for buffers of so many
        # calls and connections, and for the one envelope a worker decodes. (Seen: 15 MiB in all.)
        slack=WORKERS * SMALL // 4 + 12 * MIB,
        configuration={"limits": {"max_pending_bytes": SMALL}},
        # Twice as much in two seconds, after which calls end, as there is room for.
        sizes=(40_000, 120_000, 1_000, 180_000),
    ),
    *everywhere("resets mid-body", network(gateway.RESET), ambiguous=True),
    *everywhere("drips its answer", network(gateway.DRIP), ambiguous=True),
    *everywhere("answers garbage", network(gateway.GARBAGE), ambiguous=True),
    *everywhere("answers 500", answers(500), ambiguous=True),
    *everywhere("answers 503", answers(503)),
    *everywhere("answers 429, Retry-After 2", answers(429, "2")),
    *everywhere("away for 20 s, then back", away, ambiguous=True, seconds=20),
    *everywhere("name gone and back", no_name),
    Fault("away for 20 s, then back", away, (SECOND,), ambiguous=True, seconds=20),
    Fault("away for 20 s, then back", away, ALL, ambiguous=True, seconds=20),
    Fault("new configuration every 2 s", reloads, seconds=12),
    Fault("hostile bodies", hostile_bodies, hostile=True, seconds=12),
    Fault("slow bodies", slow_bodies, seconds=40),
    SLOW,
    Fault("another module", another_vm(World.another_module, busy=False), forgets=True),
    Fault("another module, targets away", another_vm(World.another_module, busy=True), forgets=True),
    OTHER_ENVIRONMENT,
    Fault("drain, then SIGTERM", orderly, ends=True),
    Fault("drain, then SIGTERM, targets slow", orderly_slow, ends=True),
    Fault("SIGTERM, targets slow", ended(SIGTERM), ends=True, cut=True),
    Fault("SIGKILL, targets slow", ended(SIGKILL), ends=True, cut=True),
]
# Those that between them meet every kind of outcome, for `make check`.
QUICK = [
    Fault("refuses connections", away, ambiguous=True),
    Fault("hangs after reading", network(gateway.HANG_AFTER), ambiguous=True),
    SLOW,
    OTHER_ENVIRONMENT,
    Fault("SIGTERM, targets slow", ended(SIGTERM), ends=True, cut=True),
]
