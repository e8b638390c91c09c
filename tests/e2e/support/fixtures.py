"""The fixture requests of tests/fixtures: what was captured from real SDKs, and hand-made edge cases."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from .paths import FIXTURES


@dataclass(frozen=True)
class Fixture:
    """One request: its description, its body, and for some the bytes of the whole connection."""

    name: str
    meta: dict[str, Any]
    body: bytes
    wire: bytes | None

    @property
    def framing(self) -> str:
        """content-length, chunked, none or h2-data; the synthetic ones say it only by their headers."""
        if "body_framing" in self.meta:
            return self.meta["body_framing"]
        names = {name.lower(): value for name, value in self.meta["headers"]}
        if "transfer-encoding" in names:
            return "chunked"
        return "content-length" if "content-length" in names else "none"

    def __str__(self) -> str:
        return self.name


@cache
def load() -> tuple[Fixture, ...]:
    """All of them, each checked against its own hash."""
    found = []
    for path in sorted(FIXTURES.glob("*/*.http.json")):
        name = f"{path.parent.name}/{path.name.removesuffix('.http.json')}"
        meta = json.loads(path.read_text())
        body = (path.parent / meta["body_file"]).read_bytes() if meta.get("body_file") else b""
        assert hashlib.sha256(body).hexdigest() == meta["body_sha256"], name
        wire = (path.parent / meta["wire_file"]).read_bytes() if meta.get("wire_file") else None
        found.append(Fixture(name, meta, body, wire))
    assert found, f"no fixtures in {FIXTURES}"
    return tuple(found)
