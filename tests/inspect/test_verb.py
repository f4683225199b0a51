# SPDX-License-Identifier: Apache-2.0
"""warpwright inspect as a user calls it: exit codes, text, JSON, the page in a browser."""
import html.parser
import json
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "warpwright"

PTX = """.version {version}
.target {target}
.address_size 64
.visible .entry {name}(.param .u64 out)
{{
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [out];
    cvta.to.global.u64 %rd2, %rd1;
    st.global.u32 [%rd2], 7;
    ret;
}}
"""

SUFFIX_A, SUFFIX_F = 0x100000, 0x200000


def ptx(target, name="write_seven", version="8.8"):
    return PTX.format(target=target, name=name, version=version).encode()


def fatbin(*entries):
    """A fatbin of (sm, suffix flag, PTX) entries; layout: docs/inspect.md."""
    body = b""
    for sm, suffix, text in entries:
        payload = text + b"\0" * (8 - len(text) % 8)
        body += struct.pack("<HHIQIIHHIIIQQQ", 1, 0x101, 64, len(payload), 0, 0, 8, 8, sm, 0, 0, 0x11 | suffix, 0, 0)
        body += payload
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def inspect(*arguments):
    return subprocess.run([BINARY, "inspect", *map(str, arguments)], capture_output=True, text=True, timeout=120)


