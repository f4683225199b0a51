# SPDX-License-Identifier: Apache-2.0
"""The operations. The headers of include/warpwright/ops define them; this is how they are called from Python.

Common to all of them:

* Tensors of PyTorch, NumPy, CuPy, JAX, and anything else with ``__dlpack__``, are used without a copy, on the
  caller's current stream of the GPU that they are on; those of the CPU by the "cpu" device. All tensors of
  one call are in one place. The last dimension is dense, the others may have any stride.
* `out` is written and returned; without it a new tensor of the same framework is. Outputs may be given as
  slices.
* `device` names another device for tensors of the CPU: ``"emulated:rtx-5090"`` executes that GPU's kernels on
  the CPU, ``"cuda:0"`` copies to the GPU and back.
* `stream` is a number or a stream object of PyTorch or CuPy; by default the framework's current one.
* Integers are int32. Nothing here has gradients.
* Under ``prepare()`` a call is prepared instead of run.

Errors: CallerError for shapes, types or places that disagree, with the argument, what was expected and what
was got; NoKernelError where no row serves the problem, with all that were tried; UnavailableError for a
device or compiler that is not there.
"""

from __future__ import annotations

import ctypes
from typing import Any, Optional, Sequence, Union

from . import _abi
from ._call import Call
from ._library import check, library
from .errors import CallerError
from .formats import Format, Quantized, QuantizedOutput
from .formats import finish_product, put_one, put_output, word_of

Tensor = Any  # of any framework
Stream = Any
Numbers = Union[int, float, Tensor]

_FLOATS = "bf16 or f16"


