# SPDX-License-Identifier: Apache-2.0
"""The C ABI answers with the text of the verbs' --json, byte for byte."""
import ctypes
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "library"))
import c_header  # noqa: E402

LIBRARY = ctypes.CDLL(str(ROOT / "build" / "libwarpwright.so"))
LIBRARY.ww_last_error.restype = ctypes.c_char_p


def answer(function, *arguments):
    text = ctypes.c_void_p()
    given = [argument if argument is None else argument.encode() for argument in arguments]
    status = getattr(LIBRARY, function)(*given, ctypes.byref(text))
    if status != 0:
        raise AssertionError(LIBRARY.ww_last_error().decode())
    value = ctypes.string_at(text.value).decode()
    LIBRARY.ww_free(text)
    return value


def answer_of_check(device, **options):
    struct = c_header.structs()["ww_check_options"]
    given = struct(struct_size=ctypes.sizeof(struct))
    for name, value in options.items():
        setattr(given, name, value if isinstance(value, int) else ctypes.cast(value, ctypes.c_void_p))
    context = ctypes.c_void_p()
    if LIBRARY.ww_context_open(device.encode(), None, ctypes.byref(context)) != 0:
        raise AssertionError(LIBRARY.ww_last_error().decode())
    text = ctypes.c_void_p()
    status = LIBRARY.ww_check(context, ctypes.byref(given), ctypes.byref(text))
    LIBRARY.ww_context_close(context)
    if status != 0:
        raise AssertionError(LIBRARY.ww_last_error().decode())
    value = ctypes.string_at(text.value).decode()
    LIBRARY.ww_free(text)
    return value


def verb(*arguments):
    result = subprocess.run([ROOT / "build" / "warpwright", *arguments], capture_output=True, text=True)
    if result.returncode > 1:
        raise AssertionError(result.stderr)
    return result.stdout.rstrip("\n")


class Questions(unittest.TestCase):
    def test_targets(self):
        self.assertEqual(answer("ww_targets_json", None), verb("targets", "--json"))
        self.assertEqual(answer("ww_targets_json", "rtx 5090"), verb("targets", "rtx-5090", "--json"))

    def test_kernels(self):
        self.assertEqual(answer("ww_kernels_json", None, None), verb("kernels", "--json"))
        self.assertEqual(answer("ww_kernels_json", "rope", "h100"),
                         verb("kernels", "--op", "rope", "--target", "h100", "--json"))

    def test_probe(self):
        ours, theirs = json.loads(answer("ww_probe_json")), json.loads(verb("probe", "--json"))
        for machine in (ours, theirs):
            self.assertGreater(machine["cpu"].pop("free_bytes"), 0)  # it changes
            machine.pop("nvrtc")  # what lies beside the binary is looked at too
        self.assertEqual(ours, theirs)

    def test_why(self):
        request = {"op": "gemm", "gpu": "rtx-5090", "set": {"m": 16, "n": 4096, "dtype": "f16", "bias": True}}
        settings = "m=16,n=4096,dtype=f16,bias=true"
        options = ["gemm", "--gpu", "rtx-5090", "--set", settings]
        self.assertEqual(answer("ww_why", json.dumps(request)), verb("why", *options, "--json"))
        self.assertEqual(answer("ww_why", json.dumps({**request, "format": "text"})).rstrip("\n"),
                         verb("why", *options).rstrip("\n"))
        row = "gemm.host.f16"  # serves no GPU: an answer, though the verb's exit status is 1
        self.assertEqual(answer("ww_why", json.dumps({**request, "row": row, "batch_invariant": True})),
                         verb("why", *options, "--row", row, "--batch-invariant", "--json"))

    def test_why_of_a_device(self):
        request = {"op": "rope", "device": "cpu", "set": {"tokens": 3}}
        self.assertEqual(answer("ww_why", json.dumps(request)),
                         verb("why", "rope", "--device", "cpu", "--set", "tokens=3", "--json"))

    def test_plan(self):
        one = {"model": "qwen3-32b", "gpu": "rtx-5090", "batch": 4, "context": 8192, "prompt": 1000, "gpus": 2}
        options = ["--model", "qwen3-32b", "--gpu", "rtx-5090", "--batch", "4", "--context", "8k", "--prompt", "1000",
                   "--gpus", "2"]
        self.assertEqual(answer("ww_plan", json.dumps(one)), verb("plan", *options, "--json"))
        self.assertEqual(answer("ww_plan", json.dumps({**one, "format": "text"})).rstrip("\n"),
                         verb("plan", *options))
        several = {"model": "llama-3.1-8b", "gpu": ["h100", "cpu"], "batch": [1, 8], "context": [2048, 1 << 20]}
        self.assertEqual(answer("ww_plan", json.dumps(several)),
                         verb("plan", "--model", "llama-3.1-8b", "--gpu", "h100,cpu", "--batch", "1,8", "--context",
                              "2k,1m", "--json"))
        self.assertIn("<html", answer("ww_plan", json.dumps({**several, "format": "html"})))

    def test_check(self):
        """Of the CPU: nothing is remembered of that."""
        report = pathlib.Path(tempfile.mkdtemp(), "report.json")
        self.addCleanup(shutil.rmtree, report.parent)
        verb("check", "--device", "cpu", "--op", "kv_append", "--seed", "3", "--report", str(report))
        theirs = report.read_text()
        ours = answer_of_check("cpu", op=b"kv_append", seed=3)
        self.assertEqual(*(re.sub(r'"seconds": .*', "", text) for text in (ours, theirs)))
        self.assertGreater(json.loads(ours)["passed"], 3)

    def test_lists(self):
        models = json.loads(answer("ww_models_json"))
        self.assertEqual(sorted(models["models"]), sorted(verb("plan", "--list").split()))
        self.assertIn("LlamaForCausalLM", models["architectures"])
        self.assertIn("cpu", json.loads(answer("ww_devices_json"))["devices"])


if __name__ == "__main__":
    unittest.main()
