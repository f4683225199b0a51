# SPDX-License-Identifier: Apache-2.0
"""The Python examples run, and say what they should."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

EXAMPLES = support.ROOT / "examples"


def run(name, *arguments):
    environment = dict(os.environ)
    if not os.environ.get("WARPWRIGHT_INSTALLED"):
        environment["PYTHONPATH"] = str(support.ROOT / "python")
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout


class Examples(unittest.TestCase):
    def test_all_are_tested(self):
        tested = {name.replace("test_", "") for name in dir(self) if name.startswith("test_")}
        for path in EXAMPLES.glob("*.py"):
            self.assertIn(path.stem, {re.sub("_on_a_gpu$", "", name) for name in tested})

    @support.needs()
    def test_plan_elsewhere(self):
        text = run("plan_elsewhere.py", "llama-3.1-70b", "--targets", "h200", "rtx-5090")
        self.assertRegex(text, r"2 x h200 +[\d.]+ tokens/s at batch 1 \(modelled\), bound by memory")
        self.assertRegex(text, r"2 x rtx-5090 +does not run: ")

    @support.needs("numpy")
    def test_paged_decode(self):
        self.check_paged_decode("cpu")

    @support.needs("torch", "numpy")
    @support.needs_gpu
    def test_paged_decode_on_a_gpu(self):
        self.check_paged_decode("cuda")

    def check_paged_decode(self, device):
        text = run("paged_decode.py", "--device", device, "--steps", "20")
        self.assertIn("20 steps, lengths [25, 51, 36]", text)
        self.assertRegex(text, r"rows: rope\.\S+, kv_append\.\S+, attention\.\S+")
        # why: of values below 2 in fp16, rounding is at most half a spacing, 2^-11 each; the weights' and the
        # output's add up.
        largest = float(re.search(r"largest \|out\|: ([\d.]+)", text).group(1))
        error = float(re.search(r"definition: ([\d.e-]+)", text).group(1))
        self.assertLess(error, 2 * max(largest, 1) * 2**-11)

    @support.needs("numpy")
    def test_emulated_kernel(self):
        text = run("emulated_kernel.py", "rtx-5090")
        self.assertRegex(text, r"rtx-5090 would run rmsnorm\.portable\.f16\.\S+, [\d.]+ us \(modelled\)")
        self.assertRegex(text, r"found: .*(out of bounds|outside)")

    @support.needs("torch", "transformers")
    def test_transformers_attention(self):
        self.check_transformers("cpu")

    @support.needs("torch", "transformers")
    @support.needs_gpu
    def test_transformers_attention_on_a_gpu(self):
        self.check_transformers("cuda")

    def check_transformers(self, device):
        text = run("transformers_attention.py", "--device", device)
        errors = dict(re.findall(r"(eager|warpwright) ([\d.]+)", text.strip().split("\n")[-1]))
        # Both are the model in bf16; the rule of twice the error.
        self.assertLessEqual(float(errors["warpwright"]), 2 * float(errors["eager"]))


if __name__ == "__main__":
    unittest.main()
