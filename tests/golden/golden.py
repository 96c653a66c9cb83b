#!/usr/bin/env python3
"""Runs each case under cases/ and compares what `mestre` says with what the case expects, to the letter.

A case is a folder:
  cmd             shell lines, run in a temporary copy of common/ with the case's own files laid over it and the project's
                  experiments/ beside them; `mestre` is on the path
  expected.out    what must stand on stdout; none where the file is missing
  expected.err    the same for stderr
  expected.code   the exit status; 0 where the file is missing
  anything else   files that the command reads

Usage: golden.py BIN-FOLDER [--accept] [CASE…]
--accept (or MESTRE_ACCEPT=1) writes what was said as what is expected, for a person to review as prose, and exits with 77: not a pass.
"""

import argparse
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SKIPPED = 77


def run(case: Path, binaries: Path) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE / "common", folder, dirs_exist_ok=True)
        ignored = shutil.ignore_patterns("cmd", "expected.*")
        shutil.copytree(case, folder, dirs_exist_ok=True, ignore=ignored)
        (Path(folder) / "experiments").symlink_to(HERE.parent.parent / "experiments")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MESTRE_")}
        environment |= {"PATH": f"{binaries}:{environment['PATH']}", "MESTRE_DATA": "data", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
        environment["MESTRE_SCHEMA"] = str(HERE.parents[1] / "store/schema.sql")
        script = (case / "cmd").read_text()
        done = subprocess.run(["sh", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, timeout=60)
    return {"expected.out": done.stdout, "expected.err": done.stderr, "expected.code": f"{done.returncode}\n".encode()}


def expected(case: Path, name: str) -> bytes:
    file = case / name
    return file.read_bytes() if file.exists() else b"0\n" if name == "expected.code" else b""


def difference(name: str, wanted: bytes, got: bytes) -> str:
    lines = [text.decode(errors="backslashreplace").splitlines(keepends=True) for text in (wanted, got)]
    return "".join(line if line.endswith("\n") else line + "\n" for line in difflib.unified_diff(*lines, name, "actual"))


def accept(case: Path, said: dict[str, bytes]) -> None:
    for name, text in said.items():
        empty = b"0\n" if name == "expected.code" else b""
        if text == empty:
            (case / name).unlink(missing_ok=True)
        else:
            (case / name).write_bytes(text)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries", type=Path)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--accept", action="store_true", default=os.environ.get("MESTRE_ACCEPT") == "1")
    arguments = parser.parse_args()
    cases = sorted(case for case in (HERE / "cases").iterdir() if not arguments.cases or case.name in arguments.cases)
    failed = []
    for case in cases:
        said = run(case, arguments.binaries.resolve())
        if arguments.accept:
            accept(case, said)
            continue
        differences = [difference(name, expected(case, name), text) for name, text in said.items() if text != expected(case, name)]
        if differences:
            failed.append(case.name)
            print(f"--- {case.name}: {(case / 'cmd').read_text().strip()}")
            print("".join(differences))
    if arguments.accept:
        print(f"accepted what {len(cases)} cases say; review it with git diff")
        return SKIPPED
    print(f"{len(cases) - len(failed)} of {len(cases)} cases as expected")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
