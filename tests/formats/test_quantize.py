# SPDX-License-Identifier: Apache-2.0
"""warpwright quantize: what it writes runs, is what compressed-tensors and transformers read, goes on after a kill,
and is never half there."""
import json
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WARPWRIGHT = ROOT / "build" / "warpwright"
MODEL = ROOT / "models" / "glossary"
FORMATS = ["int4", "int4-asym", "int8", "fp8", "fp8-tensor", "fp8-block", "mxfp8", "mxfp4", "nvfp4"]


def header_of(path):
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))


class Quantize(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def quantize(self, *arguments, model=MODEL, out="out", code=0):
        command = [WARPWRIGHT, "quantize", "--model", model, "--out", self.folder / out, *arguments]
        result = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr if code else result.stdout

    def text_of(self, folder, *options):
        command = [WARPWRIGHT, "run", "--model", folder, "--device", "cpu", "--prompt", "A list is",
                   "--temperature", "0", "--max-tokens", "12", "--json", *options]
        result = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)["sequences"][0]["text"]

    def test_every_format_runs(self):
        for name in FORMATS:
            with self.subTest(name):
                answer = json.loads(self.quantize("--format", name, "--json", out=name))
                self.assertEqual(answer["tensors"]["quantized"], 6 * 7)
                self.assertEqual(answer["resumed_bytes"], 0)
                size = (self.folder / name / "model.safetensors").stat().st_size
                self.assertEqual(answer["written_bytes"], size)
                text = self.text_of(self.folder / name)
                self.assertGreater(len(text.split()), 3)
                if name == "int8":  # as codes or as numbers
                    self.assertEqual(self.text_of(self.folder / name, "--format", "bf16"), text)
                config = json.loads((self.folder / name / "config.json").read_text())["quantization_config"]
                self.assertEqual(config["quant_method"], "compressed-tensors")
                self.assertTrue((self.folder / name / "tokenizer.json").exists())
                self.assertFalse((self.folder / (name + ".part")).exists())
        # 8-bit weights begin as the original ones do.
        self.assertEqual(self.text_of(self.folder / "int8").split()[:4], self.text_of(MODEL).split()[:4])

    def test_gptq(self):
        answer = json.loads(self.quantize("--format", "int4", "--gptq", "--calibration-tokens", "700", "--json", out="a"))
        self.assertEqual(answer["calibration_tokens"], 700)
        self.assertEqual(answer["tensors"]["quantized"], 6 * 7)
        self.quantize("--format", "int4", out="nearest")
        ours, nearest = (header_of(self.folder / name / "model.safetensors") for name in ("a", "nearest"))
        self.assertEqual({name: entry["shape"] for name, entry in ours.items() if name != "__metadata__"},
                         {name: entry["shape"] for name, entry in nearest.items() if name != "__metadata__"})
        self.assertEqual(sorted(path.name for path in (self.folder / "a").iterdir()),
                         sorted(path.name for path in (self.folder / "nearest").iterdir()))
        self.assertEqual((self.folder / "a" / "config.json").read_bytes(),
                         (self.folder / "nearest" / "config.json").read_bytes())
        self.assertEqual(self.text_of(self.folder / "a").split()[:2], self.text_of(MODEL).split()[:2])
        # Other columns first, zero points, and a text of one's own, of which a sequence is what there is.
        text = self.folder / "text"
        text.write_text("A list is a series. " * 20)
        answer = json.loads(self.quantize("--format", "int4-asym", "--gptq", "--act-order", "--calibration", text, "--json",
                                          out="b"))
        self.assertLess(answer["calibration_tokens"], 200)
        self.text_of(self.folder / "b")

    def test_gptq_goes_on_after_a_kill(self):
        options = ["--format", "int4", "--gptq", "--calibration-tokens", "128", "--threads", "1"]
        self.quantize(*options, out="whole")
        command = [WARPWRIGHT, "quantize", "--model", MODEL, "--out", self.folder / "out", *options, "--json"]
        state = self.folder / "out.part" / "quantize.state"
        for attempt in range(20):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while process.poll() is None:
                try:
                    if json.loads(state.read_text())["jobs_done"] > 14 + 7:  # what is kept, and a layer
                        process.send_signal(signal.SIGKILL)
                        break
                except (FileNotFoundError, json.JSONDecodeError):
                    pass
                time.sleep(0.0002)
            process.communicate()
            if process.returncode != 0:
                break
            shutil.rmtree(self.folder / "out")  # it ended before this process was given the time to kill it
        self.assertEqual(process.returncode, -signal.SIGKILL)
        self.assertFalse((self.folder / "out").exists())
        answer = json.loads(self.quantize(*options, "--json"))
        self.assertGreater(answer["resumed_bytes"], 0)
        self.assertEqual((self.folder / "out" / "model.safetensors").read_bytes(),
                         (self.folder / "whole" / "model.safetensors").read_bytes())
        self.assertEqual(sorted(path.name for path in (self.folder / "out").iterdir()),
                         sorted(path.name for path in (self.folder / "whole").iterdir()))

    def test_gptq_refusals(self):
        self.assertIn("gptq: expected format int4 or int4-asym, got fp8", self.quantize("--format", "fp8", "--gptq", code=2))
        self.assertIn("--gptq", self.quantize("--format", "int4", "--act-order", code=2))
        self.assertIn("no-such-text", self.quantize("--format", "int4", "--gptq", "--calibration",
                                                    self.folder / "no-such-text", code=2))
        (self.folder / "short").write_text("A list.")
        self.assertIn("calibration: expected a text of at least 16 tokens, got ",
                      self.quantize("--format", "int4", "--gptq", "--calibration", self.folder / "short", out="c", code=2))
        (self.folder / "bytes").write_bytes(b"A list \xff" * 20)
        self.assertIn("UTF-8", self.quantize("--format", "int4", "--gptq", "--calibration", self.folder / "bytes",
                                             out="d", code=2))

    def test_quantised_into_another_format(self):
        self.quantize("--format", "fp8", out="first")
        self.quantize("--format", "int4", "--group", "64", model=self.folder / "first", out="second")
        names = set(header_of(self.folder / "second" / "model.safetensors"))
        self.assertIn("model.layers.0.mlp.up_proj.weight_packed", names)
        self.assertNotIn("model.layers.0.mlp.up_proj.weight", names)
        self.text_of(self.folder / "second")

    def test_tensors_are_aligned(self):
        self.quantize("--format", "nvfp4")
        for name, entry in header_of(self.folder / "out" / "model.safetensors").items():
            if name != "__metadata__":
                width = {"F32": 4, "I32": 4, "BF16": 2}.get(entry["dtype"], 1)
                self.assertEqual(entry["data_offsets"][0] % width, 0, name)

    def test_refusals(self):
        self.assertIn("no format 'int5': expected int4, ", self.quantize("--format", "int5", code=2))
        self.assertIn("groups of 96 do not divide the 256 columns",
                      self.quantize("--format", "int4", "--group", "96", code=2))
        self.assertFalse((self.folder / "out").exists())
        (self.folder / "out").mkdir()
        self.assertIn("exists already", self.quantize("--format", "int4", code=2))
        (self.folder / "other.part").mkdir()
        (self.folder / "other.part" / "notes.txt").write_text("mine")
        self.assertIn("is not of a run that was stopped", self.quantize("--format", "int4", out="other", code=2))
        self.assertTrue((self.folder / "other.part" / "notes.txt").exists())

    def test_weights_that_are_not_finite(self):
        broken = self.folder / "broken"
        shutil.copytree(MODEL, broken)
        path = broken / "model.safetensors"
        data = bytearray(path.read_bytes())
        start = 8 + struct.unpack("<Q", data[:8])[0]
        at = start + header_of(path)["model.layers.3.mlp.up_proj.weight"]["data_offsets"][0]
        data[at : at + 2] = b"\x80\x7f"  # infinity
        path.write_bytes(data)
        self.assertIn("tensor model.layers.3.mlp.up_proj.weight: expected finite weights, got inf",
                      self.quantize("--format", "fp8", model=broken, code=2))

    def test_goes_on_after_a_kill(self):
        """Killed again and again at other places, it still becomes what one run makes; until then there is no folder."""
        self.quantize("--format", "int4", out="whole")
        command = [WARPWRIGHT, "quantize", "--model", MODEL, "--format", "int4", "--out", self.folder / "out", "--json",
                   "--threads", "1"]
        num_kills, answer = 0, None
        for attempt in range(200):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            state = self.folder / "out.part" / "quantize.state"
            done = json.loads(state.read_text())["jobs_done"] if state.exists() else 0
            while process.poll() is None and num_kills < 4:
                try:
                    if json.loads(state.read_text())["jobs_done"] > done + 2:
                        process.send_signal(signal.SIGKILL)
                        break
                except (FileNotFoundError, json.JSONDecodeError):
                    pass
                time.sleep(0.0002)
            text, _ = process.communicate()
            if process.returncode == 0:
                answer = json.loads(text)
                if num_kills > 0:
                    break
                shutil.rmtree(self.folder / "out")  # it ended before this process was given the time to kill it
                continue
            self.assertEqual(process.returncode, -signal.SIGKILL)
            self.assertFalse((self.folder / "out").exists())
            num_kills += 1
        self.assertGreater(num_kills, 0, "it always ended before it could be killed")
        self.assertGreater(answer["resumed_bytes"], 0)
        for name in ("model.safetensors", "config.json"):
            whole = (self.folder / "whole" / name).read_bytes()
            self.assertEqual((self.folder / "out" / name).read_bytes(), whole, name)
        self.assertEqual(sorted(path.name for path in (self.folder / "out").iterdir()),
                         sorted(path.name for path in (self.folder / "whole").iterdir()))

    def test_what_was_stopped_with_other_settings_is_begun_again(self):
        part = self.folder / "out.part"
        part.mkdir()
        (part / "quantize.state").write_text(json.dumps({"work": "other", "boot": "", "jobs_done": 7}))
        (part / "model.safetensors").write_text("of another run")
        self.assertEqual(json.loads(self.quantize("--format", "int8", "--json"))["resumed_bytes"], 0)
        self.text_of(self.folder / "out")


