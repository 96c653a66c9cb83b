#!/usr/bin/env python3
"""How fast `mestre data prepare` makes tokens, beside SentencePiece's own encoder on the same text and model.

Usage: tools/bench_prepare.py TEXT MODEL [--mestre PROGRAM] [--threads 1 2 …]
TEXT is a plain file; `spm_encode` comes from Debian's package sentencepiece and reads line by line, on one thread. Prints for each the wall time,
MB/s (of 1,000,000 bytes), the processor time and the peak memory. The data go into a temporary folder.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path


def measure(name, command, size, **redirections):
    begin = time.monotonic()
    process = subprocess.Popen(command, **redirections)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if status != 0:
        raise SystemExit(f"{name} failed: {' '.join(map(str, command))}")
    processor = usage.ru_utime + usage.ru_stime
    print(f"{name:24}{wall:8.1f} s{size / wall / 1e6:9.1f} MB/s{processor:9.1f} s of processor{size / processor / 1e6:9.1f} MB/s of it"
          f"{usage.ru_maxrss / 1024:9.0f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--mestre", type=Path, default=Path(__file__).parent.parent / "build/release/bin/mestre")
    parser.add_argument("--spm-encode", default=shutil.which("spm_encode"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count()])
    arguments = parser.parse_args()
    size = arguments.text.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        for threads in arguments.threads:
            for tokenizer in (f"sentencepiece:{arguments.model}", "bytes"):
                name = f"{tokenizer.split(':')[0]}-{threads}"
                command = [arguments.mestre, "--data", folder, "data", "prepare", name, arguments.text, "--tokenizer", tokenizer]
                measure(name, command + ["--threads", str(threads)], size, stdout=subprocess.DEVNULL)
                shutil.rmtree(Path(folder) / name)
        if arguments.spm_encode:
            with arguments.text.open("rb") as text:
                command = [arguments.spm_encode, f"--model={arguments.model}", "--output_format=id"]
                measure("spm_encode", command, size, stdin=text, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
