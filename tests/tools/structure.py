"""The structure of the sources: no circle of imports, arrows between rooms in one direction, no long file in src/.

    python3 tests/tools/structure.py

An arrow leads from a file to the file whose items it uses. What a file only hands on (`pub use`), and declares (`mod`), is
none; nor is the use of what stands in the file that declares it, of which a file is a part. Rust: each crate by itself. Python: the modules of tests/ and benches/.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400
CRATES = [
    "src/lib.rs",
    "src/bin/sentry-edge-mirror/main.rs",
    "tests/host/lib.rs",
    "tests/oracles/lib.rs",
    "tests/scenarios/main.rs",
    "tests/properties/main.rs",
    "tests/cli/main.rs",
    "tests/cost/main.rs",
    "tests/fuzz/src/lib.rs",
    "benches/fleet/src/lib.rs",
    "benches/sls/src/lib.rs",
]
PYTHON = ["tests", "benches"]
# Their files are one piece: the state of a host, and of the books that judge, with all that changes it.
ONE_PIECE = ["tests/host/lib.rs", "tests/oracles/lib.rs"]
# From the top: each uses only those behind it.
ROOMS = ["proxy", "modes", "worker", "config", "sls", "copies", "effect", "delivery", "log", "metric", "sentry"]
Arrows = dict[Path, set[Path]]


def modules(root: Path) -> dict[tuple[str, ...], Path]:
    """A crate's modules that have a file of their own, by path."""
    found = {(): root}
    queue = [((), root, root.parent)]
    while queue:
        name, file, folder = queue.pop()
        text = file.read_text(encoding="utf-8")
        for path, child in re.findall(r"(?:#\[path = \"([^\"]+)\"\]\s*)?^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", text, re.M):
            options = [folder / path] if path else [folder / f"{child}.rs", folder / child / "mod.rs"]
            for option in options:
                if option.exists():
                    own = (*name, child)
                    found[own] = option.resolve()
                    queue.append((own, option, folder / child if not path else option.parent))
    return found


def leaves(tree: str) -> list[list[str]]:
    """The paths of a use tree: `a::{b, c::d}` are `a::b` and `a::c::d`."""
    tree = re.sub(r"\s+", " ", tree).strip()
    if "{" not in tree:
        return [tree.split(" as ")[0].strip().split("::")]
    head, rest = tree.split("{", 1)
    inner, depth, part, parts = rest.rsplit("}", 1)[0], 0, "", []
    for char in inner + ",":
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += char
    return [head.strip().rstrip(":").split("::") + leaf if head else leaf for p in parts if p.strip() for leaf in leaves(p)]


def rust(root: Path) -> Arrows:
    known = modules(root)
    arrows: Arrows = {file: set() for file in known.values()}
    for name, file in known.items():
        text = re.sub(r"#\[cfg\(test\)\][^{;]*\{.*", "", file.read_text(encoding="utf-8"), flags=re.S)
        for tree in re.findall(r"^use ([^;]+);", text, re.M):
            for leaf in leaves(tree):
                path = list(name)
                while leaf and leaf[0] in ("crate", "super", "self"):
                    word = leaf.pop(0)
                    path = [] if word == "crate" else path[:-1] if word == "super" else path
                full = tuple(path + leaf)
                while full and full not in known:
                    full = full[:-1]
                # A name that is no module of ours is another crate's.
                if tree.split("::")[0].strip() not in ("crate", "super", "self") and (*name, leaf[0]) not in known:
                    continue
                part_of = name[: len(full)] == full
                if known.get(full, file) != file and not part_of and "tests" not in full:
                    arrows[file].add(known[full])
    return arrows


def python() -> Arrows:
    files = [f for top in PYTHON for f in (ROOT / top).rglob("*.py") if not {"target", "node_modules"} & set(f.parts)]
    names: dict[str, list[Path]] = {}
    for file in files:
        names.setdefault(file.stem if file.stem != "__init__" else file.parent.name, []).append(file)
    arrows: Arrows = {file: set() for file in files}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            used: list[str] = []
            if isinstance(node, ast.ImportFrom):
                last = (node.module or "").split(".")[-1]
                used = [last] if last and last not in ("support",) else [alias.name for alias in node.names]
            elif isinstance(node, ast.Import):
                used = [alias.name.split(".")[-1] for alias in node.names]
            for name in used:
                near = [path for path in names.get(name, []) if path.parent == file.parent or path.parent.name == "support"]
                arrows[file].update(path for path in near[:1] if path != file)
    return arrows


def circles(arrows: dict) -> list[list]:
    """Strongly connected components of more than one."""
    index: dict = {}
    low: dict = {}
    stack: list = []
    found: list[list] = []

    def visit(node) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in arrows.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for node in list(arrows):
        if node not in index:
            visit(node)
    return found


def room(file: Path) -> str:
    return file.relative_to(ROOT / "src").parts[0].removesuffix(".rs")


def back_up(arrows: Arrows) -> list[str]:
    found = []
    for file, others in arrows.items():
        for other in others:
            here, there = room(file), room(other)
            if here in ROOMS and there in ROOMS and ROOMS.index(there) < ROOMS.index(here):
                found.append(f"{file.relative_to(ROOT)} uses {other.relative_to(ROOT)}: {there} stands above {here}")
    return found


def self_test() -> None:
    """What is wrong is found."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []
    assert leaves("crate::a::{b, c::{D, e::F}}") == [["crate", "a", "b"], ["crate", "a", "c", "D"], ["crate", "a", "c", "e", "F"]]
    core = (ROOT / "src").resolve()
    assert back_up({core / "delivery" / "x.rs": {core / "worker.rs"}}) and not back_up({core / "worker.rs": {core / "log.rs"}})


def main() -> int:
    self_test()
    problems = []
    for root in CRATES:
        arrows = rust((ROOT / root).resolve())
        if root not in ONE_PIECE:
            problems += [f"a circle: {' '.join(str(f.relative_to(ROOT)) for f in group)}" for group in circles(arrows)]
        if root == "src/lib.rs":
            problems += back_up(arrows)
            count = sum(map(len, arrows.values()))
            print(f"structure: {len(arrows)} files and {count} arrows in the core")
    problems += [f"a circle: {' '.join(str(f.relative_to(ROOT)) for f in group)}" for group in circles(python())]
    for file in sorted((ROOT / "src").rglob("*.rs")):
        lines = len(file.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST:
            problems.append(f"{file.relative_to(ROOT)}: {lines} lines, at most {LONGEST}")
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
