# SPDX-License-Identifier: Apache-2.0
"""Peers beside PyTorch: the packages that are installed, for the operations that they have.

Calls are written from the packages' documentation; where one has changed since, peers.py says what it threw and goes on.
"""
import importlib
import importlib.metadata

import torch

NAMES = {"flash_attn": "flash-attn", "flashinfer": "flashinfer-python", "deep_gemm": "deep_gemm",
         "flash_mla": "flash_mla", "vllm": "vllm"}
modules = {}
WORKSPACE_BYTES = 128 << 20


def load():
    """Imports what is there; returns the names of the others, each with its reason."""
    absent = {}
    for name in NAMES:
        try:
            modules[name] = importlib.import_module(name)
        except Exception as error:  # a package that is there and does not load is absent, too
            absent[name] = (str(error).splitlines() or [type(error).__name__])[0]
    return absent


def versions():
    found = {}
    for name in modules:
        try:
            found[name] = importlib.metadata.version(NAMES[name])
        except importlib.metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def bf16(*shape):
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16)


def ints(values):
    return torch.tensor(values, device="cuda", dtype=torch.int32)


def calls(op, fields, words):
    """(peer, make, call, bytes moved) of every package that has the operation."""
    if "dv" in fields:  # values of other columns than keys are PyTorch's only
        return
    for package, of_package in (("flash_attn", flash_attn), ("flashinfer", flashinfer), ("deep_gemm", deep_gemm),
                                ("vllm", vllm)):  # flash_mla: no problem of these has a latent cache
        if package in modules:
            yield from of_package(modules[package], op, fields, words)


