#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fits the cost model's constants to measured times and writes the report of predicted against measured.

  tools/fit_cost.py            fit, write the constants into src/kernels/cost_constants.h, and write the report
  tools/fit_cost.py --keep     the report of the library's present constants (held-out errors are of fits all the same)
  tools/fit_cost.py --only FAMILY...    fit these; without it, all but those of KEPT
  --bench FILE                 measured times: output of `warpwright bench --set full --out FILE`; default: the newest

Needs build/predict_cost (ninja -C build predict_cost), and builds it again with the constants it has written, as well as
build/warpwright, whose plans are compared with whole models' measured speed where DATE_GPU_engine.json has it. The report: docs/results/DATE_GPU_predicted.json,
docs/cost_model.md and docs/cost_model.svg. The same inputs give the same files.
"""
import argparse
import hashlib
import json
import math
import pathlib
import re
import subprocess
import tempfile
import tomllib

import cost_report

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEADER = ROOT / "src" / "kernels" / "cost_constants.h"
PREDICT = ROOT / "build" / "predict_cost"
FOLDS = 5
CHOICE_WEIGHTS = (10.0, 100.0, 1000.0)
# Choices of these go by measured times, whatever the model says: the fit need not keep them.
TUNED = {path.stem for path in (ROOT / "data" / "tuning").glob("*.json")}

# What is fitted: a value from before any measurement, and by what factor it may reasonably be wrong. The fit is drawn
# to the former as strongly as the latter is small, so that a constant that few problems speak of stays near it.
PRIORS = {
    "gemm": {  # from a sweep of every row over 127 problems of an H100 (docs/kernels/gemm.md)
        "gemm.mma_share_sm90": (0.572, 1.1),
        "gemm.latency_us": (1.22, 1.1),
        "gemm.l2_bytes_per_clock": (42.2, 1.1),
        "gemm.stream_share": (0.956, 1.05),
        "gemm.ring_share": (0.848, 1.05),
        "gemm.first_block_us": (1.87, 1.2),
        "gemm.next_block_us": (1.88, 1.2),
        "gemm.next_block_overlap": (0.238, 1.2),
    },
    "attention": {
        "attention.shared_exposed": (0.5, 1.5),
        "attention.exponential_exposed": (0.45, 1.5),
        "attention.step_clocks": (22, 1.5),
        "attention.tile_fill_us": (3.0, 2.0),
        "attention.decode_memory_share": (0.92, 1.1),
        "attention.decode_step_us": (0.75, 1.3),
        "attention.decode_fill_us": (1.9, 1.5),
        "attention.merge_us": (1.7, 1.5),
    },
    "stream": {
        "stream.memory_share": (0.85, 1.1),
        "stream.norm_us": (0.5, 2.0),
    },
    "sample": {
        "sample.flops_per_element": (50, 1.5),
    },
    "reference": {
        "reference.gemm_share": (0.9, 1.2),
        "reference.gemm_share_sm90": (0.9, 1.2),
        "reference.gemm_share_sm100": (0.9, 1.2),
        "reference.attention_share": (0.65, 1.3),
        "reference.attention_share_sm90": (0.65, 1.3),
        "reference.attention_share_sm100": (0.65, 1.3),
    },
}
# Not fitted to the newest bench, whose rows were chosen, but to more: where their constants are from.
KEPT = {
    "gemm": "a sweep of every row over 127 problems (docs/kernels/gemm.md)",
    "attention": "the runs of its ladder (docs/kernels/attention.md)",
    "reference": "an earlier fit to the same published figures",
}
# Of the measured ones; others: stream. Nothing is fitted to "logits" (two problems, bound by the latency of their lists),
# nor to what came last, whose constants are its kernels' authors': quantised results are bound by more than memory, experts
# by latency.
FAMILY = {"gemm": "gemm", "attention": "attention", "sample": "sample", "logits": "logits", "quantize": "quantize",
          "quantized_gemm": "quantized_gemm", "scaled_gemm": "scaled_gemm", "dequantize": "quantize", "moe_route": "experts",
          "moe_permute": "experts", "moe_combine": "experts", "grouped_gemm": "grouped_gemm", "mla": "mla",
          "index_logits": "indexer", "index_topk": "indexer"}


class Model:
    """The cost model as a function of its constants, over fixed problems."""

    def __init__(self, items):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".json")
        json.dump(items, self.file)
        self.file.flush()
        self.process = subprocess.Popen([PREDICT, self.file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, constants):
        self.process.stdin.write(json.dumps(constants) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.file.close()


def asked(*arguments):
    return json.loads(subprocess.run([PREDICT, *arguments], check=True, capture_output=True, text=True).stdout)


def fold_of(item):
    """Always the same for a problem: new measurements do not move old ones."""
    return int(hashlib.sha256(f"{item['op']} {item['problem']}".encode()).hexdigest(), 16) % FOLDS


def own_row(case):
    """Of the rows that a problem took, the operation's own."""
    return next(row for row in case["row"].split(" + ") if row.startswith(case["op"] + "."))


