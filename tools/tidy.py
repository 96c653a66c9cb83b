#!/usr/bin/env python3
"""Runs clang-tidy over the sources that a build folder compiles, and again over one only when it or a header of ours changed.

    tools/tidy.py BUILD-FOLDER [-j JOBS] [--torch]

Sources that reach a Torch header are left out unless --torch is given: clang-tidy takes 11 to 36 s for each, 2 s for the rest.
"""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

from sources import ROOT, check_all, sources, uses_torch

TIDY = "clang-tidy-14"
KEEP = ("-D", "-I", "-std=", "-W")  # of g++'s arguments; the rest is code generation, warnings as errors, and precompiled headers
DROP = ("-Werror", "-Winvalid-pch", "-Wl,")


def commands(build, torch):
    """(source, clang-tidy's command line) of every source of ours in the compilation database, each once."""
    ours, found = set(sources()), {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = os.path.relpath(entry["file"], ROOT)
        if path not in ours or path.endswith(".cu") or (uses_torch(path) and not torch):
            continue
        given = iter(shlex.split(entry["command"])[1:])
        kept = []
        for argument in given:
            if argument == "-isystem":
                kept += [argument, next(given)]
            elif argument.startswith(KEEP) and not argument.startswith(DROP):
                kept.append(argument)
        found.setdefault(path, [TIDY, "--quiet", path, "--", *kept])
    return sorted(found.items())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--torch", action="store_true")
    arguments = parser.parse_args()
    settings = (ROOT / ".clang-tidy").read_text()
    return check_all("clang-tidy", settings, commands(arguments.build, arguments.torch), arguments.jobs) != 0


if __name__ == "__main__":
    sys.exit(main())
