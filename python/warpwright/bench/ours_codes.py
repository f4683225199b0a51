# SPDX-License-Identifier: Apache-2.0
"""Our side of the problems on codes and scales, and of a mixture of experts (bench/quantize_cases.cpp,
gemm_cases.cpp, moe_cases.cpp).
"""

from __future__ import annotations

from typing import Any

import torch

import warpwright
from warpwright import Quantized, QuantizedOutput, QuantizedWeight, QuantizeFormat
from warpwright.formats import Format, format_of, scales_shape

from .maker import Maker, OurCall

# As cases.cpp names formats.
_FORMATS: dict[str, Format] = {
    "fp8 1x128": "fp8_group",
    "fp8 128x128": "fp8_block",
    "fp8 per token": "fp8_token",
    "fp8 per tensor": "fp8_tensor",
    "int8 per token": "int8_token",
    "mxfp8 swizzled": QuantizeFormat("e4m3", "e8m0_up", 1, 32),
    "i8": "int8_token",
    "fp8-tensor": "fp8_tensor",
    "fp8": "fp8_token",
    "fp8-block": "fp8_block",
}


def _format(name: str) -> QuantizeFormat:
    plain = name.replace(", given scale", "")
    wanted = _FORMATS.get(plain) or plain.replace(" swizzled", "")
    return format_of("bench", "format", wanted)


def _bytes(m: Maker, *shape: int) -> torch.Tensor:
    """Codes that are no NaN in any format."""
    return torch.randint(0, 256, shape, device=m.device, dtype=torch.uint8) & 0xF7


def _empty(m: Maker, format: QuantizeFormat, rows: int, columns: int, swizzled: bool = False) -> Any:
    """(codes, scales) to be written."""
    width = columns // 2 if format.code == "e2m1" else columns
    dtype = torch.float32 if format.scale in ("f32", "power_of_two") else torch.uint8
    shape = scales_shape(format, rows, columns, swizzled)
    codes = torch.empty((rows, width), device=m.device, dtype=torch.uint8)
    return codes, torch.empty(shape, device=m.device, dtype=dtype)


def _scales(m: Maker, format: QuantizeFormat, rows: int, columns: int) -> torch.Tensor:
    shape = scales_shape(format, rows, columns, False)
    if format.scale in ("f32", "power_of_two"):
        return torch.rand(shape, device=m.device) + 0.5
    return torch.full(shape, 0x7F if format.scale.startswith("e8m0") else 0x38, device=m.device).byte()


def _bits(format: QuantizeFormat) -> int:
    return 4 if format.code == "e2m1" else 8


def _scale_bytes(format: QuantizeFormat, rows: int, columns: int, swizzled: bool = False) -> int:
    tall, wide = scales_shape(format, rows, columns, swizzled)
    return tall * wide * (4 if format.scale in ("f32", "power_of_two") else 1)


def quantize(m: Maker) -> OurCall:
    rows, columns = m.number("rows"), m.number("columns")
    name = m.text.partition(f"columns={columns} ")[2].replace(" from bf16", "")
    format, swizzled, given = _format(name), "swizzled" in name, "given" in name
    twice = format.group_rows == format.group_columns == 0 and not given
    global_scale = torch.tensor([0.002], device=m.device) if format.scale == "e4m3" else None
    scale = torch.tensor([0.01], device=m.device)

    def call(x: Any, codes: Any, scales: Any) -> Any:
        where = {"scale": scale} if given else {"scales": scales}
        return warpwright.quantize(
            x, format, codes=codes, swizzled=swizzled, global_scale=global_scale, **where
        )

    return OurCall(
        lambda: (m.bf16(rows, columns), *_empty(m, format, rows, columns, swizzled)),
        call,
        rows * columns * (4 if twice else 2)
        + rows * columns * _bits(format) // 8
        + _scale_bytes(format, rows, columns, swizzled),
    )


