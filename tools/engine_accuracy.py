#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Held-out perplexity of the shipped model as our engine runs it, with activations in 16 bits and as the
checkpoints of `warpwright quantize` declare them, beside the rows of tools/format_accuracy.py.

    python3 tools/engine_accuracy.py OUT.json [FORMAT...]     all formats, or those named; OUT's others are kept
    DEVICE=cuda:0 python3 tools/engine_accuracy.py OUT.json   on a GPU; otherwise on the CPU

Needs build/perplexity. The model's type is bf16: products round to it, unlike format_accuracy's.
"""
import datetime
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "glossary"
DEVICE = os.environ.get("DEVICE", "cpu")
FORMATS = ["bf16", "int8", "fp8", "fp8-tensor", "fp8-block"]


def perplexity(name, activations):
    command = [ROOT / "build" / "perplexity", MODEL, MODEL / "heldout.txt", DEVICE, activations, name]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert answer["activations"] == activations and not answer["weight_notes"], answer
    return answer


def row(name):
    if name == "bf16":
        answer = perplexity("-", "16bit")
        return dict(format=name, bits16=answer["perplexity"]), answer
    numbers, codes = (perplexity(name, activations) for activations in ("16bit", "declared"))
    return dict(format=name, bits16=numbers["perplexity"], declared=codes["perplexity"]), codes


def main():
    path, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
    result = json.loads(path.read_text()) if path.exists() else {}
    engine = result.get("engine", {})
    known = {one["format"]: one for one in engine.get("rows", [])}
    for name in wanted or FORMATS:
        known[name], answer = row(name)
        print(known[name], flush=True)
    engine |= dict(date=datetime.date.today().isoformat(), device=DEVICE, tokens=answer["tokens"],
                   command="python3 tools/engine_accuracy.py",
                   rows=[known[name] for name in FORMATS if name in known])
    result["engine"] = engine
    path.write_text(json.dumps(result, indent=1) + "\n")


main()
