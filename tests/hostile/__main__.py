"""`python -m tests.hostile FOLDER MIB`: writes every body into a folder, decoded to so many MiB where that is to be chosen.

A body's name is its file's; behind the last dot stands its Content-Encoding, `identity` if it has none.
"""

import sys
from dataclasses import replace
from pathlib import Path

from . import BODIES, ENCODED, MIB


def main() -> None:
    folder, mib = Path(sys.argv[1]), float(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for body in BODIES.values():
        if body.name not in ENCODED:
            body = replace(body, decoded=min(body.decoded, int(mib * MIB)))
        (folder / f"{body.name}.{body.coding or 'identity'}").write_bytes(body.wire())


main()
