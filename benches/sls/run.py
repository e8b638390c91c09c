"""The SLS leg's own cost: instructions by stage, and logs per second of CPU beside the official SDKs: `make bench-sls`.

    .tools/venv/bin/python benches/sls/run.py PROGRAM MODULE [--quick]

PROGRAM and MODULE are the two builds of the crate in this directory. Instructions are counted by wasmtime, and are the
same in every run. Speeds are CPU time of one thread, in windows of a fifth of a second that take turns; a ratio is the
median of the ratios round by round. The results are written to benches/sls/results.md after a whole run; it says there when
the machine was not quiet. Before any figure the run checks that all contenders serialise the same bytes.

Exit status: 0 when everything could be measured, whatever the targets say; 1 when something broke.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "tests" / "e2e"))

import workloads  # noqa: E402
from support import results  # noqa: E402

# As in src/lib.rs.
KEY_ID, SECRET = "LTAI5tExampleOfAnIdent", "ExampleOfASecretOf30Characters"
PROJECT, ENDPOINT, LOGSTORE = "edge-logs", "cn-hangzhou.log.aliyuncs.com", "sentry"
TOPIC, SOURCE = "sentry", "edge"

QUIET_SECONDS = 180.0
OURS, NATIVE, RUST, PYTHON = "wasm", "native", "rust-sdk", "python-sdk"
WINDOW_S = 0.2
# Ours, times the other's speed: on every row at least the first, on so many rows at least the second.
TARGETS = [(OURS, RUST, 0.75, 0.88, 3), (NATIVE, RUST, 0.0, 1.0, 3)]
PAIRS = [(OURS, PYTHON), (OURS, RUST), (NATIVE, RUST)]


STAGES = """Thousands of wasm instructions from an envelope (gzip) to its part of a signed write, in a full batch. Instructions are
counted, so they are the same in every run. A byte: instructions for each byte of the decoded envelope."""
SPEEDS = """Serialise, compress (LZ4) and sign the same logs: times the other's logs per second of CPU, one thread each. `wasm` is the
module's core in wasmtime, `native` the same core compiled for this machine."""


class Contender:
    """A program that answers each line with one."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE)

    def ask(self, *words: str) -> dict:
        """One command."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args}: no answer to {words}, status {self.process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """The end of its input ends it."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


class Bench:
    """All contenders, with every workload open."""

    def __init__(self, program: Path, module: Path, directory: Path) -> None:
        self.names = []
        files = []
        for number, (name, envelopes) in enumerate(workloads.batches().items()):
            path = directory / f"{number}.envelopes"
            path.write_bytes(workloads.encode(envelopes))
            files.append(f"{name}={path}")
            self.names.append(name)
        self.rust = Contender([str(program), str(module), *files])
        self.python = Contender([sys.executable, str(HERE / "python_sdk.py")])
        for name in self.names:
            logs, ours, theirs = directory / "logs", directory / "ours", directory / "theirs"
            self.rust.ask("logs", name, str(logs))
            self.rust.ask("raw", name, str(ours))
            self.python.ask("open", name, str(logs))
            self.python.ask("raw", name, str(theirs))
            if ours.read_bytes() != theirs.read_bytes():
                raise RuntimeError(f"{name}: the Python SDK does not make the same log group")

    def run(self, who: str, name: str, times: int) -> float:
        """CPU seconds."""
        if who == PYTHON:
            return self.python.ask("run", name, str(times))["cpu_s"]
        return self.rust.ask("run", who, name, str(times))["cpu_s"]

    def close(self) -> None:
        """Ends the contenders."""
        self.rust.close()
        self.python.close()


