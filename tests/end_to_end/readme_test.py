"""README.md is true: the sweep that it shows plans, runs and reports with the commands that it shows."""

import pathlib
import re
import shlex
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from tiny_sweep import Workspace  # noqa: E402

SOURCE = pathlib.Path(__file__).parents[2]
README = (SOURCE / "README.md").read_text()
# The README trains for minutes; its words are tested on less.
SMALLER = {'"512Ki"': '"4Ki"', "[256, 512, 1024]": "[256, 512]", "blocks  = 64": "blocks  = 2"}


def block(start):
    """The text of the fenced block that begins with this line."""
    return re.search(rf"^```[a-z]*\n({re.escape(start)}.*?)^```", README, re.MULTILINE | re.DOTALL)[1]


class ReadmeTest(unittest.TestCase):
    def test_sweep_and_commands(self):
        workspace = Workspace(corpus="torch-headers")
        self.addCleanup(workspace.close)
        sweep = block("[sweep]")
        for shown, smaller in SMALLER.items():
            self.assertIn(shown, sweep)
            sweep = sweep.replace(shown, smaller)
        for model in (SOURCE / "experiments/models").iterdir():
            (workspace.folder / "models" / model.name).write_bytes(model.read_bytes())
        (workspace.folder / "window.toml").write_text(sweep)

        said = {}
        for line in block("mestre plan").splitlines():
            program, *words = shlex.split(line, comments=True)
            self.assertEqual(program, "mestre")
            words = [word.replace("experiments", str(workspace.folder)) for word in words]
            said[words[0]] = workspace.mestre(*words).stdout
        self.assertEqual(list(said), ["plan", "run", "status", "report", "query"])
        self.assertIn("9 cells (3 windows x 3 seeds), 9 to run", said["plan"])
        self.assertIn("9 cells: 9 done", said["status"])
        self.assertRegex(said["report"], r"128\*")
        self.assertEqual(said["query"].count("done"), 9)


if __name__ == "__main__":
    unittest.main(verbosity=2)
