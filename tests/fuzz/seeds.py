#!/usr/bin/env python3
"""Writes seeds for the fuzz targets from tests/fixtures: seeds.py DIRECTORY (one folder per target)."""

import hashlib
import json
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
# What is larger makes every run slow and finds nothing that a smaller one would not.
LARGEST = 64 * 1024

TOKEN = b"AQAEALYi"
ROLE = b"edge-role\n"
KEYS = (
    b'{"Code":"Success","AccessKeyId":"STS.NUgYrLnoC37mZZCNnAbez","AccessKeySecret":"CVwjCkNzTMupZ8NbTCxCBRq3K16jtcWFTJAyBEv2",'
    b'"SecurityToken":"CAIS","Expiration":"2024-03-01T12:00:00Z","LastUpdated":"2024-02-29T06:00:00Z"}'
)
SLS_CODES = [
    (400, "PostBodyInvalid"),
    (400, "RequestTimeExpired"),
    (400, "MissingContentType"),
    (401, "SignatureNotMatch"),
    (401, "Unauthorized"),
    (403, "WriteQuotaExceed"),
    (404, "LogStoreNotExist"),
    (413, "PostBodyTooLarge"),
    (500, "InternalServerError"),
    (503, "ServerBusy"),
]
ENVOY_SAYS = [
    "remote connection failure",
    "connection timeout",
    "connection termination",
    "overflow",
    "protocol error",
]


def head(pairs: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\n" for name, value in pairs).encode("utf-8", "surrogateescape")


def configurations() -> list[bytes]:
    """Every key: with a literal credential and with a role's, for every mode, on either host."""
    full = {
        "host": "envoy",
        "mode": "tee",
        "rum": {
            "upstream": "rum",
            "authority": "rum.example.com",
            "scheme": "https",
            "default": {"workspace": "ws", "service_id": "rest@0"},
            "projects": {"43": {"workspace": "ws", "service_id": "${SERVICE:-api@43}", "upstream": "other"}},
            "exclude": [7, "8"],
            "routes": "all",
            "timeout_ms": 5000,
        },
        "sls": {
            "upstream": "sls",
            "endpoint": "cn-hangzhou.log.aliyuncs.com",
            "project": "proj",
            "logstore": "store",
            "topic": "t",
            "source": "s",
            "signature": "v4",
            "region": "cn-hangzhou",
            "credential": {"access_key_id": "id", "access_key_secret": "key", "security_token": "token"},
            "compression": "lz4",
            "batch": {"max_bytes": 524288, "max_logs": 4096, "linger_ms": 2000},
            "payload": True,
            "spans": True,
            "scrub": True,
            "scrub_keys": ["customer_no"],
            "retry": {"max_attempts": 20},
        },
        "limits": {"max_body_bytes": 1000000, "max_pending_bytes": 4000000, "max_in_flight": 16},
        "retry": {"max_attempts": 3, "initial_backoff_ms": 500, "max_backoff_ms": 30000, "max_age_ms": 300000},
    }
    role = json.loads(json.dumps(full))
    role["sls"]["credential"] = {"ecs_ram_role": {"role": "edge", "upstream": "metadata"}}
    one_line = {"host": "nginx", "lanes": 4, "rum": {**full["rum"], "upstream": "rum.test:80", "enabled": "${RUM:-true}", "projects": "42=ws/web@42, 43=${W:-ws}/api@43"}}
    rewrite = {"mode": "rewrite", "fast_ack": True, "rum": full["rum"], "sls": {**full["sls"], "enabled": False}}
    signed = {key: full["sls"][key] for key in ("endpoint", "project", "signature", "region", "credential")}
    sign = {"mode": "sign", "sls": signed, "sign": {"logstores": ["app-log", "audit"]}, "limits": {"max_body_bytes": 3_000_000}}
    lane = {"host": "nginx", "lane": 1}
    return [json.dumps(config).encode() for config in (full, role, one_line, rewrite, sign, lane)]


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    seeds: dict[str, list[bytes]] = {}

    def add(target: str, data: bytes) -> None:
        if len(data) <= LARGEST:
            seeds.setdefault(target, []).append(data)

    for path in sorted(FIXTURES.glob("*/*.http.json")):
        meta = json.loads(path.read_text(encoding="utf-8"))
        body = (path.parent / meta["body_file"]).read_bytes()
        headers = [(name, value) for name, value in meta["headers"]]
        encoding = next((value for name, value in headers if name.lower() == "content-encoding"), "")
        line = f"{meta['method']} {meta['path']}".encode("utf-8", "surrogateescape")
        add("route", line)
        add("headers", random.Random(path.name).choice([b"e", b"n", b"eq", b"ns"]) + b"\n" + head(headers))
        add("decode", encoding.encode() + b"\n" + body)
        add("envelope", body)
        query = meta["path"].partition("?")[2].encode("utf-8", "surrogateescape")
        add("second", query + b"\n" + head(headers) + b"\n" + body[:800])
        add("records", body)
        for part in body.split(b"\n"):
            if part.startswith(b"{") and len(part) > 100:
                add("scrub", part)
        add("write_request", line.replace(b"/api/", b"/logstores/") + b"\n" + head(headers) + b"\n" + body[:800])

    for config in configurations():
        add("config", config)
    for path in ("/logstores/app-log", "/logstores/app-log/shards/lb", "/logstores/app-log/shards/route?key=ab12"):
        lines = [("x-log-apiversion", "0.6.0"), ("x-log-bodyrawsize", "5"), ("Authorization", "LOG a:b"), ("Date", "x")]
        lines += [("x-acs-security-token", "t"), ("content-type", "application/x-protobuf"), ("x-log-compresstype", "lz4")]
        add("write_request", f"POST {path}\n".encode() + head(lines) + b"\nhello")
    for status, code in SLS_CODES:
        lines = [(":status", str(status)), ("x-log-requestid", "5D"), ("x-log-time", "1795240000"), ("retry-after", "7")]
        body = json.dumps({"errorCode": code, "errorMessage": "no"}).encode()
        add("sls_reply", head(lines) + b"\n" + body)
    add("sls_reply", head([(":status", "200"), ("date", "Sat, 21 Nov 2026 05:46:40 GMT")]) + b"\n")
    for reason in ENVOY_SAYS:
        text = f"upstream connect error or disconnect/reset before headers. reset reason: {reason}"
        add("rum_reply", head([(":status", "503"), ("retry-after", "1.5")]) + b"\n" + text.encode())
    for status in ("200", "429", "502", "504"):
        lines = [(":status", status), ("x-envoy-upstream-service-time", "3"), ("retry-after", "Sat, 21 Nov 2026 05:46:50 GMT")]
        add("rum_reply", head(lines))
    add("rum_reply", head([(":dispatch_status", "resolver failure")]))
    ok, late, unknown = b"\x00", b"\x38", b"\x03"
    for answers in (
        [ok + TOKEN, ok + ROLE, ok + KEYS, late + TOKEN],
        [unknown + b"", ok + ROLE, ok + KEYS],
        [ok + TOKEN, unknown + b"", ok + ROLE, unknown + b"", ok + KEYS],
    ):
        add("metadata", b"\xff".join(answers))
    # Any bytes are a story.
    for number in range(64):
        for target in ("plugin", "passages", "writes"):
            add(target, random.Random(number).randbytes(400))

    for target, all_seeds in seeds.items():
        folder = out / target
        folder.mkdir(parents=True, exist_ok=True)
        for data in all_seeds:
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    main()
