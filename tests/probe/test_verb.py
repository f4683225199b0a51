# SPDX-License-Identifier: Apache-2.0
"""warpwright probe as a user calls it: this machine, machines of files, packages, the page in a browser."""
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "warpwright"
MACHINES = pathlib.Path(__file__).parent / "machines"

PTX = b""".version 8.8
.target sm_90a
.address_size 64
.visible .entry write_seven(.param .u64 out)
{
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [out];
    cvta.to.global.u64 %rd2, %rd1;
    st.global.u32 [%rd2], 7;
    ret;
}
"""


def probe(*arguments, **environment):
    return subprocess.run([BINARY, "probe", *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})


def fatbin(sm, flags, text):
    """A fatbin of one PTX entry; layout: docs/inspect.md."""
    payload = text + b"\0" * (8 - len(text) % 8)
    entry = struct.pack("<HHIQIIHHIIIQQQ", 1, 0x101, 64, len(payload), 0, 0, 8, 8, sm, 0, 0, 0x11 | flags, 0, 0) + payload
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entry)) + entry


class Verb(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def answer(self, *arguments, **environment):
        done = probe(*arguments, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_this_machine(self):
        found = json.loads(self.answer("--json"))
        self.assertGreater(found["cpu"]["cores"], 0)
        self.assertEqual([one["text"] for one in found["advice"]], found["conclusions"])
        self.assertTrue(found["advice"])
        if not found["gpus"]:
            self.assertIn("no GPU to run on", found["conclusions"][0] + found["conclusions"][-1])
            self.assertNotEqual(found["driver"]["problem"], "")

    def test_a_machine_that_is_elsewhere(self):
        written = self.folder / "machine.json"
        written.write_text(self.answer("--json"), encoding="utf-8")
        here, there = json.loads(written.read_text()), json.loads(self.answer("--machine", written, "--json"))
        self.assertEqual(here, there)
        text = self.answer("--machine", MACHINES / "workstation-4x-rtx-pro-6000.json")
        self.assertIn("composed for tests", text)
        self.assertRegex(text, r"peers +all 12 pairs: pcie, PHB, 126 GB/s")
        self.assertIn("[acs-redirects]", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 110)

    def test_variables(self):
        found = json.loads(self.answer("--json", NCCL_PROTO="LL", CUDA_LAUNCH_BLOCKING="1"))
        self.assertIn({"name": "NCCL_PROTO", "value": "LL"}, found["environment"])
        rules = {one["rule"]: one["text"] for one in found["advice"]}
        self.assertIn("NCCL_PROTO=LL", rules["choice-forced"])
        self.assertIn("CUDA_LAUNCH_BLOCKING=1", rules["launches-wait"])
        text = self.answer("--all", VLLM_MLA_DISABLE="1")
        self.assertRegex(text, r"VLLM_MLA_DISABLE=1 \(kernels\)")
        self.assertRegex(text, r"NVSHMEM_REMOTE_TRANSPORT \(transport\)")
        self.assertNotIn("NVSHMEM_REMOTE_TRANSPORT", self.answer())

    def test_a_value_that_is_no_text(self):
        environment = {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
        environment[b"NCCL_PROTO"] = b"\xff\x1b[2J"
        for arguments in (["--json"], []):
            done = subprocess.run([BINARY, "probe", *arguments], capture_output=True, env=environment, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn(b"\x1b", done.stdout)
            done.stdout.decode()

    def test_bad_input(self):
        broken = self.folder / "broken.json"
        broken.write_text('{"cpu": {}, "gpus": [{"compute_capability": "new"}]}')
        for arguments, text in [
            (("--machine", self.folder / "missing.json"), "missing.json: cannot be read"),
            (("--machine", broken), "gpus[0].compute_capability: expected an integer"),
            (("--machine", MACHINES / "cpu-only.json", "--packages"), "no GPU here to judge for"),
            (("--machine", MACHINES / "dgx-h100.json", "--packages", self.folder / "no"), "found none"),
            (("--html", self.folder / "no" / "page.html"), "cannot be written"),
        ]:
            with self.subTest(arguments=arguments):
                done = probe(*arguments)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(text, done.stderr)

    def test_packages_are_judged_for_the_gpus_of_the_machine(self):
        site = self.folder / "venv" / "lib" / "python3.12" / "site-packages"
        (site / "kernels").mkdir(parents=True)
        (site / "kernels" / "hopper.fatbin").write_bytes(fatbin(90, 0x100000, PTX))
        (site / "flat.fatbin").write_bytes(fatbin(80, 0, PTX.replace(b"sm_90a", b"sm_80")))
        info = site / "Hopper_Kernels-1.2.dist-info"
        info.mkdir()
        (info / "RECORD").write_text("kernels/hopper.fatbin,sha256=x,1\n")

        def verdicts(machine):
            found = json.loads(self.answer("--machine", MACHINES / f"{machine}.json", "--packages", self.folder / "venv", "--json"))
            packages = {one["name"]: one for one in found["packages"] if one["path"].startswith(str(self.folder))}
            self.assertEqual(packages["hopper_kernels"]["version"], "1.2")
            return {name: [v["runs"] for v in one["verdicts"]] for name, one in packages.items()}, found["advice"]

        self.assertEqual(verdicts("h200")[0], {"hopper_kernels": ["jit"], "flat": ["jit"]})
        found, advice = verdicts("desktop-2x-rtx-5090")
        self.assertEqual(found, {"hopper_kernels": ["no"], "flat": ["jit"]})
        avoided = [one["text"] for one in advice if one["rule"] == "installed-without-code"]
        self.assertRegex(avoided[0], r"hopper_kernels 1\.2 \(on rtx-5090\)")

    def test_page(self):
        for machine in ("workstation-4x-rtx-pro-6000", "cpu-only", "dgx-h100"):
            path = self.folder / f"{machine}.html"
            self.answer("--machine", MACHINES / f"{machine}.json", "--html", path)
            text = path.read_text(encoding="utf-8")
            self.assertNotRegex(text, r"<link|src=|url\(|@import")
            self.assertEqual(text.count("<table"), text.count("</table>"))
        self.in_a_browser(self.folder / "workstation-4x-rtx-pro-6000.html")

    def in_a_browser(self, path):
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            self.skipTest("needs chromium or google-chrome, found neither")
        script = """<script>
            const root = document.documentElement;
            document.title = JSON.stringify({
                advice: document.querySelectorAll("tr.advice").length,
                pairs: [...document.querySelectorAll("table.matrix td")].filter((cell) => cell.textContent.includes("pcie")).length,
                wide: root.scrollWidth, view: root.clientWidth});
        </script>"""
        path.write_text(path.read_text(encoding="utf-8").replace("</body>", script + "</body>"), encoding="utf-8")
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,900", "--dump-dom",
             f"--user-data-dir={self.folder / 'profile'}", path.as_uri()],
            capture_output=True, text=True, timeout=120, check=False)
        title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
        self.assertIsNotNone(title, done.stderr[-500:])
        found = json.loads(title.group(1))
        golden = (MACHINES.parent / "goldens" / f"{path.stem}.txt").read_text().count("\n")
        self.assertEqual(found["advice"], golden)
        self.assertEqual(found["pairs"], 12)
        self.assertLessEqual(found["wide"], found["view"], "the page is wider than a phone")

    def test_names_reach_a_terminal_as_text(self):
        machine = json.loads((MACHINES / "laptop-rtx-4090.json").read_text())
        machine["gpus"][0]["name"] = "x\x1b[2J<script>"
        path = self.folder / "machine.json"
        path.write_text(json.dumps(machine))
        page = self.folder / "page.html"
        text = self.answer("--machine", path, "--html", page)
        self.assertNotIn("\x1b", text)
        self.assertNotIn("<script", page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
