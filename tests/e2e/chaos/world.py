"""Everything around a fault: two edges, one primary each, both targets behind gateways, a name server."""

import copy
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import other_module, sample, second, sls_edge, update_edge, wait
from support.dns import Dns
from support.envoy import Envoy, balance
from support.fake_rum import FakeRum
from support.fake_rum import Behaviour as RumBehaviour
from support.fake_sls import Behaviour as SlsBehaviour
from support.listener import DRAIN, Listener
from support.primary import Primary
from support.second import FakeSecond

from .attackers import is_theirs
from .crowd import CONNECTIONS, RATE, SIZES, Crowd, numbers
from .gateway import Gateway

WORKERS = 2
MIB = 1 << 20
BUDGET = 96 * MIB
IN_FLIGHT = 128
# What Envoy itself may grow by under load: tests/e2e/test_memory.py allows the same for one worker.
SLACK = 48 * MIB
# Tries come quickly and calls end soon, so that a fault shows all that it can do while it lasts.
CONFIGURATION: dict[str, Any] = {
    "rum": {"timeout_ms": 2000},
    "sls": sls_edge.section(timeout_ms=2000, retry={"max_attempts": 100}),
    "limits": {"max_pending_bytes": BUDGET, "max_in_flight": IN_FLIGHT},
    "retry": {"max_attempts": 100, "initial_backoff_ms": 100, "max_backoff_ms": 1000},
}
LEGS = ("rum", "sls")
# In the worlds that are asked for it; it has a budget of its own.
SECOND = second.LEG
SECOND_BUDGET = BUDGET // 2
WAITING = ("rum.pending", "sls.pending", "sls.queued", f"{SECOND}.pending", f"{SECOND}.queued")
# A listener that is replaced may cut connections that come in at that very moment, with or without us (support/load.py).
CUT_PER_RELOAD = 2
# That moment is as long as another VM takes to start: then it may be each client's connection.
CUT_PER_VM = CONNECTIONS
# Metrics are at most 100 ms old; a busy machine gets more.
STALE_SECONDS = 0.5
# As long as the books must rest before they are closed.
CALM_SECONDS = 2.0
ENDS = ("captured", "delivered", "failed", "dropped", "pending")


def resolved(bootstrap: sample.Yaml, dns: Dns) -> None:
    """Both targets by a name that only our own server knows, asked for twice a second."""
    for name in LEGS:
        cluster = sample.cluster(bootstrap, name)
        cluster.update(
            type="STRICT_DNS",
            dns_lookup_family="V4_ONLY",
            dns_refresh_rate="0.5s",
            dns_failure_refresh_rate={"base_interval": "0.2s", "max_interval": "0.5s"},
            typed_dns_resolver_config={
                "name": "envoy.network.dns_resolver.cares",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                    "resolvers": [{"socket_address": {"address": "127.0.0.1", "port_value": dns.port}}],
                    "dns_resolver_options": {"no_default_search_domain": True},
                },
            },
        )
        sample.address(cluster)["address"] = f"{name}.chaos.test"


@dataclass
class Books:
    """A leg's own account, and what its target says."""

    captured: int = 0
    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    pending: int = 0
    taken: int = 0  # different requests that the target took
    doubled: int = 0  # taken once more than once
    foreign: int = 0  # taken, but never answered by the primary to anyone
    others: int = 0  # captured or taken that is somebody else's: hostile bodies


@dataclass
class Memory:
    """Watches a process' resident memory."""

    envoy: Envoy
    before: int = 0
    peak: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.before = self.peak = self.envoy.rss()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            try:
                self.peak = max(self.peak, self.envoy.rss())
            except (OSError, AssertionError):
                return  # it was killed, on purpose

    def stop(self) -> int:
        """The growth in bytes."""
        self._stopping.set()
        self._thread.join(5)
        return self.peak - self.before


