#!/usr/bin/env python3
"""A document in English and in Chinese says the same: `python3 tests/tools/twins.py`, from anywhere. Standard library only.

For each NAME.zh-CN.md there is NAME.md. Section by section both have

* a heading of the same level,
* the same fenced blocks, byte for byte, but for drawings (`text`),
* the same lists: as many entries, numbered or not,
* the same tables: rows, columns, and in each cell the same code and the same links,
* the same code and links in the text, in any order, and the same link definitions.

Code in which Chinese stands is a translation. Prints each problem as `file:line: what is wrong`. Exit status 1 when there is
one. It begins by looking at pairs that differ in each of these.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import links

SUFFIX = ".zh-CN.md"
CJK = re.compile(r"[\u3000-\u9fff\uff00-\uffef]")
REFERENCE = re.compile(r"\[([^\[\]]+)\]\[([^\[\]]+)\]")
ENTRY = re.compile(r"\s*(?:(\d+\.)|[*-])\s")


@dataclass
class Section:
    """From one heading to the next."""

    line: int
    level: int
    blocks: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    rows: list[list[Counter]] = field(default_factory=list)
    words: Counter = field(default_factory=Counter)


def words(text: str, known: dict[str, str], twin: str) -> Counter:
    """The code and the links of a text."""
    found = Counter(code for _, code in links.CODE.findall(text) if not CJK.search(code))
    plain = links.CODE.sub("code", text)
    targets = links.INLINE.findall(plain) + [known.get(name, f"[{name}]") for _, name in REFERENCE.findall(plain)]
    # Each of the pair links to the other.
    return found + Counter(f"<{target}>" for target in targets if target != twin)


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line.strip().strip("|"))


def sections(text: str, twin: str) -> list[Section]:
    """A document, cut at its headings."""
    lines = text.splitlines()
    known = {found[1]: found[2] for line in lines if (found := links.DEFINITION.match(line))}
    found, fence, block, prose = [Section(1, 0)], "", [], []

    def close() -> None:
        found[-1].words += words("\n".join(prose), known, twin)
        prose.clear()

    for number, line in enumerate(lines, 1):
        mark = links.FENCE.match(line)
        if fence:
            block.append(line)
            if mark and mark[1].startswith(fence) and not mark[2]:
                found[-1].blocks.append("```text" if block[0].strip() == "```text" else "\n".join(block))
                fence = ""
        elif mark:
            fence, block = mark[1], [line]
        elif heading := links.HEADING.match(line):
            close()
            found.append(Section(number, len(heading[1])))
        elif definition := links.DEFINITION.match(line):
            found[-1].words[f"[{definition[1]}]: {definition[2]}"] += 1
        elif line.startswith("|"):
            found[-1].rows.append([words(cell, known, twin) for cell in cells(line)])
        else:
            if entry := ENTRY.match(line):
                found[-1].lists.append(entry[1] or "*")
            prose.append(line)
    close()
    return found


def differences(english: str, chinese: str, name: str) -> Iterator[tuple[int, str]]:
    """Where the Chinese document is another one, by its lines."""
    own, theirs = sections(english, name + SUFFIX), sections(chinese, name + ".md")
    if [each.level for each in own] != [each.level for each in theirs]:
        yield 1, f"headings {[each.level for each in theirs]}, there {[each.level for each in own]}"
        return
    for one, other in zip(own, theirs, strict=True):
        for what in ("blocks", "lists"):
            if getattr(one, what) != getattr(other, what):
                yield other.line, f"{what}: {getattr(other, what)}, there {getattr(one, what)}"
        if [len(row) for row in one.rows] != [len(row) for row in other.rows]:
            yield other.line, f"tables: {[len(row) for row in other.rows]} cells, there {[len(row) for row in one.rows]}"
        else:
            pairs = [(a, b) for rows in zip(one.rows, other.rows, strict=True) for a, b in zip(*rows, strict=True)]
            yield from ((other.line, f"a cell has {apart(b, a)}") for a, b in pairs if a != b)
        if one.words != other.words:
            yield other.line, f"the text has {apart(other.words, one.words)}"


def apart(own: Counter, theirs: Counter) -> str:
    return f"{sorted((own - theirs).elements())}, there {sorted((theirs - own).elements())}"


def wrong_is_seen() -> None:
    """Pairs that are alike, and pairs that differ in one thing."""
    english = "# A\n[x](a.zh-CN.md) `b` [c][d] [e](f.md)\n\n[d]: g.md\n1. h\n* i\n"
    english += "```sh\nj\n```\n```text\nk\n```\n## L\n| m | `n` |\n"
    chinese = "# 一\n[二](a.md) [三](f.md)，[四][d]、`b` `二`\n\n[d]: g.md\n1. 五\n* 六\n"
    chinese += "```sh\nj\n```\n```text\n七\n```\n## 八\n| 九 | `n` |\n"
    assert not list(differences(english, chinese, "a"))
    wrong = [("## ", "### "), ("`b` ", ""), ("(f.md)", "(o.md)"), ("g.md", "p.md"), ("[d]: g.md", ""), ("1. ", "* ")]
    for old, new in (*wrong, ("\nj\n", "\nq\n"), ("`n`", "n"), ("| 九 ", "")):
        assert old in chinese and list(differences(english, chinese.replace(old, new), "a")), old


def main() -> int:
    wrong_is_seen()
    pairs = [path for path in links.files(links.ROOT) if path.name.endswith(SUFFIX)]
    found = [] if pairs else ["there is no document in Chinese"]
    for path in pairs:
        name = path.name.removesuffix(SUFFIX)
        texts = [(links.ROOT / each).read_text(encoding="utf-8") for each in (path.with_name(name + ".md"), path)]
        found += [f"{path}:{line}: {wrong}" for line, wrong in differences(*texts, name)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
