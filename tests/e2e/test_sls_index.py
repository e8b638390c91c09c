"""envoy/sls-index.json and the queries beside it: as SLS's own SDK reads them, and of fields that logs have."""

import json
import re
from collections.abc import Callable

import pytest
from aliyun.log.index_config import IndexConfig

from support import fixtures, paths, replay
from support.envoy import Envoy, settled
from support.fake_sls import FakeSls

ENVOY = paths.ROOT / "envoy"
INDEX = json.loads((ENVOY / "sls-index.json").read_text())
QUERIES = re.search(r"```sql\n(.*?)```", (ENVOY / "sls-dashboard.md").read_text(), re.DOTALL)[1].strip().split("\n\n")


def test_the_sdk_takes_it_as_it_is() -> None:
    """What `create_index` would send is what the file says."""
    config = IndexConfig()
    config.from_json(INDEX)
    sent = config.to_json()
    assert sent["keys"] == INDEX["keys"]
    assert INDEX["line"].items() <= sent["line"].items()
    assert set(INDEX) == {"line", "keys"}


def test_numbers_are_numbers_and_every_field_has_an_index(start_sls: Callable[..., Envoy], sls: FakeSls, primary) -> None:
    """Of the logs of the whole corpus: no field is without an index, and what is a number there is one here."""
    envoy = start_sls(with_rum=False)
    count = 0
    for fixture in fixtures.load():
        if fixture.wire is None and fixture.framing != "h2-data":
            replay.replay(fixture, envoy.port)
            count += 1
    assert count > 200
    settled(envoy, leg="sls", pending=0, queued=0, seconds=60)
    logs = sls.since(0)
    assert len(logs) > 200
    numbers = {name: set() for name, key in INDEX["keys"].items() if key["type"] != "text"}
    for log in logs:
        for name, value in log.fields.items():
            assert name == "payload" or name in INDEX["keys"], name
            if name in numbers:
                (int if INDEX["keys"][name]["type"] == "long" else float)(value)
                numbers[name].add(value)
    assert len([name for name, values in numbers.items() if values]) > 10
    sls.violations.clear()  # of hostile fixtures, judged elsewhere


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.split("\n")[0][3:])
def test_queries_ask_for_what_is_indexed(query: str) -> None:
    comment, text = query.split("\n")
    assert re.fullmatch(r"-- (number|line|table|bar|area|pie): .+", comment)
    search, _, statement = text.partition("|")
    named = set(re.findall(r"([\w.]+): ", search)) | set(re.findall(r'"([^"]+)"', statement))
    assert named or search.strip() == "*"
    assert named <= set(INDEX["keys"]), named - set(INDEX["keys"])
    for aggregated in re.findall(r'(?:sum|avg|approx_percentile)\("([^"]+)"', statement):
        assert INDEX["keys"][aggregated]["type"] in ("long", "double"), aggregated