class World:
    """Started, with a crowd at work. Close it in the end."""

    def __init__(
        self,
        directory: Path,
        authority: str,
        configuration: sample.Yaml | None = None,
        rate: float = RATE,
        sizes: tuple[int, ...] = SIZES,
        with_second: bool = False,
    ) -> None:
        self.second = FakeSecond() if with_second else None
        self.legs = (*LEGS, SECOND) if self.second else LEGS
        self.configuration = sample.merge(CONFIGURATION, configuration or {})
        self.budget: int = self.configuration["limits"]["max_pending_bytes"]
        self.budgets = self.budget  # of all legs
        self.problems: list[str] = []  # what faults saw themselves
        self.reloads = 0
        self.may_cut = 0  # requests that new configurations may have cut off
        self.cut: dict[str, int] = {}  # connections of each leg that a fault cut
        self.last: dict[str, int] = {}  # the metrics, when Envoy was about to end
        self.before_last = 0  # requests that had been answered for `STALE_SECONDS` by then
        self.attacks = 0  # hostile bodies that were sent
        self.forgot = False  # whether a VM went, with what was pending in it
        self.may_drop: set[str] = set()  # legs that had to drop something, for what a fault did
        self.vm: sample.Yaml = {}  # what the last fault changed of `vm_config`
        self._directory = directory
        self._forgotten: dict[int, int] = {}
        self.primary, self.plain_primary = Primary(), Primary(keep=False)
        self.rum, self.sls = FakeRum(authority), sls_edge.fake_sls()
        self.sls.only = lambda log: not is_theirs(log)
        self.gateways = {"rum": Gateway(self.rum.port), "sls": Gateway(self.sls.port)}
        if self.second:
            self.gateways[SECOND] = Gateway(self.second.port)
            limits = {"max_pending_bytes": SECOND_BUDGET}
            self.configuration["sentry"] = second.section(self.second.port, timeout_ms=2000, limits=limits)
            self.budgets += SECOND_BUDGET
        self.dns = Dns("up")
        self.listener = Listener(directory / "listeners")
        self.listener.write(self.configuration)
        self.edge = Envoy(
            directory / "edge",
            self.primary.port,
            self.gateways["rum"].port,
            name="tee-lds/bootstrap.yaml",
            concurrency=WORKERS,
            edit=self._edit,
            args=DRAIN,
        )
        self.listener.use_port(self.edge.port)
        self.plain = Envoy(directory / "plain", self.plain_primary.port, 9, with_mirror=False, concurrency=WORKERS)
        self.crowd = Crowd(self.edge.port, self.plain.port, rate=rate, sizes=sizes)

    def _edit(self, bootstrap: sample.Yaml) -> None:
        self.listener.point(bootstrap)
        if self.second:
            second.cluster(self.gateways[SECOND].port)(bootstrap)
        sls_edge.clusters(bootstrap, self.gateways["sls"].port, None)
        resolved(bootstrap, self.dns)

    # ---- what faults do

    def mode(self, legs: tuple[str, ...], mode: str) -> None:
        for leg in legs:
            self.gateways[leg].mode = mode

    def behave(self, legs: tuple[str, ...], rum: RumBehaviour, sls: SlsBehaviour) -> None:
        if "rum" in legs:
            self.rum.behave = rum
        if "sls" in legs:
            self.sls.behave = sls

    def reload(self) -> None:
        """Another configuration that says the same."""
        self.reloads += 1
        self.may_cut += CUT_PER_RELOAD
        changed = copy.deepcopy(self.configuration)
        changed["rum"]["timeout_ms"] += self.reloads % 7 + 1
        self.listener.write(changed, self.vm)

    def another_module(self) -> None:
        """A module that does the same, in another file: another VM."""
        path = other_module.write(self._directory, self.reloads)
        self.may_cut += CUT_PER_VM
        self.vm = sample.merge(self.vm, {"code": {"local": {"filename": str(path)}}})
        self.reload()

    def another_environment(self) -> None:
        """A variable that nobody reads: another VM all the same."""
        variables = {"MADE_DIFFERENT": str(self.reloads)}
        self.may_cut += CUT_PER_VM
        self.vm = sample.merge(self.vm, update_edge.another_environment(variables))
        self.reload()

    def expect(self, right: bool, otherwise: str) -> None:
        """What a fault finds by itself, while it lasts."""
        if not right:
            self.problems.append(otherwise)

    def expect_soon(self, what: str, probe: Callable[[], bool], seconds: float = 15.0) -> None:
        """Waits for it."""
        try:
            wait.until(what, probe, seconds, 0.05)
        except AssertionError as error:
            self.problems.append(str(error))

    def updates(self, what: str) -> int:
        """Listener updates that Envoy took (success) or refused (rejected)."""
        return self.edge.stats(f"listener_manager.lds.update_{what}$")[f"listener_manager.lds.update_{what}"]

    def members(self, leg: str) -> int:
        """Addresses that Envoy knows of a target."""
        return self.edge.stats(f"cluster.{leg}.membership_total$")[f"cluster.{leg}.membership_total"]

    def look(self) -> None:
        """The metrics right before Envoy is ended from one moment to the next."""
        self.before_last = len(self.crowd.mirrored.answered)
        time.sleep(STALE_SECONDS)

        def balanced() -> bool:
            # They are read one by one while workers count, so that a single reading may be askew.
            self.last = self.edge.metrics()
            return self.problem(self.last) is None

        self.expect_soon("books that balance under load", balanced)

    def waits(self) -> bool:
        """Whether anything is still to be delivered; what was read stays in `last`."""
        self.last = self.edge.metrics()
        return any(self.last.get(name, 0) for name in WAITING)

    # ---- what is found in the end

    def quiet(self, seconds: float) -> dict[str, int]:
        """Waits until nothing has been pending for a while and all adds up, or until the time is over; the last metrics.

        For a while: a worker that had no turn yet has not published what it captured last.
        """
        deadline = time.monotonic() + seconds
        seen, since = dict[str, int](), time.monotonic()
        while True:
            metrics, now = self.edge.metrics(), time.monotonic()
            books = {name: value for name, value in metrics.items() if name.rpartition(".")[2] in ENDS}
            pending = sum(metrics.get(name, 0) for name in WAITING)
            if books != seen or pending or self.problem(metrics) is not None:
                seen, since = books, now
            if now - since > CALM_SECONDS or now > deadline:
                return metrics
            time.sleep(0.1)

    def rest(self) -> None:
        """Waits until the targets are through with what they have."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 1:
            now = len(self.rum.taken) + len(self.sls.logs)
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.05)

    def problem(self, metrics: dict[str, int]) -> str | None:
        return next((text for leg in self.legs if (text := balance(metrics, leg))), None)

    def books(self, metrics: dict[str, int]) -> dict[str, Books]:
        """Of all legs. Each request makes one copy for each Sentry, and one log."""
        answered = self.crowd.mirrored.answered
        arrived = {
            "rum": Counter(numbers(request.target for request in list(self.rum.taken))),
            "sls": Counter(_numbers(log.get("sentry.message") or "" for log in self.sls.since(0))),
        }
        if self.second:
            arrived[SECOND] = Counter(numbers(request.target for request in list(self.second.taken)))
        others = {"rum": self.attacks, "sls": self.sls.others, SECOND: self.attacks}
        found = {}
        for leg, taken in arrived.items():
            found[leg] = Books(
                *(metrics.get(f"{leg}.{end}", 0) for end in ENDS),
                taken=len(taken),
                doubled=taken.total() - len(taken),
                foreign=len(taken.keys() - answered),
                others=others[leg],
            )
        return found

    def forget_bodies(self) -> None:
        """What the fakes keep for ever is small."""
        for requests in (self.primary.requests, self.rum.arrived, self.sls.requests):
            kept = self._forgotten.get(id(requests), 0)
            # The last ones may still be read by the fake itself.
            end = max(kept, len(requests) - 200)
            for request in requests[kept:end]:
                request.body = b""
            self._forgotten[id(requests)] = end

    def violations(self) -> list[str]:
        """What the targets found wrong with what they were sent, beside its number."""
        return self.rum.violations + self.sls.violations + (self.second.violations if self.second else [])

    def close(self) -> None:
        self.crowd.halt()
        for envoy in (self.edge, self.plain):
            if envoy.process.poll() is None:
                envoy.stop()
        for server in (self.primary, self.plain_primary, *self.gateways.values(), self.rum, self.sls):
            server.close()
        if self.second:
            self.second.close()
        self.dns.close()


def _numbers(messages: Iterable[str]) -> Iterator[int]:
    """The events' numbers; other traffic has none."""
    found = (re.match(r"number (\d+) ", message) for message in messages)
    return (int(match[1]) for match in found if match)
