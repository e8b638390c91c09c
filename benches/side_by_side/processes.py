"""Starting, pinning, measuring and ending the bench's own processes; nothing else is ever touched.

Units: CPU time in seconds, memory in bytes.
"""

import os
import signal
import subprocess
import time
from pathlib import Path


def cores() -> tuple[set[int], set[int]]:
    """The core of the proxy, and those of load and stubs. One core only: both share it."""
    available = sorted(os.sched_getaffinity(0))
    return ({available[-1]}, set(available[:-1])) if len(available) > 1 else (set(available), set(available))


class Process:
    """A child and its descendants (nginx: a master and one worker). Ended by pid, on leaving the `with` block."""

    def __init__(self, name: str, command: list[str], pinned_to: set[int], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: os.sched_setaffinity(0, pinned_to),
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends child and descendants: asked first, then killed."""
        if self.child.poll() is not None:
            return
        descendants = self.pids()[1:]
        self.child.terminate()
        try:
            self.child.wait(2)
        except subprocess.TimeoutExpired:
            for pid in [*descendants, self.child.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.child.wait()

    def check_alive(self) -> None:
        """Raises with the end of its log when the process has ended."""
        if self.child.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} ended with status {self.child.returncode}:\n{tail}")

    def pids(self) -> list[int]:
        """The child and its direct children."""
        pid = self.child.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return [pid, *map(int, children.read_text().split())] if children.exists() else [pid]

    def cpu_seconds(self) -> float:
        """CPU time so far: nanoseconds of every thread from schedstat, else clock ticks from stat."""
        return sum(map(_cpu_seconds, self.pids()))

    def memory(self) -> int:
        """Resident bytes now."""
        return sum(_status_bytes(pid, "VmRSS") for pid in self.pids())

    def peak_memory(self) -> int:
        """The most resident bytes since `reset_peak` (where the kernel lets us reset it), else since the start."""
        return sum(_status_bytes(pid, "VmHWM") for pid in self.pids())

    def reset_peak(self) -> None:
        """Makes VmHWM start from now."""
        for pid in self.pids():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                pass


def _cpu_seconds(pid: int) -> float:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9
    except (OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status_bytes(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def wait_until(what: str, ready, process: Process, seconds: float = 20) -> None:
    """Polls `ready` until it is true; an OSError in it means not yet."""
    end = time.monotonic() + seconds
    while True:
        process.check_alive()
        try:
            if ready():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise RuntimeError(f"{what} was not ready within {seconds:.0f} s; log: {process.log}")
        time.sleep(0.02)