def family_of(case):
    quantised = re.search(r" to (fp8|int8|mxfp8|mxfp4|nvfp4)\b", case["problem"])
    return "quantize" if quantised else FAMILY.get(case["op"], "stream")


# Of several operations together, which are problems of their own.
COMPOSITIONS = ("moe", "cascade", "act_order")


def measured_items(bench):
    fields = {(case["op"], case["problem"]): case["set"] for case in asked("--bench")}
    items = {}
    for case in bench["cases"]:
        key = case["op"], case["problem"]
        if case["op"] in COMPOSITIONS:
            continue
        if key not in fields:
            raise SystemExit(f"error: {key}: not a problem of this build's bench; build predict_cost again")
        items.setdefault(key, {  # a problem of both sets is measured twice: the first counts
            "op": case["op"], "problem": case["problem"], "target": bench["target"], "set": fields[key],
            "row": own_row(case), "us": case["us"], "family": family_of(case)})
    return list(items.values())


def twins(items):
    """Large products of an H100 on an H200, without a time: it has the same SMs, and the memory does not bind there, so
    the row must be the same."""
    return [item | {"target": "h200", "us": None} for item in items
            if item["op"] == "gemm" and item["target"] == "h100-sxm" and int(item["set"]["m"]) >= 512]


def model_rows(engine):
    """Whole models: what a plan says of the run that was measured, one prompt of 2048 tokens, then 128 more."""
    rows = []
    for model in engine["engine"]["models"]:
        command = [ROOT / "build" / "warpwright", "plan", "--model", model["model"], "--gpu", engine["target"],
                   "--prompt", "2048", "--context", str(2048 + 128), "--json"]
        phases = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["phases"]
        rows.append({"model": model["model"], "prefill_tokens_per_s": model["prefill_tokens_per_s"],
                     "decode_tokens_per_s": model["decode_tokens_per_s"],
                     "planned_prefill_tokens_per_s": cost_report.rounded(2048e6 / phases["prefill"]["predicted_us"]),
                     "planned_decode_tokens_per_s": cost_report.rounded(phases["decode"]["tokens_per_s"])})
    return rows


def work_of(op, fields):
    """FLOPs and bytes that a published rate counts."""
    if op == "gemm":
        m, n, k = fields["m"], fields["n"], fields["k"]
        return 2.0 * m * n * k, 2.0 * (m * k + n * k + m * n)
    return 4.0 * fields["heads"] * fields["max_q_len"] * fields["max_kv_len"] * fields["head_dim"] / 2, None  # causal


def published_items(published):
    items = []
    for kernel in published["kernel"]:
        problem = " ".join(f"{name}={value}" for name, value in kernel["set"].items())
        for unit in ("us", "tflops", "tb_s"):
            for target, value in kernel.get(unit, {}).items():
                if unit != "us":
                    flops, moved = work_of(kernel["op"], kernel["set"])
                    value = (flops if unit == "tflops" else moved) / value * 1e-6
                items.append({"op": kernel["op"], "problem": problem, "target": target, "set": kernel["set"],
                              "reference": True, "us": value, "family": "reference",
                              "assumed": kernel.get("assumed", "")})
    return items


def sample_items(sample):
    return [{"op": sample["op"], "problem": f"m={m} n={n} k={k}", "target": sample["target"],
             "set": {"m": m, "n": n, "k": k}, "reference": True, "us": us, "family": "reference"}
            for m, n, k, us in sample["problems"]]


