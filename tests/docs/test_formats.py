# SPDX-License-Identifier: Apache-2.0
"""docs/formats.md shows the newest measurement, and names every format that quantize writes."""
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Formats(unittest.TestCase):
    def test_page_is_rendered(self):
        result = subprocess.run([sys.executable, ROOT / "tools" / "render_formats.py", "--check"])
        self.assertEqual(result.returncode, 0, "docs/formats.md is stale: python3 tools/render_formats.py")

    def test_pictures_are_drawn(self):
        result = subprocess.run([sys.executable, ROOT / "tools" / "draw_formats.py", "--check"])
        self.assertEqual(result.returncode, 0, "docs/formats is stale: python3 tools/draw_formats.py")
        page = (ROOT / "docs" / "formats.md").read_text()
        unseen = {path.name for path in (ROOT / "docs" / "formats").iterdir() if f"](formats/{path.name})" not in page}
        self.assertEqual(unseen, set())

    def test_every_format_is_measured(self):
        help_text = subprocess.run([ROOT / "build" / "warpwright", "quantize", "--help"], capture_output=True, text=True,
                                   check=True).stdout
        listed = help_text.split("conventions:\n")[1].split("A run that")[0]
        formats = {line.split()[0] for line in listed.splitlines() if line.strip()}
        page = (ROOT / "docs" / "formats.md").read_text()
        self.assertEqual({name for name in formats if f"\n| {name} |" not in page}, set())
        self.assertGreater(len(formats), 8)


if __name__ == "__main__":
    unittest.main()
