"""A sweep that takes ten seconds on one core, in a workspace of its own, driven through the programs as a user would.

For tests that look from outside: they start `mestre` from $MESTRE_BIN, kill it and its workers, damage files, and
compare what the store holds afterwards. What a test leaves running is ended by Workspace.close(), by its id.
"""

import contextlib
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import tempfile
import time

BIN = pathlib.Path(os.environ["MESTRE_BIN"])
PATIENCE = 300  # s for any one command: far more than it takes, also on a machine with other things to do

STEPS = 1000
MODELS = {
    "attention": """
        [model]
        width = 32
        layers = ["attention", "mlp"]
        attention.heads = 2
        mlp.intermediate = 64
    """,
    "mamba": """
        [model]
        width = 32
        layers = ["mamba", "mamba"]
        mamba.state = 4
    """,
}
SWEEP = """
[sweep]
name = "tiny"
question = "Does it survive?"
baseline = {{ architecture = "attention" }}

[train]
tokens = {tokens}
sequence_length = 32
sequences_per_step = 4
learning_rate = 3e-3

[data]
train = "words/train.manifest"
validation = "words/validation.manifest"

[[axis]]
name = "architecture"
model.use = ["attention", "mamba"]

[[axis]]
train.seed = {seeds}

[[evaluate]]
name = "perplexity"
lengths = [32, 64]
blocks = 16

[resources]
checkpoint_interval = "0.1s"
log_interval = 1
"""


def is_timing(name):
    """Whether a curve, a metric or a column says what it cost this machine, not what was computed."""
    return any(word in name for word in ("second", "memory"))


class Workspace:
    """A folder with text, models, a sweep file, and the workspace that mestre makes of them."""

    def __init__(self, folder=None, seeds=(1, 2), corpus="words"):
        self._temporary = tempfile.TemporaryDirectory(prefix="mestre-test-")
        self.folder = pathlib.Path(self._temporary.name)
        self.work = pathlib.Path(folder) if folder else self.folder / "work"
        self.database = self.work / "mestre.db"
        self.data = self.folder / "data"
        self.sweep = self.folder / "sweep.toml"
        self.log = self.folder / "stderr.txt"
        self._write_models()
        self.write_sweep(seeds)
        self._prepare_data(corpus)

    def _write_models(self):
        (self.folder / "models").mkdir()
        for name, text in MODELS.items():
            (self.folder / "models" / f"{name}.toml").write_text(text)

    def _prepare_data(self, corpus):
        self._write_text()
        self.mestre("data", "prepare", corpus, self.folder / "text", "--holdout", "0.2")

    def write_sweep(self, seeds):
        self.sweep.write_text(SWEEP.format(tokens=STEPS * 32 * 4, seeds=list(seeds)))

    def _write_text(self):
        words = random.Random(1)
        lexicon = ["".join(words.choices("aeioubdgklmnprst", k=words.randint(2, 7))) for _ in range(200)]
        (self.folder / "text").mkdir()
        for number in range(100):
            text = " ".join(words.choices(lexicon, k=300))
            (self.folder / "text" / f"{number}.txt").write_text(text)

    def close(self):
        for pid in self.workers():
            end(pid)
        deadline = time.monotonic() + PATIENCE
        while self.workers() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._temporary.cleanup()

    def command(self, *arguments):
        places = ["--workspace", self.work, "--db", self.database, "--data", self.data]
        return [BIN / "mestre", *places, *map(str, arguments)]

    def mestre(self, *arguments, expect=0):
        """Runs a command to its end. Returns it, with stdout and stderr as text."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=PATIENCE, check=False)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"{arguments} ended with {done.returncode}, not {expect}:\n{done.stdout}{done.stderr}")
        return done

    def run(self, expect=0):
        return self.mestre("run", self.sweep, expect=expect)

    def start(self):
        """Starts `mestre run` and returns at once; its words go to self.log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(self.command("run", self.sweep), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def workers(self):
        """The ids of the workers that live on this workspace, whoever started them."""
        found = []
        for process in pathlib.Path("/proc").iterdir():
            if not process.name.isdigit():
                continue
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")
                state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            is_ours = any(os.fsencode(f"{self.work}/") in word for word in command[1:])
            if is_ours and command[0].endswith(b"mestre-worker") and state != "Z":
                found.append(int(process.name))
        return found

    def rows(self, sql):
        connection = sqlite3.connect(self.database, timeout=PATIENCE)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def results(self):
        """All that the sweep computed, without what depends on the machine's speed."""
        curves = self.rows("SELECT job, name, step, value FROM curves")
        doubled = self.rows("SELECT job, name, step FROM curves GROUP BY job, name, step HAVING count(*) > 1")
        if doubled:
            raise AssertionError(f"{len(doubled)} points stand twice in curves, such as {doubled[:3]}")
        found = {("curve", job, name, step): None if is_timing(name) else value for job, name, step, value in curves}
        for job, name, axes, value in self.rows("SELECT job, name, axes, value FROM measurements"):
            key = ("measurement", job, name, axes)
            if key in found:
                raise AssertionError(f"{key} stands twice in measurements")
            found[key] = None if is_timing(name) else value
        for cell, state, metrics in self.rows("SELECT cell, state, metrics FROM runs"):
            found["state", cell] = state
            for job, values in json.loads(metrics).items():
                for name, value in values.items():
                    found["metric", cell, job, name] = None if is_timing(name) else value
        return found

    def table(self):
        """The report's table, its timing columns left out: rows of texts."""
        shown = json.loads(self.mestre("report", "tiny", "--json").stdout)
        return [{key: value for key, value in row.items() if not is_timing(key)} for row in shown["rows"]]


def end(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


def send(pids, number):
    """Sends a signal to all of these processes that still live."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(condition, what):
    """Waits for something that is certain to come; that it does not is the failure."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {PATIENCE} s")
        time.sleep(0.002)


def difference(found, expected):
    """What differs between two results, in a few lines; empty where nothing does."""
    lines = []
    for title, keys in (("lost", expected.keys() - found.keys()), ("not expected", found.keys() - expected.keys())):
        if keys:
            lines.append(f"{len(keys)} {title}, such as {sorted(keys, key=str)[:3]}")
    changed = [key for key in expected.keys() & found.keys() if expected[key] != found[key]]
    for key in sorted(changed, key=str)[:5]:
        lines.append(f"{key}: {found[key]}, expected {expected[key]}")
    if changed:
        lines.append(f"{len(changed)} of {len(expected)} values differ")
    return "\n".join(lines)
