"""What a mirror makes Envoy do, counted: instructions and allocations a request, by contender: `make bench-counts`.

Run with the Python of the project's venv: .tools/venv/bin/python benches/counts/run.py [--only KEYS]

The yardstick for small gains: real Envoy under callgrind, which counts and does not measure, so another program beside it does
not matter. Besides requests Envoy does things by the clock, our module every 100 ms when there was a request. So each figure is
the difference of two windows of the same length, one with twice the requests of the other, and both with several in each 100 ms.
Requests come one after the other at fixed moments; a machine that cannot keep the pace is an error. The results are written to
benches/counts/results.md after a whole run.

Exit status 1 when something broke, or when the windows of a contender differ by more than they may.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SIDE_BY_SIDE = HERE.parent / "side_by_side"
sys.path[:0] = [str(HERE), str(SIDE_BY_SIDE), str(ROOT / "tests" / "e2e")]

import contenders  # noqa: E402
from callgrind import Callgrind, Counts  # noqa: E402
from contenders import LUA_CALL, OURS, PLACEMENT, PLAIN, SHADOW, UPSTREAM_LUA, Contender, Ports  # noqa: E402
from measure import Workload, copies, fetch, make_workload  # noqa: E402
from support import paths, results  # noqa: E402
from support.free_port import free_port  # noqa: E402

ALL = (PLAIN, SHADOW, UPSTREAM_LUA, LUA_CALL, OURS, PLACEMENT)
BODY_BYTES = 8192
# V8 compiles what has run often enough; before that its code is another.
WARM_UP = 2000
# Requests a second of the larger window, and the length of both.
RATE = 48.0
SECONDS = 5.0
ROUNDS = 5
# Of the median, either way: the middle three rounds. One may hold what Envoy does once in a while.
SPREAD = 0.01


@dataclass(frozen=True)
class Found:
    """A contender's figures, each round's."""

    contender: Contender
    work: Workload
    instructions: list[float]
    allocations: list[float]

    @property
    def title(self) -> str:
        """What was counted."""
        return f"{self.contender.title}, {self.work.target}"

    def spread(self) -> float:
        """How far the instructions of the middle rounds are from the median."""
        _, *middle, _ = sorted(self.instructions)
        median = statistics.median(middle)
        return max(abs(each - median) for each in middle) / median


class Targets:
    """The primary and RUM: they answer at once, and count."""

    def __init__(self) -> None:
        self.primary, self.rum = free_port(), free_port()
        self.children = [
            subprocess.Popen([sys.executable, str(SIDE_BY_SIDE / "slow_rum.py"), str(port), "0"])
            for port in (self.primary, self.rum)
        ]

    def __enter__(self) -> "Targets":
        return self

    def __exit__(self, *_) -> None:
        for child in self.children:
            child.terminate()
            child.wait()


class Client:
    """One connection, one request at a time."""

    def __init__(self, port: int, work: Workload) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = work.request_file.read_bytes()

    def send(self) -> None:
        """One request and its answer."""
        self.socket.sendall(self.request)
        data = b""
        while b"\r\n\r\n" not in data or not data.endswith(b"{}"):
            piece = self.socket.recv(65536)
            if not piece:
                raise RuntimeError("Envoy closed the connection")
            data += piece
        if not data.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"the primary's answer became {data[:20]!r}")

    def paced(self, count: int, seconds: float) -> float:
        """So many requests at equal distances. How long that took."""
        start = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, start + number * seconds / count - time.monotonic()))
            self.send()
        time.sleep(max(0.0, start + seconds - time.monotonic()))
        return time.monotonic() - start


Bootstrap = Callable[[Contender, Ports], dict]


def bootstrap(contender: Contender, ports: Ports) -> dict:
    """The contender's configuration."""
    return contenders.bootstrap(contender, ports, ROOT)


