#!/usr/bin/env python3
"""Runs clang-tidy over the sources that a build folder compiles, and again only when one of them or a header of ours changed.

    tools/tidy.py BUILD-FOLDER [-j JOBS] [--torch]

Sources that the build compiles together are looked at together, for most of the time goes into headers. Those that reach a Torch header are
left out unless --torch is given: clang-tidy takes 11 to 36 s for each.
"""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

from sources import ROOT, check_all, compiled_sources, sources, uses_torch

TIDY = "clang-tidy-14"
KEEP = ("-D", "-I", "-std=", "-W")  # of g++'s arguments; the rest is code generation, warnings as errors, and precompiled headers
DROP = ("-Werror", "-Winvalid-pch", "-Wl,")


def commands(build, torch):
    """(sources, clang-tidy's command line) of all sources of ours in the compilation database, each once."""
    ours, found = {path for path in sources() if not path.endswith(".cu")}, {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        paths = compiled_sources(Path(entry["file"]))
        if not ours.intersection(paths) or (not torch and any(map(uses_torch, paths))):
            continue
        given = iter(shlex.split(entry["command"])[1:])
        kept = []
        for argument in given:
            if argument == "-isystem":
                kept += [argument, next(given)]
            elif argument.startswith(KEEP) and not argument.startswith(DROP):
                kept.append(argument)
        found.setdefault(paths, [TIDY, "--quiet", os.path.relpath(entry["file"], ROOT), "--", *kept])
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
