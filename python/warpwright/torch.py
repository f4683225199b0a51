# SPDX-License-Identifier: Apache-2.0
"""PyTorch custom operators, for torch.compile and CUDA graphs: ``torch.ops.warpwright.rmsnorm(x, weight)``.

Importing this module registers them, on CPU and CUDA, with fake kernels. They have the arguments of
`warpwright`'s functions as tensors and numbers; what a function writes in place is marked as mutated. What
attention gives for queries of no sequence is undefined. A row's image is loaded or compiled at its first
use: call an operator once before it is captured in a graph.

==================  ====================================================================================
rmsnorm             (x, weight, epsilon, weight_offset) -> out
add_rmsnorm         (x, residual!, weight, epsilon, weight_offset) -> out; residual += x
gemm                (a, b, bias?, gate?, residual?, activation, float_out, b_is_constant) -> d
gated_activation    (gate, up, activation) -> out
embedding           (ids, table, scale) -> out
rope                (q!, k!, positions, frequency, magnitude, interleaved)
rope_append         (q!, k, v, positions, frequency, sequences, page_table, k_pages!, v_pages!, ...)
kv_append           (k, v?, sequences, positions, page_table, k_pages!, v_pages!?, kv_format, k_scale?, ...)
latent_append       (x, sequences, positions, page_table, pages!, scale, least_amax)
attention           (q, k, v, q_starts, kv_starts, max_q_len, max_kv_len, ...) -> (out, lse_base2)
paged_attention     (q, k_pages, v_pages, q_starts, page_table, kv_lengths, ...) -> (out, lse_base2)
cascade             (q, k, v, q_starts[], kv_starts[], page_tables[], kv_lengths[], ...) -> (out, lse_base2)
mla                 (q, cache, page_table?, kv_lengths?, q_starts, max_q_len, ...) -> (out, lse_base2)
index_logits        (q, weights, cache, page_table, kv_lengths, q_starts, ...) -> logits
index_topk          (logits, k, kv_lengths, q_starts, page_table?, page_size, ...) -> indices
merge_state         (a, a_lse, b, b_lse, base) -> (out, lse)
merge_states        (states, states_lse, base) -> (out, lse)
logits              (x, softcap, starts?, tokens?, repetition?, addend?, bias?) -> out
sample              (logits, temperature, top_k, top_p, min_p, seeds, steps) -> tokens
==================  ====================================================================================

On codes and scales, and for a mixture of experts, in ``warpwright.torch_codes``, which this module imports:
``quantize``, ``quantize_by`` (a given scale), ``dequantize``, ``amax``, ``scaling``, ``rmsnorm_codes``,
``add_rmsnorm_codes``, ``gated_activation_codes``, ``gemm_codes``, ``scaled_gemm``, ``scaled_gemm_codes``,
``quantized_gemm``, ``quantized_gemm_codes``, ``moe_route``, ``moe_permute``, ``moe_combine``,
``grouped_gemm``, ``moe_experts``. Their formats are names of `warpwright.FORMATS`.
"""

from __future__ import annotations

from typing import Callable

import torch

from . import latent, ops, sampling, states
from .errors import CallerError

_library = torch.library.Library("warpwright", "DEF")


# An implementation is called without trailing arguments that are the schema's defaults: it has them again.
def _register(schema: str, implementation: Callable, fake: Callable) -> None:
    name = schema.partition("(")[0]
    _library.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    for key in ("CPU", "CUDA"):
        _library.impl(name, implementation, key)
    torch.library.register_fake(f"warpwright::{name}", fake, lib=_library)


def _nothing(*_) -> None:
    return None


def _like(x, *_):
    return x.new_empty(x.shape)


def _rmsnorm(x, weight, epsilon=1e-6, weight_offset=0.0):
    return ops.rmsnorm(x, weight, epsilon=epsilon, weight_offset=weight_offset)


