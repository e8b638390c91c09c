"""Puts all that a release publishes into a folder: collect.py FOLDER, after `make build cli image`.

    *.wasm                           the module's artefacts
    sentry-edge-mirror-linux-ARCH    the command
    *.cdx.json                       the SBOMs of the module and of the command
    image.tar                        the image, an OCI layout
    sentry-edge-mirror-VERSION.tar   what an operator needs, as it lies in the repository: documents, samples, the kit, schemas,
                                     manifests that name the image by its digest, and dist/ with the artefacts and the command
    SHA256SUMS                       of all of them

The same commit gives the same bytes: what is packed has no owner, and the time of the commit.
"""

import hashlib
import io
import json
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from versions import ROOT, git, version

DIST = ROOT / "dist"
ARTEFACTS = ("sentry_edge_mirror.wasm", "sentry_edge_mirror_nginx.wasm", "sentry_edge_mirror_shadow.wasm")
COMMAND = "sentry-edge-mirror"
TARGETS = {"sentry_edge_mirror.wasm": "wasm32-wasip1", COMMAND: f"{platform.machine()}-unknown-linux-musl"}
# What operators read and start from. Sources and tests are in the repository, at the tag.
OPERATORS = ("README.md", "README.zh-CN.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "envoy", "nginx")
MANIFESTS = "envoy/deploy/"


def digests(layout: Path) -> dict[str, str]:
    """Of the images in an OCI layout, by tag."""
    index = json.loads((layout / "index.json").read_text(encoding="utf-8"))
    return {image["annotations"]["org.opencontainers.image.ref.name"]: image["digest"] for image in index["manifests"]}


def pinned(text: str, images: dict[str, str]) -> str:
    """A manifest that names our images by digest in place of the tag."""
    return re.sub(r"(/sentry-edge-mirror):([\w.-]+)", lambda found: f"{found[1]}@{images[found[2]]}", text)


class Archive:
    """A tar with nothing of the machine that packs it."""

    def __init__(self, path: Path, time: int) -> None:
        self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self.time = time

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *error: object) -> None:
        self.tar.close()

    def add(self, name: str, content: bytes, *, runs: bool = False) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(content), self.time, 0o755 if runs else 0o644
        self.tar.addfile(info, io.BytesIO(content))


def operators() -> list[Path]:
    """Their files, relative to the root; those that are not committed yet too."""
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *OPERATORS)
    return sorted(path for name in listed.split("\0") if name and (ROOT / (path := Path(name))).is_file())


def pack(folder: Path, time: int) -> None:
    images, top = digests(DIST / "image"), f"{COMMAND}-{version()}"
    with Archive(folder / f"{top}.tar", time) as archive:
        for path in operators():
            content = (ROOT / path).read_bytes()
            if str(path).startswith(MANIFESTS) and path.suffix == ".yaml":
                content = pinned(content.decode(), images).encode()
            archive.add(f"{top}/{path}", content, runs=bool((ROOT / path).stat().st_mode & 0o100))
        for name in (*ARTEFACTS, COMMAND):
            archive.add(f"{top}/dist/{name}", (DIST / name).read_bytes(), runs=name == COMMAND)
    with Archive(folder / "image.tar", time) as archive:
        for path in sorted(path for path in (DIST / "image").rglob("*") if path.is_file()):
            archive.add(str(path.relative_to(DIST / "image")), path.read_bytes())


def main() -> None:
    (argument,) = sys.argv[1:]
    folder = Path(argument)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ARTEFACTS:
        shutil.copyfile(DIST / name, folder / name)
    shutil.copy(DIST / COMMAND, folder / f"{COMMAND}-linux-{platform.machine()}")
    for subject, target in TARGETS.items():
        out = folder / f"{Path(subject).stem}.cdx.json"
        sbom = ROOT / "tests/tools/supply_chain/sbom.py"
        subprocess.run([sys.executable, sbom, DIST / subject, out, target], cwd=ROOT, check=True)
    pack(folder, int(git("log", "-1", "--format=%ct")))
    published = sorted(folder.iterdir())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in published]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    print("".join(f"{folder}/{path.name}: {path.stat().st_size} bytes\n" for path in published), end="")


if __name__ == "__main__":
    main()
