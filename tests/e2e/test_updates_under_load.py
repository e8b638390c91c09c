"""Updates that replace the VM while copies are in flight. A file of its own: files run side by side, and it waits long."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support import sample, wait
from support.envoy import settled
from support.fake_rum import Behaviour, FakeRum
from support.load import Load
from support.primary import Primary
from support.update_edge import Ecds, Edge, Lds, another_module, drains, plugin
from test_updates import BOOKED


@pytest.mark.parametrize("kind", [Lds, Ecds])
def test_updates_under_load_add_up(
    start_edge: Callable[..., Edge], tmp_path: Path, rum: FakeRum, primary: Primary, kind: type[Edge]
) -> None:
    """Three new modules under load, with a receiver so slow that there are always copies in flight."""
    configuration = {"rum": sample.rum(), "limits": {"max_in_flight": 400}}
    edge = start_edge(kind, [{"typed_config": plugin(configuration)}], concurrency=2)
    rum.behave = Behaviour(seconds=0.3)
    load = Load(edge.envoy.port, 2000, connections=6, seconds=120)
    for version in range(3):
        taken = rum.accepted
        wait.until("the load flows", lambda taken=taken: rum.accepted > taken + 50, 30)
        module = another_module(tmp_path, f"version{version}")
        edge.update([{"typed_config": plugin(configuration, module=module)}])
    result = load.stop()
    assert result.wrong == []
    envoy = edge.envoy
    metrics = settled(envoy, BOOKED + 10, pending=0, in_flight=0, pending_bytes=0)
    # The end of a listener's drain cuts off what is under way: captured perhaps, and not at the primary yet.
    reached = len(primary.requests)
    assert reached <= metrics["rum.captured"] <= reached + result.unanswered
    # In flight means that RUM may have it: what is counted as delivered it has, what is counted as dropped perhaps.
    assert metrics["rum.delivered"] <= rum.accepted
    assert metrics["rum.dropped"] > 0, "nothing was pending at an update: this shows nothing"
    rum.taken.clear()
    drains(envoy)
