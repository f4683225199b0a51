# SPDX-License-Identifier: Apache-2.0
"""Operations of a mixture of experts: routing, the order of rows, and what experts made put together again.
What is common to all operations, errors too, is in ops.py.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from . import _abi
from ._call import Call
from ._library import library
from .errors import CallerError
from .formats import word_of
from .ops import Stream, Tensor, _dtype_of, _extent, _given

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