class AttentionCase:
    def __init__(self, fields, words):
        self.heads, self.kv_heads = (int(x) for x in fields["heads"].split("/"))
        self.batch, self.length, self.dim = (int(fields[name]) for name in ("batch", "len", "d"))
        self.decode, self.causal = "decode" in words, "causal" in words
        self.q_len = int(fields.get("q_len", 1)) if self.decode else self.length
        self.page = int(fields.get("page", 0))
        self.window = int(fields.get("window", 0)) - 1
        self.softcap = float(fields.get("softcap", 0))
        self.bytes = 4 * self.batch * self.kv_heads * self.length * self.dim

    def ragged(self):
        return bf16(self.length, self.heads, self.dim), *(bf16(self.length, self.kv_heads, self.dim) for _ in "kv")

    def paged(self):
        pages = self.batch * self.length // self.page
        return (bf16(self.batch * self.q_len, self.heads, self.dim),
                *(bf16(pages, self.page, self.kv_heads, self.dim) for _ in "kv"))

    def page_ids(self):
        return torch.randperm(self.batch * self.length // self.page, device="cuda", dtype=torch.int32)


def flash_attn(package, op, fields, words):
    if op != "attention":
        return
    case = AttentionCase(fields, words)
    limits = {"window_size": (case.window, 0 if case.window >= 0 else -1), "softcap": case.softcap}
    if not case.decode:
        def call(q, k, v):
            package.flash_attn_func(q[None], k[None], v[None], causal=case.causal, **limits)

        yield "flash_attn", case.ragged, call, case.bytes
    elif case.page % 256 == 0:  # what its pages must be a multiple of
        lengths, table = ints([case.length] * case.batch), case.page_ids().view(case.batch, -1)

        def call(q, k, v):
            package.flash_attn_with_kvcache(q.view(case.batch, case.q_len, case.heads, case.dim), k, v, cache_seqlens=lengths,
                                            block_table=table, causal=True, **limits)

        yield "flash_attn paged", case.paged, call, case.bytes


def flashinfer(package, op, fields, words):
    number = lambda name: int(fields[name])
    if op == "attention":
        yield from flashinfer_attention(package, AttentionCase(fields, words))
    elif op == "rmsnorm" and "heads" not in fields:
        tokens, hidden = number("tokens"), number("hidden")
        make = lambda: (bf16(tokens, hidden), bf16(tokens, hidden), bf16(hidden))
        yield ("flashinfer fused_add_rmsnorm", make, lambda x, residual, weight: package.fused_add_rmsnorm(x, residual, weight, 1e-6),
               8 * tokens * hidden)
    elif op == "gated_activation":
        tokens, width = number("tokens"), number("width")
        make = lambda: (bf16(tokens, 2 * width), bf16(tokens, width))
        yield "flashinfer silu_and_mul", make, lambda x, out: package.silu_and_mul(x, out=out), 6 * tokens * width
    elif op == "rope":
        heads, kv_heads = (int(x) for x in fields["heads"].split("/"))
        tokens, dim = number("tokens"), number("head_dim")
        positions = torch.arange(tokens, device="cuda", dtype=torch.int32)
        make = lambda: (bf16(tokens, heads, dim), bf16(tokens, kv_heads, dim))
        yield ("flashinfer rope", make, lambda q, k: package.apply_rope_pos_ids_inplace(q, k, positions, rope_theta=5e5),
               4 * tokens * (heads + kv_heads) * dim)
    elif op == "kv_append":
        tokens, heads, dim, page = (number(name) for name in ("tokens", "kv_heads", "head_dim", "page"))
        pages = -(-tokens // page)
        sequences, positions = ints([0] * tokens), torch.arange(tokens, device="cuda", dtype=torch.int32)
        ids, starts, last = ints(range(pages)[::-1]), ints([0, pages]), ints([tokens - (pages - 1) * page])
        make = lambda: (*(bf16(tokens, heads, dim) for _ in "kv"), *(bf16(pages, page, heads, dim) for _ in "kv"))

        def call(k, v, k_pages, v_pages):
            package.append_paged_kv_cache(k, v, sequences, positions, (k_pages, v_pages), ids, starts, last)

        yield "flashinfer append_paged_kv_cache", make, call, 8 * tokens * heads * dim
    elif op == "sample":
        rows, vocabulary = number("rows"), number("vocabulary")
        make = lambda: (3 * torch.randn(rows, vocabulary, device="cuda"),)

        def call(logits):
            probabilities = torch.softmax(logits / 0.8, -1)
            package.sampling.top_k_top_p_sampling_from_probs(probabilities, 50, 0.9, filter_apply_order="joint")

        yield "torch softmax + flashinfer top_k_top_p", make, call, 4 * rows * vocabulary


def flashinfer_attention(package, case):
    limits = {"window_left": case.window, "logits_soft_cap": case.softcap or None}
    if not case.decode:
        def call(q, k, v):
            package.single_prefill_with_kv_cache(q, k, v, causal=case.causal, **limits)

        yield "flashinfer", case.ragged, call, case.bytes
        return
    workspace = torch.zeros(WORKSPACE_BYTES, dtype=torch.uint8, device="cuda")
    pages = case.length // case.page
    starts = torch.arange(case.batch + 1, device="cuda", dtype=torch.int32)
    paging = (starts * pages, case.page_ids(), ints([case.page] * case.batch))
    if case.q_len == 1:
        wrapper = package.BatchDecodeWithPagedKVCacheWrapper(workspace, "NHD", use_tensor_cores=True)
        wrapper.plan(*paging, case.heads, case.kv_heads, case.dim, case.page, q_data_type=torch.bfloat16,
                     kv_data_type=torch.bfloat16, **limits)
    else:
        wrapper = package.BatchPrefillWithPagedKVCacheWrapper(workspace, "NHD")
        wrapper.plan(starts * case.q_len, *paging, case.heads, case.kv_heads, case.dim, case.page, causal=True,
                     q_data_type=torch.bfloat16, kv_data_type=torch.bfloat16, **limits)
    yield "flashinfer paged", case.paged, lambda q, k, v: wrapper.run(q, (k, v)), case.bytes


def deep_gemm(package, op, fields, words):
    if op != "gemm" or not hasattr(package, "bf16_gemm_nt"):
        return
    m, n, k = (int(fields[name]) for name in "mnk")
    make = lambda: (bf16(m, k), bf16(n, k), torch.empty(m, n, device="cuda", dtype=torch.bfloat16))
    yield "deep_gemm", make, package.bf16_gemm_nt, 2 * (m * k + n * k + m * n)


def vllm(package, op, fields, words):
    ops = importlib.import_module("vllm._custom_ops")
    number = lambda name: int(fields[name])
    if op == "rmsnorm" and "heads" not in fields:
        tokens, hidden = number("tokens"), number("hidden")
        make = lambda: (bf16(tokens, hidden), bf16(tokens, hidden), bf16(hidden))
        yield ("vllm fused_add_rms_norm", make, lambda x, residual, weight: ops.fused_add_rms_norm(x, residual, weight, 1e-6),
               8 * tokens * hidden)
    elif op == "gated_activation":
        tokens, width = number("tokens"), number("width")
        make = lambda: (bf16(tokens, width), bf16(tokens, 2 * width))
        yield "vllm silu_and_mul", make, torch.ops._C.silu_and_mul, 6 * tokens * width
    elif op == "rope":
        heads, kv_heads = (int(x) for x in fields["heads"].split("/"))
        tokens, dim = number("tokens"), number("head_dim")
        positions = torch.arange(tokens, device="cuda")
        make = lambda: (bf16(tokens, heads * dim), bf16(tokens, kv_heads * dim), bf16(tokens, dim))
        yield ("vllm rotary_embedding", make, lambda q, k, table: ops.rotary_embedding(positions, q, k, dim, table, True),
               4 * tokens * (heads + kv_heads) * dim)
