# SPDX-License-Identifier: Apache-2.0
"""A GPU's kernel on NumPy arrays without the GPU: the emulator executes its PTX and checks every access.

python examples/emulated_kernel.py rtx-5090
"""

import sys

import numpy as np

import warpwright


def main():
    gpu = sys.argv[1] if len(sys.argv) > 1 else "rtx-5090"
    device = f"emulated:{gpu}"
    random = np.random.default_rng(0)
    x, weight = (
        random.standard_normal((4, 512)).astype(np.float16),
        random.standard_normal(512).astype(np.float16),
    )

    explanation = warpwright.why("rmsnorm", gpu, tokens=4, hidden=512, dtype="f16", residual=False)
    print(f"{gpu} would run {explanation.chosen.row}, {explanation.chosen.predicted_us:.1f} us (modelled)")
    emulated = warpwright.rmsnorm(x, weight, device=device)
    on_cpu = warpwright.rmsnorm(x, weight)
    print("largest difference from the CPU's row:", np.abs(emulated.astype(float) - on_cpu).max())

    # A page table with a page that does not exist: on a GPU it would read somebody else's memory.
    pages = random.standard_normal((4, 16, 2, 64)).astype(np.float16)
    q = random.standard_normal((1, 8, 64)).astype(np.float16)
    table, lengths = np.array([[2, 9]], np.int32), np.array([20], np.int32)
    try:
        warpwright.attention(q, pages, pages, page_table=table, kv_lengths=lengths, device=device)
    except warpwright.WarpwrightError as error:
        print("found:", str(error).split("\n")[0])


if __name__ == "__main__":
    main()
