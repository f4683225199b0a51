# SPDX-License-Identifier: Apache-2.0
"""PyTorch custom operators on codes and scales, and for a mixture of experts: a part of ``warpwright.torch``.

=======================  ===============================================================================
quantize                 (x, format, global_scale?, swizzled, least_amax) -> (codes, scales)
quantize_by              (x, scale, format) -> codes
dequantize               (codes, scales, format, global_scale?, swizzled, out_dtype) -> out
amax                     (x) -> parts
scaling                  (amax_history!, scale!, scale_inv!, code, margin, amax_compute)
rmsnorm_codes            (x, weight, format, epsilon, weight_offset, global_scale?) -> (codes, scales)
add_rmsnorm_codes        (x, residual!, weight, format, epsilon, weight_offset, global_scale?)
                         -> (codes, scales)
gated_activation_codes   (gate, up, format, activation, global_scale?) -> (codes, scales)
gemm_codes               (a, b, d_scale, d_code, bias?, gate?, residual?, activation, b_is_constant) -> d
scaled_gemm              (a, a_scales, b, b_scales, a_format, b_format, ...) -> d
scaled_gemm_codes        (a, a_scales, b, b_scales, a_format, b_format, d_scale, d_code, ...) -> d
quantized_gemm           (a, data, scales, format, n, group, zeros?, order?, ...) -> d
quantized_gemm_codes     (a, data, scales, format, n, group, d_scale, d_code, zeros?, order?, ...) -> d
moe_route                (logits, top_k, score, renormalize, scale, bias?, ...) -> (ids, weights)
moe_permute              (ids, experts, rows_per_expert, alignment, expert_map?)
                         -> (row_of_slot, token_of_row, expert_rows, expert_of_row)
moe_combine              (rows, row_of_slot, weights, base?) -> out
grouped_gemm             (a, b, b_gate?, group_of_row?, rows_of_group?, ids?, weights?, ...) -> d
moe_experts              (x, ids, weights, gate, up, down, gate_bias?, up_bias?, down_bias?, ...) -> out
=======================  ===============================================================================

Formats are names of `warpwright.FORMATS`. Codes have PyTorch's types (float8_e4m3fn, int8, for two in a byte
uint8). What moe_permute gives as expert_of_row with rows_per_expert has no rows.
"""

from __future__ import annotations

import torch

from . import moe, ops, quantized
from .formats import CODE_TYPES, Quantized, QuantizedOutput, QuantizedWeight, format_of, scales_shape
from .torch import _nothing, _register

_TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
_SCALES = {"e8m0": "float8_e8m0fnu", "e8m0_up": "float8_e8m0fnu", "e4m3": "float8_e4m3fn"}


def _code_type(name):
    return torch.uint8 if name.startswith("float4") else getattr(torch, name, torch.uint8)


