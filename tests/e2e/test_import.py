"""What `sentry-edge-mirror import` makes of an nginx configuration mirrors what the real nginx mirrors, and nothing else."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import nginx, paths, recipes, replay
from support.primary import Primary

RECIPES = recipes.texts()
PROJECTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 19, 20, 21, 42, 70, 99, 123, 4505000000000001]
QUERIES = ["", "?sentry_version=7&sentry_key=0123456789abcdef0123456789abcdef"]

Places = dict[int, list[str | None]]


@pytest.fixture
def receiver() -> Iterator[Primary]:
    """RUM: only where a copy goes is asked here."""
    server = Primary()
    yield server
    server.close()


def imported(directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = directory / "nginx.conf"
    file.write_text(text)
    return subprocess.run([paths.command(), "import", str(file)], capture_output=True, text=True, timeout=60, check=False)


def mirrored(directory: Path, text: str, receiver: Primary) -> Places:
    """Where nginx sends the copies of a project's envelopes: of those without a query, and of those with one."""
    listener = nginx.listener()
    text = text.replace("PORT;", f"{listener.getsockname()[1]};")
    with nginx.Nginx(directory, text, listener) as running:
        for project in PROJECTS:
            for query in QUERIES:
                # The next request of a connection waits for the mirror of the last one, so when this one is answered
                # that one's copy has arrived.
                with replay.Client(running.port) as client:
                    client.request(f"/api/{project}/envelope/{query}", b"{}\n")
                    client.request("/api/0/nothing/", method="GET")
    places: Places = {project: [None] * len(QUERIES) for project in PROJECTS}
    for request in receiver.requests:
        path, _, query = request.target.partition("?")
        found = re.fullmatch(r"(/rum/sentry/[^/]+/[^/]+)/api/(\d+)/envelope/", path)
        if found:
            places[int(found[2])][bool(query)] = found[1]
    return places


def place(rum: dict, project: int) -> str | None:
    """Where the module sends the copies of a project's envelopes."""
    if project in rum.get("exclude", []):
        return None
    found = rum.get("projects", {}).get(str(project)) or rum.get("default")
    return found and f"/rum/sentry/{found['workspace']}/{found['service_id']}"


@pytest.mark.parametrize("name", RECIPES)
def test_nothing_more_and_nothing_less(name: str, tmp_path: Path, primary: Primary, receiver: Primary) -> None:
    text = RECIPES[name].replace("RELAY", str(primary.port)).replace("RUM", str(receiver.port))
    ran = imported(tmp_path, text)
    assert ran.returncode == 0, ran.stderr
    rum = json.loads(ran.stdout)["rum"]
    assert any(places := mirrored(tmp_path, text, receiver).values()), "nginx mirrored nothing: the recipe is wrong"
    for project, (plain, query) in zip(PROJECTS, places, strict=True):
        ours = place(rum, project)
        if plain is None or query is None:
            assert ours is None, (project, plain, query, ours)
        elif plain == query:
            assert ours == plain, (project, plain, ours)
        else:
            # One of the two is the project's own; that the other is given up is said.
            assert ours in (plain, query), (project, plain, query, ours)
            assert "a query; now every envelope of" in ran.stderr
