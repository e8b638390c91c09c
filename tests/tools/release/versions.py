#!/usr/bin/env python3
"""The version stands in Cargo.toml, and all that names it agrees: `python3 tests/tools/release/versions.py`.

    versions.py            the lock files, the manifests, the documents and CHANGELOG.md fit the version
    versions.py --release  also: this commit may be released. CHANGELOG.md has the version, nothing is uncommitted, no tag is another

Python's standard library only. Prints each problem. Exit status 1 when there is one.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ("Cargo.lock", "tests/fuzz/Cargo.lock", "benches/sls/Cargo.lock")
CHANGELOG = Path("CHANGELOG.md")
# The image by its tag, wherever it is named: `.../sentry-edge-mirror:0.1.0`, `oci:dist/image:0.1.0-volume`.
IMAGE = re.compile(r"(?:/sentry-edge-mirror|dist/image):([\w.-]+)")
# What a release publishes, by its name.
ARCHIVE = re.compile(r"\bsentry-edge-mirror-(\d+\.\d+\.\d+[\w.-]*?)(?:\.tar\b|/)")
HEADING = re.compile(r"^## \[(.+?)\](?: - (.*))?$", re.M)
NUMBER = r"(\d+)\.(\d+)\.(\d+)"


def version() -> str:
    """That of Cargo.toml."""
    return tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]["version"]


def order(text: str) -> tuple[int, ...]:
    found = re.match(NUMBER, text)
    return tuple(int(part) for part in found.groups()) if found else ()


def locks(wanted: str) -> Iterator[str]:
    for lock in LOCKS:
        packages = tomllib.loads((ROOT / lock).read_text(encoding="utf-8"))["package"]
        own = [package["version"] for package in packages if package["name"] == "sentry-edge-mirror"]
        if own != [wanted]:
            yield f"{lock}: sentry-edge-mirror is {own}, Cargo.toml says {wanted}: `cargo update --workspace`"


def named(text: str, wanted: str) -> Iterator[tuple[int, str]]:
    """Lines with another version of ours."""
    for number, line in enumerate(text.splitlines(), 1):
        for found in (*IMAGE.findall(line), *ARCHIVE.findall(line)):
            if found.removesuffix("-volume") != wanted:
                yield number, found


def documents(wanted: str) -> Iterator[str]:
    paths = [path for folder in ("envoy", "nginx", ".github") for path in sorted((ROOT / folder).rglob("*"))]
    count = 0
    for path in [*paths, *sorted(ROOT.glob("*.md"))]:
        if path.suffix in (".md", ".yaml", ".yml", ".conf", ".service"):
            text = path.read_text(encoding="utf-8")
            count += len(IMAGE.findall(text))
            for line, other in named(text, wanted):
                yield f"{path.relative_to(ROOT)}:{line}: {other}, Cargo.toml says {wanted}"
    if count < 6:
        yield f"the image is named {count} times only: is it called something else now?"


def changelog(text: str, wanted: str) -> Iterator[str]:
    """`Unreleased` stands first, or this version; versions go down; each has its date."""
    found = HEADING.findall(text)
    first, *rest = [name for name, _ in found] or [""]
    versions = rest if first == "Unreleased" else [first, *rest]
    numbers = [order(name) for name in versions]
    if not all(numbers) or numbers != sorted(set(numbers), reverse=True):
        yield f"{CHANGELOG}: the headings are {[first, *rest]}: `Unreleased` may be first, then versions, the newest first"
    undated = [name for name, date in found if name != "Unreleased" and not re.fullmatch(r"\d{4}-\d\d-\d\d", date)]
    yield from (f"{CHANGELOG}: [{name}] has no date" for name in undated)
    if numbers and numbers[0] > order(wanted):
        yield f"{CHANGELOG}: {versions[0]} is newer than {wanted} of Cargo.toml"


def git(*command: str) -> str:
    return subprocess.run(["git", *command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def release(text: str, wanted: str, changes: str, tags: list[str]) -> Iterator[str]:
    """Why this is not to be released."""
    names = [name for name, _ in HEADING.findall(text)]
    if names[:1] == ["Unreleased"] and re.search(r"^- ", text.split("## [Unreleased]")[1].split("\n## ")[0], re.M):
        yield f"{CHANGELOG}: something stands under `Unreleased`: it belongs to [{wanted}]"
    if wanted not in names:
        yield f"{CHANGELOG}: there is no `## [{wanted}] - YYYY-MM-DD`, and Cargo.toml says {wanted}"
    if changes:
        yield f"not committed:\n{changes}"
    others = [tag for tag in tags if re.match(r"v\d", tag) and tag != f"v{wanted}"]
    if others:
        yield f"this commit is {' '.join(others)}, Cargo.toml says {wanted}"


def wrong_is_seen() -> None:
    """Each of the rules, broken once."""
    text = "a/sentry-edge-mirror:1.2.3\noci:dist/image:1.2.2-volume\nsentry-edge-mirror-1.2.4.tar"
    assert [number for number, _ in named(text, "1.2.3")] == [2, 3]
    good = "## [Unreleased]\n\n## [1.2.3] - 2026-01-02\n- a\n## [1.2.2] - 2026-01-01\n"
    assert not list(changelog(good, "1.2.3")) and not list(release(good, "1.2.3", "", ["v1.2.3"]))
    for bad in (good.replace("1.2.3", "1.2.1"), good.replace(" - 2026-01-02", ""), good.replace("1.2.3", "1.3.0")):
        assert list(changelog(bad, "1.2.3")), bad
    for text, wanted, changes, tags in (
        (good, "1.2.4", "", []),
        (good, "1.2.3", " M a", []),
        (good, "1.2.3", "", ["v1.2.4"]),
        (good.replace("\n\n", "\n- b\n", 1), "1.2.3", "", []),
    ):
        assert list(release(text, wanted, changes, tags)), text


def main() -> int:
    wrong_is_seen()
    wanted, text = version(), (ROOT / CHANGELOG).read_text(encoding="utf-8")
    found = [*locks(wanted), *documents(wanted), *changelog(text, wanted)]
    if sys.argv[1:] == ["--release"]:
        found += release(text, wanted, git("status", "--short"), git("tag", "--points-at", "HEAD").split())
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
