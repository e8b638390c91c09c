"""Starts Debian's nginx with one of our samples, and reads the samples the way stock nginx can.

`proxy_wasm` and the `wasm` block belong to a module that Debian's nginx does not have: they are taken out where a sample
is only to be checked. Everything else stays as it is, but for addresses.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from . import paths, wait

SAMPLES = paths.ROOT / "nginx"


def program() -> str:
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        raise RuntimeError("nginx is missing: run `make e2e`, which installs it")
    return found


def without_wasm(text: str) -> str:
    """A sample without what only ngx_wasm_module understands."""
    text = re.sub(r"^wasm \{.*?^\}\n", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^\s*proxy_wasm \w+ '[^']*';\n", "", text, flags=re.DOTALL | re.MULTILINE)


def substitute(text: str, changes: dict[str, str]) -> str:
    """Replaces each key, which must be there."""
    for old, new in changes.items():
        if old not in text:
            raise AssertionError(f"the sample has no {old!r} any more")
        text = text.replace(old, new)
    return text


def prefix(directory: Path) -> Path:
    """A directory for one nginx, with what the samples expect in it."""
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    return directory


def own_places(directory: Path, text: str) -> str:
    """Sockets in this directory. And a name that nginx would look up now, which is nobody's, is an address."""
    return text.replace("unix:/run/", f"unix:{directory}/").replace("server rum.example.com:443 ", "server 127.0.0.1:443 ")


def check(directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    """`nginx -t`."""
    config = prefix(directory) / "nginx.conf"
    config.write_text(own_places(directory, text))
    command = [program(), "-t", "-q", "-p", str(directory), "-c", str(config), "-e", str(directory / "logs/error.log")]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def listener() -> socket.socket:
    """A port that cannot be lost: nginx takes over a socket that it is given (its way of replacing its own binary)."""
    return socket.create_server(("127.0.0.1", 0), backlog=511)


class Nginx:
    """A configuration, running. Its text has `listen 127.0.0.1:PORT;` for the port of each listener that is given."""

    def __init__(self, directory: Path, text: str, *listeners: socket.socket) -> None:
        self.ports: list[int] = [each.getsockname()[1] for each in listeners]
        self.port = self.ports[0]
        self._log = prefix(directory) / "logs" / "error.log"
        # As root, nginx's workers would be somebody who may not write to our directory.
        own = "user root;\n" if os.geteuid() == 0 else ""
        temporary = "".join(
            f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = substitute(text, {"http {\n": f"http {{\n{temporary}"})
        config = directory / "nginx.conf"
        config.write_text(own + text)
        command = [program(), "-p", str(directory), "-c", str(config), "-e", str(self._log), "-g", "daemon off;"]
        inherited = [each.fileno() for each in listeners]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=inherited,
            env={**os.environ, "NGINX": "".join(f"{fd};" for fd in inherited)},
        )
        for each in listeners:
            each.close()
        wait.until("nginx", (directory / "logs/nginx.pid").exists, 20)

    def workers(self) -> list[int]:
        """The pids of its workers, those that only finish what they have among them."""
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def reload(self) -> None:
        """Its configuration again, by new workers; the old ones finish what they have."""
        before = set(self.workers())
        self.process.send_signal(signal.SIGHUP)
        wait.until("new workers", lambda: set(self.workers()) - before, 20)

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self) -> None:
        code = self.process.poll()
        if code is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(15)
        assert code is None, f"nginx had died with {code}:\n{self.log()[-3000:]}"
        bad = re.findall(r"^.*\[(?:alert|crit|emerg)\].*$", self.log(), re.MULTILINE)
        assert not bad, "\n".join(bad[:10])

    def __enter__(self) -> "Nginx":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def mirror(directory: Path, primary: int, target: int, changes: dict[str, str] | None = None) -> Nginx:
    """nginx/mirror.conf. `changes` are made to its text."""
    own = listener()
    text = substitute(
        (SAMPLES / "mirror.conf").read_text(),
        {
            "listen 10000;": f"listen 127.0.0.1:{own.getsockname()[1]};",
            "server 127.0.0.1:3000;": f"server 127.0.0.1:{primary};",
            "http://127.0.0.1:9000;": f"http://127.0.0.1:{primary};",
            "server 127.0.0.1:10001 ": f"server 127.0.0.1:{target} ",
            **(changes or {}),
        },
    )
    return Nginx(directory, text, own)


def relay(
    directory: Path, primary: int, rum: int, changes: dict[str, str] | None = None, name: str = "mirror-relay.conf"
) -> Nginx:
    """nginx/mirror-relay.conf, or relay.conf without the module. `changes` are made to its text."""
    own = listener()
    text = substitute(
        without_wasm((SAMPLES / name).read_text()),
        {
            "listen 10000;": f"listen 127.0.0.1:{own.getsockname()[1]};",
            "server 127.0.0.1:3000;": f"server 127.0.0.1:{primary};",
            "http://127.0.0.1:9000;": f"http://127.0.0.1:{primary};",
            "server rum.example.com:443 ": f"server 127.0.0.1:{rum} ",
            "https://rum;": "http://rum;",
            **(changes or {}),
        },
    )
    return Nginx(directory, own_places(directory, text), own)
