# SPDX-License-Identifier: Apache-2.0
"""Codes and scales in NumPy, written from the formats' definitions (OCP 8-bit Floating Point 1.0, OCP
Microscaling Formats 1.0) and include/warpwright/ops/quantize.h: what the tests compare with.
"""

import numpy as np

# exponent bits, mantissa bits, largest code of a finite number
_FLOATS = {"e4m3": (4, 3, 0x7E), "e5m2": (5, 2, 0x7B), "e2m1": (2, 1, 0x7)}
MAX = {"e4m3": 448.0, "e5m2": 57344.0, "e2m1": 6.0, "i8": 127.0}
_MAX_EXPONENT = {"e4m3": 8, "e5m2": 15, "e2m1": 2, "i8": 6}


def _magnitudes(code):
    """What the codes from 0 to the largest one mean."""
    exponent_bits, mantissa_bits, largest = _FLOATS[code]
    bias = 2 ** (exponent_bits - 1) - 1
    codes = np.arange(largest + 1)
    exponent, mantissa = codes >> mantissa_bits, codes & (2**mantissa_bits - 1)
    normal = exponent > 0
    significand = mantissa / 2**mantissa_bits + normal
    return significand * 2.0 ** (np.where(normal, exponent, 1) - bias)


def decode(code, codes):
    """Numbers in float64; of "e2m1" one code in each byte."""
    codes = np.asarray(codes, np.uint8)
    if code == "i8":
        return codes.view(np.int8).astype(np.float64)
    exponent_bits, mantissa_bits, largest = _FLOATS[code]
    sign_bit = 1 << (exponent_bits + mantissa_bits)
    magnitudes = np.full(sign_bit, np.nan)
    magnitudes[: largest + 1] = _magnitudes(code)
    if code == "e5m2":
        magnitudes[0x7C] = np.inf
    values = magnitudes[codes & (sign_bit - 1)]
    return np.where(codes & sign_bit, -values, values)


def encode(code, values):
    """To nearest, ties to the even code; what is too large becomes the largest one."""
    values = np.asarray(values, np.float64)
    if code == "i8":
        return np.clip(np.rint(values), -127, 127).astype(np.int8).view(np.uint8)
    magnitudes = _magnitudes(code)
    exponent_bits, mantissa_bits, largest = _FLOATS[code]
    wanted = np.abs(values)
    above = np.clip(np.searchsorted(magnitudes, wanted), 1, largest)
    below = above - 1
    down, up = wanted - magnitudes[below], magnitudes[above] - wanted
    chosen = np.where(down < up, below, np.where(up < down, above, np.where(below % 2 == 0, below, above)))
    return (chosen | np.signbit(values).astype(int) << (exponent_bits + mantissa_bits)).astype(np.uint8)


def unpacked(code, codes):
    """One code in each byte, of two in each where they are of 4 bits."""
    if code != "e2m1":
        return np.asarray(codes).view(np.uint8)
    pairs = np.asarray(codes)[..., None]
    return np.concatenate([pairs & 15, pairs >> 4], -1).reshape(*codes.shape[:-1], -1)


def _power_of_two(exponent):
    return np.exp2(np.asarray(exponent, np.float64)).astype(np.float32)


def decode_scales(scale, scales):
    """fp32 numbers, without NVFP4's global scale."""
    if scale in ("e8m0", "e8m0_up"):
        return _power_of_two(np.asarray(scales).astype(int) - 127)
    if scale == "e4m3":
        return decode("e4m3", scales).astype(np.float32)
    return np.asarray(scales, np.float32)


def spread(format, scales, rows, columns):
    """Scales of groups as one for each element."""
    each = np.asarray(scales)
    each = np.repeat(each, format.group_rows or rows, 0)[:rows]
    return np.repeat(each, format.group_columns or columns, 1)[:, :columns]


def _amax(format, x):
    rows, columns = x.shape
    tall, wide = format.group_rows or rows, format.group_columns or columns
    padded = np.zeros((-(-rows // tall) * tall, -(-columns // wide) * wide), np.float32)
    padded[:rows, :columns] = np.abs(x)
    return padded.reshape(padded.shape[0] // tall, tall, padded.shape[1] // wide, wide).max((1, 3))


def quantize(format, x, global_scale=1.0):
    """(codes, one in each byte; scales as they are stored), in fp32 as the header has it. No zeros or NaN."""
    x = np.asarray(x, np.float32)
    one, largest = np.float32(1), np.float32(MAX[format.code])
    amax = _amax(format, x)
    inverse = one / np.float32(global_scale)
    if format.scale == "e4m3":
        scales = encode("e4m3", amax / largest * inverse)
        multipliers = inverse / decode("e4m3", scales).astype(np.float32)
    elif format.scale == "f32":
        scales = amax / largest
        multipliers = one / scales
    elif format.scale == "e8m0":
        exponent = np.frexp(amax)[1] - 1 - _MAX_EXPONENT[format.code]
        scales = (exponent + 127).astype(np.uint8)
        multipliers = _power_of_two(-exponent)
    else:
        exponent = np.frexp(amax)[1] - 1 - _MAX_EXPONENT[format.code]
        exponent += amax > np.float64(largest) * 2.0**exponent
        scales = _power_of_two(exponent)
        if format.scale == "e8m0_up":
            scales = (exponent + 127).astype(np.uint8)
        multipliers = _power_of_two(-exponent)
    multipliers = spread(format, multipliers, *x.shape)
    return encode(format.code, (x * multipliers).astype(np.float32)), scales


def dequantize(format, codes, scales, global_scale=1.0):
    """fp32 numbers, each product rounded; codes one in each byte."""
    scales = decode_scales(format.scale, scales)
    if format.scale == "e4m3":
        scales = scales * np.float32(global_scale)
    return decode(format.code, codes).astype(np.float32) * spread(format, scales, *codes.shape)


def swizzled(scales):
    """Scales of rows in the order that block-scaled tensor cores read (cuBLAS, 1D block scaling factors)."""
    rows, groups = scales.shape
    tall, wide = -(-rows // 128) * 128, -(-groups // 4) * 4
    out = np.zeros(tall * wide, np.uint8)
    for r in range(rows):
        for s in range(groups):
            out[(r // 128 * (wide // 4) + s // 4) * 512 + r % 32 * 16 + r % 128 // 32 * 4 + s % 4] = scales[
                r, s
            ]
    return out.reshape(tall, wide)
