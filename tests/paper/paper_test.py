#!/usr/bin/env python3
"""Plans every sweep in experiments/paper as someone without the data would, and lays its table beside the published one.

$MESTRE_BIN is the folder of the programs.
"""

import csv
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MESTRE_BIN", ROOT / "build/release/bin"))
PAPER = ROOT / "experiments/paper"
PUBLISHED = ROOT / "experiments/published"

# The study rounds loosely: 395M parameters are called 400M, 1.24B are called 1.3B.
SIZE_TOLERANCE = 0.05


def mestre(*arguments):
    with tempfile.TemporaryDirectory(prefix="mestre-paper-") as empty:
        places = ["--workspace", f"{empty}/work", "--data", f"{empty}/data"]
        command = [BIN / "mestre", *places, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def plan(name):
    said = mestre("plan", PAPER / f"{name}.toml", "--json")
    if said.returncode != 0:
        raise AssertionError(f"{name} ended with {said.returncode}:\n{said.stderr}")
    return json.loads(said.stdout)


def published(name):
    with (PUBLISHED / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def rows_of(sweep):
    """(labels without those of the seeds, training parameters) of each row, in the order of the plan."""
    axes = [axis["name"] for axis in sweep["axes"] if not axis["replicates"]]
    jobs = {job["id"]: job for job in sweep["jobs"]}
    rows = {}
    for cell in sweep["cells"]:
        labels = tuple(cell["labels"][axis] for axis in axes if axis in cell["labels"])
        rows.setdefault(labels, jobs[cell["jobs"][0]]["estimate"]["parameters"])
    return list(rows.items())


def printed_rows(name, labels):
    """The first columns of every line of the printed plan, as many as there are labels, without the marks of notes."""
    lines = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]", "", mestre("plan", PAPER / f"{name}.toml").stdout).splitlines()
    return [tuple(re.split(r" {2,}", line)[:labels]) for line in lines]


def size(text):
    return float(text[:-1]) * {"M": 1e6, "B": 1e9}[text[-1]]


class EveryFile(unittest.TestCase):
    def test_plans_without_a_diagnostic(self):
        files = sorted(PAPER.glob("*.toml"))
        self.assertGreaterEqual(len(files), 13)
        for file in files:
            with self.subTest(file.name):
                said = mestre("plan", file)
                self.assertEqual(said.returncode, 0, said.stderr)
                self.assertNotRegex(said.stderr, r"(?m)\b(error|warning):")
                self.assertTrue(said.stdout.startswith(f"{file.stem}: "), said.stdout)

    def test_asks_a_question_and_says_what_is_open(self):
        for file in sorted(PAPER.glob("*.toml")):
            with self.subTest(file.name):
                text = file.read_text(encoding="utf-8")
                self.assertTrue(text.startswith(("# Table ", "# Figure ")), text[:80])
                self.assertIn("\n# Asked: ", text)
                self.assertIn("pen in the", text.replace("\n# ", " "))
                self.assertIn("\nquestion = ", text)


class Table(unittest.TestCase):
    """Rows of a plan beside those of a table."""

    def check(self, sweep, wanted):
        """`wanted`: (labels, size as printed or None), in the table's order."""
        rows = rows_of(sweep)
        order = [labels for labels, _ in wanted]
        self.assertEqual([labels for labels, _ in rows], order)
        self.assertEqual([row for row in printed_rows(sweep["name"], len(order[0])) if row in order], order)
        for (labels, parameters), (_, printed) in zip(rows, wanted, strict=True):
            if printed:
                self.assertAlmostEqual(parameters / size(printed), 1, delta=SIZE_TOLERANCE, msg=f"{labels}: {parameters}")

    def evaluations(self, sweep):
        return [job["name"] for job in sweep["jobs"] if job["id"] in sweep["cells"][0]["jobs"] and job["kind"] == "evaluate"]

    def test_2(self):
        sweep = plan("table2")
        table = published("table2")
        models = [column for column in table[0] if column != "benchmark"]
        self.check(sweep, [((model,), model.split()[-1]) for model in models])
        plain = [row["benchmark"].lower().replace("-", "_").replace(" (", "_").replace(")", "") for row in table]
        self.assertEqual(self.evaluations(sweep), plain)

    def test_3(self):
        table = published("table3")
        for scale, half in (("438m", table[:10]), ("1.3b", table[10:])):
            sweep = plan(f"table3-{scale}")
            self.check(sweep, [((row["architecture"],), row["size"]) for row in half])
            (tokens,) = {row["tokens"] for row in half}
            trained = {job["estimate"]["tokens"] for job in sweep["jobs"] if job["kind"] == "train"}
            for each in trained:
                self.assertAlmostEqual(each / size(tokens), 1, delta=0.001)

    def test_4(self):
        sweep = plan("table4")
        table = published("table4")
        self.check(sweep, [((row["architecture"],), row["size"]) for row in table])
        columns = [name.removesuffix("_norm").removesuffix("_acc") for name in table[0] if "_acc" in name]
        self.assertEqual(self.evaluations(sweep), columns)

    def test_5(self):
        wanted = []
        for row in published("table5"):
            blocks = row["full_attention_blocks"].replace(",", " and ")
            wanted.append(((blocks,), row["size"]))
        self.check(plan("table5"), wanted)

    def test_6(self):
        wanted = []
        for row in published("table6"):
            wanted.append(((row["architecture"], f"{row['query_heads']}/{row['kv_heads']}"), row["size"]))
        self.check(plan("table6"), wanted)

    def test_9(self):
        sweep = plan("table9")
        table = published("table9")
        self.check(sweep, [((row["sequence"],), None) for row in table])
        trained = [job["spec"]["train"] for job in sweep["jobs"] if job["kind"] == "train"]
        steps = {(train["sequences_per_step"], train["sequence_length"]) for train in trained}
        self.assertEqual(steps, {(int(row["batch"]), int(row["sequence"])) for row in table})

    def test_10(self):
        wanted = [((row["architecture"], row["short_conv"]), row["size"]) for row in published("table10")]
        self.check(plan("table10"), wanted)


class Figure(unittest.TestCase):
    def jobs(self, name):
        sweep = plan(f"figure{name}")
        scales = next(axis["labels"] for axis in sweep["axes"] if axis["name"] == "scale")
        self.assertEqual(scales, ["438M", "1.3B", "1.7B"])
        return [job for job in sweep["jobs"] if not job["finished"]]

    def stage(self, jobs, name, steps):
        stages = [job for job in jobs if job["name"] == name]
        self.assertTrue(stages)
        for job in stages:
            spec = job["spec"]
            self.assertEqual(spec["train"]["tokens"], steps * 2048 * 4096)
            self.assertEqual((spec["train"]["learning_rate"], spec["train"]["warmup"]), (1e-4, 0.5))
            self.assertIn(spec["from"]["job"], {job["id"] for job in jobs})

    def test_trainings_are_those_of_the_tables(self):
        shared = set()
        for table in ("table2", "table3-438m", "table3-1.3b"):
            shared |= {job["id"] for job in plan(table)["jobs"] if job["kind"] == "train"}
        for number in range(2, 7):
            with self.subTest(number):
                own = {job["id"] for job in self.jobs(number) if job["kind"] == "train" and job["name"] == "train"}
                self.assertLessEqual(own, shared)

    def test_6_trains_nothing(self):
        self.assertEqual({job["kind"] for job in self.jobs(6)}, {"measure"})

    def test_3_tunes_on_passkeys(self):
        self.stage(self.jobs(3), "passkey", 500)

    def test_4_tunes_on_phonebooks(self):
        self.stage(self.jobs(4), "phonebook", 100)

    def test_measurements(self):
        for number, quantity in ((2, "decoding_throughput"), (5, "entropy"), (6, "prompt_throughput")):
            with self.subTest(number):
                self.assertIn(quantity, {job["name"] for job in self.jobs(number) if job["kind"] == "measure"})


if __name__ == "__main__":
    unittest.main()
