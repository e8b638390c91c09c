"""Recomputes the signature of a request that arrived, with the signers of SLS's official Python SDK.

The SDK signs what it is about to send; here it is given what did arrive, and the moment that the request itself names.
Nothing of an algorithm is written down here a second time: a mistake in our own signer cannot be repeated by its check.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aliyun.log.auth import AuthV1, AuthV4
from aliyun.log.credentials import StaticCredentialsProvider

from .http1 import Request

V1 = re.compile(r"LOG ([^:\s]+):([A-Za-z0-9+/]+=*)")
V4 = re.compile(
    r"SLS4-HMAC-SHA256 Credential=([^/\s]+)/(\d{8})/([a-z0-9-]+)/sls/aliyun_v4_request,Signature=[0-9a-f]{64}"
)


@dataclass(frozen=True)
class Claim:
    """Who says to have signed the request, how, and when."""

    version: str  # v1 or v4
    key_id: str
    date: str  # the header's text that is signed
    region: str = ""


def claim(request: Request) -> Claim | None:
    """Reads the Authorization header; None when it has neither form."""
    authorization = request.header("authorization") or ""
    date = request.header("x-log-date") or request.header("date") or ""
    if found := V1.fullmatch(authorization):
        return Claim("v1", found[1], date)
    if found := V4.fullmatch(authorization):
        return Claim("v4", found[1], date, found[3])
    return None


def expected(request: Request, claimed: Claim, secret: str, token: str = "") -> str:
    """The Authorization header that the SDK would have sent for this request with this key."""
    path, _, query = request.target.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    headers = {name.lower(): value for name, value in request.headers if name.lower() != "authorization"}
    provider = StaticCredentialsProvider(claimed.key_id, secret, token or None)
    if claimed.version == "v4":
        return AuthV4(provider, claimed.region)._do_sign_request(
            request.method, path, parameters, headers, request.body, claimed.date
        )
    signer = AuthV1(provider)
    # The only thing that it would take from elsewhere.
    signer._getGMT = lambda: claimed.date  # type: ignore[method-assign]
    # These the SDK sets itself, under names of its own spelling; x-log-date only once it has signed.
    for name in ("date", "x-log-date", "content-md5"):
        headers.pop(name, None)
    if "content-type" in headers:
        headers["Content-Type"] = headers.pop("content-type")
    signer.sign_request(request.method, path, parameters, headers, request.body)
    return headers["Authorization"]
