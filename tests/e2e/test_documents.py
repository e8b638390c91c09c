"""Every command block of the documents: run as it stands, or checked as documents.toml says and why.

A block is run by bash in a copy of what it needs, from where its reader would: the files of envoy/ with other ports, and
`127.0.0.1:PORT` of the block likewise. Only what would not end, or would reach outside, is another program's (PRELUDE).
"""

import inspect
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from aliyun.log import LogClient

from support import commands, documents, oci, paths
from support.documents import Block
from support.fake_rum import FakeRum
from support.fake_sls import FakeSls, Key
from support.free_port import free_port
from support.otlp import Otlp
from support.primary import Primary

INSTEAD = tomllib.loads((paths.E2E / "documents.toml").read_text())["instead"]
BLOCKS = documents.commands()
SECONDS = 60
# `envoy` goes to the background once it serves; `make` here may only say what it would do, but for the image.
PRELUDE = r"""
envoy() {
  case "$*" in *--use-dynamic-base-id*) ;; *) set -- "$@" --use-dynamic-base-id ;; esac
  case "$*" in *--concurrency*) ;; *) set -- "$@" --concurrency 1 ;; esac
  "$ENVOY" "$@" >envoy.log 2>&1 &
  started="${started:-} $!"
  until curl -s "127.0.0.1:$ADMIN/ready" | grep -q LIVE; do kill -0 $! && sleep 0.1 || { tail envoy.log; return 1; }; done
}
trap '[ -z "${started:-}" ] || { kill $started; wait $started; } 2>/dev/null' EXIT
make() {
  if [ "$1" != image ]; then command make -n -C "$ROOT" "$@" >/dev/null; return; fi
  local image=$PWD/dist/image
  cd "$ROOT"
  .tools/supply-chain/bin/python tests/tools/image/build.py dist/sentry_edge_mirror.wasm "$image" --source "${2#*=}"
  cd "$OLDPWD"
}
skopeo() { command skopeo --insecure-policy "$1" --dest-tls-verify=false "${@:2}"; }
set -euo pipefail
"""


class Place:
    """Where blocks are run: `ports` says which port stands for which of the documents'."""

    def __init__(self, folder: Path, ports: dict[int, int]) -> None:
        self.folder, self.ports = folder, ports
        (folder / "dist").mkdir(parents=True)
        for built in ("sentry_edge_mirror.wasm", "sentry-edge-mirror"):
            (folder / "dist" / built).symlink_to(paths.ROOT / "dist" / built)
        for name in ("envoy", "nginx", "tests"):
            if name == "tests":
                (folder / name).symlink_to(paths.ROOT / name)
            else:
                shutil.copytree(paths.ROOT / name, folder / name)
        for path in (folder / "envoy").glob("**/*.yaml"):
            text = path.read_text()
            path.write_text(re.sub(r"(port_value: )(\d+)", lambda found: found[1] + str(self.port(int(found[2]))), text))

    def port(self, documented: int) -> int:
        return self.ports.get(documented, documented)

    def run(self, text: str, inside: str = ".", **replaced: str) -> str:
        """What it prints; it must succeed."""
        text = re.sub(r"(127\.0\.0\.1:)(\d+)", lambda found: found[1] + str(self.port(int(found[2]))), text)
        for old, new in replaced.items():
            text = text.replace(old.replace("_", "."), new)
        environment = {
            "PATH": f"{self.folder / 'dist'}:{paths.TOOLS / 'venv/bin'}:{os.environ['PATH']}:/usr/sbin",
            "HOME": str(self.folder),
            "ENVOY": paths.envoy(),
            "ROOT": str(paths.ROOT),
            "ADMIN": str(self.port(9901)),
        }
        done = subprocess.run(
            ["bash", "-c", PRELUDE + text],
            cwd=self.folder / inside,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}"
        return done.stdout


@pytest.fixture
def place(tmp_path: Path, primary: Primary, rum: FakeRum) -> Place:
    ports = {9000: primary.port, 9100: rum.port, 9901: free_port(), 10000: free_port(), 4317: free_port()}
    return Place(tmp_path / "place", ports)