def fit(items, priors, base):
    """Least squares of log(predicted / measured), beyond 30 % linear, by a pattern search in the logarithms of the
    constants; `base` are the constants that are not of this family."""
    items = items + twins(items)
    model = Model(items)
    logs = {name: 0.0 for name in priors}  # of the value over its prior

    def values():
        return base | {name: priors[name][0] * math.exp(log) for name, log in logs.items()}

    def loss(choice_weight):
        answers = model(values())
        total = 0.0
        for item, answer in zip(items, answers):
            if item["us"] is not None:
                error = abs(math.log(answer["us"] / item["us"]))
                total += error * error if error < 0.3 else 0.6 * error - 0.09
            if "rival" in answer and item["target"] not in TUNED:
                total += choice_weight * max(0.0, math.log(answer["us"] / answer["rival"]["us"]) + 0.01) ** 2
        return total + 0.003 * sum((log / math.log(priors[name][1])) ** 2 for name, log in logs.items())

    for choice_weight in CHOICE_WEIGHTS:
        best, step = loss(choice_weight), 0.16
        while step > 0.002:
            improved = False
            for name in logs:
                for sign in (1, -1):
                    old = logs[name]
                    logs[name] = old + sign * step
                    now = loss(choice_weight)
                    if now < best - 1e-9:
                        best, improved = now, True
                        break
                    logs[name] = old
            if not improved:
                step /= 2
    model.close()
    return {name: float(f"{value:.3g}") for name, value in values().items() if name in priors}


def predict(items, constants):
    model = Model(items)
    answers = model(constants)
    model.close()
    return answers


def fit_all(items, base):
    """Family by family; with fewer items, as in a fold, the same."""
    constants = {}
    for family, priors in PRIORS.items():
        constants |= fit([item for item in items if item["family"] == family], priors, base | constants)
    return constants


def held_out(items, base):
    """Every item predicted by a fit that has not seen its fold."""
    answers = [None] * len(items)
    for fold in range(FOLDS):
        constants = base | fit_all([item for item in items if fold_of(item) != fold], base)
        unseen = [i for i, item in enumerate(items) if fold_of(item) == fold]
        for i, answer in zip(unseen, predict([items[i] for i in unseen], constants)):
            answers[i] = answer
    return answers


def write_constants(constants):
    """Puts the values into the header, in place: struct by struct, as its comments are beside them."""
    text = HEADER.read_text()
    for name, value in constants.items():
        family, field = name.split(".")
        struct = f"struct {family.capitalize()}Costs {{"
        begin = text.index(struct)
        end = text.index("\n};", begin)
        body, count = re.subn(rf"(\n    double {field} =\s*)[^;]+;", rf"\g<1>{value:g};", text[begin:end])
        if count != 1:
            raise SystemExit(f"error: {HEADER}: no field {name}")
        text = text[:begin] + body + text[end:]
    HEADER.write_text(text)
    subprocess.run(["clang-format", "-i", HEADER], check=True)


def changed_choices(items, constants):
    """Problems for which another row than the measured one is chosen now."""
    free = [{name: value for name, value in item.items() if name != "row"} for item in items]
    return [{"op": item["op"], "problem": item["problem"], "row": item["row"], "us": item["us"],
             "chosen_row": chosen["row"], "chosen_us": chosen["us"]}
            for item, chosen in zip(items, predict(free, constants)) if chosen["row"] != item["row"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PRIORS, default=[family for family in PRIORS if family not in KEPT],
                        metavar="FAMILY")
    parser.add_argument("--bench", type=pathlib.Path)
    options = parser.parse_args()
    path = options.bench or max((ROOT / "docs" / "results").glob("*_bench.json"), key=lambda found: found.name)
    bench = json.loads(path.read_text())
    published = tomllib.loads((ROOT / "tools" / "published_kernels.toml").read_text())
    measured, others, sample = measured_items(bench), published_items(published), sample_items(published["sample"])

    library = asked("--constants")
    names = [name for priors in PRIORS.values() for name in priors]
    base = {name: value for name, value in library.items() if name not in names}
    constants = library
    if not options.keep:
        fitted = fit_all(measured + others, base)
        constants = library | {name: fitted[name] for name in names if name.split(".")[0] in options.only}
    unseen = held_out(measured + others, base)
    for item, answer in zip(measured + others, unseen):
        item["held_out"] = answer
    for items in (measured, others, sample):
        for item, answer in zip(items, predict(items, constants)):
            item["predicted"] = answer
    if not options.keep:
        write_constants({name: constants[name] for name in names})
        subprocess.run(["ninja", "-C", ROOT / "build", "predict_cost", "warpwright"], check=True, stdout=subprocess.DEVNULL)
    engine = path.with_name(path.name.replace("_bench", "_engine"))
    models = model_rows(json.loads(engine.read_text())) if engine.exists() else []
    pairs = {name: (priors[name][0], constants[name]) for priors in PRIORS.values() for name in priors}
    cost_report.write(ROOT, cost_report.results(path.name, bench, published, measured, others, sample, pairs,
                                                changed_choices(measured, constants), models, KEPT))


if __name__ == "__main__":
    main()
