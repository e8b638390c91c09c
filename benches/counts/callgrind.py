"""An Envoy under callgrind: started, driven and read.

Envoy's release binary has no symbols but those of the C allocator. So allocations are not counted by name: the allocator is a
section of its own, and all calls into it from outside are counted. Half of them take memory and half give it back, once
nothing grows any more.
"""

import re
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

ALLOCATOR = "google_malloc"
# Valgrind takes its time to start 100 MB of program, more so on a busy machine.
START_SECONDS = 300.0


@dataclass(frozen=True)
class Counts:
    """What happened in a window."""

    instructions: int
    allocator_calls: int

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.instructions - other.instructions, self.allocator_calls - other.allocator_calls)


class Callgrind:
    """One program under callgrind. Nothing is counted until `window`."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self.directory = directory
        self.program = Path(command[0]).resolve()
        self.section = section(self.program, ALLOCATOR)
        self.dumps = 0
        options = ["--tool=callgrind", "--instr-atstart=no", "--dump-instr=yes", "--compress-strings=no"]
        # V8 writes code and changes it.
        options += ["--compress-pos=no", "--smc-check=all-non-file", f"--vgdb-prefix={directory}/vgdb"]
        options += [f"--callgrind-out-file={directory}/callgrind"]
        self.log = directory / "log"
        with self.log.open("wb") as output:
            self.child = subprocess.Popen(
                ["valgrind", *options, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> "Callgrind":
        return self

    def __exit__(self, *_) -> None:
        # Killed: at its orderly end it would write all that it knows.
        self.child.kill()
        self.child.wait()

    def wait_until(self, what: str, ready, seconds: float = START_SECONDS) -> None:
        """Polls `ready` until it is true; an OSError in it means not yet."""
        end = time.monotonic() + seconds
        while True:
            if self.child.poll() is not None:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Envoy ended with status {self.child.returncode}:\n{tail}")
            try:
                if ready():
                    return
            except OSError:
                pass
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not within {seconds:.0f} s")
            time.sleep(0.05)

    def window(self, work) -> Counts:
        """What `work` makes the program do."""
        self.control("instrumentation", "on")
        self.control("zero")
        work()
        self.control("dump")
        self.control("instrumentation", "off")
        self.dumps += 1
        found = self.directory / f"callgrind.{self.dumps}"
        base = self.base()
        counts = read(found, range(self.section.start + base, self.section.stop + base))
        found.unlink()
        return counts

    def base(self) -> int:
        """Where valgrind has loaded the program."""
        lines = Path(f"/proc/{self.child.pid}/maps").read_text().splitlines()
        return min(int(line.split("-")[0], 16) for line in lines if line.endswith(str(self.program)))

    def control(self, *words: str) -> None:
        """One command of callgrind's monitor."""
        command = ["vgdb", f"--pid={self.child.pid}", f"--vgdb-prefix={self.directory}/vgdb", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"vgdb {' '.join(words)}: {done.stderr or done.stdout}")


def read(dump: Path, where: range) -> Counts:
    """Adds up a dump. `where`: the addresses of the allocator."""
    totals, calls, address = None, [], 0
    outside = re.compile(r"^calls=(\d+) 0x([0-9a-f]+)")
    with dump.open(errors="replace") as lines:
        for line in lines:
            if line.startswith("calls="):
                called = outside.match(line)
                # The line behind it has the address of the call itself.
                address = int(next(lines).split()[0], 16)
                if called:
                    calls.append((int(called[1]), address, int(called[2], 16)))
            elif line.startswith("totals:"):
                totals = int(line.split()[1])
    if totals is None:
        raise RuntimeError(f"{dump}: no totals")
    within = sum(count for count, source, target in calls if target in where and source not in where)
    return Counts(totals, within)


def section(program: Path, name: str) -> range:
    """The addresses of a section of an ELF file of 64 bits, as the file says."""
    with program.open("rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            raise RuntimeError(f"{program}: not an ELF file of 64 bits")
        (table,) = struct.unpack_from("<Q", header, 40)
        size, count, names = struct.unpack_from("<HHH", header, 58)
        file.seek(table)
        raw = file.read(size * count)
        rows = [struct.unpack_from("<IIQQQQ", raw, index * size) for index in range(count)]
        file.seek(rows[names][4])
        texts = file.read(rows[names][5])
    for at, _, _, address, _, length in rows:
        if texts[at : texts.index(b"\0", at)].decode() == name:
            return range(address, address + length)
    raise RuntimeError(f"{program}: no section {name}")
