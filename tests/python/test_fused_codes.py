# SPDX-License-Identifier: Apache-2.0
"""Operations that make or read codes on their way: what they give is what two calls give, to the bit, or is
judged in fp64.
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

DEVICES = (None, "emulated:rtx-5090")
SEED = 20261127


def half(random, *shape, scale=1.0):
    return (random.standard_normal(shape) * scale).astype(np.float16)


@support.needs("numpy")
class Codes(unittest.TestCase):
    def on_devices(self, check):
        for device in DEVICES:
            with self.subTest(device=device or "cpu"):
                check(device, np.random.default_rng(SEED))

    def refuses(self, text, function, *arguments, **keywords):
        with self.assertRaises(warpwright.CallerError) as caught:
            function(*arguments, **keywords)
        self.assertEqual(str(caught.exception), text)

    def assert_same_codes(self, got, expected):
        np.testing.assert_array_equal(got.codes, expected.codes)
        np.testing.assert_array_equal(got.scales, expected.scales)
        self.assertEqual(got.format, expected.format)

    def test_gemm_to_codes(self):
        def check(device, random):
            a, b = half(random, 5, 96), half(random, 40, 96)
            exact = warpwright.gemm(a, b, out_dtype="f32", device=device)
            for code, scale in (("e4m3", 0.05), ("i8", np.array([0.25], np.float32))):
                amax = np.array([1.0], np.float32)
                got = warpwright.gemm(a, b, d_scale=scale, d_code=code, d_amax=amax, device=device)
                inverse = np.float32(1) / np.float32(np.asarray(scale).item())
                np.testing.assert_array_equal(got.view(np.uint8), codes.encode(code, exact * inverse))
                self.assertEqual(amax[0], np.abs(exact).max())
                self.assertEqual(got.dtype, np.int8 if code == "i8" else np.uint8)

        self.on_devices(check)

    def test_rmsnorm_to_codes(self):
        def check(device, random):
            x, weight = half(random, 4, 256), half(random, 256)
            plain = warpwright.rmsnorm(x, weight, device=device)
            for format in ("fp8_token", "fp8_group", "int8_token", "mxfp8", "mxfp4"):
                with self.subTest(format=format):
                    got = warpwright.rmsnorm(x, weight, quantized=format, device=device)
                    self.assert_same_codes(got, warpwright.quantize(plain, format, device=device))
            out, residual = np.empty_like(x), half(random, 4, 256)
            summed = residual.copy()
            expected = warpwright.rmsnorm(x, weight, residual=summed, device=device)
            wish = warpwright.QuantizedOutput("nvfp4", global_scale=0.02, swizzled=True, least_amax=0.5)
            got = warpwright.rmsnorm(x, weight, residual=residual, out=out, quantized=wish, device=device)
            np.testing.assert_array_equal(residual, summed)
            np.testing.assert_array_equal(out, expected)
            self.assert_same_codes(
                got,
                warpwright.quantize(
                    expected, "nvfp4", global_scale=0.02, swizzled=True, least_amax=0.5, device=device
                ),
            )

        self.on_devices(check)

    def test_gated_activation_to_codes(self):
        def check(device, random):
            both = half(random, 3, 512)
            plain = warpwright.gated_activation(both[:, :256], both[:, 256:], device=device)
            amax = np.zeros(1, np.float32)
            got = warpwright.gated_activation(
                both[:, :256],
                both[:, 256:],
                quantized=warpwright.QuantizedOutput("fp8_group", amax=amax),
                device=device,
            )
            self.assert_same_codes(got, warpwright.quantize(plain, "fp8_group", device=device))
            self.assertEqual(amax[0], np.abs(plain).max())

        self.on_devices(check)

    def test_kv_cache_of_codes(self):
        """Appended codes are the definition's, and attention to them is attention to what they mean."""

        def check(device, random):
            for kv_format, code in (("fp8_e4m3", "e4m3"), ("fp8_e5m2", "e5m2")):
                k, v = half(random, 5, 2, 64), half(random, 5, 2, 64)
                table = np.array([[2, 0]], np.int32)
                pages = [np.zeros((3, 4, 2, 64), np.uint8) for _ in range(2)]
                sequences, positions = np.zeros(5, np.int32), np.arange(5, dtype=np.int32)
                k_scale, v_scale = np.array([0.03, 0.5], np.float32), 0.125
                scales = {"k_scale": k_scale, "v_scale": v_scale, "kv_format": kv_format, "device": device}
                warpwright.kv_append(k, v, sequences, positions, table, *pages, **scales)
                cached = [part[table[0]].reshape(8, 2, 64)[:5] for part in pages]
                exact = [
                    codes.encode(code, k.astype(np.float32) / k_scale[:, None]),
                    codes.encode(code, v.astype(np.float32) / np.float32(v_scale)),
                ]
                for got, expected in zip(cached, exact):
                    np.testing.assert_array_equal(got, expected)

                q = half(random, 1, 4, 64)
                lengths, lse = np.array([5], np.int32), np.empty((1, 4), np.float32)
                out = warpwright.attention(
                    q, *pages, page_table=table, kv_lengths=lengths, lse_base2=lse, **scales
                )
                keys = codes.decode(code, cached[0]) * k_scale[:, None].astype(float)
                values = codes.decode(code, cached[1]) * v_scale
                answers = [
                    support.attention_oracle(q, keys, values, scale=1 / 8, causal=True, real=real)
                    for real in (np.float64, np.float32)
                ]
                (oracle, oracle_lse, scores), (reference, reference_lse, _) = answers
                support.assert_derived(self, out, oracle, reference, np.abs(values).max() * (1 + scores))
                support.assert_derived(self, lse, oracle_lse, reference_lse, 16 + scores)
                again = warpwright.attention(
                    q, *pages, page_table=table, kv_lengths=lengths, past_is_ready=True, **scales
                )
                np.testing.assert_array_equal(again, out)

        self.on_devices(check)

    @support.needs("ml_dtypes")
    def test_a_type_says_what_a_cache_holds(self):
        import ml_dtypes

        random = np.random.default_rng(SEED)
        q, k, v = half(random, 3, 2, 64), half(random, 9, 2, 64), half(random, 9, 2, 64)
        stored = [part.astype(ml_dtypes.float8_e5m2) for part in (k, v)]
        got = warpwright.attention(q, *stored)
        expected = warpwright.attention(q, *(part.view(np.uint8) for part in stored), kv_format="fp8_e5m2")
        np.testing.assert_array_equal(got, expected)
        self.refuses(
            "attention: k must be bf16 or f16 or codes, got float8_e5m2",
            warpwright.attention,
            q,
            *stored,
            kv_format="fp8_e4m3",
        )

    def test_rope_that_appends(self):
        def check(device, random):
            frequency = np.array(warpwright.rope_frequencies(10000.0, 64)[0], np.float32)
            fused = half(random, 4, 8, 64)  # four heads of queries, two of keys, two of values
            positions = np.array([3, 4, -1, 9], np.int32)
            sequences = np.array([0, 0, 1, 1], np.int32)
            table = np.array([[1, 0], [3, 2]], np.int32)
            pages = [half(random, 4, 8, 2, 64) for _ in range(2)]

            expected_pages = [page.copy() for page in pages]
            turned = fused.copy()
            where = {"device": device}
            warpwright.rope(turned[:, :4], turned[:, 4:6], positions, frequency, **where)
            warpwright.kv_append(
                turned[:, 4:6], turned[:, 6:], sequences, positions, table, *expected_pages, **where
            )
            q, k, v = fused[:, :4], fused[:, 4:6], fused[:, 6:]
            keys = k.copy()
            for are_ready in (False, True):
                q_now, pages_now = q.copy(), [page.copy() for page in pages]
                warpwright.rope(
                    q_now,
                    k,
                    positions,
                    frequency,
                    v=v,
                    sequences=sequences,
                    page_table=table,
                    k_pages=pages_now[0],
                    v_pages=pages_now[1],
                    positions_are_ready=are_ready,
                    **where,
                )
                exists = positions >= 0
                np.testing.assert_array_equal(q_now[exists], turned[:, :4][exists])
                np.testing.assert_array_equal(k, keys)
                for got, expected in zip(pages_now, expected_pages):
                    np.testing.assert_array_equal(got, expected)

        self.on_devices(check)

    def test_refusals(self):
        random = np.random.default_rng(SEED)
        x, weight = half(random, 4, 256), half(random, 256)
        self.refuses(
            "rmsnorm: scales must be of one row, or given for the whole tensor",
            warpwright.rmsnorm,
            x,
            weight,
            quantized="fp8_block",
        )
        self.refuses(
            "rmsnorm: codes must be null where heads are normalised",
            warpwright.rmsnorm,
            half(random, 2, 2, 64),
            half(random, 64),
            quantized="fp8_token",
        )
        self.refuses(
            "gated_activation: format: expected one of fp8_tensor, fp8_token, fp8_group, fp8_block, "
            "int8_tensor, int8_token, mxfp8, mxfp4, nvfp4, or a QuantizeFormat, got e4m3",
            warpwright.gated_activation,
            x,
            x,
            quantized="e4m3",
        )
        self.refuses(
            "gemm: d_code must be e4m3 or i8, got e5m2", warpwright.gemm, x, x, d_scale=1.0, d_code="e5m2"
        )
        self.refuses(
            "gemm: d_scale and d_amax go with codes: d in u8",
            warpwright.gemm,
            x,
            x,
            d_amax=np.zeros(1, np.float32),
        )
        pages = np.zeros((2, 4, 2, 64), np.uint8)
        k, one = half(random, 1, 2, 64), np.zeros(1, np.int32)
        append = (k, k, one, one, np.zeros((1, 2), np.int32), pages, pages.copy())
        self.refuses(
            "kv_append: kv_format: expected fp8_e4m3 or fp8_e5m2 for k_pages of u8, got none",
            warpwright.kv_append,
            *append,
        )
        self.refuses(
            "kv_append: k_scale must have 1 element or kv_heads = 2, got 3",
            warpwright.kv_append,
            *append,
            kv_format="fp8_e4m3",
            k_scale=np.ones(3, np.float32),
        )
        self.refuses(
            "attention: k_scale is for kv_format fp8_e4m3, fp8_e5m2 or nvfp4, got same",
            warpwright.attention,
            k,
            k,
            k,
            k_scale=0.5,
        )
        self.refuses(
            "rope: v, sequences, page_table and v_pages: expected k_pages too",
            warpwright.rope,
            k,
            k.copy(),
            one,
            np.ones(32, np.float32),
            v=k,
        )


if __name__ == "__main__":
    unittest.main()
