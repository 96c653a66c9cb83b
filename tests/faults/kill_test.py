"""Killed at any moment, a sweep ends as if nothing had happened: the same table, no point lost, none doubled.

The moments are random; the seed is printed, and MESTRE_TEST_SEED repeats it.
"""

import os
import pathlib
import random
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "end_to_end"))
from tiny_sweep import PATIENCE, Workspace, difference, end  # noqa: E402

KILLS = 10
MOST_RESTARTS = 100


class KillTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.seed = int(os.environ.get("MESTRE_TEST_SEED") or time.time_ns() % 1_000_000_007)
        print(f"seed of the moments: MESTRE_TEST_SEED={cls.seed}", flush=True)
        workspace = Workspace()
        cls.addClassCleanup(workspace.close)
        begin = time.monotonic()
        workspace.run()
        cls.duration = time.monotonic() - begin
        cls.expected = workspace.results()
        cls.expected_table = workspace.table()

    def setUp(self):
        self.moments = random.Random(f"{self.seed} {self.id()}")
        self.kills = 0

    def new_workspace(self):
        workspace = Workspace()
        self.addCleanup(workspace.close)
        return workspace

    def moment(self):
        """Seconds until the next kill: mostly somewhere in the work, at times while the program is still starting."""
        longest = self.duration / 8 if self.moments.random() < 0.7 else 0.1
        return self.moments.uniform(0, longest)

    def assert_undisturbed(self, workspace):
        words = workspace.log.read_text(errors="replace")
        self.assertEqual(difference(workspace.results(), self.expected), "", words)
        self.assertEqual(workspace.table(), self.expected_table)
        self.assertIn("nothing to run", workspace.run().stderr)
        self.assertNotRegex(words, r"\bbug\b")  # a temporary name may hold the letters

    def finish(self, workspace, process):
        """Lets the sweep come to its end. A run that gives up as its workers were killed too often is started again."""
        for _ in range(MOST_RESTARTS):
            status = process.wait(PATIENCE)
            if status == 0:
                return
            self.assertEqual(status, 1, workspace.log.read_text(errors="replace"))
            process = workspace.start()
        self.fail("the sweep does not come to an end")

    def test_coordinator(self):
        # A workspace that is finished before the last kill is checked like any other, and the next one begun.
        while self.kills < KILLS:
            workspace = self.new_workspace()
            while self.kills < KILLS:
                process = workspace.start()
                try:
                    self.assertEqual(process.wait(self.moment()), 0, workspace.log.read_text(errors="replace"))
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    self.kills += 1
            self.finish(workspace, workspace.start())
            self.assert_undisturbed(workspace)

    def test_workers(self):
        while self.kills < KILLS:
            workspace = self.new_workspace()
            process = workspace.start()
            while self.kills < KILLS and process.poll() != 0:
                if process.poll() is not None:
                    process = workspace.start()
                time.sleep(self.moment())
                workers = workspace.workers()
                if workers and end(self.moments.choice(workers)):
                    self.kills += 1
            self.finish(workspace, process)
            self.assert_undisturbed(workspace)

    def test_coordinator_and_workers_at_once(self):
        """As when the machine loses its power, but for what the disk forgets."""
        while self.kills < KILLS:
            workspace = self.new_workspace()
            while self.kills < KILLS:
                process = workspace.start()
                try:
                    # Each start loads Torch anew, so the moments must leave time for some progress.
                    self.assertEqual(process.wait(self.moment() + self.duration / 10), 0)
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    for worker in workspace.workers():
                        end(worker)
                    self.kills += 1
            self.finish(workspace, workspace.start())
            self.assert_undisturbed(workspace)


if __name__ == "__main__":
    unittest.main(verbosity=2)
