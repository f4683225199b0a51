# SPDX-License-Identifier: Apache-2.0
"""From hidden states to tokens. What is common to all operations, errors too, is in ops.py."""

from __future__ import annotations

from typing import Optional

from ._call import Call
from .formats import is_number
from .ops import Numbers, Stream, Tensor, _dtype_of, _extent, _shape


def logits(
    x: Tensor,
    *,
    softcap: float = 0.0,
    starts: Optional[Tensor] = None,
    tokens: Optional[Tensor] = None,
    repetition: Optional[Tensor] = None,
    addend: Optional[Tensor] = None,
    bias: Optional[Tensor] = None,
    out: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """What is done to logits before a token is drawn: a softcap, and for the tokens that a row lists
    ``x + bias``, then ``x / repetition`` (times it where x is not positive), then ``x + addend``.

    Args:
        x: [rows, vocabulary] fp32.
        softcap: ``x = softcap * tanh(x / softcap)``; 0: off.
        starts: [rows + 1] int32: row r adjusts entries starts[r] up to starts[r + 1] of the lists. With
            tokens, repetition and addend.
        tokens: [entries] int32, each at most once in a row.
        repetition: [entries] fp32, positive; 1: none.
        addend: [entries] fp32; -infinity bans a token.
        bias: [entries] fp32.
        out: like x; may be x: then without a softcap only the listed tokens are touched.

    Returns:
        out.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("logits", "x", x, device, stream)
    call.tensor("in", x, "f32")
    call.tensor("starts", starts, "i32")
    call.tensor("tokens", tokens, "i32")
    call.tensor("repetition", repetition, "f32")
    call.tensor("addend", addend, "f32")
    call.tensor("bias", bias, "f32")
    call.struct.softcap = softcap
    source = getattr(call.struct, "in")
    return call.finish(call.result("out", out, _shape(source), _dtype_of(source)))


def sample(
    logits: Tensor,
    *,
    temperature: Numbers = 1.0,
    top_k: Numbers = 0,
    top_p: Numbers = 1.0,
    min_p: Numbers = 0.0,
    seeds: Numbers = 0,
    steps: Numbers = 0,
    out: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """Draws one token a row: temperature, top-k, top-p, min-p, then one draw by Philox4x32-10 with key
    `seeds` and counter `steps`. The same seed and step give the same token on every device and in every
    batch, up to rounding of probabilities.

    Each parameter is one number for all rows, or a tensor; tensors are read when a prepared launch runs.

    Args:
        logits: [rows, vocabulary], fp32, bf16 or f16.
        temperature: [rows] fp32; 0: the likeliest token, the lowest id among equals.
        top_k: [rows] int32; 0: off. Ties at the k-th are all kept.
        top_p: [rows] fp32; 1: off.
        min_p: [rows] fp32; 0: off.
        seeds: [rows, 2] int32, low and high half of a 64-bit seed; of a number n, row i has the seed n + i.
        steps: [rows] int32.
        out: [rows] int32.

    Returns:
        Token ids, [rows] int32.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("sample", "logits", logits, device, stream)
    call.tensor("logits", logits, "f32, bf16 or f16")
    rows = _extent(call.struct.logits, 0)
    for name, value in (("temperature", temperature), ("top_p", top_p), ("min_p", min_p)):
        if is_number(value):
            value = call.numbers((rows,), float(value), "f32")
        call.tensor(name, value, "f32")
    for name, value in (("top_k", top_k), ("steps", steps)):
        if isinstance(value, int):
            value = call.numbers((rows,), value, "i32")
        call.tensor(name, value, "i32")
    if isinstance(seeds, int):
        halves = []
        for row in range(rows):
            seed = (seeds + row) % 2**64
            halves += [_signed(seed % 2**32), _signed(seed >> 32)]
        seeds = call.integers(halves, (rows, 2))
    call.tensor("seeds", seeds, "i32")
    return call.finish(call.result("tokens", out, (rows,), "i32"))


def _signed(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word
