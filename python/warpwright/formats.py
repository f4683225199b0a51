# SPDX-License-Identifier: Apache-2.0
"""What numbers become when they are quantised: formats, and tensors of codes with their scales."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, NamedTuple, Optional, Union

from . import _abi
from ._call import Call
from .errors import CallerError

Tensor = Any  # of any framework


class QuantizeFormat(NamedTuple):
    """Codes, and a scale for every group_rows x group_columns elements; 0 is all of them.

    `code` is "e4m3", "e5m2", "i8" or "e2m1" (two in a byte, the even element in the low half). `scale` says
    how scales are stored and made (include/warpwright/quantize_format.h): "f32"; "power_of_two", fp32 too;
    "e8m0" and "e8m0_up", an exponent in a byte; "e4m3", NVFP4's, below one fp32 scale for the whole tensor.
    """

    code: str = "e4m3"
    scale: str = "f32"
    group_rows: int = 1
    group_columns: int = 128


FORMATS = {
    "fp8_tensor": QuantizeFormat("e4m3", "f32", 0, 0),
    "fp8_token": QuantizeFormat("e4m3", "f32", 1, 0),
    "fp8_group": QuantizeFormat("e4m3", "f32", 1, 128),
    "fp8_block": QuantizeFormat("e4m3", "f32", 128, 128),
    "int8_tensor": QuantizeFormat("i8", "f32", 0, 0),
    "int8_token": QuantizeFormat("i8", "f32", 1, 0),
    "mxfp8": QuantizeFormat("e4m3", "e8m0", 1, 32),
    "mxfp4": QuantizeFormat("e2m1", "e8m0", 1, 32),
    "nvfp4": QuantizeFormat("e2m1", "e4m3", 1, 16),
}
"""Names of formats: activations of DeepSeek are "fp8_group", its weights "fp8_block"."""

Format = Union[str, QuantizeFormat]


class Quantized(NamedTuple):
    """Numbers as codes and scales: x[r, c] is about ``decode(codes[r, c]) * scales[r // group_rows, c //
    group_columns]``, for NVFP4 times `global_scale`.

    codes: [rows, columns], of "e2m1" [rows, columns / 2]; uint8, or PyTorch's and ml_dtypes' types of these
        codes.
    scales: [ceil(rows / group_rows), ceil(columns / group_columns)] fp32, or codes in uint8 (or their types);
        for the whole tensor of one element. `swizzled`: [round_up(rows, 128), round_up(column groups, 4)] in
        the order that block-scaled tensor cores read.
    global_scale: [1] fp32, or None: 1.
    """

    codes: Tensor
    scales: Tensor
    format: Format
    global_scale: Optional[Tensor] = None
    swizzled: bool = False


class QuantizedOutput(NamedTuple):
    """How `rmsnorm` and `gated_activation` quantise what they compute: what `quantize` makes of their 16-bit
    result, to the bit.

    format: "fp8_token", "fp8_group", "int8_token", "mxfp8", "mxfp4", "nvfp4", or one like these; "fp8_tensor"
        with a `scale`.
    codes, scales: written; made where they are not given. As those of `Quantized`.
    scale: a number or [1] fp32, for the whole tensor (static and delayed scaling).
    global_scale: NVFP4's, a number or [1] fp32.
    least_amax: of a group, at least.
    amax: [1] fp32, not negative, raised to the largest magnitude of the result.
    """

    format: Format = "fp8_group"
    codes: Optional[Tensor] = None
    scales: Optional[Tensor] = None
    scale: Union[None, float, Tensor] = None
    global_scale: Union[None, float, Tensor] = None
    swizzled: bool = False
    least_amax: float = 0.0
    amax: Optional[Tensor] = None


class QuantizedWeight(NamedTuple):
    """A weight in the layout that kernels read (`pack_weight`), for `quantized_gemm`.

    format: "int4", "int8", "fp8_e4m3", "mxfp4" or "nvfp4". Weights [n, k], `groups` of them one after
    another. group: elements of k that share a scale; 0: the whole row.
    data, scales, zeros, order, global_scales: tensors of one place, each of one dimension, from a multiple of
        16 bytes on.
    """

    format: str
    n: int
    k: int
    group: int
    data: Tensor
    scales: Tensor
    zeros: Optional[Tensor] = None
    order: Optional[Tensor] = None
    global_scale: float = 1.0
    global_scales: Optional[Tensor] = None
    groups: int = 1

    def map(self, function: Callable[[Tensor], Tensor]) -> QuantizedWeight:
        """With each tensor replaced: ``weight.map(torch.from_dlpack)``."""
        names = ("data", "scales", "zeros", "order", "global_scales")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return self._replace(**{name: function(tensor) for name, tensor in given.items()})


# The types of PyTorch and ml_dtypes that hold such codes.
CODE_TYPES = {"e4m3": "float8_e4m3fn", "e5m2": "float8_e5m2", "i8": "int8", "e2m1": "float4_e2m1fn_x2"}
_SCALE_TYPES = {"e8m0": "float8_e8m0fnu", "e8m0_up": "float8_e8m0fnu", "e4m3": "float8_e4m3fn"}


def format_of(op: str, name: str, format: Format) -> QuantizeFormat:
    """A format by its name, or as it is."""
    if isinstance(format, str) and format in FORMATS:
        return FORMATS[format]
    if not isinstance(format, QuantizeFormat):
        raise CallerError(
            f"{op}: {name}: expected one of {', '.join(FORMATS)}, or a QuantizeFormat, got {format}"
        )
    word_of(op, f"{name}.code", format.code, _abi.CODES)
    word_of(op, f"{name}.scale", format.scale, _abi.SCALES)
    return format


def word_of(op: str, name: str, word: str, words: dict[str, int]) -> int:
    """The C ABI's number of one of these words."""
    if word not in words:
        raise CallerError(f"{op}: {name}: expected one of {', '.join(words)}, got {word}")
    return words[word]


