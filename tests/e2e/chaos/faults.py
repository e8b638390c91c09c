"""The faults, each as a function that does it to a world for so many seconds and puts everything right again."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from support import fake_rum, fake_sls, wait

from . import gateway
from .world import LEGS, World

Legs = tuple[str, ...]
BOTH: Legs = LEGS
RUM: Legs = ("rum",)
SLS: Legs = ("sls",)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, with whom, and what that may cost."""

    name: str
    do: Callable[[World, Legs, float], None]
    legs: Legs = BOTH
    # Nobody can know whether the target took what it did not answer: the RUM leg then counts a copy as failed rather
    # than send it twice, the SLS leg (at least once) sends it again.
    ambiguous: bool = False
    # Envoy ends: what was pending is lost, and the counters with it.
    ends: bool = False
    seconds: float | None = None  # instead of the harness' own

    @property
    def title(self) -> str:
        return self.name if self.legs == BOTH else f"{self.name} ({self.legs[0]} only)"


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
    """The targets' names cease to be, and their addresses with them."""
    world.dns.mode = "nxdomain"
    away(world, legs, seconds)
    world.dns.mode = "up"


def reloads(world: World, _legs: Legs, seconds: float) -> None:
    """A new configuration every two seconds."""
    end = time.monotonic() + seconds
    for version in itertools.count(1):
        world.reload(version)
        if time.monotonic() > end:
            break
        time.sleep(2)


def orderly(world: World, _legs: Legs, seconds: float) -> None:
    """As the README says: drain the listeners, wait until nothing is pending, SIGTERM."""
    time.sleep(seconds)
    assert world.edge.admin("/drain_listeners?graceful", "POST").strip() == "OK"
    world.crowd.stop()
    wait.until("nothing is pending", lambda: not any(world.edge.metrics()[f"{leg}.pending"] for leg in LEGS), 60)
    world.edge.process.terminate()
    world.edge.process.wait(20)


def stopped(world: World, _legs: Legs, seconds: float) -> None:
    """SIGTERM in the midst of it, with slow targets so that there is something to lose."""
    _slow(world)
    time.sleep(seconds)
    world.edge.process.terminate()
    world.edge.process.wait(20)


def killed(world: World, _legs: Legs, seconds: float) -> None:
    """SIGKILL, likewise."""
    _slow(world)
    time.sleep(seconds)
    world.edge.process.kill()
    world.edge.process.wait(20)


def _slow(world: World) -> None:
    world.behave(BOTH, fake_rum.Behaviour(seconds=0.3), fake_sls.Behaviour(seconds=0.3))


def everywhere(name: str, do: Callable[[World, Legs, float], None], **more: bool) -> list[Fault]:
    """One leg, the other, both."""
    return [Fault(name, do, legs, **more) for legs in (RUM, SLS, BOTH)]


FAULTS: list[Fault] = [
    Fault("nothing", nothing),
    *everywhere("refuses connections", away, ambiguous=True),
    *everywhere("hangs before reading", network(gateway.HANG_BEFORE), ambiguous=True),
    *everywhere("hangs after reading", network(gateway.HANG_AFTER), ambiguous=True),
    *everywhere("resets mid-body", network(gateway.RESET), ambiguous=True),
    *everywhere("drips its answer", network(gateway.DRIP), ambiguous=True),
    *everywhere("answers garbage", network(gateway.GARBAGE), ambiguous=True),
    *everywhere("answers 500", answers(500), ambiguous=True),
    *everywhere("answers 503", answers(503)),
    *everywhere("answers 429, Retry-After 2", answers(429, "2")),
    Fault("away for 20 s, then back", away, ambiguous=True, seconds=20),
    Fault("name gone and back", no_name, ambiguous=True),
    Fault("new configuration every 2 s", reloads, seconds=12),
    Fault("drain, then SIGTERM", orderly, ends=True),
    Fault("SIGTERM, targets slow", stopped, ends=True),
    Fault("SIGKILL, targets slow", killed, ends=True),
]
# Three that between them meet every kind of outcome, for `make check`.
QUICK = [
    Fault("refuses connections", away, ambiguous=True),
    Fault("hangs after reading", network(gateway.HANG_AFTER), ambiguous=True),
    Fault("SIGTERM, targets slow", stopped, ends=True),
]
