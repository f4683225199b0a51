# SPDX-License-Identifier: Apache-2.0
"""python -m warpwright.bench: every problem of `warpwright bench` has a call of ours; lines, means and chart
are right.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

from warpwright.bench import report  # noqa: E402

PROGRAM = support.ROOT / "build" / "warpwright"

# Small ones of each form that `warpwright bench --list` prints.
SMALL = (
    ("gemm", "m=3 n=16 k=64 bf16"),
    ("attention", "prefill batch=1 len=32 heads=4/2 d=64 causal bf16"),
    ("attention", "prefill batch=1 len=32 heads=2/2 d=192 dv=128 causal bf16"),
    ("attention", "prefill batch=1 len=32 heads=4/2 d=64 window=8 softcap=50 bf16"),
    ("attention", "decode batch=2 len=64 heads=4/2 d=64 page=16 bf16"),
    ("attention", "decode batch=2 len=64 heads=4/2 d=64 page=16 q_len=4 bf16"),
    ("rmsnorm", "tokens=4 hidden=64 residual bf16"),
    ("rmsnorm", "tokens=4 heads=3 head_dim=64 in place bf16"),
    ("gated_activation", "tokens=4 width=64 silu bf16"),
    ("rope", "tokens=4 heads=4/2 head_dim=64 neox in place bf16"),
    ("kv_append", "tokens=20 kv_heads=2 head_dim=64 page=16 bf16"),
    ("latent_append", "tokens=20 columns=576 page=16 bf16"),
    ("latent_append", "tokens=20 columns=128 page=16 bf16"),
    ("embedding", "tokens=4 rows=100 width=64 bf16"),
    ("logits", "rows=2 vocabulary=100 softcap=30 listed=5 in place f32"),
    ("sample", "rows=2 vocabulary=100 top_k=50 top_p=0.9 f32"),
    ("attention", "prefill batch=1 len=32 heads=4/2 d=64 causal kv=fp8_e4m3 bf16"),
    ("attention", "decode batch=2 len=64 heads=4/2 d=64 page=16 kv=fp8_e5m2 bf16"),
    ("kv_append", "tokens=20 kv_heads=2 head_dim=64 page=16 kv=fp8_e4m3 bf16"),
    ("quantized_gemm", "m=2 n=64 k=128 bf16 int4 group=32"),
    ("quantized_gemm", "m=2 n=64 k=128 bf16 int8 group=0"),
    ("quantized_gemm", "m=2 n=64 k=128 bf16 fp8_e4m3 group=128"),
    ("quantized_gemm", "m=2 n=64 k=128 bf16 nvfp4 group=16"),
    ("quantized_gemm", "m=2 n=64 k=128 bf16 mxfp4 group=32 masked groups=2"),
    ("scaled_gemm", "m=3 n=64 k=128 bf16 i8"),
    ("scaled_gemm", "m=3 n=64 k=128 bf16 fp8-tensor"),
    ("scaled_gemm", "m=3 n=64 k=128 bf16 fp8"),
    ("scaled_gemm", "m=3 n=64 k=128 bf16 mxfp8"),
    ("scaled_gemm", "m=3 n=64 k=128 bf16 fp8-block masked groups=2"),
    ("quantize", "rows=4 columns=256 fp8 1x128 from bf16"),
    ("quantize", "rows=4 columns=256 fp8 per token from bf16"),
    ("quantize", "rows=4 columns=256 fp8 128x128 from bf16"),
    ("quantize", "rows=4 columns=256 fp8 per tensor from bf16"),
    ("quantize", "rows=4 columns=256 fp8 per tensor, given scale from bf16"),
    ("quantize", "rows=4 columns=256 int8 per token from bf16"),
    ("quantize", "rows=4 columns=256 mxfp8 swizzled from bf16"),
    ("quantize", "rows=4 columns=256 mxfp4 from bf16"),
    ("quantize", "rows=4 columns=256 nvfp4 from bf16"),
    ("quantize", "rows=4 columns=256 nvfp4 swizzled from bf16"),
    ("dequantize", "rows=4 columns=256 fp8 128x128 to f32"),
    ("dequantize", "rows=4 columns=256 nvfp4 to bf16"),
    ("rmsnorm", "tokens=4 hidden=256 residual bf16 to fp8 per tensor, given scale"),
    ("rmsnorm", "tokens=4 hidden=256 residual bf16 to nvfp4"),
    ("gated_activation", "tokens=4 width=256 silu bf16 to fp8 1x128"),
    ("gated_activation", "tokens=4 width=256 silu bf16 to int8 per token"),
    ("moe_route", "tokens=4 experts=16 top_k=2 softmax f32"),
    ("moe_route", "tokens=4 experts=16 top_k=2 sigmoid, bias, 4 of 8 groups f32"),
    ("moe_permute", "tokens=4 experts=16 top_k=2 contiguous, aligned to 128"),
    ("moe_combine", "tokens=4 top_k=2 width=64 bf16"),
)


def case(op, us, **peers):
    return report.Case(op, f"n={us:g}", us, 1000.0, 0.0, peers)


class Report(unittest.TestCase):
    cases = [
        case("gemm", 10.0, a=20.0, b=15.0),
        case("gemm", 10.0, a=6.0),
        case("rope", 4.0, b=4.0),
        case("logits", 1.0),
    ]

    def test_the_fastest_peer_counts(self):
        self.assertEqual([one.best_peer for one in self.cases], ["b", "a", "b", "-"])
        self.assertEqual([one.ratio for one in self.cases[:3]], [1.5, 0.6, 1.0])
        self.assertEqual([one.json()["ratio"] for one in self.cases], [1.5, 0.6, 1.0, None])

    def test_means(self):
        means = report.means(self.cases)
        self.assertEqual(list(means), ["gemm", "rope", "all"])
        self.assertAlmostEqual(means["gemm"]["geometric_mean"], 0.9**0.5)
        self.assertAlmostEqual(means["all"]["geometric_mean"], 0.9 ** (1 / 3))
        self.assertEqual((means["all"]["cases"], means["all"]["lowest"]), (3, 0.6))

    def test_lines_have_one_width(self):
        width = report.width_of((one.op, one.problem) for one in self.cases)
        lines = [report.heading(width), *(report.line(one, width) for one in self.cases)]
        place = lines[0].rindex("  peer")
        self.assertEqual({line[place : place + 2] for line in lines}, {"  "})
        self.assertTrue(all(line[place - 1] != " " for line in lines))

    def test_chart(self):
        text = report.svg(self.cases, "a < b")
        root = xml.etree.ElementTree.fromstring(text)
        bars = [
            rect
            for rect in root.iter("{http://www.w3.org/2000/svg}rect")
            if rect.get("fill", "").startswith("#")
        ]
        widths = [float(bar.get("width")) for bar in bars]
        self.assertEqual(len(widths), 3)
        self.assertAlmostEqual(widths[0] / widths[2], 1.5, places=2)
        self.assertEqual(len({bar.get("fill") for bar in bars}), 2)  # slower ones differ


class Show(unittest.TestCase):
    def test_figures_of_the_program(self):
        (path,) = sorted((support.ROOT / "docs" / "results").glob("*_bench.json"))[-1:]
        figures = json.loads(path.read_text())
        with tempfile.TemporaryDirectory() as folder:
            chart = pathlib.Path(folder, "chart.svg")
            done = subprocess.run(
                [sys.executable, "-m", "warpwright.bench", "--show", path, "--svg", chart],
                capture_output=True,
                text=True,
                cwd=None if os.environ.get("WARPWRIGHT_INSTALLED") else support.ROOT / "python",
            )
            self.assertEqual(done.stderr, "")
            root = xml.etree.ElementTree.fromstring(chart.read_text())
        lines = done.stdout.split("\n")
        self.assertEqual(lines[0], f"{figures['gpu']}, {figures['date']}")
        place = lines[1].index("us") - 8
        shown = {
            line[:place].strip(): line[place:].split()[4] for line in lines[2 : 2 + len(figures["cases"])]
        }
        for case in figures["cases"]:
            ratio = f"{case['ratio']:.2f}" if "ratio" in case else "-"
            self.assertEqual(shown[f"{case['op']} {case['problem']}"], ratio)
        texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
        drawn = {f"{case['op']} {case['problem']}" for case in figures["cases"] if "ratio" in case}
        self.assertLessEqual(drawn, texts)

    def test_charts_are_of_the_figures_beside_them(self):
        folder = support.ROOT / "docs" / "results"
        charts = sorted(folder.glob("*_bench*.svg"))
        self.assertTrue(charts)
        for path in charts:
            stem = path.stem.replace("_means", "")
            figures = json.loads((folder / f"{stem}.json").read_text())
            chart = report.svg if stem == path.stem else report.mean_svg
            cases = [report.case_of(case) for case in figures["cases"]]
            expected = chart(cases, f"warpwright on {figures['gpu']}, {figures['date']}")
            again = (
                f"python -m warpwright.bench --show {stem}.json --svg {stem}.svg --means-svg {stem}_means.svg"
            )
            self.assertTrue(
                path.read_text() == expected, f"{path.name} is of other figures; in docs/results: {again}"
            )


@support.needs("torch")
class Ours(unittest.TestCase):
    def test_every_form_runs(self):
        from warpwright.bench.ours import our_call

        for op, problem in SMALL:
            with self.subTest(op=op, problem=problem):
                ours = our_call(op, problem, "cpu")
                buffers = ours.make()
                ours.call(*buffers)
                self.assertGreater(ours.bytes_moved, 0)

    def test_every_listed_problem_is_known(self):
        import re

        if not PROGRAM.exists():
            self.skipTest("build/warpwright is not built")
        listed = subprocess.run(
            [PROGRAM, "bench", "--list", "--set", "full"], capture_output=True, text=True
        ).stdout
        form = lambda text: re.sub(r"[\d./]+", "0", text)
        known = {form(f"{op} {problem}") for op, problem in SMALL}
        # Of limits and masks there are all combinations; each of them is in some small problem.
        words = {word for one in known for word in one.split()}
        for line in listed.splitlines():
            self.assertLessEqual(set(form(line).split()), words, line)

    def test_without_a_gpu(self):
        import torch

        if torch.cuda.is_available():
            self.skipTest("there is a GPU")
        done = subprocess.run(
            [sys.executable, "-m", "warpwright.bench", "--quick"],
            capture_output=True,
            text=True,
            cwd=support.ROOT / "python",
        )
        self.assertEqual(
            (done.returncode, done.stderr), (1, "warpwright.bench: expected a GPU, found none\n")
        )


@support.needs("torch")
@support.needs_gpu
class OnGpu(unittest.TestCase):
    def test_small_problems_are_timed(self):
        from warpwright.bench import __main__ as bench

        peers = bench.load_peers(False)
        cases = list(bench.measure(peers, list(SMALL[:2])))
        for one in cases:
            self.assertGreater(one.us, 0)
            self.assertTrue(one.peers)


if __name__ == "__main__":
    unittest.main()
