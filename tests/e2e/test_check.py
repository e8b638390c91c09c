"""What `check` says of an Envoy configuration is what Envoy does with it: it starts with what is valid, and what is a problem it
refuses, or it does not do its work."""

import hashlib
import http.server
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from support import paths, replay, rules, sample, trap_module, wait
from support.envoy import Envoy
from support.fake_rum import FakeRum
from support.primary import Primary
from support.shared import Shared

Edit = Callable[[sample.Yaml], None]


def tee(edit: Edit | None = None) -> str:
    """The sample with other ports, as YAML."""
    return yaml.safe_dump(sample.adapt(sample.load("tee.yaml"), 9, 9, edit=edit), sort_keys=False)


def mirror(bootstrap: sample.Yaml) -> sample.Yaml:
    (listener,) = bootstrap["static_resources"]["listeners"]
    return sample.mirror(listener)


def variables(**lists: object) -> Edit:
    def edit(bootstrap: sample.Yaml) -> None:
        mirror(bootstrap)["vm_config"]["environment_variables"] = lists

    return edit


def set_root_id(root_id: object) -> Edit:
    return lambda bootstrap: mirror(bootstrap).update(root_id=root_id)


def named(kind: str) -> Edit:
    def edit(bootstrap: sample.Yaml) -> None:
        cluster = sample.cluster(bootstrap, "rum")
        cluster["type"] = kind
        sample.address(cluster)["address"] = "rum.example.com"

    return edit


def check(file: Path) -> tuple[int, str]:
    command = [paths.command(), "check", "--assume-env", "--quiet", str(file)]
    ran = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert not ran.stderr
    return ran.returncode, ran.stdout


def validates(text: str, directory: Path) -> bool:
    file = directory / "of-envoy.yaml"
    file.write_bytes(text.encode())
    command = [paths.envoy(), "--mode", "validate", "-l", "error", "-c", str(file)]
    ran = subprocess.run(command, cwd=paths.ROOT, capture_output=True, timeout=120, check=False)
    return ran.returncode == 0


def with_tab_line(text: str, line: str) -> str:
    """Behind the first value without quotes."""
    first, rest = text.split("refresh_interval: 0.25s\n", 1)
    return f"{first}refresh_interval: 0.25s\n{line}\n{rest}"


def as_json(text: str) -> str:
    """The configuration of the plugin as JSON in YAML, its last brace at the key's column, indented with tabs."""
    bootstrap = yaml.safe_load(text)
    plugin = mirror(bootstrap)
    plugin["configuration"] = "HERE"
    value = '{"rum": {"upstream": "rum", "authority": "a",\n\t"timeout_ms": 5000\n\t, "default": {"workspace": "w", "service_id": "s"}}}'
    kind = '"@type": "type.googleapis.com/google.protobuf.Struct"'
    dumped = yaml.safe_dump(bootstrap, sort_keys=False)
    column = next(line for line in dumped.splitlines() if "configuration: HERE" in line).index("configuration")
    return dumped.replace("HERE", "{\n\t" + kind + ',\n\t"value": ' + value + "\n" + " " * column + "}")


def twice(text: str) -> str:
    return text.replace("timeout_ms: 5000", "timeout_ms: 0\n" + " " * text_column(text, "timeout_ms: 5000") + "timeout_ms: 5000")


def text_column(text: str, what: str) -> int:
    return next(line for line in text.splitlines() if what in line).index(what)


# What Envoy refuses, and what it takes. `check` has to agree on each.
FILES: dict[str, str] = {
    "as it is": tee(),
    "a name in a static cluster": tee(named("STATIC")),
    "a name in a cluster that looks it up": tee(named("STRICT_DNS")),
    "a variable that is true": tee(variables(key_values={"MIRROR": True})),
    "a variable that is a number": tee(variables(key_values={"MIRROR": 1})),
    "a variable in both lists": tee(variables(key_values={"A": "x"}, host_env_keys=["A"])),
    "a variable twice": tee(variables(host_env_keys=["A", "A"])),
    "a root id that is no string": tee(set_root_id(1234)),
    "a root id that is true": tee(set_root_id(True)),
    "a variable in each list": tee(variables(key_values={"A": "x"}, host_env_keys=["B"])),
    "a line of a tab": with_tab_line(tee(), "\t"),
    "a comment behind a tab": with_tab_line(tee(), "\t# x"),
    "a tab behind a comment": with_tab_line(tee(), "# x\n\t"),
    "JSON with tabs": as_json(tee()),
    "a key twice": twice(tee()),
    "a second document": tee() + "---\na: [\n",
    "carriage returns": tee().replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + tee(),
    "an alias of nothing": tee().replace("stat_prefix: edge", "stat_prefix: *edge"),
    "an octal number": tee().replace("timeout_ms: 5000", "timeout_ms: 011610"),
    "a word for true": tee().replace("timeout_ms: 5000", "timeout_ms: yes"),
    "a fraction": tee().replace("timeout_ms: 5000", "timeout_ms: 5e3"),
    "a large number": tee().replace("max_pending_bytes: 67108864", "max_pending_bytes: 2147483648"),
    "a project of 11 digits": tee().replace("timeout_ms: 5000", "timeout_ms: 5000\n{}exclude: [30000000000]".format(" " * text_column(tee(), "timeout_ms: 5000"))),
    "the project in the endpoint": tee(
        lambda bootstrap: mirror(bootstrap)["configuration"]["value"].update(
            sls={"upstream": "rum", "endpoint": "p-log.cn-hangzhou.log.aliyuncs.com", "project": "p-log", "logstore": "store",
                 "credential": {"access_key_id": "i", "access_key_secret": "s"}}
        )
    ),
    "a key in quotation marks": tee(
        lambda bootstrap: mirror(bootstrap)["configuration"]["value"].update(
            sls={"upstream": "rum", "endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "p-log", "logstore": "store",
                 "credential": {"access_key_id": "\"i\"", "access_key_secret": "s"}}
        )
    ),
}  # fmt: skip


