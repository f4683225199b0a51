# SPDX-License-Identifier: Apache-2.0
"""warpwright isa as a user calls it: exit codes, text, JSON; the page that describes it; inspect --isa."""
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "warpwright"
SAMPLE = ROOT / "tests" / "isa" / "fp8.ptx"

WGMMA = """.version 9.0
.target sm_90a
.address_size 64
.visible .entry multiply()
{
    wgmma.fence.sync.aligned;
    mov.b32 %r1, 0;
    frobnicate.b32 %r1;
    ret;
}
"""


def isa(*arguments, text=None, verb="isa"):
    return subprocess.run([BINARY, verb, *map(str, arguments)], capture_output=True, text=True, input=text, timeout=120,
                          cwd=ROOT)


class Files(unittest.TestCase):
    def test_a_text_that_is_legal_there(self):
        result = isa("-", "--target", "h100", text=WGMMA)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("h100-sxm (sm_90a): legal, loads as it stands", result.stdout)
        self.assertIn("-gencode arch=compute_90a,code=sm_90a, NVRTC --gpu-architecture=sm_90a", result.stdout)
        self.assertIn("needs        PTX 8.0: CUDA 12.0, driver 525", result.stdout)
        self.assertRegex(result.stdout, r"not measured.*\n +line 8 +once +frobnicate.b32 %r1;")

    def test_a_text_that_is_not(self):
        result = isa("-", "--target", "rtx-5090", text=WGMMA)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"rtx-5090 \(sm_120\): not legal: 1 of 4 forms\n"
                                        r" +line 6 +once +wgmma.fence.sync.aligned;\n +needs sm_90a")
        self.assertIn("lowest       sm_90a", result.stdout)

    def test_legal_instructions_that_do_not_load(self):
        result = isa("-", "--target", "rtx-5090", text=WGMMA.replace("wgmma.fence.sync.aligned;", ""))
        self.assertEqual(result.returncode, 1)
        self.assertIn("its instructions are legal, but it does not load as it stands: .target sm_90a is for that GPU "
                      "alone", result.stdout)

    def test_without_a_target_it_is_all_of_them(self):
        result = isa(SAMPLE)
        self.assertEqual(result.returncode, 0)
        for line in ("7.5  8.0  8.6", "add.rn.f32x2", "%cluster_ctarank", ".reqnctapercluster", "the text"):
            self.assertIn(line, result.stdout)
        self.assertNotIn("cvta.to.global.u64", result.stdout)
        self.assertIn("cvta.to.global.u64", isa(SAMPLE, "--all").stdout)

    def test_a_text_that_its_own_target_refuses(self):
        text = WGMMA.replace("sm_90a", "sm_80")
        result = isa("-", text=text)
        self.assertEqual(result.returncode, 1)
        self.assertIn("line 6: refused as it stands, .target sm_80", result.stdout)
        self.assertIn("its own .target sm_80 has no wgmma.fence.sync.aligned",
                      isa("-", "--target", "h100", "--json", text=text).stdout)

    def test_json(self):
        result = isa(SAMPLE, "--target", "sm_90", "--target", "sm_120", "--json")
        self.assertEqual(result.returncode, 1)
        file = json.loads(result.stdout)["files"][0]
        self.assertEqual((file["target"], file["version"], file["lowest"]), ("sm_100", "8.7", "sm_100"))
        fp8 = next(f for f in file["forms"] if "e4m3" in f["form"])
        self.assertEqual((fp8["count"], fp8["line"], fp8["needs_ptx"]), (1, 17, "8.4"))
        self.assertEqual([u["form"] for u in file["verdicts"]["sm_90"]["illegal"]], ["add.rn.f32x2"])
        slow = file["verdicts"]["sm_120"]["slow"]
        self.assertEqual([(u["form"], u["way"]) for u in slow], [("add.rn.f32x2", "split")])
        self.assertEqual(file["verdicts"]["sm_120"]["nvcc"], "-gencode arch=compute_120,code=sm_120")

    def test_several_files(self):
        files = json.loads(isa(SAMPLE, SAMPLE, "--json").stdout)["files"]
        self.assertEqual(len(files), 2)

    def test_bad_input(self):
        for arguments, text, message in (
                (["-"], "hello\n", "-: expected PTX text"),
                (["/nowhere/a.ptx"], None, "/nowhere/a.ptx"),
                (["-", "--target", "sm_95"], WGMMA, "nearest: sm_75"),
                (["-", "--target", "rtx-5091"], WGMMA, "rtx-509"),
                (["-", "--target", "cpu"], WGMMA, "expected a GPU"),
                (["mma.snyc"], None, "nearest: mma.sync"),
        ):
            result = isa(*arguments, text=text)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertIn(message, result.stderr)
            self.assertEqual(result.stdout, "")

    def test_hostile_names_reach_a_terminal_as_text(self):
        text = WGMMA.replace("frobnicate.b32 %r1;", "\x1b[31mx.b32 %r1; frob\x1b]0;title\x07.b32;")
        result = isa("-", "--target", "h100", text=text)
        self.assertNotIn("\x1b", result.stdout)


