# SPDX-License-Identifier: Apache-2.0
"""What the README shows in Python runs as it stands there."""

import contextlib
import io
import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

README = (support.ROOT / "README.md").read_text()


@support.needs("numpy")
class Readme(unittest.TestCase):
    def test_code(self):
        (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        names, output = {}, io.StringIO()
        before = os.getcwd()
        os.chdir(support.ROOT)
        try:
            with contextlib.redirect_stdout(output):
                exec(compile(code, "README.md", "exec"), names)
        finally:
            os.chdir(before)
        import numpy as np

        first, text = output.getvalue().split("\n", 1)
        self.assertRegex(first, r"^True [\d.]+ \w+\.\S+$")
        self.assertGreater(len(text), 20)
        # Of ones the norm is one but for epsilon, and a row of the product adds 512 of them.
        for name in ("d", "d4"):
            np.testing.assert_array_equal(names[name], np.full((4, 64), 512, np.float16))


if __name__ == "__main__":
    unittest.main()
