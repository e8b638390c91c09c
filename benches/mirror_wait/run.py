"""How long nginx's mirror holds up a client whose RUM takes 2 s: part of `make bench`.

Run with the Python of the project's venv: .tools/venv/bin/python benches/mirror_wait/run.py [--rounds N]

A client posts an envelope and then, on the same connection, something else; measured is the time until that second
request is answered. Rows: no mirror at all; the vendor's recipe (`mirror` + `map`); the same with a relay behind it
(nginx/mirror-relay.conf); stock nginx with `mirror` to Envoy with this module (nginx/mirror.conf,
envoy/mirror-target.yaml), the plain way and with fast_ack. The copies that RUM got are counted, so that no row is fast
because it lost them.

The results are written to benches/mirror_wait/results.md unless --rounds is given.

Exit status 0 when everything could be measured; nothing here is a timed test.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "benches" / "side_by_side")]

import contenders  # noqa: E402
from processes import Process, cores  # noqa: E402
from support import nginx, replay, results, wait  # noqa: E402
from support.envoy import Envoy  # noqa: E402
from support.fake_rum import Behaviour, FakeRum  # noqa: E402
from support.free_port import free_port  # noqa: E402
from support.primary import Primary  # noqa: E402

ROUNDS = 10
PAGE = """# What a mirror makes a client wait

`make bench` wrote this; benches/mirror_wait/run.py says how it is measured. RUM takes 2 s. The request after an envelope, on the
same connection, is answered after:"""
SLOW_SECONDS = 2.0
AUTHORITY = "rum.example.com"
TARGET = f"/api/{contenders.PROJECT}/envelope/?sentry_key=k"
PLAIN = {"fast_ack": None, "rum": {"upstream": None}}


@contextlib.contextmanager
def nothing(directory: Path, primary: int, _: int) -> Iterator[int]:
    with nginx.mirror(directory, primary, 9, {"mirror /_mirror;": "", "mirror_request_body on;": ""}) as running:
        yield running.port


@contextlib.contextmanager
def recipe(directory: Path, primary: int, rum: int) -> Iterator[int]:
    port = free_port()
    config = directory / "nginx.conf"
    config.write_text(contenders.nginx_mirror(contenders.Ports(port, 0, 0, primary, rum), directory))
    command = [nginx.program(), "-c", str(config), "-e", "stderr", "-p", str(directory)]
    with Process("nginx", command, cores()[0] | cores()[1], directory / "log") as process:
        wait.until("nginx", lambda: accepts(port, process))
        yield port


@contextlib.contextmanager
def relay(directory: Path, primary: int, rum: int) -> Iterator[int]:
    with nginx.relay(directory, primary, rum) as running:
        yield running.port


@contextlib.contextmanager
def module(directory: Path, primary: int, rum: int, configuration: dict) -> Iterator[int]:
    with (
        Envoy(directory / "envoy", 0, rum, name="mirror-target.yaml", configuration=configuration) as envoy,
        nginx.mirror(directory / "nginx", primary, envoy.port) as running,
    ):
        yield running.port


def accepts(port: int, process: Process) -> bool:
    process.check_alive()
    try:
        replay.Client(port).close()
    except OSError:
        return False
    return True


ROWS = [
    ("nginx, no mirror", nothing, False),
    ("nginx `mirror` + `map` (the vendor's recipe)", recipe, True),
    ("nginx `mirror` + `map` -> relay -> RUM", relay, True),
    ("nginx `mirror` -> Envoy with this, plain", lambda *a: module(*a, PLAIN), True),
    ("nginx `mirror` -> Envoy with this, fast_ack", lambda *a: module(*a, {}), True),
]


def measure(port: int, rounds: int) -> list[float]:
    """Seconds until the request after an envelope is answered, on one connection."""
    waits = []
    with replay.Client(port, timeout=30) as client:
        # Not measured: the first request opens connections. (The recipe serves nothing but ingest: then 404.)
        assert client.request("/elsewhere", b"warm").status in (200, 404)
        for number in range(rounds):
            assert client.request(TARGET, b"%d" % number).status == 200
            began = time.monotonic()
            assert client.request("/elsewhere", b"next").status in (200, 404)
            waits.append(time.monotonic() - began)
    return waits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int)
    asked = parser.parse_args().rounds
    rounds = asked or ROUNDS
    before = results.load()
    rows = []
    print(f"RUM takes {SLOW_SECONDS:g} s. The request after an envelope, on the same connection, is answered after:")
    with tempfile.TemporaryDirectory(prefix="mirror_wait.") as directory:
        for number, (title, start, mirrors) in enumerate(ROWS):
            own = Path(directory) / str(number)
            own.mkdir()
            primary, rum = Primary(), FakeRum(AUTHORITY, keep=False)
            rum.behave = Behaviour(seconds=SLOW_SECONDS)
            try:
                with start(own, primary.port, rum.port) as port:
                    waits = measure(port, rounds)
                    wanted = rounds if mirrors else 0
                    wait.until(f"{wanted} copies at RUM", lambda n=wanted, r=rum: r.accepted >= n, 30)
            finally:
                primary.close()
                rum.close()
            median, worst = (f"{1000 * value:8.1f} ms" for value in (statistics.median(waits), max(waits)))
            print(f"  {title:46} median {median}  most {worst}  copies {rum.accepted} of {rounds}", flush=True)
            rows.append([title, median.strip(), worst.strip(), f"{rum.accepted} of {rounds}"])
    if not asked:
        table = results.table(["", "median", "longest", "copies"], rows)
        (HERE / "results.md").write_text(f"{PAGE}\n\n{results.heading(before)}\n\n{table}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
