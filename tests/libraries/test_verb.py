# SPDX-License-Identifier: Apache-2.0
"""warpwright libraries as a user calls it: exit codes, text, JSON, the page in a browser."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "warpwright"
CLASSES = ["SM80", "SM89", "SM90", "SM100", "SM103", "SM120", "SM121"]
TITLES = ["What it is", "What it depends on", "SM100", "SM120", "Common failures", "Detection", "References"]


def libraries(*arguments):
    return subprocess.run([BINARY, "libraries", *map(str, arguments)], capture_output=True, text=True, timeout=120)


class Verb(unittest.TestCase):
    def text(self, *arguments):
        done = libraries(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_table(self):
        lines = self.text().splitlines()
        self.assertEqual(lines[0].split(), ["library", *CLASSES])
        known = [library["name"] for library in json.loads(self.text("--json"))["libraries"]]
        self.assertEqual([line[:17].strip() for line in lines[1:2 * len(known):2]], known)
        self.assertTrue(all(line.startswith("  ours") for line in lines[2:2 * len(known) + 1:2]))

    def test_one_library_has_seven_sections(self):
        for library in json.loads(self.text("--json"))["libraries"]:
            text = self.text(library["id"])
            places = [text.find(f"\n{title}") for title in TITLES]
            self.assertNotIn(-1, places, library["id"])
            self.assertEqual(places, sorted(places), library["id"])

    def test_json_of_one_is_that_of_all(self):
        every = json.loads(self.text("--json"))["libraries"]
        one = json.loads(self.text("fa3", "--json"))
        self.assertIn(one, every)
        self.assertEqual(list(one["states"]), CLASSES)
        self.assertEqual(list(one["ours"]), CLASSES)
        for fact in [*one["what"], *one["states"].values()]:
            self.assertTrue(fact["source"].startswith("https://"))
            self.assertRegex(fact["date"], r"^\d{4}-\d\d-\d\d$")

    def test_one_gpu(self):
        text = self.text("--gpu", "rtx-5090")
        self.assertIn("rtx-5090: compute capability 12.0, class SM120\n", text)
        answer = json.loads(self.text("--gpu", "rtx-5090", "--json"))
        self.assertEqual(answer["gpu"], "rtx-5090")
        for library in answer["libraries"]:
            self.assertEqual(list(library["states"]), ["SM120"])
        self.assertEqual(list(json.loads(self.text("fa3", "--gpu", "a10", "--json"))["states"]), ["SM80"])

    def test_bad_input(self):
        for arguments, text in [
            (("flash-attentoin-3",), "nearest: flash-attention-3"),
            (("--gpu", "rtx-5091"), "rtx-5090"),
            (("--gpu", "cpu"), "expected a GPU"),
            (("--gpu", "jetson-thor"), "SM110"),
            (("--html", "/no/such/folder/page.html"), "page.html"),
            (("fa3", "--html", "page.html"), "expected no NAME"),
        ]:
            with self.subTest(arguments=arguments):
                done = libraries(*arguments)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(text, done.stderr)


class Page(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.path = self.folder / "page.html"
        done = libraries("--html", self.path)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_is_by_itself(self):
        text = self.path.read_text(encoding="utf-8")
        self.assertNotRegex(text, r"<link|src=|url\(|@import")  # links to sources are followed, nothing is fetched
        ids = re.findall(r"<details class=file id=([\w-]+)>", text)
        self.assertEqual(ids, re.findall(r'<a href="#([\w-]+)">', text))
        self.assertGreaterEqual(len(ids), 3)

    def test_in_a_browser(self):
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            self.skipTest("needs chromium or google-chrome, found neither")
        probe = """<script>
            location.hash = "#flash-attention-3";
            dispatchEvent(new Event("hashchange"));
            const open = document.getElementById("flash-attention-3").open;
            search.value = "attention_chunk";
            search.dispatchEvent(new Event("input"));
            const shown = files.filter((file) => !file.hidden).map((file) => file.id);
            const listed = rows.filter((row) => !row.hidden).length;
            const root = document.documentElement;
            files.forEach((file) => { file.hidden = false; file.open = true; });
            document.title = JSON.stringify({open, shown, listed, said: count.textContent, wide: root.scrollWidth,
              view: root.clientWidth});
        </script>"""
        text = self.path.read_text(encoding="utf-8")
        self.path.write_text(text.replace("</body>", probe + "</body>"), encoding="utf-8")
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,900", "--dump-dom",
             f"--user-data-dir={self.folder / 'profile'}", self.path.as_uri()],
            capture_output=True, text=True, timeout=120, check=False)
        title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
        self.assertIsNotNone(title, done.stderr[-500:])
        found = json.loads(title.group(1))
        self.assertTrue(found["open"], "a link does not unfold its library")
        self.assertIn("flash-attention-3", found["shown"])
        self.assertNotIn("flash-attention-2", found["shown"])
        self.assertEqual(found["listed"], len(found["shown"]), "rows of the table and libraries")
        self.assertIn("libraries", found["said"])
        self.assertLessEqual(found["wide"], found["view"], "the page is wider than a phone")


if __name__ == "__main__":
    unittest.main()
