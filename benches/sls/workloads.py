"""What is measured: batches of envelopes, made of a real one so that sizes are exact and no two are the same.

A batch is what the default `sls.batch.max_bytes` holds. An event grows by what real ones grow by: frames, breadcrumbs,
the list of modules. All of it is the same in every run.
"""

import copy
import gzip
import json
import random
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = next((ROOT / "tests/fixtures/real").glob("106-*.body"))
BATCH_BYTES = 524_288
# Sizes of an event's envelope.
EVENTS = {"1 KiB": 1024, "8 KiB": 8192, "50 KiB": 51_200, "200 KiB": 204_800}
LOG = "log entries"
LOGS_PER_ENVELOPE = 100
# 2024-02-29T07:08, shortly before the moment at which the contenders believe to be.
MINUTE = "2024-02-29T07:08:"
WORDS = "order cart user checkout payment timeout retry session page render query cache miss shard worker queue".split()


def batches() -> dict[str, list[bytes]]:
    """The envelopes of each workload."""
    found = {}
    for name, size in EVENTS.items():
        # A log is a little larger than its event.
        count = max(1, BATCH_BYTES // (size + 900))
        found[name] = [event(size, random.Random(n)) for n in range(count)]
    found[LOG] = [log_entries(random.Random(n)) for n in range(3)]
    return found


def encode(envelopes: list[bytes]) -> bytes:
    """As the contenders read them: compressed as SDKs do, each behind its length."""
    bodies = [gzip.compress(envelope, 9, mtime=0) for envelope in envelopes]
    return b"".join(len(body).to_bytes(4, "little") + body for body in bodies)


def event(size: int, rng: random.Random) -> bytes:
    """An envelope of exactly `size` bytes with one event."""
    header, _, payload = FIXTURE_BODY.split(b"\n", 2)
    whole = json.loads(payload)
    frames = [frame for each in whole["exception"]["values"] for frame in each["stacktrace"]["frames"]]
    crumbs, modules = whole["breadcrumbs"]["values"], list(whole["modules"].items())
    whole["exception"]["values"] = [whole["exception"]["values"][-1]]
    exception = whole["exception"]["values"][0]
    exception["stacktrace"]["frames"] = []
    whole["breadcrumbs"]["values"] = []
    for key in ("modules", "_meta", "extra"):
        del whole[key]
    whole["contexts"].pop("order")
    whole["sdk"].pop("integrations")
    whole["event_id"] = f"{rng.getrandbits(128):032x}"
    whole["contexts"]["trace"]["trace_id"] = f"{rng.getrandbits(128):032x}"
    whole["timestamp"] = f"{MINUTE}{rng.randrange(9):02}.{rng.randrange(1, 10**6):06}Z"
    whole["extra"] = {"note": ""}
    exception["value"] = text(rng, 40)

    def built() -> bytes:
        body = json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
        item = json.dumps({"type": "event", "content_type": "application/json", "length": len(body)})
        return header + b"\n" + item.encode() + b"\n" + body + b"\n"

    def grow(into: list, part: dict) -> bool:
        into.append(part)
        if len(built()) <= size - 8:
            return True
        into.pop()
        return False

    if len(built()) > size:
        # The smallest that an SDK sends: a message.
        for key in ("exception", "breadcrumbs", "transaction_info", "server_name", "dist"):
            whole.pop(key)
        whole["contexts"] = {"trace": whole["contexts"]["trace"]}
        whole["user"] = {"id": whole["user"]["id"]}
        header = json.dumps({"event_id": whole["event_id"], "sent_at": MINUTE + "09Z"}).encode()
    else:
        if len(built()) + 2_500 < size:
            whole["modules"] = dict(modules)
        while grow(whole["breadcrumbs"]["values"], crumb(rng, crumbs)) and len(whole["breadcrumbs"]["values"]) < 100:
            if not grow(exception["stacktrace"]["frames"], frame(rng, frames)):
                break
        while grow(exception["stacktrace"]["frames"], frame(rng, frames)):
            pass
    # The length of the item may gain a digit on the way.
    while (missing := size - len(built())) != 0:
        note = whole["extra"]["note"]
        whole["extra"]["note"] = note + text(rng, missing) if missing > 0 else note[:missing]
    return built()


def crumb(rng: random.Random, crumbs: list[dict]) -> dict:
    """A breadcrumb like the real ones."""
    made = copy.deepcopy(rng.choice(crumbs))
    made["message"] = f"SELECT * FROM {rng.choice(WORDS)} WHERE id = {rng.randrange(10**6)}"
    made["timestamp"] = f"{MINUTE}00.{rng.randrange(10**6):06}Z"
    made["data"]["duration_ms"] = rng.randrange(10**4) / 10
    return made


def frame(rng: random.Random, frames: list[dict]) -> dict:
    """A stack frame like the real ones, from another place of the program, with other variables."""
    made = copy.deepcopy(rng.choice(frames))
    module = f"{rng.choice(WORDS)}.{rng.choice(WORDS)}"
    made["module"], made["function"] = module, "_".join(rng.sample(WORDS, 2))
    made["filename"] = module.replace(".", "/") + ".py"
    made["abs_path"] = "/srv/app/py/src/" + made["filename"]
    made["lineno"] = rng.randrange(2000)
    made["vars"].update({rng.choice(WORDS): f"'{rng.getrandbits(64):x}'", "total": str(rng.random())})
    made["context_line"] = f"    return {made['function']}({text(rng, 30)!r})"
    return made


def log_entries(rng: random.Random) -> bytes:
    """An envelope with Sentry's structured logs, as an SDK gathers them."""
    items = []
    for _ in range(LOGS_PER_ENVELOPE):
        attributes = {
            "sentry.environment": "production",
            "sentry.release": "shop-backend@3.11.0",
            "sentry.sdk.name": "sentry.python",
            "sentry.sdk.version": "2.75.0",
            "server.address": f"web-{rng.randrange(8)}",
            "sentry.message.template": "order {id} took {ms} ms",
            "sentry.message.parameter.id": f"{rng.getrandbits(48):x}",
            "logger.name": "shop." + rng.choice(WORDS),
        }
        items.append(
            {
                "timestamp": 1_709_190_480 + rng.randrange(9) + rng.randrange(1, 10**6) / 10**6,
                "trace_id": f"{rng.getrandbits(128):032x}",
                "level": rng.choice(["info", "warn", "error"]),
                "severity_number": 9,
                "body": text(rng, 60),
                "attributes": {key: {"value": value, "type": "string"} for key, value in attributes.items()},
            }
        )
    body = json.dumps({"items": items}, separators=(",", ":")).encode()
    item = {"type": "log", "item_count": len(items), "content_type": "application/vnd.sentry.items.log+json"}
    return b"{}\n" + json.dumps(item | {"length": len(body)}).encode() + b"\n" + body + b"\n"


def text(rng: random.Random, size: int) -> str:
    """Words, `size` bytes in all."""
    words = []
    while sum(map(len, words)) + len(words) <= size:
        words.append(rng.choice(WORDS) if rng.random() < 0.7 else f"{rng.getrandbits(32):x}")
    return " ".join(words)[:size]


FIXTURE_BODY = gzip.decompress(FIXTURE.read_bytes())
