"""`make image`: the same bytes at each build, through a registry unchanged, and what a gateway takes out of it works."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from support import oci, paths, replay, sample
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum
from support.primary import Primary
from support.rules import Copy
from test_schema import BASES

SOURCE = "https://git.example.com/sentry-edge-mirror"
VERSION = tomllib.loads((paths.ROOT / "Cargo.toml").read_text())["package"]["version"]
IMAGE, TAG, VOLUME = "sentry/edge-mirror", VERSION, f"{VERSION}-volume"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The layout, and the digest of the image."""
    folder = tmp_path_factory.mktemp("image") / "layout"
    return folder, oci.build(folder, None, "--source", SOURCE)[TAG]


@pytest.fixture(scope="module")
def registry(layout: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[oci.Registry]:
    """A registry that has all of it."""
    running = oci.Registry(tmp_path_factory.mktemp("registry") / "registry")
    for tag in (TAG, VOLUME):
        oci.copy(f"oci:{layout[0]}:{tag}", f"docker://{running.address}/{IMAGE}:{tag}")
    yield running
    running.close()


def blobs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blobs/sha256").iterdir()}


def test_the_same_bytes_at_each_build(layout: tuple[Path, str], tmp_path: Path) -> None:
    folder, digest = layout
    again = tmp_path / "again"
    assert oci.build(again, None, "--source", SOURCE)[TAG] == digest
    assert blobs(again) == blobs(folder)
    assert (again / "index.json").read_bytes() == (folder / "index.json").read_bytes()
    # It is the module's bytes that the digest stands for.
    other = tmp_path / "other.wasm"
    other.write_bytes(Path(paths.module()).read_bytes() + b"\0")
    assert oci.build(tmp_path / "other", str(other), "--source", SOURCE)[TAG] != digest


def test_through_a_registry_unchanged(layout: tuple[Path, str], registry: oci.Registry, tmp_path: Path) -> None:
    folder, digest = layout
    manifest, named = registry.manifest(IMAGE, TAG)
    assert named == digest
    assert manifest == registry.manifest(IMAGE, digest)[0]
    for tag in (TAG, VOLUME):
        oci.copy(f"docker://{registry.address}/{IMAGE}:{tag}", f"oci:{tmp_path / 'pulled'}:{tag}")
    assert blobs(tmp_path / "pulled") == blobs(folder)


def test_it_says_what_it_is(registry: oci.Registry) -> None:
    manifest, _ = registry.manifest(IMAGE, TAG)
    package = tomllib.loads((paths.ROOT / "Cargo.toml").read_text())["package"]
    about = {name.removeprefix("org.opencontainers.image."): text for name, text in manifest["annotations"].items()}
    assert about["source"] == SOURCE
    assert (about["version"], about["licenses"]) == (package["version"], package["license"])
    assert len(about["revision"].removesuffix("-dirty")) == 40
    config = json.loads(registry.blob(IMAGE, manifest["config"]))
    assert len(config["rootfs"]["diff_ids"]) == len(manifest["layers"])
    assert (config["os"], config["architecture"]) == ("wasip1", "wasm")


def test_what_a_node_mounts(registry: oci.Registry) -> None:
    """For each kind of node an image of which every layer is a tar, with the module and nothing else."""
    index, _ = registry.manifest(IMAGE, VOLUME)
    assert [part["platform"]["architecture"] for part in index["manifests"]] == ["amd64", "arm64"]
    for part in index["manifests"]:
        manifest, _ = registry.manifest(IMAGE, part["digest"])
        config = json.loads(registry.blob(IMAGE, manifest["config"]))
        assert {key: config[key] for key in ("os", "architecture")} == part["platform"]
        (layer,) = manifest["layers"]
        assert layer["mediaType"] == oci.LAYER
        unpacked = gzip.decompress(registry.blob(IMAGE, layer))
        assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(unpacked).hexdigest()]
        with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
            assert archive.getnames() == ["plugin.wasm"]
        assert registry.module(IMAGE, part["digest"]) == Path(paths.module()).read_bytes()


