# SPDX-License-Identifier: Apache-2.0
"""docs/probe.md shows what the program says, and no source of advice was read more than a year ago."""
import datetime
import pathlib
import subprocess
import sys
import tomllib
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Probe(unittest.TestCase):
    def test_page_is_rendered(self):
        result = subprocess.run([sys.executable, ROOT / "tools" / "render_probe.py", "--check"])
        self.assertEqual(result.returncode, 0, "docs/probe.md is stale: python3 tools/render_probe.py")

    def test_facts_are_fresh(self):
        oldest = datetime.date.today() - datetime.timedelta(days=366)
        for file, table, name in (("advice", "rule", "id"), ("variables", "variable", "name")):
            for one in tomllib.loads((ROOT / "data" / f"{file}.toml").read_text())[table]:
                read = datetime.date.fromisoformat(one["date"])
                self.assertGreaterEqual(read, oldest, f"{one[name]}: read its sources again")


if __name__ == "__main__":
    unittest.main()