def put_format(format: QuantizeFormat, field: _abi.QuantizeFormat) -> None:
    field.code, field.scale = _abi.CODES[format.code], _abi.SCALES[format.scale]
    field.group_rows, field.group_columns = format.group_rows, format.group_columns


def scales_shape(format: QuantizeFormat, rows: int, columns: int, swizzled: bool) -> tuple[int, int]:
    groups = [
        -(-extent // (group or max(extent, 1)))
        for extent, group in ((rows, format.group_rows), (columns, format.group_columns))
    ]
    if swizzled:
        groups = [-(-groups[0] // 128) * 128, -(-groups[1] // 4) * 4]
    return groups[0], groups[1]


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def put_one(call: Call, name: str, value: Any, into: Any = None, rank: int = 1) -> Any:
    """A field of one fp32 number, which may come as a number, or as a tensor of any rank."""
    if is_number(value):
        value = call.numbers((1,) * rank, float(value), "f32")
    call.tensor(name, value, "f32", into=into)
    if value is not None:
        reshape_one(getattr(call.struct if into is None else into, name), rank)
    return value


def finish_product(
    call: Call,
    out: Any,
    dtype: str,
    shape: tuple[int, ...],
    d_scale: Any,
    d_code: str,
    d_amax: Any,
) -> Any:
    """The result of a product: numbers of type `dtype`, or codes where there is a scale."""
    call.struct.d_code = word_of(call.op, "d_code", d_code, _abi.CODES)
    put_one(call, "d_scale", d_scale)
    call.tensor("d_amax", d_amax, "f32", written=True)
    if d_scale is not None:
        return call.finish(call.code_result("d", out, shape, CODE_TYPES[d_code]))
    return call.finish(call.result("d", out, shape, dtype))


def reshape_one(field: _abi.Tensor, rank: int) -> None:
    """A tensor of one element has any number of dimensions."""
    if all(extent == 1 for extent in field.shape[: field.rank]):
        field.rank = rank
        field.shape[:rank] = field.stride[:rank] = (1,) * rank


def put_quantized(call: Call, name: str, given: Quantized, codes: str, scales: str, format_name: str) -> None:
    """Codes and scales that are read, into the struct's fields of these names."""
    format = format_of(call.op, f"{name}.format", given.format)
    put_format(format, getattr(call.struct, format_name))
    call.tensor(codes, given.codes, codes=(CODE_TYPES[format.code],))
    put_scales(call, scales, given.scales, format.scale)


def put_weight(call: Call, name: str, given: QuantizedWeight) -> None:
    """A packed weight, into a field that points to one."""
    weight = _abi.QuantizedWeight(
        format=word_of(call.op, f"{name}.format", given.format, _abi.WEIGHT_FORMATS),
        global_scale=given.global_scale,
        groups=given.groups,
        n=given.n,
        k=given.k,
        group=given.group,
    )
    scale_types = "u8" if given.format in ("mxfp4", "nvfp4") else "bf16, f16 or f32"
    for field, types in (
        ("data", "u8"),
        ("scales", scale_types),
        ("zeros", "u8"),
        ("order", "i32"),
        ("global_scales", "f32"),
    ):
        call.tensor(f"{name}.{field}", getattr(given, field), types, into=weight)
    setattr(call.struct, name, ctypes.pointer(weight))


def put_scales(call: Call, name: str, scales: Any, kind: str, into: Any = None) -> None:
    """Scales that are read, of one of the C ABI's SCALES."""
    coded = _SCALE_TYPES.get(kind)
    call.tensor(name, scales, "" if coded else "f32", codes=(coded,) if coded else (), into=into)
    field = getattr(call.struct if into is None else into, name)
    if field.rank < 2:
        reshape_one(field, 2)


def put_output(call: Call, output: QuantizedOutput, rows: int, columns: int, into: Any) -> Quantized:
    """Codes and scales that are written, into a struct with ww_quantized_output's fields."""
    format = format_of(call.op, "format", output.format)
    put_format(format, into.format)
    into.swizzled, into.least_amax = output.swizzled, output.least_amax
    shape = (rows, columns // 2 if format.code == "e2m1" else columns)
    codes = call.code_result("codes", output.codes, shape, CODE_TYPES[format.code], into=into)
    if output.scale is not None:
        if output.scales is not None:
            raise CallerError(f"{call.op}: scales: expected none beside a given scale")
        into.given_scale = True
        scales = output.scale
        if is_number(scales):
            scales = call.numbers((1, 1), float(scales), "f32")
        put_scales(call, "scales", scales, format.scale, into=into)
    else:
        scales = output.scales
        shape = scales_shape(format, rows, columns, output.swizzled)
        if format.scale in _SCALE_TYPES:
            scales = call.code_result("scales", scales, shape, _SCALE_TYPES[format.scale], into=into)
        else:
            scales = call.result("scales", scales, shape, "f32", into=into)
    global_scale = put_one(call, "global_scale", output.global_scale, into=into)
    return Quantized(codes, scales, format, global_scale, output.swizzled)
