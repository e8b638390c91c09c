"""One contender under one load for a few seconds: what it did, what it cost.

Two loads, because they answer different questions:
  paced  requests at a fixed rate that every contender sustains (paced.py): latencies, and CPU per request as in service.
         Percentiles are only taken here: at saturation a latency is queueing, and tells nothing but the throughput again.
  max    wrk, as fast as the contender answers: requests per second, and CPU per request at full batches.
"""

import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from processes import Process

CONNECTIONS = 32
HERE = Path(__file__).resolve().parent
AUTH = "Sentry sentry_version=7, sentry_client=sentry.python/2.0, sentry_key=" + "0123456789abcdef" * 2


@dataclass(frozen=True)
class Workload:
    """The request every contender gets."""

    target: str
    body_file: Path
    request_file: Path
    body: bytes


@dataclass
class Sample:
    """One measured window."""

    contender: str
    rum: str
    load: str
    round: int
    requests: int
    rps: float
    cpu_us: float
    p50_us: float
    p99_us: float
    copies_per_request: float
    peak_mib: float
    growth_mib: float
    proxy_busy: float
    load_busy: float
    errors: int
    counters: dict


def make_workload(project: str, size: int, directory: Path) -> Workload:
    """An envelope of exactly `size` bytes, as a body for wrk and as a whole request for paced.py."""
    event_id = "9ec79c33ec9942ab8353589fcb2e04dc"
    head = json.dumps({"event_id": event_id, "sent_at": "2026-01-01T00:00:00Z"}) + "\n"
    payload = {"event_id": event_id, "level": "error", "message": ""}
    while True:
        text = json.dumps(payload)
        body = head + json.dumps({"type": "event", "length": len(text)}) + "\n" + text + "\n"
        if len(body) == size:
            break
        # The item header's length may gain a digit on the way: repeated until the size is exact.
        payload["message"] = "x" * (len(payload["message"]) + size - len(body))
    target = f"/api/{project}/envelope/?sentry_key={'0123456789abcdef' * 2}&sentry_version=7"
    raw = body.encode()
    request = (
        f"POST {target} HTTP/1.1\r\nhost: sentry.bench.test\r\ncontent-type: application/x-sentry-envelope\r\n"
        f"user-agent: sentry.python/2.0\r\nx-sentry-auth: {AUTH}\r\ncontent-length: {len(raw)}\r\n\r\n"
    ).encode() + raw
    work = Workload(target, directory / "body", directory / "request", raw)
    work.body_file.write_bytes(raw)
    work.request_file.write_bytes(request)
    return work


def fetch(port: int, path: str) -> str:
    """GET on loopback, never through a proxy of the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def copies(port: int) -> int:
    """Requests a RUM stub has received. nginx: third number of stub_status, its own status requests included."""
    text = fetch(port, "/_count")
    return int(text) if text.strip().isdigit() else int(text.split("\n")[2].split()[2])


def module_counters(admin: int) -> dict[str, int]:
    """Our module's counters and gauges of the leg `rum`, by their last name."""
    found = {}
    for line in fetch(admin, "/stats?filter=sentry_edge_mirror").splitlines():
        name, _, value = line.partition(": ")
        if ".rum." in name and value.strip().isdigit():
            found[name.split(".rum.", 1)[1]] = int(value)
    return found


def run_paced(port: int, rate: float, seconds: float, work: Workload, pinned_to: set[int]) -> dict:
    """The open-loop load."""
    command = [sys.executable, str(HERE / "paced.py"), str(port), str(rate), str(seconds), str(CONNECTIONS)]
    output = _run([*command, str(work.request_file)], seconds + 15, {}, pinned_to)
    result = json.loads(output)
    result["errors"] = result["bad_status"] + result["broken"]
    return result


def run_max(port: int, seconds: float, work: Workload, pinned_to: set[int]) -> dict:
    """The closed-loop load at full speed."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    environment = {"BENCH_BODY": str(work.body_file), "BENCH_TARGET": work.target, "BENCH_AUTH": AUTH}
    command += ["-s", str(HERE / "post.lua"), f"http://127.0.0.1:{port}"]
    output = _run(command, seconds + 15, environment, pinned_to)
    result = json.loads(output.split("RESULT ", 1)[1].splitlines()[0])
    result["rps"] = result["requests"] / result["seconds"]
    result["errors"] = result["bad_status"] + result["broken"]
    return result


def _run(command: list[str], timeout: float, environment: dict, pinned_to: set[int]) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | environment,
        preexec_fn=lambda: os.sched_setaffinity(0, pinned_to),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with status {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(
    names: tuple[str, str, str, int],
    proxy: Process,
    rum_port: int,
    admin_port: int | None,
    stubs: list[Process],
    load,
) -> Sample:
    """Runs `load` and takes the differences around it. `names`: contender, rum, load, round."""
    proxy.check_alive()
    counters = module_counters(admin_port) if admin_port else {}
    received = copies(rum_port)
    resident = proxy.memory()
    proxy.reset_peak()
    load_cpu = _children_cpu() + sum(each.cpu_seconds() for each in stubs)
    cpu, started = proxy.cpu_seconds(), time.perf_counter()
    result = load()
    time.sleep(0.05)  # the last copies leave
    cpu, took = proxy.cpu_seconds() - cpu, time.perf_counter() - started
    load_cpu = _children_cpu() + sum(each.cpu_seconds() for each in stubs) - load_cpu
    proxy.check_alive()
    received = copies(rum_port) - received
    peak = proxy.peak_memory()
    after = module_counters(admin_port) if admin_port else {}
    requests = max(1, result["requests"])
    return Sample(
        *names,
        requests=result["requests"],
        rps=result["rps"],
        cpu_us=cpu / requests * 1e6,
        p50_us=result["p50_us"],
        p99_us=result["p99_us"],
        copies_per_request=received / requests,
        peak_mib=peak / 2**20,
        growth_mib=(peak - resident) / 2**20,
        proxy_busy=cpu / took,
        load_busy=load_cpu / took,
        errors=result["errors"],
        counters={key: value - counters.get(key, 0) for key, value in after.items()},
    )
