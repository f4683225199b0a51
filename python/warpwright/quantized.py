# SPDX-License-Identifier: Apache-2.0
"""Operations on codes and scales. What is common to all operations, errors too, is in ops.py; formats and
tensors of codes are in formats.py.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any, Optional, Union

from . import _abi
from ._call import Call
from ._library import check, library
from .array import Array
from .context import Context
from .errors import CallerError
from .formats import CODE_TYPES, Format, Quantized, QuantizedOutput, QuantizedWeight, format_of, word_of
from .formats import finish_product, put_format, put_one, put_output, put_quantized, put_scales, put_weight
from .ops import Stream, Tensor, _activation, _dtype_of, _extent, _shape

_AMAX_PARTS = 512


def quantize(
    x: Tensor,
    format: Format = "fp8_group",
    *,
    scale: Union[None, float, Tensor] = None,
    global_scale: Union[None, float, Tensor] = None,
    swizzled: bool = False,
    least_amax: float = 0.0,
    codes: Optional[Tensor] = None,
    scales: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Quantized:
    """Activations or weights as small codes with scales, the same bits on every device.

    ``amax = max(largest |x| of the group, least_amax)``, the scale is made of it as the format says, and
    ``code = round(x * (1 / scale))``, to nearest even; what is too large becomes the largest code.

    Args:
        x: [rows, columns], bf16 or f16.
        format: a name of `FORMATS`, or a `QuantizeFormat`. Coded scales need groups that divide columns.
        scale: one scale for the whole tensor that is given and not computed: a number or [1] fp32. One that
            is not positive and finite makes all codes NaN's.
        global_scale: NVFP4's, a multiplier, mostly amax / (6 * 448): a number or [1] fp32. By default 1.
        swizzled: coded scales lie as block-scaled tensor cores read them, [round_up(rows, 128),
            round_up(groups, 4)].
        least_amax: DeepGEMM's 1e-4, TransformerEngine's amax_epsilon.
        codes: [rows, columns], of "e2m1" [rows, columns / 2], written: uint8, or a type of these codes.
        scales: written, [ceil(rows / group_rows), ceil(columns / group_columns)], any strides.

    Returns:
        A `Quantized`. PyTorch's tensors have its types of codes (float8_e4m3fn, int8, ...), others uint8.

    Errors:
        CallerError: shapes, types or places that disagree, groups that do not divide columns. NoKernelError:
        no row serves the problem there. UnavailableError: the device, or a compiler for its kernels, is not
        there.
    """
    call = Call("quantize", "x", x, device, stream)
    call.tensor("x", x, "bf16 or f16")
    form = format_of("quantize", "format", format)
    output = QuantizedOutput(form, codes, scales, scale, global_scale, swizzled, least_amax)
    made = put_output(call, output, _extent(call.struct.x, 0), _extent(call.struct.x, 1), call.struct)
    if scale is None and form.group_rows == form.group_columns == 0:
        call.tensor("amax_parts", call.scratch((_AMAX_PARTS,), "f32"), "f32", written=True)
    return call.finish(made)


def dequantize(
    x: Quantized,
    *,
    out: Optional[Tensor] = None,
    out_dtype: str = "f32",
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """``decode(codes) * scales``, in fp32, for NVFP4 with ``scales * global_scale``, each product rounded;
    then once to the type of the result. A code or a scale of NaN gives NaN.

    Args:
        x: of any format.
        out: [rows, columns], bf16, f16 or f32.
        out_dtype: of a new result.

    Returns:
        [rows, columns].

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("dequantize", "codes", x.codes, device, stream)
    put_quantized(call, "x", x, "codes", "scales", "format")
    put_one(call, "global_scale", x.global_scale)
    call.struct.swizzled = x.swizzled
    rows, columns = _extent(call.struct.codes, 0), _extent(call.struct.codes, 1)
    if call.struct.format.code == _abi.CODES["e2m1"]:
        columns *= 2
    return call.finish(call.result("out", out, (rows, columns), out_dtype))


