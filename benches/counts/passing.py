"""What Envoy does for a request that is not mirrored, counted, with the sample and without the module: `make bench-passing`.

Run with the Python of the project's venv: .tools/venv/bin/python benches/counts/passing.py [--only KEYS]

Counted as by run.py. The sample is envoy/tee.yaml as it is. Without the module it is the same file without its filter, and
with the last route alone. The requests are a browser's: of a page and of the web API, which the module does not see, and
what it asks before it sends an envelope, which the module sees and lets pass. The results are written to
benches/counts/passing.md after a whole run.

Exit status 1 when something broke, or when the windows of a row differ by more than they may. A limit that is not kept is
named in the results.
"""

import copy
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from run import HERE, ROOT, Found, Targets, count, method, whole_run

# run.py has said where these are.
import contenders
from contenders import OURS, Contender, Ports
from measure import Workload
from support import results

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


def report(found: list[Found], heading: str, rate: float) -> str:
    """The results file. What is without the module comes before what is with it."""
    requests = {request.line: request for request in REQUESTS}
    rows, plain = [], 0.0
    for each in found:
        request = requests[each.work.target]
        instructions, allocations = statistics.median(each.instructions), statistics.median(each.allocations)
        row = [request.title, each.contender.title, f"{instructions / 1000:.1f}"]
        if each.contender is WITHOUT:
            plain = instructions
            row += ["1", ""]
        else:
            times = instructions / plain
            row += [f"{times:.3f}", f"{request.limit}: {'met' if times <= request.limit else 'MISSED'}"]
        rows.append([*row, f"{allocations:.1f}", f"{each.spread():.2%}"])
    head = ["request", "configuration", "thousand instructions a request", "times without", "at most", "allocations", "spread"]
    return f"""# What a request costs that is not mirrored

Written by `make bench-passing`. Requests of a browser, without a body, one worker, one connection, one request at a time; Envoy's own
{method(rate)}

{heading}

{results.table(head, rows)}
"""


def main() -> int:
    """Of each request, without the module and with it."""
    by_key = {request.key: request for request in REQUESTS}

    def counted(key: str, targets: Targets, directory: Path, rate: float) -> list[Found]:
        found = []
        for contender in (WITHOUT, WITH):
            place = directory / contender.key
            place.mkdir()
            found.append(count(contender, targets, workload(by_key[key], place), place, rate, bootstrap))
        return found

    return whole_run(__doc__, list(by_key), counted, report, HERE / "passing.md")


if __name__ == "__main__":
    sys.exit(main())
