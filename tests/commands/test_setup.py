# SPDX-License-Identifier: Apache-2.0
"""./setup where something is missing: packages without root, a compiler library without a network."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOBODY = 65534


class SetupTest(unittest.TestCase):
    def setUp(self):
        """A copy of the scripts, and a folder in front of PATH for stand-ins of programs."""
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name, "project")
        self.programs = pathlib.Path(scratch.name, "bin")
        self.programs.mkdir()
        self.folder.mkdir()
        shutil.copy(ROOT / "setup", self.folder)
        shutil.copy(ROOT / "CMakePresets.json", self.folder)
        (self.folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(x NONE)\n")

    def stand_in(self, name, text):
        path = self.programs / name
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)

    def have_packages(self, *missing):
        """A dpkg-query that knows every package but these."""
        self.stand_in("dpkg-query", f"""
            for name in "${{@:4}}"; do
                [[ " {' '.join(missing)} " == *" $name "* ]] || printf 'installed=%s ' "$name"
            done""")

    def setup(self, *arguments, user=None, **environment):
        if user is not None:
            for folder in [self.folder.parent, self.folder]:
                os.chown(folder, user, user)
        path = f"{self.programs}:{os.environ['PATH']}"
        return subprocess.run(["./setup", *arguments], cwd=self.folder, user=user, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env={**os.environ, "PATH": path, **environment})

    @unittest.skipIf(os.geteuid() != 0, "needs root to run a program as somebody else")
    def test_without_root_missing_packages_are_named(self):
        self.have_packages("libfmt-dev", "ninja-build")
        done = self.setup("run", user=NOBODY)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("missing Debian packages: ninja-build libfmt-dev\n", done.stderr)
        self.assertIn("sudo apt-get install --no-install-recommends ninja-build libfmt-dev\n", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_run_does_not_ask_for_what_only_tests_need(self):
        self.have_packages("libgtest-dev", "clang-tidy")
        self.stand_in("apt-get", "exit 1")
        self.assertEqual(self.setup("run", "--packages-only").returncode, 0)
        done = self.setup("test", "--packages-only")
        self.assertEqual(done.returncode, 2)
        self.assertIn("libgtest-dev clang-tidy", done.stderr)

    @unittest.skipIf(os.geteuid() != 0, "needs root: apt-get is called only as root")
    def test_stale_package_lists_are_renewed_once(self):
        self.have_packages("cmake")
        self.stand_in("apt-get", '[[ -e updated ]] && exit 0\n[[ $* == *update* ]] && touch updated')
        done = self.setup("run", "--packages-only")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "updated").exists())
        self.assertIn("installing 1 Debian packages: cmake", done.stdout)

    def test_without_any_nvrtc_the_build_is_host_only(self):
        self.have_packages()
        offline = {"WARPWRIGHT_NO_TOOLKIT": "1", "WARPWRIGHT_NVRTC": "", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
        for _ in range(2):
            done = self.setup("run", "--configure-only", **offline)
            self.assertEqual(done.returncode, 0, done.stderr)
            lines = [line for line in done.stdout.split("\n") if "host-only build" in line]
            self.assertEqual(len(lines), 1, done.stdout)
            self.assertIn("-DWW_PACK=OFF", (self.folder / "build/setup.arguments").read_text())
        self.assertNotIn("fetching", done.stdout)  # the second time does not wait for the network again

    def test_a_found_nvrtc_makes_the_pack(self):
        self.have_packages()
        library = self.folder / "toolkit/lib64/libnvrtc.so.13"
        library.parent.mkdir(parents=True)
        for path in [library, library.with_name("libnvrtc-builtins.so.13.0")]:
            path.write_text("")
        done = self.setup("run", "--configure-only", CUDA_HOME=str(self.folder / "toolkit"), WARPWRIGHT_NVRTC="",
                          WARPWRIGHT_NO_TOOLKIT="")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertIn(f"-DWW_PACK=ON -DWW_NVRTC:FILEPATH={library}",
                      (self.folder / "build/setup.arguments").read_text())

    def test_an_error_of_cmake_is_shown(self):
        self.have_packages()
        (self.folder / "CMakeLists.txt").write_text('message(FATAL_ERROR "no such thing")\n')
        done = self.setup("run", "--configure-only", WARPWRIGHT_NVRTC="x")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no such thing", done.stderr)

    def test_a_compile_error_is_shown_without_its_command(self):
        self.have_packages()
        (self.folder / "bad.cpp").write_text("int main() { return missing_name; }\n")
        (self.folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(x CXX)\nadd_executable(warpwright bad.cpp)\n")
        done = self.setup("run", WARPWRIGHT_NVRTC="x")
        self.assertEqual(done.returncode, 1)
        self.assertIn("missing_name", done.stderr)
        self.assertNotIn(" -o ", done.stderr)

    def test_an_error_of_a_step_with_the_terminal_is_shown(self):
        self.have_packages()
        (self.folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(x NONE)\n"
            'add_custom_target(warpwright COMMAND sh -c "echo no builtins >&2; false" USES_TERMINAL)\n')
        done = self.setup("run", WARPWRIGHT_NVRTC="x")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no builtins", done.stderr)


if __name__ == "__main__":
    unittest.main()
