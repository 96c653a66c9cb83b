"""Who may include whom: the house's rules about #include lines, as tables.

A pattern is a path from the repository's root in which '*' stands for anything, slashes too, and <op> for one folder's name, the same each
time. The first line of ROOMS that matches a file names its room.
"""

ROOMS = [
    ("kernels", "kernels/*"),
    ("core torch", "core/model/*"),
    ("core torch", "core/train/*"),
    ("core torch", "core/mixers/*/module.*"),
    ("core torch", "core/mixers/*/module_*"),
    ("core torch", "core/tasks/*/run.*"),
    ("core torch", "core/tasks/*/run_*"),
    ("base", "core/base/*"),
    ("core", "core/*"),
    ("store", "store/*"),
    ("analysis", "analysis/*"),
    ("worker", "runners/worker/*"),
    ("cli", "runners/cli/*"),
    ("runners", "runners/*"),
    ("tests", "tests/*"),
]

# A room's files may include those of the rooms behind it.
MAY_INCLUDE = {
    "kernels": ["kernels"],
    "base": ["base"],
    "core": ["core", "base"],
    "core torch": ["core torch", "core", "base", "kernels"],
    "store": ["store", "core", "base"],
    "analysis": ["analysis", "store", "core", "base"],
    "runners": ["runners", "store", "core", "base"],
    "cli": ["cli", "runners", "analysis", "store", "core", "base"],
    "worker": ["worker", "core torch", "core", "base", "kernels"],
    "tests": ["tests", "cli", "worker", "runners", "analysis", "store", "core torch", "core", "base", "kernels"],
}

# Tests stand beside what they test and may use the helpers in tests/ too; not so those of kernels, which must be usable alone.
TEST_FILES = ["*_test.cpp", "*_test.h", "*_bench.cpp", "*/test.cpp", "*/bench.cpp", "*/test_*.cpp", "*/bench_*.cpp"]

# Libraries that only some files may include: what it is, its headers, who may.
SINGLE_USERS = [
    ("Torch", ["torch/*", "ATen/*", "c10/*"],
     ["core/model/*", "core/train/*", "core/mixers/*/module*", "core/tasks/*/run*", "runners/worker/*",
      "kernels/operation.*", "kernels/recompute.*", "kernels/linear_attention/*", "kernels/*/arguments.*", "kernels/*/autograd*",
      "kernels/*/composition.*", "kernels/<op>/<op>.h", "kernels/*test*", "kernels/*bench*", "tests/*"]),
    ("toml++", ["toml++/*"], ["core/spec/*", "core/plan/*"]),
    ("SQLite", ["SQLiteCpp/*", "sqlite3.h"], ["store/*"]),
    ("CLI11", ["CLI/*"], ["runners/cli/*", "runners/worker/*"]),
    ("SentencePiece", ["sentencepiece_*"], ["core/data/*"]),
    ("Boost.Process", ["boost/process*"], ["runners/local/*"]),
]

# Headers that cost seconds a file: each is included from sources, never from a header of ours.
SOURCES_ONLY = ["CLI/*", "nlohmann/json.hpp", "toml++/*", "simdjson.h", "boost/process*"]
