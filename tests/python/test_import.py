# SPDX-License-Identifier: Apache-2.0
"""Every Python from 3.9 on imports the package at once, without a framework, and can use it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
LIMIT_MS = 150

SCRIPT = """
import sys, time
before = set(sys.modules)
start = time.perf_counter()
import warpwright
ms = (time.perf_counter() - start) * 1e3
loaded = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
import json, warnings
warnings.simplefilter("error")
from warpwright import array, checking, context, engine, errors, formats, moe, ops, planning, quantized
from warpwright import _abi, _call, _dlpack, _frameworks, _library
report = {"ms": ms, "loaded": loaded}
if sys.argv[1:] == ["plan"]:
    report["plan"] = warpwright.plan("llama-3.1-8b", "rtx-5090").runs
    array = warpwright.Array.from_values([3.0, 4.0], (1, 2), "f32", warpwright.Context.of("cpu"))
    report["token"] = str(warpwright.sample(array, temperature=0.0).shape)
print(json.dumps(report))
"""


def interpreter(version):
    """A Python of this version: in PATH, or of pyenv."""
    found = shutil.which(f"python{version}")
    candidates = [found] if found else []
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    candidates += sorted(str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python"))
    for candidate in candidates:
        done = subprocess.run(
            [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0 and done.stdout.strip() == version:
            return candidate
    return None


def run(python, *arguments):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("python")),
    }
    environment.pop("PYTHONHOME", None)
    done = subprocess.run(
        [python, "-B", "-c", SCRIPT, *arguments], capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise AssertionError(f"{python}: {done.stderr}")
    return json.loads(done.stdout)


class Import(unittest.TestCase):
    def test_time_and_what_it_loads(self):
        run(sys.executable)  # the files are in the page cache from now on
        reports = [run(sys.executable) for _ in range(5)]
        self.assertLess(min(report["ms"] for report in reports), LIMIT_MS)
        self.assertEqual(
            set(reports[0]["loaded"]) & {"numpy", "torch", "jax", "cupy", "transformers", "ctypes"}, set()
        )

    def test_names(self):
        import warpwright

        self.assertEqual([name for name in warpwright.__all__ if not hasattr(warpwright, name)], [])
        self.assertIn("gemm", dir(warpwright))
        with self.assertRaisesRegex(AttributeError, "has no attribute 'gemmm'"):
            warpwright.gemmm
        for name in warpwright.__all__:
            self.assertTrue(getattr(warpwright, name).__doc__, f"{name} has no documentation")

    def test_version_is_the_librarys(self):
        import warpwright

        text = (support.ROOT / "CMakeLists.txt").read_text()
        self.assertIn(f"project(warpwright VERSION {warpwright.__version__} ", text)

    def check_version(self, version):
        python = interpreter(version)
        if python is None:
            self.skipTest(f"no Python {version} on this machine")
        has_library = support.library_problem() is None
        report = run(python, *(["plan"] if has_library else []))
        if has_library:
            self.assertIs(report["plan"], True)
            self.assertEqual(report["token"], "(1,)")


for _version in VERSIONS:
    setattr(
        Import,
        f"test_python_{_version.replace('.', '_')}",
        lambda self, version=_version: self.check_version(version),
    )


if __name__ == "__main__":
    unittest.main()
