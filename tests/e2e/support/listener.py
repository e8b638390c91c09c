"""A listener in a file that Envoy watches, of envoy/tee-lds or another sample: new configurations while it runs."""

import os
from pathlib import Path

import yaml

from . import sample

DRAIN = ("--drain-time-s", "2", "--drain-strategy", "immediate")


class Listener:
    """The sample's listener file in a directory of the test's, replaced by renames as the sample asks for."""

    def __init__(self, directory: Path, resource: sample.Yaml | None = None) -> None:
        (own,) = sample.load("tee-lds/listeners/edge.yaml")["resources"]
        self._resource = own if resource is None else {"@type": own["@type"], **resource}
        self.path = directory / "edge.yaml"
        directory.mkdir(parents=True)
        self._port: int | None = None

    def write(self, configuration: sample.Yaml, vm: sample.Yaml | None = None) -> None:
        """`vm`: laid over `vm_config`; another module or environment is another VM."""
        resource = sample.adapt_listener(self._resource, configuration)
        plugin = sample.mirror(resource)
        plugin["vm_config"] = sample.merge(plugin["vm_config"], vm or {})
        # Each version of a listener with port 0 would get a port of its own: the first one's is kept.
        resource["address"]["socket_address"]["port_value"] = self._port or 0
        new = self.path.with_suffix(".new")
        new.write_text(yaml.safe_dump({"resources": [resource]}, sort_keys=False))
        os.rename(new, self.path)

    def remove(self) -> None:
        """No listener at all."""
        new = self.path.with_suffix(".new")
        new.write_text(yaml.safe_dump({"resources": []}))
        os.rename(new, self.path)

    def point(self, bootstrap: sample.Yaml) -> None:
        source = bootstrap["dynamic_resources"]["lds_config"]["path_config_source"]
        source["path"] = str(self.path)
        source["watched_directory"]["path"] = str(self.path.parent)

    def replace_static(self, bootstrap: sample.Yaml) -> None:
        """For a sample whose listener stands in its bootstrap: it comes from the file instead."""
        watching = sample.load("tee-lds/bootstrap.yaml")
        for key in ("node", "dynamic_resources"):
            bootstrap[key] = watching[key]
        del bootstrap["static_resources"]["listeners"]
        self.point(bootstrap)

    def use_port(self, port: int) -> None:
        self._port = port
