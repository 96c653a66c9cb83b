"""Makes mestre-work as a coordinator leaves it that was killed: a sweep of four cells, one done, one failed, one under way, one queued.

Usage: store.py [JOURNAL-LINE…]
The lines become the journal of the attempt that is under way, with their numbers, times and checksums added; a line that is no JSON stands as
it is.
"""

import json
import os
import sqlite3
import sys
import zlib
from pathlib import Path

BEGIN = 1764000000.0  # s since the epoch
WORK = Path("mestre-work")
SPEED = {1: 20000, 2: 40000}  # tokens/s of the finished jobs
STATES = {1: "done", 2: "done", 3: "failed", 4: "queued", 5: "running", 6: "queued", 7: "queued", 8: "queued"}


def job_id(job):
    return str(job) * 32


def folder(job):
    return WORK / "jobs" / job_id(job)[:2] / job_id(job)


def insert(connection, table, **columns):
    places = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", list(columns.values()))


def add_job(connection, job, architecture):
    kind = "train" if job % 2 else "evaluate"
    estimate = {"seconds": 100, "tokens": 1000000} if job % 2 else {"seconds": 2, "tokens": 20000}
    insert(
        connection, "job", job_id=job, id=job_id(job), kind=kind, state=STATES[job], state_at=BEGIN, speed_key=f"{architecture} {kind}",
        launch="{}", estimate=json.dumps(estimate), spec="{}",
    )  # fmt: skip
    insert(connection, "sweep_job", sweep_id=1, position=job, job_id=job, priority=0)


def add_attempt(connection, job, number, **columns):
    (folder(job) / f"attempt-{number}").mkdir(parents=True)
    (folder(job) / f"attempt-{number}" / "log.txt").write_text(f"what attempt {number} of job {job} wrote\n")
    insert(connection, "attempt", job_id=job, number=number, **columns)


def write_journal(lines):
    text, crc = b"", 0
    for seq, line in enumerate(lines, start=1):
        if not line.startswith("{"):
            text += line.encode() + b"\n"
            continue
        head = json.dumps({"seq": seq, "t": BEGIN + seq} | json.loads(line), separators=(",", ":"))[:-1].encode()
        crc = zlib.crc32(head, crc)
        text += head + b',"crc":%d}\n' % crc
    (folder(5) / "attempt-2" / "journal.jsonl").write_bytes(text)


def main():
    WORK.mkdir()
    connection = sqlite3.connect(WORK / "mestre.db")
    connection.executescript(Path(os.environ["MESTRE_SCHEMA"]).read_text())
    axes = [{"name": "architecture", "labels": ["A", "B"]}, {"name": "seed", "labels": ["1", "2"], "replicates": True}]
    insert(
        connection, "sweep", sweep_id=1, name="small", question="which?", file="sweep.toml", baseline="{}", axes=json.dumps(axes), data="{}",
        cells="", recorded_at=BEGIN,
    )  # fmt: skip
    for number, (architecture, seed) in enumerate([("A", "1"), ("A", "2"), ("B", "1"), ("B", "2")]):
        labels = {"architecture": architecture, "seed": seed}
        name = f"architecture={architecture},seed={seed}"
        insert(connection, "cell", cell_id=number + 1, sweep_id=1, number=number, name=name, labels=json.dumps(labels), options="{}")
        for position, job in enumerate((2 * number + 1, 2 * number + 2)):
            add_job(connection, job, architecture)
            insert(connection, "cell_job", cell_id=number + 1, position=position, job_id=job, name=["train", "perplexity"][position])

    ended = {"started_at": BEGIN, "last_t": BEGIN + 50, "ended_at": BEGIN + 50}
    for job, speed in SPEED.items():
        summary = {"tokens_per_second": speed} | ({"loss": 2.5} if job == 1 else {"perplexity": 12.2})
        add_attempt(connection, job, 1, outcome="finished", tokens_per_second=speed, summary=json.dumps(summary), **ended)
    add_attempt(connection, 3, 1, outcome="failed", cause="diverged", message="loss is not finite at step 12", **ended)
    # Stopped in the middle, begun again from step 500, and 100 steps on in 10 s.
    add_attempt(connection, 5, 1, outcome="killed", started_at=BEGIN, last_t=BEGIN + 50)
    progress = {"progress_done": 600, "progress_total": 1000, "tokens_per_second": 10000}
    now = {"started_at": None} if sys.argv[1:] else {"started_at": BEGIN + 60, "last_t": BEGIN + 70, "restored_step": 500} | progress
    add_attempt(connection, 5, 2, **now)
    if sys.argv[1:]:
        write_journal(sys.argv[1:])
    points = json.dumps([[step, 5 / step, BEGIN + step] for step in (1, 2, 3)])
    for name in ("learning_rate", "loss"):
        insert(connection, "curve_chunk", attempt_id=1, name=name, number=0, count=3, first_step=1, last_step=3, points=points)
    connection.commit()
    connection.close()


if __name__ == "__main__":
    main()
