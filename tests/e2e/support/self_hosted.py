"""The kit of envoy/self-hosted/, started as its Compose files say: our own Envoy and nginx in place of the containers.

Changed is only what a container would have by itself: addresses, ports, and the place of files.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from . import compose, paths, sample
from .envoy import Envoy
from .free_port import free_port
from .nginx import Nginx, listener, substitute
from .tls import Receiver

VARIABLES = compose.environment((compose.KIT / "env.example").read_text()) | {
    "RUM_ENDPOINT": "rum.example.com",
    "RUM_WORKSPACE": "shop",
    "RUM_SERVICE_ID": "rest@0",
    "RUM_PROJECTS": "2=api@bbbb,3=other/web@cccc",
}
STATS = "stats"
ENVOY_FILE, MODULE_FILE = "/etc/envoy/edge.yaml", "/etc/envoy/sentry_edge_mirror.wasm"


def static(cluster: sample.Yaml, port: int) -> None:
    """What a name would have been resolved to."""
    del cluster["cluster_type"]
    cluster["type"] = "STATIC"
    sample.address(cluster).update(address="127.0.0.1", port_value=port)


def added(text: str, receiver: Receiver, sls: int | None) -> str:
    """The part of the bootstrap that Compose fills in, with the targets on loopback. RUM stays with TLS."""
    part = yaml.safe_load(text)
    rum = sample.cluster({"static_resources": part["static_resources"]}, "rum")
    assert sample.address(rum) == {"address": VARIABLES["RUM_ENDPOINT"], "port_value": 443}
    static(rum, receiver.rum.port)
    validation = rum["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
    validation["trusted_ca"]["filename"] = str(receiver.authority)
    if sls is not None:
        logs = sample.cluster({"static_resources": part["static_resources"]}, "sls")
        static(logs, sls)
        del logs["transport_socket"]
    return yaml.safe_dump(part)


def edge(
    directory: Path,
    step: str,
    receiver: Receiver,
    behind: dict[str, int],
    variables: dict[str, str] | None = None,
    sls: int | None = None,
) -> Envoy:
    """The service `edge` of a step. `behind`: cluster -> port, for what is not in compose.edge.yaml."""
    files = ["compose.edge.yaml", f"compose.{step}.yaml"]
    service = compose.project(files, VARIABLES | (variables or {}))["edge"]
    command = list(service["command"])
    assert command.pop(0) == "envoy"
    options = dict(zip(command[::2], command[1::2], strict=True))
    config = compose.mounted(service, options["--config-path"])
    assert compose.mounted(service, MODULE_FILE).name == "sentry_edge_mirror.wasm"

    def change(bootstrap: sample.Yaml) -> None:
        # The kit's listener `stats` leads to the admin endpoint by its port.
        admin = bootstrap["admin"]["address"]["socket_address"]
        admin["port_value"] = sample.address(sample.cluster(bootstrap, "admin"))["port_value"] = free_port()
        assert admin["address"] == "127.0.0.1"
        for listener in bootstrap["static_resources"]["listeners"]:
            listener["address"]["socket_address"]["address"] = "127.0.0.1"
            if listener["name"] == STATS:
                continue
            code = sample.mirror(listener)["vm_config"]["code"]["local"]
            assert code["filename"] in (MODULE_FILE, paths.module())
            code["filename"] = paths.module()
        for name, port in behind.items():
            cluster = sample.cluster(bootstrap, name)
            cluster.pop("cluster_type")
            cluster["type"] = "STATIC"
            sample.address(cluster).update(address="127.0.0.1", port_value=port)

    return Envoy(
        directory,
        9,
        9,
        name=str(config.relative_to(sample.SAMPLES)),
        concurrency=int(options["--concurrency"]),
        edit=change,
        args=("--config-yaml", added(options["--config-yaml"], receiver, sls)),
        environment={name: str(value) for name, value in service["environment"].items()},
    )


def nginx(directory: Path, step: str, primary: int, second: int, mirror_to: int | None = None) -> Nginx:
    """The service `nginx` of a step: kit and all that it includes. `second` is web-rum."""
    service = compose.project(["compose.edge.yaml", f"compose.{step}.yaml"], VARIABLES)["nginx"]
    text = compose.mounted(service, "/etc/nginx/nginx.conf").read_text()
    included = directory / "edge"
    included.mkdir(parents=True)
    if any(volume["target"] == "/etc/nginx/edge" for volume in service["volumes"]):
        for file in compose.mounted(service, "/etc/nginx/edge").iterdir():
            part = file.read_text()
            if mirror_to is not None:
                part = part.replace("edge:10001", f"127.0.0.1:{mirror_to}")
            (included / file.name).write_text(part)
    first, other = listener(), listener()
    changes = {
        "listen 80;": f"listen 127.0.0.1:{first.getsockname()[1]};",
        "listen 81;": f"listen 127.0.0.1:{other.getsockname()[1]};",
        "        81 web-rum:9000;": f"        {other.getsockname()[1]} 127.0.0.1:{second};",
        "/etc/nginx/edge/": f"{included}/",
        "server relay:3000;": f"server 127.0.0.1:{primary};",
        "server web:9000;": f"server 127.0.0.1:{primary};",
        "user nginx;\n": "",
        "/var/log/nginx/": f"{directory}/logs/",
        "/var/run/nginx.pid": f"{directory}/logs/nginx.pid",
        "worker_processes auto;": "worker_processes 1;",
    }
    return Nginx(directory, substitute(text, changes), first, other)


def ports(envoy: Envoy) -> dict[str, int]:
    """The listeners' ports by name."""
    statuses: list[dict[str, Any]] = json.loads(envoy.admin("/listeners?format=json"))["listener_statuses"]
    return {status["name"]: status["local_address"]["socket_address"]["port_value"] for status in statuses}
