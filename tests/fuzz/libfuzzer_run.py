#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs fuzz targets by libFuzzer millions of times and keeps a record: in chunks of one process each, so that it can be
stopped and started again.

    ./setup fuzzer
    nice -n 19 python3 tests/fuzz/libfuzzer_run.py --record docs/results/DATE_fuzz_inspect.json inspect_files inspect_scan

A chunk is one seed of one target, the targets in turn. What libFuzzer finds worth mutating is kept in
build-fuzzer/tests/corpus, and the next chunk begins with it. A finding (a crash, a leak, more than 10 s or 2 GB) ends
its chunk, is written beside the corpus, and the run goes on with the next seed. Exits 1 when anything was found.
"""

import argparse
import datetime
import json
import pathlib
import re
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build-fuzzer" / "tests"
CHUNK = 50_000
MAX_BYTES = 8192
OPTIONS = [f"-max_len={MAX_BYTES}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"]


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def new_record(arguments):
    compiler = subprocess.run(["clang++", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    return {
        "date": datetime.date.today().isoformat(),
        "commit": git("rev-parse", "HEAD"),
        "command": f"python3 tests/fuzz/libfuzzer_run.py --runs {arguments.runs} {' '.join(arguments.targets)}",
        "method": f"libFuzzer, address and undefined-behaviour sanitizers, {compiler}; " + " ".join(OPTIONS),
        "targets": {name: {"executions": 0, "chunks": 0, "cpu_s": 0.0, "corpus": 0, "findings": []}
                    for name in arguments.targets},
    }  # fmt: skip


def chunk(name, target, runs):
    seed = target["chunks"] + 1
    found = BUILD / "corpus" / name
    found.mkdir(parents=True, exist_ok=True)
    artifact = BUILD / "corpus" / f"{name}.{seed}."
    command = [BUILD / f"fuzz_{name}", f"-runs={runs}", f"-seed={seed}", f"-artifact_prefix={artifact}", *OPTIONS]
    command += [found, ROOT / "tests" / "fuzz" / "corpus" / name]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stdout)
    target["executions"] += int(executed.group(1)) if executed else 0
    target["cpu_s"] = round(target["cpu_s"] + after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)
    target["chunks"] = seed
    target["corpus"] = len(list(found.iterdir()))
    if done.returncode != 0:
        target["findings"].append({"seed": seed, "status": done.returncode, "output": done.stdout[-3000:]})
        print(f"FOUND {name}, seed {seed}:\n{done.stdout[-3000:]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--runs", type=int, default=10_000_000, help="of each target")
    parser.add_argument("--record", default=BUILD / "fuzz.json")
    arguments = parser.parse_args()
    path = pathlib.Path(arguments.record)
    record = json.loads(path.read_text()) if path.exists() else new_record(arguments)
    if record["commit"] != git("rev-parse", "HEAD"):
        sys.exit(f"libfuzzer_run: {path} is of commit {record['commit'][:12]}; remove it to begin again")
    targets = record["targets"]
    while any(target["executions"] < arguments.runs for target in targets.values()):
        for name, target in targets.items():
            if target["executions"] >= arguments.runs:
                continue
            chunk(name, target, min(CHUNK, arguments.runs - target["executions"]))
            path.write_text(json.dumps(record, indent=1) + "\n")
            print(f"{name}: {target['executions']} of {arguments.runs}, {target['cpu_s']:.0f} s, {target['corpus']} kept, "
                  f"{len(target['findings'])} found", flush=True)  # fmt: skip
    return any(target["findings"] for target in targets.values())


if __name__ == "__main__":
    sys.exit(main())
