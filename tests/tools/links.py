#!/usr/bin/env python3
"""What the documents refer to is there: `python3 tests/tools/links.py`, from anywhere. Python's standard library only.

* Every relative link of every Markdown file leads to a file or folder of this repository, and its anchor to a heading there.
* A comment that cites a page of the manual (`manual:` page, or `manual:` page, "Heading") cites one of src/manual/*.md, and a
  heading that is there.
* README.md has at most 200 lines of at most 120 columns.

What is in two languages is for twins.py.

Prints each problem as `file:line: what is wrong`. Exit status 1 when there is one. It begins by looking at a small tree in
which everything is wrong.
"""

import os
import re
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".tools", "target", "dist", "node_modules", "scratch", "__pycache__", ".pytest_cache"}
CITING = ("src", "tests", "envoy", "nginx", "benches")
MANUAL = Path("src/manual")
ENGLISH = Path("README.md")
MOST_LINES, MOST_COLUMNS = 200, 120
# Larger files are no sources.
MOST_BYTES = 1 << 20

FENCE = re.compile(r"\s*(`{3,}|~{3,})\s*(\S*)")
HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
INLINE = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^\s()<>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
DEFINITION = re.compile(r"\s{0,3}\[([^\]]+)\]:\s+<?(\S+?)>?\s*$")
REFERENCE = re.compile(r"\[[^\[\]]+\]\[([^\[\]]*)\]")
ATTRIBUTE = re.compile(r"<[a-z][^>]*\s(?:href|src)=\"([^\"]+)\"")
OWN_ANCHOR = re.compile(r"<[a-z][^>]*\s(?:id|name)=\"([^\"]+)\"")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
CITATION = re.compile(r"\bmanual: ([a-z][a-z0-9-]*)((?:,? (?:and )?\"[^\"]+\")*)")
COMMENT = re.compile(r"\s*(?://[/!]?|#|\*)?\s*")


@dataclass
class Document:
    """A Markdown file, as far as it is checked here."""

    links: list[tuple[int, str]] = field(default_factory=list)
    undefined: list[tuple[int, str]] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


def read(text: str) -> Document:
    """One pass over the lines."""
    found = Document()
    definitions: set[str] = set()
    references: list[tuple[int, str]] = []
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2]:
                fence = ""
            continue
        if mark:
            fence = mark[1]
            continue
        if heading := HEADING.match(line):
            found.anchors.add(_free(anchor(heading[2]), found.anchors))
        # Code is no link, but a link's text may be code.
        line = CODE.sub(lambda code: "x" * len(code[0]), line)
        found.anchors.update(OWN_ANCHOR.findall(line))
        if definition := DEFINITION.match(line):
            definitions.add(definition[1].lower())
            found.links.append((number, definition[2]))
            continue
        found.links += [(number, target) for target in INLINE.findall(line) + ATTRIBUTE.findall(line)]
        references += [(number, name.lower()) for name in REFERENCE.findall(line) if name]
    found.undefined = [(number, name) for number, name in references if name not in definitions]
    return found


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return "".join(sign for sign in text if sign in "-_ " or unicodedata.category(sign)[0] in "LNM").replace(" ", "-")


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def files(root: Path) -> Iterator[Path]:
    """All of this repository's, relative to it."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in NOT_OURS)
        yield from (Path(folder, name).relative_to(root) for name in sorted(names))


def problems(root: Path) -> list[str]:
    """Everything that is wrong in this tree."""
    ours = list(files(root))
    documents = {path: read((root / path).read_text(encoding="utf-8")) for path in ours if path.suffix == ".md"}
    there = {Path("."), *ours, *(parent for path in ours for parent in path.parents)}
    found = []
    for path, document in documents.items():
        found += [f"{path}:{number}: nothing is called [{name}]" for number, name in document.undefined]
        for number, link in document.links:
            if not SCHEME.match(link) and (wrong := _leads_nowhere(path, link, there, documents)):
                found.append(f"{path}:{number}: {link}: {wrong}")
    for path in ours:
        if path.parts[0] in CITING:
            found += _citations(root, path, documents)
    return [*found, *_front_page(root)]


def _leads_nowhere(path: Path, link: str, there: set[Path], documents: dict[Path, Document]) -> str:
    name, _, fragment = link.partition("#")
    target = Path(os.path.normpath(path.parent / name)) if name else path
    if target not in there:
        return "no such file in this repository"
    if target not in documents and target / "README.md" in documents and fragment:
        target /= "README.md"
    if fragment and (target not in documents or fragment not in documents[target].anchors):
        return f"no such heading in {target}"
    return ""


def _citations(root: Path, path: Path, documents: dict[Path, Document]) -> Iterator[str]:
    if (root / path).stat().st_size > MOST_BYTES:
        return
    text = (root / path).read_bytes().decode("utf-8", errors="replace")
    lines = text.splitlines()
    for number, (line, after) in enumerate(zip(lines, [*lines[1:], ""]), 1):
        # A heading may go on in the next line.
        for cited in CITATION.finditer(f"{line.rstrip()} {COMMENT.sub('', after, count=1)}"):
            page = MANUAL / f"{cited[1]}.md"
            if cited.start() > len(line):
                continue
            if page not in documents:
                yield f"{path}:{number}: manual: {cited[1]}: there is no {page}"
                continue
            for heading in re.findall(r'"([^"]+)"', cited[2]):
                if anchor(heading) not in documents[page].anchors:
                    yield f'{path}:{number}: manual: {cited[1]}, "{heading}": no such heading in {page}'


def columns(line: str) -> int:
    """As a terminal shows it: Chinese signs take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in line)


