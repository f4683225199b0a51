# SPDX-License-Identifier: Apache-2.0
"""The package's annotations hold, and a user's type checker sees them."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

USER = """
import warpwright
reveal_type(warpwright.plan("llama-3.1-8b", "h200").memory.fits)
reveal_type(warpwright.why("gemm", "h200").candidates[0].predicted_us)
reveal_type(warpwright.Engine("folder").generate("text")[0].tokens)
warpwright.prepare().launch(stram=0)
"""


def mypy(*arguments):
    environment = {**os.environ, "MYPYPATH": str(support.ROOT / "python")}
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--ignore-missing-imports",
        "--cache-dir",
        os.devnull,
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@unittest.skipUnless(support.has("mypy"), f"mypy is not installed for {sys.executable}")
class Types(unittest.TestCase):
    def test_package(self):
        done = mypy(support.ROOT / "python" / "warpwright")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_user(self):
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(USER)
            file.flush()
            text = mypy(file.name).stdout
        revealed = re.findall(r'Revealed type is "([^"]*)"', text)
        shown = [
            re.sub(r"builtins\.", "", one).replace("Union[float, None]", "float | None") for one in revealed
        ]
        self.assertEqual(shown, ["bool", "float | None", "list[int]"])
        self.assertIn('Unexpected keyword argument "stram"', text)


if __name__ == "__main__":
    unittest.main()
