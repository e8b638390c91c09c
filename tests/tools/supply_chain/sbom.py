"""Writes the SBOM of the module or of the command, CycloneDX 1.6 as JSON: sbom.py SUBJECT OUT TARGET.

The components are those of `cargo tree` for the subject's target, as `cargo metadata` describes them: what is linked into it
is `required`, what only runs while it is built (build scripts, procedural macros and what they need) is `excluded`. Hashes are
those of the registry's packages (Cargo.lock), the subject has its own. The same commit gives the same bytes: the serial number
comes from the subject's hash, the time from the commit.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tomllib
import uuid
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = pathlib.Path(__file__).resolve().parents[3]
VERSION = SchemaVersion.V1_6
# Of crates that say it with a file only.
FILES = {"LICENSE-MIT": "MIT"}


def said_by(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def is_macro(package: dict) -> bool:
    return any("proc-macro" in target["kind"] for target in package["targets"])


def built(packages: dict, target: str) -> set[str]:
    """Ids of the packages in cargo's tree. `cargo metadata` alone also has what a weak feature (`name?/feature`) names."""
    edges = "--edges=normal,build"
    tree = said_by("cargo", "tree", "--locked", f"--target={target}", edges, "--prefix=none", "--format={p}")
    lines = {tuple(line.split()[:2]) for line in tree.splitlines()}
    return {key for key, package in packages.items() if (package["name"], "v" + package["version"]) in lines}


def reached(nodes: dict, packages: dict, among: set[str], root: str, *, linked: bool) -> set[str]:
    """Ids of what `root` needs, `among` what is built; `linked`: of what gets into the subject."""
    found, todo = set(), [root]
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            package = dependency["pkg"]
            wanted = None in kinds and not is_macro(packages[package]) if linked else kinds - {"dev"}
            if wanted and package in among and package not in found:
                found.add(package)
                todo.append(package)
    return found


def component(package: dict, scope: ComponentScope, checksums: dict) -> Component:
    name, version = package["name"], package["version"]
    # Before SPDX expressions, crates wrote `/` for OR.
    expression = (package["license"] or FILES.get(package["license_file"], "")).replace("/", " OR ")
    purl = PackageURL("cargo", name=name, version=version)
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=str(purl),
        purl=purl,
        scope=scope,
        licenses=[LicenseExpression(expression)] if expression else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksums[name, version])],
    )


def main() -> None:
    file, out, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    metadata = json.loads(said_by("cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"))
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    toolchain = tomllib.loads((ROOT / "rust-toolchain.toml").read_text(encoding="utf-8"))["toolchain"]["channel"]
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]

    among = built(packages, target)
    linked = reached(nodes, packages, among, root, linked=True)
    scopes = {
        package: ComponentScope.REQUIRED if package in linked else ComponentScope.EXCLUDED
        for package in reached(nodes, packages, among, root, linked=False)
    }
    components = {package: component(packages[package], scope, checksums) for package, scope in scopes.items()}
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    purl = PackageURL("cargo", name=packages[root]["name"], version=packages[root]["version"])
    subject = Component(
        type=ComponentType.APPLICATION,
        name=packages[root]["name"],
        version=packages[root]["version"],
        bom_ref=str(purl),
        purl=purl,
        licenses=[LicenseExpression(packages[root]["license"])],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
    # Part of both, and of no lock file. With it come musl and an unwinder, if the target has them.
    std = Component(
        type=ComponentType.LIBRARY,
        name="rust-std",
        version=toolchain,
        bom_ref=f"pkg:generic/rust-std@{toolchain}",
        purl=PackageURL("generic", name="rust-std", version=toolchain),
        scope=ComponentScope.REQUIRED,
        licenses=[LicenseExpression("MIT OR Apache-2.0")],
    )
    bom = Bom(components=[*components.values(), std], serial_number=uuid.UUID(digest[:32]))
    bom.metadata.component = subject
    bom.metadata.timestamp = datetime.fromtimestamp(int(said_by("git", "log", "-1", "--format=%ct")), UTC)
    components[root] = subject
    for package, its in components.items():
        needs = (components.get(dependency["pkg"]) for dependency in nodes[package]["deps"])
        bom.register_dependency(its, [need for need in needs if need])
    bom.register_dependency(subject, [std])

    text = make_outputter(bom, OutputFormat.JSON, VERSION).output_as_string(indent=2)
    problem = JsonStrictValidator(VERSION).validate_str(text)
    if problem:
        sys.exit(f"{out}: not valid CycloneDX {VERSION.to_version()}: {problem}")
    out.write_text(text + "\n", encoding="utf-8")
    print(f"{out}: {len(linked) + 1} components in it, {len(scopes) - len(linked)} only for its build")


if __name__ == "__main__":
    main()