class Wheel(unittest.TestCase):
    """A wheel with code for Hopper alone, code for every GPU, and a script."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.wheel = self.folder / "kernels-1.0-py3-none-any.whl"
        with zipfile.ZipFile(self.wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("kernels/hopper.fatbin", fatbin((90, SUFFIX_A, ptx("sm_90a"))))
            archive.writestr("kernels/any.fatbin", fatbin((80, 0, ptx("sm_80"))))
            archive.writestr("kernels/__init__.py", "import ctypes\n")


class Verb(Wheel):
    def report(self, *arguments):
        done = inspect(*arguments, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_a_wheel_is_read_in_place(self):
        report = self.report(self.wheel, "--gpu", "h200", "--gpu", "rtx-5090")
        files = {file["path"].split("!/")[-1]: file for file in report["files"]}
        self.assertEqual(set(files), {"kernels/hopper.fatbin", "kernels/any.fatbin"})
        hopper = files["kernels/hopper.fatbin"]
        self.assertEqual(hopper["images"][0]["kind"], "ptx")
        self.assertEqual(hopper["images"][0]["arch"], "sm_90a")
        self.assertEqual(hopper["images"][0]["kernels"][0]["name"], "write_seven")
        self.assertEqual(list(hopper["verdicts"]), ["h200", "rtx-5090"])
        self.assertEqual(hopper["verdicts"]["h200"]["runs"], "jit")
        self.assertEqual(hopper["verdicts"]["rtx-5090"]["runs"], "no")
        self.assertTrue(hopper["verdicts"]["rtx-5090"]["fix"])
        self.assertEqual(files["kernels/any.fatbin"]["verdicts"]["rtx-5090"]["runs"], "jit")

    def test_expectations_are_a_gate(self):
        done = inspect(self.wheel, "--expect", "rtx-5090")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"hopper\.fatbin: no on rtx-5090: ")
        self.assertNotIn("any.fatbin", done.stderr)
        self.assertEqual(inspect(self.wheel, "--expect", "h200").returncode, 0)

    def test_kernels_of_other_gpus_do_not_fail_the_gate(self):
        tensor_memory = ptx("sm_100a", "of_tensor_memory").replace(b"    ret;", b"    tcgen05.fence::before_thread_sync;\n    ret;")
        file = self.folder / "mixed.bin"
        file.write_bytes(fatbin((80, 0, ptx("sm_80"))) + fatbin((100, SUFFIX_A, tensor_memory)))
        done = inspect(file, "--expect", "rtx-5090")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("partly on rtx-5090, but the rest is made for other GPUs", done.stderr)
        # Of the same kernel without such instructions, a build for this GPU is missing.
        file.write_bytes(fatbin((80, 0, ptx("sm_80"))) + fatbin((100, SUFFIX_A, ptx("sm_100a", "could_be_built"))))
        self.assertEqual(inspect(file, "--expect", "rtx-5090").returncode, 1)

    def test_nothing_to_run_is_no_success(self):
        (self.folder / "empty").mkdir()
        done = inspect(self.folder / "empty", "--expect", "h200")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no device code", done.stderr)

    def test_bad_input(self):
        for arguments, text in [
            ((self.folder / "missing.so",), "missing.so"),
            ((self.wheel, "--gpu", "rtx-5091"), "rtx-5090"),
            ((self.wheel, "--gpu", "cpu"), "expected a GPU"),
            ((self.wheel, "--driver", "new"), "expected a version"),
            ((self.wheel, "--html", self.folder / "no" / "page.html"), "page.html"),
            ((), "expected a path"),
        ]:
            with self.subTest(arguments=arguments):
                done = inspect(*arguments)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(text, done.stderr)

    def test_a_damaged_archive_is_named_and_the_rest_is_read(self):
        broken = self.folder / "broken.whl"
        broken.write_bytes(self.wheel.read_bytes()[:-40])
        report = self.report(broken, self.wheel)
        self.assertEqual(len(report["files"]), 2)
        self.assertTrue(any("broken.whl" in sentence for sentence in report["refused"]), report["refused"])

    def test_names_reach_a_terminal_as_text(self):
        with zipfile.ZipFile(self.folder / "names.zip", "w") as archive:
            archive.writestr("a\x1b[2Jb.fatbin", fatbin((80, 0, ptx("sm_80"))))
        done = inspect(self.folder / "names.zip")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("\x1b", done.stdout)
        self.assertIn("write_seven", inspect(self.folder / "names.zip", "--kernels").stdout)


class Page(Wheel):
    """Inherits the wheel; in a browser where there is one."""

    def page(self):
        path = self.folder / "page.html"
        done = inspect(self.wheel, "--html", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        return path

    def test_is_well_formed_and_by_itself(self):
        text = self.page().read_text(encoding="utf-8")
        self.assertNotRegex(text, r"https?:|<link|src=|url\(")
        ids = re.findall(r"id=(f\d+)", text)
        self.assertEqual(len(ids), 2)
        self.assertEqual(sorted(set(re.findall(r'href="#(\w+)"', text))), sorted(ids))

        class Cells(html.parser.HTMLParser):
            rows = 0

            def handle_starttag(self, tag, attributes):
                self.rows += tag == "tr"

        cells = Cells()
        cells.feed(text)
        self.assertGreater(cells.rows, 5)

    def test_in_a_browser(self):
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            self.skipTest("needs chromium or google-chrome, found neither")
        probe = """<script>
            location.hash = "#f1";
            dispatchEvent(new Event("hashchange"));
            const open = document.getElementById("f1").open;
            search.value = "hopper";
            search.dispatchEvent(new Event("input"));
            const shown = files.filter((file) => !file.hidden).length;
            const root = document.documentElement;
            document.title = JSON.stringify({open, shown, wide: root.scrollWidth, view: root.clientWidth});
        </script>"""
        path = self.page()
        path.write_text(path.read_text(encoding="utf-8").replace("</body>", probe + "</body>"), encoding="utf-8")
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,900", "--dump-dom",
             f"--user-data-dir={self.folder / 'profile'}", path.as_uri()],
            capture_output=True, text=True, timeout=120, check=False)
        title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
        self.assertIsNotNone(title, done.stderr[-500:])
        found = json.loads(title.group(1))
        self.assertTrue(found["open"], "a link does not unfold its file")
        self.assertEqual(found["shown"], 1, "the filter")
        self.assertLessEqual(found["wide"], found["view"], "the page is wider than a phone")


if __name__ == "__main__":
    unittest.main()
