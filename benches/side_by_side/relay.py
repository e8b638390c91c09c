"""nginx/mirror-relay.conf of this repository as a contender: with the bench's ports, mapping and host."""

import os
from pathlib import Path


class SampleChanged(Exception):
    """nginx/mirror-relay.conf is not shaped as this program expects."""


def nginx_relay(repository: Path, directory: Path, edge: int, primary: int, rum: int, prefix: str, authority: str) -> str:
    """The sample's text. Everything it does not say is as in the other nginx: one worker, no access log of its own."""
    text = (repository / "nginx" / "mirror-relay.conf").read_text()
    paths = "".join(f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    changes = {
        "http {\n": f"http {{\n{paths}keepalive_requests 1000000;\n",
        "logs/": f"{directory}/",
        "unix:/run/": f"unix:{directory}/",
        "listen 10000;": f"listen 127.0.0.1:{edge} backlog=4096;",
        "server 127.0.0.1:3000;": f"server 127.0.0.1:{primary};",
        "http://127.0.0.1:9000;": f"http://127.0.0.1:{primary};",
        "server rum.example.com:443 ": f"server 127.0.0.1:{rum} ",
        "https://rum;": "http://rum;",
        "rum.example.com": authority,
        "/rum/sentry/everything-else/default@cccc3333": prefix,
    }
    for old, new in changes.items():
        if old not in text:
            raise SampleChanged(f"nginx/mirror-relay.conf has no {old!r} any more")
        text = text.replace(old, new)
    # Run by root, the worker must stay root to reach the private directory.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"daemon off;\n{user}{text}"
