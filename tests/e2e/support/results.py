"""What a results file begins with: of which commit, with which Envoy, on which machine, and how busy that was before."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

from . import paths
from .envoy import version

# Above it the machine does something else too, and times are not to be trusted.
QUIET = 0.5


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def wait_quiet(seconds: float) -> float:
    """Waits for a quiet machine (a build before this takes a while to be forgotten); the load then."""
    end = time.monotonic() + seconds
    while load() >= QUIET and time.monotonic() < end:
        time.sleep(1)
    return load()


def heading(before: float, counted: bool = False, envoy: str | None = None) -> str:
    """Markdown. `before`: the load when the run began. Where things are counted it does not matter. `envoy`: its version, if
    not that of the suite."""
    lines = [
        f"* commit {_commit()}",
        f"* {time.strftime('%Y-%m-%d', time.gmtime())}, load average before it started: {before:.2f}",
        f"* Envoy {envoy or '.'.join(map(str, version()))}, {os.cpu_count()} cores, {_processor()}",
    ]
    if before >= QUIET and not counted:
        lines.append(f"* **not on a quiet machine** (load {QUIET} or more): times show little")
    return "\n".join(lines)


def _commit() -> str:
    # A run that writes several results files has changed some of them already.
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", "--", ":!*.md", ":!*.svg")
    return _output("git", "describe", "--always", "--exclude=*") + ("-dirty" if changed else "")


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])
