"""Damaged and full disks: each damage is named, and costs nothing but the time to compute again what was damaged."""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "end_to_end"))
from tiny_sweep import Workspace, difference, send, wait_until  # noqa: E402

JOB_FAILED = 1  # exit statuses: some jobs failed
ENVIRONMENT = 3  # something of the machine


def checkpoint_lines(journal):
    try:
        return journal.read_bytes().count(b'"type":"checkpoint"')
    except FileNotFoundError:
        return 0


def last_checkpoint(journal):
    """The folder of the last one that was acknowledged, relative to the job's."""
    lines = [line for line in journal.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return [json.loads(line)["file"] for line in lines if b'"type":"checkpoint"' in line][-1]


class DamageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        workspace = Workspace()
        cls.addClassCleanup(workspace.close)
        workspace.run()
        cls.expected = workspace.results()

    def new_workspace(self, folder=None):
        workspace = Workspace(folder)
        self.addCleanup(workspace.close)
        return workspace

    def assert_undisturbed(self, workspace):
        self.assertEqual(difference(workspace.results(), self.expected), "")

    def stop_in_the_middle(self, workspace):
        """Ends everything in the middle of a training job, one checkpoint after the coordinator was gone: nobody has read
        the end of its journal. Returns its attempt's folder.

        The workers are held while the test looks: how fast they are must not decide whether they are still there."""
        coordinator = workspace.start()

        def journal_with_checkpoint():
            journals = workspace.work.glob("jobs/*/*/attempt-1/journal.jsonl")
            return next((journal for journal in journals if checkpoint_lines(journal) >= 1), None)

        journal = wait_until(journal_with_checkpoint, "a checkpoint")
        send(workspace.workers(), signal.SIGSTOP)
        coordinator.kill()
        coordinator.wait()
        read = checkpoint_lines(journal)
        while checkpoint_lines(journal) == read:
            self.assertTrue(workspace.workers(), "the workers were done too soon for this test")
            send(workspace.workers(), signal.SIGCONT)
            time.sleep(0.005)
            send(workspace.workers(), signal.SIGSTOP)
        send(workspace.workers(), signal.SIGKILL)
        wait_until(lambda: not workspace.workers(), "the end of the workers")
        self.assertFalse(b'"type":"finished"' in journal.read_bytes(), "the worker was done too soon for this test")
        return journal.parent

    def test_corrupt_journal(self):
        workspace = self.new_workspace()
        attempt = self.stop_in_the_middle(workspace)
        journal = attempt / "journal.jsonl"
        # One bit of a line that nobody has read, before the last checkpoint: what follows cannot be trusted any more.
        lines = journal.read_bytes().splitlines(keepends=True)
        last_checkpoint = max(i for i, line in enumerate(lines) if b'"type":"checkpoint"' in line)
        spoiled = bytearray(lines[last_checkpoint - 1])
        spoiled[len(spoiled) // 2] ^= 1
        lines[last_checkpoint - 1] = bytes(spoiled)
        damaged = b"".join(lines)
        journal.write_bytes(damaged)

        done = workspace.run()
        self.assertIn(str(attempt.parent), done.stderr)
        self.assertIn("quarantined", done.stderr)
        self.assertEqual(journal.read_bytes(), damaged, "evidence must stay as it is")
        self.assert_undisturbed(workspace)
        quarantined = workspace.rows("SELECT job, attempt, quarantine FROM attempts WHERE quarantine != ''")
        self.assertEqual([(job, number) for job, number, _ in quarantined], [(attempt.parent.name, 1)])

    def damaged_checkpoint(self, damage):
        workspace = self.new_workspace()
        attempt = self.stop_in_the_middle(workspace)
        folder = attempt.parent / last_checkpoint(attempt / "journal.jsonl")
        damage(max(folder.iterdir(), key=lambda file: file.stat().st_size))

        workspace.run()
        self.assert_undisturbed(workspace)
        warnings = workspace.rows(f"SELECT data FROM events WHERE job = '{attempt.parent.name}' AND type = 'warning'")
        self.assertTrue(any(folder.name in data for (data,) in warnings), f"no warning names {folder.name}: {warnings}")

    def test_truncated_checkpoint(self):
        self.damaged_checkpoint(lambda file: os.truncate(file, file.stat().st_size * 2 // 3))

    def test_checkpoint_with_a_flipped_bit(self):
        def flip(file):
            content = bytearray(file.read_bytes())
            content[-5] ^= 16
            file.write_bytes(content)

        self.damaged_checkpoint(flip)

    def test_missing_checkpoint_file(self):
        self.damaged_checkpoint(lambda file: file.unlink())

    def test_missing_data(self):
        """Found out by the worker before it begins: the reason comes through, and the next run goes on."""
        workspace = self.new_workspace()
        (tokens,) = (workspace.data / "words").glob("validation*.bin")
        tokens.rename(workspace.folder / "aside")
        done = workspace.run(expect=JOB_FAILED)
        self.assertIn(tokens.name, done.stderr)
        self.assertNotIn("quarantined", done.stderr)
        failed = workspace.rows("SELECT DISTINCT cause, quarantine FROM attempts WHERE outcome = 'failed'")
        self.assertEqual(failed, [("data", "")])
        (workspace.folder / "aside").rename(tokens)
        workspace.run()
        self.assert_undisturbed(workspace)

    def test_database_of_a_newer_version(self):
        workspace = self.new_workspace()
        workspace.run()
        database = workspace.work / "mestre.db"
        version = self.set_version(database, 1_000_000)
        for command in (("run", workspace.sweep), ("status",), ("query", "SELECT 1"), ("report", "tiny")):
            with self.subTest(command=command[0]):
                refused = workspace.mestre(*command, expect=ENVIRONMENT)
                self.assertEqual(refused.stdout, "")
                self.assertIn("mestre.db", refused.stderr)
                self.assertIn("1000000", refused.stderr)
        self.assertEqual(self.set_version(database, version), 1_000_000, "it was written to all the same")
        self.assert_undisturbed(workspace)
        self.assertIn("nothing to run", workspace.run().stderr)

    @staticmethod
    def set_version(database, version):
        connection = sqlite3.connect(database)
        (before,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
        connection.close()
        return before

    def test_lost_database(self):
        """The jobs' folders hold everything: what was done is found again, not done again."""
        workspace = self.new_workspace()
        workspace.run()
        for file in workspace.work.glob("mestre.db*"):
            file.unlink()
        done = workspace.run()
        self.assertIn("nothing to run", done.stderr)
        self.assert_undisturbed(workspace)

    def fill_up(self, workspace, disk, sizes):
        """Runs on a disk of each size in turn, in kilobytes, then on one that is large enough. Returns what was said
        while it was full."""
        said = ""
        for kilobytes in sizes:
            disk.resize(kilobytes)
            with self.subTest(kilobytes=kilobytes):
                done = workspace.mestre("run", workspace.sweep, expect=None)
                self.assertIn(done.returncode, (1, ENVIRONMENT), done.stderr)
                self.assertRegex(done.stderr, "disk is full|no space left|disk_full")
                self.assertNotRegex(done.stderr, r"\bbug\b|corrupt|quarantined")
                said += done.stderr
        disk.resize(256 * 1024)
        workspace.run()
        self.assert_undisturbed(workspace)
        return said

    def test_full_disk(self):
        """From a disk on which not even the store fits to one that fills in the middle of the training."""
        disk = SmallDisk.mounted(self)
        self.fill_up(self.new_workspace(disk.path / "work"), disk, (64, 256, 700, 1200, 2000))

    def test_disk_that_is_full_for_workers_alone(self):
        """With the store elsewhere the workers find out, and say so themselves."""
        disk = SmallDisk.mounted(self)
        workspace = self.new_workspace(disk.path / "work")
        workspace.database = workspace.folder / "elsewhere.db"
        said = self.fill_up(workspace, disk, (128, 400, 800))
        self.assertIn("disk_full", said)
        causes = {cause for (cause,) in workspace.rows("SELECT cause FROM attempts WHERE outcome = 'failed'")}
        self.assertEqual(causes, {"disk_full"})

    def test_disk_that_fills_while_data_are_prepared(self):
        disk = SmallDisk.mounted(self)
        workspace = self.new_workspace()
        workspace.data = disk.path / "data"
        prepare = ("data", "prepare", "words", workspace.folder / "text")
        refused = workspace.mestre(*prepare, expect=ENVIRONMENT)
        self.assertIn("no space left", refused.stderr)
        self.assertEqual(list(workspace.data.iterdir()), [], "what was begun must be gone")
        disk.resize(64 * 1024)
        workspace.mestre(*prepare)
        self.assertIn("verified", workspace.mestre("data", "inspect", "words/train.manifest", "--verify").stdout)


class SmallDisk:
    """A tmpfs of a size that can be changed while it is in use."""

    def __init__(self, path):
        self.path = path

    @classmethod
    def mounted(cls, test):
        path = pathlib.Path(tempfile.mkdtemp(prefix="mestre-disk-"))
        test.addCleanup(shutil.rmtree, path)
        disk = cls(path)
        if os.geteuid() != 0:
            test.skipTest("mounting a small disk needs root")
        problem = disk._mount(0, "size=64k")
        if problem:
            test.skipTest(f"cannot mount a small disk: {os.strerror(problem)}")
        test.addCleanup(ctypes.CDLL(None).umount2, os.fsencode(path), 2)  # 2: detach, even where it is busy
        return disk

    def resize(self, kilobytes):
        remount = 32
        problem = self._mount(remount, f"size={kilobytes}k")
        assert not problem, os.strerror(problem)

    def _mount(self, flags, options):
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.mount(b"tmpfs", os.fsencode(self.path), b"tmpfs", ctypes.c_ulong(flags), options.encode())
        return ctypes.get_errno() if failed else 0


if __name__ == "__main__":
    unittest.main(verbosity=2)
