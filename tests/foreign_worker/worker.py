#!/usr/bin/env python3
"""A worker of another make, which keeps runners/worker/worker_contract.md:  worker.py run JOB-FOLDER --token TOKEN
Its model is the frequency of each token so far; the losses and the perplexity are real all the same."""

import fcntl, json, math, os, sys, time, zlib
from collections import Counter
from pathlib import Path


class Journal:
    def __init__(self, path):
        self.file, self.seq, self.crc, self.synced = open(path, "xb", buffering=0), 0, 0, 0.0

    def line(self, kind, **payload):
        self.seq, now = self.seq + 1, time.time()
        head = json.dumps({"seq": self.seq, "t": now, "type": kind, **payload}, separators=(",", ":"))[:-1].encode()
        self.crc = zlib.crc32(head, self.crc)
        self.file.write(head + b',"crc":%d}\n' % self.crc)
        if kind in ("started", "checkpoint", "failed", "finished") or now - self.synced >= 1:
            os.fdatasync(self.file.fileno())
            self.synced = now


def attempts(job):
    return [int(path.name[8:]) for path in job.glob("attempt-*")]


def not_ours(job, token):
    journals = [path.read_bytes() for path in job.glob("attempt-*/journal.jsonl")]
    return json.loads((job / "launch.json").read_text())["token"] != token or any(b'"type":"finished"' in text for text in journals)


def claim(job, token):
    while not not_ours(job, token):
        folder = job / f"attempt-{max(attempts(job), default=0) + 1}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue  # another worker took the number
        lock = open(folder / "lock", "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not not_ours(job, token):
            return folder, lock
        os.unlink(folder / "lock")
        folder.rmdir()
    sys.exit(0)


def train(job, number, journal):
    spec, launch = [json.loads((job / name).read_text()) for name in ("job.json", "launch.json")]
    manifest = Path(launch["data_root"]) / launch["data"]
    files = [manifest.parent / file["path"] for file in json.loads(manifest.read_text())["files"]]
    tokens = memoryview(b"".join(file.read_bytes() for file in files)).cast("H")
    length = spec["train"]["sequence_length"] * spec["train"]["sequences_per_step"]
    steps, counts = -(-spec["train"]["tokens"] // length), Counter()
    journal.line("started", job=job.name, attempt=number, restored=None, steps=steps)
    for step in range(1, steps + 1):
        batch = tokens[(step - 1) * length % (len(tokens) - length + 1) :][:length]
        total = counts.total() + spec["data"]["vocabulary"]
        loss = -sum(math.log((counts[token] + 1) / total) for token in batch) / length
        counts.update(batch)
        if max(attempts(job)) > number:
            sys.exit(0)  # superseded: nothing more is ours to publish
        journal.line("metrics", step=step, values={"loss": loss})
    axes = [{"name": "length", "unit": "tokens", "values": [length]}]
    journal.line("measurement", name="perplexity", unit="", dtype="float64", axes=axes, values=[math.exp(loss)], details={"tokens": length})
    journal.line("finished", summary={"loss": loss, "steps": steps, "tokens": steps * length})


if __name__ == "__main__":
    job = Path(sys.argv[2]).resolve()
    folder, lock = claim(job, sys.argv[4])  # held until the process ends
    journal = Journal(folder / "journal.jsonl")
    try:
        train(job, int(folder.name[8:]), journal)
    except (OSError, KeyError, ValueError) as problem:
        journal.line("failed", cause="data" if isinstance(problem, OSError) else "bad_input", message=repr(problem))
        sys.exit(1)
