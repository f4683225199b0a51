# SPDX-License-Identifier: Apache-2.0
"""warpwright bench: peers of every kind are kept, an interrupted run goes on, every row is timed."""
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NORM = ["bench", "--device", "cpu", "--op", "rmsnorm", "--no-roofline"]
PROBLEM = "tokens=64 hidden=4096 residual bf16"


def warpwright(*arguments):
    return subprocess.run([ROOT / "build" / "warpwright", *arguments], capture_output=True, text=True)


class Bench(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_every_peer_is_kept(self):
        peers = self.folder / "peers.jsonl"
        lines = [{"gpu": "x", "torch": "y"}, {"op": "rmsnorm", "problem": PROBLEM, "peer": "torch add + rms_norm", "us": 900},
                 {"op": "rmsnorm", "problem": PROBLEM, "peer": "fast one", "us": 300},
                 {"op": "rmsnorm", "problem": "another", "peer": "fast one", "us": 1}]
        peers.write_text("".join(json.dumps(line) + "\n" for line in lines) + "not JSON\n")
        case, = json.loads(warpwright(*NORM, "--peers", peers, "--json").stdout)["cases"]
        self.assertEqual(case["peers"], {"fast one": 300, "torch add + rms_norm": 900})
        self.assertEqual((case["peer"], case["bar_peer"]), ("fast one", "torch add + rms_norm"))
        self.assertAlmostEqual(case["ratio"], 300 / case["us"])
        self.assertAlmostEqual(case["bar_ratio"], 900 / case["us"])
        text = warpwright(*NORM, "--peers", peers).stdout
        self.assertRegex(text, r"\nrmsnorm +1 +[\d.]+ +[\d.]+ +[\d.]+ +-")

    def test_an_interrupted_run_goes_on(self):
        out = self.folder / "results.json"
        first = warpwright(*NORM, "--out", out)
        self.assertEqual(first.returncode, 0, first.stderr)
        results = json.loads(out.read_text())
        results["cases"][0]["us"] = 123456.5
        out.write_text(json.dumps(results))
        again = json.loads(warpwright(*NORM, "--out", out, "--resume", "--json").stdout)
        self.assertEqual([case["us"] for case in again["cases"]], [123456.5])
        self.assertNotEqual(json.loads(warpwright(*NORM, "--out", out, "--json").stdout)["cases"][0]["us"], 123456.5)
        other = warpwright(*NORM, "--row", "rmsnorm.host.bf16", "--out", out, "--resume")
        self.assertEqual(other.returncode, 2)
        self.assertIn("expected command 'warpwright bench --device cpu", other.stderr)
        out.write_text("[]")
        self.assertIn("expected results of 'warpwright bench'", warpwright(*NORM, "--out", out, "--resume").stderr)

    def test_every_row_is_timed(self):
        result = warpwright(*NORM, "--rows", "all", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        case, = json.loads(result.stdout)["cases"]
        self.assertEqual([row["row"] for row in case["rows"]], ["rmsnorm.host.bf16"])
        self.assertTrue(case["rows"][0]["chosen"])
        self.assertEqual(case["share_of_best"], 1)
        text = warpwright(*NORM, "--rows", "all").stdout
        self.assertRegex(text, r"\n  \* rmsnorm\.host\.bf16 +[\d.]+ +[\d.]+ x best +1\.00\n")
        self.assertIn("chosen within 15% of the best row: 1 of 1 problems (100%)", text)

    def test_memory_heads_the_output(self):
        result = warpwright(*[word for word in NORM if word != "--no-roofline"], "--json")
        answer = json.loads(result.stdout)
        self.assertGreater(answer["roofline"]["read_gb_s"], 1)
        case = answer["cases"][0]
        self.assertAlmostEqual(case["share"], case["gb_s"] / answer["roofline"]["copy_gb_s"])

    def test_host_overhead(self):
        out = self.folder / "host.json"
        result = warpwright("bench", "--device", "cpu", "--host", "--json", "--out", out)
        answer = json.loads(result.stdout)
        self.assertEqual(answer, json.loads(out.read_text()))
        self.assertEqual(answer["command"], "warpwright bench --device cpu --host")
        for found in answer["host_overhead"]:
            self.assertLess(found["choose_cached_us"], found["choose_us"])
        lines = warpwright("bench", "--device", "cpu", "--host").stdout.splitlines()
        self.assertEqual(len(lines), 1 + len(answer["host_overhead"]))

    def test_wrong_options(self):
        for options, text in ((["--rows", "some"], "expected chosen or all, got 'some'"), (["--resume"], "expected --out"),
                              (["--op", "gem"], "no problem of 'gem'"), (["--op", "gemm", "--row", "x", "--rows", "all"], "exclude each other")):
            result = warpwright("bench", "--device", "cpu", *options)
            self.assertEqual(result.returncode, 2, options)
            self.assertIn(text, result.stderr)
        emulated = warpwright("bench", "--device", "emulated:h200")
        self.assertEqual(emulated.returncode, 2)
        self.assertIn("an emulated GPU has no times", emulated.stderr)

    def test_problems_have_peers_or_none_can_be(self):
        """peers.py knows every operation that is timed, but for those that no peer has."""
        timed = {line.split(" ")[0] for line in warpwright("bench", "--list", "--set", "full").stdout.splitlines()}
        known = re.search(r"^PEERS = {(.*?)}", (ROOT / "bench" / "peers.py").read_text(), re.MULTILINE | re.DOTALL).group(1)
        self.assertEqual(timed - {"logits", "quantize", "dequantize", "moe_route", "moe_permute", "moe_combine", "grouped_gemm", "cascade"}, set(re.findall(r'"(\w+)":', known)))


if __name__ == "__main__":
    unittest.main()
