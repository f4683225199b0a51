# SPDX-License-Identifier: Apache-2.0
"""check: the dataclasses hold the whole report, which is the program's; progress, stopping, errors."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402


@support.needs()
class Checking(unittest.TestCase):
    def test_an_operation_on_the_cpu(self):
        found = warpwright.check("cpu", op="gated_activation", seed=3)
        self.assertTrue(found.ok)
        self.assertEqual(found.failures, [])
        self.assertEqual((found.device, found.target, found.seed), ("cpu", "cpu", 3))
        runs = {kernel.row for kernel in warpwright.kernels("gated_activation", "cpu") if kernel.runs}
        self.assertEqual({one.row for one in found.results if one.outcome == "passed"}, runs)
        for one in found.results:
            self.assertTrue(one.outcome == "refused" or one.error <= one.bound, one)
        outcomes = [one.outcome for one in found.results]
        self.assertEqual(
            (found.passed, found.failed, found.refused),
            tuple(outcomes.count(outcome) for outcome in ("passed", "failed", "refused")),
        )

    def test_nothing_of_the_report_is_left_out(self):
        found = warpwright.check("cpu", op="kv_append")
        report = json.loads(found.report)
        fields = dataclasses.asdict(found)
        self.assertEqual(fields.pop("report"), found.report)
        self.assertIs(fields.pop("stopped"), False)
        self.assertEqual(fields, report)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "report.json")
            found.save(path)
            self.assertEqual(json.loads(path.read_text()), report)

    def test_an_emulated_gpu(self):
        row = "kv_append.portable.any"
        try:
            found = warpwright.check("emulated:rtx-5090", row=row)
        except warpwright.UnavailableError as error:
            self.skipTest(str(error))
        self.assertTrue(found.ok, found.failures)
        self.assertEqual((found.target, found.rows), ("rtx-5090", 1))
        self.assertEqual({one.row for one in found.results}, {row})
        self.assertGreater(found.passed, 0)
        other = warpwright.check("emulated:a100", row=row, contraction=False)
        self.assertIs(other.contraction, False)
        self.assertTrue(other.ok, other.failures)

    def test_progress(self):
        seen = []
        found = warpwright.check("cpu", op="kv_append", progress=lambda *step: seen.append(step))
        self.assertEqual([step[1] for step in seen], list(range(1, len(found.results) + 1)))
        self.assertEqual({step[2] for step in seen}, {len(found.results)})
        self.assertEqual({step[0] for step in seen}, {"kv_append.host"})

    def test_progress_stops(self):
        for workers in (1, 3):
            found = warpwright.check("cpu", workers=workers, progress=lambda row, done, total: done == 2)
            self.assertTrue(found.stopped)
            self.assertFalse(found.ok)
            self.assertEqual(found.failed, 0)
            self.assertIn(len(found.results), range(2, 2 + workers))

    def test_what_progress_raises_comes_out(self):
        def interrupt(row, done, total):
            raise KeyboardInterrupt

        for workers in (1, 3):
            with self.assertRaises(KeyboardInterrupt):
                warpwright.check("cpu", workers=workers, progress=interrupt)

    def test_ctrl_c(self):
        script = """
import os, signal, warpwright
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests in its background
steps = []
def progress(row, done, total):
    steps.append(done)
    if done == 2:
        os.kill(os.getpid(), signal.SIGINT)
try:
    warpwright.check("cpu", progress=progress)
except KeyboardInterrupt:
    count = len(steps)
    warpwright.check("cpu", op="kv_append")
    print("interrupted", count < 100, count == len(steps))
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            cwd=None if os.environ.get("WARPWRIGHT_INSTALLED") else support.ROOT / "python",
        )
        self.assertEqual((done.stdout.split(), done.stderr), (["interrupted", "True", "True"], ""))

    def test_errors(self):
        with self.assertRaisesRegex(warpwright.CallerError, "rmsnorm"):
            warpwright.check("cpu", op="rmsnrm")
        row = "kv_append.portable.any"
        with self.assertRaisesRegex(warpwright.CallerError, f"no row named '{row}' runs on cpu"):
            warpwright.check("cpu", row=row)
        with self.assertRaisesRegex(warpwright.CallerError, "seed: expected at least 1, got 0"):
            warpwright.check("cpu", seed=0)
        with self.assertRaisesRegex(warpwright.CallerError, "workers: expected 0 or more, got -2"):
            warpwright.check("cpu", workers=-2)
        with self.assertRaisesRegex(warpwright.CallerError, "no device"):
            warpwright.check("gpu")

    @support.needs_gpu
    def test_a_gpu(self):
        found = warpwright.check("cuda:0", op="rmsnorm")
        self.assertTrue(found.ok, found.failures)
        self.assertNotEqual(found.driver, "")


if __name__ == "__main__":
    unittest.main()