class Forms(unittest.TestCase):
    def test_a_form(self):
        result = isa("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", "--target", "h100")
        self.assertEqual(result.returncode, 0)
        for text in ("HMMAx2 FADDx4 F2FPx12", "QMMA", "PTX 8.4: CUDA 12.4", "h100-sxm: 1 of 1 legal, emulated",
                     "requires .target sm_89 or higher"):
            self.assertIn(text, result.stdout)

    def test_a_form_that_is_not_there(self):
        self.assertEqual(isa("tcgen05.mma", "--target", "rtx-5090").returncode, 1)
        self.assertEqual(isa("tcgen05.mma", "--target", "b200").returncode, 0)

    def test_words_apart(self):
        self.assertEqual(isa("cvt", "e2m1").stdout, isa("cvt.e2m1").stdout)

    def test_families(self):
        result = isa()
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"(?m)^ +wgmma +\d+ +8\.0 +sm_90a +matrix product of a warpgroup")

    def test_json(self):
        forms = json.loads(isa("wgmma.fence", "--json").stdout)["forms"]
        self.assertEqual(forms[0]["targets"], ["sm_90a"])
        self.assertTrue(forms[0]["notes"])
        self.assertGreater(len(json.loads(isa("--json").stdout)["families"]), 100)


class Binaries(unittest.TestCase):
    def test_ptx_in_a_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.ptx").write_text(WGMMA)
            (pathlib.Path(folder) / "b.ptx").write_text(SAMPLE.read_text())
            text = isa(folder, "--gpu", "h100", "--isa", "rtx-5090", verb="inspect").stdout
            self.assertIn("isa rtx-5090: 0 of 1 PTX image legal", text)
            self.assertIn("not legal     wgmma.fence.sync.aligned: needs sm_90a", text)
            self.assertIn("first in multiply", text)
            self.assertIn("isa rtx-5090: 1 of 1 PTX image legal", text)
            page = pathlib.Path(folder) / "page.html"
            result = isa(folder, "--isa", "rtx-5090", "--json", "--html", page, verb="inspect")
            found = {pathlib.Path(f["path"]).name: f["images"][0]["isa"]["rtx-5090"]
                     for f in json.loads(result.stdout)["files"]}
            self.assertEqual(found["a.ptx"]["illegal"][0]["form"], "wgmma.fence.sync.aligned")
            self.assertEqual(found["b.ptx"]["slow"][0]["form"], "add.rn.f32x2")
            self.assertIn("Instructions of PTX", page.read_text())

    def test_our_own_kernels(self):
        """Every form of our kernels was measured, and each image is legal for its own target."""
        result = json.loads(isa(BINARY, "--gpu", "h100", "--isa", "sm_90a", "--json", verb="inspect").stdout)
        images = [image for file in result["files"] for image in file["images"] if image["kind"] == "ptx"]
        if not images:
            self.skipTest("needs the image pack")
        for image in images:
            self.assertEqual(image["isa"]["sm_90a"]["not_measured"], [])
            if image["arch"] == "sm_90a":
                self.assertTrue(image["isa"]["sm_90a"]["runs_as_it_stands"])


class Page(unittest.TestCase):
    def test_tables_are_rendered(self):
        result = subprocess.run([sys.executable, ROOT / "tools" / "render_isa.py", "--check"])
        self.assertEqual(result.returncode, 0, "docs/isa.md is stale: python3 tools/render_isa.py")

    def test_examples_are_what_it_prints(self):
        page = (ROOT / "docs" / "isa.md").read_text(encoding="utf-8")
        examples = re.findall(r"```\n\$ warpwright ([^\n]*)\n(.*?)```", page, re.DOTALL)
        self.assertGreaterEqual(len(examples), 3)
        for command, shown in examples:
            verb, *arguments = shlex.split(command)
            self.assertEqual(isa(*arguments, verb=verb).stdout, shown, command)

    def test_the_table_is_made_from_its_parts(self):
        """Rules, notes and families of tools/isa are those of data/isa.json."""
        before = (ROOT / "data" / "isa.json").read_bytes()
        made = subprocess.run([sys.executable, ROOT / "tools" / "make_isa.py", "--rules", "--print"],
                              capture_output=True, check=True).stdout
        self.assertEqual(made, before, "data/isa.json is stale: python3 tools/make_isa.py --rules")


if __name__ == "__main__":
    unittest.main()
