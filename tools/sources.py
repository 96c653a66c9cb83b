#!/usr/bin/env python3
"""The C++ sources of the project, and what each of them includes.

As a program: prints them, one a line, relative to the repository's root. Build products and other people's code never stand in
these folders, so no list of exceptions and no git is needed.
"""

import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("analysis", "core", "kernels", "runners", "store", "tests")
SUFFIXES = (".cpp", ".cu", ".cuh", ".h")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
TORCH = re.compile(r"^(torch|ATen|c10)/")


class Include(NamedTuple):
    line: int
    quoted: bool  # "ours" as against <theirs>
    name: str


def sources(root=ROOT):
    """Paths relative to `root`, sorted."""
    found = []
    for room in ROOMS:
        for path in (root / room).rglob("*"):
            if path.suffix in SUFFIXES:
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


def includes(path, root=ROOT):
    lines = (root / path).read_text(encoding="utf-8").splitlines()
    matches = ((number, INCLUDE.match(line)) for number, line in enumerate(lines, start=1))
    return [Include(number, match[1] == '"', match[2]) for number, match in matches if match]


def closure(*paths, root=ROOT):
    """`paths` and every file of ours that they include, directly or not."""
    seen, waiting = set(), [*paths]
    while waiting:
        path = waiting.pop()
        if path not in seen and (root / path).is_file():
            seen.add(path)
            waiting += [include.name for include in includes(path, root) if include.quoted]
    return sorted(seen)


def compiled_sources(path):
    """What a file of a compilation database stands for, relative to the root: itself, or the sources that CMake put together in it."""
    if "Unity" not in path.parts:
        return (os.path.relpath(path, ROOT),)
    return tuple(os.path.relpath(include.name, ROOT) for include in includes(path))


def uses_torch(path, root=ROOT):
    return any(TORCH.match(include.name) for file in closure(path, root=root) for include in includes(file, root))


def version_of(tool):
    return subprocess.run([tool, "--version"], capture_output=True, text=True).stdout


def check_all(check, settings, commands, jobs):
    """Runs `commands`, pairs of sources and an argument list, `jobs` at a time; prints the output of those that fail.

    What passes is remembered by content (the sources, what they include of ours, the arguments, `settings`, the tool's version)
    in the folder that all checkouts share, and not run again. Returns how many commands failed.
    """
    passed = Path(os.environ.get("MESTRE_DEPS") or Path.home() / ".cache" / "mestre") / "checks" / check
    passed.mkdir(parents=True, exist_ok=True)

    versions = {tool: version_of(tool) for tool in {command[0] for _, command in commands}}

    def stamp(paths, command):
        relative = "\0".join(command).replace(str(ROOT), "")
        digest = hashlib.sha256(f"{settings}\0{versions[command[0]]}\0{relative}".encode())
        for file in closure(*paths):
            digest.update(f"\0{file}\0".encode() + (ROOT / file).read_bytes())
        return passed / digest.hexdigest()

    def run(paths, command, stamp):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode == 0:
            stamp.touch()
        else:
            print(f"{done.stdout}{done.stderr}{check}: {' '.join(paths)} failed\n", file=sys.stderr, flush=True)
        return done.returncode == 0

    todo = [(paths, command, stamp(paths, command)) for paths, command in commands]
    todo = [one for one in todo if not one[2].exists()]
    with ThreadPoolExecutor(jobs) as pool:
        failed = list(pool.map(lambda one: run(*one), todo)).count(False)
    print(f"{check}: {len(commands) - failed} of {len(commands)} runs pass, {len(todo)} of them made now")
    return failed


if __name__ == "__main__":
    sys.stdout.writelines(f"{path}\n" for path in sources())
