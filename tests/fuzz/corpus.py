#!/usr/bin/env python3
"""Saved corpora: corpus.py unpack DIRECTORY, or corpus.py pack DIRECTORY TARGET (one folder per target).

Archives, because thousands of inputs of some bytes would bury the source files. The same inputs give the same archive.
"""

import pathlib
import sys
import zipfile

SAVED = pathlib.Path(__file__).resolve().parent / "corpus"


def unpack(root: pathlib.Path) -> None:
    for archive in SAVED.glob("*.zip"):
        with zipfile.ZipFile(archive) as inputs:
            inputs.extractall(root / archive.stem)


def pack(folder: pathlib.Path, target: str) -> str:
    inputs = sorted(path for path in folder.iterdir() if path.is_file())
    archive = SAVED / f"{target}.zip"
    SAVED.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in inputs:
            # The time of an entry is 1980 unless it is given.
            out.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return f"{target + ':':14} {len(inputs):5} inputs, {archive.stat().st_size:7} bytes"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["unpack", root]:
            unpack(pathlib.Path(root))
        case ["pack", root, target]:
            print(pack(pathlib.Path(root) / target, target))
        case _:
            sys.exit(__doc__)
