"""Envoy with a second Sentry beside RUM, and a fake one that checks every byte that it is sent."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import bugsink, http1, rekey, rules, sample, sls_edge
from .envoy import Envoy, settled
from .fake_rum import Behaviour, FakeRum
from .fake_sls import FakeSls
from .primary import Primary

NAME = "saas"
LEG = f"sentry.{NAME}"
# Whose events go where: no project has the same number at both, so no key either.
PROJECTS = {1: 3, 2: 1, 3: 2}
# Copies are tried again soon, and do not run out of tries.
RETRY = {"max_attempts": 100, "initial_backoff_ms": 50, "max_backoff_ms": 500}
LIMITS = "x-sentry-rate-limits"


def dsn(project: int, port: int, path: str = "") -> rekey.Dsn:
    """Of a project of the primary: the DSN that its copies get."""
    its = PROJECTS[project]
    return rekey.Dsn(f"http://{bugsink.key(its)}@127.0.0.1:{port}{path}/{its}")


def section(port: int, name: str = NAME, **more: Any) -> sample.Yaml:
    """The section `sentry` with one target; `more`: further keys of it."""
    projects = {str(project): dsn(project, port).text for project in PROJECTS}
    return {name: {"upstream": name, "projects": projects, **more}}


def expected(port: int, request: http1.Request, everything: bool = False) -> rekey.Rekeyed | None:
    """The copy for the second Sentry; None for a project that is not listed."""
    project = rules.project(request.target, everything)
    return rekey.of(dsn(project, port), request, everything) if project in PROJECTS else None


def cluster(port: int, name: str = NAME) -> Callable[[sample.Yaml], None]:
    """Gives a bootstrap the cluster of a second Sentry, which is like RUM's."""

    def edit(bootstrap: sample.Yaml) -> None:
        added = copy.deepcopy(sample.cluster(bootstrap, "rum"))
        added["name"] = added["load_assignment"]["cluster_name"] = name
        sample.address(added)["port_value"] = port
        bootstrap["static_resources"]["clusters"].append(added)

    return edit


def start(
    directory: Path,
    primary: int,
    rum: int,
    port: int,
    *,
    sls: FakeSls | None = None,
    retry: sample.Yaml = RETRY,
    **more: Any,
) -> Envoy:
    """Envoy with the leg, and with the SLS leg if there is a log service; `more`: further keys of the target."""
    add = cluster(port)

    def edit(bootstrap: sample.Yaml) -> None:
        add(bootstrap)
        if sls is not None:
            sls_edge.edit(sls, sls_edge.section())(bootstrap)

    configuration = {"sentry": section(port, **more), "retry": retry}
    name = "tee.yaml" if sls is None else sls_edge.NAME
    return Envoy(directory, primary, rum, name=name, configuration=configuration, edit=edit)


def books(envoy: Envoy, seconds: float = 15.0, **wanted: int) -> dict[str, int]:
    """The leg's metrics alone, without its name, once they balance and have the wanted values."""
    wanted.setdefault("queued", 0)
    metrics = settled(envoy, seconds, leg=LEG, **wanted)
    return {name.removeprefix(f"{LEG}."): value for name, value in metrics.items() if name.startswith(f"{LEG}.")}


def everything_at_rum(primary: Primary, rum: FakeRum, rum_config: sample.Yaml) -> None:
    """RUM gets a copy of all that the primary was sent, whatever the second Sentry gets."""
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    rum.wait(seconds=30)

class FakeSecond(FakeRum):
    """A second Sentry. Beside what is expected of each copy, it looks for every key but its own."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1")
        # Known once the port is.
        self.authority = f"127.0.0.1:{self.port}"

    def expect_of(self, request: http1.Request, everything: bool = False) -> rekey.Rekeyed | None:
        """Registers the copy of a request as the primary got it."""
        found = expected(self.port, request, everything)
        self.expect(found and found.copy)
        return found

    def _path_problems(self, request: http1.Request) -> list[str]:
        parts = request.target.split("/")
        if parts[:2] != ["", "api"] or parts[2] not in [str(its) for its in PROJECTS.values()]:
            return ["path is not /api/<a project of the second Sentry>/..."]
        key = bugsink.key(int(parts[2]))
        # Of a body that cannot be read nobody knows what it says.
        head = request.head.decode("latin-1")
        others = {bugsink.key(its) for its in PROJECTS.values()} - {key}
        return [f"the key {other} of another project" for other in others if other in head]


def limited(item_type: str, seconds: int) -> Callable[[http1.Request], Behaviour]:
    """Answers 429 to envelopes with this type, and says how long to wait with that category alone."""
    header = ((LIMITS, f"{seconds}:{item_type}:organization"),)

    def behave(request: http1.Request) -> Behaviour:
        is_it = f'"type":"{item_type}"'.encode() in request.body
        return Behaviour(status=429, headers=header) if is_it else Behaviour()

    return behave


def envelope(item_type: str, number: int, header: str = "{}") -> bytes:
    """With one item."""
    return f'{header}\n{{"type":"{item_type}"}}\n{{"number":{number}}}\n'.encode()
