"""Where things are. A missing program is an error that says how to get it: a test must fail, never skip."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
E2E = ROOT / "tests" / "e2e"
FIXTURES = ROOT / "tests" / "fixtures"
TOOLS = ROOT / ".tools"


def program(path: Path) -> str:
    """The path of a program that setup.sh installs, or that the build makes."""
    if not path.exists():
        raise RuntimeError(f"{path} is missing: run `make e2e`, which installs and builds it")
    return str(path)


def envoy() -> str:
    # `make matrix` goes through other versions.
    if chosen := os.environ.get("ENVOY"):
        return program(ROOT / chosen)
    # The wheel's own launcher is a Python script that execs this; started directly, the pid is Envoy's.
    found = sorted((TOOLS / "venv" / "lib").glob("python3.*/site-packages/envoy/_bin/envoy"))
    return program(found[0] if found else TOOLS / "venv" / "bin" / "envoy")


def kubectl() -> str:
    return program(TOOLS / "venv" / "bin" / "kubectl")


def python() -> str:
    return program(TOOLS / "venv" / "bin" / "python")


def node() -> str:
    return program(TOOLS / "venv" / "bin" / "node")


def node_modules() -> str:
    return program(TOOLS / "node" / "node_modules")


def module() -> str:
    return program(ROOT / "dist" / "sentry_edge_mirror.wasm")


def command() -> str:
    """The command `sentry-edge-mirror`."""
    return program(ROOT / "dist" / "sentry-edge-mirror")
