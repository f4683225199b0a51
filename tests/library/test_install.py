# SPDX-License-Identifier: Apache-2.0
"""The installed library is enough: examples/cpp is built against it in an empty folder, and its programs run."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
VERSION = re.search(r"project\(warpwright VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)


def output(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise AssertionError(f"{command}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(cls.folder.name)
        output("cmake", "--install", BUILD, "--prefix", root / "first", "--component", "library")
        cls.prefix = (root / "first").rename(root / "moved")  # a package finds itself wherever it is
        cls.library_folder = next(cls.prefix.glob("**/libwarpwright.a")).parent
        shutil.copytree(ROOT / "examples" / "cpp", root / "examples")
        cls.programs = root / "examples" / "build"
        output("cmake", "-S", root / "examples", "-B", cls.programs, "-G", "Ninja",
               f"-DCMAKE_PREFIX_PATH={cls.prefix}")
        output("cmake", "--build", cls.programs)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_holds_no_internal_header(self):
        installed = {str(path.relative_to(self.prefix / "include")) for path in self.prefix.glob("include/**/*.h")}
        public = {str(path.relative_to(ROOT / "include")) for path in ROOT.glob("include/**/*.h")}
        self.assertEqual(installed, public)

    def test_every_header_stands_alone(self):
        for header in sorted(self.prefix.glob("include/**/*.h")):
            output("c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-x", "c++",
                   "-fsyntax-only", f"-I{self.prefix / 'include'}", "-", input=f'#include "{header}"\n')

    def test_paged_decode_on_the_cpu(self):
        text = output(self.programs / "paged_decode", "cpu")
        self.assertIn("cpu: 20 steps of 6 launches: rmsnorm.host.bf16 gemm.host.bf16 rope.host.bf16", text)
        self.assertRegex(text, r"lengths 20 8 20; paged and unpaged attention differ by at most \S+ of \d\.\d+")

    def test_paged_decode_on_an_emulated_gpu(self):
        result = subprocess.run([self.programs / "paged_decode", "emulated:rtx-5090"], capture_output=True, text=True)
        if "no NVRTC" in result.stderr:
            self.skipTest("needs compiled kernels")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("attention.decode.bf16.d64", result.stdout)

    def test_plan_for_a_gpu_that_is_not_here(self):
        text = output(self.programs / "plan_elsewhere", "llama-3.1-70b", "rtx-pro-6000", "2")
        self.assertRegex(text, r"llama-3\.1-70b on 2 x rtx-pro-6000: runs, [\d.]+ tokens/s modelled")
        self.assertIn("  model.layers.*.self_attn.attention: attention.decode.", text)
        self.assertIn(": runs on the CPU, rtx-pro-6000 is a GPU", text)
        too_large = subprocess.run([self.programs / "plan_elsewhere", "llama-3.1-70b", "rtx-5090", "1"],
                                   capture_output=True, text=True)
        self.assertEqual(too_large.returncode, 1)
        self.assertIn("does not run", too_large.stdout)
        unknown = subprocess.run([self.programs / "plan_elsewhere", "llama-3.1-70b", "rtx-5091"], capture_output=True,
                                 text=True)
        self.assertEqual((unknown.returncode, unknown.stdout), (2, ""))
        self.assertIn("nearest: rtx-5090", unknown.stderr)

    def test_c_program_generates_what_the_verb_does(self):
        model, prompt = ROOT / "models" / "glossary", "A river is"
        text = output(self.programs / "generate", model, prompt, "cpu")
        verb = output(self.prefix / "bin" / "warpwright", "run", "--model", model, "--prompt", prompt,
                      "--max-tokens", "24", "--device", "cpu")
        self.assertEqual(text, verb)
        self.assertGreater(len(text), len(prompt) + 20)

    def test_pkg_config(self):
        if shutil.which("pkg-config") is None:
            self.skipTest("needs pkg-config")
        environment = {**os.environ, "PKG_CONFIG_PATH": str(self.library_folder / "pkgconfig")}
        source = ROOT / "examples" / "cpp"
        for package, compiler, file in (("warpwright", ["c++", "-std=c++20"], "plan_elsewhere.cpp"),
                                        ("warpwright-c", ["cc", "-std=c11"], "generate.c")):
            self.assertEqual(output("pkg-config", "--modversion", package, env=environment).strip(), VERSION)
            flags = output("pkg-config", f"--define-variable=prefix={self.prefix}", "--cflags", "--libs", package,
                           env=environment).split()
            program = pathlib.Path(self.folder.name, package)
            output(*compiler, source / file, "-o", program, *flags, f"-Wl,-rpath,{self.library_folder}")
            self.assertEqual(subprocess.run([program, "x", "y", "z"], capture_output=True).returncode,
                             2 if package == "warpwright" else 1)

    def test_program_and_package_say_the_projects_version(self):
        self.assertEqual(output(self.prefix / "bin" / "warpwright", "--version").strip(), f"warpwright {VERSION}")
        config = next(self.prefix.glob("**/warpwrightConfigVersion.cmake")).read_text()
        self.assertIn(f'set(PACKAGE_VERSION "{VERSION}")', config)

    def test_archive_keeps_its_dependencies_to_itself(self):
        """A program may link another zstd, PCRE2 or utf8proc."""
        names = output("nm", "--defined-only", "--extern-only", "--format=posix", self.library_folder / "libwarpwright.a")
        self.assertIn("ww_context_open T", names)
        self.assertEqual(re.findall(r"^(?:ZSTD|ZDICT|_?pcre2|utf8proc|HUF|FSE)_\w+", names, re.MULTILINE), [])


if __name__ == "__main__":
    unittest.main()
