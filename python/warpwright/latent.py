# SPDX-License-Identifier: Apache-2.0
"""Multi-head latent attention, the indexer of its sparse form, and what fills their pages of codes. What is common to all operations, errors too, is in ops.py."""

from __future__ import annotations

from typing import Optional, Union

from . import _abi
from ._call import Call
from .errors import CallerError
from .formats import put_one, word_of
from .ops import _FLOATS, _KV_TYPES, Stream, Tensor, _dtype_of, _extent, _given, _shape, _starts, _workspace_bytes


def mla(
    q: Tensor,
    cache: Tensor,
    page_table: Optional[Tensor] = None,
    kv_lengths: Optional[Tensor] = None,
    *,
    kv_format: Optional[str] = None,
    k_scale: Union[None, float, Tensor] = None,
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
            of q's type. A number is code times scale, rounded to q's type. Or codes of e4m3 alone, [pages,
            page_size, 576] float8, or uint8 with kv_format.
        kv_format: "fp8_e4m3" for codes alone, as `kv_append` writes them; by default what the cache's type says.
        k_scale: of codes alone, what all are multiplied by: a positive, finite number or [1] fp32. By default 1.
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
    dtype = call.tensor("cache", cache, _FLOATS + " or u8", codes=("float8_e4m3fn",))
    kv_format = kv_format or _KV_TYPES.get(dtype, "same")
    call.struct.kv_format = word_of("mla", "kv_format", kv_format, _abi.KV_FORMATS)
    put_one(call, "k_scale", k_scale)
    call.tensor("page_table", page_table, "i32")
    call.tensor("kv_lengths", kv_lengths, "i32")
    call.tensor("indices", indices, "i32")
    call.tensor("index_lengths", index_lengths, "i32")
    struct: _abi.Mla = call.struct
    sequences = 1 if indices is not None and page_table is None else _extent(struct.page_table, 0)
    q_starts, max_q_len = _ends(call, q_starts, max_q_len, _extent(struct.q, 0), sequences)
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


def index_logits(
    q: Tensor,
    weights: Tensor,
    cache: Tensor,
    page_table: Tensor,
    kv_lengths: Tensor,
    *,
    q_starts: Optional[Tensor] = None,
    max_q_len: Optional[int] = None,
    max_kv_len: int = 0,
    causal: bool = True,
    out: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """An indexer's scores (DeepSeek-V3.2): for each query and key the sum over heads of
    ``weight * max(0, q . k)``, over a paged cache of keys that all heads share.

    Args:
        q: [q_tokens, heads, 128] bf16, sequences one after another. Or uint8: codes of e4m3, whose scales are
            part of the weights.
        weights: [q_tokens, heads] fp32.
        cache: [pages, page_size, 128] bf16, with a page size that is a power of two. Or codes, with q of either
            type: DeepGEMM's pages, [pages, page_size, 132] uint8, 128 codes of each key, then each key's scale in
            fp32.
        page_table, kv_lengths, q_starts, max_q_len, max_kv_len, causal: as mla's.

    Returns:
        [q_tokens, columns] fp32, by default with as many columns as max_kv_len or the page table says. Of keys
        that a query does not see, nothing is written.

    Errors: as mla's.
    """
    call = Call("index_logits", "q", q, device, stream)
    call.tensor("q", q, "bf16 or u8")
    call.tensor("weights", weights, "f32")
    call.tensor("cache", cache, "bf16 or u8")
    call.tensor("page_table", page_table, "i32")
    call.tensor("kv_lengths", kv_lengths, "i32")
    struct: _abi.IndexLogits = call.struct
    q_tokens = _extent(struct.q, 0)
    q_starts, max_q_len = _ends(call, q_starts, max_q_len, q_tokens, _extent(struct.page_table, 0))
    call.tensor("q_starts", q_starts, "i32")
    struct.max_q_len, struct.max_kv_len, struct.causal = max_q_len or 0, max_kv_len, causal
    columns = max_kv_len or _extent(struct.page_table, 1) * _extent(struct.cache, 1)
    return call.finish(call.result("logits", out, (q_tokens, columns), "f32"))


def index_topk(
    logits: Tensor,
    k: int,
    kv_lengths: Tensor,
    *,
    page_table: Optional[Tensor] = None,
    page_size: int = 0,
    q_starts: Optional[Tensor] = None,
    max_q_len: Optional[int] = None,
    max_kv_len: int = 0,
    causal: bool = True,
    out: Optional[Tensor] = None,
    index_lengths: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """For each query the keys of its k largest logits, ascending, and -1 after the last where it sees fewer. Of
    equal logits the first keys are chosen: the result is the same everywhere.

    Args:
        logits: [q_tokens, columns] fp32, as index_logits gives them. NaN counts as -infinity.
        kv_lengths, q_starts, max_q_len, max_kv_len, causal: as mla's.
        page_table, page_size: [sequences, max_pages] int32; the lists are of slots of a cache,
            ``page * page_size + offset``, as mla takes them. Without it they are of positions in the sequence.
        index_lengths: [q_tokens] int32, written: how many of a list are keys.

    Returns:
        [q_tokens, k] int32.

    Errors: as mla's.
    """
    call = Call("index_topk", "logits", logits, device, stream)
    call.tensor("logits", logits, "f32")
    call.tensor("kv_lengths", kv_lengths, "i32")
    call.tensor("page_table", page_table, "i32")
    struct: _abi.IndexTopk = call.struct
    q_tokens = _extent(struct.logits, 0)
    q_starts, max_q_len = _ends(call, q_starts, max_q_len, q_tokens, _extent(struct.kv_lengths, 0))
    call.tensor("q_starts", q_starts, "i32")
    struct.page_size, struct.causal = page_size, causal
    struct.max_q_len, struct.max_kv_len = max_q_len or 0, max_kv_len
    call.tensor("index_lengths", index_lengths, "i32", written=True)
    return call.finish(call.result("indices", out, (q_tokens, k), "i32"))


def latent_append(
    x: Tensor,
    sequences: Tensor,
    positions: Tensor,
    page_table: Tensor,
    pages: Tensor,
    *,
    scale: str = "f32",
    least_amax: float = 0.0,
    device: Optional[str] = None,
    stream: Stream = None,
) -> None:
    """Quantises what latent attention keeps of new tokens, and writes it into pages as `kv_append` does: latent
    rows into the records that mla reads, or an indexer's keys into the pages that index_logits reads.

    Each 128 numbers that become codes of e4m3 have a scale, ``max(amax / 448, 2 ** -126)`` of the largest of
    their magnitudes. A code is ``round(x / scale)``. Of numbers with a NaN scale and codes are NaN; an infinity
    counts as the largest fp32 number.

    Args:
        x: [tokens, 576], latent rows, of which the last 64 numbers are kept as they are. Or [tokens, 128], keys.
            bf16 or f16.
        sequences, positions, page_table: as kv_append's; tokens with a negative position are not written.
        pages: [pages, page_size, 656] uint8, of keys [pages, page_size, 132], written; page_size a power of
            two.
        scale: "f32", or "power_of_two", which rounds scales up to one (DeepSeek's ue8m0).
        least_amax: amax is at least this; vLLM's 1e-4 for keys.

    Errors: as mla's.
    """
    call = Call("latent_append", "x", x, device, stream)
    call.tensor("x", x, _FLOATS)
    call.tensor("sequences", sequences, "i32")
    call.tensor("positions", positions, "i32")
    call.tensor("page_table", page_table, "i32")
    call.tensor("pages", pages, "u8", written=True)
    struct: _abi.LatentAppend = call.struct
    struct.scale, struct.least_amax = word_of("latent_append", "scale", scale, _abi.SCALES), least_amax
    call.finish()


def _ends(
    call: Call, q_starts: Optional[Tensor], max_q_len: Optional[int], q_tokens: int, sequences: int
) -> tuple[Tensor, Optional[int]]:
    """Where sequences begin, by default as many queries in each, and the most queries of one."""
    if q_starts is not None:
        return q_starts, max_q_len
    if sequences == 0 or q_tokens % sequences != 0:
        raise CallerError(
            f"{call.op}: q_starts: expected a tensor for {q_tokens} queries of {sequences} sequences, got none"
        )
    return call.integers(_starts(q_tokens, sequences)), max_q_len or q_tokens // sequences
