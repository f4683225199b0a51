# SPDX-License-Identifier: Apache-2.0
"""Every portable row of every build target, executed by the emulator against its oracle.

One emulated GPU for each set of PTX texts, numerics class and limits. A row that no problem executed is a failure.
And every row without contraction on an emulated Hopper, whose bits must be those that a real one left.
"""
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import condense_check  # noqa: E402

# Target: its build target.
DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "emulated.toml"
DEVICES = {device["target"]: device["build_target"] for device in tomllib.loads(DATA.read_text())["device"]}
JOBS = 2

# Memory that was freed is used again: giving it back to the system for each problem costs a tenth of the time.
MALLOC = {"GLIBC_TUNABLES": f"glibc.malloc.mmap_threshold={1 << 30}:glibc.malloc.trim_threshold={1 << 30}"}

# Rows compiled without contraction, and what a GPU of the same numerics class left with them (tools/condense_check.py).
BITS_DEVICE = "h200"
BITS = "docs/results/2026-11-25_h100-sxm_bits.json"


def check(binary, report_path, op, devices, options=()):
    """Checks an operation on emulated GPUs. Returns the results on each, or None and what went wrong."""
    command = [binary, "check", "--op", op, "--report", report_path, *options]
    for device in devices:
        command += ["--device", f"emulated:{device},threads=1"]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, env={**os.environ, **MALLOC})
    if done.returncode not in (0, 1):
        return None, done.stdout
    reports = json.loads(report_path.read_text())
    return [report["results"] for report in (reports if len(devices) > 1 else [reports])], ""


def rows_of(binary, target):
    """Rows that there is an image of for this target's build target: their operations."""
    text = subprocess.run([binary, "kernels", "--target", target, "--json"], text=True, check=True,
                          stdout=subprocess.PIPE).stdout
    return {row["row"]: row["op"] for row in json.loads(text)
            if any(image["build_target"] == DEVICES[target] for image in row["images"])}


def by_operation(rows):
    """The rows of each operation, most rows first: they take longest."""
    found = collections.defaultdict(list)
    for row, op in rows.items():
        found[op].append(row)
    return sorted(found.items(), key=lambda item: -len(item[1]))


def judge(report, name, results, expected_rows):
    """One passed case for each row that passed all its problems, one failed case for each other."""
    failures, passed = {}, collections.Counter()
    for result in results:
        if result["outcome"] == "failed":
            failures.setdefault(result["row"], f"{result['problem']}\n{result['text']}")
        elif result["outcome"] == "passed":
            passed[result["row"]] += 1
    for row in sorted(expected_rows - passed.keys() - failures.keys()):
        failures[row] = "no problem of the check executed this row"
    for row, text in failures.items():
        report.fails(f"{name}.{row}", text)
    report.passes(len(passed.keys() - failures.keys()))
    return sum(passed.values())


def compare_bits(report, name, results, golden):
    """One case for each row: the bits that the GPU left, on every problem where they were found equal before.

    Problems that a check has got since are at the end of its list, and are not among them.
    """
    found = condense_check.by_row({"results": results})
    same = 0
    for row, kept in golden["rows"].items():
        inputs, outputs = (known[:len(kept["outputs"])] for known in found.get(row, ([], [])))
        if condense_check.digest(inputs) != kept["inputs"]:
            report.fails(f"{name}.{row}", f"the problems are not those of {BITS}: make it anew, on a GPU")
            continue
        wrong = [i for i, (ours, theirs) in enumerate(zip(outputs, kept["outputs"])) if theirs not in (None, ours)]
        same += sum(theirs is not None for theirs in kept["outputs"]) - len(wrong)
        if wrong:
            report.fails(f"{name}.{row}", f"other bits than {golden['gpu']} on {len(wrong)} problems, first {wrong[0]}")
        else:
            report.passes()
    return same


def step(report, root):
    """For ./test: a case for each row and GPU, and for each row whose bits are compared."""
    binary, folder = root / "build" / "warpwright", root / "build" / "reports"
    golden = json.loads((root / BITS).read_text())
    rows = {target: rows_of(binary, target) for target in DEVICES}
    # Of the golden's rows alone: they are compiled anew.
    jobs = [(f"bits-{op}", op, [f"{BITS_DEVICE},checks=off"],
             ["--no-contraction", *(option for row in names for option in ("--row", row))])
            for op, names in by_operation({row: rows[BITS_DEVICE].get(row, "?") for row in golden["rows"]})]
    # All GPUs in one process: inputs and the oracle's answers are computed once.
    devices = [f"{target},checks=all,seed={seed}" for seed, target in enumerate(DEVICES)]
    jobs += [(op, op, devices, []) for op, _ in by_operation(rows[BITS_DEVICE])]

    def run(job):
        name, op, on, options = job
        return name, check(binary, folder / f"emulated-{name}.json", op, on, options)

    found, bits, stopped = {target: [] for target in DEVICES}, [], set()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for name, (results, problem) in pool.map(run, jobs):
            if results is None:
                report.fails(f"emulated.{name}", problem)
                stopped.add(name)
            elif name.startswith("bits-"):
                bits += results[0]
            else:
                for target, of_target in zip(DEVICES, results):
                    found[target] += of_target
    executed = 0
    for target, of_target in found.items():
        expected = {row for row, op in rows[target].items() if op not in stopped}
        executed += judge(report, f"emulated.{target}", of_target, expected)
    same = compare_bits(report, "emulated.bits", bits, golden)
    return f"{executed} problems on {len(DEVICES)} GPUs, {same} with the bits of a real one"
