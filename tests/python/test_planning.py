# SPDX-License-Identifier: Apache-2.0
"""plan, why, targets, kernels, probe: the dataclasses hold all of the library's JSON, and the answers are
right.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import typing
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402
from warpwright import _library, planning  # noqa: E402


def fields_left_out(kind, value, where=""):
    """Where the JSON has a field that the dataclass has not."""
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is typing.Union:
        return [] if value is None else fields_left_out(arguments[0], value, where)
    if origin is list:
        return [found for item in value for found in fields_left_out(arguments[0], item, where + "[]")]
    if not dataclasses.is_dataclass(kind):
        return []
    types = typing.get_type_hints(kind)
    left = [f"{where}.{name}" for name in value if name not in types and name + "_" not in types]
    for name, item in value.items():
        kind_of_item = types.get(name, types.get(name + "_"))
        if kind_of_item is not None:
            left += fields_left_out(kind_of_item, item, f"{where}.{name}")
    return left


@support.needs()
class Planning(unittest.TestCase):
    def test_dataclasses_hold_everything(self):
        request = json.dumps({"model": str(support.MODEL), "gpu": "rtx-5090"}).encode()
        for kind, value in (
            (planning.Plan, _library.json_of("ww_plan", request)),
            (list[planning.Target], _library.json_of("ww_targets_json", None)),
            (list[planning.Kernel], _library.json_of("ww_kernels_json", b"rmsnorm", b"h200")),
            (planning.Probe, _library.json_of("ww_probe_json")),
        ):
            self.assertEqual(fields_left_out(kind, value), [])

    def test_plan_of_a_gpu_that_is_not_here(self):
        plan = warpwright.plan("llama-3.1-70b", "rtx-pro-6000", gpus=2, batch=4, context=8192)
        self.assertEqual((plan.target.gpu, plan.target.count, plan.parallelism.tp), ("rtx-pro-6000", 2, 2))
        self.assertTrue(plan.runs)
        self.assertEqual((plan.phases.decode.batch, plan.phases.decode.context), (4, 8192))
        attention = next(layer for layer in plan.layers if layer.op == "attention")
        self.assertEqual((attention.indices, attention.count), ((0, 79), 80))
        chosen = attention.decode.chosen
        self.assertIn(
            chosen.row, [candidate.row for candidate in attention.decode.candidates if candidate.accepted]
        )
        parts = plan.phases.decode.kinds_us
        self.assertAlmostEqual(sum(parts.values()), plan.phases.decode.predicted_us, places=3)

    def test_plan_with_other_weights(self):
        int4, bf16 = warpwright.plans("llama-3.1-8b", ["h200"], weight_formats=["int4", "bf16"])
        self.assertEqual((int4.format, int4.model.weight_formats), ("int4", ["int4", "bf16"]))
        self.assertLess(int4.memory.weights_bytes, bf16.memory.weights_bytes / 2)
        one = warpwright.plan("llama-3.1-8b", "h200", weight_format="int4")
        self.assertEqual(one.memory, int4.memory)

    def test_plan_with_other_keys_and_values(self):
        same, codes = warpwright.plans("llama-3.1-8b", ["h200"], kv_formats=["same", "fp8_e5m2"])
        self.assertEqual((same.memory.kv_format, codes.memory.kv_format), ("bf16", "fp8_e5m2"))
        self.assertEqual(same.memory.kv_bytes_per_token, 2 * codes.memory.kv_bytes_per_token)
        one = warpwright.plan("llama-3.1-8b", "h200", kv_format="fp8_e5m2")
        self.assertEqual(one.memory, codes.memory)
        with self.assertRaisesRegex(warpwright.CallerError, "kv_format: expected auto, bf16"):
            warpwright.plan("llama-3.1-8b", "h200", kv_format="int8")

    def test_plan_with_declared_activations(self):
        for activations, op in (("16bit", "quantized_gemm"), ("declared", "scaled_gemm")):
            plan = warpwright.plan("llama-3.1-8b", "h200", weight_format="fp8", activations=activations)
            self.assertEqual(plan.model.activations, activations)
            self.assertIn(op, [layer.op for layer in plan.layers])
        decided = warpwright.plan("llama-3.1-8b", "h200", weight_format="fp8")
        self.assertIn("of the time", decided.model.activations_reason)
        with self.assertRaisesRegex(warpwright.CallerError, "weights are numbers"):
            warpwright.plan("llama-3.1-8b", "h200", activations="declared")

    def test_plan_is_the_programs(self):
        program = support.ROOT / "build" / "warpwright"
        if not program.exists():
            self.skipTest("build/warpwright is not built")
        done = subprocess.run(
            [program, "plan", "--model", support.MODEL, "--gpu", "h200", "--json"],
            capture_output=True,
            text=True,
        )
        plan = warpwright.plan(support.MODEL, "h200")
        self.assertEqual(
            json.loads(done.stdout)["phases"]["decode"]["predicted_us"], plan.phases.decode.predicted_us
        )

    def test_several_plans(self):
        plans = warpwright.plans("llama-3.1-8b", ["h200", "rtx-5090"], contexts=[4096, 1 << 20])
        self.assertEqual(len(plans), 4)
        self.assertEqual([plan.runs for plan in plans], [True, False, True, False])
        self.assertIn("131072", plans[1].refused)
        self.assertIn("<html", warpwright.plan_text("llama-3.1-8b", ["h200", "a100"], format="html"))

    def test_why(self):
        answer = warpwright.why("gated_activation", "rtx-5090", tokens=64, width=14336)
        self.assertEqual(answer.problem["width"], 14336)
        self.assertEqual(answer.chosen.basis, "modelled")
        refused = next(candidate for candidate in answer.candidates if not candidate.accepted)
        self.assertEqual(refused.text, "dtype: needs f16, got bf16")
        self.assertEqual(warpwright.why("rope", device="cpu"), warpwright.why("rope"))
        with self.assertRaisesRegex(warpwright.CallerError, "expected gpu or device, got both"):
            warpwright.why("rope", "h200", device="cpu")
        with self.assertRaisesRegex(warpwright.CallerError, "rmsnorm"):
            warpwright.why("rmsnrm", "h200")
        with self.assertRaisesRegex(warpwright.CallerError, "h200"):
            warpwright.why("rmsnorm", "h20o")

    def test_targets_and_kernels(self):
        found = {target.id: target for target in warpwright.targets()}
        self.assertEqual(found["rtx-5090"].compute_capability, "12.0")
        self.assertEqual(warpwright.target("A100"), found["a100-80"])
        kernels = warpwright.kernels("rmsnorm", target="rtx-5090")
        self.assertTrue(kernels and all(kernel.op == "rmsnorm" for kernel in kernels))
        self.assertIn("architecture: runs on the CPU, rtx-5090 is a GPU", [kernel.text for kernel in kernels])
        self.assertIn("llama-3.1-8b", warpwright.models())

    def test_probe(self):
        probe = warpwright.probe()
        self.assertGreater(probe.cpu.cores, 0)
        self.assertEqual([gpu.id for gpu in probe.gpus] + ["cpu"], warpwright.devices())
        self.assertEqual(probe.gpus == [], "no GPU to run on" in " ".join(probe.conclusions))

    def test_command_line(self):
        done = subprocess.run(
            [sys.executable, "-m", "warpwright", "targets", "h200", "--json"],
            capture_output=True,
            text=True,
            cwd=support.ROOT / "python",
        )
        if "found none" in done.stderr:
            self.skipTest("the program is not built")
        self.assertEqual(json.loads(done.stdout)["id"], "h200")


if __name__ == "__main__":
    unittest.main()
