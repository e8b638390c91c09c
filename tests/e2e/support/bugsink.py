"""A real Sentry-compatible server as the primary: Bugsink, with an empty database and three projects.

Making the database takes Django's migrations some ten seconds, so it is made once per installation, kept beside the
venv, and copied for every run.
"""

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import uuid
from pathlib import Path
from typing import Any

from . import paths, wait

PROJECTS = {1: "shop-web", 2: "shop-api", 3: "something-else"}
_PREPARE = """
from django.contrib.auth import get_user_model
from projects.models import Project, ProjectMembership, ProjectRole
user = get_user_model().objects.create_superuser('demo', 'demo@example.com', 'demo')
for number, name in {projects!r}.items():
    project = Project.objects.create(id=number, name=name, sentry_key='{key}' % number)
    ProjectMembership.objects.create(project=project, user=user, role=ProjectRole.ADMIN, accepted=True)
"""
_KEY = "5ca1ab1e-5ca1-4b1e-9ca1-%012d"


def key(project: int) -> str:
    """The public key of a project, as it stands in its DSN."""
    return uuid.UUID(_KEY % project).hex


def _environment(directory: Path, url: str) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "bugsink_conf",
        "PYTHONPATH": str(Path(__file__).parent / "settings"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BUGSINK_DIRECTORY": str(directory),
        "BUGSINK_URL": url,
    }


def _manage(directory: Path, *args: str, stdin: str | None = None) -> None:
    command = [paths.python(), "-m", "django", *args]
    done = subprocess.run(
        command,
        check=False,
        env=_environment(directory, "http://127.0.0.1"),
        input=stdin,
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{args}: {done.stdout[-2000:]}{done.stderr[-3000:]}"


def template() -> Path:
    """The directory with the prepared database; made if it is not there yet."""
    # A changed recipe makes another one.
    recipe = hashlib.sha256(f"{_PREPARE}{PROJECTS}{_KEY}".encode()).hexdigest()[:12]
    ready = paths.TOOLS / "bugsink" / recipe
    if not ready.exists():
        building = paths.TOOLS / "bugsink" / f"building.{os.getpid()}"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        _manage(building, "migrate", "--verbosity", "0")
        _manage(building, "migrate", "--verbosity", "0", "--database", "snappea")
        _manage(building, "shell", "-c", _PREPARE.format(projects=PROJECTS, key=_KEY))
        try:
            building.rename(ready)
        except OSError:  # another run was faster
            shutil.rmtree(building)
    return ready


class Bugsink:
    """A running Bugsink. `port` 0: a free one."""

    def __init__(self, directory: Path, port: int = 0, url: str = "http://127.0.0.1") -> None:
        shutil.copytree(template(), directory)
        self.directory = directory
        # gunicorn is given the listening socket itself, so no other process can take the port in between.
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        self.port: int = listener.getsockname()[1]
        self._log = directory / "gunicorn.log"
        command = [paths.python(), "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--workers", "1"]
        command += ["--threads", "4", "--keep-alive", "60", "--no-control-socket", "bugsink.wsgi"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=_environment(directory, url),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we end it in order
                pass_fds=[listener.fileno()],
            )
        listener.close()
        try:
            wait.until("Bugsink's answer", self._answers, 60, 0.1)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()[-3000:]
        with socket.create_connection(("127.0.0.1", self.port), 30) as client:
            client.sendall(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.1 ")

    def events(self, project: int | None = None) -> list[dict[str, Any]]:
        """The events stored, as the SDK's JSON."""
        database = sqlite3.connect(f"file:{self.directory / 'db.sqlite3'}?mode=ro", uri=True, timeout=10)
        try:
            rows = database.execute("select project_id, data from events_event order by ingested_at").fetchall()
        finally:
            database.close()
        return [json.loads(data) for number, data in rows if project in (None, number)]

    def event(self, event_id: str) -> dict[str, Any] | None:
        """A stored event by its id."""
        wanted = uuid.UUID(event_id)
        return next((e for e in self.events() if uuid.UUID(e["event_id"]) == wanted), None)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
