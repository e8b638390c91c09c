"""A registry of our own, and what a gateway takes out of it.

`module` follows the rules by which Istio's agent, and with it Higress's, and Envoy Gateway find the module in an image
(`pkg/wasm/imagefetcher.go` of the one, `internal/wasm/imagefetcher.go` of the other). They are the same.
"""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath

from . import paths, wait
from .free_port import free_port

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFESTS = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
]
# Envoy Gateway reads no more than this of an unpacked layer.
LARGEST = 256 * 1024 * 1024


class Refused(Exception):
    """A gateway would not take the image."""


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/bin:/usr/local/bin:/usr/sbin")
    assert found, f"{name} is missing: run `make e2e`"
    return found


class Registry:
    """Debian's docker-registry, on loopback and in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        (folder / "config.yaml").write_text(
            "version: 0.1\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
            f"http: {{addr: '{self.address}'}}\n"
            "log: {level: error}\n"
        )
        self._log = (folder / "log").open("wb")
        command = [program("docker-registry"), "serve", str(folder / "config.yaml")]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        try:
            wait.until("the registry", self._answers, 30)
        except BaseException:
            self.close()
            raise

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the registry has ended"
        try:
            return self.get("/v2/")[0] == 200
        except OSError:
            return False

    def get(self, path: str, accept: str = "*/*") -> tuple[int, bytes, str]:
        """Status, body and the digest that the registry names."""
        request = urllib.request.Request(f"http://{self.address}{path}", headers={"accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read(), answer.headers.get("docker-content-digest", "")
        except urllib.error.HTTPError as error:
            return error.code, error.read(), ""

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(15)
        self._log.close()

    # ---- what a gateway does

    def manifest(self, image: str, reference: str) -> tuple[dict, str]:
        status, body, named = self.get(f"/v2/{image}/manifests/{reference}", ", ".join(MANIFESTS))
        assert status == 200, (status, body)
        assert named == "sha256:" + hashlib.sha256(body).hexdigest()
        return json.loads(body), named

    def blob(self, image: str, descriptor: dict) -> bytes:
        status, body, _ = self.get(f"/v2/{image}/blobs/{descriptor['digest']}")
        assert status == 200, (status, body)
        assert "sha256:" + hashlib.sha256(body).hexdigest() == descriptor["digest"]
        assert len(body) == descriptor["size"]
        return body

    def module(self, image: str, reference: str, expected: str | None = None) -> bytes:
        """`expected`: the `sha256` of the manifest in the gateway's resource, which is the image's digest."""
        manifest, digest = self.manifest(image, reference)
        if expected and digest != f"sha256:{expected}":
            raise Refused(f"the image is {digest}, expected sha256:{expected}")
        if not manifest["layers"]:
            raise Refused("there is no layer")
        last = manifest["layers"][-1]
        if last["mediaType"] != LAYER:
            raise Refused(f"the last layer is {last['mediaType']}, expected {LAYER}")
        return unpacked(self.blob(image, last))


def unpacked(layer: bytes) -> bytes:
    """The first file named plugin.wasm, in whatever folder."""
    try:
        plain = gzip.decompress(layer)
    except (OSError, EOFError) as error:
        raise Refused(f"the layer is not gzip: {error}") from None
    if len(plain) > LARGEST:
        raise Refused(f"the layer has {len(plain)} bytes")
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
        for member in archive:
            if PurePosixPath(member.name).name == "plugin.wasm":
                found = archive.extractfile(member)
                assert found is not None
                return found.read()
    raise Refused("there is no plugin.wasm in the layer")


def copy(source: str, target: str) -> None:
    """skopeo, which keeps every byte or fails. No signatures are asked for: the registry is ours."""
    command = [program("skopeo"), "--insecure-policy", "copy", "--quiet", "--preserve-digests"]
    command += ["--src-tls-verify=false", "--dest-tls-verify=false", "--all", source, target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def build(folder: Path, module: str | None = None, *options: str) -> dict[str, str]:
    """`make image` into another folder; the digests that it says, by tag."""
    python = paths.ROOT / ".tools/supply-chain/bin/python"
    assert python.exists(), "the tools of `make image` are missing: run `make e2e`"
    command = [str(python), "tests/tools/image/build.py", module or paths.module(), str(folder), *options]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name.rpartition(":")[2]: digest for name, digest in lines}
