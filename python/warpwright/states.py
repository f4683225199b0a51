# SPDX-License-Identifier: Apache-2.0
"""Results of attention over disjoint keys, put together. What is common to all operations, errors too, is in ops.py.
"""

from __future__ import annotations

from typing import Optional

from . import _abi
from ._call import Call
from .formats import word_of
from .ops import Stream, Tensor, _dtype_of, _shape


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
