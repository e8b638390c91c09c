"""Every version that this repository names is one version: a build next year is the build of today."""

import json
import pathlib
import re
import tomllib
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
OURS = (".tools", "target", "dist", "node_modules", "scratch")
VERSION = r"[0-9][0-9A-Za-z.+-]*"


def files(pattern: str) -> list[pathlib.Path]:
    found = [path for path in ROOT.rglob(pattern) if not set(path.relative_to(ROOT).parts) & set(OURS)]
    assert found, f"no {pattern}"
    return found


def tables(manifest: dict):
    """Every table of dependencies: of all kinds, also those for one target."""
    for scope in (manifest, manifest.get("workspace", {}), *manifest.get("target", {}).values()):
        for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
            yield scope.get(kind, {})


def loose_crates(manifest: dict) -> list[str]:
    loose = []
    for name, wanted in (pair for table in tables(manifest) for pair in table.items()):
        source = {"version": wanted} if isinstance(wanted, str) else wanted
        pinned = "path" in source or source.get("workspace") or re.fullmatch(f"={VERSION}", source.get("version", ""))
        if not pinned or "git" in source:
            loose.append(name)
    return loose


def loose_python(requirements: str) -> list[str]:
    lines = [line.split("#")[0].strip() for line in requirements.replace("\\\n", " ").splitlines()]
    hashes = r"(\s+--hash=sha256:[0-9a-f]{64})*"
    return [line for line in lines if line and not re.fullmatch(rf"[\w.\[\]-]+=={VERSION}{hashes}", line)]


def loose_npm(package: dict) -> list[str]:
    wanted = package.get("dependencies", {}) | package.get("devDependencies", {})
    return [name for name, version in wanted.items() if not re.fullmatch(VERSION, version)]


def locked_here() -> set[str]:
    """The packages of this repository that one of its Cargo.lock files holds: what comes from outside has a source."""
    locks = [tomllib.loads(path.read_text(encoding="utf-8")) for path in files("Cargo.lock")]
    return {package["name"] for lock in locks for package in lock["package"] if "source" not in package}


class Pins(unittest.TestCase):
    def test_crates(self):
        locked = locked_here()
        for path in files("Cargo.toml"):
            with self.subTest(path.relative_to(ROOT)):
                manifest = tomllib.loads(path.read_text(encoding="utf-8"))
                self.assertEqual(loose_crates(manifest), [])
                # A crate that only others of this repository use is in their lock file.
                self.assertIn(manifest["package"]["name"], locked)

    def test_toolchain(self):
        channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text(encoding="utf-8"))["toolchain"]["channel"]
        self.assertRegex(channel, r"^\d+\.\d+\.\d+$")

    def test_python(self):
        for path in [*files("requirements*.txt"), ROOT / "tests/tools/supply_chain/cargo.txt"]:
            with self.subTest(path.relative_to(ROOT)):
                self.assertEqual(loose_python(path.read_text(encoding="utf-8")), [])

    def test_npm(self):
        for path in files("package.json"):
            with self.subTest(path.relative_to(ROOT)):
                self.assertEqual(loose_npm(json.loads(path.read_text(encoding="utf-8"))), [])
                lock = json.loads(path.with_name("package-lock.json").read_text(encoding="utf-8"))
                self.assertTrue(all("integrity" in its for name, its in lock["packages"].items() if name))

    def test_what_is_no_pin_is_seen(self):
        self.assertEqual(
            loose_crates(
                tomllib.loads("""
                    dependencies = { a = "1", b = "=1.2.3", c = { version = "^1" }, d = { path = "d" }, e = "*" }
                    target.'cfg(unix)'.dev-dependencies = { f = ">=1, <2", g = { version = "=1.0.0" }, h = { git = "x" } }
                """)
            ),
            ["a", "c", "e", "f", "h"],
        )
        self.assertEqual(loose_python("a==1.0  # why\nb>=2\nc\nd==1.*\n"), ["b>=2", "c", "d==1.*"])
        self.assertEqual(loose_npm({"dependencies": {"a": "1.2.3", "b": "^1.2.3"}, "devDependencies": {"c": "*"}}), ["b", "c"])


if __name__ == "__main__":
    unittest.main()
