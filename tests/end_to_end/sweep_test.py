"""A sweep from text to table through the command line, and what running it again does: nothing, or only what is new."""

import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from tiny_sweep import PATIENCE, STEPS, Workspace, difference, wait_until  # noqa: E402

BAD_INPUT = 2
ENVIRONMENT = 3


class FinishedSweepTest(unittest.TestCase):
    """All tests look at one finished sweep, and none changes it."""

    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.addClassCleanup(cls.workspace.close)
        cls.first_run = cls.workspace.run()

    def test_each_point_is_there_once(self):
        points = self.workspace.rows(
            "SELECT curves.job, count(*), min(step), max(step) FROM curves JOIN jobs USING (job) "
            "WHERE name = 'loss' AND kind = 'train' GROUP BY curves.job"
        )
        self.assertEqual(len(points), 4)
        for _, count, first, last in points:
            self.assertEqual((count, first, last), (STEPS, 1, STEPS))
        self.workspace.results()  # refuses doubled points

    def test_models_learn(self):
        for job, first, last in self.workspace.rows(
            "SELECT job, max(CASE step WHEN 1 THEN value END), "
            f"max(CASE step WHEN {STEPS} THEN value END) FROM curves WHERE name = 'loss' GROUP BY job"
        ):
            self.assertGreater(first, 5, f"{job}: an untrained model knows nothing of 257 tokens")
            self.assertLess(last, 4, f"{job} did not learn")

    def test_perplexity_of_each_cell_at_each_length(self):
        rows = self.workspace.rows(
            "SELECT cell, axes ->> '$.length', value FROM run_jobs JOIN measurements USING (job) "
            "WHERE measurements.name = 'perplexity'"
        )
        self.assertEqual(len(rows), 8)
        self.assertEqual({length for _, length, _ in rows}, {32, 64})
        for cell, length, value in rows:
            self.assertTrue(1 < value < 100, f"perplexity {value} of {cell} at {length}")

    def test_query_speaks_json_and_csv(self):
        answer = self.workspace.mestre("query", "SELECT cell, state FROM runs ORDER BY number", "--format", "json")
        rows = json.loads(answer.stdout)
        self.assertEqual([row["state"] for row in rows], ["done"] * 4)
        self.assertEqual(rows[0]["cell"], "architecture=attention,seed=1")
        lines = self.workspace.mestre("query", "SELECT count(*) AS n FROM jobs", "--format", "csv").stdout.split()
        self.assertEqual(lines, ["n", "8"])

    def test_query_only_reads(self):
        self.workspace.mestre("query", "DELETE FROM job", expect=BAD_INPUT)
        self.assertEqual(self.workspace.rows("SELECT count(*) FROM job"), [(8,)])

    def test_status_says_that_all_is_done(self):
        cells = json.loads(self.workspace.mestre("status", "tiny", "--json").stdout)["cells"]
        self.assertEqual([cell["state"] for cell in cells], ["done"] * 4)

    def test_report_writes_table_and_figures(self):
        shown = self.workspace.mestre("report", "tiny")
        self.assertIn("mamba", shown.stdout)
        report = json.loads(self.workspace.mestre("report", "tiny", "--json").stdout)
        self.assertEqual([row["architecture"] for row in report["rows"]], ["attention", "mamba"])
        suffixes = {pathlib.Path(file).suffix for file in report["files"] if pathlib.Path(file).stat().st_size > 0}
        self.assertEqual(suffixes, {".md", ".csv", ".tex", ".svg", ".gnuplot"})

    def test_logs_of_a_cell(self):
        self.assertIn("finished", self.workspace.mestre("logs", "architecture=mamba,seed=2").stderr)

    def test_data_inspect_verifies(self):
        inspected = self.workspace.mestre("data", "inspect", "words/train.manifest", "--verify", "--head", "20")
        self.assertIn("verified", inspected.stdout)
        self.assertIn("| <begin>", inspected.stdout)

    def test_doctor_finds_the_worker(self):
        doctor = json.loads(self.workspace.mestre("doctor", "--json").stdout)
        states = {check["name"]: check["state"] for check in doctor["checks"]}
        self.assertTrue(doctor["works"])
        self.assertEqual((states["worker"], states["data"]), ("ok", "ok"))
        self.assertIn(states["workspace"], ("ok", "missing"), "missing: little space is left on this disk")

    def test_plan_is_pure(self):
        plans = [self.workspace.mestre("plan", self.workspace.sweep, "--json").stdout for _ in range(2)]
        self.assertEqual(plans[0], plans[1])


class RunAgainTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.addClassCleanup(cls.workspace.close)
        cls.workspace.run()

    def attempts(self):
        return self.workspace.rows("SELECT job, attempt, outcome FROM attempts ORDER BY 1, 2")

    def test_nothing_is_started_and_that_is_said(self):
        before = self.attempts()
        self.assertIn("nothing to run", self.workspace.run().stderr)
        self.assertEqual(self.attempts(), before)

    def test_only_the_cells_of_a_new_seed_are_run(self):
        before = self.attempts()
        results = self.workspace.results()
        self.workspace.write_sweep((1, 2, 3))
        self.addCleanup(self.workspace.write_sweep, (1, 2))
        self.workspace.run()
        after = self.attempts()
        self.assertEqual(set(before) - set(after), set())
        self.assertEqual(len(after), len(before) + 4, "two cells, with one training and one evaluation each")
        found = self.workspace.results()
        self.assertEqual(difference({key: found.get(key) for key in results}, results), "")


class TwoCoordinatorsTest(unittest.TestCase):
    def test_second_says_who_holds_the_workspace(self):
        workspace = Workspace()
        self.addCleanup(workspace.close)
        first = workspace.start()
        self.addCleanup(first.kill)
        lock = workspace.work / "coordinator.lock"

        def is_held():
            try:
                with lock.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except FileNotFoundError:
                return False
            except BlockingIOError:
                return True
            return False

        wait_until(lambda: is_held() and lock.read_text(), "the first coordinator's lock")
        wait_until(workspace.workers, "a worker")  # then the store is there, and its readers wait for nobody
        first.send_signal(signal.SIGSTOP)  # so that it cannot be done before the second has given up
        refused = workspace.run(expect=ENVIRONMENT)
        first.send_signal(signal.SIGCONT)
        self.assertIn(str(first.pid), refused.stderr)
        self.assertIn(os.uname().nodename, refused.stderr)
        self.assertTrue(re.search(r"(?m)^   \S", refused.stderr), "it does not say what to do")
        self.assertEqual(first.wait(PATIENCE), 0, workspace.log.read_text())
        self.assertIn("nothing to run", workspace.run().stderr)

    def test_readers_are_not_kept_out(self):
        workspace = Workspace()
        self.addCleanup(workspace.close)
        first = workspace.start()
        self.addCleanup(first.kill)
        wait_until(workspace.workers, "a worker")
        workspace.mestre("status")
        workspace.mestre("query", "SELECT count(*) FROM runs")
        self.assertEqual(first.wait(PATIENCE), 0, workspace.log.read_text())


class InterruptTest(unittest.TestCase):
    def test_ctrl_c_leaves_workers_at_work_and_says_how_to_come_back(self):
        workspace = Workspace()
        self.addCleanup(workspace.close)
        run = subprocess.Popen(workspace.command("run", workspace.sweep), stderr=subprocess.PIPE, text=True)
        workers = wait_until(workspace.workers, "a worker")
        run.send_signal(signal.SIGINT)
        _, words = run.communicate(timeout=PATIENCE)
        self.assertEqual(run.returncode, 130, words)
        self.assertIn(f"mestre run {workspace.sweep}", words)
        still_at_work = set(workers) & set(workspace.workers())
        self.assertTrue(still_at_work or workspace.rows("SELECT 1 FROM attempts WHERE outcome = 'finished'"))
        workspace.run()
        self.assertEqual({outcome for (outcome,) in workspace.rows("SELECT outcome FROM attempts")}, {"finished"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
