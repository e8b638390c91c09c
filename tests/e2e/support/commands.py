"""Whether what a command names is there, without running it: make's targets and variables, the command's options, tests, files.

A word in capitals (`NAME`, `SUBJECT`) stands for any.
"""

import functools
import os
import re
import shlex
import subprocess
from pathlib import Path

from . import paths

ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)", re.S)
BLANK = re.compile(r"[A-Z]+|\.\.\.")
SOURCES = ("src", "tests", "benches")


def split(text: str) -> list[list[str]]:
    """The simple commands of a piece of shell, without redirections and comments."""
    lexer = shlex.shlex(text.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split, lexer.commenters = True, ""
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("();<>|&"):
            found.append([])
        else:
            found[-1].append(word)
    return [command for command in found if command]


def without_comments(text: str) -> str:
    return "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in text.splitlines())


def problems(text: str) -> list[str]:
    """What a piece of shell names that is not there."""
    done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
    if done.returncode:
        return [done.stderr.strip()]
    found = []
    for command in split(without_comments(text)):
        while command and (variable := ASSIGNMENT.fullmatch(command[0])):
            if not read_somewhere(variable[1]):
                found.append(f"nothing reads the variable {variable[1]}")
            command = command[1:]
        if command:
            judge = JUDGES.get(Path(command[0]).name)
            found += [f"`{command[0]}` is known to nobody here"] if judge is None else judge(command[1:])
    return found


@functools.cache
def texts(*folders: str) -> dict[str, str]:
    """The sources, by name."""
    return {
        str(path.relative_to(paths.ROOT)): path.read_text(encoding="utf-8")
        for folder in folders
        for path in (paths.ROOT / folder).rglob("*")
        if path.suffix in (".rs", ".py", ".sh") and not {"node_modules", "target"} & set(path.parts)
    }


@functools.cache
def makefile() -> str:
    return (paths.ROOT / "Makefile").read_text(encoding="utf-8")


@functools.cache
def read_somewhere(variable: str) -> bool:
    in_make = re.search(rf"\$[({{](?:or |addprefix .*?)?\$?[({{]?{variable}\b|^{variable} [?:]?=", makefile(), re.M)
    in_shell = re.compile(rf"[\"']{variable}[\"']|\$\{{?{variable}\b")
    # Those of other programs.
    known = {"RUSTUP_TOOLCHAIN", "RUSTUP_AUTO_INSTALL", "PROPTEST_CASES"}
    return variable in known or bool(in_make) or any(in_shell.search(text) for text in texts(*SOURCES).values())


def make(words: list[str]) -> list[str]:
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile(), re.M))
    found = []
    for word in words:
        if variable := ASSIGNMENT.fullmatch(word):
            found += [] if read_somewhere(variable[1]) else [f"make: nothing reads {variable[1]}"]
        elif word not in targets:
            found.append(f"make: there is no target {word}")
    return found or dry(tuple(words))


@functools.cache
def dry(words: tuple[str, ...]) -> list[str]:
    # This suite may be a part of another make, whose options are not this one's.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-n", *words]
    done = subprocess.run(command, cwd=paths.ROOT, env=own, capture_output=True, text=True, timeout=60, check=False)
    return [f"make -n {shlex.join(words)}: {done.stderr.strip()}"] if done.returncode else []


# The folders of cargo's packages, `-p`, and of its targets, `--test`.
PACKAGES = {
    "properties": "tests/properties",
    "test-host": "tests/host",
    "edge-tests": "tests",
    "oracles": "tests/oracles",
    "fleet": "benches/fleet",
}
UPDATE = re.compile(r"update ((-p|--package) [A-Z]+( --manifest-path \S+)?|--workspace)")


def cargo(words: list[str]) -> list[str]:
    if words[0] == "update":
        return files(words) if UPDATE.fullmatch(" ".join(words)) else ["cargo update: how?"]
    if words[0] != "test":
        return [f"cargo {words[0]}: is not expected here"]
    folder, filters, target, at = "src", [], "", 1
    while at < len(words):
        if words[at] in ("-p", "--package"):
            at += 1
            if words[at] not in PACKAGES:
                return [f"cargo: there is no package {words[at]}"]
            folder = PACKAGES[words[at]]
        elif words[at] == "--test":
            at += 1
            target = words[at]
        elif words[at] not in ("--lib", "--workspace"):
            filters.append(words[at])
        at += 1
    if target:
        manifests = "".join((paths.ROOT / name).read_text() for name in ("Cargo.toml", "tests/Cargo.toml"))
        if f'name = "{target}"' not in manifests:
            return [f"cargo: there is no test target {target}"]
        folder = f"tests/{target}"
    return [f"cargo test: nothing in {folder} is called {name}" for name in filters if not is_test(folder, name)]


COMMENT = re.compile(r"^\s*//.*$", re.M)


def is_test(folder: str, name: str) -> bool:
    """Each part of the filter is a file, a module or a function there, or a macro's name for one."""
    found = {path: COMMENT.sub("", text) for path, text in (texts(folder) or texts("tests")).items()}

    def known(part: str) -> bool:
        word = re.compile(rf"\b(?:mod|fn) \w*{part}\w*\b|\b{part}!?\b")
        return any(part in Path(path).parts or part == Path(path).stem or word.search(text) for path, text in found.items())

    return all(BLANK.fullmatch(part) or known(part) for part in name.split("::"))


def pytest(words: list[str]) -> list[str]:
    if words[:2] == ["-m", "pytest"]:
        words = words[2:]
    found = [f"pytest: there is no {word}" for word in words if word.startswith("tests/") and not (paths.ROOT / word).exists()]
    for flag, name in zip(words, words[1:], strict=False):
        files = {path: text for path, text in texts("tests/e2e").items() if Path(path).name.startswith("test_")}
        if flag == "-k" and not BLANK.fullmatch(name):
            if not any(name in path or re.search(rf"^def test_\w*{name}", text, re.M) for path, text in files.items()):
                found.append(f"pytest -k {name} finds nothing")
    return found


def files(words: list[str]) -> list[str]:
    """A script, or a program that is told of files."""
    return [f"there is no {word}" for word in words if "/" in word and not (paths.ROOT / word).exists()]


def command(words: list[str]) -> list[str]:
    """`sentry-edge-mirror`: its subcommands and their options, by its own help."""
    if not words or words[0].startswith("-"):
        return options("", words)
    if words[0] not in {"check", "explain", "import", "diagnose", "schema", "completions"}:
        return [f"sentry-edge-mirror has no {words[0]}"]
    return options(words[0], words[1:])


def options(subcommand: str, words: list[str]) -> list[str]:
    call = [paths.command(), *filter(None, [subcommand]), "--help"]
    text = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    used = [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    lacking = [option for option in used if not re.search(rf"(?<![\w-]){option}\b", text)]
    return [f"sentry-edge-mirror {subcommand} has no {option}" for option in lacking]


JUDGES = {
    "make": make,
    "cargo": cargo,
    "python": pytest,
    "python3": files,
    "setup.sh": lambda _: [],
    "git": lambda words: files([word for word in words if not word.startswith("-")]),
    "sentry-edge-mirror": command,
}
