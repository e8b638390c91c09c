"""Ways to mirror Sentry envelopes, side by side: `make bench`.

Run with the Python of the project's venv (it holds pyyaml and Envoy):
    .tools/venv/bin/python benches/side_by_side/run.py [--quick] [--json FILE]

Every contender runs one worker, alone on one core; load and stubs share the others. With a fast RUM all are up at once
and take turns, in rounds; with one that takes 2 s each gets a fresh process, so that one's backlog is not another's.
Before any figure the run checks that each contender's copies arrive, at the right path, with the right bytes.

Rounds in which a contender delivered under 99.9 % of its copies do not count: it would look cheap. The results are written to
benches/side_by_side/results.md after a whole run; it says there when the machine was not quiet.

Exit status: 0 when everything could be measured, whatever the targets say (nothing here is a timed test); 1 when
something broke; 2 when a program or file is missing.
"""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import contenders
import report
from contenders import ALL, OURS, Contender, Ports
from measure import CONNECTIONS, HERE, Sample, copies, fetch, make_workload, measure, module_counters
from measure import run_max, run_paced
from processes import Process, cores, wait_until

sys.path.append(str(HERE.parents[1] / "tests" / "e2e"))
from support import results as page  # noqa: E402
from support.free_port import free_port  # noqa: E402

BODY_BYTES = 8192
# How long to wait for a quiet machine.
QUIET_SECONDS = 180.0
SLOW_SECONDS = 2.0
VERIFIED = 3
# Seconds of a window. With the fast RUM many short ones: neighbours in time are compared, and noise comes in bursts.
# With the slow one long enough for a backlog that would not fit the budget: 2 x 4 s of 1500 or more copies of 8 KiB.
WINDOW = {"fast": {"paced": 2, "max": 1}, "slow": {"paced": 4, "max": 4}}
QUICK_WINDOW = {"fast": {"paced": 2, "max": 1}, "slow": {"paced": 2, "max": 2}}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round each, about 60 s: a check, not a figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write samples and verdicts here")
    parser.add_argument("--only", metavar="KEYS", help="comma-separated: " + ",".join(c.key for c in ALL))
    parser.add_argument("--rounds", type=int, help="rounds with the fast RUM (7)")
    parser.add_argument("--slow-rounds", type=int, help="rounds with the slow RUM (2)")
    parser.add_argument("--rate", type=float, default=800, help="requests per second of the fixed rate (800)")
    parser.add_argument("--repository", type=Path, default=HERE.parent.parent, help="whose sample and module to take")
    parser.add_argument("--envoy", type=Path, help="the Envoy binary (beside this Python)")
    parser.add_argument("--keep", action="store_true", help="leave the working directory (configurations, logs)")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 7)
    args.slow_rounds = args.slow_rounds if args.slow_rounds is not None else (1 if args.quick else 2)
    args.repository = args.repository.resolve()
    args.envoy = args.envoy or Path(sys.prefix) / "bin" / "envoy"
    keys = args.only.split(",") if args.only else [c.key for c in ALL]
    args.contenders = [c for c in ALL if c.key in keys]
    if unknown := set(keys) - {c.key for c in ALL}:
        parser.error(f"unknown contender: {', '.join(sorted(unknown))}")
    return args


def missing(args: argparse.Namespace) -> list[str]:
    """What has to be installed or built first, each with how."""
    found = []
    if not args.envoy.exists():
        found.append(f"{args.envoy}: run tests/e2e/setup.sh and use the Python of its venv (.tools/venv)")
    for program in ("nginx", "wrk"):
        if not shutil.which(program, path=search_path()):
            found.append(f"{program}: apt-get install {program}")
    for contender in filter(contenders.SAMPLES.__contains__, args.contenders):
        for path, how in (
            (contenders.sample_path(contender, args.repository), "part of the repository"),
            (contenders.module_path(contender, args.repository), "make build"),
        ):
            if not path.exists():
                found.append(f"{path}: {how}; or leave it out with --only")
    return found


def search_path() -> str:
    """PATH and where Debian puts nginx."""
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


