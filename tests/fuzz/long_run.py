#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs fuzz targets millions of times and keeps a record: in chunks of one process each, so that it can be stopped
and started again, and several can run at once.

    ./setup sanitize
    nice -n 19 python3 tests/fuzz/long_run.py --record docs/results/DATE_fuzz.json

A chunk is one seed of one target. Inputs that took new steps through the code are kept in build-sanitize/fuzz, and
the next chunk begins with them. An input that fails is written there too, and the run goes on with the next seed;
a record belongs to one commit. Exits 1 when anything failed.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build-sanitize"
CHUNK = 100_000
MAX_BYTES = 4096
# How many executions each target gets for ten of all; the slow ones are those with the most code.
SHARES = {"safetensors": 3, "config": 1, "quantized": 1, "tokenizer": 2, "template": 2, "chat": 1}


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def new_record(arguments):
    names = sorted(SHARES)
    total = sum(SHARES.values())
    # The targets that are wanted, in whole chunks.
    wanted = {name: max(1, round(arguments.runs * SHARES[name] / total / CHUNK)) * CHUNK for name in names}
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    return {
        "date": datetime.date.today().isoformat(),
        "commit": git("rev-parse", "HEAD"),
        "command": f"python3 tests/fuzz/long_run.py --runs {arguments.runs}",
        "method": f"address and undefined-behaviour sanitizers, {compiler}; inputs of at most {MAX_BYTES} bytes",
        "executions": 0,
        "targets": {name: {"wanted": wanted[name], "executions": 0, "seeds": [], "cpu_s": 0.0, "kept": 0, "slowest_ms": 0,
                           "failures": []} for name in names},
    }  # fmt: skip


class Run:
    def __init__(self, arguments):
        self.arguments = arguments
        self.path = pathlib.Path(arguments.record)
        self.record = json.loads(self.path.read_text()) if self.path.exists() else new_record(arguments)
        if self.record["commit"] != git("rev-parse", "HEAD"):
            sys.exit(f"long_run: {self.path} is of commit {self.record['commit'][:12]}; remove it to begin again")
        if git("status", "--porcelain", "--untracked-files=no"):
            sys.exit("long_run: expected committed files, so that the record names what ran")
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self.done_here = 0

    def save(self):
        self.record["executions"] = sum(target["executions"] for target in self.record["targets"].values())
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.record, indent=1) + "\n")
        part.replace(self.path)

    def chunks(self):
        """(target, seed) of what is left, the targets in turn."""
        left = []
        for name, target in self.record["targets"].items():
            seeds = range(1, target["wanted"] // CHUNK + 1)
            left.append([(name, seed) for seed in seeds if seed not in target["seeds"]])
        longest = max(map(len, left))
        return [chunks[i] for i in range(longest) for chunks in left if i < len(chunks)]

    def chunk(self, name, seed):
        crash = BUILD / "fuzz" / f"{name}.{seed}.crash"
        command = [BUILD / "tests" / f"fuzz_{name}", "--runs", str(CHUNK), "--seed", str(seed), "--max-bytes", str(MAX_BYTES)]
        command += ["--keep", BUILD / "fuzz" / name, "--crash", crash, ROOT / "tests" / "fuzz" / "corpus" / name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        with self.lock:
            self.take(name, seed, process.returncode, output, usage.ru_utime + usage.ru_stime)

    def take(self, name, seed, status, output, cpu_s):
        target = self.record["targets"][name]
        target["seeds"] = sorted(target["seeds"] + [seed])
        target["cpu_s"] = round(target["cpu_s"] + cpu_s, 1)
        said = re.search(r"(\d+) made of them .* (\d+) of these kept; the slowest took (\d+) ms", output)
        if status == 0 and said:
            made, kept, slowest = map(int, said.groups())
            target["executions"] += made
            target["kept"] += kept
            target["slowest_ms"] = max(target["slowest_ms"], slowest)
            self.done_here += made
        else:
            target["failures"].append({"seed": seed, "status": status, "output": output[-2000:]})
            print(f"FAILED {name}, seed {seed}:\n{output[-2000:]}", flush=True)
        self.save()
        wanted = sum(t["wanted"] for t in self.record["targets"].values())
        rate = self.done_here / max(time.monotonic() - self.began, 1e-9)
        left_min = (wanted - self.record["executions"]) / max(rate, 1e-9) / 60
        print(f"{self.record['executions']:>10} of {wanted}, {rate:.0f} a second, {left_min:.0f} min left; {name} {seed}: "
              f"{target['kept']} kept, {len(target['failures'])} failed", flush=True)  # fmt: skip

    def run(self):
        (BUILD / "fuzz").mkdir(exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(self.arguments.processes) as pool:
            list(pool.map(lambda chunk: self.chunk(*chunk), self.chunks()))
        self.save()
        return any(target["failures"] for target in self.record["targets"].values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000_000, help="of all targets together")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--record", default=BUILD / "fuzz.json")
    return Run(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
