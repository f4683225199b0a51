# SPDX-License-Identifier: Apache-2.0
"""Which of some GPUs, none of which need be here, runs a model, how fast, and what it waits for.

python examples/plan_elsewhere.py llama-3.1-70b --context 32768 --gpus 2
"""

import argparse

import warpwright


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", nargs="?", default="llama-3.1-70b", help="a folder, a config.json or a built-in name"
    )
    parser.add_argument("--gpus", type=int, default=2, help="of each kind")
    parser.add_argument("--context", type=int, default=32768, help="tokens")
    parser.add_argument("--targets", nargs="+", default=["a100", "h200", "b200", "rtx-pro-6000", "rtx-5090"])
    arguments = parser.parse_args()

    for name in arguments.targets:
        plan = warpwright.plan(arguments.model, name, gpus=arguments.gpus, context=arguments.context)
        head = f"{arguments.gpus} x {name:<14}"
        if not plan.runs:
            print(f"{head} does not run: {plan.missing or plan.memory.text}")
            continue
        decode = plan.phases.decode
        slowest = max(plan.layers, key=lambda layer: layer.decode.chosen.predicted_us * layer.count)
        print(
            f"{head} {decode.tokens_per_s:7.1f} tokens/s at batch 1 (modelled), bound by {decode.bound}; "
            f"{plan.memory.max_batch} sequences fit"
        )
        print(f"{'':>19}most time: {slowest.name}, {slowest.decode.chosen.row}")


if __name__ == "__main__":
    main()
