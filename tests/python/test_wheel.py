# SPDX-License-Identifier: Apache-2.0
"""The wheel: made in a clean folder from what git knows, one for every Python, and complete."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

BUILD = support.ROOT / "build"
MAX_BYTES = 100e6
NO_NETWORK = (
    "No matching distribution",
    "Could not find a version",
    "NewConnectionError",
    "Failed to establish",
)


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


def make_wheel(folder):
    """Packs build/'s library and program; a build from sources differs by nothing but its time."""
    source = folder / "source"
    names = run(
        "git", "-C", support.ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"
    ).stdout
    for name in filter(None, names.split("\0")):
        if (support.ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "models/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(support.ROOT / name, source / name)
    isolation = ["--no-build-isolation"] if support.has("scikit_build_core") else []
    return run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        source,
        "--no-deps",
        "--wheel-dir",
        folder,
        "--disable-pip-version-check",
        *isolation,
        f"--config-settings=cmake.define.WW_PREBUILT={BUILD}",
        "--config-settings=cmake.define.WW_PACK=OFF",
        timeout=300,
    )


@support.needs()
class Wheel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        folder = pathlib.Path(cls.folder.name)
        cls.problem = cls.error = None
        if run(sys.executable, "-m", "pip", "--version").returncode != 0:
            cls.problem = f"no pip for {sys.executable}"
        elif not (BUILD / "warpwright").exists():
            cls.problem = "build/warpwright is not built"
        else:
            done = make_wheel(folder)
            output = done.stdout + done.stderr
            if done.returncode != 0 and any(text in output for text in NO_NETWORK):
                cls.problem = "scikit-build-core is not installed, and PyPI cannot be reached"
            elif done.returncode != 0:
                cls.error = output
            else:
                (cls.wheel,) = folder.glob("*.whl")

    def setUp(self):
        if self.problem:
            self.skipTest(self.problem)
        self.assertIsNone(self.error)

    def test_one_for_every_python(self):
        self.assertRegex(
            self.wheel.name, r"^warpwright-[\d.]+-py3-none-(linux|manylinux\w*)_(x86_64|aarch64)\.whl$"
        )
        self.assertLess(self.wheel.stat().st_size, MAX_BYTES)

    def test_contents(self):
        with zipfile.ZipFile(self.wheel) as archive:
            names = set(archive.namelist())
            metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
        package = support.ROOT / "python"
        sources = {str(path.relative_to(package)) for path in (package / "warpwright").rglob("*.py")}
        expected = sources | {
            "warpwright/py.typed",
            "warpwright/libwarpwright.so",
            "warpwright/bin/warpwright",
            "warpwright/bench/peers.py",
            "warpwright/bench/peer_packages.py",
        }
        self.assertEqual({name for name in names if ".dist-info/" not in name}, expected)
        self.assertTrue(any(name.endswith("LICENSE") for name in names))
        self.assertIn("Requires-Python: >=3.9", metadata)
        self.assertNotIn("Requires-Dist", metadata)

    def test_links_nothing_but_glibc(self):
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(self.wheel) as archive:
            library = archive.extract("warpwright/libwarpwright.so", folder)
            needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", library).stdout)
        glibc = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2"}
        self.assertTrue(needed)
        self.assertLessEqual(set(needed), glibc)

    def test_installed(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run(
                sys.executable,
                "-m",
                "pip",
                "install",
                "--no-deps",
                "--no-index",
                "--target",
                folder,
                "--disable-pip-version-check",
                self.wheel,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            environment = {**os.environ, "PYTHONPATH": folder}
            environment.pop("WARPWRIGHT_LIBRARY", None)
            program = (
                "import warpwright; print(warpwright.__file__, warpwright.plan('llama-3.1-8b', 'h200').runs)"
            )
            done = run(sys.executable, "-c", program, cwd=folder, env=environment)
            self.assertEqual(done.stdout.split(), [f"{folder}/warpwright/__init__.py", "True"], done.stderr)
            done = run(sys.executable, "-m", "warpwright", "--version", cwd=folder, env=environment)
            self.assertIn("0.1.0", done.stdout)
            # Its program has the images of the library beside it.
            command = [sys.executable, "-m", "warpwright", "kernels", "--op", "merge_state"]
            self.assertIn("(pack)", run(*command, cwd=folder, env=environment).stdout)
            (pathlib.Path(folder) / "warpwright" / "libwarpwright.so").unlink()
            self.assertNotIn("(pack)", run(*command, cwd=folder, env=environment).stdout)


if __name__ == "__main__":
    unittest.main()
