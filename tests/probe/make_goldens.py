#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/probe/goldens: what `warpwright probe --machine FILE` advises for each machine of tests/probe/machines.
Read the difference before you commit it.

    python3 tests/probe/make_goldens.py     needs build/warpwright
"""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).parent


def main():
    for machine in sorted((HERE / "machines").glob("*.json")):
        command = [ROOT / "build" / "warpwright", "probe", "--machine", machine, "--json"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        lines = [f"{one['topic']}/{one['weight']} {one['rule']}: {one['text']}\n" for one in found["advice"]]
        (HERE / "goldens" / f"{machine.stem}.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