# ---- each block is somewhere


def block(document: str, begins: str) -> Block:
    (found,) = [each for each in BLOCKS if each.document == document and each.begins.startswith(begins)]
    return found


RUN: dict[tuple[str, str], Callable] = {}


def runs(document: str, begins: str) -> Callable[[Callable], Callable]:
    """The test that runs this block."""

    def known(test: Callable) -> Callable:
        RUN[document, begins] = test
        return test

    return known


def listed(each: Block) -> list[str]:
    """By what it is covered. The same text elsewhere (in the other language) is the same block."""
    same = {(other.document, other.begins) for other in BLOCKS if other.text == each.text}
    found = [f"{document}: {begins}" for document, begins in RUN if any(d == document and b.startswith(begins) for d, b in same)]
    return found + [entry["check"] for entry in INSTEAD for begins in entry["begins"] if (entry["document"], begins) in same]


def test_every_command_block_is_run_or_listed() -> None:
    assert {each.place: listed(each) for each in BLOCKS if len(listed(each)) != 1} == {}
    assert len(BLOCKS) >= 35
    every = {(each.document, each.begins) for each in BLOCKS}
    assert {(entry["document"], begins) for entry in INSTEAD for begins in entry["begins"]} <= every
    assert all(len(entry["reason"]) > 20 for entry in INSTEAD)


def test_a_fence_says_what_it_holds() -> None:
    """So that a command is not overlooked: `text` for what is none."""
    every = [each for document in documents.all_of_them() for each in documents.blocks(document)]
    assert [each.place for each in every if not each.language] == []


def test_commands_in_the_text_name_what_is_there() -> None:
    found = {}
    for document in documents.all_of_them():
        for line, span in documents.spans(document):
            if wrong := commands.problems(span):
                found[f"{document}:{line}"] = wrong
    assert found == {}


def configurations() -> list[tuple[str, dict]]:
    """Plugin configurations that the documents show, with their places."""
    found = []
    for each in (each for document in documents.all_of_them() for each in documents.blocks(document)):
        if each.language in ("yaml", "json"):
            data = yaml.safe_load(each.text)
            value = data["configuration"]["value"] if isinstance(data, dict) and "configuration" in data else data
            if isinstance(value, dict) and {"rum", "sls", "sign"} & value.keys():
                found.append((each.place, value))
    return found


