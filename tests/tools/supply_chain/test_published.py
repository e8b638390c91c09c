"""What `make published` has written, against sources of its own: the files' bytes, cargo's tree, CycloneDX's schema."""

import hashlib
import json
import pathlib
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
RELEASE = ROOT / "dist/release"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]["version"]
COMMAND = f"sentry-edge-mirror-linux-{platform.machine()}"
OPERATORS = f"sentry-edge-mirror-{VERSION}"
MODULES = ("sentry_edge_mirror.wasm", "sentry_edge_mirror_nginx.wasm", "sentry_edge_mirror_shadow.wasm")
# SBOM, its subject, cargo's target, and what cargo builds.
SUBJECTS = {
    "sentry_edge_mirror.cdx.json": (MODULES[0], "wasm32-wasip1", ("--release", "--lib")),
    "sentry-edge-mirror.cdx.json": (COMMAND, f"{platform.machine()}-unknown-linux-musl", ("--profile=command", "--bins")),
}


def said_by(*command: str) -> list[str]:
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.splitlines()


def linked(target: str) -> set[str]:
    """Names and versions of the crates in cargo's tree that the subject is linked of."""
    edges = "--edges=normal,no-proc-macro"
    lines = said_by("cargo", "tree", "--locked", f"--target={target}", edges, "--prefix=none", "--format={p}")
    found = {" ".join(line.split()[:2]).replace(" v", " ") for line in lines}
    return {crate for crate in found if not crate.startswith("sentry-edge-mirror ")}


def compiled(target: str, what: tuple[str, ...]) -> set[str]:
    """Of everything that the build compiles; it is fresh, so that this only asks."""
    flags = ("--quiet", "--locked", f"--target={target}", "--message-format=json")
    artifacts = (json.loads(line) for line in said_by("cargo", "build", *flags, *what))
    ids = {artifact["package_id"] for artifact in artifacts if artifact["reason"] == "compiler-artifact"}
    return {its.rsplit("#")[-1].replace("@", " ") for its in ids if its.startswith("registry+")}


def crates(sbom: dict, *scopes: str) -> set[str]:
    return {
        f"{component['name']} {component['version']}"
        for component in sbom["components"]
        if component["purl"].startswith("pkg:cargo/") and component["scope"] in scopes
    }


class Sboms(unittest.TestCase):
    def setUp(self):
        self.sboms = {name: json.loads((RELEASE / name).read_text(encoding="utf-8")) for name in SUBJECTS}

    def test_each_is_of_its_subject(self):
        for name, (subject, *_) in SUBJECTS.items():
            digest = hashlib.sha256((RELEASE / subject).read_bytes()).hexdigest()
            self.assertEqual(self.sboms[name]["metadata"]["component"]["hashes"], [{"alg": "SHA-256", "content": digest}])
            self.assertEqual(self.sboms[name]["metadata"]["component"]["version"], VERSION)

    def test_valid_against_the_schema(self):
        validator = JsonStrictValidator(SchemaVersion.V1_6)
        for name, sbom in self.sboms.items():
            self.assertIsNone(validator.validate_str((RELEASE / name).read_text(encoding="utf-8")))
            sbom["components"][0]["scope"] = "somewhat"
            self.assertIsNotNone(validator.validate_str(json.dumps(sbom)))

    def test_components_are_cargos(self):
        for name, (_, target, what) in SUBJECTS.items():
            with self.subTest(name):
                # serde_derive and the like run while it is built.
                self.assertEqual(crates(self.sboms[name], "required"), linked(target))
                self.assertEqual(crates(self.sboms[name], "required", "excluded"), compiled(target, what))

    def test_each_has_its_own_and_nothing_of_the_tests(self):
        module, command = ({component["name"] for component in sbom["components"]} for sbom in self.sboms.values())
        self.assertFalse((module | command) & {"wasmtime", "proptest"})
        self.assertFalse(module & {"clap", "libyaml-safer"})
        self.assertLessEqual({"proxy-wasm", "serde_json", "rust-std"}, module)
        self.assertLessEqual({"clap", "libyaml-safer", "serde_json", "rust-std"}, command)

    def test_every_crate_has_a_licence_and_a_checksum(self):
        for component in (component for sbom in self.sboms.values() for component in sbom["components"]):
            with self.subTest(component["purl"]):
                self.assertTrue(component["licenses"])
                self.assertTrue(component["name"] == "rust-std" or component["hashes"])

    def test_the_same_bytes_again_and_no_path_of_this_machine(self):
        for name, (subject, target, _) in SUBJECTS.items():
            text = (RELEASE / name).read_text(encoding="utf-8")
            with tempfile.TemporaryDirectory() as folder:
                again = pathlib.Path(folder, "again.json")
                command = [sys.executable, HERE / "sbom.py", RELEASE / subject, again, target]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                self.assertEqual(again.read_text(encoding="utf-8"), text)
            self.assertNotIn(str(ROOT), text)


