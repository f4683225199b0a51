# SPDX-License-Identifier: Apache-2.0
"""plan on the command line: sweeps, comparisons, exit codes, and the page."""
import json
import pathlib
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
        self.assertEqual(everything.count("\ndecode: "), 16)
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
            for some in (args, args[:4], args[:2] + ("--gpu", "h200", "--gpus", "2")):
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
