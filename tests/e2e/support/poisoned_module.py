"""Our module, made to trap: `proxy_on_request_headers` of a request with too many headers is `unreachable`.

The module's own callback is called for all others. The binary is read as far as needed for one function more.
"""

from pathlib import Path

from . import paths
from .update_edge import leb

TOO_MANY = 60
CALLBACK = b"proxy_on_request_headers"
TYPES, IMPORTS, FUNCTIONS, EXPORTS, CODE = 1, 2, 3, 7, 10


def _read(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return number, at


def _sections(module: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 8
    while at < len(module):
        kind = module[at]
        size, start = _read(module, at + 1)
        found.append((kind, module[start : start + size]))
        at = start + size
    return found


def _appended(section: bytes, entry: bytes) -> bytes:
    """A vector with one entry more."""
    count, start = _read(section, 0)
    return leb(count + 1) + section[start:] + entry


def _imported_functions(section: bytes) -> int:
    count, at = _read(section, 0)
    functions = 0
    for _ in range(count):
        for _ in range(2):  # module, name
            size, at = _read(section, at)
            at += size
        assert section[at] == 0, "only functions are imported"
        functions += 1
        _, at = _read(section, at + 1)
    return functions


def build(directory: Path) -> Path:
    sections = _sections(Path(paths.module()).read_bytes())
    by_kind = dict(sections)
    imported = _imported_functions(by_kind[IMPORTS])
    defined, _ = _read(by_kind[FUNCTIONS], 0)
    exports = by_kind[EXPORTS]
    at = exports.index(CALLBACK) + len(CALLBACK)
    assert exports[at] == 0
    original, after = _read(exports, at + 1)
    # The type of the original, which the new one has too.
    _, place = _read(by_kind[FUNCTIONS], 0)
    for _ in range(original - imported + 1):
        kind, place = _read(by_kind[FUNCTIONS], place)
    too_many = b"\x20\x01\x41" + bytes([TOO_MANY]) + b"\x4b\x04\x40\x00\x0b"  # header count > TOO_MANY: unreachable
    body = b"\x00" + too_many + b"\x20\x00\x20\x01\x20\x02\x10" + leb(original) + b"\x0b"
    by_kind[FUNCTIONS] = _appended(by_kind[FUNCTIONS], leb(kind))
    by_kind[CODE] = _appended(by_kind[CODE], leb(len(body)) + body)
    by_kind[EXPORTS] = exports[: at + 1] + leb(imported + defined) + exports[after:]
    out = b"\x00asm\x01\x00\x00\x00"
    for kind, content in sections:
        content = by_kind[kind] if kind else content
        out += bytes([kind]) + leb(len(content)) + content
    path = directory / "poisoned.wasm"
    path.write_bytes(out)
    return path
