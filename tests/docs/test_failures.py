# SPDX-License-Identifier: Apache-2.0
"""docs/diagnose.md shows the catalogue as it is, and nothing in the catalogue is older than a year."""
import datetime
import pathlib
import subprocess
import sys
import tomllib
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Failures(unittest.TestCase):
    def test_page_is_rendered(self):
        result = subprocess.run([sys.executable, ROOT / "tools" / "render_failures.py", "--check"])
        self.assertEqual(result.returncode, 0, "docs/diagnose.md is stale: python3 tools/render_failures.py")

    def test_facts_are_fresh(self):
        oldest = datetime.date.today() - datetime.timedelta(days=366)
        for failure in tomllib.loads((ROOT / "data" / "failures.toml").read_text())["failure"]:
            read = datetime.date.fromisoformat(failure["date"])
            self.assertGreaterEqual(read, oldest, f"{failure['id']}: read its references again")


if __name__ == "__main__":
    unittest.main()
