#!/usr/bin/env python3
"""The C++ sources of the project, and what each of them includes.

As a program: prints them, one a line, relative to the repository's root. Build products and other people's code never stand in
these folders, so no list of exceptions and no git is needed.
"""

import hashlib
import os
import re
import sys
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
    """Paths relative to `root`, sorted. A planted tree inside tests/layers is somebody's fixture, not a source."""
    found = []
    for room in ROOMS:
        for path in (root / room).rglob("*"):
            if path.suffix in SUFFIXES and "fixture" not in path.relative_to(root).parts:
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


def includes(path, root=ROOT):
    lines = (root / path).read_text(encoding="utf-8").splitlines()
    matches = ((number, INCLUDE.match(line)) for number, line in enumerate(lines, start=1))
    return [Include(number, match[1] == '"', match[2]) for number, match in matches if match]


def closure(path, root=ROOT):
    """`path` and every file of ours that it includes, directly or not."""
    seen, waiting = set(), [path]
    while waiting:
        path = waiting.pop()
        if path not in seen and (root / path).is_file():
            seen.add(path)
            waiting += [include.name for include in includes(path, root) if include.quoted]
    return sorted(seen)


def uses_torch(path, root=ROOT):
    return any(TORCH.match(include.name) for file in closure(path, root) for include in includes(file, root))


class Passed:
    """Remembers what has passed a check, by content, in the folder that all checkouts share."""

    def __init__(self, check, *settings):
        deps = os.environ.get("MESTRE_DEPS") or Path.home() / ".cache" / "mestre"
        self.folder = Path(deps) / "checks" / check
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings = "\0".join(settings)

    def stamp(self, path, command):
        digest = hashlib.sha256(f"{self.settings}\0{command}".encode())
        for file in closure(path):
            digest.update(f"\0{file}\0".encode())
            digest.update((ROOT / file).read_bytes())
        return self.folder / digest.hexdigest()


if __name__ == "__main__":
    sys.stdout.writelines(f"{path}\n" for path in sources())