def stage_rows(bench: Bench) -> list[list[str]]:
    """Instructions of each stage per envelope, in thousands."""
    rows = [["", "decode", "read", "record", "scrub", "encode", "compress", "sign", "all", "without scrubbing", "a byte"]]
    for name in bench.names:
        found = bench.rust.ask("stages", name, "-")
        # One stage holds the other in the program: the table has the differences.
        found["scrub"] = found["scrubbed"] - found["record"]
        found["record"] -= found["read"]
        stages = [found[key] / found["envelopes"] for key in rows[0][1:8]]
        total = sum(stages)
        figures = [*stages, total, total - stages[3]]
        per_byte = total * found["envelopes"] / found["decoded"]
        rows.append([name, *(f"{figure / 1000:.0f}" for figure in figures), f"{per_byte:.0f}"])
    return rows


def measure(bench: Bench, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Seconds per batch of each contender and workload, round by round."""
    found: dict[tuple[str, str], list[float]] = {}
    contenders = [OURS, NATIVE, RUST, PYTHON]
    times = {}
    for name in bench.names:
        for who in contenders:
            bench.run(who, name, 2)
            times[who, name] = max(1, round(WINDOW_S / (bench.run(who, name, 3) / 3)))
    for number in range(rounds):
        for name in bench.names:
            # Each is first, and each is behind each other one.
            for who in contenders[number % 4 :] + contenders[: number % 4]:
                seconds = bench.run(who, name, times[who, name]) / times[who, name]
                found.setdefault((who, name), []).append(seconds)
    return found


def ratio(found: dict, who: str, other: str, name: str) -> float:
    """How many times the other's speed."""
    return median(theirs / own for own, theirs in zip(found[who, name], found[other, name], strict=True))


def speed_rows(bench: Bench, found: dict) -> list[list[str]]:
    """Speeds as ratios, which hold better than numbers."""
    rows = [["", "logs a batch", "bytes a log", *(f"{who} / {other}" for who, other in PAIRS)]]
    for name in bench.names:
        sizes = bench.rust.ask("sizes", name, "-")
        logs = sizes["logs"]
        ratios = [ratio(found, who, other, name) for who, other in PAIRS]
        rows.append([name, str(logs), f"{sizes['raw'] / logs:.0f}", *(f"{each:.2f}" for each in ratios)])
    return rows


def verdicts(bench: Bench, found: dict) -> list[str]:
    """The targets, and by how much each is met or missed."""
    lines = []
    for who, other, every, some, count in TARGETS:
        ratios = sorted((ratio(found, who, other, name) for name in bench.names), reverse=True)
        for limit, value, words in ((every, ratios[-1], "every row"), (some, ratios[count - 1], f"{count} rows")):
            if limit:
                word = "met" if value >= limit else "MISSED"
                lines.append(f"{word}: {who} at least {limit:g} x {other} on {words}: {value:.2f}")
    return lines


def table(rows: list[list[str]]) -> list[str]:
    """Columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]


def main() -> int:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("module", type=Path)
    parser.add_argument("--quick", action="store_true", help="few rounds: a check, not a figure")
    args = parser.parse_args()
    before = results.wait_quiet(0 if args.quick else QUIET_SECONDS)
    with tempfile.TemporaryDirectory(prefix="bench-sls-") as directory:
        bench = Bench(args.program.resolve(), args.module.resolve(), Path(directory))
        try:
            stages = stage_rows(bench)
            found = measure(bench, 4 if args.quick else 12)
            speeds, judged = speed_rows(bench, found), verdicts(bench, found)
        finally:
            bench.close()
    for text, rows in ((STAGES, stages), (SPEEDS, speeds)):
        print(f"\n{text}\n")
        print("\n".join(table(rows)))
    print("\n" + "\n".join(judged))
    if not args.quick:
        parts = [f"{text}\n\n{results.table(rows[0], rows[1:])}" for text, rows in ((STAGES, stages), (SPEEDS, speeds))]
        heading = "# The SLS leg\n\n`make bench-sls` wrote this; benches/sls/run.py says how it is measured."
        parts = [heading, results.heading(before), *parts, "\n".join(f"* {line}" for line in judged)]
        (HERE / "results.md").write_text("\n\n".join(parts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