def test_what_higress_shows(registry: oci.Registry) -> None:
    """Its specification: one file a layer, in this order, with these media types."""
    manifest, _ = registry.manifest(IMAGE, TAG)
    spec_layer, readme, last = manifest["layers"]
    assert spec_layer["mediaType"] == "application/vnd.module.wasm.spec.v1+yaml"
    assert readme["mediaType"] == "application/vnd.module.wasm.doc.v1+markdown"
    assert last["mediaType"] == oci.LAYER
    spec = yaml.safe_load(registry.blob(IMAGE, spec_layer))
    assert spec["apiVersion"] == "1.0.0"
    assert spec["info"]["category"] in ("auth", "security", "protocol", "flow-control", "flow-monitor", "custom")
    assert {"name", "title", "description", "version", "contact"} <= set(spec["info"])
    assert spec["spec"]["phase"] in ("UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS")
    assert 1 <= spec["spec"]["priority"] <= 1000
    schema = spec["spec"]["configSchema"]["openAPIV3Schema"]
    jsonschema.Draft4Validator.check_schema(schema)
    jsonschema.validate(schema["example"], schema)
    # It describes every section, and is never stricter than the schema that it is made of.
    for section in ("rum", "sls", "sign", "limits", "retry"):
        assert len(schema["properties"][section]["properties"]) >= 1, section
    for configuration in BASES:
        jsonschema.Draft4Validator(schema).validate(configuration)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"limits": {"max_pending": 1}}, schema)
    assert "$ref" not in json.dumps(schema)
    assert registry.blob(IMAGE, readme).startswith(b"# sentry-edge-mirror\n")


def test_the_example_is_one_that_envoy_takes(
    registry: oci.Registry, layout: tuple[Path, str], tmp_path: Path, primary: Primary, rum: FakeRum
) -> None:
    """The extracted module runs with the configuration that the image shows, and delivers."""
    manifest, _ = registry.manifest(IMAGE, TAG)
    example = yaml.safe_load(registry.blob(IMAGE, manifest["layers"][0]))["spec"]["configSchema"]["openAPIV3Schema"]["example"]
    extracted = tmp_path / "plugin.wasm"
    extracted.write_bytes(registry.module(IMAGE, TAG, layout[1].removeprefix("sha256:")))
    assert extracted.read_bytes() == Path(paths.module()).read_bytes()

    def edit(bootstrap: sample.Yaml) -> None:
        config = sample.mirror(bootstrap["static_resources"]["listeners"][0])
        config["vm_config"]["code"]["local"]["filename"] = str(extracted)
        config["configuration"]["value"] = example
        cluster = sample.cluster(bootstrap, "rum")
        cluster["name"] = example["rum"]["upstream"]

    rum.authority = example["rum"]["authority"]
    with Envoy(tmp_path / "envoy", primary.port, rum.port, edit=edit) as envoy:
        with replay.Client(envoy.port) as client:
            assert client.request("/api/7/envelope/", b"{}").by_primary
        rum.expect(Copy.of(example["rum"], primary.requests[0]))
        settled(envoy, captured=1, delivered=1)


def spoilt(layout: Path, folder: Path, kind: str) -> None:
    """A copy of the layout in which one thing is wrong."""
    shutil.copytree(layout, folder)
    index = json.loads((folder / "index.json").read_text())
    blobs = folder / "blobs/sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_text())
    if kind == "the module is not the last layer":
        manifest["layers"].reverse()
    else:
        manifest["layers"][-1]["mediaType"] = "application/vnd.module.wasm.content.layer.v1+wasm"
    data = json.dumps(manifest).encode()
    name = hashlib.sha256(data).hexdigest()
    (blobs / name).write_bytes(data)
    index["manifests"][0] |= {"digest": f"sha256:{name}", "size": len(data)}
    (folder / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("kind", ["the module is not the last layer", "the layer has another type"])
def test_what_a_gateway_would_refuse_is_seen(
    kind: str, layout: tuple[Path, str], registry: oci.Registry, tmp_path: Path
) -> None:
    spoilt(layout[0], tmp_path / "spoilt", kind)
    name = kind.replace(" ", "-")
    oci.copy(f"oci:{tmp_path / 'spoilt'}:{TAG}", f"docker://{registry.address}/{IMAGE}:{name}")
    with pytest.raises(oci.Refused, match="the last layer is"):
        registry.module(IMAGE, name)


def test_another_digest_is_refused(registry: oci.Registry) -> None:
    with pytest.raises(oci.Refused, match="expected sha256:00"):
        registry.module(IMAGE, TAG, "0" * 64)


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(oci.Refused, match="not gzip"):
        oci.unpacked(b"\0asm")