@pytest.mark.parametrize(("at", "value"), configurations(), ids=lambda found: found if isinstance(found, str) else "")
def test_a_configuration_is_valid(at: str, value: dict, tmp_path: Path) -> None:
    file = tmp_path / "plugin.json"
    file.write_text(json.dumps(value))
    done = subprocess.run([paths.command(), "check", "--assume-env", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{at}: {done.stdout}"


SAMPLES = [
    path
    for folder in ("envoy", "nginx")
    for path in sorted((paths.ROOT / folder).rglob("*"))
    if path.suffix in (".yaml", ".conf", ".service")
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: str(path.relative_to(paths.ROOT)))
def test_what_the_head_of_a_sample_says(sample: Path) -> None:
    """Its commands name files that are there and ports of its own; a name stands in as many places as it says."""
    text = sample.read_text()
    code = [line for line in text.splitlines() if not re.match(r"\s*#", line)]
    head = [line for line in text.splitlines() if line.startswith("#")]
    for line in head:
        for file in re.findall(r"(?:-c|-f|-k|install (?:-D )?(?:-m \d+ )?) ?((?:envoy|nginx)/\S+)", line):
            assert (paths.ROOT / file).exists(), line
        for port in re.findall(r"^#\s+curl .*127\.0\.0\.1:(\d+)", line):
            assert re.search(rf"port_value: {port}\b|listen {port}\b", text), line
    numbers = {"three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
    for name, count in re.findall(r"([\w-]+(?:\.[\w-]+)+),? \(?in (\w+) places", "\n".join(head)):
        assert sum(name in line for line in code) == numbers[count], name


@pytest.mark.parametrize("text", [
    "make demonstrate", "make bench SLOW=1", "NOBODY_READS=1 make unit", "cargo test --lib sls::recorded", "cargo test -p nobody",
    "cargo test --test confirmation", ".tools/venv/bin/python -m pytest tests/e2e -k test_nothing", "python3 tests/tools/link.py",
    "sentry-edge-mirror verify x", "sentry-edge-mirror check --strictly x", "rm -rf x", "make 'unit",
])  # fmt: skip
def test_what_is_not_there_is_seen(text: str) -> None:
    assert commands.problems(text) != []


# ---- those that are listed


@pytest.mark.parametrize("each", [each for each in BLOCKS if listed(each) == ["names"]], ids=lambda each: each.place)
def test_what_it_names_is_there(each: Block) -> None:
    assert commands.problems(each.text) == []


def test_metrics_that_are_looked_for_are_there() -> None:
    words = "".join(text for path, text in commands.texts("src").items() if path in ("src/metric.rs", "src/outcome.rs"))
    for each in BLOCKS:
        if listed(each) in (["metrics"], ["syntax"]):
            done = subprocess.run(["bash", "-n", "-c", each.text], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{each.place}: {done.stderr}"
        if listed(each) == ["metrics"]:
            for pattern in re.findall(r"grep -E '([^']+)'", each.text):
                for name in re.findall(r"[a-z_]+", pattern):
                    assert f'"{name}"' in words or name == "skipped", f"{each.place}: {name}"


def test_the_tests_of_the_command_read_these_documents() -> None:
    (folders,) = re.findall(r'\[((?:"[\w/-]*",? ?)+)\]\s+\.iter\(\)', (paths.ROOT / "tests/cli/readme.rs").read_text())
    for each in BLOCKS:
        if each.language == "console":
            assert f'"{"/".join(Path(each.document).parts[:-1])}"' in folders, each.place
            assert listed(each) == ["cli"], each.place


def test_what_diagnose_prints(place: Place) -> None:
    example = block("envoy/command.md", "$ sentry-edge-mirror diagnose").text.splitlines()
    said = place.run(f"envoy -c envoy/tee.yaml\n{example[0].removeprefix('$ ')}").splitlines()
    assert [re.sub(r"[\d.]+", "N", line) for line in said[:2]] == [re.sub(r"[\d.]+", "N", line) for line in example[1:3]]
    assert said[-1] == "nothing is wrong"
    # The lines of a fault, without their figures, are the program's own.
    source = "".join(text for path, text in commands.texts("src/bin").items())
    for line in (example[4], example[-1]):
        longest = max(re.split(r"\d+|: ", line), key=len)
        assert longest.strip() in source, longest


def test_the_index_by_the_sdk() -> None:
    words = commands.split(block("envoy/sls-dashboard.md", "aliyunlog").text)[0]
    assert words[:3] == ["aliyunlog", "log", "create_index"]
    arguments = dict(word.removeprefix("--").split("=", 1) for word in words[3:])
    assert arguments.keys() <= inspect.signature(LogClient.create_index).parameters.keys()
    file = paths.ROOT / arguments["index_detail"].removeprefix("file://")
    assert json.loads(file.read_text())["keys"]


# ---- those that are run


@runs("README.md", "dist/sentry-edge-mirror check envoy/tee-tls.yaml")
@runs("envoy/metrics.md", "curl -s")
def test_the_quick_start(place: Place) -> None:
    start, look = block("README.md", "dist/sentry-edge-mirror check"), block("envoy/metrics.md", "curl -s")
    said = place.run(f"{start.text}\necho ---\n{look.text}")
    first, second = said.split("---\n")
    assert re.match(r"envoy/tee-tls.yaml:\d+: .*valid", first)
    for text in (first, second):
        assert "wasmcustom.sentry_edge_mirror.rum.captured: 0" in text


@runs("envoy/observability/README.md", "envoy -c envoy/tee.yaml --config-yaml")
def test_otlp(place: Place, rum: FakeRum) -> None:
    receiver = Otlp()
    try:
        place.ports[4317] = receiver.port
        overlay = place.folder / "envoy/observability/otlp.yaml"
        text = overlay.read_text()
        overlay.write_text(re.sub(r"port_value: \d+", f"port_value: {receiver.port}", text).replace("15s", "0.2s"))
        post = "curl -sS --fail -X POST --data '{}' 127.0.0.1:10000/api/1/envelope/ && sleep 1"
        place.run(f"{block('envoy/observability/README.md', 'envoy -c').text}\n{post}")
        assert ("wasmcustom.sentry_edge_mirror.captured", (("leg", "rum"),)) in receiver.values
    finally:
        receiver.close()
    assert receiver.violations == []
    rum.taken.clear()  # one empty one


@runs("envoy/observability/README.md", "sed -i")
def test_the_address_of_the_runbooks(place: Place) -> None:
    place.run(block("envoy/observability/README.md", "sed -i").text, "envoy/observability")
    rules = yaml.safe_load((place.folder / "envoy/observability/rules.yml").read_text())
    urls = [rule["annotations"]["runbook_url"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert urls and all(url.startswith("https://git.example.com/sentry-edge-mirror/blob/main/envoy/") for url in urls)


@pytest.fixture
def log_service() -> Iterator[FakeSls]:
    """With the key of the document, which is `...`."""
    server = FakeSls({"...": Key("...")}, "my-log-project", "cn-hangzhou.log.aliyuncs.com", "app-log")
    yield server
    server.close()
    server.verify()


@runs("envoy/sign.md", "SLS_ACCESS_KEY_ID=...")
def test_sign(tmp_path: Path, log_service: FakeSls) -> None:
    place = Place(tmp_path / "place", {9200: log_service.port, 9901: free_port(), 10000: free_port()})
    said = place.run(block("envoy/sign.md", "SLS_ACCESS_KEY_ID").text)
    assert re.search(r"^HTTP/1.1 200 OK", said, re.M), said
    assert [log.fields for log in log_service.logs] == [{"message": "hello"}]


@runs("envoy/deploy/README.md", "make image")
def test_the_image(place: Place, tmp_path: Path) -> None:
    registry = oci.Registry(tmp_path / "registry")
    try:
        said = place.run(block("envoy/deploy/README.md", "make image").text, registry_example_com=registry.address)
        digests = dict(line.split()[:2] for line in said.splitlines() if line.startswith("/") and " sha256:" in line)
        assert len(digests) == 2
        for name, digest in digests.items():
            assert registry.manifest("sentry-edge-mirror", name.rpartition(":")[2])[1] == digest
    finally:
        registry.close()


@runs("envoy/deploy/README.md", "kubectl kustomize")
def test_kustomize(place: Place) -> None:
    kinds = [each["kind"] for each in yaml.safe_load_all(place.run(block("envoy/deploy/README.md", "kubectl").text))]
    assert {"Deployment", "Service", "HTTPRoute", "PodDisruptionBudget"} <= set(kinds)


@runs("envoy/self-hosted/README.md", "git diff HEAD")
def test_ones_own_changes_go_into_the_kit(place: Place) -> None:
    """Sentry's folder with a file that somebody has changed; --dry-run says that it fits, without it is done."""
    sentry = place.folder / "sentry"
    shutil.copytree(paths.ROOT / "envoy/self-hosted", sentry / "edge")
    shutil.copy(sentry / "edge/nginx.conf", sentry / "nginx.conf")
    place.run("git init -q && git add . && git -c user.name=a -c user.email=a@example.com commit -qm a", "sentry")
    text = (sentry / "nginx.conf").read_text()
    changed = re.sub(r"client_max_body_size \w+;", "client_max_body_size 123m;", text, count=1)
    assert changed != text
    (sentry / "nginx.conf").write_text(changed)
    command = block("envoy/self-hosted/README.md", "git diff HEAD").text
    place.run(command, "sentry")
    assert (sentry / "edge/nginx.conf").read_text() == text
    place.run(command.replace(" --dry-run", ""), "sentry")
    assert (sentry / "edge/nginx.conf").read_text() == changed
