# SPDX-License-Identifier: Apache-2.0
"""Our side of a problem of ``warpwright bench``: buffers as its peers have them, and the call."""

from __future__ import annotations

from typing import Any

import torch

import warpwright

from . import ours_codes
from .maker import Maker, OurCall


def our_call(op: str, problem: str, device: str = "cuda") -> OurCall:
    make = _MAKERS.get(op) or getattr(ours_codes, op)
    return make(Maker(problem, device))


def _gemm(m: Maker) -> OurCall:
    rows, n, k = (m.number(name) for name in "mnk")
    return OurCall(
        lambda: (m.bf16(rows, k), m.bf16(n, k), m.empty(rows, n)),
        lambda a, b, d: warpwright.gemm(a, b, out=d),
        2 * (rows * k + n * k + rows * n),
        2 * rows * n * k,
    )


def _attention(m: Maker) -> OurCall:
    heads, kv_heads = m.pair("heads")
    batch, length, dim = (m.number(name) for name in ("batch", "len", "d"))
    values = m.number("dv", dim)
    limits: dict[str, Any] = {
        "window_tokens": m.number("window"),
        "softcap": float(m.fields.get("softcap", 0)),
        "kv_format": m.fields.get("kv"),
    }
    seen = min(length, m.number("window") or length)
    if "decode" not in m.words:
        causal = "causal" in m.words
        starts = m.integers((0, length))
        keys = seen * (1 - seen / length / 2) if causal else length
        return OurCall(
            lambda: (
                m.bf16(length, heads, dim),
                m.keys(length, kv_heads, dim),
                m.keys(length, kv_heads, values),
                m.empty(length, heads, values),
            ),
            lambda q, k, v, out: warpwright.attention(
                q, k, v, q_starts=starts, kv_starts=starts, max_q_len=length, causal=causal, out=out, **limits
            ),
            length * (2 * heads + m.key_bytes * kv_heads) * (dim + values),
            int(2 * heads * length * keys * (dim + values)),
        )

    page, q_len = m.number("page"), m.number("q_len", 1)
    pages = batch * length // page
    # In an order that is not the memory's, as in a used cache.
    table = torch.randperm(pages, device=m.device).to(torch.int32).reshape(batch, -1)
    lengths, starts = m.integers([length] * batch), m.integers(range(0, (batch + 1) * q_len, q_len))
    return OurCall(
        lambda: (
            m.bf16(batch * q_len, heads, dim),
            m.keys(pages, page, kv_heads, dim),
            m.keys(pages, page, kv_heads, dim),
            m.empty(batch * q_len, heads, dim),
        ),
        lambda q, k, v, out: warpwright.attention(
            q,
            k,
            v,
            q_starts=starts,
            page_table=table,
            kv_lengths=lengths,
            max_q_len=q_len,
            max_kv_len=length,
            out=out,
            **limits,
        ),
        2 * batch * (m.key_bytes * seen * kv_heads + 2 * q_len * heads) * dim,
        4 * batch * q_len * heads * seen * dim,
    )


def _rmsnorm(m: Maker) -> OurCall:
    tokens = m.number("tokens")
    if "heads" in m.fields:
        heads, dim = m.number("heads"), m.number("head_dim")
        return OurCall(
            lambda: (m.bf16(tokens, heads, dim), m.bf16(dim)),
            lambda x, weight: warpwright.rmsnorm(x, weight, out=x),
            4 * tokens * heads * dim,
        )
    hidden = m.number("hidden")
    codes, code_bytes = ours_codes.output(m, tokens, hidden)
    if codes is not None:
        return OurCall(
            lambda: (m.bf16(tokens, hidden), m.bf16(tokens, hidden), m.bf16(hidden), codes()),
            lambda x, residual, weight, out: warpwright.rmsnorm(x, weight, residual=residual, quantized=out),
            6 * tokens * hidden + code_bytes,
        )
    return OurCall(
        lambda: (m.bf16(tokens, hidden), m.bf16(tokens, hidden), m.bf16(hidden), m.empty(tokens, hidden)),
        lambda x, residual, weight, out: warpwright.rmsnorm(x, weight, residual=residual, out=out),
        8 * tokens * hidden,
    )


def _gated_activation(m: Maker) -> OurCall:
    tokens, width = m.number("tokens"), m.number("width")
    codes, code_bytes = ours_codes.output(m, tokens, width)
    if codes is not None:
        return OurCall(
            lambda: (m.bf16(tokens, 2 * width), codes()),
            lambda x, out: warpwright.gated_activation(x[:, :width], x[:, width:], quantized=out),
            4 * tokens * width + code_bytes,
        )
    return OurCall(
        lambda: (m.bf16(tokens, 2 * width), m.empty(tokens, width)),
        lambda x, out: warpwright.gated_activation(x[:, :width], x[:, width:], out=out),
        6 * tokens * width,
    )


