# SPDX-License-Identifier: Apache-2.0
"""Every portable row of every build target, executed by the emulator against its oracle.

One emulated GPU for each set of PTX texts, numerics class and limits. A row that no problem executed is a failure.
"""
import concurrent.futures
import json
import subprocess

# Target: its build target. Numerics and shared memory of a block: Ampere 163 KiB, Ada 99, Hopper 227, Blackwell
# 227 and 99.
DEVICES = {
    "a100": "sm_80",
    "rtx-4090": "sm_89",
    "h200": "sm_90a",
    "b200": "sm_100f",
    "rtx-pro-6000": "sm_120f",
}
JOBS = 2


def check(binary, report_path, target, seed):
    """Checks all rows on one emulated GPU. Returns the results, or None and what went wrong."""
    device = f"emulated:{target},checks=all,seed={seed},threads=1"
    done = subprocess.run([binary, "check", "--device", device, "--report", report_path], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        return None, done.stdout
    return json.loads(report_path.read_text())["results"], ""


def rows_of(binary, target):
    """Rows that there is an image of for this target's build target."""
    text = subprocess.run([binary, "kernels", "--target", target, "--json"], text=True, check=True,
                          stdout=subprocess.PIPE).stdout
    return {row["row"] for row in json.loads(text)
            if any(image["build_target"] == DEVICES[target] for image in row["images"])}


def step(report, root):
    """For ./test: one passed case for each row and GPU."""
    binary, folder = root / "build" / "warpwright", root / "build" / "reports"

    def run(item):
        seed, target = item
        return target, check(binary, folder / f"emulated-{target}.json", target, seed)

    executed = 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for target, (results, problem) in pool.map(run, enumerate(DEVICES)):
            if results is None:
                report.fails(f"emulated.{target}", problem)
                continue
            failures, passed = {}, set()
            for result in results:
                if result["outcome"] == "failed":
                    failures.setdefault(result["row"], f"{result['problem']}\n{result['text']}")
                elif result["outcome"] == "passed":
                    passed.add(result["row"])
                    executed += 1
            for row in sorted(rows_of(binary, target) - passed - failures.keys()):
                failures[row] = "no problem of the check executed this row"
            for row, text in failures.items():
                report.fails(f"emulated.{target}.{row}", text)
            report.passes(len(passed - failures.keys()))
    return f"{executed} problems on {len(DEVICES)} GPUs"
