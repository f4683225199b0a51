# SPDX-License-Identifier: Apache-2.0
"""Operations of a mixture of experts: routing, the order of rows, and what experts made put together again.
What is common to all operations, errors too, is in ops.py.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Union

from . import _abi
from ._call import Call
from ._library import library
from .errors import CallerError
from .formats import QuantizedWeight, put_weight, word_of
from .ops import Stream, Tensor, _activation, _dtype_of, _extent, _given, _shape

_CHUNK_SLOTS = 1024


def moe_route(
    logits: Tensor,
    top_k: int,
    *,
    score: str = "softmax",
    renormalize: bool = False,
    scale: float = 1.0,
    bias: Optional[Tensor] = None,
    num_groups: int = 1,
    top_groups: int = 1,
    groups_by_largest: bool = False,
    table: Optional[Tensor] = None,
    token_ids: Optional[Tensor] = None,
    nan_count: Optional[Tensor] = None,
    ids: Optional[Tensor] = None,
    weights: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> tuple[Tensor, Tensor]:
    """Which experts each token goes to, and what each one's result counts; the same bits on every device and
    in every batch.

    An expert's choice is its logit, or with a bias or groups ``score + bias``. Of the groups (neighbours,
    experts / num_groups of them) the top_groups best ones stay. The top_k largest choices are chosen, largest
    first, of equal ones the lower id; a weight is the score, ``/ (sum of the chosen scores + 1e-20)`` with
    `renormalize`, times `scale`. Mixtral and Qwen3: renormalize; DeepSeek-V3: "sigmoid", bias, groups,
    renormalize, scale.

    Args:
        logits: [tokens, experts], bf16, f16 or f32; at most 1024 experts. NaN counts as -infinity.
        top_k: at most 32.
        score: "softmax", "sigmoid" or "sqrt_softplus".
        scale: not 0.
        bias: [experts] fp32, for the choice alone.
        num_groups, top_groups: num_groups divides the experts; top_k experts are left.
        groups_by_largest: groups by their largest choice (DeepSeek-V2); else by the sum of the two largest.
        table: [rows, top_k] int32: ids in place of choices, row t for token t, or token_ids[t].
        token_ids: [tokens] int32, with a table.
        nan_count: [1] int32: the number of NaN logits is added to it.
        ids, weights: [tokens, top_k] int32 and fp32, written.

    Returns:
        (ids, weights).

    Errors:
        CallerError: shapes, types or places that disagree, top_k above the experts that can be chosen, groups
        that do not divide the experts. NoKernelError: no row serves the problem there. UnavailableError: the
        device, or a compiler for its kernels, is not there.
    """
    call = Call("moe_route", "logits", logits, device, stream)
    call.tensor("logits", logits, "bf16, f16 or f32")
    call.tensor("bias", bias, "f32")
    call.tensor("table", table, "i32")
    call.tensor("token_ids", token_ids, "i32")
    call.tensor("nan_count", nan_count, "i32", written=True)
    struct = call.struct
    struct.num_groups, struct.top_groups = _positive("num_groups", num_groups), _positive(
        "top_groups", top_groups
    )
    struct.score = word_of("moe_route", "score", score, _abi.SCORES)
    struct.renormalize, struct.groups_by_largest = renormalize, groups_by_largest
    struct.scale = _given("moe_route", "scale", scale)
    shape = (_extent(struct.logits, 0), top_k)
    ids = call.result("ids", ids, shape, "i32")
    return call.finish((ids, call.result("weights", weights, shape, "f32")))


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise CallerError(f"moe_route: {name}: expected 1 or more, got {value}")
    return value


class MoePermutation(NamedTuple):
    """Where the rows of grouped products are.

    row_of_slot: [tokens, top_k] int32, -1 where there is none: for `moe_combine`.
    token_of_row: [rows] int32, -1 for padding: `embedding` gathers tokens with it, padding as zeros.
    expert_rows: [experts] int32, how many slots each expert has: masked products' rows_of_group.
    expert_of_row: [rows] int32, contiguous products' group_of_row; None: masked.
    """

    row_of_slot: Tensor
    token_of_row: Tensor
    expert_rows: Tensor
    expert_of_row: Optional[Tensor]


def moe_permute(
    ids: Tensor,
    experts: int,
    *,
    rows_per_expert: int = 0,
    alignment: int = 128,
    expert_map: Optional[Tensor] = None,
    out: Optional[MoePermutation] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> MoePermutation:
    """The order of rows in which grouped products work on routed tokens: rows of one expert beside each
    other, within an expert in the order of the slots (a slot is one choice of one token).

    Contiguous: experts one after another, each from a multiple of `alignment` on (DeepGEMM's m_indices). With
    `rows_per_expert` masked: expert e has rows ``e * rows_per_expert`` on, slots beyond them are left out
    (DeepGEMM's masked_m).

    Args:
        ids: [tokens, top_k] int32, of `moe_route`; an expert that does not exist (-1) is no row.
        experts: how many are here, at most 1024.
        alignment: 1 to 1024; what `scaled_gemm` and `quantized_gemm` take is 128.
        expert_map: [all experts] int32: the expert here of each expert that ids may name, -1 where it is on
            another GPU.
        out: tensors to be written. By default new ones, with rows that are enough for any routing.

    Returns:
        A `MoePermutation`.

    Errors:
        CallerError: shapes, types or places that disagree, fewer rows than any routing needs. NoKernelError:
        no row serves the problem there. UnavailableError: the device, or a compiler for its kernels, is not
        there.
    """
    call = Call("moe_permute", "ids", ids, device, stream)
    call.tensor("ids", ids, "i32")
    call.tensor("expert_map", expert_map, "i32")
    struct = call.struct
    slots = _extent(struct.ids, 0) * _extent(struct.ids, 1)
    masked = rows_per_expert > 0 if out is None else out.expert_of_row is None
    if alignment < 1:
        raise CallerError(f"moe_permute: alignment: expected 1 to 1024, got {alignment}")
    struct.alignment = alignment
    given = out or MoePermutation(None, None, None, None)
    rows = experts * rows_per_expert if masked else library().ww_moe_rows(slots, experts, alignment)
    made = [
        call.result(name, tensor, shape, "i32")
        for name, tensor, shape in (
            ("row_of_slot", given.row_of_slot, (_extent(struct.ids, 0), _extent(struct.ids, 1))),
            ("token_of_row", given.token_of_row, (rows,)),
            ("expert_rows", given.expert_rows, (experts,)),
        )
    ]
    made.append(None if masked else call.result("expert_of_row", given.expert_of_row, (rows,), "i32"))
    if slots > _CHUNK_SLOTS:  # with space thousands of slots take two launches that read each once
        chunks = call.scratch((-(-slots // _CHUNK_SLOTS), experts), "i32")
        call.tensor("chunk_counts", chunks, "i32", written=True)
    return call.finish(MoePermutation(*made))


def moe_combine(
    rows: Tensor,
    row_of_slot: Tensor,
    weights: Tensor,
    *,
    base: Optional[Tensor] = None,
    out: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """What experts made of each token, added up by weight in the order of its choices, in fp32:
    ``base[t] + sum of weights[t, j] * rows[row_of_slot[t, j]]``. Slots without a row are left out.

    Args:
        rows: [all rows, width], bf16 or f16.
        row_of_slot: [tokens, top_k] int32, of `moe_permute`.
        weights: [tokens, top_k] fp32, of `moe_route`.
        base: [tokens, width], like rows: a shared expert's result, or a residual; may be `out`.
        out: [tokens, width], like rows.

    Returns:
        out.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("moe_combine", "rows", rows, device, stream)
    call.tensor("rows", rows, "bf16 or f16")
    call.tensor("row_of_slot", row_of_slot, "i32")
    call.tensor("weights", weights, "f32")
    call.tensor("base", base, "bf16 or f16")
    shape = (_extent(call.struct.row_of_slot, 0), _extent(call.struct.rows, 1))
    return call.finish(call.result("out", out, shape, _dtype_of(call.struct.rows)))


def grouped_gemm(
    a: Tensor,
    b: Tensor,
    *,
    b_gate: Optional[Tensor] = None,
    group_of_row: Optional[Tensor] = None,
    rows_of_group: Optional[Tensor] = None,
    ids: Optional[Tensor] = None,
    weights: Optional[Tensor] = None,
    bias: Optional[Tensor] = None,
    gate_bias: Optional[Tensor] = None,
    residual: Optional[Tensor] = None,
    activation: str = "none",
    limit: float = 0.0,
    alpha: float = 1.0,
    up_offset: float = 0.0,
    row_of_a: Optional[Tensor] = None,
    group_rows: int = 128,
    expected_groups: int = 0,
    expected_m: int = 0,
    b_is_constant: bool = False,
    ids_are_constant: bool = False,
    out: Optional[Tensor] = None,
    out_dtype: Optional[str] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """Products of rows with the weights of the group each is in: the experts of a mixture, in 16 bits.

    ``v = a b[group]^T + bias``; with b_gate ``u = a b_gate[group]^T + gate_bias`` and
    ``d = activation(alpha u) / alpha * (v + up_offset)``, u at most `limit` and v within it; else
    ``d = activation(v) + residual``.

    Args:
        a: [rows, k], bf16 or f16; with rows_of_group and without row_of_a [groups, m, k].
        b: [groups, n, k], like a.
        b_gate: like b, with its strides: may be other rows of one tensor.
        group_of_row, rows_of_group: as in `scaled_gemm`; groups begin at multiples of group_rows.
        ids: [tokens, top_k] int32, for few tokens: d has a row for each slot (t * top_k + j), a one for each
            token or each slot. Slots whose id does not exist are not written.
        weights: [tokens, top_k] fp32, with ids: d has a row for each token, the sum of its slots by weight.
        bias, gate_bias: [groups, n].
        residual: like the result; may be `out`.
        activation: "none", "silu", "gelu" or "gelu_tanh".
        limit, alpha, up_offset: gpt-oss's; 0: no limit.
        row_of_a: [m] int32, with rows_of_group [groups, m]: the row of a for each row of d (token_of_row of
            `moe_permute`).
        expected_groups, expected_m: how many groups have rows, and how many each, for the choice of a row.
        b_is_constant: as in `gemm`, of b and b_gate.
        ids_are_constant: the launch before this one does not write ids and weights, nor did the one before
            that: they may be read while it still runs.
        out: [m, n], like a, or f32.
        out_dtype: "f32" for a new result in fp32.

    Returns:
        out. Rows that do not exist are not written.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("grouped_gemm", "a", a, device, stream)
    for name, tensor in (("a", a), ("b", b), ("b_gate", b_gate), ("bias", bias), ("gate_bias", gate_bias)):
        call.tensor(name, tensor, "bf16 or f16")
    call.tensor("residual", residual, "bf16, f16 or f32")
    for name, tensor in (
        ("group_of_row", group_of_row),
        ("rows_of_group", rows_of_group),
        ("row_of_a", row_of_a),
        ("ids", ids),
    ):
        call.tensor(name, tensor, "i32")
    call.tensor("weights", weights, "f32")
    struct = call.struct
    struct.group_rows, struct.expected_groups, struct.expected_m = group_rows, expected_groups, expected_m
    struct.activation = _activation("grouped_gemm", activation)
    struct.limit, struct.up_offset = limit, up_offset
    struct.alpha = _given("grouped_gemm", "alpha", alpha)
    struct.b_is_constant, struct.ids_are_constant = b_is_constant, ids_are_constant
    n = _extent(struct.b, 1)
    if ids is not None:
        tokens = _extent(struct.ids, 0)
        shape: tuple[int, ...] = (tokens if weights is not None else tokens * _extent(struct.ids, 1), n)
    elif row_of_a is not None:
        shape = (*_shape(struct.row_of_a), n)
    else:
        shape = (*_shape(struct.a)[:-1], n)
    return call.finish(call.result("d", out, shape, out_dtype or _dtype_of(struct.a)))


def moe_experts(
    x: Tensor,
    ids: Tensor,
    weights: Tensor,
    gate: Union[Tensor, QuantizedWeight],
    up: Union[Tensor, QuantizedWeight],
    down: Union[Tensor, QuantizedWeight],
    *,
    gate_bias: Optional[Tensor] = None,
    up_bias: Optional[Tensor] = None,
    down_bias: Optional[Tensor] = None,
    base: Optional[Tensor] = None,
    activation: str = "silu",
    limit: float = 0.0,
    alpha: float = 1.0,
    up_offset: float = 0.0,
    weights_are_constant: bool = False,
    workspace: Optional[Tensor] = None,
    out: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """The experts of a mixture, from routed tokens to their output:
    ``base[t] + sum of weights[t, j] * down[e] (activation(gate[e] x[t]) * (up[e] x[t]))`` with ``e = ids[t,
    j]``.

    Several launches: for few tokens two products that read the chosen experts' weights, for more
    `moe_permute`, two `grouped_gemm` and `moe_combine`. Of quantised weights `moe_permute`, `embedding`, three
    `quantized_gemm` and `moe_combine`, for any number. Nothing goes through the host.

    Args:
        x: [tokens, hidden], bf16 or f16.
        ids, weights: [tokens, top_k] int32 and fp32, of `moe_route`; -1: none.
        gate, up: [experts, width, hidden], like x, with the same strides: may be the halves of one tensor.
        down: [experts, hidden, width], like x. All three may be of `pack_weight` instead, with experts as
            groups; then a token's choices must differ.
        gate_bias, up_bias: [experts, width], both or none. down_bias: [experts, hidden].
        base: [tokens, hidden], like x: a shared expert's result, or a residual; may be `out`.
        activation, limit, alpha, up_offset: as in `grouped_gemm`.
        weights_are_constant: of all experts, as b_is_constant of `gemm`.
        workspace: [bytes] uint8; by default new memory. Not shared between streams.
        out: [tokens, hidden], like x.

    Returns:
        out.

    Errors:
        CallerError: shapes, types or places that disagree, a workspace that is too small. NoKernelError: no
        row serves the problem there. UnavailableError: the device, or a compiler for its kernels, is not
        there.
    """
    call = Call("moe_experts", "x", x, device, stream)
    call.tensor("x", x, "bf16 or f16")
    for name, weight in (("gate", gate), ("up", up), ("down", down)):
        if isinstance(weight, QuantizedWeight):
            put_weight(call, f"quantized_{name}", weight)
        else:
            call.tensor(name, weight, "bf16 or f16")
    call.tensor("base", base, "bf16 or f16")
    for name, tensor in (("gate_bias", gate_bias), ("up_bias", up_bias), ("down_bias", down_bias)):
        call.tensor(name, tensor, "bf16 or f16")
    call.tensor("ids", ids, "i32")
    call.tensor("weights", weights, "f32")
    struct = call.struct
    struct.activation = _activation("moe_experts", activation)
    struct.limit, struct.up_offset = limit, up_offset
    struct.alpha = _given("moe_experts", "alpha", alpha)
    struct.weights_are_constant = weights_are_constant
    if workspace is None:
        sizes = [_extent(struct.ids, axis) for axis in range(2)]
        if isinstance(down, QuantizedWeight):
            sizes += [down.groups, down.n, down.k]
            bytes_ = library().ww_moe_experts_quantized_workspace_bytes(*sizes)
        else:
            sizes += [_extent(struct.down, axis) for axis in range(3)]
            bytes_ = library().ww_moe_experts_workspace_bytes(*sizes)
        workspace = call.scratch((max(bytes_, 16),), read_early=isinstance(down, QuantizedWeight))
    call.tensor("workspace", workspace, "u8", written=True)
    return call.finish(call.result("out", out, _shape(struct.x), _dtype_of(struct.x)))
