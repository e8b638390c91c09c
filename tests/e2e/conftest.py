"""Fixtures of the end-to-end suite. Every server checks itself at teardown."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import paths, sample, second, shared, sls_edge
from support.envoy import Envoy, settled
from support.fake_metadata import FakeMetadata
from support.fake_rum import FakeRum
from support.fake_sls import FakeSls
from support.primary import Primary
from support.second import FakeSecond
from support.shared import Shared
from support.update_edge import Edge, Filters


# The files that take a minute or two, most of it waiting: begun last, they would be what is waited for.
FIRST = [
    f"test_{name}.py"
    for name in (
        "updates", "updates_without_loss", "updates_under_load", "memory", "sls_credentials", "chaos", "soak", "sign",
        "hot_restart", "sls_trouble", "secrets", "sls_expiry", "reload", "observability", "share", "deploy_istio",
    )
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These first, all others in their order; processes take the next file when they are through with one."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """A missing program fails every test at once, and says what to do."""
    for find in (paths.envoy, paths.node, paths.node_modules, paths.module):
        find()


@pytest.fixture(scope="session", autouse=True)
def shared_envoys() -> Iterator[None]:
    """What tests share they leave alive."""
    yield
    shared.close()


@pytest.fixture(scope="session")
def rum_config() -> dict[str, Any]:
    """The mapping that the samples have."""
    return sample.rum()


@pytest.fixture
def primary() -> Iterator[Primary]:
    server = Primary()
    yield server
    server.close()


@pytest.fixture
def rum(rum_config: dict[str, Any]) -> Iterator[FakeRum]:
    """A fake receiver that fails the test by itself when anything unexpected reached it."""
    server = FakeRum(rum_config["authority"])
    yield server
    server.close()
    server.verify()


@pytest.fixture
def envoy(tmp_path: Path, primary: Primary, rum: FakeRum) -> Iterator[Envoy]:
    """The sample as it is, one worker. At the end nothing may be pending and the books must balance."""
    with Shared(tmp_path / "envoy", primary.port, rum.port) as running:
        yield running
        settled(running, pending=0, in_flight=0)


@pytest.fixture
def sls() -> Iterator[FakeSls]:
    """A log service that fails the test by itself for a request that it should not have been sent."""
    server = sls_edge.fake_sls()
    yield server
    server.close()
    server.verify()


@pytest.fixture
def metadata(sls: FakeSls) -> Iterator[FakeMetadata]:
    server = FakeMetadata(sls.keys.__setitem__)
    yield server
    server.close()
    server.verify()


@pytest.fixture
def start_sls(tmp_path: Path, primary: Primary, rum: FakeRum, sls: FakeSls) -> Iterator[Callable[..., Envoy]]:
    """Both legs, in an Envoy that other tests have too; at the end it must still be alive, and not have trapped."""
    running: list[Envoy] = []

    def starter(sls_section: dict | None = None, with_rum: bool = True, **options: Any) -> Envoy:
        directory = tmp_path / f"envoy{len(running)}"
        legs = (primary, rum if with_rum else None, sls)
        running.append(sls_edge.start(directory, *legs, sls_section, kind=Shared, **options))
        return running[-1]

    yield starter
    for envoy in running:
        envoy.stop()


@pytest.fixture
def saas() -> Iterator[FakeSecond]:
    """A second Sentry that fails the test by itself when anything unexpected reached it."""
    server = FakeSecond()
    yield server
    server.close()
    server.verify()


@pytest.fixture
def start_second(tmp_path: Path, primary: Primary, rum: FakeRum, saas: FakeSecond) -> Iterator[Callable[..., Envoy]]:
    """Starts Envoy with a second Sentry; at the end nothing may be left, and RUM must have everything, once."""
    running: list[Envoy] = []

    def starter(**more: Any) -> Envoy:
        running.append(second.start(tmp_path / "envoy", primary.port, rum.port, saas.port, **more))
        return running[-1]

    yield starter
    for envoy in running:
        settled(envoy, 30, captured=len(primary.requests), delivered=len(primary.requests))
        books = second.books(envoy, 30, pending=0, in_flight=0, pending_bytes=0)
        skipped = sum(value for name, value in books.items() if name.startswith("skipped."))
        assert books["captured"] + skipped == len(primary.requests)
        envoy.stop()


@pytest.fixture
def start_edge(tmp_path: Path, primary: Primary, rum: FakeRum, sls: FakeSls) -> Iterator[Callable[..., Edge]]:
    """Starts an edge that is updated while it runs (support/update_edge.py)."""
    running: list[Edge] = []

    def starter(kind: type[Edge], filters: Filters, **options: Any) -> Edge:
        directory = tmp_path / f"edge{len(running)}"
        running.append(kind(directory, primary.port, rum.port, sls.port, filters, **options))
        return running[-1]

    yield starter
    for edge in running:
        edge.stop()
