"""The commands that the documents show: fenced blocks, and code spans in the text."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import paths

sys.path.append(str(paths.ROOT / "tests" / "tools"))
import links  # noqa: E402

# What a reader is to run, and what looks like it: a prompt in a block of any other language.
SHELLS = ("sh", "console", "bash", "shell")
FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})(\S*)")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# The programs of which the text speaks and which are ours to name.
NAMED = ("make ", "cargo ", "python3 tests/", ".tools/venv/bin/python ", "sentry-edge-mirror ", "dist/sentry-edge-mirror ")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    document: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def begins(self) -> str:
        """Its first line, by which lists name it."""
        return self.text.split("\n", 1)[0]

    @property
    def is_command(self) -> bool:
        return self.language in SHELLS or re.search(r"^\$ ", self.text, re.M) is not None


def all_of_them() -> list[Path]:
    """Every Markdown file of the repository, relative to it."""
    return [path for path in links.files(paths.ROOT) if path.suffix == ".md"]


def blocks(document: Path) -> list[Block]:
    """All fenced blocks of a document, without the indentation of their fence."""
    found, lines = [], (paths.ROOT / document).read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        opening = FENCE.match(lines[at])
        end = at + 1
        if opening:
            while not lines[end].strip().startswith(opening[2]):
                end += 1
            inside = [line.removeprefix(opening[1]) for line in lines[at + 1 : end]]
            found.append(Block(str(document), at + 1, opening[3], "\n".join(inside)))
        at = end + 1 if opening else end
    return found


def configuration(document: str, begins: str) -> dict[str, Any]:
    """A block of YAML, by its first line."""
    (found,) = (block for block in blocks(Path(document)) if block.language == "yaml" and block.begins == begins)
    return dict(yaml.safe_load(found.text))


def commands() -> list[Block]:
    """The blocks that are commands."""
    return [block for document in all_of_them() for block in blocks(document) if block.is_command]


def spans(document: Path) -> Iterator[tuple[int, str]]:
    """Commands that stand in the text, with their line."""
    inside = ""
    for number, line in enumerate((paths.ROOT / document).read_text(encoding="utf-8").splitlines(), 1):
        if fence := FENCE.match(line):
            inside = "" if inside and fence[2].startswith(inside) else inside or fence[2]
        elif not inside:
            yield from ((number, span) for span in SPAN.findall(line) if span.startswith(NAMED))