# What the module decides. It would be compiled for each file, so an Envoy that has it is given the listener in them.
OF_THE_PLUGIN = {
    "JSON with tabs", "a key twice", "an octal number", "a word for true", "a fraction", "a large number",
    "a project of 11 digits", "the project in the endpoint", "a key in quotation marks",
}  # fmt: skip


def envoy_takes(name: str, directory: Path) -> bool:
    text = FILES[name]
    if name in OF_THE_PLUGIN:
        return Shared.takes(text)
    if name != "as it is":
        # What Envoy decides by itself it decides with any module: this one is compiled at once.
        module = directory / "small.wasm"
        module.write_bytes(trap_module.build())
        assert text.count("dist/sentry_edge_mirror.wasm") == 1
        text = text.replace("dist/sentry_edge_mirror.wasm", str(module))
    return validates(text, directory)


@pytest.mark.parametrize("name", FILES)
def test_envoy_and_check_agree(name: str, tmp_path: Path) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_bytes(FILES[name].encode())
    status, out = check(file)
    assert (status == 0) == envoy_takes(name, tmp_path), out


@pytest.mark.parametrize("root_id", ["1234", "mirror"])
def test_with_a_number_for_a_root_id_nothing_is_mirrored(
    root_id: str, tmp_path: Path, primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    good = root_id == "mirror"
    file = tmp_path / "envoy.yaml"
    file.write_text(tee(set_root_id(root_id)))
    status, out = check(file)
    assert (status == 0) == good and ("root_id" in out) != good
    with Shared(tmp_path / "envoy", primary.port, rum.port, edit=set_root_id(root_id)) as envoy:
        with replay.Client(envoy.port) as client:
            assert client.request("/api/3/envelope/", b"{}").by_primary
        if good:
            rum.expect(rules.Copy.of(rum_config, primary.requests[0]))
    # By this the module takes its host for nginx, whose module it is not. The log is complete when Envoy has ended.
    assert ("is for Envoy only" in envoy.log()) != good
    assert good or not rum.taken


def test_an_upstream_that_is_no_cluster_loses_every_copy(tmp_path: Path, primary: Primary, rum: FakeRum) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_text(tee().replace("upstream: rum", "upstream: rom"))
    status, out = check(file)
    assert status == 1 and "rum.upstream: expected a cluster of this file (primary, rum)" in out
    with Shared(tmp_path / "envoy", primary.port, rum.port, configuration={"rum": {"upstream": "rom"}}) as envoy:
        with replay.Client(envoy.port) as client:
            assert client.request("/api/3/envelope/", b"{}").by_primary
        wait.until("a copy", lambda: envoy.metrics().get("rum.captured") == 1)
        assert not envoy.metrics().get("rum.delivered")
    assert not rum.taken


class Download:
    """A server of the module's file, over plain HTTP."""

    def __enter__(self) -> "Download":
        module = Path(paths.module()).read_bytes()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(module)))
                self.end_headers()
                self.wfile.write(module)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("limit", [65536, 4194304])
def test_a_module_that_is_fetched_needs_room_for_its_answer(limit: int, tmp_path: Path) -> None:
    def edit(bootstrap: sample.Yaml) -> None:
        digest = hashlib.sha256(Path(paths.module()).read_bytes()).hexdigest()
        uri = {"uri": "http://module/sentry_edge_mirror.wasm", "cluster": "primary", "timeout": "10s"}
        retries = {"num_retries": 0}
        mirror(bootstrap)["vm_config"]["code"] = {"remote": {"http_uri": uri, "sha256": digest, "retry_policy": retries}}
        bootstrap["layered_runtime"]["layers"][0]["static_layer"] = {"http.async_response_buffer_limit": limit}

    good = limit > 1 << 20
    file = tmp_path / "envoy.yaml"
    file.write_text(tee(edit))
    status, out = check(file)
    assert (status == 0) == good and ("code.remote" in out) != good
    with Download() as download, Envoy(tmp_path / "envoy", download.server.server_port, 9, edit=edit) as envoy:
        pass
    # The log is complete when Envoy has ended.
    assert (" started\n" in envoy.log()) == good, envoy.log()[-2000:]