def dequantize(m: Maker) -> OurCall:
    rows, columns = m.number("rows"), m.number("columns")
    name, _, out = m.text.partition(f"columns={columns} ")[2].rpartition(" to ")
    format = _format(name)
    dtype = torch.float32 if out == "f32" else torch.bfloat16
    return OurCall(
        lambda: (
            _bytes(m, rows, columns * _bits(format) // 8),
            _scales(m, format, rows, columns),
            torch.empty((rows, columns), device=m.device, dtype=dtype),
        ),
        lambda codes, scales, out: warpwright.dequantize(Quantized(codes, scales, format), out=out),
        rows * columns * (_bits(format) // 4 + 2 * dtype.itemsize) // 2 + _scale_bytes(format, rows, columns),
    )


def output(m: Maker, rows: int, columns: int) -> tuple[Any, int]:
    """(buffers -> QuantizedOutput, bytes written) of "... bf16 to NAME"; None without."""
    name = m.text.partition(" bf16 to ")[2]
    if not name:
        return None, 0
    format, given = _format(name), "given" in name
    scale = torch.tensor([0.01], device=m.device) if given else None
    global_scale = torch.tensor([0.002], device=m.device) if format.scale == "e4m3" else None

    def make() -> QuantizedOutput:
        codes, scales = _empty(m, format, rows, columns)
        return QuantizedOutput(format, codes, None if given else scales, scale, global_scale)

    return make, rows * columns * _bits(format) // 8 + _scale_bytes(format, rows, columns)


def quantized_gemm(m: Maker) -> OurCall:
    rows, n, k, group = (m.number(name) for name in ("m", "n", "k", "group"))
    groups, masked = m.number("groups", 1), "masked" in m.words
    (format,) = m.words & {"int4", "int8", "fp8_e4m3", "mxfp4", "nvfp4"}
    tall, wide = -(-n // 64) * 64, -(-k // 64) * 64
    num_bytes = groups * tall * wide * (8 if format in ("int8", "fp8_e4m3") else 4) // 8
    num_scales = groups * tall * (1 if group == 0 else wide // group)
    coded = format in ("mxfp4", "nvfp4")
    counts = m.integers([rows] * groups) if masked else None

    def make() -> tuple[Any, ...]:
        if coded:
            scales = torch.full((num_scales,), 0x7F if format == "mxfp4" else 0x3F, device=m.device).byte()
        else:
            scales = m.bf16(num_scales) * 0.05
        a, d = (groups, rows, k), (groups, rows, n)
        return (
            m.bf16(*(a if masked else a[1:])),
            _bytes(m, num_bytes),
            scales,
            m.empty(*(d if masked else d[1:])),
        )

    def call(a: Any, data: Any, scales: Any, d: Any) -> Any:
        weight = QuantizedWeight(format, n, k, group, data, scales, groups=groups)
        return warpwright.quantized_gemm(a, weight, b_is_constant=True, rows_of_group=counts, out=d)

    return OurCall(
        make,
        call,
        2 * groups * rows * (k + n) + num_bytes + num_scales * (1 if coded else 2),
        2 * groups * rows * n * k,
    )


def scaled_gemm(m: Maker) -> OurCall:
    rows, n, k = (m.number(name) for name in "mnk")
    groups, masked = m.number("groups", 1), "masked" in m.words
    (name,) = m.words & set(_FORMATS) | m.words & {"mxfp8"}
    b_format = _format(name)
    a_format = _format("fp8 1x128") if name == "fp8-block" else b_format
    counts = m.integers([rows] * groups) if masked else None

    def side(format: QuantizeFormat, height: int) -> Quantized:
        parts = [(_bytes(m, height, k), _scales(m, format, height, k)) for _ in range(groups)]
        codes, scales = (torch.stack(part) if masked else part[0] for part in zip(*parts))
        return Quantized(codes.view(torch.int8) if format.code == "i8" else codes, scales, format)

    return OurCall(
        lambda: (
            side(a_format, rows),
            side(b_format, n),
            m.empty(groups, rows, n) if masked else m.empty(rows, n),
        ),
        lambda a, b, d: warpwright.scaled_gemm(a, b, b_is_constant=True, rows_of_group=counts, out=d),
        groups * (rows * k + n * k + 2 * rows * n),
        2 * groups * rows * n * k,
    )


def moe_route(m: Maker) -> OurCall:
    tokens, experts, top_k = (m.number(name) for name in ("tokens", "experts", "top_k"))
    wishes: dict[str, Any] = {"score": "softmax"}
    if "bias," in m.words:
        bias = 0.1 * torch.randn(experts, device=m.device)
        wishes = {"score": "sigmoid", "bias": bias, "num_groups": 8, "top_groups": 4, "scale": 2.5}
    return OurCall(
        lambda: (
            2 * torch.randn(tokens, experts, device=m.device),
            torch.empty((tokens, top_k), device=m.device, dtype=torch.int32),
            torch.empty((tokens, top_k), device=m.device),
        ),
        lambda logits, ids, weights: warpwright.moe_route(
            logits, top_k, renormalize=True, ids=ids, weights=weights, **wishes
        ),
        4 * tokens * (experts + 2 * top_k),
    )


def moe_permute(m: Maker) -> OurCall:
    tokens, experts, top_k = (m.number(name) for name in ("tokens", "experts", "top_k"))
    alignment = int(m.text.rpartition(" ")[2])

    def make() -> tuple[Any, ...]:
        ids = torch.rand((tokens, experts), device=m.device).topk(top_k).indices.int()
        return ids, warpwright.moe_permute(ids, experts, alignment=alignment)

    rows = len(make()[1].token_of_row)
    return OurCall(
        make,
        lambda ids, out: warpwright.moe_permute(ids, experts, alignment=alignment, out=out),
        8 * (tokens * top_k + rows),
    )


def moe_combine(m: Maker) -> OurCall:
    tokens, top_k, width = (m.number(name) for name in ("tokens", "top_k", "width"))
    # Every row once: its choices lie as far apart as experts do.
    places = torch.arange(tokens * top_k, device=m.device).reshape(top_k, tokens).t().int().contiguous()
    return OurCall(
        lambda: (
            m.bf16(tokens * top_k, width),
            torch.rand((tokens, top_k), device=m.device),
            m.empty(tokens, width),
        ),
        lambda rows, weights, out: warpwright.moe_combine(rows, places, weights, out=out),
        2 * tokens * (top_k + 1) * width,
    )
