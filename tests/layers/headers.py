#!/usr/bin/env python3
"""Checks that every header of the project compiles alone.

    headers.py BUILD-FOLDER

A source of the build that includes the header before anything else has proven it by compiling, which costs nothing (a Torch header takes
g++ 16 s); the headers that no source includes first are compiled here. Headers that need Torch count as proven where the build has none.
"""

import json
import os
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from sources import ROOT, check_all, includes, sources, uses_torch  # noqa: E402


def main():
    entries = json.loads((Path(sys.argv[1]) / "compile_commands.json").read_text())
    ours = set(sources())
    built = {os.path.relpath(entry["file"], ROOT): shlex.split(entry["command"]) for entry in entries}
    built = {path: command for path, command in built.items() if path in ours}

    proven = {found[0].name for found in map(includes, built) if found}
    has_torch = any(map(uses_torch, built))
    alone = [path for path in sorted(ours) if path.endswith(".h") and path not in proven]
    alone = [path for path in alone if has_torch or not uses_torch(path)]

    # The folders and definitions that any of the sources needs, in their order.
    found = {}
    for command in built.values():
        for argument, following in zip(command, command[1:]):
            if argument == "-isystem":
                found[argument, following] = None
            elif argument.startswith("-D"):
                found[argument,] = None
    compiler = [next(iter(built.values()))[0], "-std=c++20", "-fsyntax-only", "-x", "c++", f"-I{ROOT}", *sum(found, ())]
    commands = [(path, [*compiler, "-include", path, os.devnull]) for path in alone]
    return check_all("headers", "", commands, os.cpu_count()) != 0


if __name__ == "__main__":
    sys.exit(main())