class WithTheirPackages(unittest.TestCase):
    """The packages that others read such checkpoints with."""

    @classmethod
    def setUpClass(cls):
        try:
            import compressed_tensors
            import torch
            import transformers
        except ImportError as error:
            raise unittest.SkipTest(f"no {error.name}")
        cls.torch, cls.transformers, cls.compressed_tensors = torch, transformers, compressed_tensors
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        for name in FORMATS:
            subprocess.run([WARPWRIGHT, "quantize", "--model", MODEL, "--format", name, "--out", cls.folder / name],
                           check=True, capture_output=True)

    @classmethod
    def tearDownClass(cls):
        if hasattr(cls, "temporary"):
            cls.temporary.cleanup()

    def test_transformers_loads_and_computes(self):
        ids = self.torch.tensor([[0, 45, 300, 17, 920]])

        def logits_of(folder, **settings):
            model = self.transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=self.torch.bfloat16, attn_implementation="eager", **settings)
            with self.torch.no_grad():
                return model(ids, attention_mask=self.torch.ones_like(ids), use_cache=False).logits.float()

        expected = logits_of(MODEL)
        for name in FORMATS:
            with self.subTest(name):
                settings = self.transformers.CompressedTensorsConfig(run_compressed=False)
                logits = logits_of(self.folder / name, quantization_config=settings)
                error = float((logits - expected).norm() / expected.norm())
                # Between bf16's own error and that of weights which have nothing to do with these.
                self.assertLess(error, 0.25 if "4" in name else 0.06)
                self.assertGreater(error, 0.001)


if __name__ == "__main__":
    unittest.main()
