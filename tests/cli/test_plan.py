# SPDX-License-Identifier: Apache-2.0
"""plan on the command line: sweeps, comparisons, exit codes, and the page."""
import json
import pathlib
import re
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

BINARY = pathlib.Path(__file__).resolve().parents[2] / "build" / "warpwright"


def plan(*args):
    return subprocess.run([BINARY, "plan", *args], capture_output=True, text=True, timeout=60)


class Plans(unittest.TestCase):
    def refused(self, result, *words):
        self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_one_plan(self):
        result = plan("--model", "llama-3.1-8b", "--gpu", "h200")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(result.stdout.startswith("llama-3.1-8b on h200: runs\n"), result.stdout)
        for word in ("memory", "prefill", "decode", "qkv_proj", "modelled, not measured"):
            self.assertIn(word, result.stdout)

    def test_sweep(self):
        result = plan("--model", "llama-3.1-8b", "--gpu", "rtx-3090", "--context", "1k,8k,256k", "--batch", "1,64")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = [line.split() for line in result.stdout.splitlines()]
        runs = {tuple(line[:2]): line[2] for line in lines if len(line) > 3 and line[2] in ("yes", "no")}
        self.assertEqual(runs, {("1k", "1"): "yes", ("1k", "64"): "no", ("8k", "1"): "yes", ("8k", "64"): "no",
                                ("256k", "1"): "no", ("256k", "64"): "no"})
        self.assertIn("allows 131072 tokens, got 262144", result.stdout)

    def test_comparison(self):
        args = ("--model", "llama-3.1-70b", "--gpu", "a100,h200,rtx-pro-6000,rtx-5090")
        none = plan(*args)
        self.assertEqual(none.returncode, 1)
        self.assertIn("rtx-5090: 103.6 GiB too much per GPU; what fits: 8 GPUs", none.stdout)
        some = plan(*args, "--gpus", "2")
        self.assertEqual(some.returncode, 0)
        self.assertRegex(some.stdout, r"(?m)^  h200 +yes ")
        self.assertRegex(some.stdout, r"(?m)^  rtx-5090 +no ")

    def test_what_if_weights_were_in_a_format(self):
        args = ("--model", "llama-3.1-8b", "--gpu", "h200")
        one = plan(*args, "--format", "int4")
        self.assertEqual(one.returncode, 0, one.stderr)
        self.assertIn("weights in int4, bf16\n", one.stdout)
        self.assertRegex(one.stdout, r"(?m)^  down_proj +32 .* quantized_gemm\.")
        self.assertRegex(one.stdout, r"(?m)^  lm_head +1 .* gemm\.")
        answer = json.loads(plan(*args, "--format", "int4,fp8,bf16", "--json").stdout)
        self.assertEqual([p["format"] for p in answer["plans"]], ["int4", "fp8", "bf16"])
        stored = json.loads(plan(*args, "--json").stdout)
        int4, fp8, bf16 = (p["memory"]["weights_bytes"] for p in answer["plans"])
        self.assertEqual(bf16, stored["memory"]["weights_bytes"])
        # 6.98e9 weights of 16 bits less are 8 or 4 of them, and a scale: of fp8, whose inputs are of 8 bits too, one
        # f32 for each row; of int4 one bf16 for 128.
        in_layers = 32 * (4096 * (6144 + 4096 + 2 * 14336) + 14336 * 4096)
        rows = 32 * (6144 + 4096 + 2 * 14336 + 4096)
        self.assertEqual(bf16 - fp8, in_layers - 4 * rows)
        self.assertEqual(bf16 - int4, in_layers * 3 // 2 - 2 * in_layers // 128)
        speeds = [p["phases"]["decode"]["tokens_per_s"] for p in answer["plans"]]
        self.assertEqual(speeds, sorted(speeds, reverse=True))
        formats = {layer["name"].split(".")[-1]: layer["format"] for layer in answer["plans"][0]["layers"]}
        self.assertEqual((formats["qkv_proj"], formats["lm_head"], formats["rope"]), ("int4", "bf16", "-"))

    def test_experts_in_a_format(self):
        stored, int4 = (json.loads(plan("--model", "qwen3-30b-a3b", "--gpu", "h200", "--json", *more).stdout)
                        for more in ((), ("--format", "int4")))
        # 29.0 of the 30.5 billion weights are experts'; 128 codes share a scale of two bytes.
        share = int4["memory"]["weights_bytes"] / stored["memory"]["weights_bytes"]
        self.assertTrue(0.25 < share < 0.29, share)
        ops = {phase: {entry["name"].rsplit(".", 1)[-1]: entry[phase]["op"] for entry in int4["layers"]
                       if ".experts." in entry["name"] and entry[phase]["op"]} for phase in ("decode", "prefill")}
        self.assertEqual(ops, {"decode": dict.fromkeys(("gate_up", "down"), "quantized_experts"),
                               "prefill": dict.fromkeys(("gate_proj", "up_proj", "down_proj"), "quantized_gemm")})

    def test_latent_attention(self):
        args = ("--gpu", "h200", "--gpus", "8", "--json")
        v3 = json.loads(plan("--model", "deepseek-v3", *args).stdout)
        # A vector of 576 for all heads, on each GPU; weights of 8 bits, and a scale for 128 x 128.
        self.assertEqual(v3["memory"]["kv_bytes_per_token"], 61 * 576 * 2)
        self.assertTrue(83e9 < v3["memory"]["weights_bytes"] < 92e9, v3["memory"])
        layers = {entry["name"].rsplit(".", 1)[-1]: entry for entry in v3["layers"]}
        self.assertEqual([layers[name]["decode"]["op"] for name in ("qkv_a_proj", "absorb_keys", "mla", "absorb_values")],
                         ["scaled_gemm", "grouped_gemm", "mla", "grouped_gemm"])
        self.assertGreater(layers["mla"]["decode"]["chosen"]["predicted_us"], 0)
        self.assertTrue(any("absorbed into queries and outputs" in note for note in v3["model"]["weight_notes"]), v3["model"])
        codes = json.loads(plan("--model", "deepseek-v3", "--kv-format", "fp8", *args).stdout)
        self.assertEqual(codes["memory"]["kv_bytes_per_token"], 61 * 576)
        rows = {entry["name"].rsplit(".", 1)[-1]: entry["decode"]["chosen"]["row"] for entry in codes["layers"]
                if entry["name"].endswith((".mla", ".rope"))}
        self.assertRegex(rows["rope"] + " " + rows["mla"], r"^rope\.portable\.bf16\.codes\.t256 mla\.portable\.bf16\.codes\.r\d+$")
        self.assertEqual(plan("--model", "deepseek-v3", "--gpu", "h200", "--kv-format", "fp8_e5m2").returncode, 2)
        v32 = json.loads(plan("--model", "deepseek-v3.2-exp", "--context", "16k", *args).stdout)
        # And a key of 128 for the indexer; logits of every key for 2048 tokens of a prompt. Its prompts run absorbed.
        self.assertEqual(v32["memory"]["kv_bytes_per_token"], 61 * (576 + 128) * 2)
        short = json.loads(plan("--model", "deepseek-v3.2-exp", "--context", "2k", *args).stdout)
        self.assertEqual(v32["memory"]["workspace_bytes"] - short["memory"]["workspace_bytes"], 2048 * (16384 - 2048) * 4)
        layers = {entry["name"].rsplit(".", 1)[-1]: entry["decode"]["op"] for entry in v32["layers"]}
        self.assertEqual([layers[name] for name in ("k_norm", "weights_proj", "index_rope", "index_logits", "index_topk")],
                         ["rmsnorm", "gemm", "rope", "index_logits", "index_topk"])
        self.assertNotIn("expand", layers)
        codes = json.loads(plan("--model", "deepseek-v3.2-exp", "--context", "16k", "--kv-format", "fp8", *args).stdout)
        # Its 128 codes and their scale.
        self.assertEqual(codes["memory"]["kv_format"], "fp8_e4m3")
        self.assertEqual(codes["memory"]["kv_bytes_per_token"], 61 * (576 + 132))
        self.assertEqual(codes["memory"]["workspace_bytes"], v32["memory"]["workspace_bytes"])
        self.assertEqual(list(codes["phases"]["decode"]["kinds_us"]), list(v32["phases"]["decode"]["kinds_us"]))
        rows = [entry["decode"]["chosen"]["row"] for entry in codes["layers"] if ".indexer.index_" in entry["name"]]
        self.assertEqual(rows, ["rope.portable.bf16.t256", "latent_append.portable.t128v1", "index_logits.portable.bf16_e4m3",
                                "index_topk.portable"])
        lite = json.loads(plan("--model", "deepseek-v2-lite", "--gpu", "h200", "--json").stdout)
        self.assertEqual(lite["memory"]["kv_bytes_per_token"], 27 * 576 * 2)
        self.assertNotIn("model.layers.*.self_attn.q_b_proj", [entry["name"] for entry in lite["layers"]])
        result = plan("--model", "kimi-k2", "--gpu", "h200,b200", "--gpus", "8", "--format", "bf16,fp8-block,int4")
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [line.split() for line in result.stdout.splitlines() if re.match(r"  (h|b)200 ", line)]
        self.assertEqual([(row[0], row[1], row[2], float(row[5]) > 0) for row in rows],
                         [("h200", "bf16", "no", False), ("h200", "fp8-block", "yes", True), ("h200", "int4", "yes", True),
                          ("b200", "bf16", "no", False), ("b200", "fp8-block", "yes", True), ("b200", "int4", "yes", True)])
        runs = plan("--model", "deepseek-v3", "--gpu", "h200", "--gpus", "8")
        self.assertEqual(runs.returncode, 0)
        self.assertRegex(runs.stdout, r"(?m)^  attention +[0-9.]+ ms")

    def test_formats_side_by_side(self):
        # On one GPU what fits depends on the format.
        result = plan("--model", "llama-3.1-70b", "--gpu", "rtx-pro-6000", "--format", "all")
        self.assertEqual(result.returncode, 0, result.stderr)
        runs = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines()
                if len(line.split()) > 3 and line.split()[1] in ("yes", "no")}
        self.assertEqual(runs, {"bf16": "no", "int4": "yes", "int4-asym": "yes", "int8": "yes", "fp8": "yes",
                                "fp8-tensor": "yes", "fp8-block": "yes", "mxfp8": "yes", "mxfp4": "yes", "nvfp4": "yes"})
        self.assertIn("    bf16: ", result.stdout)  # why not
        both = plan("--model", "llama-3.1-70b", "--gpu", "h200,l4", "--format", "int4,bf16")
        self.assertRegex(both.stdout, r"(?m)^  l4 +bf16 +no ")
        self.assertRegex(both.stdout, r"(?m)^  h200 +int4 +yes ")
        sweep = plan("--model", "llama-3.1-8b", "--gpu", "l4", "--format", "int4,bf16", "--context", "1k,8k")
        self.assertRegex(sweep.stdout, r"(?m)^  int4 +8k +1 +yes ")
        self.refused(plan("--model", "llama-3.1-8b", "--gpu", "h200", "--format", "int5"), "int4", "'int5'", "nearest: int")

    def test_formats_of_the_cache(self):
        args = ("--model", "llama-3.1-8b", "--gpu", "h200", "--batch", "16", "--context", "8k")
        one = plan(*args, "--kv-format", "fp8_e4m3")
        self.assertEqual(one.returncode, 0, one.stderr)
        self.assertIn("8.0 GiB cache (64.0 KiB a token)", one.stdout)
        self.assertIn("\n           keys and values in fp8_e4m3\n", one.stdout)
        self.assertRegex(one.stdout, r"(?m)^  rope +32 .* rope\.portable\.bf16\.codes\.t256$")
        stored = plan(*args).stdout
        self.assertIn("16.0 GiB cache (128.0 KiB a token)", stored)
        self.assertNotIn("keys and values", stored)
        table = plan(*args, "--kv-format", "all")
        self.assertEqual([line.split()[:3] for line in table.stdout.splitlines() if " yes " in line],
                         [["bf16", "yes", "15.0"], ["fp8_e4m3", "yes", "15.0"], ["fp8_e5m2", "yes", "15.0"]])
        both = json.loads(plan(*args, "--kv-format", "bf16,fp8_e4m3", "--format", "int4", "--json").stdout)["plans"]
        self.assertEqual([p["memory"]["kv_format"] for p in both], ["bf16", "fp8_e4m3"])
        self.assertEqual([p["memory"]["kv_bytes_per_token"] for p in both], [131072, 65536])
        self.assertLess(both[1]["phases"]["decode"]["predicted_us"], both[0]["phases"]["decode"]["predicted_us"])
        self.refused(plan(*args, "--kv-format", "int8"), "kv_format: expected auto, bf16, same, fp8_e4m3, fp8_e5m2, got 'int8'")

    def test_all_gpus(self):
        targets = json.loads(subprocess.run([BINARY, "targets", "--json"], capture_output=True, text=True).stdout)
        answer = json.loads(plan("--model", "llama-3.2-1b", "--gpu", "all", "--json").stdout)
        self.assertEqual(set(answer), {"plans"})
        self.assertEqual(len(answer["plans"]), len(targets["targets"] if isinstance(targets, dict) else targets))

    def test_refusals_of_some_points_are_theirs(self):
        args = ("--model", "llama-3.1-8b", "--gpus", "2", "--link", "nvlink", "--json")
        answer = json.loads(plan(*args, "--gpu", "h200,rtx-5090").stdout)
        self.assertIn("memory", answer["plans"][0])
        self.assertEqual(answer["plans"][1]["refused"], "rtx-5090 has no link 'nvlink'; it has: pcie")
        self.refused(plan(*args, "--gpu", "rtx-5090,rtx-5080"), "no link 'nvlink'")

    def test_why(self):
        result = plan("--model", "llama-3.1-8b", "--gpu", "h200", "--why", "down_proj")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.count("\nprefill: gemm on h200"), 1)
        self.assertIn("refused   gemm.host.bf16", result.stdout)
        everything = plan("--model", "llama-3.1-8b", "--gpu", "h200", "--verbose").stdout
        self.assertEqual(everything.count("\ndecode: "), 15)
        wrong = plan("--model", "llama-3.1-8b", "--gpu", "h200", "--why", "donw_proj")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("no layer's name has 'donw_proj' in it; nearest: ", wrong.stderr)

    def test_names(self):
        listed = plan("--list")
        self.assertEqual(listed.returncode, 0)
        self.assertIn("llama-3.1-70b", listed.stdout.split())
        unknown = plan("--model", "llama-3.1-8c", "--gpu", "h200")
        self.refused(unknown, "no model 'llama-3.1-8c'", "nearest: llama-3.1-8b")
        self.assertTrue(unknown.stderr.endswith(listed.stdout))
        self.refused(plan("--gpu", "h200"), "--model", "--list")

    def test_bad_numbers(self):
        for option in ("--context", "--batch", "--prompt"):
            for text in ("0", "-1", "many", "8q", "1kk", "99999999999999999999"):
                self.refused(plan("--model", "llama-3.1-8b", "--gpu", "h200", f"{option}={text}"), option, text)

    def test_page(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "plan.html")
            args = ("--model", "llama-3.1-70b", "--gpu", "h200,rtx-5090", "--context", "2k,64k")
            for some in (args, args[:4], args[:2] + ("--gpu", "h200", "--gpus", "2"),
                         args[:4] + ("--format", "all"), args[:2] + ("--gpu", "h200", "--format", "int4")):
                result = plan(*some, "--html", str(path))
                self.assertIn(result.returncode, (0, 1), result.stderr)
                page = path.read_text()
                root = xml.etree.ElementTree.fromstring(page)  # well-formed: every element closed, all escaped
                for word in ("http:", "https:", "src=", "@import", "url(", "<script"):
                    self.assertNotIn(word, page)
                for table in root.iter("table"):
                    columns = {len(row) for row in table.iter("tr")}
                    self.assertEqual(len(columns), 1, columns)
                    heads = [cell for cell in table.iter("th")]
                    self.assertTrue(all(cell.get("scope") in ("col", "row") for cell in heads))
                bars = list(root.iter("svg"))
                self.assertGreaterEqual(len(bars), 3)
                for bar in bars:
                    self.assertEqual(bar.get("role"), "img")
                    self.assertIn(": ", bar.get("aria-label"))
                    ends = [float(r.get("x")[:-1]) + float(r.get("width")[:-1]) for r in bar.iter("rect")]
                    self.assertLess(max(ends), 100.01)
        self.refused(plan("--model", "llama-3.2-1b", "--gpu", "h200", "--html", "/nowhere/plan.html"), "--html", "/nowhere")


if __name__ == "__main__":
    unittest.main()