class Bench:
    """The stubs, the workload and the working directory of one run."""

    def __init__(self, args: argparse.Namespace, directory: Path, stack: contextlib.ExitStack) -> None:
        self.args, self.directory, self.stack = args, directory, stack
        self.proxy_core, self.other_cores = cores()
        self.work = make_workload(contenders.PROJECT, BODY_BYTES, directory)
        self.primary_port, self.fast_port, self.slow_port = (free_port() for _ in range(3))
        self.nginx = shutil.which("nginx", path=search_path())
        self.primary = self.start_stub("primary", self.primary_port)
        self.fast_rum = self.start_stub("fast-rum", self.fast_port)
        slow = [sys.executable, str(HERE / "slow_rum.py"), str(self.slow_port), str(SLOW_SECONDS)]
        self.slow_rum = stack.enter_context(Process("slow-rum", slow, self.other_cores, directory / "slow-rum.log"))
        wait_until("the slow RUM", lambda: copies(self.slow_port) >= 0, self.slow_rum)

    def start_stub(self, name: str, port: int) -> Process:
        """An nginx that answers 200 at once."""
        directory = self.directory / name
        directory.mkdir()
        config = directory / "nginx.conf"
        config.write_text(contenders.nginx_stub(port, directory))
        command = [self.nginx, "-c", str(config), "-e", "stderr", "-p", str(directory)]
        process = self.stack.enter_context(Process(name, command, self.other_cores, directory / "log"))
        wait_until(name, lambda: copies(port) >= 0, process)
        return process

    def start(self, contender: Contender, rum: str, turn: int) -> tuple[Process, Ports]:
        """Starts one contender, waits until it serves, and checks its copies."""
        directory = self.directory / f"{contender.key}-{rum}-{turn}"
        directory.mkdir()
        edge, admin, inner = (free_port() for _ in range(3))
        ports = Ports(edge, admin, inner, self.primary_port, self.fast_port if rum == "fast" else self.slow_port)
        config = contenders.write_config(contender, ports, self.args.repository, directory)
        if contender.program == "nginx":
            command = [self.nginx, "-c", str(config), "-e", "stderr", "-p", str(directory)]
        else:
            command = [str(self.args.envoy), "-c", str(config), "--concurrency", "1", "--disable-hot-restart"]
            command += ["--log-level", "warning"]
        process = Process(contender.title, command, self.proxy_core, directory / "log")
        try:
            if contender.program == "envoy":
                wait_until(contender.title, lambda: fetch(admin, "/ready").strip() == "LIVE", process)
            wait_until(contender.title, lambda: accepts(edge), process)
            self.verify(contender, ports, rum)
        except BaseException:
            process.stop()
            raise
        return process, ports

    def verify(self, contender: Contender, ports: Ports, rum: str) -> None:
        """A few requests through the contender: the primary answers 200, every copy arrives as it should."""
        targets = [f"{self.work.target}&verify={contender.key}-{rum}-{os.urandom(4).hex()}" for _ in range(VERIFIED)]
        for target in targets:
            client = http.client.HTTPConnection("127.0.0.1", ports.edge, timeout=10)
            client.request("POST", target, self.work.body, {"Content-Type": "application/x-sentry-envelope"})
            status = client.getresponse().status
            client.close()
            if status != 200:
                raise RuntimeError(f"{contender.title}: the primary's answer became {status}")
        wanted = {contender.copy_path(target) for target in targets} if contender.mirrors else set()
        end = time.monotonic() + (5 if contender.mirrors else 0.2)
        while True:
            mine = [copy for copy in self.seen(rum) if any(copy["path"].endswith(target) for target in targets)]
            if (wanted and len(mine) >= len(wanted)) or time.monotonic() > end:
                break
            time.sleep(0.02)
        if sorted(copy["path"] for copy in mine) != sorted(wanted):
            raise RuntimeError(f"{contender.title}: copies wanted {sorted(wanted)}, arrived {mine}")
        for copy in mine:
            right = int(copy["length"] or BODY_BYTES) == BODY_BYTES  # a chunked copy has no Content-Length to log
            right &= copy.get("sha256", self.body_hash()) == self.body_hash()
            right &= copy["host"] == contenders.AUTHORITY or not contender.rewrites
            if not right:
                raise RuntimeError(f"{contender.title}: not a faithful copy: {copy}")

    def body_hash(self) -> str:
        """What the slow RUM must have seen."""
        return hashlib.sha256(self.work.body).hexdigest()

    def seen(self, rum: str) -> list[dict]:
        """The copies with `verify=` that arrived at a RUM so far."""
        if rum == "slow":
            return json.loads(fetch(self.slow_port, "/_seen"))
        log = self.directory / "fast-rum" / "seen.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line) for line in lines]

    def window(self, contender: Contender, process: Process, ports: Ports, rum: str, load: str, turn: int) -> Sample:
        """One measured window, with a progress line."""
        seconds, port = (QUICK_WINDOW if self.args.quick else WINDOW)[rum][load], ports.edge

        def run() -> dict:
            if load == "paced":
                return run_paced(port, self.args.rate, seconds, self.work, self.other_cores)
            return run_max(port, seconds, self.work, self.other_cores)

        admin = ports.admin if contender is OURS else None
        stubs = [self.primary, self.fast_rum if rum == "fast" else self.slow_rum]
        sample = measure((contender.key, rum, load, turn), process, ports.rum, admin, stubs, run)
        progress(
            f"{rum} RUM, round {turn}, {load:5}  {contender.key:6} {sample.cpu_us:6.1f} us CPU  {sample.rps:6.0f} req/s  "
            f"p50 {sample.p50_us:6.0f}  p99 {sample.p99_us:6.0f} us  {sample.copies_per_request:4.2f} copies  "
            f"{sample.peak_mib:5.0f} MiB  busy {sample.proxy_busy:4.0%}, load {sample.load_busy:4.0%}"
        )
        return sample

    def fast(self) -> list[Sample]:
        """All contenders up, taking turns; the order moves on with every round."""
        samples = []
        with contextlib.ExitStack() as stack:
            running = []
            for contender in self.args.contenders:
                process, ports = self.start(contender, "fast", 0)
                stack.enter_context(process)
                run_max(ports.edge, 1, self.work, self.other_cores)  # connections open, pages touched
                running.append((contender, process, ports))
            for turn in range(1, self.args.rounds + 1):
                shift = (turn - 1) % len(running)
                for load in ("paced", "max"):
                    for each in running[shift:] + running[:shift]:
                        samples.append(self.window(*each, "fast", load, turn))
            for contender, _, ports in running:
                self.verify(contender, ports, "fast")  # still mirrors: a module that trapped would be bypassed by now
                if contender is OURS:
                    check_counters(ports.admin)
        return samples

    def slow(self) -> list[Sample]:
        """A fresh process for each. Plain Envoy, which has no RUM, shows the machine's drift since the fast rounds."""
        samples = []
        for turn in range(1, self.args.slow_rounds + 1):
            for contender in self.args.contenders:
                process, ports = self.start(contender, "slow", turn)
                with process:
                    for load in ("paced", "max"):
                        samples.append(self.window(contender, process, ports, "slow", load, turn))
                    if contender is OURS:
                        check_counters(ports.admin)
        return samples


