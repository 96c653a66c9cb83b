#!/usr/bin/env python3
"""Plants each kind of violation in an empty house and expects layers.py to name it, and nothing where nothing is wrong."""

import sys
import tempfile
from pathlib import Path

from layers import violations

# file, its one include line, a part of the message that must come (None: it is allowed)
CASES = [
    ("core/plan/grid.cpp", '"core/base/error.h"', None),
    ("core/plan/grid.cpp", '"store/store.h"', 'core must not include "store/store.h", which is store'),
    ("core/base/units.cpp", '"core/spec/sweep.h"', 'base must not include "core/spec/sweep.h", which is core'),
    ("core/mixers/mamba/module.cpp", '"kernels/scan/scan.h"', None),
    ("core/mixers/mamba/options.cpp", '"kernels/scan/scan.h"', "core must not include"),
    ("core/tasks/passkey/run.cpp", '"core/model/stack.h"', None),
    ("core/tasks/passkey/score.cpp", '"core/model/stack.h"', "core must not include"),
    ("kernels/scan/cpu.cpp", '"core/base/error.h"', "kernels must not include"),
    ("kernels/scan/test.cpp", '"tests/tolerances.h"', "kernels must not include"),
    ("core/base/error_test.cpp", '"tests/tolerances.h"', None),
    ("core/base/error.cpp", '"tests/tolerances.h"', 'which is tests'),
    ("store/ingest.cpp", '"runners/scheduler.h"', "store must not include"),
    ("analysis/tables.cpp", '"store/store.h"', None),
    ("runners/scheduler.cpp", '"analysis/tables.h"', "runners must not include"),
    ("runners/cli/report.cpp", '"analysis/tables.h"', None),
    ("runners/worker/main.cpp", '"core/model/stack.h"', None),
    ("runners/worker/main.cpp", '"store/store.h"', "worker must not include"),
    ("runners/local/slots.cpp", '"core/model/stack.h"', "runners must not include"),
    ("store/ingest.cpp", '"store.h"', "is no file"),
    ("kernels/scan/autograd.cpp", "<ATen/core/Tensor.h>", None),
    ("kernels/scan/scan.h", "<torch/torch.h>", None),
    ("kernels/scan/cpu.h", "<torch/torch.h>", "is Torch"),
    ("kernels/scan/cuda.cu", "<c10/cuda/CUDAStream.h>", "is Torch"),
    ("core/data/tokens.cpp", "<torch/torch.h>", "is Torch"),
    ("core/spec/reader.cpp", "<toml++/toml.h>", None),
    ("core/spec/reader.h", "<toml++/toml.h>", "slow to compile"),
    ("core/journal/writer.cpp", "<toml++/toml.h>", "is toml++"),
    ("runners/cli/query.cpp", "<sqlite3.h>", "is SQLite"),
    ("runners/cli/query.cpp", "<CLI/CLI.hpp>", None),
    ("analysis/tables.cpp", "<CLI/CLI.hpp>", "is CLI11"),
]

HOUSE = ["core/base/error.h", "core/spec/sweep.h", "core/model/stack.h", "store/store.h", "runners/scheduler.h", "analysis/tables.h",
         "kernels/scan/scan.h", "tests/tolerances.h"]


def outcome(file, include):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in HOUSE + [file]:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        (root / file).write_text(f"// a comment\n#include <vector>\n#include {include}\n")
        return list(violations(root))


def finds_a_type_defined_twice():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in ("core/a.h", "store/b.h"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("namespace mestre {\nstruct Same final : Base {\n};\n}\n")
        found = list(violations(root))
        return found == ["store/b.h:2: error: type 'Same' is defined in core/a.h too; give one another name"]


def main():
    failed = 0 if finds_a_type_defined_twice() else 1
    for file, include, expected in CASES:
        found = outcome(file, include)
        place = f"{file}:3: error: "
        right = not found if expected is None else len(found) == 1 and found[0].startswith(place) and expected in found[0]
        if not right:
            failed += 1
            print(f"{file} with #include {include}: expected {expected or 'nothing'}, got {found}")
    print(f"layers_test: {len(CASES) - failed} of {len(CASES)} cases as expected")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
