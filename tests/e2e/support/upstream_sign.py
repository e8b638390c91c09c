"""Mode `sign` as an upstream filter: the module stands in the cluster `sls`, where each of Envoy's own retries passes again."""

import copy

from . import sample


def move(bootstrap: sample.Yaml) -> None:
    """Moves the module from the listener into the cluster."""
    (listener,) = bootstrap["static_resources"]["listeners"]
    chain = sample.hcm(listener)
    (module,) = [f for f in chain["http_filters"] if f["name"] == "sentry_edge_mirror"]
    chain["http_filters"].remove(module)
    cluster = sample.cluster(bootstrap, "sls")
    # What the listener may hold, the cluster must be able to.
    cluster["per_connection_buffer_limit_bytes"] = listener["per_connection_buffer_limit_bytes"]
    (options,) = cluster["typed_extension_protocol_options"].values()
    options["http_filters"].insert(0, copy.deepcopy(module))
