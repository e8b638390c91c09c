"""`make demo`: the main job, shown. Real SDK programs -> Envoy with envoy/tee-sls.yaml -> Bugsink, the copy at RUM, and
the logs at SLS. Then RUM is taken away for ten seconds, and a picture says what became of each copy.

Everything runs on loopback, on free ports. With KEEP=1 the sample's own ports are used (edge 10000, admin 9901, primary
9000, RUM 9100, SLS 9200) and everything is left running. Exit code 0 only if every event was stored by the primary,
its copy arrived, once, at the right path, byte by byte, and exactly the expected logs came in rightly signed writes;
the copies of the outage included.
"""

import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from support import envelope, outage, paths, programs, rules, sample, sls_edge, wait
from support.bugsink import PROJECTS, Bugsink, template
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.fake_sls import FakeSls
from support.forwarder import Exchange, Forwarder
from support.sls_checks import arrived
from support.sls_group import Log

KEEP = os.environ.get("KEEP", "") not in ("", "0")
# What the file says; see `keep_ports`.
EDGE, ADMIN, PRIMARY, RUM, SLS = 10000, 9901, 9000, 9100, 9200

EVENTS = [
    ("python", "error", 1),
    ("python", "transaction", 1),
    ("node", "error", 1),
    ("python", "flask", 2),
    ("node", "bigError", 2),
    ("python", "logs", 2),
    ("python", "attachment", 3),
    ("node", "transaction", 3),
]
STEPS = 7 + len(EVENTS)


class Progress:
    """One line per step, with how long it took."""

    def __init__(self) -> None:
        self._number = 0

    def step(self, what: str) -> Callable[[], None]:
        self._number += 1
        print(f"[{self._number:2}/{STEPS}] {what} ...", end="", flush=True)
        began = time.monotonic()
        return lambda: print(f" {time.monotonic() - began:.1f} s", flush=True)


