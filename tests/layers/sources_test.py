#!/usr/bin/env python3
"""A check that passed is not run again, but for a source, a setting or a tool that changed since."""

import contextlib
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "tools/sources.py"


def main():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["MESTRE_DEPS"] = str(root / "deps")
        (root / "tools").mkdir()
        shutil.copy(SOURCES, root / "tools")
        sys.path.insert(0, str(root / "tools"))
        sources = importlib.import_module("sources")  # the root that it looks at is this folder
        runs, tool = root / "runs", root / "tool"

        def install(version):
            tool.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo tool {version} || echo x >> '{runs}'\n")
            tool.chmod(0o755)

        def times_run(settings="a"):
            runs.write_text("")
            with contextlib.redirect_stdout(None):
                assert sources.check_all("test", settings, [(["one.cpp"], [str(tool), "one.cpp"])], 1) == 0
            return runs.read_text().count("x")

        (root / "one.cpp").write_text("int one;\n")
        install("14.0.0")
        found = {"at first": times_run(), "again": times_run(), "other settings": times_run("b")}
        (root / "one.cpp").write_text("int two;\n")
        found["another source"] = times_run()
        install("14.0.6")
        found["another version of the tool"] = times_run()
    expected = {"at first": 1, "again": 0, "other settings": 1, "another source": 1, "another version of the tool": 1}
    wrong = [f"{case}: run {found[case]} times, expected {times}" for case, times in expected.items() if found[case] != times]
    print("\n".join([*wrong, f"sources_test: {len(expected) - len(wrong)} of {len(expected)} cases as expected"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
