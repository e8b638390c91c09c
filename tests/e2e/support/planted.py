"""What is planted in requests, keys and answers, and where it must not be found again."""

import base64
import gzip
import json
import re

from . import sign_edge

# Each is found by its own piece of text.
DSN_KEY = "d5c0ffee" * 4
IN_HEADERS = {
    "cookie": "planted-cookie",
    "authorization": "Bearer planted-bearer",
    "proxy-authorization": "Basic " + base64.b64encode(b"planted:proxy").decode(),
    "x-api-key": "planted-api-key",
    "x-sentry-auth": f"Sentry sentry_version=7, sentry_key={DSN_KEY}, sentry_secret=planted-dsn-secret",
    "user-agent": "planted-agent",
    "x-forwarded-for": "198.51.100.77",
}
IN_BODIES = ("planted-message", "planted-person@example.com", "planted-attachment", "planted-envelope-key")
KEY_ID, KEY_SECRET, TOKEN = "LTAI-planted-id", "planted-access-key-secret", "planted-security-token"
# What the metadata service says when it says nothing that is right.
IN_METADATA = "planted-metadata"
# The error texts of targets quote what they were sent, in a header or in the body.
QUOTE = f"you sent planted-echo {DSN_KEY}"
EVENT = json.dumps({"message": IN_BODIES[0], "user": {"email": IN_BODIES[1]}}).encode()
HEADER = json.dumps({"dsn": f"https://{IN_BODIES[3]}@edge.example/1"}).encode()
ENVELOPE = HEADER + b'\n{"type":"event"}\n' + EVENT + b'\n{"type":"attachment","length":18}\n' + IN_BODIES[2].encode()
ALL = [re.sub(r"^\w+ ", "", value) for value in IN_HEADERS.values()]
ALL += [DSN_KEY, "planted-dsn-secret", *IN_BODIES, KEY_SECRET, TOKEN, "planted-echo", IN_METADATA]
NOT_IN_HEADERS = [*IN_BODIES, KEY_SECRET, IN_METADATA]

# The three ways in which Envoy itself writes headers, at debug and trace: a whole map, a line each; what its HTTP/1 codec
# has read, one by one; the path for which the router has found a cluster.
ENVOYS_OWN = re.compile(
    r"^'[^']+', '.*'$"
    r"|^\[[^]]*\]\[\d+\]\[trace\]\[http\] .* completed header: key=\S+ value="
    r"|^\[[^]]*\]\[\d+\]\[debug\]\[router\] .* match for URL '"
)

Case = tuple[str, bytes, list[tuple[str, str]]]


def envelopes() -> list[Case]:
    """Requests of SDKs with everything planted, good ones and bad ones: target, body, headers beside IN_HEADERS."""
    packed = gzip.compress(ENVELOPE)
    query = f"?sentry_key={DSN_KEY}&sentry_secret=planted-dsn-secret"
    return [
        ("/api/1/envelope/", ENVELOPE, []),
        (f"/api/2/envelope/{query}", ENVELOPE, [("referer", "https://planted-cookie.example/")]),
        ("/api/3/envelope/", packed, [("content-encoding", "gzip")]),
        ("/api/3/envelope/", packed[:-20], [("content-encoding", "gzip")]),
        ("/api/3/envelope/", packed, [("content-encoding", "planted-api-key")]),
        ("/api/1/envelope/", b"planted-message is no envelope", []),
        ("/api/1/envelope/", ENVELOPE, [("x-request-id", "caf\xe9 planted-cookie")]),
        ("/api/1/envelope/", ENVELOPE, [("x-sentry-edge-mirror", "planted-cookie")]),
        ("/api/1/envelope/", ENVELOPE * 2_000, []),
        (f"/api/7/envelope/{query}", ENVELOPE, []),
        (f"/api/1/store/{query}", EVENT, []),
    ]


def writes(store: str) -> list[Case]:
    """Writes to SLS, likewise."""
    own = f"/logstores/{store}"
    kind = ("content-type", "application/x-protobuf")
    return [
        (own, sign_edge.group(*IN_BODIES), [kind]),
        (own, ENVELOPE, [kind]),
        (f"{own}/shards/route?key=planted-api-key", ENVELOPE, [kind, ("x-acs-security-token", "planted-cookie")]),
        (f"{own}/shards/lb", ENVELOPE, [kind, ("x-log-compresstype", "lz4"), ("x-log-bodyrawsize", "9")]),
        (own, ENVELOPE, [kind, ("x-log-compresstype", "planted-cookie")]),
        (own, ENVELOPE, [kind, ("x-log-topic", "caf\xe9 planted-cookie")]),
        (own, ENVELOPE, [kind, kind]),
        (own, ENVELOPE * 2_000, [kind]),
        (f"{own}?planted-api-key={DSN_KEY}", ENVELOPE, [kind]),
        (f"{own}?key=%ffplanted-api-key", ENVELOPE, [kind]),
        (f"/logstores/planted-api-key?key={DSN_KEY}", ENVELOPE, [kind]),
    ]


def found_in(text: str, secrets: list[str]) -> dict[str, str]:
    """Each secret that is there, with what follows the beginning of its line."""
    lines = {secret: text.find(secret) for secret in secrets}
    return {secret: text[text.rfind("\n", 0, at) + 1 :][:300] for secret, at in lines.items() if at >= 0}


def by_envoy(log: str) -> str:
    """The lines in which Envoy itself writes headers. A message of the module's begins otherwise: with [wasm]."""
    return "\n".join(line for line in log.splitlines() if ENVOYS_OWN.search(line))


def not_by_envoy(log: str) -> str:
    """All the others."""
    return "\n".join(line for line in log.splitlines() if not ENVOYS_OWN.search(line))