def _rope(m: Maker) -> OurCall:
    heads, kv_heads = m.pair("heads")
    tokens, dim = m.number("tokens"), m.number("head_dim")
    positions = m.integers(range(tokens))
    frequency = torch.tensor(warpwright.rope_frequencies(500000.0, dim)[0], device=m.device)
    return OurCall(
        lambda: (m.bf16(tokens, heads, dim), m.bf16(tokens, kv_heads, dim)),
        lambda q, k: warpwright.rope(q, k, positions, frequency),
        4 * tokens * (heads + kv_heads) * dim,
    )


def _kv_append(m: Maker) -> OurCall:
    tokens, heads, dim, page = (m.number(name) for name in ("tokens", "kv_heads", "head_dim", "page"))
    pages = -(-tokens // page)
    sequences, positions = m.integers([0] * tokens), m.integers(range(tokens))
    table = m.integers(reversed(range(pages))).reshape(1, pages)
    return OurCall(
        lambda: (
            m.bf16(tokens, heads, dim),
            m.bf16(tokens, heads, dim),
            m.keys(pages, page, heads, dim),
            m.keys(pages, page, heads, dim),
        ),
        lambda k, v, k_pages, v_pages: warpwright.kv_append(
            k, v, sequences, positions, table, k_pages, v_pages, kv_format=m.fields.get("kv")
        ),
        2 * (2 + m.key_bytes) * tokens * heads * dim,
    )


def _latent_append(m: Maker) -> OurCall:
    tokens, columns, page = (m.number(name) for name in ("tokens", "columns", "page"))
    pages, record_bytes = -(-tokens // page), 132 if columns == 128 else 656
    sequences, positions = m.integers([0] * tokens), m.integers(range(tokens))
    table = m.integers(reversed(range(pages))).reshape(1, pages)
    return OurCall(
        lambda: (
            m.bf16(tokens, columns),
            torch.zeros(pages, page, record_bytes, dtype=torch.uint8, device=m.device),
        ),
        lambda x, cache: warpwright.latent_append(x, sequences, positions, table, cache),
        (2 * columns + record_bytes) * tokens,
    )


def _embedding(m: Maker) -> OurCall:
    tokens, rows, width = (m.number(name) for name in ("tokens", "rows", "width"))
    ids = m.integers(index * 7919 % rows for index in range(tokens))
    return OurCall(
        lambda: (m.bf16(rows, width), m.empty(tokens, width)),
        lambda table, out: warpwright.embedding(ids, table, out=out),
        4 * tokens * width,
    )


def _logits(m: Maker) -> OurCall:
    rows, vocabulary, listed = (m.number(name) for name in ("rows", "vocabulary", "listed"))
    softcap = float(m.fields["softcap"])
    starts = m.integers(range(0, (rows + 1) * listed, listed))
    tokens = m.integers(entry % listed * (vocabulary // listed) for entry in range(rows * listed))
    repetition, addend = (torch.full((rows * listed,), value, device=m.device) for value in (1.1, -0.5))
    return OurCall(
        lambda: (3 * torch.randn(rows, vocabulary, device=m.device),),
        lambda x: warpwright.logits(
            x, softcap=softcap, starts=starts, tokens=tokens, repetition=repetition, addend=addend, out=x
        ),
        (8 * rows * vocabulary if softcap else 0) + 20 * rows * listed,
    )


def _sample(m: Maker) -> OurCall:
    rows, vocabulary = m.number("rows"), m.number("vocabulary")
    temperature, top_p, min_p = (
        torch.full((rows,), value, device=m.device) for value in (0.8, float(m.fields["top_p"]), 0.0)
    )
    top_k, steps, out = (m.integers([value] * rows) for value in (m.number("top_k"), 0, 0))
    seeds = m.integers(range(1, 2 * rows + 1)).reshape(rows, 2)
    return OurCall(
        lambda: (3 * torch.randn(rows, vocabulary, device=m.device),),
        lambda logits: warpwright.sample(
            logits,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            seeds=seeds,
            steps=steps,
            out=out,
        ),
        4 * rows * vocabulary,
    )


_MAKERS = {
    "gemm": _gemm,
    "attention": _attention,
    "rmsnorm": _rmsnorm,
    "gated_activation": _gated_activation,
    "rope": _rope,
    "kv_append": _kv_append,
    "latent_append": _latent_append,
    "embedding": _embedding,
    "logits": _logits,
    "sample": _sample,
}