_register(
    "rmsnorm(Tensor x, Tensor weight, float epsilon=1e-6, float weight_offset=0) -> Tensor", _rmsnorm, _like
)


def _add_rmsnorm(x, residual, weight, epsilon=1e-6, weight_offset=0.0):
    return ops.rmsnorm(x, weight, residual=residual, epsilon=epsilon, weight_offset=weight_offset)


_register(
    "add_rmsnorm(Tensor x, Tensor(a!) residual, Tensor weight, float epsilon=1e-6, "
    "float weight_offset=0) -> Tensor",
    _add_rmsnorm,
    _like,
)


def _gemm(a, b, bias=None, gate=None, residual=None, activation="none", float_out=False, b_is_constant=False):
    return ops.gemm(
        a,
        b,
        bias=bias,
        gate=gate,
        residual=residual,
        activation=activation,
        b_is_constant=b_is_constant,
        out_dtype="f32" if float_out else None,
    )


def _gemm_fake(a, b, bias=None, gate=None, residual=None, activation="none", float_out=False, *_):
    return a.new_empty((a.shape[0], b.shape[0]), dtype=torch.float32 if float_out else a.dtype)


_register(
    "gemm(Tensor a, Tensor b, Tensor? bias=None, Tensor? gate=None, Tensor? residual=None, "
    'str activation="none", bool float_out=False, bool b_is_constant=False) -> Tensor',
    _gemm,
    _gemm_fake,
)


def _gated_activation(gate, up, activation="silu"):
    return ops.gated_activation(gate, up, activation=activation)


_register(
    'gated_activation(Tensor gate, Tensor up, str activation="silu") -> Tensor', _gated_activation, _like
)


def _embedding(ids, table, scale=1.0):
    return ops.embedding(ids, table, scale=scale)


def _embedding_fake(ids, table, scale=1.0):
    return table.new_empty((ids.shape[0], table.shape[1]))


_register("embedding(Tensor ids, Tensor table, float scale=1) -> Tensor", _embedding, _embedding_fake)


def _rope(q, k, positions, frequency, magnitude=1.0, interleaved=False):
    ops.rope(q, k, positions, frequency, magnitude=magnitude, interleaved=interleaved)


_register(
    "rope(Tensor(a!) q, Tensor(b!) k, Tensor positions, Tensor frequency, float magnitude=1, "
    "bool interleaved=False) -> ()",
    _rope,
    _nothing,
)


def _rope_append(
    q,
    k,
    v,
    positions,
    frequency,
    sequences,
    page_table,
    k_pages,
    v_pages,
    magnitude=1.0,
    interleaved=False,
    positions_are_ready=False,
):
    ops.rope(
        q,
        k,
        positions,
        frequency,
        magnitude=magnitude,
        interleaved=interleaved,
        v=v,
        sequences=sequences,
        page_table=page_table,
        k_pages=k_pages,
        v_pages=v_pages,
        positions_are_ready=positions_are_ready,
    )


_register(
    "rope_append(Tensor(a!) q, Tensor k, Tensor v, Tensor positions, Tensor frequency, Tensor sequences, "
    "Tensor page_table, Tensor(b!) k_pages, Tensor(c!) v_pages, float magnitude=1, bool interleaved=False, "
    "bool positions_are_ready=False) -> ()",
    _rope_append,
    _nothing,
)


def _kv_append(
    k,
    v,
    sequences,
    positions,
    page_table,
    k_pages,
    v_pages,
    kv_format=None,
    k_scale=None,
    v_scale=None,
):
    ops.kv_append(
        k,
        v,
        sequences,
        positions,
        page_table,
        k_pages,
        v_pages,
        kv_format=kv_format,
        k_scale=k_scale,
        v_scale=v_scale,
    )


