"""The module with a custom section more: it does the same, and for a proxy it is another one."""

from pathlib import Path

from . import paths

NAME = b"made_different"


def write(directory: Path, number: int) -> Path:
    """A file of that module; each number makes another one."""
    # WebAssembly core specification, 5.5.3: section 0, its size, its name, anything.
    content = bytes([len(NAME)]) + NAME + b"%d" % number
    path = directory / f"module-{number}.wasm"
    path.write_bytes(Path(paths.module()).read_bytes() + b"\x00" + bytes([len(content)]) + content)
    return path
