"""Runs the SDK programs of programs/ against a DSN."""

import os
import subprocess

from . import bugsink, paths

KINDS = {
    "python": ["error", "big_error", "transaction", "logs", "session", "attachment", "check_in", "flask"],
    "node": ["error", "bigError", "transaction", "logs", "attachment"],
}


def dsn(project: int, port: int) -> str:
    return f"http://{bugsink.key(project)}@127.0.0.1:{port}/{project}"


def run(language: str, what: str, project: int, port: int) -> list[str]:
    """Runs a program to its end; returns the ids of the error events that it sent. `what`: kinds, one after the other.
    (To load an SDK is all that such a program costs.)"""
    # What the SDKs find in the environment would find its way into events.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    environment = {**kept, "SENTRY_DSN": dsn(project, port), "NODE_PATH": paths.node_modules()}
    program, file = (paths.python(), "python_app.py") if language == "python" else (paths.node(), "node_app.cjs")
    done = subprocess.run(
        [program, str(paths.E2E / "programs" / file), *what.split()],
        check=False,
        env=environment,
        cwd="/",
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("event ")]
