#!/usr/bin/env python3
"""Checks every #include line of the project against rules.py, and that no two headers define a type of the same name.

    layers.py [ROOT]

Prints one line a violation, as compilers do, and exits with 1 where there is any.
"""

import re
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from rules import MAY_INCLUDE, ROOMS, SINGLE_USERS, SOURCES_ONLY, TEST_FILES  # noqa: E402
from sources import ROOT, includes, sources  # noqa: E402


@cache
def compiled(pattern):
    first, *later = re.escape(pattern).replace(r"\*", ".*").split("<op>")
    parts = first + "".join(f"(?P=op){part}" for part in later).replace("(?P=op)", "(?P<op>[^/]+)", 1)
    return re.compile(parts)


def matches(path, patterns):
    return any(compiled(pattern).fullmatch(path) for pattern in patterns)


@cache
def room(path):
    return next(name for name, pattern in ROOMS if matches(path, [pattern]))


def violations_of_ours(path, name, root):
    """What is wrong with `path` saying #include "name"."""
    if not (root / name).is_file():
        yield f'"{name}" is no file; expected a path from the repository\'s root, or <> around what is not ours'
        return
    allowed = MAY_INCLUDE[room(path)]
    if matches(path, TEST_FILES) and room(path) != "kernels":
        allowed = allowed + ["tests"]
    if room(name) not in allowed:
        yield f'{room(path)} must not include "{name}", which is {room(name)}; expected one of: {", ".join(allowed)}'


def violations_of_theirs(path, name):
    """What is wrong with `path` saying #include <name>."""
    for library, headers, users in SINGLE_USERS:
        if matches(name, headers) and not matches(path, users):
            yield f"<{name}> is {library}, which only these may include: {', '.join(users)}"
    if path.endswith(".h") and matches(name, SOURCES_ONLY):
        yield f"<{name}> is slow to compile; include it from a .cpp and keep it out of headers"


TYPE = re.compile(r"^(?:struct|class|enum class) (\w+)(?: final)?(?: :.*)? \{")


def types_defined_twice(root):
    """Two types of one name in namespace mestre are undefined behaviour where a program links both, and no linker says so."""
    first = {}
    for path in sources(root):
        if not path.endswith(".h") or path.startswith("kernels/"):  # those have a namespace of their own
            continue
        for line, text in enumerate((root / path).read_text(encoding="utf-8").splitlines(), start=1):
            found = TYPE.match(text)
            if found and found[1] in first:
                yield f"{path}:{line}: error: type '{found[1]}' is defined in {first[found[1]]} too; give one another name"
            elif found:
                first[found[1]] = path


def violations(root):
    for path in sources(root):
        for line, quoted, name in includes(path, root):
            found = violations_of_ours(path, name, root) if quoted else violations_of_theirs(path, name)
            yield from (f"{path}:{line}: error: {message}" for message in found)
    yield from types_defined_twice(root)


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    found = list(violations(root))
    for line in found:
        print(line)
    print(f"layers: {len(found)} violations in {len(sources(root))} files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