_register(
    "kv_append(Tensor k, Tensor? v, Tensor sequences, Tensor positions, Tensor page_table, "
    "Tensor(a!) k_pages, Tensor(b!)? v_pages, str? kv_format=None, Tensor? k_scale=None, "
    "Tensor? v_scale=None) -> ()",
    _kv_append,
    _nothing,
)


def _with_lse(
    q,
    k,
    v,
    max_q_len=0,
    max_kv_len=0,
    causal=True,
    scale=0.0,
    window_tokens=0,
    softcap=0.0,
    kv_format=None,
    k_scale=None,
    v_scale=None,
    past_is_ready=False,
    window_right=None,
    chunk_tokens=0,
    sinks=None,
    alibi_slopes=None,
    mask=None,
    mask_of_queries=False,
    block_starts=None,
    block_columns=None,
    block_queries=0,
    block_keys=0,
    k_block_scales=None,
    v_block_scales=None,
    **where,
):
    lse = q.new_empty(q.shape[:2], dtype=torch.float32)
    out = ops.attention(
        q,
        k,
        v,
        max_q_len=max_q_len,
        max_kv_len=max_kv_len,
        causal=causal,
        scale=scale or None,
        window_tokens=window_tokens,
        softcap=softcap,
        kv_format=kv_format,
        k_scale=k_scale,
        v_scale=v_scale,
        past_is_ready=past_is_ready,
        window_right=window_right,
        chunk_tokens=chunk_tokens,
        sinks=sinks,
        alibi_slopes=alibi_slopes,
        mask=mask,
        mask_of_queries=mask_of_queries,
        block_starts=block_starts,
        block_columns=block_columns,
        block_queries=block_queries,
        block_keys=block_keys,
        k_block_scales=k_block_scales,
        v_block_scales=v_block_scales,
        lse_base2=lse,
        **where,
    )
    return out, lse


def _attention(q, k, v, q_starts, kv_starts, *rest):
    return _with_lse(q, k, v, *rest, q_starts=q_starts, kv_starts=kv_starts)


def _paged_attention(q, k_pages, v_pages, q_starts, page_table, kv_lengths, *rest):
    return _with_lse(
        q, k_pages, v_pages, *rest, q_starts=q_starts, page_table=page_table, kv_lengths=kv_lengths
    )


