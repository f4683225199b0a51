# SPDX-License-Identifier: Apache-2.0
"""warpwright tune: a table that grows, goes on, and is what choices go by; why says so."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TUNE = ["tune", "--device", "cpu", "--op", "rmsnorm", "--budget-ms", "1"]
GEMM = ["why", "gemm", "--gpu", "rtx-5090", "--set", "m=512,n=4096,k=4096"]


class Tune(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def warpwright(self, *arguments):
        return subprocess.run([ROOT / "build" / "warpwright", *arguments], capture_output=True, text=True,
                              env=os.environ | {"WARPWRIGHT_CACHE": str(self.folder)})

    def table(self, target, entries):
        path = self.folder / "tuning" / f"{target}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"target": target, "gpu": "G", "date": "2026-11-25", "entries": entries}))
        return path

    def why(self):
        return json.loads(self.warpwright(*GEMM, "--json").stdout)

    def absurd(self):
        """Every row takes a second but the one that is thought to be the slowest."""
        rows = sorted((row for row in self.why()["candidates"] if row["accepted"]), key=lambda row: row["predicted_us"])
        us = {row["row"]: 1e6 for row in rows} | {rows[-1]["row"]: 1.0}
        return rows[0]["row"], rows[-1]["row"], {"op": "gemm", "problem": {"m": 512, "n": 4096, "k": 4096}, "us": us}

    def test_choices_go_by_the_users_table(self):
        best, worst, entry = self.absurd()
        self.assertEqual(self.why()["chosen"]["row"], best)
        self.table("rtx-5090", [entry])
        chosen = self.why()["chosen"]
        self.assertEqual((chosen["row"], chosen["predicted_us"], chosen["basis"]), (worst, 1.0, "measured"))
        self.assertRegex(self.warpwright(*GEMM).stdout, rf"chosen +{re.escape(worst)} .*\(measured\)")
        forced = self.warpwright(*GEMM, "--row", best, "--json")
        self.assertEqual(json.loads(forced.stdout)["chosen"]["row"], best)
        invariant = json.loads(self.warpwright(*GEMM, "--batch-invariant", "--json").stdout)
        self.assertEqual(invariant["chosen"]["basis"], "modelled")
        other_gpu = [word.replace("rtx-5090", "rtx-pro-6000") for word in GEMM]
        self.assertEqual(json.loads(self.warpwright(*other_gpu, "--json").stdout)["chosen"]["basis"], "modelled")

    def test_a_flawed_table_counts_for_nothing_and_is_named(self):
        best, _, entry = self.absurd()
        for flaw, text in (({"us": {"gemm.nothing": 1}}, "gemm: no row named 'gemm.nothing'; nearest: gemm."),
                           ({"problem": {"mm": 1}}, "gemm: no field 'mm'; fields: m, n, k"),
                           ({"op": "gem"}, "unknown operation 'gem'; nearest: gemm")):
            path = self.table("rtx-5090", [entry, entry | flaw])
            answer = self.why()
            self.assertEqual(answer["chosen"]["row"], best)
            self.assertTrue(answer["tuning_problem"].startswith(f"{path}: entry 1: {text}"), answer["tuning_problem"])
            self.assertIn(f"note: the tuning table is not used: {path}: entry 1", self.warpwright(*GEMM).stdout)
        path = self.table("rtx-5090", [])
        path.rename(path.with_name("h200.json"))
        answer = self.warpwright("why", "gemm", "--gpu", "h200").stdout
        self.assertIn("expected times of h200, got rtx-5090", answer)

    def test_problems_are_of_operations(self):
        operations = {line.split()[0] for line in self.warpwright("tune", "--list").stdout.splitlines()}
        self.assertGreater(len(operations), 10)
        self.assertLess({"gemm", "quantized_gemm", "scaled_gemm", "attention"}, operations)
        for operation in operations:
            self.assertEqual(self.warpwright("why", operation, "--gpu", "h200").returncode, 0, operation)

    def test_a_table_grows_and_goes_on(self):
        problems = self.warpwright(*TUNE, "--list").stdout.splitlines()
        self.assertGreater(len(problems), 5)
        first = self.warpwright(*TUNE)
        self.assertEqual(first.returncode, 0, first.stderr)
        path = self.folder / "tuning" / "cpu.json"
        table = json.loads(path.read_text())
        self.assertEqual(len(table["entries"]), len(problems))
        self.assertEqual(table["target"], "cpu")
        self.assertEqual(table["entries"][0], {"op": "rmsnorm", "problem": {"tokens": 64},
                                               "us": table["entries"][0]["us"]})
        self.assertEqual(list(table["entries"][0]["us"]), ["rmsnorm.host.bf16"])
        why = self.warpwright("why", "rmsnorm", "--set", "tokens=64,hidden=4096,residual=1").stdout
        self.assertIn("(measured)", why)

        again = self.warpwright(*TUNE)
        self.assertEqual(len(again.stdout.splitlines()), 1)  # nothing is left to measure
        table["entries"] = table["entries"][:2]
        table["entries"][0]["us"]["rmsnorm.host.bf16"] = 123456.0
        path.write_text(json.dumps(table))
        goes_on = json.loads(self.warpwright(*TUNE, "--json").stdout)
        self.assertEqual(len(goes_on["entries"]), len(problems))
        self.assertEqual(goes_on["entries"][0]["us"], {"rmsnorm.host.bf16": 123456.0})
        anew = json.loads(self.warpwright(*TUNE, "--restart", "--json").stdout)
        self.assertNotEqual(anew["entries"][0]["us"], {"rmsnorm.host.bf16": 123456.0})

    def test_the_model_is_judged_by_a_table(self):
        best, worst, absurd = self.absurd()
        fine = {"op": "gemm", "problem": {"m": 512, "n": 4096, "k": 4096}, "us": {best: 100, worst: 90}}
        path = self.table("rtx-5090", [absurd, fine])
        answer = self.warpwright("tune", "--judge", path).stdout
        self.assertIn("2 problems, measured on G, 2026-11-25\nthe model alone chooses a row within 15% of the best for "
                      "1 of 2 problems (50%)\n", answer)
        self.assertRegex(answer, rf"gemm m=512 n=4096 k=4096 +x best 1000000\.00  {re.escape(best)}, best {re.escape(worst)}\n")
        self.assertEqual(self.warpwright("tune", "--judge", "nowhere.json").returncode, 2)

    def test_wrong_input(self):
        path = self.table("cpu", [{"op": "rmsnorm", "problem": {}, "us": {"x": 1}}])
        for options, text in ((TUNE, f"{path}: entry 0: rmsnorm: no row named 'x'"), (["tune", "--op", "gem"], "no problem of 'gem'"),
                              (["tune", "--device", "emulated:h200"], "an emulated GPU has no times")):
            result = self.warpwright(*options)
            self.assertEqual(result.returncode, 2)
            self.assertIn(text, result.stderr)


if __name__ == "__main__":
    unittest.main()
