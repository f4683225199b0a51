#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What docs/results keeps of a report of `warpwright check`.

  condense_check.py rows REPORT COMMIT          one entry for each row: docs/results/DATE_TARGET_check.json
  condense_check.py bits REPORT EMULATED        digests of outputs: docs/results/DATE_TARGET_bits.json

`bits` takes two reports made with --no-contraction, of a GPU and of the emulator. A digest is kept for each problem
on which both left the same bits, and null for one of an approximate row (.approx instructions) on which they did not;
any other difference is an error. ./test holds the emulator to what is kept.
"""
import hashlib
import json
import sys


def ran(report):
    return [result for result in report["results"] if result["outcome"] != "refused"]


def head(report):
    return {key: value for key, value in report.items() if key != "results"}


def lines(document, key):
    """JSON with one line for each entry of a list or object."""
    entries = document.pop(key)
    text = json.dumps(document, indent=1).rstrip("}\n") + f',\n "{key}": '
    if isinstance(entries, dict):
        return text + "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in entries.items()) + "\n }\n}\n"
    return text + "[\n" + ",\n".join(f"  {json.dumps(entry)}" for entry in entries) + "\n ]\n}\n"


def rows(report, commit):
    by_row = {}
    for result in report["results"]:
        entry = by_row.setdefault(result["row"], {"op": result["op"], "row": result["row"], "passed": 0, "failed": 0,
                                                  "refused": 0, "worst_error_over_bound": 0})
        entry[result["outcome"]] += 1
        if result["bound"] > 0:
            ratio = round(result["error"] / result["bound"], 4)
            entry["worst_error_over_bound"] = max(entry["worst_error_over_bound"], ratio)
    note = "Condensed from the report to one entry a row. Worst ratios are of the largest error to its bound."
    return lines({**head(report), "commit": commit, "note": note, "by_row": list(by_row.values())}, "by_row")


def by_row(report):
    """Row: (inputs, outputs) of each problem that ran, in order."""
    found = {}
    for result in ran(report):
        inputs, outputs = found.setdefault(result["row"], ([], []))
        inputs.append(result["inputs"])
        outputs.append(result["outputs"])
    return found


def digest(inputs):
    return hashlib.sha256("".join(inputs).encode()).hexdigest()[:16]


def bits(report, emulated):
    approximate = {result["row"] for result in ran(report) if result["approximate"]}
    ours, kept = by_row(emulated), {}
    for row, (inputs, outputs) in by_row(report).items():
        if ours[row][0] != inputs or len(ours[row][1]) != len(outputs):
            sys.exit(f"{row}: the two reports are of different problems")
        same = [theirs if theirs == mine else None for theirs, mine in zip(outputs, ours[row][1])]
        if None in same and row not in approximate:
            sys.exit(f"{row}: different bits in a row without .approx")
        kept[row] = {"inputs": digest(inputs), "outputs": same}
    note = "FNV-1a of each problem's outputs; null: an approximate row whose bits differ from the emulator's."
    return lines({**head(report), "note": note, "rows": kept}, "rows")


def main(arguments):
    if len(arguments) != 3 or arguments[0] not in ("rows", "bits"):
        sys.exit(__doc__)
    report = json.load(open(arguments[1]))
    if arguments[0] == "rows":
        print(rows(report, arguments[2]), end="")
    else:
        print(bits(report, json.load(open(arguments[2]))), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
