# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it: exit codes, the agreed JSON, and one clear sentence for every bad input."""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "warpwright"
MODEL = ROOT / "models" / "glossary"


def warpwright(*args, env=None, text=True):
    environment = dict(os.environ, **(env or {}))
    return subprocess.run([BINARY, *args], capture_output=True, text=text, env=environment, timeout=120)


class Scratch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def model(self, **changes):
        """A copy of the shipped model; config fields changed, None removes one."""
        copy = self.path / "model"
        shutil.copytree(MODEL, copy, ignore=shutil.ignore_patterns(".cache", "golden*", "*.py", "*.png"))
        config = json.loads((copy / "config.json").read_text())
        for name, value in changes.items():
            config.pop(name) if value is None else config.update({name: value})
        (copy / "config.json").write_text(json.dumps(config))
        return copy

    def refused(self, result, *words):
        """Exit 2, nothing on stdout, one short error that has all the words."""
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertTrue(result.stderr.startswith("error: "), result.stderr)
        self.assertLessEqual(len(result.stderr.splitlines()), 3, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)


class BadInput(Scratch):
    def run_model(self, model, device="cpu"):
        return warpwright("run", "--device", device, "--model", str(model), "--prompt", "oak", "--max-tokens", "2")

    def test_missing_model(self):
        self.refused(self.run_model(self.path / "nowhere"), "nowhere")

    def test_missing_weights(self):
        copy = self.model()
        (copy / "model.safetensors").unlink()
        self.refused(self.run_model(copy), "model.safetensors")

    def test_truncated_weights(self):
        copy = self.model()
        weights = copy / "model.safetensors"
        os.truncate(weights, weights.stat().st_size - 1000)
        self.refused(self.run_model(copy), "model.safetensors", "ends at byte 115", "file has 115")

    def test_header_longer_than_the_file(self):
        copy = self.model()
        (copy / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
        self.refused(self.run_model(copy), "model.safetensors")

    def test_misshapen_weights(self):
        self.refused(self.run_model(self.model(intermediate_size=512)), "mlp.gate_proj.weight", "512", "768")

    def test_unknown_architecture(self):
        self.refused(self.run_model(self.model(architectures=["MambaForCausalLM"])), "MambaForCausalLM", "LlamaForCausalLM")

    def test_unknown_fields_are_said_and_run(self):
        copy = self.model(unheard_of=7, another="x")
        for result in (self.run_model(copy), warpwright("plan", "--model", str(copy), "--gpu", "h200")):
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("note: config.json: unknown fields, ignored: another, unheard_of\n", result.stderr)

    def test_field_that_changes_the_model(self):
        self.refused(self.run_model(self.model(num_experts=8)), "config.json", "num_experts", "got 8")

    def test_missing_field(self):
        self.refused(self.run_model(self.model(hidden_size=None)), "hidden_size")

    def test_config_that_is_not_json(self):
        copy = self.model()
        (copy / "config.json").write_text("{")
        self.refused(self.run_model(copy), "config.json")

    def test_missing_tokenizer(self):
        copy = self.model()
        (copy / "tokenizer.json").unlink()
        self.refused(self.run_model(copy), "tokenizer.json")

    def test_unknown_gpu(self):
        self.refused(warpwright("plan", "--model", str(MODEL), "--gpu", "rtx-5900"), "unknown GPU 'rtx-5900'", "rtx-5090")

    def test_unknown_device(self):
        self.refused(self.run_model(MODEL, device="tpu"), "tpu")

    def test_absent_gpu_says_what_was_looked_for(self):
        result = self.run_model(MODEL, device="cuda:31")
        self.refused(result)
        self.assertRegex(result.stderr, "cuda:31|looked for libcuda")

    def test_unknown_operation_field_and_row(self):
        self.refused(warpwright("why", "gem", "--gpu", "h100"), "unknown operation 'gem'", "gemm")
        self.refused(warpwright("why", "gemm", "--gpu", "h100", "--set", "q=1"), "no field 'q'", "m, n, k")
        self.refused(warpwright("why", "gemm", "--gpu", "h100", "--set", "m=x"), "m: expected an integer, got 'x'")
        self.refused(warpwright("why", "gemm", "--gpu", "h100", "--row", "gemm.portable.bf16.huge"), "no row named")

    def test_empty_prompt(self):
        self.refused(warpwright("run", "--device", "cpu", "--model", str(MODEL), "--prompt", ""), "empty")

    def test_prompt_that_is_not_utf8(self):
        result = subprocess.run([BINARY, "run", "--device", "cpu", "--model", MODEL, "--prompt", b"caf\xe9"], capture_output=True, text=True)
        self.refused(result, "UTF-8", "3")

    def test_prompt_longer_than_the_cache(self):
        result = warpwright("run", "--device", "cpu", "--model", str(MODEL), "--prompt", "oak " * 50, "--context", "16")
        self.refused(result, "tokens, the cache holds 16")

    def test_bad_usage(self):
        for args in ([], ["fly"], ["plan"], ["run", "--model"], ["plan", "--model", "x", "--batch", "many"]):
            self.assertEqual(warpwright(*args).returncode, 2, args)


class Cache(Scratch):
    def test_read_only_and_missing_home(self):
        for home in ("/proc/nowhere", "/dev/null"):
            result = warpwright("run", "--device", "cpu", "--model", str(MODEL), "--prompt", "oak", "--max-tokens", "2",
                                env={"HOME": home, "XDG_CACHE_HOME": home, "WARPWRIGHT_CACHE": ""})
            self.assertEqual(result.returncode, 0, result.stderr)


class Answers(Scratch):
    def test_negative_answers_exit_with_1(self):
        result = warpwright("plan", "--model", "llama-3.1-70b", "--gpu", "rtx-3090")
        self.assertEqual(result.returncode, 1)
        self.assertIn("does not fit", result.stdout)
        result = warpwright("why", "attention", "--gpu", "a100", "--set", "head_dim=512")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no row serves", result.stdout)

    def test_run_json(self):
        result = warpwright("run", "--device", "cpu", "--model", str(MODEL), "--prompt", "A violin is", "--prompt", "oak (noun):",
                            "--max-tokens", "12", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual(set(answer), {"sequences", "sampling", "timings", "stats", "plan"})
        self.assertEqual(len(answer["sequences"]), 2)
        for sequence in answer["sequences"]:
            self.assertEqual(set(sequence), {"prompt", "index", "prompt_tokens", "tokens", "text", "finish"})
            self.assertIn(sequence["finish"], ("length", "stop"))
            self.assertGreater(len(sequence["tokens"]), 0)
        self.assertEqual(set(answer["timings"]), {"load_s", "prefill_tokens_per_s", "decode_tokens_per_s"})
        self.assertEqual(answer["plan"]["target"]["gpu"], "cpu")

    def test_streamed_text_is_the_text(self):
        args = ["run", "--device", "cpu", "--model", str(MODEL), "--prompt", "A violin is", "--max-tokens", "40"]
        streamed = warpwright(*args).stdout
        whole = json.loads(warpwright(*args, "--json").stdout)["sequences"][0]["text"]
        self.assertEqual(streamed.rstrip("\n"), ("A violin is" + whole).rstrip("\n"))

    def test_random_weights_for_a_bare_config(self):
        config = self.path / "config.json"
        fields = json.loads((MODEL / "config.json").read_text())
        fields.update(num_hidden_layers=2, vocab_size=1000, tie_word_embeddings=False)
        config.write_text(json.dumps(fields))
        args = ["run", "--device", "cpu", "--model", str(config), "--weights", "random:7", "--random-prompt", "9", "--max-tokens", "5", "--json"]
        first, second = warpwright(*args), warpwright(*args)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertEqual(json.loads(first.stdout)["sequences"], json.loads(second.stdout)["sequences"])

    def test_random_weights_in_a_format(self):
        args = ["run", "--device", "cpu", "--model", str(MODEL), "--random-prompt", "9", "--max-tokens", "5", "--json"]
        random = [*args, "--weights", "random:7"]
        result = warpwright(*random, "--format", "int4")
        self.assertEqual(result.returncode, 0, result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual(answer["plan"]["model"]["weight_formats"], ["int4", "bf16"])
        self.assertIn("quantized_gemm.host.bf16.int4", result.stdout)
        self.assertEqual(answer["sequences"], json.loads(warpwright(*random, "--format", "int4").stdout)["sequences"])
        refused = warpwright(*args, "--format", "int4")
        self.assertEqual((refused.returncode, refused.stdout), (2, ""))
        self.assertIn("quantize --format int4", refused.stderr)

    def test_formats_of_the_cache(self):
        args = ["run", "--device", "cpu", "--model", str(MODEL), "--prompt", "A violin is", "--max-tokens", "8", "--json"]
        answers = {}
        for name in ("auto", "bf16", "fp8_e4m3", "fp8_e5m2"):
            result = warpwright(*args, "--kv-format", name)
            self.assertEqual(result.returncode, 0, result.stderr)
            answers[name] = json.loads(result.stdout)
            self.assertEqual("note: keys and values are kept as " + name in result.stderr, name.startswith("fp8"))
            self.assertEqual("6 of 6 layers have no scales" in result.stderr, name.startswith("fp8"))
        kept = {name: answer["plan"]["memory"]["kv_format"] for name, answer in answers.items()}
        self.assertEqual(kept, {"auto": "bf16", "bf16": "bf16", "fp8_e4m3": "fp8_e4m3", "fp8_e5m2": "fp8_e5m2"})
        self.assertEqual(answers["auto"]["sequences"], answers["bf16"]["sequences"])
        refused = warpwright(*args, "--kv-format", "int8")
        self.assertEqual((refused.returncode, refused.stdout), (2, ""))
        self.assertIn("kv_format: expected auto, bf16, same, fp8_e4m3, fp8_e5m2, got 'int8'", refused.stderr)

    def test_why_json(self):
        answer = json.loads(warpwright("why", "gemm", "--gpu", "rtx-5090", "--set", "m=4096,n=4096,k=4096", "--json").stdout)
        self.assertEqual(set(answer), {"op", "target", "problem", "chosen", "candidates"})
        self.assertEqual(answer["problem"]["m"], 4096)
        rows = {candidate["row"]: candidate for candidate in answer["candidates"]}
        self.assertTrue(rows[answer["chosen"]["row"]]["accepted"])
        for candidate in answer["candidates"]:
            wanted = {"predicted_us"} if candidate["accepted"] else {"rule", "required", "actual", "text"}
            self.assertLessEqual(wanted, set(candidate))

    def test_forcing_a_row_is_shown(self):
        rows = json.loads(warpwright("why", "gemm", "--gpu", "h100", "--set", "m=4096", "--json").stdout)["candidates"]
        other = [row["row"] for row in rows if row["accepted"]][-1]
        answer = json.loads(warpwright("why", "gemm", "--gpu", "h100", "--set", "m=4096", "--row", other, "--json").stdout)
        self.assertEqual((answer["chosen"]["row"], answer["chosen"]["forced"]), (other, True))

    def test_bench_leaves_out_what_a_forced_row_does_not_serve(self):
        bench = ["bench", "--device", "cpu", "--op", "rmsnorm"]
        answer = json.loads(warpwright(*bench, "--row", "rmsnorm.host.bf16", "--json").stdout)
        self.assertEqual([case["row"] for case in answer["cases"]], ["rmsnorm.host.bf16"])
        self.assertIn("--op rmsnorm --row rmsnorm.host.bf16", answer["command"])
        result = warpwright(*bench, "--row", "rmsnorm.host.f16", "--json")
        self.assertEqual((result.returncode, json.loads(result.stdout)["cases"]), (0, []))
        self.assertIn("1 problems are not served by rmsnorm.host.f16", result.stderr)
        self.assertEqual(warpwright("bench", "--device", "cpu", "--row", "rmsnorm.host.f16").returncode, 2)

    def test_bench_takes_the_problems_that_have_a_text(self):
        bench = ["bench", "--device", "cpu", "--set", "full", "--list"]
        listed = warpwright(*bench, "--op", "attention", "--problem", "kv=nvfp4").stdout.splitlines()
        everything = warpwright(*bench).stdout.splitlines()
        self.assertEqual(listed, [line for line in everything if line.startswith("attention ") and "kv=nvfp4" in line])
        self.assertEqual(len(listed), 3)
        result = warpwright(*bench, "--problem", "m=5 n=6")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--problem: none has 'm=5 n=6'", result.stderr)

    def test_check_report_names_what_was_checked(self):
        report = self.path / "report.json"
        result = warpwright("check", "--device", "cpu", "--op", "embedding", "--report", str(report))
        self.assertEqual(result.returncode, 0, result.stdout)
        answer = json.loads(report.read_text())
        self.assertTrue(answer["command"].endswith("--op embedding"))
        self.assertEqual({entry["op"] for entry in answer["results"]}, {"embedding"})

    def test_check_of_the_rows_that_are_named(self):
        rows = ["rmsnorm.host.f16", "rmsnorm.host.bf16"]
        named = [option for row in rows for option in ("--row", row)]
        answer = json.loads(warpwright("check", "--device", "cpu", "--op", "rmsnorm", *named, "--json").stdout)
        self.assertEqual({entry["row"] for entry in answer["results"]}, set(rows))
        self.assertTrue(answer["command"].endswith(" ".join(named)))
        self.refused(warpwright("check", "--device", "cpu", *named, "--row", "rmsnorm.host.f8"),
                     "no row named 'rmsnorm.host.f8' runs on cpu")

    def test_check_against_a_report_compares_bits(self):
        report = self.path / "report.json"
        check = ["check", "--device", "cpu", "--op", "embedding"]
        self.assertEqual(warpwright(*check, "--report", str(report)).returncode, 0)
        same = warpwright(*check, "--against", str(report))
        self.assertEqual(same.returncode, 0, same.stdout)
        self.assertIn("0 different, 0 of other inputs, 0 not there", same.stdout)
        answer = json.loads(report.read_text())
        entry = next(entry for entry in answer["results"] if entry["outcome"] == "passed")
        entry["outputs"] = "1234"
        report.write_text(json.dumps(answer))
        other = warpwright(*check, "--against", str(report))
        self.assertEqual(other.returncode, 1)
        self.assertIn(f"DIFFERENT BITS {entry['row']}: {entry['problem']}", other.stdout)
        self.assertEqual(warpwright(*check, "--no-contraction", "--against", str(report)).returncode, 2)
        report.write_text("[]")
        self.assertEqual(warpwright(*check, "--against", str(report)).returncode, 2)

    def test_every_verb_has_help_and_json(self):
        for verb in ("probe", "targets", "kernels"):
            self.assertEqual(warpwright(verb, "--help").returncode, 0)
            json.loads(warpwright(verb, "--json").stdout)
        rows = json.loads(warpwright("kernels", "--target", "h200", "--json").stdout)
        self.assertTrue(all("runs" in row for row in rows))
        self.assertIn("compute_capability", json.loads(warpwright("targets", "gb10", "--json").stdout))


if __name__ == "__main__":
    unittest.main()
