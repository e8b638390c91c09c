"""What Envoy does for a request that is not mirrored, counted, with the sample and without the module: `make bench-passing`.

Run with the Python of the project's venv: .tools/venv/bin/python benches/counts/passing.py [--only KEYS]

Counted as by run.py. The sample is envoy/tee.yaml as it is. Without the module it is the same file without its filter, and
with the last route alone. The requests are a browser's: of a page and of the web API, which the module does not see, and
what it asks before it sends an envelope, which the module sees and lets pass. The results are written to benches/counts/passing.md after a whole run.

Exit status 1 when something broke, or when the windows of a row differ by more than they may. A limit that is not kept is
named in the results.
"""

import argparse
import copy
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from run import HERE, RATE, ROOT, ROUNDS, SECONDS, SPREAD, Found, Targets, count

# run.py has said where these are.
import contenders
from contenders import OURS, Contender, Ports
from measure import Workload
from support import results

RESULTS = HERE / "passing.md"
BROWSER = """user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0
accept: */*
accept-language: en-US,en;q=0.5
accept-encoding: gzip, deflate, br
"""
OF_A_PAGE = """referer: https://sentry.bench.test/organizations/shop/issues/
cookie: sentrysid=0123456789abcdef0123456789abcdef; sc=0123456789abcdef
"""
OF_AN_SDK = """access-control-request-method: POST
access-control-request-headers: content-type,x-sentry-auth
origin: https://shop.bench.test
"""
WITHOUT = Contender("without", "envoy/tee.yaml without the module", mirrors=False)
WITH = Contender("with", "envoy/tee.yaml", mirrors=False)


@dataclass(frozen=True)
class Request:
    """What is asked for, and what it may cost with the module, times without."""

    key: str
    title: str
    line: str
    headers: str
    limit: float


REQUESTS = (
    Request("page", "a page", "GET /organizations/shop/issues/?project=1", OF_A_PAGE, 1.01),
    Request("api", "the web API", "GET /api/0/organizations/shop/issues/?project=1", OF_A_PAGE, 1.01),
    Request("options", "OPTIONS before an envelope, which the module sees", "OPTIONS /api/4242/envelope/", OF_AN_SDK, 1.12),
)


def bootstrap(contender: Contender, ports: Ports) -> dict:
    """The sample, or what is left of it."""
    config = contenders.bootstrap(OURS, ports, ROOT)
    if contender is WITH:
        return config
    config = copy.deepcopy(config)
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = manager["http_filters"][1:]
    (host,) = manager["route_config"]["virtual_hosts"]
    host["routes"] = [{key: route[key] for key in ("match", "route")} for route in host["routes"][-1:]]
    return config


def workload(request: Request, directory: Path) -> Workload:
    """The request as bytes, in a file."""
    path = directory / "request"
    head = f"{request.line} HTTP/1.1\nhost: sentry.bench.test\n{BROWSER}{request.headers}\n"
    path.write_bytes(head.replace("\n", "\r\n").encode())
    return Workload(request.line, directory / "body", path, b"")


def report(found: list[tuple[Request, Found]], heading: str, rate: float) -> str:
    """The results file."""
    rows, plain = [], {}
    for request, each in found:
        instructions, allocations = statistics.median(each.instructions), statistics.median(each.allocations)
        row = [request.title, each.contender.title, f"{instructions / 1000:.1f}"]
        if each.contender is WITHOUT:
            plain[request] = instructions
            row += ["1", ""]
        elif request in plain:
            times = instructions / plain[request]
            row += [f"{times:.3f}", f"{request.limit}: {'met' if times <= request.limit else 'MISSED'}"]
        else:
            row += ["-", ""]
        rows.append([*row, f"{allocations:.1f}", f"{each.spread():.2%}"])
    head = ["request", "configuration", "thousand instructions a request", "times without", "at most", "allocations", "spread"]
    return f"""# What a request costs that is not mirrored

Written by `make bench-passing`. Requests of a browser, without a body, one worker, one connection, one request at a time; Envoy's own
instructions under callgrind, those of the module's compiled code with them. Medians of {ROUNDS} rounds of {rate * SECONDS / 2:.0f} requests; the spread is
the largest distance of the middle three rounds' instructions from the median. An allocation is a call that takes memory.

{heading}

{results.table(head, rows)}
"""


def main() -> int:
    """The whole run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    keys = [request.key for request in REQUESTS]
    parser.add_argument("--only", metavar="KEYS", help="comma-separated: " + ",".join(keys))
    parser.add_argument("--rate", type=float, default=RATE, help=f"requests a second ({RATE:.0f})")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else keys
    if unknown := set(wanted) - set(keys):
        parser.error(f"unknown request: {', '.join(sorted(unknown))}")
    heading = results.heading(os.getloadavg()[0], counted=True)
    directory = Path(tempfile.mkdtemp(prefix="passing."))
    found = []
    try:
        with Targets() as targets:
            for request in (each for each in REQUESTS if each.key in wanted):
                for contender in (WITHOUT, WITH):
                    place = directory / f"{request.key}.{contender.key}"
                    place.mkdir()
                    work = workload(request, place)
                    found.append((request, count(contender, targets, work, place, args.rate, bootstrap)))
    except (RuntimeError, OSError, subprocess.SubprocessError, contenders.SampleError) as error:
        print(f"passing: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    text = report(found, heading, args.rate)
    print(text)
    if not args.only and args.rate == RATE:
        RESULTS.write_text(text)
    apart = [(request, each) for request, each in found if each.spread() > SPREAD]
    for request, each in apart:
        print(f"passing: {request.key}, {each.contender.title}: the rounds are {each.spread():.2%} apart", file=sys.stderr)
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