def keep_ports(bootstrap: sample.Yaml) -> None:
    """KEEP=1: the ports of the file, so that what it says can be tried."""
    bootstrap["admin"]["address"]["socket_address"]["port_value"] = ADMIN
    bootstrap["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = EDGE


def check_ports() -> None:
    """Says at once which port is taken, instead of failing in the middle."""
    for port in (EDGE, ADMIN, PRIMARY, RUM, SLS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                sys.exit(f"KEEP=1 needs the ports of envoy/{sls_edge.NAME}, and 127.0.0.1:{port} is taken")


def edit(sls: FakeSls) -> Callable[[sample.Yaml], None]:
    """What is changed in the sample: the key, the place and the haste of the logs, and with KEEP the ports."""
    leg = sls_edge.edit(sls, sls_edge.section())

    def change(bootstrap: sample.Yaml) -> None:
        leg(bootstrap)
        if KEEP:
            keep_ports(bootstrap)

    return change


def row(
    what: str,
    project: int,
    exchange: Exchange,
    ids: list[str],
    bugsink: Bugsink,
    rum: FakeRum,
    config: sample.Yaml,
) -> tuple[bool, list[str]]:
    """The table's row for one request that the primary got, and whether all of it is right."""
    request = exchange.request
    types = "+".join(dict.fromkeys(envelope.item_types(request)))
    stored = ""
    if types.startswith("event"):
        stored = ", stored" if ids and all(bugsink.event(i) for i in ids) else ", NOT STORED"
    wanted = rules.copy_path(config, request.target)
    copies = [copy for copy in rum.taken if copy.target == wanted and copy.sha256 == request.sha256]
    identical = len(copies) == 1 and copies[0].body == request.body
    good = exchange.status == 200 and stored != ", NOT STORED" and identical
    path, _, query = (copies[0].target if copies else "none arrived").partition("?")
    return good, [
        f"{what}: {types}",
        f"{project} {PROJECTS[project]}",
        f"{exchange.status}{stored}",
        path + ("?..." if query else ""),
        f"yes, {len(request.body)}" if identical else "NO",
        # Two servers in one Python process: which of them is woken first is chance, hence not below 0.
        f"{max(0.0, copies[0].arrived - request.arrived) * 1000:.1f}" if copies else "-",
    ]


HEAD = ["event", "project", "primary", "path at RUM", "identical, bytes", "ms until the copy"]
LOG_HEAD = ["item type", "logs", "event_type", "fields of one of them"]


def log_rows(logs: list[Log]) -> list[list[str]]:
    """A line for each type of item, with an example."""
    shown = ("exception.type", "view.name", "sentry.message", "session.id", "sentry.filename", "trace_id", "app.version")
    rows = []
    for kind, count in sorted(Counter(log["sentry.item_type"] for log in logs).items()):
        one = next(log for log in logs if log["sentry.item_type"] == kind)
        fields = [f"{name}={value[:24]}" for name in shown if (value := one.get(name))]
        rows.append([kind, str(count), one["event_type"], " ".join(fields)])
    return rows


def table(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    for line in [head, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def main() -> int:
    if KEEP:
        check_ports()
    progress = Progress()
    problems: list[str] = []
    directory = Path(tempfile.mkdtemp(prefix="sentry-edge-mirror-demo-"))
    config = sample.rum()
    for name in ("RUM_AUTHORITY", "RUM_WORKSPACE", "RUM_SERVICE_ID"):
        os.environ.pop(name, None)  # the sample would take them
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)

        done = progress.step("Database for the Sentry-compatible server (made once)")
        template()
        done()
        done = progress.step("Bugsink, the primary")
        bugsink = Bugsink(directory / "bugsink", url=f"http://127.0.0.1:{EDGE}")
        stack.callback(bugsink.stop)
        forwarder = Forwarder(bugsink.port, PRIMARY if KEEP else 0)
        stack.callback(forwarder.close)
        done()
        done = progress.step("Fake RUM")
        rum = FakeRum(config["authority"], RUM if KEEP else 0)
        stack.callback(rum.close)
        done()
        done = progress.step("Fake SLS, which checks signatures with the official SDK's own signer")
        sls = sls_edge.fake_sls(SLS if KEEP else 0)
        stack.callback(sls.close)
        done()
        done = progress.step(f"Envoy with envoy/{sls_edge.NAME} and {Path(paths.module()).relative_to(paths.ROOT)}")
        envoy = stack.enter_context(
            Envoy(
                directory / "envoy",
                forwarder.port,
                rum.port,
                name=sls_edge.NAME,
                concurrency=2,
                configuration={"retry": outage.RETRY},
                edit=edit(sls),
                environment={},
            )
        )
        done()

        rows = []
        requests = []
        began = time.time()
        for language, what, project in EVENTS:
            done = progress.step(f"{language} program sends: {what} (project {project}, {PROJECTS[project]})")
            mark = forwarder.mark()
            ids = programs.run(language, what, project, envoy.port)
            exchanges = forwarder.since(mark)
            requests += [exchange.request for exchange in exchanges]
            for exchange in exchanges:
                rum.expect(rules.Copy.of(config, exchange.request))
            try:
                rum.wait(seconds=5)
            except AssertionError as error:
                problems.append(f"{language} {what}: {error}")
            done()
            if not exchanges:
                problems.append(f"{language} {what}: nothing reached the primary")
            for exchange in exchanges:
                good, line = row(f"{language} {what}", project, exchange, ids, bugsink, rum, config)
                rows.append(line)
                if not good:
                    problems.append(" | ".join(line))

        done = progress.step("Logs at SLS")
        try:
            arrived(envoy, sls, requests, began, words=False)
            sls.verify()
        except AssertionError as error:
            problems.append(str(error))
        done()
        logs = sls.since(0)

        print()
        table(HEAD, rows)
        print(f"\n{len(logs)} logs in {sls.groups} signed writes to /logstores/{sls.logstore}:")
        table(LOG_HEAD, log_rows(logs))
        print()
        try:
            settled(envoy, captured=len(rows), delivered=len(rows), failed=0, dropped=0, pending=0)
            rum.verify()
        except AssertionError as error:
            problems.append(str(error))
        print("Metrics of the module (admin endpoint, wasmcustom.sentry_edge_mirror.*), zeros left out:")
        for name, value in sorted(envoy.metrics().items()):
            if value:
                print(f"  {name:<24} {value}")
        print()
        done = progress.step(f"RUM goes away for {outage.AWAY:.0f} s, and comes back")
        problems += taken_away(envoy, rum, forwarder, config, len(rows), done)
        print()
        for problem in problems:
            print(f"WRONG: {problem}")
        if not problems:
            print(
                f"All right: {len(rows)} requests answered by the primary, {len(rows)} identical copies at RUM, "
                f"{len(logs)} logs at SLS as expected; and of the outage every copy, once."
            )
        if KEEP:
            keep_running(envoy, rum, sls)
    return 1 if problems else 0


def taken_away(
    envoy: Envoy, rum: FakeRum, forwarder: Forwarder, config: sample.Yaml, before: int, done: Callable[[], None]
) -> list[str]:
    """Shows what an outage of RUM does to each copy; what was wrong."""
    try:
        found, problems = outage.run(envoy.port, rum, forwarder, config)
    except AssertionError as error:
        done()
        return [f"the outage: {error}"]
    done()
    print(f"\nEach line the copies of one second. {outage.WAITING} waiting, {outage.ARRIVES} arriving at RUM.")
    print("\n".join(outage.picture(found)))
    try:
        count = before + len(found.copies)
        metrics = settled(envoy, captured=count, delivered=count, failed=0, dropped=0, pending=0)
        print(f"  {metrics['rum.retries']} retries, none failed, none dropped, {found.doubled} sent twice.")
        rum.verify()
    except AssertionError as error:
        problems.append(f"the outage: {error}")
    return problems


def keep_running(envoy: Envoy, rum: FakeRum, sls: FakeSls) -> None:
    """Stays until interrupted, and says what arrives."""
    print(
        f"""
Left running. Edge 127.0.0.1:{envoy.port}, admin 127.0.0.1:{envoy.admin_port}. Try in another terminal:
  SENTRY_DSN={programs.dsn(1, envoy.port)} {os.path.relpath(paths.python())} tests/e2e/programs/python_app.py error
  curl -s '127.0.0.1:{envoy.admin_port}/stats?filter=sentry_edge_mirror'
  Bugsink's pages: http://127.0.0.1:{envoy.port}/ (user demo, password demo)
Copies that arrive at RUM, and logs at SLS, are listed here. Ctrl-C ends everything.""",
        flush=True,
    )
    # make and the shell send the signal to the whole group; the children are stopped in order by the ExitStack.
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _frame: stopping.append(signum))
    seen, mark = len(rum.taken), sls.mark()
    while not stopping:
        for copy in rum.taken[seen:]:
            print(f"  copy: {copy}", flush=True)
            seen += 1
        for log in sls.since(mark):
            print(f"  log: {log}", flush=True)
            mark += 1
        assert envoy.process.poll() is None or stopping, "Envoy has ended"
        time.sleep(0.2)
    wait.until("copies delivered", lambda: envoy.process.poll() is not None or not envoy.metrics()["rum.pending"], 5)


if __name__ == "__main__":
    sys.exit(main())
