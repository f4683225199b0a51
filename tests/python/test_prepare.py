# SPDX-License-Identifier: Apache-2.0
"""Prepared operations: nothing runs until the launch, which reads what the tensors hold then."""

import gc
import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402

if support.has("numpy"):
    import numpy as np


def halves(*shape):
    return np.random.default_rng(2).standard_normal(shape).astype(np.float16)


@support.needs("numpy")
class Prepare(unittest.TestCase):
    def test_one_operation(self):
        x, weight = halves(3, 64), halves(64)
        for device in (None, "emulated:rtx-5090"):
            out = np.full_like(x, 7)
            step = warpwright.prepare(warpwright.rmsnorm, x, weight, out=out, device=device)
            self.assertTrue((out == 7).all())
            self.assertIs(step.launch(), out)
            np.testing.assert_array_equal(out, warpwright.rmsnorm(x, weight, device=device))
            x[:] = halves(3, 64)[::-1]
            step.launch()
            np.testing.assert_array_equal(out, warpwright.rmsnorm(x, weight, device=device))

    def test_several_in_order(self):
        x, weight, projection = halves(3, 64), halves(64), halves(16, 64)
        normed, projected = np.empty((3, 64), np.float16), np.empty((3, 16), np.float16)
        with warpwright.prepare() as step:
            self.assertIs(warpwright.rmsnorm(x, weight, out=normed), normed)
            warpwright.gemm(normed, projection, out=projected)
        self.assertEqual([row.partition(".")[0] for row in step.rows], ["rmsnorm", "gemm"])
        self.assertIs(step.launch(), projected)
        np.testing.assert_array_equal(projected, warpwright.gemm(warpwright.rmsnorm(x, weight), projection))

    def test_tensors_live_as_long_as_it(self):
        step = warpwright.prepare(warpwright.gemm, halves(3, 64), halves(5, 64))
        expected = warpwright.gemm(halves(3, 64), halves(5, 64))
        gc.collect()
        halves(1000, 64)
        np.testing.assert_array_equal(step.launch(), expected)

    def test_one_step_of_a_growing_sequence(self):
        pages, table = halves(4, 8, 2, 64), np.array([[2, 0, 3, 1]], np.int32)
        lengths, q = np.array([3], np.int32), halves(1, 4, 64)
        step = warpwright.prepare(warpwright.attention, q, pages, pages, page_table=table, kv_lengths=lengths)
        for length in (3, 4, 30):
            lengths[0] = length
            expected = warpwright.attention(
                q, pages, pages, page_table=table, kv_lengths=np.array([length], np.int32)
            )
            np.testing.assert_array_equal(step.launch(), expected)

    def test_batch_invariant(self):
        a, b = halves(40, 64), halves(48, 64)
        rows = lambda batch: (
            warpwright.prepare(
                warpwright.gemm, a[:batch], b, batch_invariant=True, device="emulated:h200"
            ).rows
        )
        self.assertEqual(rows(1), rows(40))

    def test_the_callers_wishes_about_rows(self):
        x, weight = halves(3, 64), halves(64)
        context = warpwright.Context.of("emulated:h200")
        rows = lambda: warpwright.prepare(warpwright.rmsnorm, x, weight, device="emulated:h200").rows
        (chosen,) = rows()
        others = [
            candidate.row
            for candidate in warpwright.why("rmsnorm", "h200", tokens=3, hidden=64, dtype="f16").candidates
            if candidate.accepted and candidate.row != chosen
        ]
        self.assertTrue(others)
        try:
            context.force("rmsnorm", others[0])
            self.assertEqual(rows(), [others[0]])
            context.force("rmsnorm", "rmsnorm.host.f16")
            with self.assertRaisesRegex(warpwright.NoKernelError, "architecture: runs on the CPU"):
                rows()
            context.force("rmsnorm", None)
            context.forbid(chosen, "it failed yesterday")
            self.assertNotEqual(rows(), [chosen])
            for other in others:
                context.forbid(other, "it failed yesterday")
            with self.assertRaisesRegex(warpwright.NoKernelError, f"{chosen}.*it failed yesterday"):
                rows()
        finally:
            context.force("rmsnorm", None)
            for row in (chosen, *others):
                context.forbid(row, None)
        self.assertEqual(rows(), [chosen])

    def test_threads(self):
        a, b = halves(40, 64), halves(48, 64)
        expected = warpwright.gemm(a, b)
        wrong = []

        def work():
            step = warpwright.prepare(warpwright.gemm, a, b)
            for _ in range(50):
                for got in (warpwright.gemm(a, b), step.launch()):
                    if not np.array_equal(got, expected):
                        wrong.append(got)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(wrong), 0)

    def test_mistakes(self):
        a = halves(2, 8)
        with warpwright.prepare() as step:
            with self.assertRaisesRegex(warpwright.CallerError, "another one is open in this thread"):
                with warpwright.prepare():
                    pass
            warpwright.gemm(a, a)
            with self.assertRaisesRegex(
                warpwright.CallerError, "expected operations on cpu, got one on emulated:h200"
            ):
                warpwright.gemm(a, a, device="emulated:h200")
            with self.assertRaisesRegex(warpwright.CallerError, "gemm: b: dimension 1"):
                warpwright.gemm(a, halves(2, 9))
        self.assertEqual(len(step.rows), 1)
        # Another thread is not in the block of this one.
        results = []
        with warpwright.prepare():
            thread = threading.Thread(target=lambda: results.append(warpwright.gemm(a, a)))
            thread.start()
            thread.join()
        np.testing.assert_array_equal(results[0], warpwright.gemm(a, a))


if __name__ == "__main__":
    unittest.main()
