# SPDX-License-Identifier: Apache-2.0
"""Every portable row of every build target, executed by the emulator against its oracle.

One emulated GPU for each set of PTX texts, numerics class and limits. A row that no problem executed is a failure.
And every row without contraction on an emulated Hopper, whose bits must be those that a real one left.
"""
import collections
import concurrent.futures
import json
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

# Rows compiled without contraction, and what a GPU of the same numerics class left with them (tools/condense_check.py).
BITS_DEVICE = "h200"
BITS = "docs/results/2026-11-25_h100-sxm_bits.json"


def check(binary, report_path, device, options=()):
    """Checks all rows on one emulated GPU. Returns the results, or None and what went wrong."""
    command = [binary, "check", "--device", f"emulated:{device},threads=1", "--report", report_path, *options]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        return None, done.stdout
    return json.loads(report_path.read_text())["results"], ""


def rows_of(binary, target):
    """Rows that there is an image of for this target's build target."""
    text = subprocess.run([binary, "kernels", "--target", target, "--json"], text=True, check=True,
                          stdout=subprocess.PIPE).stdout
    return {row["row"] for row in json.loads(text)
            if any(image["build_target"] == DEVICES[target] for image in row["images"])}


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
    # Of the operations that the golden has, and no others: all their rows are compiled anew.
    operations = dict.fromkeys(row.split(".")[0] for row in golden["rows"])
    jobs = [(f"bits-{op}", f"{BITS_DEVICE},checks=off", ("--no-contraction", "--op", op)) for op in operations]
    jobs += [(target, f"{target},checks=all,seed={seed}", ()) for seed, target in enumerate(DEVICES)]

    def run(job):
        name, device, options = job
        return name, check(binary, folder / f"emulated-{name}.json", device, options)

    executed, bits = 0, []
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for name, (results, problem) in pool.map(run, jobs):
            if results is None:
                report.fails(f"emulated.{name}", problem)
            elif name.startswith("bits-"):
                bits += results
            else:
                executed += judge(report, f"emulated.{name}", results, rows_of(binary, name))
    same = compare_bits(report, "emulated.bits", bits, golden)
    return f"{executed} problems on {len(DEVICES)} GPUs, {same} with the bits of a real one"
