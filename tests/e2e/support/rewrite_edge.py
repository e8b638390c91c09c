"""Envoy in mode `rewrite` against the fakes: envoy/mirror-target.yaml, and what it makes of a request."""

import dataclasses
from typing import Any

from . import rules
from .http1 import Request

NAME = "mirror-target.yaml"
FAST: dict[str, Any] = {}
# The plain way: the request itself goes on, so no upstream is called.
PLAIN: dict[str, Any] = {"fast_ack": None, "rum": {"upstream": None}}


def copy_of(request: Request, rum_config: dict, plain: bool) -> rules.Copy | None:
    """The copy of what nginx sent, by way of Envoy, which does two things of its own before any filter: of a header that
    is to be there once it joins the lines, and a referer that is no web address it drops.
    """
    copy = rules.Copy.of(rum_config, request)
    if copy is None:
        return None
    headers = dict(copy.headers)
    if "content-type" in headers:
        headers["content-type"] = (",".join(headers["content-type"]),)
    referer = headers.get("referer", ("",))[0]
    if referer and not referer.startswith("http"):
        del headers["referer"]
    # The plain way has no body to look for a DSN in when the headers leave, and RUM does not check the key.
    if plain and headers.get("authorization", ("",))[0].lower().startswith("basic"):
        del headers["authorization"]
    return dataclasses.replace(copy, headers=tuple(sorted(headers.items())))
