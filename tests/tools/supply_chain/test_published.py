"""What `make dist` has written, against sources of its own: the file's bytes, cargo's tree, CycloneDX's schema."""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MODULE = ROOT / "dist/sentry_edge_mirror.wasm"
SBOM = MODULE.with_suffix(".cdx.json")


TARGET = "--target=wasm32-wasip1"


def said_by(*command: str) -> list[str]:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def linked() -> set[str]:
    """Names and versions of the crates in cargo's tree that the module is linked of."""
    lines = said_by("cargo", "tree", "--locked", TARGET, "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}")
    found = {" ".join(line.split()[:2]).replace(" v", " ") for line in lines}
    return {crate for crate in found if not crate.startswith("sentry-edge-mirror ")}


def compiled() -> set[str]:
    """Of everything that the build compiles; it is fresh, so that this only asks."""
    messages = said_by("cargo", "build", "--quiet", "--locked", "--release", "--lib", TARGET, "--message-format=json")
    artifacts = (json.loads(line) for line in messages)
    ids = {artifact["package_id"] for artifact in artifacts if artifact["reason"] == "compiler-artifact"}
    return {its.rsplit("#")[-1].replace("@", " ") for its in ids if its.startswith("registry+")}


class Dist(unittest.TestCase):
    def setUp(self):
        self.text = SBOM.read_text(encoding="utf-8")
        self.sbom = json.loads(self.text)

    def crates(self, *scopes: str) -> set[str]:
        return {
            f"{component['name']} {component['version']}"
            for component in self.sbom["components"]
            if component["purl"].startswith("pkg:cargo/") and component["scope"] in scopes
        }

    def test_sha256(self):
        digest = hashlib.sha256(MODULE.read_bytes()).hexdigest()
        written = MODULE.with_name(MODULE.name + ".sha256").read_text(encoding="utf-8")
        self.assertEqual(written, f"{digest}  {MODULE.name}\n")
        self.assertEqual(self.sbom["metadata"]["component"]["hashes"], [{"alg": "SHA-256", "content": digest}])

    def test_valid_against_the_schema(self):
        validator = JsonStrictValidator(SchemaVersion.V1_6)
        self.assertIsNone(validator.validate_str(self.text))
        self.sbom["components"][0]["scope"] = "somewhat"
        self.assertIsNotNone(validator.validate_str(json.dumps(self.sbom)))

    def test_components_are_cargos(self):
        # serde_derive and the like run while it is built.
        self.assertEqual(self.crates("required"), linked())
        self.assertEqual(self.crates("required", "excluded"), compiled())

    def test_nothing_of_the_command_and_the_tests(self):
        names = {component["name"] for component in self.sbom["components"]}
        self.assertFalse(names & {"clap", "wasmtime", "proptest", "libyaml-safer"})
        self.assertLessEqual({"proxy-wasm", "serde_json", "rust-std"}, names)

    def test_every_crate_has_a_licence_and_a_checksum(self):
        for component in self.sbom["components"]:
            with self.subTest(component["purl"]):
                self.assertTrue(component["licenses"])
                self.assertTrue(component["name"] == "rust-std" or component["hashes"])

    def test_the_same_bytes_again_and_no_path_of_this_machine(self):
        with tempfile.TemporaryDirectory() as folder:
            again = pathlib.Path(folder, "again.json")
            subprocess.run([sys.executable, HERE / "sbom.py", MODULE, again], check=True, stdout=subprocess.DEVNULL)
            self.assertEqual(again.read_text(encoding="utf-8"), self.text)
        self.assertNotIn(str(ROOT), self.text)


if __name__ == "__main__":
    unittest.main()
