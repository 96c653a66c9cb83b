#!/usr/bin/env python3
"""Checks that every header of the project compiles alone.

    headers.py BUILD-FOLDER [--torch]

What the build compiles begins with the header that its first source includes first; those are proven, which costs nothing. The others are
compiled here. Headers that reach Torch are left out unless --torch is given, as by tools/tidy.py: one takes 10 s.
"""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from sources import ROOT, check_all, compiled_sources, includes, sources, uses_torch  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--torch", action="store_true")
    arguments = parser.parse_args()
    entries = json.loads((arguments.build / "compile_commands.json").read_text())
    compiled = [compiled_sources(Path(entry["file"])) for entry in entries]

    begun = [includes(paths[0]) for paths in compiled if (ROOT / paths[0]).is_file()]
    proven = {found[0].name for found in begun if found}
    alone = [path for path in sources() if path.endswith(".h") and path not in proven]
    alone = [path for path in alone if arguments.torch or not uses_torch(path)]

    # The folders and definitions that any of the sources needs, in their order; of two that define the same, the first.
    found = {}
    for entry in entries:
        command = shlex.split(entry["command"])
        for argument, following in zip(command, command[1:]):
            if argument == "-isystem":
                found[following] = f"-isystem{following}"
            elif argument.startswith("-D"):
                found.setdefault(argument.partition("=")[0], argument)
    compiler = ["clang++-14", "-std=c++20", "-fsyntax-only", "-x", "c++", f"-I{ROOT}", *found.values()]
    commands = [([path], [*compiler, "-include", path, os.devnull]) for path in alone]
    return check_all("headers", "", commands, os.cpu_count()) != 0


if __name__ == "__main__":
    sys.exit(main())
