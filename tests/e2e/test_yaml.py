"""What Envoy makes of YAML: tests/fixtures/yaml.json says it, the real Envoy confirms it, and `check` agrees.

The other half, that our reader makes the same of each, is a unit test (src/bin/.../document/yaml.rs).
"""

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from support import paths, wait
from support.envoy import version

CASES: list[dict[str, Any]] = json.loads((paths.FIXTURES / "yaml.json").read_text())
PARTS = 8


def metadata(directory: Path, text: str) -> Any:
    """The metadata of the node as a running Envoy has it, or None when it refuses the file."""
    directory.mkdir(parents=True)
    config, admin = directory / "envoy.yaml", directory / "admin.address"
    config.write_bytes(text.encode())
    command = [paths.envoy(), "-c", str(config), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"]
    command += ["--admin-address-path", str(admin)]
    with (directory / "stderr.log").open("wb") as stderr:
        envoy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
    try:
        ready = wait.until(
            "Envoy's answer", lambda: envoy.poll() is not None or admin.exists() and ":" in admin.read_text(), 60
        )
        assert ready
        if envoy.poll() is not None:
            return None
        with urllib.request.urlopen(f"http://{admin.read_text()}/config_dump", timeout=30) as answer:
            dump = json.load(answer)
    finally:
        envoy.kill()
        envoy.wait()
    (bootstrap,) = [part["bootstrap"] for part in dump["configs"] if "bootstrap" in part]
    return bootstrap["node"]["metadata"]


@pytest.mark.parametrize("part", range(PARTS))
def test_envoy_reads_it_so(part: int, tmp_path: Path) -> None:
    wrong = {}
    for number, case in enumerate(CASES[part::PARTS]):
        read = metadata(tmp_path / str(number), case["text"])
        is_refused = version() < tuple(case.get("since", ()))
        if read != (None if is_refused else case.get("value")):
            wrong[case["name"]] = read
    assert not wrong
