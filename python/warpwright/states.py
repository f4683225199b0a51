# SPDX-License-Identifier: Apache-2.0
"""Attention over disjoint keys: results put together, and keys that sequences share, level by level. What is
common to all operations, errors too, is in ops.py.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple, Optional, Sequence, Union

from . import _abi
from ._call import Call
from .formats import word_of
from .ops import (
    _FLOATS,
    _attention_shape,
    Stream,
    Tensor,
    _dtype_of,
    _given,
    _put_kv,
    _put_kv_scales,
    _shape,
    _workspace_bytes,
)


def merge_state(
    a: Tensor,
    a_lse: Tensor,
    b: Tensor,
    b_lse: Tensor,
    *,
    base: str = "two",
    out: Optional[Tensor] = None,
    lse: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> tuple[Tensor, Tensor]:
    """Attention over two disjoint sets of keys, put together: the result over all of them (a shared prefix
    and what follows it, parts of a context on several GPUs).

    Args:
        a, b: [tokens, heads, head_dim], bf16, f16 or f32.
        a_lse, b_lse: [tokens, heads] fp32, log-sum-exps; of a state without keys infinite.
        base: "two" (`attention`'s lse_base2, FlashInfer's) or "e" (PyTorch's, FlashAttention's).
        out: like a; may be a or b.
        lse: [tokens, heads] fp32, written; may be a_lse or b_lse.

    Returns:
        (out, lse).

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("merge_state", "a", a, device, stream)
    call.tensor("a", a, "bf16, f16 or f32")
    call.tensor("a_lse", a_lse, "f32")
    call.tensor("b", b, "bf16, f16 or f32")
    call.tensor("b_lse", b_lse, "f32")
    call.struct.base = word_of("merge_state", "base", base, _abi.LSE_BASES)
    lse = call.result("lse", lse, _shape(call.struct.a)[:2], "f32")
    out = call.result("out", out, _shape(call.struct.a), _dtype_of(call.struct.a))
    return call.finish((out, lse))


def merge_states(
    states: Tensor,
    states_lse: Tensor,
    *,
    base: str = "two",
    out: Optional[Tensor] = None,
    lse: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> tuple[Tensor, Tensor]:
    """As `merge_state`, of any number of states, in their order.

    Args:
        states: [states, tokens, heads, head_dim], bf16, f16 or f32, any strides but the last.
        states_lse: [states, tokens, heads] fp32.
        base: "two" or "e".
        out, lse: [tokens, heads, head_dim] and [tokens, heads] fp32, written.

    Returns:
        (out, lse).

    Errors:
        CallerError: shapes, types or places that disagree, no state. NoKernelError: no row serves the problem
        there. UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("merge_states", "states", states, device, stream)
    call.tensor("states", states, "bf16, f16 or f32")
    call.tensor("states_lse", states_lse, "f32")
    call.struct.base = word_of("merge_states", "base", base, _abi.LSE_BASES)
    lse = call.result("lse", lse, _shape(call.struct.states)[1:3], "f32")
    out = call.result("out", out, _shape(call.struct.states)[1:], _dtype_of(call.struct.states))
    return call.finish((out, lse))


class CascadeLevel(NamedTuple):
    """Which queries of a cascade see which keys on one level. A "sequence" of the level is the queries of all
    sequences that share its keys, which follow one another in q.

    Args:
        q_starts: [sequences of the level + 1] int32, from 0 to q_tokens.
        kv_starts: the same of ragged keys: the level's part of k and v.
        page_table, kv_lengths: or of paged ones: [sequences of the level, max_pages] and [sequences of the
            level] int32.
        max_q_len, max_kv_len: capacities that the launch is sized for; 0: all of q, and what k and v, or a
            row of the page table, hold.
    """

    q_starts: Tensor
    kv_starts: Optional[Tensor] = None
    page_table: Optional[Tensor] = None
    kv_lengths: Optional[Tensor] = None
    max_q_len: int = 0
    max_kv_len: int = 0


def cascade(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    levels: Sequence[CascadeLevel],
    *,
    scale: Optional[float] = None,
    causal: bool = True,
    softcap: float = 0.0,
    kv_format: Optional[str] = None,
    k_scale: Union[None, float, Tensor] = None,
    v_scale: Union[None, float, Tensor] = None,
    sinks: Optional[Tensor] = None,
    mask: Optional[Tensor] = None,
    mask_of_queries: bool = False,
    past_is_ready: bool = False,
    out: Optional[Tensor] = None,
    lse_base2: Optional[Tensor] = None,
    lse_base_e: Optional[Tensor] = None,
    workspace: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """Attention over keys that sequences share, level by level: a level's keys are read once for all
    sequences that have them. A system prompt under 64 conversations is one sequence of the first level and 64
    of the last, which has the sequences' own keys, their queries' among them.

    Several launches: `attention` on each level, and `merge_states`. Partial results are rounded to q's type.

    Args:
        q, k, v: as `attention` has them; k and v hold the keys of all levels.
        levels: one or more, the most shared first.
        causal, mask, mask_of_queries: of the last level; on the others every query sees every key.
        sinks: counted once.
        past_is_ready: promised of every level.
        scale, softcap, kv_format, k_scale, v_scale, lse_base2, lse_base_e: as in `attention`.
        workspace: [bytes] uint8; by default new memory. Not shared between streams.
        out: [q_tokens, heads, head_dim_v].

    Returns:
        out.

    Errors:
        CallerError: shapes, types or places that disagree, no level, a workspace that is too small.
        NoKernelError: no row serves the problem there. UnavailableError: the device, or a compiler for its
        kernels, is not there.
    """
    common = _abi.Attention()
    call = Call("cascade", "q", q, device, stream, struct=common)
    paged = any(level.page_table is not None for level in levels)
    call.tensor("q", q, _FLOATS)
    _put_kv(call, "k_pages" if paged else "k", k, "v_pages" if paged else "v", v, kv_format)
    _put_kv_scales(call, k_scale, v_scale)
    common.causal, common.past_is_ready = causal, past_is_ready
    common.scale, common.softcap = _given("cascade", "scale", scale), softcap
    common.mask_of_queries = mask_of_queries
    call.tensor("sinks", sinks, "f32")
    call.tensor("mask", mask, "i32, u8 or bool", codes=("bool",))
    call.tensor("lse_base2", lse_base2, "f32", written=True)
    call.tensor("lse_base_e", lse_base_e, "f32", written=True)
    result = call.result("out", out, _attention_shape(common, paged), _dtype_of(common.q))

    parts = (_abi.CascadeLevel * len(levels))()
    for index, (level, part) in enumerate(zip(levels, parts)):
        for name in ("q_starts", "kv_starts", "page_table", "kv_lengths"):
            call.tensor(f"levels[{index}].{name}", getattr(level, name), "i32", into=part)
        part.max_q_len, part.max_kv_len = level.max_q_len, level.max_kv_len
    call.struct = _abi.Cascade(call=ctypes.pointer(common), levels=parts, num_levels=len(levels))
    if workspace is None:
        bytes_ = _workspace_bytes(call)
        if bytes_ > 0:
            workspace = call.scratch((bytes_,))
    call.tensor("workspace", workspace, "u8", written=True, into=common)
    return call.finish(result)
