# SPDX-License-Identifier: Apache-2.0
"""Multi-head latent attention. What is common to all operations, errors too, is in ops.py."""

from __future__ import annotations

from typing import Optional

from . import _abi
from ._call import Call
from .errors import CallerError
from .ops import _FLOATS, Stream, Tensor, _dtype_of, _extent, _given, _shape, _starts, _workspace_bytes


def mla(
    q: Tensor,
    cache: Tensor,
    page_table: Optional[Tensor] = None,
    kv_lengths: Optional[Tensor] = None,
    *,
    indices: Optional[Tensor] = None,
    index_lengths: Optional[Tensor] = None,
    q_starts: Optional[Tensor] = None,
    max_q_len: Optional[int] = None,
    max_kv_len: int = 0,
    scale: Optional[float] = None,
    causal: bool = True,
    out: Optional[Tensor] = None,
    lse_base2: Optional[Tensor] = None,
    lse_base_e: Optional[Tensor] = None,
    workspace: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """Latent attention in its absorbed form (DeepSeek-V2, V3, R1): softmax(scale q c^T + mask) c[..., :512] for
    each sequence and head, over a paged cache of rows c that all heads share.

    A row is 512 numbers that keys and values are made of, then 64 of the rotated key. q is multiplied by the
    key's projection before, out by the value's after. A causal mask is bottom-right: query i of q_len sees the
    keys up to ``kv_len - q_len + i``. A query that sees no key gives zeros, and -infinity as log-sum-exp.

    With ``indices`` in place of page_table and kv_lengths it is sparse (DeepSeek-V3.2): a query attends to the
    rows of its own list and to no other.

    Args:
        q: [q_tokens, heads, 576], bf16 or f16; sequences one after another.
        cache: [pages, page_size, 576] like q, with a page size that is a power of two. Or FlashMLA's records,
            [pages, page_size, 656] uint8: 512 codes of e4m3, 4 scales in fp32, each of 128 of them, 64 numbers
            of q's type. A number is code times scale, rounded to q's type.
        page_table: [sequences, max_pages] int32.
        kv_lengths: [sequences] int32, the queries' own tokens included.
        indices: [q_tokens, max_indices] int32, for each query slots of the cache, ``page * page_size + offset``,
            in any order, as index_topk lists them. -1, or any other number that is no slot, is no key.
        index_lengths: [q_tokens] int32: entries of a list from there on are not read.
        q_starts: [sequences + 1] int32: where each sequence's queries begin, and the end. By default as many
            for each row of the page table; with indices all of q.
        max_q_len, max_kv_len: capacities that the launch is sized for. By default all of q, and what a row of
            the page table holds.
        scale: by default 1 / sqrt(192), that of heads of 128 + 64 columns before absorption.
        lse_base2: [q_tokens, heads] fp32, written: log2 of the sum of ``2 ** (scores * log2(e))``.
        lse_base_e: in place of it, the natural logarithm of the sum.
        workspace: [bytes] uint8, where keys are split to fill the GPU; by default as much as is of use. Not
            shared between streams.

    Returns:
        out, [q_tokens, heads, 512].

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("mla", "q", q, device, stream)
    call.tensor("q", q, _FLOATS)
    call.tensor("cache", cache, _FLOATS + " or u8")
    call.tensor("page_table", page_table, "i32")
    call.tensor("kv_lengths", kv_lengths, "i32")
    call.tensor("indices", indices, "i32")
    call.tensor("index_lengths", index_lengths, "i32")
    struct: _abi.Mla = call.struct
    if q_starts is None:
        q_tokens, sequences = _extent(struct.q, 0), _extent(struct.page_table, 0)
        if indices is not None and page_table is None:
            sequences = 1
        if sequences == 0 or q_tokens % sequences != 0:
            raise CallerError(
                f"mla: q_starts: expected a tensor for {q_tokens} queries of {sequences} sequences, got none"
            )
        q_starts = call.integers(_starts(q_tokens, sequences))
        max_q_len = q_tokens // sequences if max_q_len is None else max_q_len
    call.tensor("q_starts", q_starts, "i32")
    struct.max_q_len, struct.max_kv_len = max_q_len or 0, max_kv_len
    struct.scale, struct.causal = _given("mla", "scale", scale), causal
    result = call.result("out", out, (*_shape(struct.q)[:2], 512), _dtype_of(struct.q))
    call.tensor("lse_base2", lse_base2, "f32", written=True)
    call.tensor("lse_base_e", lse_base_e, "f32", written=True)
    if workspace is None:
        bytes_ = _workspace_bytes(call)
        if bytes_ > 0:
            workspace = call.scratch((bytes_,))
    call.tensor("workspace", workspace, "u8", written=True)
    return call.finish(result)
