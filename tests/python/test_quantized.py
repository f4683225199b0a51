# SPDX-License-Identifier: Apache-2.0
"""Operations on codes and scales on NumPy arrays, on the CPU and on an emulated GPU, against
tests/python/codes.py and fp64.
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
SEED = 20261126
FORMATS = {
    **warpwright.FORMATS,
    "e5m2 by powers of two": warpwright.QuantizeFormat("e5m2", "power_of_two", 1, 64),
    "mxfp8 rounded up": warpwright.QuantizeFormat("e4m3", "e8m0_up", 1, 32),
}


def half(random, *shape, scale=1.0):
    return (random.standard_normal(shape) * scale).astype(np.float16)


def numbers_of(quantized):
    """What a Quantized of the tests means, in float64."""
    format = FORMATS.get(quantized.format, quantized.format)
    plain = codes.unpacked(format.code, quantized.codes)
    scales = codes.decode_scales(format.scale, quantized.scales).astype(np.float64)
    if quantized.global_scale is not None:
        scales = scales * np.float64(np.asarray(quantized.global_scale).item())
    return codes.decode(format.code, plain) * codes.spread(format, scales, *plain.shape)


class OnDevices(unittest.TestCase):
    def on_devices(self, check):
        """check(device, random) with the same random numbers for each."""
        for device in DEVICES:
            with self.subTest(device=device or "cpu"):
                check(device, np.random.default_rng(SEED))

    def judge(self, got, a, b, dtype="f32", magnitude=1.0):
        """A product of float64 matrices, by the rule of src/check/harness.h."""
        reference = support.round_to(a.astype(np.float32) @ b.astype(np.float32).T, dtype)
        largest = (np.abs(a) @ np.abs(b).T).max() * magnitude
        support.assert_derived(self, got, a @ b.T, reference, largest)

    def refuses(self, text, function, *arguments, **keywords):
        with self.assertRaises(warpwright.CallerError) as caught:
            function(*arguments, **keywords)
        self.assertEqual(str(caught.exception), text)


@support.needs("numpy")
class Quantize(OnDevices):
    def test_every_format_to_the_bit(self):
        def check(device, random):
            for name, format in FORMATS.items():
                with self.subTest(format=name):
                    x = half(random, 130, 256, scale=3)
                    global_scale = 0.01 if format.scale == "e4m3" else None
                    got = warpwright.quantize(x, format, global_scale=global_scale, device=device)
                    expected, scales = codes.quantize(format, x, global_scale or 1.0)
                    np.testing.assert_array_equal(codes.unpacked(format.code, got.codes), expected)
                    np.testing.assert_array_equal(got.scales, scales)
                    self.assertEqual(got.format, format)
                    numbers = warpwright.dequantize(got, device=device)
                    expected = codes.dequantize(format, expected, scales, global_scale or 1.0)
                    np.testing.assert_array_equal(numbers, expected)

        self.on_devices(check)

    def test_swizzled_scales(self):
        def check(device, random):
            x = half(random, 5, 96)
            plain = warpwright.quantize(x, "mxfp4", device=device)
            got = warpwright.quantize(x, "mxfp4", swizzled=True, device=device)
            np.testing.assert_array_equal(got.codes, plain.codes)
            np.testing.assert_array_equal(got.scales, codes.swizzled(plain.scales))
            np.testing.assert_array_equal(
                warpwright.dequantize(got, device=device), warpwright.dequantize(plain, device=device)
            )

        self.on_devices(check)

    def test_given_scale(self):
        def check(device, random):
            x = half(random, 3, 40)
            expected = codes.encode("e4m3", x.astype(np.float32) * (np.float32(1) / np.float32(0.25)))
            for scale in (0.25, np.array([0.25], np.float32), np.array([[0.25]], np.float32)):
                got = warpwright.quantize(x, "fp8_tensor", scale=scale, device=device)
                np.testing.assert_array_equal(got.codes, expected)
                np.testing.assert_array_equal(
                    warpwright.dequantize(got, device=device), codes.decode("e4m3", expected) * 0.25
                )
            for bad in (0.0, -1.0, np.inf, np.nan):
                got = warpwright.quantize(x, "fp8_tensor", scale=bad, device=device)
                self.assertTrue((got.codes == 0x7F).all())

        self.on_devices(check)

    def test_outputs_that_are_given(self):
        x = half(np.random.default_rng(SEED), 4, 256)
        made = warpwright.quantize(x)
        wide = np.zeros((4, 400), np.uint8)
        columns = np.zeros((2, 4), np.float32).T  # DeepGEMM wants scales column by column
        got = warpwright.quantize(x, codes=wide[:, 100:356], scales=columns)
        self.assertIs(got.scales, columns)
        np.testing.assert_array_equal(wide[:, 100:356], made.codes)
        np.testing.assert_array_equal(columns, made.scales)
        self.assertFalse(wide[:, :100].any() or wide[:, 356:].any())
        floor = warpwright.quantize(x, least_amax=448.0)
        np.testing.assert_array_equal(floor.scales, np.ones((4, 2), np.float32))

    def test_prepared(self):
        x = half(np.random.default_rng(SEED), 4, 256)
        expected = warpwright.quantize(x, "fp8_tensor")
        with warpwright.prepare() as step:
            got = warpwright.quantize(x, "fp8_tensor")
        got.codes.fill(0)
        launched = step.launch()
        self.assertEqual([row.partition(".")[0] for row in step.rows], ["amax", "quantize"])
        self.assertIs(launched.codes, got.codes)
        np.testing.assert_array_equal(got.codes, expected.codes)
        np.testing.assert_array_equal(got.scales, expected.scales)

    def test_types_of_16_bits(self):
        quantized = warpwright.quantize(half(np.random.default_rng(SEED), 4, 256))
        exact = warpwright.dequantize(quantized)
        np.testing.assert_array_equal(
            warpwright.dequantize(quantized, out_dtype="f16"), exact.astype(np.float16)
        )

    def test_amax(self):
        def check(device, random):
            x = half(random, 37, 200)
            parts = warpwright.amax(x, device=device)
            self.assertEqual((parts.shape, parts.max()), ((512,), np.abs(x).max()))

        self.on_devices(check)

    def test_types_of_codes(self):
        x = half(np.random.default_rng(SEED), 4, 256)
        self.assertEqual(warpwright.quantize(x, "int8_token").codes.dtype, np.int8)
        self.assertEqual(warpwright.quantize(x, "fp8_token").codes.dtype, np.uint8)

    @support.needs("ml_dtypes")
    def test_ml_dtypes(self):
        import ml_dtypes

        x = half(np.random.default_rng(SEED), 4, 256)
        expected = warpwright.quantize(x, "mxfp8")
        got = warpwright.quantize(
            x,
            "mxfp8",
            codes=np.zeros((4, 256), ml_dtypes.float8_e4m3fn),
            scales=np.zeros((4, 8), ml_dtypes.float8_e8m0fnu),
        )
        np.testing.assert_array_equal(got.codes.view(np.uint8), expected.codes)
        np.testing.assert_array_equal(got.scales.view(np.uint8), expected.scales)
        np.testing.assert_array_equal(warpwright.dequantize(got), warpwright.dequantize(expected))
        low = warpwright.dequantize(got, out_dtype="bf16")
        np.testing.assert_array_equal(low, warpwright.dequantize(got).astype(ml_dtypes.bfloat16))
        self.refuses(
            "quantize: codes must be u8 or float8_e4m3fn, got float8_e5m2",
            warpwright.quantize,
            x,
            "mxfp8",
            codes=np.zeros((4, 256), ml_dtypes.float8_e5m2),
        )

    def test_refusals(self):
        x = half(np.random.default_rng(SEED), 4, 96)
        self.refuses(
            "quantize: format: expected one of fp8_tensor, fp8_token, fp8_group, fp8_block, int8_tensor, "
            "int8_token, mxfp8, mxfp4, nvfp4, or a QuantizeFormat, got fp8",
            warpwright.quantize,
            x,
            "fp8",
        )
        self.refuses(
            "quantize: groups of 64 must divide columns, got 96",
            warpwright.quantize,
            x,
            warpwright.QuantizeFormat("e4m3", "e8m0", 1, 64),
        )
        self.refuses(
            "quantize: format.scale: expected one of f32, power_of_two, e8m0, e8m0_up, e4m3, got f16",
            warpwright.quantize,
            x,
            warpwright.QuantizeFormat("e4m3", "f16"),
        )
        self.refuses(
            "quantize: scales must be [4, 3], got [4, 4]",
            warpwright.quantize,
            x,
            "mxfp8",
            scales=np.zeros((4, 4), np.uint8),
        )
        self.refuses(
            "quantize: codes must be [4, 48], got [4, 96]",
            warpwright.quantize,
            x,
            "mxfp4",
            codes=np.zeros((4, 96), np.uint8),
        )
        self.refuses(
            "quantize: a given scale must be fp32 and of the whole tensor",
            warpwright.quantize,
            x,
            "fp8_token",
            scale=0.5,
        )
        self.refuses(
            "quantize: scales: expected none beside a given scale",
            warpwright.quantize,
            x,
            "fp8_tensor",
            scale=0.5,
            scales=np.zeros((1, 1), np.float32),
        )
        self.refuses(
            "quantize: global_scale goes with e4m3 scales only",
            warpwright.quantize,
            x,
            "mxfp4",
            global_scale=0.5,
        )
        self.refuses(
            "quantize: least_amax must be 0 or more, got -1", warpwright.quantize, x, least_amax=-1.0
        )
        self.refuses("quantize: x must have 2 dimensions, got 1", warpwright.quantize, x[0])
        quantized = warpwright.quantize(x, "fp8_token")
        self.refuses(
            "dequantize: scales must be [4, 1], got [3, 1]",
            warpwright.dequantize,
            quantized._replace(scales=quantized.scales[:3]),
        )
        self.refuses(
            "dequantize: scales must be f32, got float64",
            warpwright.dequantize,
            quantized._replace(scales=quantized.scales.astype(float)),
        )
        (
            self.refuses(
                "dequantize: out: expected f16 or f32, or a tensor for a result: NumPy has no bf16",
                warpwright.dequantize,
                quantized,
                out_dtype="bf16",
            )
            if not support.has("ml_dtypes")
            else None
        )


@support.needs("numpy")
class ScaledGemm(OnDevices):
    def test_scalings(self):
        def check(device, random):
            for a_format, b_format in (
                ("fp8_tensor", "fp8_token"),
                ("fp8_token", "fp8_tensor"),
                ("fp8_group", "fp8_block"),
                ("mxfp8", "mxfp8"),
                ("int8_token", "int8_tensor"),
            ):
                with self.subTest(a=a_format, b=b_format):
                    a = warpwright.quantize(half(random, 5, 256), a_format)
                    b = warpwright.quantize(half(random, 130, 256), b_format)
                    got = warpwright.scaled_gemm(a, b, out_dtype="f32", device=device)
                    self.judge(got, numbers_of(a), numbers_of(b))
                    again = warpwright.scaled_gemm(a, b, out_dtype="f32", b_is_constant=True, device=device)
                    np.testing.assert_array_equal(again, got)

        self.on_devices(check)

    def test_epilogue(self):
        def check(device, random):
            a = warpwright.quantize(half(random, 5, 128), "fp8_token")
            b = warpwright.quantize(half(random, 40, 128), "fp8_token")
            bias, gate, residual = half(random, 40), half(random, 5, 40), half(random, 5, 40)
            got = warpwright.scaled_gemm(
                a,
                b,
                bias=bias,
                gate=gate,
                residual=residual,
                activation="silu",
                out_dtype="f16",
                device=device,
            )

            def epilogue(product, real):
                x, g = product + bias.astype(real), gate.astype(real)
                return g / (1 + np.exp(-g)) * x + residual.astype(real)

            left, right = numbers_of(a), numbers_of(b)
            reference = epilogue(left.astype(np.float32) @ right.astype(np.float32).T, np.float32)
            magnitude = (np.abs(left) @ np.abs(right).T).max() * np.abs(gate).max()
            support.assert_derived(
                self, got, epilogue(left @ right.T, float), support.round_to(reference, "f16"), magnitude
            )

        self.on_devices(check)

    def test_zero_points(self):
        def check(device, random):
            a = random.integers(-128, 128, (3, 64)).astype(np.int8)
            b = random.integers(-127, 128, (5, 64)).astype(np.int8)
            zeros = np.array([3, -100, 0], np.int32)
            ones = np.ones((1, 1), np.float32)
            got = warpwright.scaled_gemm(
                warpwright.Quantized(a, ones, "int8_tensor"),
                warpwright.Quantized(b, ones, "int8_tensor"),
                a_zeros=zeros,
                b_sums=b.sum(1, dtype=np.int32),
                out_dtype="f32",
                device=device,
            )
            exact = (a.astype(np.int64) - zeros[:, None]) @ b.astype(np.int64).T
            np.testing.assert_array_equal(got, exact)

        self.on_devices(check)

    def test_to_codes(self):
        def check(device, random):
            # Sums of integers are the same bits, whichever row makes them.
            a = warpwright.quantize(half(random, 5, 128), "int8_token")
            b = warpwright.quantize(half(random, 70, 128), "int8_tensor")
            bias = half(random, 70)
            exact = warpwright.scaled_gemm(a, b, bias=bias, out_dtype="f32", device=device)
            for code, scale in (("e4m3", 0.05), ("i8", np.array([0.25], np.float32))):
                amax = np.array([1.0], np.float32)
                got = warpwright.scaled_gemm(
                    a, b, bias=bias, d_scale=scale, d_code=code, d_amax=amax, device=device
                )
                inverse = np.float32(1) / np.float32(np.asarray(scale).item())
                np.testing.assert_array_equal(got.view(np.uint8), codes.encode(code, exact * inverse))
                self.assertEqual(amax[0], np.abs(exact).max())
                self.assertEqual(got.dtype, np.int8 if code == "i8" else np.uint8)

        self.on_devices(check)
        ones = warpwright.quantize(np.ones((2, 64), np.float16), "fp8_token")
        none = warpwright.scaled_gemm(ones, ones, d_scale=0.0)
        self.assertTrue((none.view(np.uint8) & 0x7F == 0x7F).all())  # NaN's codes
        self.refuses(
            "scaled_gemm: d_code must be e4m3 or i8, got e2m1",
            warpwright.scaled_gemm,
            ones,
            ones,
            d_scale=1.0,
            d_code="e2m1",
        )

    def experts(self, random, count):
        weights = [warpwright.quantize(half(random, 130, 128), "fp8_block") for _ in range(count)]
        stacked = [np.stack(parts) for parts in zip(*(weight[:2] for weight in weights))]
        return weights, warpwright.Quantized(*stacked, "fp8_block")

    def test_contiguous_groups(self):
        def check(device, random):
            weights, stacked = self.experts(random, 3)
            groups = np.full(384, -1, np.int32)
            groups[:100], groups[128:131], groups[256:300] = 2, 0, 2
            a = warpwright.quantize(half(random, 384, 128), "fp8_group")
            out = np.full((384, 130), 7, np.float32)
            got = warpwright.scaled_gemm(a, stacked, group_of_row=groups, out=out, device=device)
            numbers = numbers_of(a)
            for group in (0, 2):
                rows = groups == group
                self.judge(got[rows], numbers[rows], numbers_of(weights[group]))
            self.assertTrue((got[groups == -1] == 7).all())

        self.on_devices(check)

    def test_masked_groups(self):
        def check(device, random):
            weights, stacked = self.experts(random, 2)
            parts = [warpwright.quantize(half(random, 6, 128), "fp8_group") for _ in range(2)]
            a = warpwright.Quantized(
                *(np.stack(part) for part in zip(*(part[:2] for part in parts))), "fp8_group"
            )
            counts = np.array([4, 1], np.int32)
            out = np.full((2, 6, 130), 7, np.float32)
            warpwright.scaled_gemm(a, stacked, rows_of_group=counts, expected_m=3, out=out, device=device)
            for group, count in enumerate(counts):
                self.judge(out[group, :count], numbers_of(parts[group])[:count], numbers_of(weights[group]))
                self.assertTrue((out[group, count:] == 7).all())

        self.on_devices(check)

    def test_refusals(self):
        random = np.random.default_rng(SEED)
        x = half(random, 4, 256)
        quantized = {name: warpwright.quantize(x, name) for name in ("fp8_token", "fp8_group", "int8_token")}
        product = lambda a, b, **keywords: warpwright.scaled_gemm(a, b, out_dtype="f32", **keywords)
        fp8, groups, int8 = (quantized[name] for name in ("fp8_token", "fp8_group", "int8_token"))
        self.refuses(
            "scaled_gemm: a is e4m3 with f32 scales of 1 x 128 and b i8 with f32 scales of 1 x all: expected "
            "e4m3 or i8 in both, with f32 scales of rows or of all; or e4m3 with f32 scales of 1 x 128 and "
            "128 x 128, or with e8m0 scales of 1 x 32",
            product,
            groups,
            int8,
        )
        self.refuses(
            "scaled_gemm: a_scales must be [4, 1], got [3, 1]",
            product,
            fp8._replace(scales=fp8.scales[:3]),
            fp8,
        )
        self.refuses(
            "scaled_gemm: a: dimension 1 (k) is 128, but b has 256",
            product,
            fp8._replace(codes=fp8.codes[:, :128]),
            fp8,
        )
        self.refuses(
            "scaled_gemm: b must be u8 or float8_e4m3fn, got int8",
            product,
            fp8,
            fp8._replace(codes=int8.codes),
        )
        self.refuses("scaled_gemm: a_zeros: needs b_sums", product, int8, int8, a_zeros=np.zeros(4, np.int32))
        self.refuses(
            "scaled_gemm: a_zeros: e4m3 has no zero points", product, fp8, fp8, a_zeros=np.zeros(4, np.int32)
        )


@support.needs("numpy")
class QuantizedGemm(OnDevices):
    def weight(self, random, n, k, group):
        """int4 with zero points: (codes, scales, zeros), and what they mean."""
        plain = random.integers(0, 16, (n, k)).astype(np.uint8)
        scales = (2.0 ** random.uniform(-6, -4, (n, k // group))).astype(np.float16)
        zeros = random.integers(0, 16, (n, k // group)).astype(np.uint8)
        numbers = (plain.astype(float) - np.repeat(zeros, group, 1)) * np.repeat(
            scales.astype(float), group, 1
        )
        return plain, scales, zeros, numbers

    def test_int4(self):
        def check(device, random):
            plain, scales, zeros, numbers = self.weight(random, 70, 128, 32)
            a = half(random, 5, 128)
            packed = warpwright.pack_weight(plain, scales, zeros=zeros, group=32)
            self.assertEqual((packed.format, packed.n, packed.k, packed.group), ("int4", 70, 128, 32))
            self.assertEqual(packed.scales.dtype, "f16")
            got = warpwright.quantized_gemm(a, packed, out_dtype="f32", device=device)
            self.judge(got, a.astype(float), numbers)
            self.assertEqual(warpwright.quantized_gemm(a, packed, device=device).dtype, np.float16)

        self.on_devices(check)

    def test_rounded_to_nearest(self):
        """compressed-tensors' rule in NumPy: scales of the range's width, zero points of its lower end."""
        w = half(np.random.default_rng(SEED), 70, 128)
        w[3, 32:64] = 0
        parts = w.astype(np.float32).reshape(70, 4, 32)
        low, high = np.minimum(parts.min(-1), 0), np.maximum(parts.max(-1), 0)
        for bits in (2, 3, 4, 8):
            top = np.float32(2**bits - 1)
            for symmetric in (True, False):
                with self.subTest(bits=bits, symmetric=symmetric):
                    codes_, scales, zeros = warpwright.round_weight(
                        w, f"u{bits}", group=32, symmetric=symmetric
                    )
                    width = np.maximum(-low, high) / (top / 2) if symmetric else (high - low) / top
                    expected = width.astype(np.float16)
                    expected[3, 1] = np.finfo(np.float16).eps  # compressed-tensors' scale of nothing
                    np.testing.assert_array_equal(scales, expected)
                    scale = expected.astype(np.float32)
                    middle = np.float32(2 ** (bits - 1))
                    zero = np.full(scale.shape, middle)
                    if not symmetric:
                        zero = np.clip(np.rint(-middle - low / scale), -middle, middle - 1) + middle
                        np.testing.assert_array_equal(zeros, zero)
                    else:
                        self.assertIsNone(zeros)
                    levels = np.clip(parts / scale[..., None] + zero[..., None], 0, top)
                    np.testing.assert_array_equal(codes_, np.rint(levels).reshape(70, 128))
                    packed = warpwright.pack_weight(codes_, scales, zeros=zeros, code=f"u{bits}", group=32)
                    self.assertEqual(packed.format, "int8" if bits == 8 else "int4")
        wrong = w.copy()
        wrong[2, 5] = np.inf
        self.refuses(
            "round_weight: weight[2, 5]: expected a finite number, got inf", warpwright.round_weight, wrong
        )
        self.refuses(
            "round_weight: group_columns: 48 does not divide k = 128", warpwright.round_weight, w, group=48
        )
        self.refuses(
            "round_weight: code: expected WW_PLAIN_U2 to WW_PLAIN_U8, got 5",
            warpwright.round_weight,
            w,
            "e4m3",
        )
        self.refuses("round_weight: weight must have 2 dimensions, got 1", warpwright.round_weight, w[0])

    def test_act_order_and_epilogue(self):
        def check(device, random):
            plain, scales, zeros, _ = self.weight(random, 70, 128, 32)
            g_idx = random.permutation(np.repeat(np.arange(4), 32)).astype(np.int32)
            numbers = (plain.astype(float) - zeros[:, g_idx]) * scales[:, g_idx].astype(float)
            packed = warpwright.pack_weight(plain, scales, zeros=zeros, column_group=g_idx, group=32)
            a, bias, residual = half(random, 3, 128), half(random, 70), half(random, 3, 70)
            got = warpwright.quantized_gemm(
                a, packed, bias=bias, residual=residual, activation="gelu_tanh", device=device
            )

            def epilogue(product, real):
                x = product + bias.astype(real)
                inner = real(np.sqrt(2 / np.pi)) * (x + real(0.044715) * x**3)
                return real(0.5) * x * (1 + np.tanh(inner)) + residual.astype(real)

            left = a.astype(float)
            reference = epilogue(left.astype(np.float32) @ numbers.astype(np.float32).T, np.float32)
            support.assert_derived(
                self,
                got,
                epilogue(left @ numbers.T, float),
                support.round_to(reference, "f16"),
                (np.abs(left) @ np.abs(numbers).T).max(),
            )

        self.on_devices(check)

    def test_to_codes(self):
        def check(device, random):
            plain, scales, zeros, _ = self.weight(random, 70, 128, 32)
            # Of 20 rows one kernel row serves both results: its sums are the same bits.
            g_idx = random.permutation(np.repeat(np.arange(4), 32)).astype(np.int32)
            packed = warpwright.pack_weight(plain, scales, zeros=zeros, column_group=g_idx, group=32)
            a, bias = half(random, 20, 128), half(random, 70)
            exact = warpwright.quantized_gemm(a, packed, bias=bias, out_dtype="f32", device=device)
            for code, scale in (("e4m3", 0.05), ("i8", np.array([0.25], np.float32))):
                amax = np.array([1.0], np.float32)
                got = warpwright.quantized_gemm(
                    a, packed, bias=bias, d_scale=scale, d_code=code, d_amax=amax, device=device
                )
                inverse = np.float32(1) / np.float32(np.asarray(scale).item())
                np.testing.assert_array_equal(got.view(np.uint8), codes.encode(code, exact * inverse))
                self.assertEqual(amax[0], np.abs(exact).max())
                self.assertEqual(got.dtype, np.int8 if code == "i8" else np.uint8)

        self.on_devices(check)
        plain, scales, _, _ = self.weight(np.random.default_rng(SEED), 6, 64, 32)
        a, packed = np.zeros((2, 64), np.float16), warpwright.pack_weight(plain, scales, group=32)
        none = warpwright.quantized_gemm(a, packed, d_scale=0.0)
        self.assertTrue((none.view(np.uint8) & 0x7F == 0x7F).all())  # NaN's codes
        self.refuses(
            "quantized_gemm: d_code must be e4m3 or i8, got e2m1",
            warpwright.quantized_gemm,
            a,
            packed,
            d_scale=1.0,
            d_code="e2m1",
        )

    def test_what_quantize_makes(self):
        def check(device, random):
            w, a = half(random, 130, 256), half(random, 4, 256)
            for name, format in (
                ("fp8_block", "fp8_e4m3"),
                ("fp8_tensor", "fp8_e4m3"),
                ("mxfp8", "fp8_e4m3"),
                ("int8_token", "int8"),
                ("mxfp4", "mxfp4"),
                ("nvfp4", "nvfp4"),
            ):
                with self.subTest(format=name):
                    quantized = warpwright.quantize(w, name, global_scale=0.01 if name == "nvfp4" else None)
                    packed = warpwright.pack_weight(quantized)
                    self.assertEqual(packed.format, format)
                    got = warpwright.quantized_gemm(a, packed, out_dtype="f32", device=device)
                    self.judge(got, a.astype(float), numbers_of(quantized))

        self.on_devices(check)

    def test_groups(self):
        def check(device, random):
            weights = [self.weight(random, 70, 64, 32) for _ in range(2)]
            stacked = [np.stack(parts) for parts in zip(*weights)]
            packed = warpwright.pack_weight(*stacked[:2], zeros=stacked[2], group=32)
            self.assertEqual(packed.groups, 2)
            a, counts = half(random, 2, 3, 64), np.array([3, 2], np.int32)
            out = np.full((2, 3, 70), 7, np.float32)
            warpwright.quantized_gemm(a, packed, rows_of_group=counts, out=out, device=device)
            for group, count in enumerate(counts):
                self.judge(out[group, :count], a[group, :count].astype(float), weights[group][3])
            self.assertTrue((out[1, 2] == 7).all())

        self.on_devices(check)

    def test_map(self):
        plain, scales, _, numbers = self.weight(np.random.default_rng(SEED), 70, 64, 32)
        packed = warpwright.pack_weight(plain, scales, group=32).map(lambda array: array.numpy())
        self.assertIsInstance(packed.data, np.ndarray)
        self.assertIsNone(packed.zeros)
        a = np.eye(64, dtype=np.float16)
        got = warpwright.quantized_gemm(a, packed, out_dtype="f32")
        middle = (plain.astype(float) - 8) * np.repeat(scales.astype(float), 32, 1)
        np.testing.assert_array_equal(got, middle.T)

    def test_refusals(self):
        random = np.random.default_rng(SEED)
        plain, scales, zeros, _ = self.weight(random, 6, 96, 32)
        self.refuses(
            "pack_weight: group_columns: 64 does not divide k = 96",
            warpwright.pack_weight,
            plain,
            scales[:, :2],
            group=64,
        )
        self.refuses(
            "pack_weight: scales must be [6, 3], got [6, 2]",
            warpwright.pack_weight,
            plain,
            scales[:, :2],
            group=32,
        )
        self.refuses(
            "pack_weight: zeros must be [6, 3], got [5, 3]",
            warpwright.pack_weight,
            plain,
            scales,
            zeros=zeros[:5],
            group=32,
        )
        for bad, text in ((np.nan, "nan"), (np.inf, "inf"), (0, "0"), (-2, "-2")):
            wrong = scales.copy()
            wrong[4, 1] = bad
            self.refuses(
                f"pack_weight: scales[4, 1]: expected a positive number, got {text}",
                warpwright.pack_weight,
                plain,
                wrong,
                group=32,
            )
        self.refuses(
            "pack_weight: code: expected one of u2, u3, u4, u8, i8, e4m3, e2m1, got e5m2",
            warpwright.pack_weight,
            plain,
            scales,
            code="e5m2",
            group=32,
        )
        self.refuses("pack_weight: codes must be u8, got int64", warpwright.pack_weight, plain.astype(int))
        self.refuses("pack_weight: scales is null", warpwright.pack_weight, plain, group=32)
        packed = warpwright.pack_weight(plain, scales, group=32)
        self.refuses(
            "quantized_gemm: b: n and k are 6 and 96, but d has 6 and a 64",
            warpwright.quantized_gemm,
            half(random, 2, 64),
            packed,
        )
        self.refuses(
            "quantized_gemm: b.group: 64 does not divide k = 96",
            warpwright.quantized_gemm,
            half(random, 2, 96),
            packed._replace(group=64),
        )
        self.refuses(
            "quantized_gemm: b.data must have 4096 elements, got 6144",
            warpwright.quantized_gemm,
            half(random, 2, 96),
            packed._replace(data=warpwright.Array.empty((6144,), "u8", "cpu")),
        )


@support.needs("numpy")
class Scaling(OnDevices):
    @staticmethod
    def recipe(history, scale, fp8_max, margin, algorithm):
        """TransformerEngine's DelayedScaling in NumPy: (history, scale) after a step."""
        amax = history.max(0) if algorithm == "max" else history[0].copy()
        history = np.roll(history, -1, 0)
        history[0] = 0
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            wanted = (np.float32(fp8_max) / amax) / np.float32(2.0**margin)
        keep = ~(amax > 0) | ~np.isfinite(amax)
        wanted = np.where(keep, scale, wanted)
        return history, np.where(np.isinf(wanted), np.finfo(np.float32).max, wanted)

    def test_the_recipe(self):
        def check(device, random):
            for algorithm in ("max", "most_recent"):
                for length, margin, code in ((4, 0, "e4m3"), (1, 2, "e4m3"), (3, -1, "e5m2")):
                    with self.subTest(algorithm=algorithm, length=length, margin=margin):
                        history = np.zeros((length, 5), np.float32)
                        scale, inverse = np.ones(5, np.float32), np.ones(5, np.float32)
                        expected, expected_scale = history.copy(), scale.copy()
                        for step in range(7):
                            amax = np.exp2(random.uniform(-20, 20, 5)).astype(np.float32)
                            # A tensor that was not used, one that overflowed, one with NaN.
                            amax[step % 5 :: 5] = (0, np.inf, np.nan)[step % 3]
                            history[0] = expected[0] = amax
                            returned = warpwright.scaling(
                                history,
                                scale,
                                inverse,
                                code=code,
                                margin=margin,
                                amax_compute=algorithm,
                                device=device,
                            )
                            expected, expected_scale = self.recipe(
                                expected, expected_scale, codes.MAX[code], margin, algorithm
                            )
                            np.testing.assert_array_equal(history, expected)
                            np.testing.assert_array_equal(scale, expected_scale)
                            np.testing.assert_array_equal(inverse, np.float32(1) / expected_scale)
                            self.assertIs(returned[0], scale)

        self.on_devices(check)

    def test_the_smallest_amax(self):
        history = np.full((1, 1), 1e-45, np.float32)
        scale, inverse = np.ones(1, np.float32), np.ones(1, np.float32)
        warpwright.scaling(history, scale, inverse)
        self.assertEqual(scale[0], np.finfo(np.float32).max)

    def test_a_training_step(self):
        """Codes of this step by the last steps' scale, its amax into the history, then the next scale."""

        def check(device, random):
            history, scale = np.zeros((2, 1), np.float32), np.ones(1, np.float32)
            inverse, weight = np.ones(1, np.float32), np.ones(64, np.float16)
            largest = []
            for _ in range(3):
                x = half(random, 3, 64, scale=random.uniform(1, 50))
                before = inverse.copy()
                plain = warpwright.rmsnorm(x, weight, device=device)
                got = warpwright.rmsnorm(
                    x,
                    weight,
                    quantized=warpwright.QuantizedOutput("fp8_tensor", scale=inverse, amax=history[0]),
                    device=device,
                )
                expected = warpwright.quantize(plain, "fp8_tensor", scale=before)
                np.testing.assert_array_equal(got.codes, expected.codes)
                largest.append(np.abs(plain).max().astype(np.float32))
                self.assertEqual(history[0, 0], largest[-1])
                warpwright.scaling(history, scale, inverse, device=device)
                self.assertEqual(scale[0], np.float32(448) / max(largest[-2:]))

        self.on_devices(check)

    def test_refusals(self):
        history, vector = np.zeros((3, 2), np.float32), np.zeros(2, np.float32)
        self.refuses(
            "scaling: margin must be from -64 to 64, got 65",
            warpwright.scaling,
            history,
            vector,
            vector.copy(),
            margin=65,
        )
        self.refuses(
            "scaling: scale: dimension 0 (tensors) is 3, but amax_history has 2",
            warpwright.scaling,
            history,
            np.zeros(3, np.float32),
            vector,
        )
        self.refuses(
            "scaling: amax_history has no rows", warpwright.scaling, history[:0], vector, vector.copy()
        )
        self.refuses(
            "scaling: amax_compute: expected one of max, most_recent, got mean",
            warpwright.scaling,
            history,
            vector,
            vector.copy(),
            amax_compute="mean",
        )


if __name__ == "__main__":
    unittest.main()
