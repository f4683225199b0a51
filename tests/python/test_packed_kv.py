# SPDX-License-Identifier: Apache-2.0
"""Attention over a paged cache of NVFP4: `quantize` makes codes and scales, `kv_append` puts both into pages as
16-bit elements, and `attention` reads them as the numbers that they stand for.
"""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402

if support.has("numpy"):
    import codes
    import numpy as np

TOKENS, HEADS, KV_HEADS, DIM, PAGE = 40, 4, 2, 128, 8


@support.needs("numpy")
class PackedKv(unittest.TestCase):
    def test_a_cache_that_quantize_and_append_fill(self):
        for device in (None, "emulated:h200", "emulated:a100"):
            for q_len in (1, 5):
                with self.subTest(device=device or "cpu", q_len=q_len):
                    self.check(device, q_len)

    def check(self, device, q_len):
        random = np.random.default_rng(7)
        half = lambda *shape: random.standard_normal(shape).astype(np.float16)  # noqa: E731
        pages = TOKENS // PAGE
        sequences, positions = np.zeros(TOKENS, np.int32), np.arange(TOKENS, dtype=np.int32)
        table = random.permutation(pages).astype(np.int32)[None]
        caches, numbers, scales = [], [], []
        for _ in "kv":
            x = half(TOKENS * KV_HEADS, DIM)
            scale = np.float32(np.abs(x).max() / (6 * 448))
            made = warpwright.quantize(x, "nvfp4", global_scale=float(scale), device=device)
            scales.append(float(scale))
            blocks = codes.decode("e4m3", made.scales).repeat(16, -1)
            numbers.append((codes.decode("e2m1", codes.unpacked("e2m1", made.codes)) * blocks * scale).reshape(
                TOKENS, KV_HEADS, DIM))
            caches.append((np.ascontiguousarray(made.codes), np.ascontiguousarray(made.scales)))
        paged = []
        for part in range(2):  # codes, then scales
            of_tokens = [cache[part].reshape(TOKENS, KV_HEADS, -1).view(np.float16) for cache in caches]
            into = [np.zeros((pages, PAGE, KV_HEADS, of_tokens[0].shape[-1]), np.float16) for _ in "kv"]
            warpwright.kv_append(*of_tokens, sequences, positions, table, *into, device=device)
            paged.append([pool.view(np.uint8) for pool in into])
        q = half(q_len, HEADS, DIM)
        got = warpwright.attention(
            q, *paged[0], page_table=table, kv_lengths=np.array([TOKENS], np.int32), kv_format="nvfp4",
            k_scale=scales[0], v_scale=scales[1], k_block_scales=paged[1][0], v_block_scales=paged[1][1],
            q_starts=np.array([0, q_len], np.int32), max_q_len=q_len, device=device)
        keys, values = (x.repeat(HEADS // KV_HEADS, 1) for x in numbers)
        scores = np.einsum("qhd,khd->hqk", q.astype(np.float64), keys) / DIM**0.5
        seen = np.arange(TOKENS)[None] <= np.arange(TOKENS - q_len, TOKENS)[:, None]
        weights = np.exp(np.where(seen, scores, -np.inf))
        expected = np.einsum("hqk,khd->qhd", weights / weights.sum(-1, keepdims=True), values)
        self.assertEqual(got.shape, (q_len, HEADS, DIM))
        # Weights, of sum 1, and the result are rounded to fp16: half a unit in the last place each.
        bound = 2 * 2.0**-11 * np.abs(values).max()
        np.testing.assert_allclose(got.astype(np.float64), expected, rtol=0, atol=bound)

    def test_a_page_that_is_none_is_named_where_inputs_are_checked(self):
        q, pages = np.zeros((1, 2, 64), np.float16), np.zeros((3, 8, 2, 64), np.float16)
        call = {"page_table": np.array([[2, 3]], np.int32), "kv_lengths": np.array([9], np.int32)}
        context = warpwright.Context.of("cpu")
        context.check_inputs()
        try:
            with self.assertRaises(warpwright.CallerError) as caught:
                warpwright.attention(q, pages, pages, **call)
        finally:
            context.check_inputs(False)
        self.assertEqual(str(caught.exception), "attention: page_table[0, 1] must be 0 to 2, as sequence 0 has 9 "
                                                "keys of 8 a page, got 3")

    def test_what_is_missing_is_said(self):
        q, k = np.zeros((1, 2, 64), np.float16), np.zeros((4, 2, 32), np.uint8)
        with self.assertRaisesRegex(warpwright.CallerError, "attention: k_block_scales"):
            warpwright.attention(q, k, k, kv_format="nvfp4")
        with self.assertRaisesRegex(warpwright.CallerError, "expected fp8_e4m3, fp8_e5m2 or nvfp4 for k of u8"):
            warpwright.attention(q, k, k)


if __name__ == "__main__":
    unittest.main()