def amax(
    x: Tensor, *, out: Optional[Tensor] = None, device: Optional[str] = None, stream: Stream = None
) -> Tensor:
    """The largest magnitudes of the parts of a matrix; the largest of them is max |x|. NaN where x has one.

    Args:
        x: [rows, columns], bf16 or f16.
        out: [parts] fp32; by default 512, which keep every GPU busy. Which elements belong to which part is
            the kernel's business; a part without elements has 0.

    Returns:
        out.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("amax", "x", x, device, stream)
    call.tensor("x", x, "bf16 or f16")
    return call.finish(call.result("out", out, (_AMAX_PARTS,), "f32"))


def scaling(
    amax_history: Tensor,
    scale: Tensor,
    scale_inv: Tensor,
    *,
    code: str = "e4m3",
    margin: int = 0,
    amax_compute: str = "max",
    device: Optional[str] = None,
    stream: Stream = None,
) -> tuple[Tensor, Tensor]:
    """Delayed scaling, TransformerEngine's DelayedScaling recipe: the next step's scales of many tensors, of
    what the last steps' largest magnitudes were, in place and in one launch.

    ``amax`` is row 0 of a tensor's column, or the largest of it; ``scale = max of the code / 2 ** margin /
    amax``, which stays what it was where amax is 0, an infinity or NaN; ``scale_inv = 1 / scale``. The
    history moves on: row 0 becomes 0, and what it was comes last.

    Args:
        amax_history: [length, tensors] fp32, read and written. Row 0 is where this step's amax goes
            (`QuantizedOutput.amax`, `gemm`'s d_amax): views of one element each.
        scale: [tensors] fp32, read and written; 1 before the first step.
        scale_inv: [tensors] fp32, written: what `quantize` takes as a given scale.
        code: "e4m3" or another code type, whose largest value counts.
        margin: powers of two that are left free above amax, from -64 to 64.
        amax_compute: "max" or "most_recent".

    Returns:
        (scale, scale_inv).

    Errors:
        CallerError: shapes, types or places that disagree, a history without rows. UnavailableError: the
        device, or a compiler for its kernels, is not there.
    """
    call = Call("scaling", "amax_history", amax_history, device, stream)
    call.tensor("amax_history", amax_history, "f32", written=True)
    call.tensor("scale", scale, "f32", written=True)
    call.tensor("scale_inv", scale_inv, "f32", written=True)
    call.struct.code = word_of("scaling", "code", code, _abi.CODES)
    call.struct.margin = margin
    recent = word_of("scaling", "amax_compute", amax_compute, {"max": 0, "most_recent": 1})
    call.struct.most_recent = recent
    return call.finish((scale, scale_inv))


def scaled_gemm(
    a: Quantized,
    b: Quantized,
    *,
    bias: Optional[Tensor] = None,
    gate: Optional[Tensor] = None,
    residual: Optional[Tensor] = None,
    activation: str = "none",
    b_is_constant: bool = False,
    a_zeros: Optional[Tensor] = None,
    b_sums: Optional[Tensor] = None,
    group_of_row: Optional[Tensor] = None,
    rows_of_group: Optional[Tensor] = None,
    expected_m: int = 0,
    d_scale: Union[None, float, Tensor] = None,
    d_code: str = "e4m3",
    d_amax: Optional[Tensor] = None,
    out: Optional[Tensor] = None,
    out_dtype: str = "bf16",
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """d = epilogue(a b^T) where both are 8-bit codes with scales, as `quantize` makes them; the epilogue is
    `gemm`'s.

    ============================================  ============================================================
    a with b
    "fp8_tensor" or "fp8_token" with the same     scaled at the end
    "fp8_group" with "fp8_block"                  DeepSeek's: sums of 128 of k, scaled and added
    "mxfp8" with "mxfp8"                          sums of 32 of k
    "int8_token" or "int8_tensor" with the same   sums are exact; k below 131072
    ============================================  ============================================================

    Args:
        a: codes [m, k].
        b: codes [n, k]; for groups of rows [groups, n, k], and scales with a leading dimension of groups.
            DeepSeek's weights: ``Quantized(weight, weight_scale_inv, "fp8_block")``.
        bias: [n], bf16 or f16, the result's type if it is one of them; for groups [groups, n].
        gate: [m, n], of bias's type.
        residual: [m, n], like the result, with d_scale of bias's type; may be `out`.
        activation: "none", "silu", "gelu" (by erf) or "gelu_tanh".
        b_is_constant: as in `gemm`.
        a_zeros: of integers, [m] or [1] int32: ``codes - zero`` is multiplied. With b_sums.
        b_sums: [n] int32, the sum of each row of b's codes; for groups [groups, n].
        group_of_row: [m] int32: rows of all groups one after another, and whose weights each is multiplied
            with. 128 rows, from a multiple of 128 on, are of one group, and then -1: they do not exist.
        rows_of_group: [groups] int32: a, gate, residual and the result are [groups, m, ...], and that many
            rows of each group exist. Rows that do not are not written.
        expected_m: with rows_of_group, how many rows a group is expected to have; 0: m.
        d_scale, d_code, d_amax: as in `gemm`, without groups of rows: the result is codes.
        out: [m, n], bf16, f16 or f32; uint8 (or a type of these codes) with d_scale.
        out_dtype: of a new result without d_scale; NumPy has "bf16" with ml_dtypes only.

    Returns:
        [m, n].

    Errors:
        CallerError: shapes, types or places that disagree, formats that do not go together. NoKernelError: no
        row serves the problem there. UnavailableError: the device, or a compiler for its kernels, is not
        there.
    """
    call = Call("scaled_gemm", "a", a.codes, device, stream)
    put_quantized(call, "a", a, "a", "a_scales", "a_format")
    put_quantized(call, "b", b, "b", "b_scales", "b_format")
    call.tensor("a_zeros", a_zeros, "i32")
    call.tensor("b_sums", b_sums, "i32")
    _put_groups(call, group_of_row, rows_of_group, expected_m)
    _put_epilogue(call, bias, gate, residual, activation, b_is_constant)
    struct = call.struct
    shape = (*_shape(struct.a)[:-1], _extent(struct.b, max(struct.b.rank - 2, 0)))
    return finish_product(call, out, out_dtype, shape, d_scale, d_code, d_amax)


def quantized_gemm(
    a: Tensor,
    b: QuantizedWeight,
    *,
    bias: Optional[Tensor] = None,
    gate: Optional[Tensor] = None,
    residual: Optional[Tensor] = None,
    activation: str = "none",
    b_is_constant: bool = False,
    group_of_row: Optional[Tensor] = None,
    rows_of_group: Optional[Tensor] = None,
    expected_m: int = 0,
    expected_groups: int = 0,
    d_scale: Union[None, float, Tensor] = None,
    d_code: str = "e4m3",
    d_amax: Optional[Tensor] = None,
    workspace: Optional[Tensor] = None,
    out: Optional[Tensor] = None,
    out_dtype: Optional[str] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """d = epilogue(a w^T) with a weight of four or eight bits, 16-bit activations and sums in fp32; the
    epilogue is `gemm`'s. Codes are multiplied exactly: no weight is rounded on its way.

    Args:
        a: [m, k], bf16 or f16.
        b: of `pack_weight`, on a's device.
        bias, gate, residual, activation, b_is_constant: as in `gemm`; bias of groups is [groups, n].
        group_of_row, rows_of_group: as in `scaled_gemm`, each group with a weight of b.
        expected_groups, expected_m: how many groups have rows, and how many each, for the choice of a row.
        d_scale, d_code, d_amax: as in `gemm`, without groups of rows: the result is codes.
        workspace: [bytes] uint8, where b has an order (act-order): as many bytes as a has, in which its
            columns are brought in order first; by default new memory. Not shared between streams.
        out: [m, n], like a, or f32; uint8 (or a type of these codes) with d_scale.
        out_dtype: "f32" for a new result in fp32.

    Returns:
        [m, n].

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("quantized_gemm", "a", a, device, stream)
    call.tensor("a", a, "bf16 or f16")
    put_weight(call, "b", b)
    if b.order is not None and workspace is None:
        workspace = call.scratch((max(2 * math.prod(_shape(call.struct.a)), 16),))
    call.tensor("workspace", workspace, "u8", written=True)
    _put_groups(call, group_of_row, rows_of_group, expected_m)
    call.struct.expected_groups = expected_groups
    _put_epilogue(call, bias, gate, residual, activation, b_is_constant)
    shape = (*_shape(call.struct.a)[:-1], b.n)
    dtype = out_dtype or _dtype_of(call.struct.a)
    return finish_product(call, out, dtype, shape, d_scale, d_code, d_amax)


def _put_groups(call: Call, group_of_row: Any, rows_of_group: Any, expected_m: int) -> None:
    call.tensor("group_of_row", group_of_row, "i32")
    call.tensor("rows_of_group", rows_of_group, "i32")
    call.struct.expected_m = expected_m


def _put_epilogue(
    call: Call, bias: Any, gate: Any, residual: Any, activation: str, b_is_constant: bool
) -> None:
    call.tensor("bias", bias, "bf16 or f16")
    call.tensor("gate", gate, "bf16 or f16")
    call.tensor("residual", residual, "bf16, f16 or f32")
    call.struct.activation = _activation(call.op, activation)
    call.struct.b_is_constant = b_is_constant


def pack_weight(
    weight: Union[Quantized, Tensor],
    scales: Optional[Tensor] = None,
    *,
    code: str = "u4",
    zeros: Optional[Tensor] = None,
    column_group: Optional[Tensor] = None,
    group_rows: int = 1,
    group: int = 0,
    device: str = "cpu",
) -> QuantizedWeight:
    """A weight's plain codes into the layout that `quantized_gemm` reads, as it is at loading a checkpoint.
    All in memory of the host: PyTorch's tensors of the CPU, NumPy's arrays; nothing is rounded.

    ``w[n, k] = (codes[n, k] - zeros[n, k // group]) * scales[n // group_rows, k // group]``

    Args:
        weight: codes [n, k] uint8, a byte each; or a `Quantized` of FP8, INT8, MXFP8, MXFP4 or NVFP4, which
            says itself what follows but for `device`. [groups, n, k], and all else with a leading dimension
            of groups, for a weight of each group; NVFP4's global_scale is [groups] then.
        scales: [ceil(n / group_rows), ceil(k / group)] fp32, bf16 or f16.
        code: "u2", "u3", "u4" (GPTQ, AWQ, compressed-tensors, unpacked), "u8", "i8" or "e4m3".
        zeros: like scales, uint8 or int32. By default 2, 4, 8 or 128 of "u2" to "u8", and 0 of "i8".
        column_group: [k] int32, each column's group: GPTQ's g_idx (act-order).
        group_rows, group: rows and elements of k that share a scale; 0: all. `group` is a power of two from
            32 on that divides k.
        device: where the packed weight goes.

    Returns:
        A `QuantizedWeight` of `Array`s on the device.

    Errors:
        CallerError: sizes that disagree, a group that does not divide k, a scale that is NaN, infinite, zero
        or
        negative, a code or zero point that the format has not: with its name and place.
    """
    op, struct, scale = "pack_weight", _abi.PlainWeight(), "f32"
    global_scale = None
    if isinstance(weight, Quantized):
        code, scale, group_rows, group = format_of(op, "format", weight.format)
        if weight.swizzled:
            raise CallerError(f"{op}: scales: expected rows of scales, got swizzled ones")
        codes, scales, global_scale = weight.codes, weight.scales, weight.global_scale
    else:
        codes = weight
    call = Call(op, "codes", codes, "cpu", 0, struct)
    struct.code = word_of(op, "code", code, _abi.PLAIN_CODES)
    struct.scale = _abi.SCALES["f32" if scale == "power_of_two" else scale]
    struct.group_rows, struct.group_columns = group_rows, group
    kinds = (CODE_TYPES[code],) if code in CODE_TYPES else ()
    call.tensor("codes", codes, "" if kinds else "u8", codes=kinds)
    if scale in ("f32", "power_of_two"):
        call.tensor("scales", scales, "f32, bf16 or f16")
    else:
        put_scales(call, "scales", scales, scale)
    call.tensor("zeros", zeros, "u8 or i32")
    call.tensor("column_group", column_group, "i32")
    put_one(call, "global_scales", global_scale)
    if call.away:
        raise CallerError(f"{op}: codes: expected memory of the host, got an array on {call.home}")
    packed = ctypes.POINTER(_abi.QuantizedWeight)()
    check(library().ww_pack_weight(ctypes.byref(struct), ctypes.byref(packed)))
    try:
        return _on_device(packed.contents, Context.of(device))
    finally:
        library().ww_quantized_weight_free(packed)


def round_weight(
    weight: Tensor, code: str = "u4", *, group: int = 0, symmetric: bool = True
) -> tuple[Tensor, Tensor, Optional[Tensor]]:
    """Integers of few bits of a weight, rounded to nearest as compressed-tensors rounds: what `pack_weight`
    takes. In memory of the host.

    Args:
        weight: [n, k] fp32, bf16 or f16, finite. Weights of experts are rows one after another.
        code: "u2", "u3", "u4" or "u8".
        group: elements of k that share a scale; 0: all. It divides k.
        symmetric: around the middle code; otherwise with zero points.

    Returns:
        (codes, scales, zeros): [n, k] uint8, [n, k / group] like weight, and like scales uint8, None where
        symmetric.

    Errors:
        CallerError: a group that does not divide k, a weight that is not finite, with its place.
    """
    call = Call("round_weight", "weight", weight, "cpu", 0, _abi.WeightRounding())
    struct = call.struct
    call.tensor("weight", weight, "f32, bf16 or f16")
    struct.code = word_of("round_weight", "code", code, _abi.PLAIN_CODES)
    struct.group_columns = group
    n, k = _extent(struct.weight, 0), _extent(struct.weight, 1)
    groups = (n, -(-k // group) if group > 0 else 1)
    codes = call.result("codes", None, (n, k), "u8")
    scales = call.result("scales", None, groups, _dtype_of(struct.weight))
    zeros = None if symmetric else call.result("zeros", None, groups, "u8")
    if call.away:
        raise CallerError(f"round_weight: weight: expected memory of the host, got an array on {call.home}")
    check(library().ww_round_weight(ctypes.byref(struct)))
    parts = (codes, scales, zeros)
    codes, scales, zeros = (None if part is None else call.framework.finished(part) for part in parts)
    return codes, scales, zeros


_WEIGHT_FORMATS = {number: name for name, number in _abi.WEIGHT_FORMATS.items()}


def _on_device(packed: _abi.QuantizedWeight, context: Context) -> QuantizedWeight:
    def copied(tensor: _abi.Tensor) -> Optional[Array]:
        if not tensor.data:
            return None
        array = Array(_shape(tensor), _dtype_of(tensor), context)
        check(library().ww_copy_in(context._handle, array._data, tensor.data, array.nbytes, None))
        return array

    return QuantizedWeight(
        format=_WEIGHT_FORMATS[packed.format],
        n=packed.n,
        k=packed.k,
        group=packed.group,
        data=copied(packed.data),
        scales=copied(packed.scales),
        zeros=copied(packed.zeros),
        order=copied(packed.order),
        global_scale=packed.global_scale,
        global_scales=copied(packed.global_scales),
        groups=packed.groups,
    )