def _attention_fake(q, k, v, *_, **__):
    # Of nvfp4 a byte of k and v has two columns.
    columns = v.shape[-1] * (q.shape[-1] // k.shape[-1])
    return q.new_empty((*q.shape[:2], columns)), q.new_empty(q.shape[:2], dtype=torch.float32)


_MASK = (
    "bool causal=True, float scale=0, SymInt window_tokens=0, float softcap=0, str? kv_format=None, "
    "Tensor? k_scale=None, Tensor? v_scale=None, bool past_is_ready=False, SymInt? window_right=None, "
    "SymInt chunk_tokens=0, Tensor? sinks=None, Tensor? alibi_slopes=None, Tensor? mask=None, "
    "bool mask_of_queries=False, Tensor? block_starts=None, Tensor? block_columns=None, "
    "SymInt block_queries=0, SymInt block_keys=0, Tensor? k_block_scales=None, "
    "Tensor? v_block_scales=None) -> (Tensor out, Tensor lse_base2)"
)
_register(
    "attention(Tensor q, Tensor k, Tensor v, Tensor q_starts, Tensor kv_starts, SymInt max_q_len=0, "
    f"SymInt max_kv_len=0, {_MASK}",
    _attention,
    _attention_fake,
)
_register(
    "paged_attention(Tensor q, Tensor k_pages, Tensor v_pages, Tensor q_starts, Tensor page_table, "
    f"Tensor kv_lengths, SymInt max_q_len=0, SymInt max_kv_len=0, {_MASK}",
    _paged_attention,
    _attention_fake,
)


def _cascade(
    q,
    k,
    v,
    q_starts,
    kv_starts,
    page_tables,
    kv_lengths,
    max_q_lens=(),
    max_kv_lens=(),
    causal=True,
    scale=0.0,
    softcap=0.0,
    kv_format=None,
    k_scale=None,
    v_scale=None,
    past_is_ready=False,
    sinks=None,
    mask=None,
    mask_of_queries=False,
):
    lists = (kv_starts, page_tables, kv_lengths, max_q_lens, max_kv_lens)
    if any(part and len(part) != len(q_starts) for part in lists):
        raise CallerError(f"cascade: expected lists of {len(q_starts)}, for each level one, or empty ones")
    missing = (None, None, None, 0, 0)
    levels = [
        states.CascadeLevel(
            starts, *(part[index] if part else default for part, default in zip(lists, missing))
        )
        for index, starts in enumerate(q_starts)
    ]
    lse = q.new_empty(q.shape[:2], dtype=torch.float32)
    out = states.cascade(
        q,
        k,
        v,
        levels,
        causal=causal,
        scale=scale or None,
        softcap=softcap,
        kv_format=kv_format,
        k_scale=k_scale,
        v_scale=v_scale,
        past_is_ready=past_is_ready,
        sinks=sinks,
        mask=mask,
        mask_of_queries=mask_of_queries,
        lse_base2=lse,
    )
    return out, lse


_register(
    "cascade(Tensor q, Tensor k, Tensor v, Tensor[] q_starts, Tensor[] kv_starts, "
    "Tensor[] page_tables, Tensor[] kv_lengths, SymInt[] max_q_lens=[], SymInt[] max_kv_lens=[], "
    "bool causal=True, float scale=0, float softcap=0, str? kv_format=None, Tensor? k_scale=None, "
    "Tensor? v_scale=None, bool past_is_ready=False, Tensor? sinks=None, Tensor? mask=None, "
    "bool mask_of_queries=False) -> (Tensor out, Tensor lse_base2)",
    _cascade,
    _attention_fake,
)


def _mla(
    q,
    cache,
    page_table,
    kv_lengths,
    q_starts,
    max_q_len=0,
    max_kv_len=0,
    causal=True,
    scale=0.0,
    indices=None,
    index_lengths=None,
    kv_format=None,
    k_scale=None,
):
    lse = q.new_empty(q.shape[:2], dtype=torch.float32)
    out = latent.mla(
        q,
        cache,
        page_table,
        kv_lengths,
        indices=indices,
        index_lengths=index_lengths,
        q_starts=q_starts,
        max_q_len=max_q_len or None,
        max_kv_len=max_kv_len,
        causal=causal,
        scale=scale or None,
        kv_format=kv_format,
        k_scale=k_scale,
        lse_base2=lse,
    )
    return out, lse


def _mla_fake(q, *_):
    return q.new_empty((*q.shape[:2], 512)), q.new_empty(q.shape[:2], dtype=torch.float32)


_register(
    "mla(Tensor q, Tensor cache, Tensor? page_table, Tensor? kv_lengths, Tensor q_starts, "
    "SymInt max_q_len=0, SymInt max_kv_len=0, bool causal=True, float scale=0, Tensor? indices=None, "
    "Tensor? index_lengths=None, str? kv_format=None, Tensor? k_scale=None) "
    "-> (Tensor out, Tensor lse_base2)",
    _mla,
    _mla_fake,
)


def _columns(cache, page_table, max_kv_len):
    return max_kv_len or page_table.shape[1] * cache.shape[1]


def _index_logits(
    q, weights, cache, page_table, kv_lengths, q_starts, max_q_len=0, max_kv_len=0, causal=True
):
    columns = _columns(cache, page_table, max_kv_len)
    return latent.index_logits(
        q,
        weights,
        cache,
        page_table,
        kv_lengths,
        q_starts=q_starts,
        max_q_len=max_q_len or None,
        max_kv_len=max_kv_len,
        causal=causal,
        out=weights.new_full((q.shape[0], columns), float("-inf")),
    )


def _index_logits_fake(q, weights, cache, page_table, kv_lengths, q_starts, max_q_len=0, max_kv_len=0, *_):
    return weights.new_empty((q.shape[0], _columns(cache, page_table, max_kv_len)))


# What a query does not see is -infinity.
_register(
    "index_logits(Tensor q, Tensor weights, Tensor cache, Tensor page_table, Tensor kv_lengths, "
    "Tensor q_starts, SymInt max_q_len=0, SymInt max_kv_len=0, bool causal=True) -> Tensor",
    _index_logits,
    _index_logits_fake,
)


def _index_topk(
    logits, k, kv_lengths, q_starts, page_table=None, page_size=0, max_q_len=0, max_kv_len=0, causal=True
):
    return latent.index_topk(
        logits,
        k,
        kv_lengths,
        page_table=page_table,
        page_size=page_size,
        q_starts=q_starts,
        max_q_len=max_q_len or None,
        max_kv_len=max_kv_len,
        causal=causal,
    )


def _index_topk_fake(logits, k, *_):
    return logits.new_empty((logits.shape[0], k), dtype=torch.int32)


_register(
    "index_topk(Tensor logits, SymInt k, Tensor kv_lengths, Tensor q_starts, Tensor? page_table=None, "
    "SymInt page_size=0, SymInt max_q_len=0, SymInt max_kv_len=0, bool causal=True) -> Tensor",
    _index_topk,
    _index_topk_fake,
)


def _latent_append(x, sequences, positions, page_table, pages, scale="f32", least_amax=0.0):
    latent.latent_append(x, sequences, positions, page_table, pages, scale=scale, least_amax=least_amax)


_register(
    "latent_append(Tensor x, Tensor sequences, Tensor positions, Tensor page_table, Tensor(a!) pages, "
    'str scale="f32", float least_amax=0) -> ()',
    _latent_append,
    _nothing,
)


def _merge_state(a, a_lse, b, b_lse, base="two"):
    return states.merge_state(a, a_lse, b, b_lse, base=base)


def _merge_state_fake(a, a_lse, *_):
    return a.new_empty(a.shape), a_lse.new_empty(a_lse.shape)


_register(
    'merge_state(Tensor a, Tensor a_lse, Tensor b, Tensor b_lse, str base="two") -> (Tensor out, Tensor lse)',
    _merge_state,
    _merge_state_fake,
)


def _merge_states(parts, parts_lse, base="two"):
    return states.merge_states(parts, parts_lse, base=base)


def _merge_states_fake(states, states_lse, *_):
    return states.new_empty(states.shape[1:]), states_lse.new_empty(states_lse.shape[1:])


_register(
    'merge_states(Tensor states, Tensor states_lse, str base="two") -> (Tensor out, Tensor lse)',
    _merge_states,
    _merge_states_fake,
)


def _logits(x, softcap=0.0, starts=None, tokens=None, repetition=None, addend=None, bias=None):
    return sampling.logits(
        x, softcap=softcap, starts=starts, tokens=tokens, repetition=repetition, addend=addend, bias=bias
    )


_register(
    "logits(Tensor x, float softcap=0, Tensor? starts=None, Tensor? tokens=None, Tensor? repetition=None, "
    "Tensor? addend=None, Tensor? bias=None) -> Tensor",
    _logits,
    _like,
)


def _sample(logits, temperature, top_k, top_p, min_p, seeds, steps):
    return sampling.sample(
        logits, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seeds=seeds, steps=steps
    )


def _sample_fake(logits, *_):
    return logits.new_empty((logits.shape[0],), dtype=torch.int32)


_register(
    "sample(Tensor logits, Tensor temperature, Tensor top_k, Tensor top_p, Tensor min_p, Tensor seeds, "
    "Tensor steps) -> Tensor",
    _sample,
    _sample_fake,
)

from . import torch_codes as torch_codes  # noqa: E402