def gemm(
    a: Tensor,
    b: Tensor,
    *,
    bias: Optional[Tensor] = None,
    gate: Optional[Tensor] = None,
    residual: Optional[Tensor] = None,
    activation: str = "none",
    b_is_constant: bool = False,
    d_scale: Union[None, float, Tensor] = None,
    d_code: str = "e4m3",
    d_amax: Optional[Tensor] = None,
    out: Optional[Tensor] = None,
    out_dtype: Optional[str] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """d = epilogue(a b^T), products and sums in fp32: a linear layer with its weight as it lies in a
    checkpoint.

    Per element ``v = sum_k a[m, k] b[n, k]``; ``v += bias[n]``; ``v = activation(gate[m, n]) * v``, or
    ``activation(v)`` without a gate; ``v += residual[m, n]``.

    Args:
        a: [m, k], bf16 or f16.
        b: [n, k], like a.
        bias: [n], like a.
        gate: [m, n], like a.
        residual: [m, n], like the result; may be `out`. With codes like a.
        activation: "none", "silu", "gelu" (by erf) or "gelu_tanh".
        b_is_constant: `b` was complete before the stream was last synchronized, and nothing in the stream
            writes it, as weights are: it may be read while the launch before is still running.
        d_scale: a number or [1] fp32: the result is codes, ``round(v * (1 / d_scale))`` as `quantize` rounds,
            of the unrounded v. One that is not positive and finite makes all codes NaN's.
        d_code: "e4m3" or "i8", with d_scale.
        d_amax: [1] fp32, not negative, with d_scale: raised to the largest |v|.
        out: [m, n], like a, or f32; uint8 (or a type of these codes) with d_scale.
        out_dtype: "f32" for a new result in fp32.

    Returns:
        [m, n].

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("gemm", "a", a, device, stream)
    call.tensor("a", a, _FLOATS)
    call.tensor("b", b, _FLOATS)
    call.tensor("bias", bias, _FLOATS)
    call.tensor("gate", gate, _FLOATS)
    call.tensor("residual", residual, "bf16, f16 or f32")
    call.struct.activation = _activation("gemm", activation)
    call.struct.b_is_constant = b_is_constant
    shape = (_extent(call.struct.a, 0), _extent(call.struct.b, 0))
    dtype = out_dtype or _dtype_of(call.struct.a)
    return finish_product(call, out, dtype, shape, d_scale, d_code, d_amax)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    q_starts: Optional[Tensor] = None,
    kv_starts: Optional[Tensor] = None,
    page_table: Optional[Tensor] = None,
    kv_lengths: Optional[Tensor] = None,
    max_q_len: Optional[int] = None,
    max_kv_len: int = 0,
    scale: Optional[float] = None,
    causal: bool = True,
    window_tokens: int = 0,
    softcap: float = 0.0,
    kv_format: Optional[str] = None,
    k_scale: Union[None, float, Tensor] = None,
    v_scale: Union[None, float, Tensor] = None,
    window_right: Optional[int] = None,
    chunk_tokens: int = 0,
    sinks: Optional[Tensor] = None,
    alibi_slopes: Optional[Tensor] = None,
    mask: Optional[Tensor] = None,
    mask_of_queries: bool = False,
    block_starts: Optional[Tensor] = None,
    block_columns: Optional[Tensor] = None,
    block_queries: int = 0,
    block_keys: int = 0,
    k_block_scales: Optional[Tensor] = None,
    v_block_scales: Optional[Tensor] = None,
    past_is_ready: bool = False,
    out: Optional[Tensor] = None,
    lse_base2: Optional[Tensor] = None,
    lse_base_e: Optional[Tensor] = None,
    workspace: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """softmax(scale q k^T + mask) v for each sequence and head, over ragged or paged keys and values.

    Query head h reads kv head ``h // (heads // kv_heads)``. A causal mask is bottom-right: query i of q_len
    sees the keys up to ``kv_len - q_len + i``. A query that sees no key gives zeros, and -infinity as
    log-sum-exp.

    Args:
        q: [q_tokens, heads, head_dim], bf16 or f16; sequences one after another.
        k, v: ragged [kv_tokens, kv_heads, head_dim], or paged [pages, page_size, kv_heads, head_dim] with a
            page size that is a power of two; like q, or codes in uint8 or float8. v may have other columns
            than q and k, head_dim_v (192 and 128: latent attention's prompts).
        q_starts: [sequences + 1] int32: where each sequence's queries begin, and the end. By default one
            sequence, or with pages one query for each row of the page table.
        kv_starts: the same of ragged keys. By default one sequence.
        page_table: [sequences, max_pages] int32.
        kv_lengths: [sequences] int32, the queries' own tokens included; with a page table.
        max_q_len, max_kv_len: capacities that the launch is sized for. By default all of q, and what k and v,
            or a row of the page table, hold.
        scale: by default 1 / sqrt(head_dim).
        window_tokens: keys that a query sees, its own position included (Hugging Face's sliding_window); 0:
            all.
        softcap: scores become ``softcap * tanh(score / softcap)`` before masks; 0: they do not.
        kv_format: "same", "fp8_e4m3", "fp8_e5m2" or "nvfp4", how keys and values are stored; by default what
            their type says, which uint8 does not. "nvfp4" has two codes in a byte of k and v, the first in the
            low bits, and block scales; `quantize` makes both.
        k_scale, v_scale: what their codes are multiplied by: a number, [1] fp32, or [kv_heads]. By default 1.
        window_right: keys behind its own position that a query sees, where it is not causal; None: all.
        chunk_tokens: a causal query at position p sees no key before ``p // chunk_tokens * chunk_tokens``
            (Llama 4); 0: all.
        sinks: [heads] fp32, a logit of each head that is in the sum of the weights and has no value
            (gpt-oss).
        alibi_slopes: [heads] fp32: slope times the distance of query and key is subtracted from scores.
        mask: [q_tokens, words] int32: bit j of word i is whether key 32 i + j is seen, of those that the rest
            lets a query see. Or [q_tokens, keys] of booleans or uint8: made bits by a launch before.
        mask_of_queries: bit 0 is the first query's own key, and keys before it are seen (drafted trees).
        block_starts, block_columns: [sequences, kv_heads or 1, blocks of queries + 1] and [listed] int32: lists
            of the blocks of keys that each block of a sequence's queries sees, of those that the rest lets it
            see; no other keys are read (FlashInfer's indptr and indices). Each block once, in any order.
        block_queries, block_keys: how many queries share a list, a multiple of 16, and a block's keys, a power
            of two: 64 and 128 are fastest, for head sizes to 128.
        k_block_scales, v_block_scales: of "nvfp4", uint8: e4m3 of 16 columns each, like k and v with head_dim / 16
            columns.
        past_is_ready: the operation directly before this one in the stream writes neither starts, lengths and
            page table nor keys and values of tokens before the queries' own (kv_append writes only those):
            they may be read while it still runs.
        lse_base2: [q_tokens, heads] fp32, written: log2 of the sum of ``2 ** (scores * log2(e))``.
        lse_base_e: in place of it, the natural logarithm of the sum.
        workspace: [bytes] uint8, where keys are split to fill the GPU; by default as much as is of use
            (`attention_workspace_bytes`). Not shared between streams.

    Returns:
        out, [q_tokens, heads, head_dim_v].

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call, paged = _attention_call(
        q,
        k,
        v,
        q_starts,
        kv_starts,
        page_table,
        kv_lengths,
        max_q_len,
        max_kv_len,
        scale,
        causal,
        window_tokens,
        softcap,
        kv_format,
        device,
        stream,
    )
    _put_masks(call, window_right, chunk_tokens, sinks, alibi_slopes, mask, mask_of_queries)
    _put_lists(call, block_starts, block_columns, block_queries, block_keys)
    _put_block_scales(call, k_block_scales, v_block_scales)
    _put_kv_scales(call, k_scale, v_scale)
    call.struct.past_is_ready = past_is_ready
    result = call.result("out", out, _attention_shape(call.struct, paged), _dtype_of(call.struct.q))
    call.tensor("lse_base2", lse_base2, "f32", written=True)
    call.tensor("lse_base_e", lse_base_e, "f32", written=True)
    if workspace is None:
        bytes_ = _workspace_bytes(call)
        if bytes_ > 0:
            workspace = call.scratch((bytes_,))
    call.tensor("workspace", workspace, "u8", written=True)
    return call.finish(result)


def attention_workspace_bytes(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    q_starts: Optional[Tensor] = None,
    kv_starts: Optional[Tensor] = None,
    page_table: Optional[Tensor] = None,
    kv_lengths: Optional[Tensor] = None,
    max_q_len: Optional[int] = None,
    max_kv_len: int = 0,
    causal: bool = True,
    window_tokens: int = 0,
    softcap: float = 0.0,
    kv_format: Optional[str] = None,
    window_right: Optional[int] = None,
    chunk_tokens: int = 0,
    sinks: Optional[Tensor] = None,
    alibi_slopes: Optional[Tensor] = None,
    mask: Optional[Tensor] = None,
    mask_of_queries: bool = False,
    block_starts: Optional[Tensor] = None,
    block_columns: Optional[Tensor] = None,
    block_queries: int = 0,
    block_keys: int = 0,
    k_block_scales: Optional[Tensor] = None,
    v_block_scales: Optional[Tensor] = None,
    device: Optional[str] = None,
) -> int:
    """How many bytes of workspace are of use to a call of `attention` with these arguments.

    Errors:
        CallerError: as of `attention`.
    """
    call, paged = _attention_call(
        q,
        k,
        v,
        q_starts,
        kv_starts,
        page_table,
        kv_lengths,
        max_q_len,
        max_kv_len,
        None,
        causal,
        window_tokens,
        softcap,
        kv_format,
        device,
        None,
    )
    _put_masks(call, window_right, chunk_tokens, sinks, alibi_slopes, mask, mask_of_queries)
    _put_lists(call, block_starts, block_columns, block_queries, block_keys)
    _put_block_scales(call, k_block_scales, v_block_scales)
    call.tensor("out", q)  # only its form counts
    call.struct.out.shape[2] = _attention_shape(call.struct, paged)[2]
    return _workspace_bytes(call)


def _attention_shape(struct: Any, paged: bool) -> tuple[int, ...]:
    """Of the output: values may have other columns than keys."""
    v = struct.v_pages if paged else struct.v
    columns = v.shape[v.rank - 1] if v.rank > 0 else struct.q.shape[2]
    if struct.kv_format == _abi.KV_FORMATS["nvfp4"]:
        columns *= 2
    return (*struct.q.shape[:2], columns)


def _workspace_bytes(call: Call) -> int:
    """Of the call as it is."""
    bytes_ = ctypes.c_int64()
    asked = getattr(library(), f"ww_{call.op}_workspace_bytes")
    check(asked(call.context._handle, ctypes.byref(call.struct), ctypes.byref(bytes_)))
    return bytes_.value


def _put_masks(
    call: Call,
    window_right: Optional[int],
    chunk_tokens: int,
    sinks: Any,
    alibi_slopes: Any,
    mask: Any,
    mask_of_queries: bool,
) -> None:
    if window_right is not None and window_right < 0:
        raise CallerError(f"{call.op}: window_right: expected 0 or more, or None for all, got {window_right}")
    call.struct.window_right_tokens = 0 if window_right is None else window_right + 1
    call.struct.chunk_tokens = chunk_tokens
    call.struct.mask_of_queries = mask_of_queries
    call.tensor("sinks", sinks, "f32")
    call.tensor("alibi_slopes", alibi_slopes, "f32")
    call.tensor("mask", mask, "i32, u8 or bool", codes=("bool",))


def _put_lists(call: Call, block_starts: Any, block_columns: Any, block_queries: int, block_keys: int) -> None:
    call.tensor("block_starts", block_starts, "i32")
    call.tensor("block_columns", block_columns, "i32")
    call.struct.block_queries, call.struct.block_keys = block_queries, block_keys


def _attention_call(
    q,
    k,
    v,
    q_starts,
    kv_starts,
    page_table,
    kv_lengths,
    max_q_len,
    max_kv_len,
    scale,
    causal,
    window_tokens,
    softcap,
    kv_format,
    device,
    stream,
):
    call = Call("attention", "q", q, device, stream)
    call.tensor("q", q, _FLOATS)
    paged = page_table is not None
    _put_kv(call, "k_pages" if paged else "k", k, "v_pages" if paged else "v", v, kv_format)
    q_tokens = _extent(call.struct.q, 0)
    if paged:
        if kv_lengths is None:
            raise CallerError("attention: kv_lengths: expected a tensor with a page table, got none")
        call.tensor("page_table", page_table, "i32")
        call.tensor("kv_lengths", kv_lengths, "i32")
        sequences = _extent(call.struct.page_table, 0)
    else:
        sequences = 1
        if kv_starts is None:
            kv_starts = call.integers(_starts(_extent(call.struct.k, 0), 1))
        call.tensor("kv_starts", kv_starts, "i32")
    if q_starts is None:
        if sequences == 0 or q_tokens % sequences != 0:
            raise CallerError(
                f"attention: q_starts: expected a tensor for {q_tokens} queries of {sequences} "
                "sequences, got none"
            )
        q_starts = call.integers(_starts(q_tokens, sequences))
        max_q_len = q_tokens // sequences if max_q_len is None else max_q_len
    call.tensor("q_starts", q_starts, "i32")
    struct = call.struct
    struct.max_q_len = max_q_len or 0
    struct.max_kv_len = max_kv_len
    struct.window_tokens = window_tokens
    struct.causal = causal
    struct.scale = _given("attention", "scale", scale)
    struct.softcap = softcap
    return call, paged


_KV_TYPES = {"float8_e4m3fn": "fp8_e4m3", "float8_e5m2": "fp8_e5m2"}


def _put_kv(call: Call, k_name: str, k: Any, v_name: str, v: Any, kv_format: Optional[str], written=False):
    """Keys and values, and how they are stored."""
    codes = tuple(name for name, format in _KV_TYPES.items() if kv_format in (None, format))
    dtype = call.tensor(k_name, k, _FLOATS + " or codes", written, codes)
    codes = (dtype,) if dtype in _KV_TYPES else codes if dtype == "u8" else ()
    call.tensor(v_name, v, _FLOATS + " or codes", written, codes)
    if kv_format is None:
        if dtype == "u8":
            known = "fp8_e4m3 or fp8_e5m2" if written else "fp8_e4m3, fp8_e5m2 or nvfp4"
            raise CallerError(f"{call.op}: kv_format: expected {known} for {k_name} of u8, got none")
        kv_format = _KV_TYPES.get(dtype, "same")
    call.struct.kv_format = word_of(call.op, "kv_format", kv_format, _abi.KV_FORMATS)


def _put_block_scales(call: Call, k_block_scales: Any, v_block_scales: Any) -> None:
    call.tensor("k_block_scales", k_block_scales, "u8 or e4m3", codes=("float8_e4m3fn",))
    call.tensor("v_block_scales", v_block_scales, "u8 or e4m3", codes=("float8_e4m3fn",))


def _put_kv_scales(call: Call, k_scale: Any, v_scale: Any) -> None:
    put_one(call, "k_scale", k_scale)
    put_one(call, "v_scale", v_scale)


def _starts(tokens: int, sequences: int) -> Sequence[int]:
    """Where `sequences` of equal length begin, and the end."""
    step = tokens // sequences
    return range(0, tokens + step, step) if step else [0] * (sequences + 1)


def rmsnorm(
    x: Tensor,
    weight: Tensor,
    *,
    residual: Optional[Tensor] = None,
    epsilon: float = 1e-6,
    weight_offset: float = 0.0,
    quantized: Union[None, Format, QuantizedOutput] = None,
    bias: Optional[Tensor] = None,
    out: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Union[Tensor, Quantized]:
    """x / sqrt(mean(x^2) + epsilon) * (weight + weight_offset); with a residual, of residual += x.

    With three dimensions every head of a token is normalised by itself.

    Args:
        x: [tokens, hidden] or [tokens, heads, head_dim], bf16 or f16.
        weight: [hidden] or [head_dim], like x, dense.
        residual: [tokens, hidden], like x; read and written. Not with heads.
        epsilon: more than 0.
        weight_offset: added to the weight in fp32; Gemma's is 1.
        quantized: a format, or a `QuantizedOutput`: the result as codes and scales. Not with heads.
        bias: [hidden] or [head_dim], like weight: LayerNorm, (x - mean(x)) / sqrt(variance(x) + epsilon) *
            (weight + weight_offset) + bias. Neither with a residual nor as codes.
        out: like x; may be x.

    Returns:
        out; with `quantized` a `Quantized`, and out is written only where it is given.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("rmsnorm", "x", x, device, stream)
    call.tensor("x", x, _FLOATS)
    call.tensor("weight", weight, _FLOATS)
    call.tensor("residual", residual, _FLOATS, written=True)
    call.tensor("bias", bias, _FLOATS)
    call.struct.epsilon = _given("rmsnorm", "epsilon", epsilon)
    call.struct.weight_offset = weight_offset
    return _finish(call, quantized, out, call.struct.x)


def gated_activation(
    gate: Tensor,
    up: Tensor,
    *,
    activation: str = "silu",
    limit: float = 0.0,
    alpha: float = 1.0,
    up_offset: float = 0.0,
    quantized: Union[None, Format, QuantizedOutput] = None,
    out: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Union[Tensor, Quantized]:
    """activation(gate) * up, element by element; with the next three
    ``activation(alpha gate) / alpha * (up + up_offset)``, gate at most `limit` and up within it.

    Args:
        gate, up: [tokens, width], bf16 or f16; may be the halves of one [tokens, 2 width] tensor.
        activation: "silu", "gelu" (by erf), "gelu_tanh", or "none" for gate * up.
        limit, alpha, up_offset: gpt-oss's; 0: no limit. Not with `quantized`.
        quantized: a format, or a `QuantizedOutput`: the result as codes and scales.
        out: [tokens, width]; may be gate or up.

    Returns:
        out; with `quantized` a `Quantized`, and out is written only where it is given.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("gated_activation", "gate", gate, device, stream)
    call.tensor("gate", gate, _FLOATS)
    call.tensor("up", up, _FLOATS)
    call.struct.activation = _activation("gated_activation", activation)
    call.struct.limit, call.struct.up_offset = limit, up_offset
    call.struct.alpha = _given("gated_activation", "alpha", alpha)
    return _finish(call, quantized, out, call.struct.gate)


def _finish(call: Call, quantized: Any, out: Any, source: _abi.Tensor) -> Any:
    """Runs a call whose result is like `source`, in 16 bits or quantised."""
    if quantized is None:
        return call.finish(call.result("out", out, _shape(source), _dtype_of(source)))
    output = quantized if isinstance(quantized, QuantizedOutput) else QuantizedOutput(quantized)
    into = _abi.QuantizedOutput()
    made = put_output(call, output, _extent(source, 0), _extent(source, 1), into)
    call.tensor("amax", output.amax, "f32", written=True, into=into)
    call.struct.quantized = ctypes.pointer(into)
    call.tensor("out", out, _FLOATS, written=True)
    return call.finish(made)


def embedding(
    ids: Tensor,
    table: Tensor,
    *,
    scale: float = 1.0,
    out: Optional[Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> Tensor:
    """scale * table[ids]. An id outside of the table gives zeros.

    Args:
        ids: [tokens] int32.
        table: [rows, width], bf16, f16 or f32.
        scale: not 0; multiplied in fp32 and rounded once. 1 moves the bytes as they are.
        out: [tokens, width], like table.

    Returns:
        out.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("embedding", "table", table, device, stream)
    call.tensor("ids", ids, "i32")
    call.tensor("table", table, "bf16, f16 or f32")
    call.struct.scale = _given("embedding", "scale", scale)
    shape = (_extent(call.struct.ids, 0), _extent(call.struct.table, 1))
    return call.finish(call.result("out", out, shape, _dtype_of(call.struct.table)))


def rope(
    q: Tensor,
    k: Tensor,
    positions: Tensor,
    frequency: Tensor,
    *,
    magnitude: float = 1.0,
    interleaved: bool = False,
    q_out: Optional[Tensor] = None,
    v: Optional[Tensor] = None,
    sequences: Optional[Tensor] = None,
    page_table: Optional[Tensor] = None,
    k_pages: Optional[Tensor] = None,
    v_pages: Optional[Tensor] = None,
    kv_format: Optional[str] = None,
    k_scale: Union[None, float, Tensor] = None,
    v_scale: Union[None, float, Tensor] = None,
    positions_are_ready: bool = False,
    device: Optional[str] = None,
    stream: Stream = None,
) -> tuple[Tensor, Tensor]:
    """Rotary position embedding, in place: pairs (a, b) become (a cos t - b sin t, b cos t + a sin t) with
    ``t = position * frequency[i]``.

    With pages, turned keys, and values, go there as `kv_append` puts them, in the same launch, and k stays as
    it is.

    Args:
        q: [tokens, heads, head_dim], bf16 or f16, written.
        k: [tokens, kv_heads, head_dim], like q, written.
        positions: [tokens] int32.
        frequency: [rotary_dim / 2] fp32, radians per position: `rope_frequencies`. Elements from rotary_dim
            on are left alone.
        magnitude: multiplies cos and sin (yarn, longrope); not 0.
        interleaved: pairs are neighbours, not halves (neox).
        q_out: [tokens, heads, rotary_dim], like q: turned elements of queries go there, and q stays as it is.
        v, sequences, page_table, k_pages, v_pages: all or none; as in `kv_append`.
        kv_format, k_scale, v_scale: of pages, as in `kv_append`.
        positions_are_ready: the operation directly before this one in the stream does not write positions,
            frequency, sequences and page_table: they may be read while it still runs.

    Returns:
        (q, k); with `q_out` that for q.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("rope", "q", q, device, stream)
    call.tensor("q", q, _FLOATS, written=q_out is None)
    call.tensor("q_out", q_out, _FLOATS, written=True)
    call.tensor("k", k, _FLOATS, written=k_pages is None)
    call.tensor("positions", positions, "i32")
    call.tensor("frequency", frequency, "f32")
    call.tensor("v", v, _FLOATS)
    call.tensor("sequences", sequences, "i32")
    call.tensor("page_table", page_table, "i32")
    if k_pages is None:
        call.tensor("v_pages", v_pages, _FLOATS, written=True)
        call.struct.kv_format = word_of("rope", "kv_format", kv_format or "same", _abi.KV_FORMATS)
    else:
        _put_kv(call, "k_pages", k_pages, "v_pages", v_pages, kv_format, written=True)
        _put_kv_scales(call, k_scale, v_scale)
    call.struct.positions_are_ready = positions_are_ready
    call.struct.magnitude = _given("rope", "magnitude", magnitude)
    call.struct.interleaved = interleaved
    return call.finish((q if q_out is None else q_out, k))


def rope_frequencies(
    theta: float, rotary_dim: int, scaling: Optional[dict[str, Any]] = None, context_tokens: int = 0
) -> tuple[list[float], float]:
    """Frequencies and magnitude as Hugging Face transformers computes them.

    Args:
        theta: the base, rope_theta.
        rotary_dim: an even number of elements of a head.
        scaling: the rope_scaling (rope_parameters) of a config.json: "rope_type" of none, "default",
            "linear", "llama3", "yarn" or "longrope", and its fields.
        context_tokens: the longest context to be served: longrope has two sets of frequencies.

    Returns:
        ([rotary_dim / 2] radians per position, what cos and sin are multiplied by).

    Errors:
        CallerError: an unknown kind or field of scaling, a number out of its range.
    """
    given = dict(scaling or {})
    kind = given.pop("rope_type", given.pop("type", "none"))
    kind = "none" if kind in (None, "default") else kind
    if kind not in _abi.ROPE_SCALINGS:
        raise CallerError(f"rope_type: expected one of {', '.join(_abi.ROPE_SCALINGS)}, got {kind}")
    fields = _abi.RopeScaling(kind=_abi.ROPE_SCALINGS[kind])
    lists = {}
    given.pop("rope_theta", None)
    original = given.pop("original_max_position_embeddings", None)
    if original is not None:
        fields.original_max_position = original
    for name, value in given.items():
        if name in ("short_factor", "long_factor"):
            if len(value) != rotary_dim // 2:
                raise CallerError(f"{name}: expected {rotary_dim // 2} numbers, got {len(value)}")
            lists[name] = (ctypes.c_double * len(value))(*value)
            setattr(fields, name, lists[name])
        elif name in (
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "beta_fast",
            "beta_slow",
            "attention_factor",
            "mscale",
            "mscale_all_dim",
        ):
            setattr(fields, name, 0.0 if value is None else value)
        else:
            raise CallerError(f"scaling: unknown field {name}")
    frequencies = (ctypes.c_float * max(rotary_dim // 2, 1))()
    magnitude = ctypes.c_float()
    check(
        library().ww_rope_frequencies(
            theta, rotary_dim, ctypes.byref(fields), context_tokens, frequencies, ctypes.byref(magnitude)
        )
    )
    return list(frequencies), magnitude.value


def kv_append(
    k: Tensor,
    v: Optional[Tensor],
    sequences: Tensor,
    positions: Tensor,
    page_table: Tensor,
    k_pages: Tensor,
    v_pages: Optional[Tensor],
    *,
    kv_format: Optional[str] = None,
    k_scale: Union[None, float, Tensor] = None,
    v_scale: Union[None, float, Tensor] = None,
    device: Optional[str] = None,
    stream: Stream = None,
) -> None:
    """Writes new keys and values into their pages: token t goes to slot ``positions[t] % page_size`` of page
    ``page_table[sequences[t], positions[t] // page_size]``. A negative position is padding and is not
    written.

    Args:
        k, v: [tokens, kv_heads, head_dim], bf16 or f16. v and v_pages may be None: latent rows of `mla`.
        sequences, positions: [tokens] int32.
        page_table: [sequences, max_pages] int32.
        k_pages, v_pages: [pages, page_size, kv_heads, head_dim], like k, or codes in uint8 or float8,
            written; page_size a power of two.
        kv_format: "same", "fp8_e4m3" or "fp8_e5m2", what pages hold; by default what their type says, which
            uint8 does not. A code is ``round(x / scale)``, the largest finite one for what is too large.
        k_scale, v_scale: of codes: a number, [1] fp32, or [kv_heads]. By default 1.

    Errors:
        CallerError: shapes, types or places that disagree. NoKernelError: no row serves the problem there.
        UnavailableError: the device, or a compiler for its kernels, is not there.
    """
    call = Call("kv_append", "k", k, device, stream)
    call.tensor("k", k, _FLOATS)
    call.tensor("v", v, _FLOATS)
    call.tensor("sequences", sequences, "i32")
    call.tensor("positions", positions, "i32")
    call.tensor("page_table", page_table, "i32")
    _put_kv(call, "k_pages", k_pages, "v_pages", v_pages, kv_format, written=True)
    _put_kv_scales(call, k_scale, v_scale)
    call.finish()


def _activation(op: str, name: str) -> int:
    return word_of(op, "activation", name, _abi.ACTIVATIONS)


def _given(op: str, name: str, value: Optional[float]) -> float:
    """Zero means "the default" to the C ABI, as None does here."""
    if value is None:
        return 0.0
    if value == 0:
        raise CallerError(f"{op}: {name}: expected a number other than 0")
    return value


_DTYPE_NAMES = {code: name for name, code in _abi.DTYPES.items()}


def _dtype_of(tensor: _abi.Tensor) -> str:
    return _DTYPE_NAMES[tensor.dtype]


def _shape(tensor: _abi.Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[: tensor.rank])


def _extent(tensor: _abi.Tensor, axis: int) -> int:
    """Of a dimension; 0 where there is none: the library says what is wrong with the rank."""
    return tensor.shape[axis] if axis < tensor.rank else 0
