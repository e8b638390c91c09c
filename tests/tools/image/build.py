"""Writes the image of a built module as an OCI layout, the same bytes at each build of a commit.

    python tests/tools/image/build.py MODULE LAYOUT [--source URL]

The layers, in this order, are what Higress asks for; Istio and Envoy Gateway take the last one and ignore the others:

    spec.yaml      what a console shows: name, description, and the configuration's schema
    README.md      how to use it
    plugin.wasm    a gzipped tar with this one file

Beside it stands VERSION-volume, an index for each kind of node with the last layer alone: a node that mounts an image as a
volume unpacks every layer, and only tars can be unpacked.
"""

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import yaml
from open_api import open_api
from zopfli.gzip import compress

ROOT = Path(__file__).resolve().parents[3]
PARTS = ROOT / "envoy/deploy/image"
SPEC_TYPE = "application/vnd.module.wasm.spec.v1+yaml"
README_TYPE = "application/vnd.module.wasm.doc.v1+markdown"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
TITLE = "org.opencontainers.image.title"


def said_by(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def canonical(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def spec(package: dict) -> bytes:
    """spec.yaml with what stands elsewhere: the version, and the schema."""
    found = yaml.safe_load((PARTS / "spec.yaml").read_text(encoding="utf-8"))
    found["info"]["version"] = package["version"]
    found["spec"]["configSchema"]["openAPIV3Schema"] |= open_api()
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120).encode()


def tar(name: str, content: bytes) -> bytes:
    """Nothing of the machine that packs it is in there."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Layout:
    """An OCI image layout that is being written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_bytes(canonical({"imageLayoutVersion": "1.0.0"}))

    def blob(self, media_type: str, data: bytes, title: str | None = None) -> dict:
        name = digest(data)
        (self.folder / "blobs" / name.replace(":", "/")).write_bytes(data)
        descriptor = {"mediaType": media_type, "digest": name, "size": len(data)}
        return descriptor | ({"annotations": {TITLE: title}} if title else {})


    def image(self, platform: dict, layers: list[dict], diff_ids: list[str], about: dict) -> dict:
        """The descriptor of a manifest."""
        created = about["org.opencontainers.image.created"]
        config = {**platform, "created": created, "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self.blob(CONFIG_TYPE, canonical(config)),
            "layers": layers,
            "annotations": about,
        }
        return self.blob(MANIFEST_TYPE, canonical(manifest))

    def finish(self, images: dict[str, dict]) -> None:
        """By tag."""
        named = [{**image, "annotations": {"org.opencontainers.image.ref.name": tag}} for tag, image in images.items()]
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": named}
        (self.folder / "index.json").write_bytes(canonical(index))


def build(module: Path, folder: Path, source: str | None) -> dict[str, dict]:
    """The descriptors of what is in the layout, by tag."""
    package = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]
    created = datetime.fromtimestamp(int(said_by("git", "log", "-1", "--format=%ct")), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.description": package["description"],
        "org.opencontainers.image.licenses": package["license"],
        "org.opencontainers.image.revision": said_by("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"),
        TITLE: package["name"],
        "org.opencontainers.image.version": package["version"],
    }
    if source:
        about["org.opencontainers.image.source"] = source
    layout = Layout(folder)
    shown, readme = spec(package), (PARTS / "README.md").read_bytes()
    archive = tar("plugin.wasm", module.read_bytes())
    # Not zlib: distributions have versions of it that compress differently.
    plugin = layout.blob(LAYER_TYPE, compress(archive, numiterations=1), "plugin.tar.gz")
    layers = [layout.blob(SPEC_TYPE, shown, "spec.yaml"), layout.blob(README_TYPE, readme, "README.md"), plugin]
    wasm = {"architecture": "wasm", "os": "wasip1"}
    images = {package["version"]: layout.image(wasm, layers, [digest(part) for part in (shown, readme, archive)], about)}
    nodes = []
    for architecture in ("amd64", "arm64"):
        platform = {"architecture": architecture, "os": "linux"}
        nodes.append({**layout.image(platform, [plugin], [digest(archive)], about), "platform": platform})
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": nodes, "annotations": about}
    images[f"{package['version']}-volume"] = layout.blob(INDEX_TYPE, canonical(index))
    layout.finish(images)
    return images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path)
    parser.add_argument("layout", type=Path)
    parser.add_argument("--source", help="where the sources are (org.opencontainers.image.source)")
    arguments = parser.parse_args()
    for tag, image in build(arguments.module, arguments.layout, arguments.source or None).items():
        print(f"{arguments.layout}:{tag} {image['digest']}")


if __name__ == "__main__":
    main()