def count(
    contender: Contender, targets: Targets, work: Workload, directory: Path, rate: float, config: Bootstrap = bootstrap
) -> Found:
    """All rounds of a contender, in one Envoy."""
    ports = Ports(free_port(), free_port(), free_port(), targets.primary, targets.rum)
    path = directory / "envoy.json"
    # Without Envoy's own clockwork.
    path.write_text(json.dumps({**config(contender, ports), "stats_flush_on_admin": True}))
    command = [paths.envoy(), "-c", str(path), "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "warning"]
    with Callgrind(command, directory) as envoy:
        envoy.wait_until("Envoy", lambda: fetch(ports.admin, "/ready").strip() == "LIVE")
        client = Client(ports.edge, work)
        expected = copies(targets.rum)

        def requests(number: int) -> float:
            nonlocal expected
            took = client.paced(number, SECONDS)
            expected += number if contender.mirrors else 0
            envoy.wait_until("the copies", lambda: copies(targets.rum) == expected)
            return took

        for _ in range(WARM_UP):
            client.send()
        expected += WARM_UP if contender.mirrors else 0
        envoy.wait_until("the copies", lambda: copies(targets.rum) == expected)
        few = round(rate * SECONDS / 2)
        # The first window translates anew.
        envoy.window(lambda: requests(few))
        found = Found(contender, work, [], [])
        for turn in range(ROUNDS):
            each = difference(envoy, requests, few)
            found.instructions.append(each.instructions / few)
            # Half of the calls take, half give back.
            found.allocations.append(each.allocator_calls / few / 2)
            progress(f"{contender.key:8} round {turn + 1}: {found.instructions[-1]:9.0f} instructions")
    return found


def difference(envoy: Callgrind, requests, few: int) -> Counts:
    """What so many requests cost alone: both windows are as long, and measured again where they were not."""
    for _ in range(5):
        lengths: list[float] = []
        many = envoy.window(lambda: lengths.append(requests(2 * few)))
        less = envoy.window(lambda: lengths.append(requests(few)))
        if max(lengths) < SECONDS * 1.1:
            return many - less
        progress(f"the windows took {lengths[0]:.1f} and {lengths[1]:.1f} s instead of {SECONDS:.1f}: again")
    raise RuntimeError(f"this machine cannot keep {2 * few / SECONDS:.0f} requests/s under callgrind: a lower --rate")


def method(rate: float) -> str:
    """The end of a sentence that begins with Envoy's own."""
    return f"""instructions under callgrind, those of the module's compiled code with them. Medians of {ROUNDS} rounds of {rate * SECONDS / 2:.0f} requests; the spread is
the largest distance of the middle three rounds' instructions from the median. An allocation is a call that takes memory."""


def report(found: list[Found], heading: str, rate: float) -> str:
    """The results file."""
    shadow = next((each for each in found if each.contender is SHADOW), None)
    rows = []
    for each in found:
        instructions, allocations = statistics.median(each.instructions), statistics.median(each.allocations)
        times = f"{instructions / statistics.median(shadow.instructions):.2f}" if shadow else "-"
        row = [each.contender.title, f"{instructions / 1000:.1f}", times, f"{allocations:.0f}"]
        rows.append([*row, f"{each.spread():.2%}"])
    head = ["", "thousand instructions a request", "times native shadow", "allocations a request", "spread"]
    return f"""# What a mirror makes Envoy do

Written by `make bench-counts`. POST of {BODY_BYTES} bytes, one worker, one connection, one request at a time; Envoy's own
{method(rate)}

{heading}

{results.table(head, rows)}
"""


def progress(text: str) -> None:
    """One line, at once."""
    print(text, file=sys.stderr, flush=True)


def whole_run(
    description: str | None,
    keys: list[str],
    counted: Callable[[str, Targets, Path, float], list[Found]],
    report: Callable[[list[Found], str, float], str],
    path: Path,
) -> int:
    """Counts what each of the chosen keys stands for, prints the report, and writes it if it is of all. The exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="KEYS", help="comma-separated: " + ",".join(keys))
    parser.add_argument("--rate", type=float, default=RATE, help=f"requests a second ({RATE:.0f}); under 24 ours is too dear")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else keys
    if unknown := set(wanted) - set(keys):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    heading = results.heading(os.getloadavg()[0], counted=True)
    directory = Path(tempfile.mkdtemp(prefix="counts."))
    found = []
    try:
        with Targets() as targets:
            for key in (key for key in keys if key in wanted):
                place = directory / key
                place.mkdir()
                found += counted(key, targets, place, args.rate)
    except (RuntimeError, OSError, subprocess.SubprocessError, contenders.SampleError) as error:
        print(f"counts: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    text = report(found, heading, args.rate)
    print(text)
    if not args.only and args.rate == RATE:
        path.write_text(text)
    apart = [each for each in found if each.spread() > SPREAD]
    for each in apart:
        print(f"counts: {each.title}: the rounds are {each.spread():.2%} apart", file=sys.stderr)
    return 1 if apart else 0


def main() -> int:
    """Of a mirrored request, by contender."""
    by_key = {contender.key: contender for contender in ALL}

    def counted(key: str, targets: Targets, directory: Path, rate: float) -> list[Found]:
        work = make_workload(contenders.PROJECT, BODY_BYTES, directory)
        return [count(by_key[key], targets, work, directory, rate)]

    return whole_run(__doc__, list(by_key), counted, report, HERE / "results.md")


if __name__ == "__main__":
    sys.exit(main())