def accepts(port: int) -> bool:
    """Whether something listens there; raises OSError otherwise."""
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True


def check_counters(admin: int) -> None:
    """The contract of envoy/metrics.md: captured = delivered + failed + dropped + pending, and there was something."""
    found = module_counters(admin)
    ended = sum(found.get(key, 0) for key in ("delivered", "failed", "dropped", "pending"))
    if not found.get("captured") or found["captured"] != ended:
        raise RuntimeError(f"our counters do not add up: {found}")


def progress(text: str) -> None:
    """One line, at once."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """The whole run."""
    args = arguments()
    if gone := missing(args):
        print("side by side: missing:\n  " + "\n  ".join(gone), file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the `with` blocks end the children
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # one connection per waiting copy
    whole = not args.quick and not args.only
    before = page.wait_quiet(QUIET_SECONDS if whole else 0)
    started = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="side_by_side."))
    try:
        with contextlib.ExitStack() as stack:
            bench = Bench(args, directory, stack)
            progress(f"proxy on core {bench.proxy_core}, load and stubs on {bench.other_cores}")
            results = report.Results(bench.fast() + bench.slow())
    except (RuntimeError, OSError, subprocess.SubprocessError, contenders.SampleError) as error:
        print(f"side by side: {error}", file=sys.stderr)
        return 1
    finally:
        if args.keep:
            progress(f"left: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)

    budget = contenders.pending_budget(args.repository) / 2**20 if OURS in args.contenders else 64
    rows = report.verdicts(results, budget)
    print(f"""
{CONNECTIONS} connections, POST of {BODY_BYTES} bytes, one worker on one core. Medians over rounds; ratios round by round.
CPU us: of the proxy per request at {args.rate:.0f} requests/s, and at max: as fast as it goes (req/s max). p50, p99: of the
primary's answer at the fixed rate. copies: arrived at RUM per request. peak MiB: most resident memory, both loads.""")
    for rum in ("fast", "slow"):
        print("\n".join(["", *report.table(results, rum)]))
    if OURS in args.contenders:
        print("\nTargets:\n" + "\n".join(map(report.verdict_line, rows)))
    for line in report.warnings(results):
        print(f"note: {line}")
    print(f"took {time.monotonic() - started:.0f} s")
    if whole:
        text = report.markdown(results, rows, args.rate, page.heading(before))
        (HERE / "results.md").write_text(text)
    if args.json:
        args.json.write_text(json.dumps({"samples": list(map(asdict, results.samples)), "targets": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
