# SPDX-License-Identifier: Apache-2.0
"""What the README shows is what the program says and what was measured."""
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class Readme(unittest.TestCase):
    def test_explanation_is_the_programs(self):
        command = re.search(r"^    build/warpwright (why .*)$", README, re.MULTILINE).group(1).split()
        answer = subprocess.run([ROOT / "build" / "warpwright", *command], capture_output=True, text=True)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(blocks("")[0].rstrip(), answer.stdout.rstrip())

    def test_snippet_compiles(self):
        body = blocks("cpp")[0]
        source = (
            '#include <iostream>\n#include "warpwright/ops/gemm.h"\n'
            "void snippet(void* x_data, void* w_data, void* y_data, long tokens, long hidden, long width) {\n"
            f"{body}}}\n"
        )
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "snippet.cpp")
            path.write_text(source)
            command = ["c++", "-std=c++20", "-Wall", "-Werror", f"-I{ROOT / 'include'}", "-fsyntax-only", path]
            result = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_c_snippet_compiles(self):
        source = (
            '#include <stdio.h>\n#include "warpwright/c.h"\n'
            f"void snippet(ww_tensor x, ww_tensor w, ww_tensor y, void* stream) {{\n{blocks('c')[0]}}}\n"
        )
        command = ["cc", "-std=c11", "-Wall", "-Werror", f"-I{ROOT / 'include'}", "-fsyntax-only", "-x", "c", "-"]
        result = subprocess.run(command, input=source, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_table_is_the_results(self):
        """Every line of the table stands in the newest results of the GPU and day that the README names."""
        gpu, date = re.search(r"^Measured on an (.*?), (\d{4}-\d\d-\d\d)", README, re.MULTILINE).groups()
        found = [json.loads(path.read_text()) for path in (ROOT / "docs" / "results").glob(f"{date}_*bench.json")]
        results = [result for result in found if result["gpu"] == gpu]
        self.assertEqual(len(results), 1)
        cases = {f"{case['op']} {case['problem']}": case for case in results[0]["cases"]}
        rows = re.findall(r"^\| (\S.*?) \| ([\d.]+) \| ([\d.]+) \((.*?)\) \| ([\d.]+) \|$", README, re.MULTILINE)
        self.assertGreaterEqual(len(rows), 5)
        for name, ours, theirs, peer, ratio in rows:
            case = cases[name]
            self.assertEqual((ours, theirs), (f"{case['us']:.1f}", f"{case['peer_us']:.1f}"), name)
            self.assertEqual((peer, ratio), (case["peer"], f"{case['ratio']:.2f}"), name)

    def test_links_lead_somewhere(self):
        for page in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
            for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
                self.assertTrue((ROOT / link).exists(), f"{page}: {link}")


if __name__ == "__main__":
    unittest.main()
