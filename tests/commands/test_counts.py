# SPDX-License-Identifier: Apache-2.0
"""./test counts every case once: passed, failed, skipped with its reason, and those of a program that died."""
import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import steps  # noqa: E402

# As GoogleTest 1.12 writes it.
REPORT = """<testsuites><testsuite name="Suite">
  <testcase name="good" status="run" result="completed" classname="Suite"/>
  <testcase name="bad" status="run" result="completed" classname="Suite">
    <failure message="a.cpp:4&#x0A;1 is not 2" type=""><![CDATA[a.cpp:4
1 is not 2]]></failure>
  </testcase>
  <testcase name="away" status="run" result="skipped" classname="Suite">
    <skipped message="a.cpp:7&#x0A;no CUDA driver&#x0A;"/>
  </testcase>
  <testcase name="DISABLED_off" status="notrun" result="suppressed" classname="Suite"/>
</testsuite></testsuites>"""


class CountsTest(unittest.TestCase):
    def count(self, outcome, output="", xml=None):
        report = steps.Report()
        with tempfile.TemporaryDirectory() as folder:
            if xml:
                pathlib.Path(folder, "unit.xml").write_text(xml)
            self.printed = io.StringIO()
            with contextlib.redirect_stdout(self.printed):
                steps.count_cases(report, pathlib.Path(folder), "unit", outcome, 0.1, output)
        return report

    def test_cases_of_a_report(self):
        report = self.count("***Failed", xml=REPORT)
        self.assertEqual(report.counts(), (1, 1, 2))
        self.assertEqual(report.failed, ["unit.Suite.bad"])
        self.assertEqual(dict(report.skipped), {"no CUDA driver": ["unit.Suite.away"],
                                                "disabled in its source": ["unit.Suite.DISABLED_off"]})
        self.assertIn("1 is not 2", self.printed.getvalue())

    def test_a_program_that_died_names_the_case(self):
        output = "[ RUN      ] Suite.a\n[       OK ] Suite.a (0 ms)\n[ RUN      ] Suite.b\n"
        report = self.count("Subprocess aborted***Exception:", output)
        self.assertEqual((report.counts(), report.failed), ((1, 1, 0), ["unit.Suite.b"]))

    def test_a_program_that_fails_beside_its_cases_counts(self):
        passing = '<testsuites><testcase name="good" status="run" classname="Suite"/></testsuites>'
        report = self.count("***Failed", "ERROR: LeakSanitizer: detected memory leaks\n", passing)
        self.assertEqual((report.counts(), report.failed), ((1, 1, 0), ["unit"]))

    def test_unittest_output(self):
        report = steps.Report()
        source = """
import unittest
class T(unittest.TestCase):
    def test_good(self): pass
    def test_bad(self): self.assertEqual(1, 2)
    def test_worse(self): raise ValueError("x")
    @unittest.skip("no GPU")
    def test_away(self): pass
"""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            pathlib.Path(folder, "test_x.py").write_text(source)
            done = subprocess.run([sys.executable, "-B", "-m", "unittest", "-v", "test_x.py"], cwd=folder, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            steps.count_unittest(report, "x", done.returncode, done.stdout)
        self.assertEqual(report.counts(), (1, 2, 1))
        self.assertEqual(sorted(report.failed), ["x.test_bad", "x.test_worse"])
        self.assertEqual(dict(report.skipped), {"no GPU": ["x.test_away"]})

    def test_an_unknown_step_is_an_error_with_the_known_ones(self):
        done = subprocess.run([sys.executable, "-B", str(ROOT / "tests/steps.py"), "nonsense"], capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"no step or label nonsense; known: format structure lint")


if __name__ == "__main__":
    unittest.main()