def _codes_fake(x, format, swizzled=False):
    """(codes, scales) of a [rows, columns] tensor."""
    form = format_of("quantize", "format", format)
    rows, columns = x.shape
    width = columns // 2 if form.code == "e2m1" else columns
    if form.group_rows == 0 or form.group_columns == 0 or swizzled:  # of sizes that may be symbols
        tall = 1 if form.group_rows == 0 else (rows + form.group_rows - 1) // form.group_rows
        wide = 1 if form.group_columns == 0 else (columns + form.group_columns - 1) // form.group_columns
        shape = ((tall + 127) // 128 * 128, (wide + 3) // 4 * 4) if swizzled else (tall, wide)
    else:
        shape = scales_shape(form, rows, columns, swizzled)
    scales = _code_type(_SCALES[form.scale]) if form.scale in _SCALES else torch.float32
    return x.new_empty((rows, width), dtype=_code_type(CODE_TYPES[form.code])), x.new_empty(
        shape, dtype=scales
    )


def _quantize(x, format="fp8_group", global_scale=None, swizzled=False, least_amax=0.0):
    made = quantized.quantize(x, format, global_scale=global_scale, swizzled=swizzled, least_amax=least_amax)
    return made.codes, made.scales


def _quantize_fake(x, format="fp8_group", global_scale=None, swizzled=False, least_amax=0.0):
    return _codes_fake(x, format, swizzled)


_register(
    'quantize(Tensor x, str format="fp8_group", Tensor? global_scale=None, bool swizzled=False, '
    "float least_amax=0) -> (Tensor codes, Tensor scales)",
    _quantize,
    _quantize_fake,
)


def _quantize_by(x, scale, format="fp8_tensor"):
    return quantized.quantize(x, format, scale=scale).codes


def _quantize_by_fake(x, scale, format="fp8_tensor"):
    return _codes_fake(x, format)[0]


_register(
    'quantize_by(Tensor x, Tensor scale, str format="fp8_tensor") -> Tensor', _quantize_by, _quantize_by_fake
)


def _dequantize(codes, scales, format, global_scale=None, swizzled=False, out_dtype="f32"):
    return quantized.dequantize(Quantized(codes, scales, format, global_scale, swizzled), out_dtype=out_dtype)


def _dequantize_fake(codes, scales, format, global_scale=None, swizzled=False, out_dtype="f32"):
    per_byte = 2 if format_of("dequantize", "format", format).code == "e2m1" else 1
    return codes.new_empty((codes.shape[0], codes.shape[1] * per_byte), dtype=_TYPES[out_dtype])


_register(
    "dequantize(Tensor codes, Tensor scales, str format, Tensor? global_scale=None, bool swizzled=False, "
    'str out_dtype="f32") -> Tensor',
    _dequantize,
    _dequantize_fake,
)
_register("amax(Tensor x) -> Tensor", quantized.amax, lambda x: x.new_empty((512,), dtype=torch.float32))


def _scaling(amax_history, scale, scale_inv, code="e4m3", margin=0, amax_compute="max"):
    quantized.scaling(amax_history, scale, scale_inv, code=code, margin=margin, amax_compute=amax_compute)


_register(
    'scaling(Tensor(a!) amax_history, Tensor(b!) scale, Tensor(c!) scale_inv, str code="e4m3", int margin=0, '
    'str amax_compute="max") -> ()',
    _scaling,
    _nothing,
)


def _rmsnorm_codes(x, weight, format, epsilon=1e-6, weight_offset=0.0, global_scale=None):
    return _add_rmsnorm_codes(x, None, weight, format, epsilon, weight_offset, global_scale)


def _rmsnorm_codes_fake(x, weight, format, *_):
    return _codes_fake(x, format)


_register(
    "rmsnorm_codes(Tensor x, Tensor weight, str format, float epsilon=1e-6, float weight_offset=0, "
    "Tensor? global_scale=None) -> (Tensor codes, Tensor scales)",
    _rmsnorm_codes,
    _rmsnorm_codes_fake,
)


def _add_rmsnorm_codes(x, residual, weight, format, epsilon=1e-6, weight_offset=0.0, global_scale=None):
    made = ops.rmsnorm(
        x,
        weight,
        residual=residual,
        epsilon=epsilon,
        weight_offset=weight_offset,
        quantized=QuantizedOutput(format, global_scale=global_scale),
    )
    return made.codes, made.scales


def _add_rmsnorm_codes_fake(x, residual, weight, format, *_):
    return _codes_fake(x, format)


_register(
    "add_rmsnorm_codes(Tensor x, Tensor(a!) residual, Tensor weight, str format, float epsilon=1e-6, "
    "float weight_offset=0, Tensor? global_scale=None) -> (Tensor codes, Tensor scales)",
    _add_rmsnorm_codes,
    _add_rmsnorm_codes_fake,
)


def _gated_activation_codes(gate, up, format, activation="silu", global_scale=None):
    made = ops.gated_activation(
        gate, up, activation=activation, quantized=QuantizedOutput(format, global_scale=global_scale)
    )
    return made.codes, made.scales


def _gated_activation_codes_fake(gate, up, format, *_):
    return _codes_fake(gate, format)


_register(
    'gated_activation_codes(Tensor gate, Tensor up, str format, str activation="silu", '
    "Tensor? global_scale=None) -> (Tensor codes, Tensor scales)",
    _gated_activation_codes,
    _gated_activation_codes_fake,
)


def _gemm_codes(
    a,
    b,
    d_scale,
    d_code="e4m3",
    bias=None,
    gate=None,
    residual=None,
    activation="none",
    b_is_constant=False,
):
    return ops.gemm(
        a,
        b,
        bias=bias,
        gate=gate,
        residual=residual,
        activation=activation,
        b_is_constant=b_is_constant,
        d_scale=d_scale,
        d_code=d_code,
    )


def _gemm_codes_fake(a, b, d_scale, d_code="e4m3", *_):
    return a.new_empty((a.shape[0], b.shape[0]), dtype=_code_type(CODE_TYPES[d_code]))


_register(
    'gemm_codes(Tensor a, Tensor b, Tensor d_scale, str d_code="e4m3", Tensor? bias=None, Tensor? gate=None, '
    'Tensor? residual=None, str activation="none", bool b_is_constant=False) -> Tensor',
    _gemm_codes,
    _gemm_codes_fake,
)


def _scaled_gemm(
    a,
    a_scales,
    b,
    b_scales,
    a_format,
    b_format,
    bias=None,
    gate=None,
    residual=None,
    activation="none",
    b_is_constant=False,
    a_zeros=None,
    b_sums=None,
    group_of_row=None,
    rows_of_group=None,
    expected_m=0,
    out_dtype="bf16",
):
    return quantized.scaled_gemm(
        Quantized(a, a_scales, a_format),
        Quantized(b, b_scales, b_format),
        bias=bias,
        gate=gate,
        residual=residual,
        activation=activation,
        b_is_constant=b_is_constant,
        a_zeros=a_zeros,
        b_sums=b_sums,
        group_of_row=group_of_row,
        rows_of_group=rows_of_group,
        expected_m=expected_m,
        out_dtype=out_dtype,
    )


def _scaled_gemm_fake(a, a_scales, b, b_scales, *rest):
    dtype = rest[12] if len(rest) > 12 else "bf16"
    return a.new_empty((*a.shape[:-1], b.shape[-2]), dtype=_TYPES[dtype])


_GROUPS = "Tensor? group_of_row=None, Tensor? rows_of_group=None, SymInt expected_m=0"
_EPILOGUE = (
    'Tensor? bias=None, Tensor? gate=None, Tensor? residual=None, str activation="none", '
    "bool b_is_constant=False"
)
_register(
    "scaled_gemm(Tensor a, Tensor a_scales, Tensor b, Tensor b_scales, str a_format, str b_format, "
    f"{_EPILOGUE}, Tensor? a_zeros=None, Tensor? b_sums=None, {_GROUPS}, "
    'str out_dtype="bf16") -> Tensor',
    _scaled_gemm,
    _scaled_gemm_fake,
)


def _scaled_gemm_codes(
    a,
    a_scales,
    b,
    b_scales,
    a_format,
    b_format,
    d_scale,
    d_code="e4m3",
    bias=None,
    gate=None,
    residual=None,
    activation="none",
    b_is_constant=False,
    a_zeros=None,
    b_sums=None,
):
    return quantized.scaled_gemm(
        Quantized(a, a_scales, a_format),
        Quantized(b, b_scales, b_format),
        bias=bias,
        gate=gate,
        residual=residual,
        activation=activation,
        b_is_constant=b_is_constant,
        a_zeros=a_zeros,
        b_sums=b_sums,
        d_scale=d_scale,
        d_code=d_code,
    )


def _scaled_gemm_codes_fake(a, a_scales, b, b_scales, a_format, b_format, d_scale, d_code="e4m3", *_):
    return a.new_empty((a.shape[0], b.shape[0]), dtype=_code_type(CODE_TYPES[d_code]))


_register(
    "scaled_gemm_codes(Tensor a, Tensor a_scales, Tensor b, Tensor b_scales, str a_format, str b_format, "
    f'Tensor d_scale, str d_code="e4m3", {_EPILOGUE}, Tensor? a_zeros=None, Tensor? b_sums=None) -> Tensor',
    _scaled_gemm_codes,
    _scaled_gemm_codes_fake,
)


def _quantized_gemm(
    a,
    data,
    scales,
    format,
    n,
    group,
    zeros=None,
    order=None,
    global_scales=None,
    groups=1,
    global_scale=1.0,
    bias=None,
    gate=None,
    residual=None,
    activation="none",
    b_is_constant=False,
    group_of_row=None,
    rows_of_group=None,
    expected_m=0,
    float_out=False,
):
    weight = QuantizedWeight(
        format, n, a.shape[-1], group, data, scales, zeros, order, global_scale, global_scales, groups
    )
    return quantized.quantized_gemm(
        a,
        weight,
        bias=bias,
        gate=gate,
        residual=residual,
        activation=activation,
        b_is_constant=b_is_constant,
        group_of_row=group_of_row,
        rows_of_group=rows_of_group,
        expected_m=expected_m,
        out_dtype="f32" if float_out else None,
    )


def _quantized_gemm_fake(a, data, scales, format, n, group, *rest):
    float_out = rest[13] if len(rest) > 13 else False
    return a.new_empty((*a.shape[:-1], n), dtype=torch.float32 if float_out else a.dtype)


_register(
    "quantized_gemm(Tensor a, Tensor data, Tensor scales, str format, SymInt n, SymInt group, "
    "Tensor? zeros=None, Tensor? order=None, Tensor? global_scales=None, SymInt groups=1, "
    "float global_scale=1, "
    f"{_EPILOGUE}, {_GROUPS}, bool float_out=False) -> Tensor",
    _quantized_gemm,
    _quantized_gemm_fake,
)


def _quantized_gemm_codes(
    a,
    data,
    scales,
    format,
    n,
    group,
    d_scale,
    d_code="e4m3",
    zeros=None,
    order=None,
    global_scale=1.0,
    bias=None,
    gate=None,
    residual=None,
    activation="none",
    b_is_constant=False,
):
    weight = QuantizedWeight(format, n, a.shape[-1], group, data, scales, zeros, order, global_scale)
    return quantized.quantized_gemm(
        a,
        weight,
        bias=bias,
        gate=gate,
        residual=residual,
        activation=activation,
        b_is_constant=b_is_constant,
        d_scale=d_scale,
        d_code=d_code,
    )


def _quantized_gemm_codes_fake(a, data, scales, format, n, group, d_scale, d_code="e4m3", *_):
    return a.new_empty((a.shape[0], n), dtype=_code_type(CODE_TYPES[d_code]))


_register(
    "quantized_gemm_codes(Tensor a, Tensor data, Tensor scales, str format, SymInt n, SymInt group, "
    'Tensor d_scale, str d_code="e4m3", Tensor? zeros=None, Tensor? order=None, float global_scale=1, '
    f"{_EPILOGUE}) -> Tensor",
    _quantized_gemm_codes,
    _quantized_gemm_codes_fake,
)


def _moe_route(
    logits,
    top_k,
    score="softmax",
    renormalize=False,
    scale=1.0,
    bias=None,
    num_groups=1,
    top_groups=1,
    groups_by_largest=False,
    table=None,
    token_ids=None,
):
    return moe.moe_route(
        logits,
        top_k,
        score=score,
        renormalize=renormalize,
        scale=scale,
        bias=bias,
        num_groups=num_groups,
        top_groups=top_groups,
        groups_by_largest=groups_by_largest,
        table=table,
        token_ids=token_ids,
    )


def _moe_route_fake(logits, top_k, *_):
    shape = (logits.shape[0], top_k)
    return logits.new_empty(shape, dtype=torch.int32), logits.new_empty(shape, dtype=torch.float32)


_register(
    'moe_route(Tensor logits, SymInt top_k, str score="softmax", bool renormalize=False, float scale=1, '
    "Tensor? bias=None, SymInt num_groups=1, SymInt top_groups=1, bool groups_by_largest=False, "
    "Tensor? table=None, Tensor? token_ids=None) -> (Tensor ids, Tensor weights)",
    _moe_route,
    _moe_route_fake,
)


def _moe_permute(ids, experts, rows_per_expert=0, alignment=128, expert_map=None):
    made = moe.moe_permute(
        ids, experts, rows_per_expert=rows_per_expert, alignment=alignment, expert_map=expert_map
    )
    return tuple(ids.new_empty((0,)) if part is None else part for part in made)


def _moe_permute_fake(ids, experts, rows_per_expert=0, alignment=128, expert_map=None):
    slots = ids.shape[0] * ids.shape[1]
    if rows_per_expert > 0:
        rows = experts * rows_per_expert
    else:
        rows = (slots + torch.sym_min(slots, experts) * (alignment - 1)) // alignment * alignment
    return (
        ids.new_empty(ids.shape),
        ids.new_empty((rows,)),
        ids.new_empty((experts,)),
        ids.new_empty((0 if rows_per_expert > 0 else rows,)),
    )


_register(
    "moe_permute(Tensor ids, SymInt experts, SymInt rows_per_expert=0, SymInt alignment=128, "
    "Tensor? expert_map=None) "
    "-> (Tensor row_of_slot, Tensor token_of_row, Tensor expert_rows, Tensor expert_of_row)",
    _moe_permute,
    _moe_permute_fake,
)


def _moe_combine(rows, row_of_slot, weights, base=None):
    return moe.moe_combine(rows, row_of_slot, weights, base=base)


def _moe_combine_fake(rows, row_of_slot, weights, base=None):
    return rows.new_empty((row_of_slot.shape[0], rows.shape[1]))


_register(
    "moe_combine(Tensor rows, Tensor row_of_slot, Tensor weights, Tensor? base=None) -> Tensor",
    _moe_combine,
    _moe_combine_fake,
)


def _grouped_gemm(
    a,
    b,
    b_gate=None,
    group_of_row=None,
    rows_of_group=None,
    ids=None,
    weights=None,
    bias=None,
    gate_bias=None,
    residual=None,
    activation="none",
    row_of_a=None,
    group_rows=128,
    expected_groups=0,
    expected_m=0,
    b_is_constant=False,
):
    return moe.grouped_gemm(
        a,
        b,
        b_gate=b_gate,
        group_of_row=group_of_row,
        rows_of_group=rows_of_group,
        ids=ids,
        weights=weights,
        bias=bias,
        gate_bias=gate_bias,
        residual=residual,
        activation=activation,
        row_of_a=row_of_a,
        group_rows=group_rows,
        expected_groups=expected_groups,
        expected_m=expected_m,
        b_is_constant=b_is_constant,
    )


def _grouped_gemm_fake(
    a, b, b_gate=None, group_of_row=None, rows_of_group=None, ids=None, weights=None, *rest
):
    row_of_a = rest[4] if len(rest) > 4 else None
    if ids is not None:
        rows = (ids.shape[0] if weights is not None else ids.shape[0] * ids.shape[1],)
    else:
        rows = row_of_a.shape if row_of_a is not None else a.shape[:-1]
    return a.new_empty((*rows, b.shape[1]))


_register(
    "grouped_gemm(Tensor a, Tensor b, Tensor? b_gate=None, Tensor? group_of_row=None, "
    "Tensor? rows_of_group=None, Tensor? ids=None, Tensor? weights=None, Tensor? bias=None, "
    'Tensor? gate_bias=None, Tensor? residual=None, str activation="none", Tensor? row_of_a=None, '
    "SymInt group_rows=128, SymInt expected_groups=0, SymInt expected_m=0, "
    "bool b_is_constant=False) -> Tensor",
    _grouped_gemm,
    _grouped_gemm_fake,
)


def _moe_experts(
    x,
    ids,
    weights,
    gate,
    up,
    down,
    gate_bias=None,
    up_bias=None,
    down_bias=None,
    base=None,
    activation="silu",
    limit=0.0,
    alpha=1.0,
    up_offset=0.0,
    weights_are_constant=False,
):
    return moe.moe_experts(
        x,
        ids,
        weights,
        gate,
        up,
        down,
        gate_bias=gate_bias,
        up_bias=up_bias,
        down_bias=down_bias,
        base=base,
        activation=activation,
        limit=limit,
        alpha=alpha,
        up_offset=up_offset,
        weights_are_constant=weights_are_constant,
    )


def _moe_experts_fake(x, *_):
    return x.new_empty(x.shape)


_register(
    "moe_experts(Tensor x, Tensor ids, Tensor weights, Tensor gate, Tensor up, Tensor down, "
    "Tensor? gate_bias=None, Tensor? up_bias=None, Tensor? down_bias=None, Tensor? base=None, "
    'str activation="silu", float limit=0, float alpha=1, float up_offset=0, '
    "bool weights_are_constant=False) -> Tensor",
    _moe_experts,
    _moe_experts_fake,
)