def _front_page(root: Path) -> Iterator[str]:
    lines = (root / ENGLISH).read_text(encoding="utf-8").splitlines()
    if len(lines) > MOST_LINES:
        yield f"{ENGLISH}:{len(lines)}: more than {MOST_LINES} lines"
    for number, line in enumerate(lines, 1):
        if columns(line) > MOST_COLUMNS:
            yield f"{ENGLISH}:{number}: {columns(line)} columns, more than {MOST_COLUMNS}"


def wrong_is_seen() -> None:
    """A tree in which everything is wrong once, and the same things right beside it."""
    english = "# One `two`, three\n\n# One `two`, three\n[a](#one-two-three-1) [b](#one-two-three-2)\n```sh\nmake\n```\n"
    english += "[gone](gone.md) `[code](gone.md)` [`code`](sub) [c](sub#d) [e](sub#f) [g][h] [i][j]\n\n[j]: sub/README.md\n"
    english += "| a |\n| - |\n| b |\n" + "x" * (MOST_COLUMNS + 1) + "\n" * MOST_LINES
    chinese = "# 一\n## 二\n[k](#二) [l](https://example.com/gone) [m](../out.md)\n"
    cited = "manual"  # this file is looked at too
    source = f'// {cited}: hosts, "Calls and\n//! ticks", "Calls" {cited}: hosts\n// {cited}: none, {cited}: hosts, "Calls", "None"\n'
    tree = {"README.md": english, "README.zh-CN.md": chinese, "sub/README.md": "## D\n", "target/no.md": "[n](gone.md)"}
    tree |= {"src/a.rs": source, "src/manual/hosts.md": "## Calls and `ticks`\n### Calls\n"}
    with tempfile.TemporaryDirectory() as directory:
        for name, text in tree.items():
            path = Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        found = "\n".join(problems(Path(directory)))
    expected = ["README.md:4: #one-two-three-2", "README.md:8: gone.md", "README.md:8: sub#f", "README.md:8: nothing is called [h]"]
    expected += ["README.md:14: 121 columns", "more than 200 lines", "README.zh-CN.md:3: ../out.md", f"src/a.rs:3: {cited}: none:"]
    expected += [f'src/a.rs:3: {cited}: hosts, "None":']
    missed = [text for text in expected if text not in found]
    if missed or len(found.splitlines()) != len(expected):
        sys.exit(f"{sys.argv[0]} does not see what it should: {missed}\n{found}")


def main() -> int:
    wrong_is_seen()
    found = problems(ROOT)
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