class Published(unittest.TestCase):
    def setUp(self):
        with tarfile.open(RELEASE / f"{OPERATORS}.tar") as archive:
            self.members = {member.name.removeprefix(f"{OPERATORS}/"): member for member in archive}
            self.files = {name: archive.extractfile(member).read() for name, member in self.members.items()}

    def test_the_sums_are_of_all_files(self):
        sums = (RELEASE / "SHA256SUMS").read_text(encoding="utf-8")
        expected = [path for path in sorted(RELEASE.iterdir()) if path.name != "SHA256SUMS"]
        self.assertEqual(sums, "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in expected))
        names = {*MODULES, *SUBJECTS, COMMAND, "image.tar", f"{OPERATORS}.tar"}
        self.assertEqual({path.name for path in expected}, names)

    def test_the_command_needs_no_library_and_knows_no_path(self):
        data = (RELEASE / COMMAND).read_bytes()
        self.assertNotIn(b"libc.so", data)
        self.assertNotIn(str(ROOT).encode(), data)
        self.assertNotIn(str(pathlib.Path.home() / ".cargo").encode(), data)
        self.assertIn(VERSION, said_by(str(RELEASE / COMMAND), "--version")[0])

    def test_operators_get_their_files_as_they_are(self):
        for name, data in self.files.items():
            own = (ROOT / name).read_bytes()
            if name.startswith("envoy/deploy/") and name.endswith(".yaml"):
                data = re.sub(rb"(/sentry-edge-mirror)@sha256:\w+", rb"\1", data)
                own = re.sub(rb"(/sentry-edge-mirror):[\w.-]+", rb"\1", own)
            self.assertEqual(data, own, name)
            self.assertEqual(bool(self.members[name].mode & 0o100), bool((ROOT / name).stat().st_mode & 0o100), name)
        some = {"README.md", "envoy/tee.yaml", "nginx/tee.conf", "envoy/schema/plugin.json", "dist/sentry-edge-mirror"}
        self.assertLessEqual(some | {f"dist/{name}" for name in MODULES}, set(self.files))

    def test_the_manifests_name_the_image_that_is_there(self):
        with tarfile.open(RELEASE / "image.tar") as archive:
            index = json.load(archive.extractfile("index.json"))
            digests = {image["annotations"]["org.opencontainers.image.ref.name"]: image["digest"] for image in index["manifests"]}
            for digest in digests.values():
                blob = archive.extractfile("blobs/" + digest.replace(":", "/")).read()
                self.assertEqual("sha256:" + hashlib.sha256(blob).hexdigest(), digest)
        self.assertEqual(set(digests), {VERSION, f"{VERSION}-volume"})
        named = {}
        for name, data in self.files.items():
            if name.startswith("envoy/deploy/") and name.endswith(".yaml"):
                for digest in re.findall(r"/sentry-edge-mirror(\S+?)[\s\",]", data.decode()):
                    named.setdefault(digest, []).append(name)
        self.assertEqual(set(named), {f"@{digest}" for digest in digests.values()})
        self.assertEqual(named[f"@{digests[VERSION + '-volume']}"], ["envoy/deploy/gateway-api/base/deployment.yaml"])
        self.assertEqual(len(named[f"@{digests[VERSION]}"]), 4)


if __name__ == "__main__":
    unittest.main()
