#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's kernels, and those of peers that are installed (peer_packages.py), under the project's timing method, for
`warpwright bench --peers FILE`.

Captured graphs of at least 20 launches over rotating buffers of at least four times the L2, random data, the median
of nine replays. Prints one JSON line per (problem, peer); run it in the same session as the bench it is compared with.
"""

import argparse
import datetime
import json
import re
import statistics
import subprocess
import sys

import torch

import peer_packages

MIN_LAUNCHES = 20
REPLAYS = 9


def time_us(make, call, bytes_moved):
    """make() -> buffers of one call; call(*buffers) launches it."""
    l2_bytes = torch.cuda.get_device_properties(0).L2_cache_size
    count = max(2, min(40, -(-4 * l2_bytes // int(bytes_moved))))
    sets = [make() for _ in range(count)]
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.no_grad():
        for buffers in sets[:3]:
            call(*buffers)
        torch.cuda.synchronize()
        launches = max(MIN_LAUNCHES, count)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for i in range(launches):
                call(*sets[i % count])
        graph.replay()
        torch.cuda.synchronize()
        samples = []
        for _ in range(REPLAYS):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record(stream)
            graph.replay()
            end.record(stream)
            end.synchronize()
            samples.append(start.elapsed_time(end) * 1e3 / launches)
    return statistics.median(samples)


def bf16(*shape):
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16)


def attempt(peer, make, call, bytes_moved):
    """One peer's (name, us); where it fails, its reason goes to stderr and the others go on."""
    try:
        yield peer, time_us(make, call, bytes_moved)
    except Exception as error:  # whatever a peer throws, it has no time
        torch.cuda.synchronize()
        print(f"{peer}: {str(error).splitlines()[0] if str(error) else type(error).__name__}", file=sys.stderr)


def gemm(fields, words):
    m, n, k = (int(fields[name]) for name in "mnk")
    make = lambda: (bf16(m, k), bf16(n, k), torch.empty(m, n, device="cuda", dtype=torch.bfloat16))
    yield from attempt("cuBLAS", make, lambda a, b, d: torch.mm(a, b.t(), out=d), 2 * (m * k + n * k + m * n))


def quantized_gemm(fields, words):
    """The same product with 16-bit weights: what quantising them is held to."""
    m, n, k = (int(fields[name]) for name in "mnk")
    if "groups" in fields:
        g = int(fields["groups"])
        make = lambda: (bf16(g, m, k), bf16(g, n, k), torch.empty(g, m, n, device="cuda", dtype=torch.bfloat16))
        yield from attempt("cuBLAS bf16", make, lambda a, b, d: torch.bmm(a, b.transpose(1, 2), out=d), 2 * g * (m * k + n * k + m * n))
        return
    make = lambda: (bf16(m, k), bf16(n, k), torch.empty(m, n, device="cuda", dtype=torch.bfloat16))
    yield from attempt("cuBLAS bf16", make, lambda a, b, d: torch.mm(a, b.t(), out=d), 2 * (m * k + n * k + m * n))


def scaled_gemm(fields, words):
    """torch._scaled_mm's own recipes; for int8 _int_mm, whose result is unscaled s32. Its MXFP8 is Blackwell's alone."""
    m, n, k = (int(fields[name]) for name in "mnk")
    if "groups" in fields:
        return
    form = words[4]
    if form == "i8":
        make = lambda: tuple(torch.randint(-128, 128, (rows, k), device="cuda", dtype=torch.int8) for rows in (max(m, 17), n))
        yield from attempt("torch._int_mm (m >= 17)", make, lambda a, b: torch._int_mm(a, b.t()), m * k + n * k + 4 * m * n)
        return
    shapes = {"fp8-tensor": ((), ()), "fp8": ((m, 1), (1, n)), "fp8-block": ((m, -(-k // 128)), (-(-k // 128), n // 128))}
    if form not in shapes:
        return

    def make():
        # Scales of blocks are read column by column.
        a_scale, b_scale = (torch.rand(shape[::-1], device="cuda").t() + 0.5 if len(shape) == 2 else torch.rand((), device="cuda") + 0.5
                            for shape in shapes[form])
        if form != "fp8-block":
            a_scale, b_scale = a_scale.contiguous(), b_scale.contiguous()
        return bf16(m, k).to(torch.float8_e4m3fn), bf16(n, k).to(torch.float8_e4m3fn), a_scale, b_scale

    def call(a, b, a_scale, b_scale):
        return torch._scaled_mm(a, b.t(), a_scale, b_scale, out_dtype=torch.bfloat16)

    yield from attempt("torch._scaled_mm", make, call, m * k + n * k + 2 * m * n)


def experts(fields, words):
    """A layer of experts as torch has it: routing by its own operations, rows sorted by expert, two _grouped_mm."""
    tokens, hidden, num, top_k, width = (int(fields[name]) for name in ("tokens", "hidden", "experts", "top_k", "width"))

    def make():
        return (bf16(tokens, hidden), bf16(num, hidden) * 0.03, bf16(num, 2 * width, hidden) * 0.02, bf16(num, hidden, width) * 0.03)

    ones = torch.ones(tokens * top_k, device="cuda", dtype=torch.int32)

    def call(x, router, gate_up, down):
        weights, ids = torch.topk(torch.softmax(torch.mm(x, router.t()).float(), -1), top_k)
        weights = weights / weights.sum(-1, keepdim=True)
        ids = ids.flatten()
        order = torch.argsort(ids, stable=True)
        counts = torch.zeros(num, device="cuda", dtype=torch.int32).scatter_add_(0, ids, ones)
        ends = torch.cumsum(counts, 0, dtype=torch.int32)
        rows = x[order // top_k]
        gate, up = torch._grouped_mm(rows, gate_up.transpose(-2, -1), offs=ends).chunk(2, -1)
        results = torch._grouped_mm(torch.nn.functional.silu(gate) * up, down.transpose(-2, -1), offs=ends)
        places = torch.empty_like(order)
        places[order] = torch.arange(tokens * top_k, device="cuda")
        results = results[places].view(tokens, top_k, hidden)
        return torch.bmm(weights.to(results.dtype).unsqueeze(1), results).squeeze(1)

    touched = num * (1 - (1 - top_k / num) ** tokens)
    yield from attempt("torch._grouped_mm", make, call, 6 * touched * hidden * width)


def attention(fields, words):
    # scaled_dot_product_attention has none of them, or no fast kernel for it.
    if fields.keys() & {"window", "softcap", "kv", "mask"} or "alibi" in words:
        return
    heads, kv_heads = (int(x) for x in fields["heads"].split("/"))
    batch, length, dim = (int(fields[name]) for name in ("batch", "len", "d"))
    decode = "decode" in words
    q_len = int(fields.get("q_len", 1)) if decode else length
    causal = "causal" in words
    values = int(fields.get("dv", dim))
    make = lambda: (bf16(batch, heads, q_len, dim), bf16(batch, kv_heads, length, dim), bf16(batch, kv_heads, length, values))
    bytes_moved = 2 * batch * kv_heads * length * (dim + values)

    def backend_call(backend):
        def call(q, k, v):
            with torch.nn.attention.sdpa_kernel(backend):
                torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=heads != kv_heads)
        return call

    def flash_bottom_right(q, k, v):  # its own mask: query i of q_len sees length - q_len + i keys and itself
        torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, True)

    backends = torch.nn.attention.SDPBackend
    layout = " unpaged" if decode else ""
    flash = flash_bottom_right if decode and q_len > 1 else backend_call(backends.FLASH_ATTENTION)
    if values == dim:
        yield from attempt("FA2" + layout, make, flash, bytes_moved)
    else:  # which FA2 has not
        yield from attempt("efficient", make, backend_call(backends.EFFICIENT_ATTENTION), bytes_moved)
    # Several queries at the end of the keys: without a mask, which spares cuDNN a little work.
    yield from attempt("cuDNN" + layout, make, backend_call(backends.CUDNN_ATTENTION), bytes_moved)


def mla(fields, words):
    """The definition in three operations, of a cache without pages; with two queries both see all keys."""
    if "kv" in fields:  # it has no records
        return
    batch, length, heads, q_len = (int(fields[name]) for name in ("batch", "len", "heads", "q_len"))
    if "topk" in fields:
        yield from sparse_mla(batch, length, heads, int(fields["topk"]))
        return
    make = lambda: (bf16(batch, q_len * heads, 576), bf16(batch, length, 576))

    def call(q, cache):
        weights = torch.softmax(torch.bmm(q, cache.transpose(1, 2)).float() * 192 ** -0.5, -1)
        torch.bmm(weights.to(q.dtype), cache[..., :512])

    def sdpa(q, cache):
        keys = cache.unsqueeze(1)
        torch.nn.functional.scaled_dot_product_attention(q.unsqueeze(1), keys, keys[..., :512], scale=192 ** -0.5)

    bytes_moved = 1152 * batch * length
    yield from attempt("torch bmm", make, call, bytes_moved)
    yield from attempt("torch sdpa", make, sdpa, bytes_moved)


def index_logits(fields, words):
    """The definition, of keys without pages and without a mask; it has no codes."""
    if "kv" in fields:
        return
    batch, length, heads, q_len = (int(fields[name]) for name in ("batch", "len", "heads", "q_len"))
    make = lambda: (bf16(batch, q_len * heads, 128), torch.randn(batch, q_len, 1, heads, device="cuda"),
                    bf16(batch, length, 128))

    def call(q, weights, keys):
        scores = torch.bmm(q, keys.transpose(1, 2)).relu().float().view(batch, q_len, heads, length)
        torch.matmul(weights, scores)

    if batch * q_len * heads * length <= 1 << 30:
        yield from attempt("torch relu", make, call, 256 * batch * length)


def index_topk(fields, words):
    batch, length, k, q_len = (int(fields[name]) for name in ("batch", "len", "topk", "q_len"))
    make = lambda: (torch.randn(batch * q_len, length, device="cuda"),)
    yield from attempt("torch topk", make, lambda logits: torch.topk(logits, k, sorted=False), 4 * batch * q_len * length)


def sparse_mla(batch, length, heads, listed):
    """The listed rows are copied, then as above."""
    def make():
        lists = torch.stack([torch.randperm(length, device="cuda")[:listed].sort().values for _ in range(batch)])
        lists += torch.arange(batch, device="cuda")[:, None] * length
        return bf16(batch, heads, 576), bf16(batch * length, 576), lists

    def call(q, cache, lists):
        rows = cache[lists]
        weights = torch.softmax(torch.bmm(q, rows.transpose(1, 2)).float() * 192 ** -0.5, -1)
        torch.bmm(weights.to(q.dtype), rows[..., :512])

    yield from attempt("torch index + bmm", make, call, 1152 * batch * listed)


def rmsnorm(fields, words):
    if "heads" in fields:
        yield from head_norm(fields)
        return
    tokens, hidden = int(fields["tokens"]), int(fields["hidden"])
    make = lambda: (bf16(tokens, hidden), bf16(tokens, hidden), bf16(hidden))

    def call(x, residual, weight):
        residual.add_(x)
        return torch.nn.functional.rms_norm(residual, (hidden,), weight, 1e-6)

    yield from attempt("torch add + rms_norm", make, call, 8 * tokens * hidden)
    yield from compiled(make, call, 8 * tokens * hidden)


def head_norm(fields):
    tokens, heads, head_dim = (int(fields[name]) for name in ("tokens", "heads", "head_dim"))
    make = lambda: (bf16(tokens, heads, head_dim), bf16(head_dim))

    def call(x, weight):
        return torch.nn.functional.rms_norm(x, (head_dim,), weight, 1e-6)

    yield from attempt("torch rms_norm", make, call, 4 * tokens * heads * head_dim)
    yield from compiled(make, call, 4 * tokens * heads * head_dim)


def activation(fields, words):
    tokens, width = int(fields["tokens"]), int(fields["width"])
    make = lambda: (bf16(tokens, 2 * width),)

    def call(x):
        return torch.nn.functional.silu(x[:, :width]) * x[:, width:]

    yield from attempt("torch silu, mul", make, call, 6 * tokens * width)
    yield from compiled(make, call, 6 * tokens * width)


def rope(fields, words):
    """transformers' apply_rotary_pos_emb, from tables of cosines and sines; ours makes them."""
    heads, kv_heads = (int(x) for x in fields["heads"].split("/"))
    tokens, dim = int(fields["tokens"]), int(fields["head_dim"])
    make = lambda: (bf16(tokens, heads, dim), bf16(tokens, kv_heads, dim), bf16(tokens, 1, dim), bf16(tokens, 1, dim))
    bytes_moved = 4 * tokens * (heads + kv_heads) * dim

    def turned(x, cosines, sines):
        half = torch.cat((-x[..., dim // 2:], x[..., :dim // 2]), -1)
        return x * cosines + half * sines

    def call(q, k, cosines, sines):
        return turned(q, cosines, sines), turned(k, cosines, sines)

    yield from attempt("torch rotate_half", make, call, bytes_moved)
    yield from compiled(make, call, bytes_moved)


def kv_append(fields, words):
    """One sequence's tokens into pages in reverse order; the slots are worked out before."""
    if "kv" in fields:
        return
    tokens, heads, dim, page = (int(fields[name]) for name in ("tokens", "kv_heads", "head_dim", "page"))
    pages = -(-tokens // page)
    positions = torch.arange(tokens, device="cuda")
    slots = (pages - 1 - positions // page) * page + positions % page
    make = lambda: (bf16(tokens, heads, dim), bf16(tokens, heads, dim), bf16(pages * page, heads, dim), bf16(pages * page, heads, dim))

    def call(k, v, k_pages, v_pages):
        k_pages.index_copy_(0, slots, k)
        v_pages.index_copy_(0, slots, v)

    yield from attempt("torch index_copy_", make, call, 8 * tokens * heads * dim)


def latent_append(fields, words):
    """Codes, scales and what is kept of one sequence's tokens, token by token, into pages in reverse order."""
    tokens, columns, page = (int(fields[name]) for name in ("tokens", "columns", "page"))
    coded, pages = min(columns, 512), -(-tokens // page)
    record_bytes = coded + coded // 32 + 2 * (columns - coded)
    positions = torch.arange(tokens, device="cuda")
    slots = (pages - 1 - positions // page) * page + positions % page
    make = lambda: (bf16(tokens, columns), torch.zeros(pages * page, record_bytes, device="cuda", dtype=torch.uint8))

    def call(x, cache):
        groups = x[:, :coded].float().unflatten(-1, (-1, 128))
        scales = groups.abs().amax(-1, keepdim=True) / 448
        codes = (groups / scales).to(torch.float8_e4m3fn)
        parts = [part.view(torch.uint8).flatten(1) for part in (codes, scales, x[:, coded:])]
        cache.index_copy_(0, slots, torch.cat(parts, -1))

    bytes_moved = tokens * (2 * columns + record_bytes)
    yield from attempt("torch amax, to e4m3, index_copy_", make, call, bytes_moved)
    yield from compiled(make, call, bytes_moved)


def embedding(fields, words):
    tokens, rows, width = (int(fields[name]) for name in ("tokens", "rows", "width"))
    ids = torch.arange(tokens, device="cuda") * 7919 % rows
    make = lambda: (bf16(rows, width),)
    yield from attempt("torch embedding", make, lambda table: torch.nn.functional.embedding(ids, table), 4 * tokens * width)


def sample(fields, words):
    rows, vocabulary = int(fields["rows"]), int(fields["vocabulary"])
    make = lambda: (3 * torch.randn(rows, vocabulary, device="cuda"),)

    def call(logits):
        torch.multinomial(torch.softmax(logits / 0.8, -1), 1)

    yield from attempt("torch softmax + multinomial (no filters)", make, call, 4 * rows * vocabulary)


def compiled(make, call, bytes_moved):
    """The same by torch.compile, where --compile asks for it."""
    if OPTIONS.compile:
        yield from attempt("torch.compile", make, torch.compile(call, dynamic=False), bytes_moved)


PEERS = {"gemm": gemm, "quantized_gemm": quantized_gemm, "act_order": quantized_gemm,
         "scaled_gemm": scaled_gemm, "moe": experts,
         "attention": attention, "mla": mla, "index_logits": index_logits,
         "index_topk": index_topk, "rmsnorm": rmsnorm, "gated_activation": activation, "rope": rope,
         "kv_append": kv_append, "latent_append": latent_append, "embedding": embedding, "sample": sample}


def results(op, problem):
    """(peer, us) of PyTorch and of every package that is there; a problem without a peer has none."""
    fields = dict(re.findall(r"(\w+)=(\S+)", problem))
    words = problem.split()
    if op in PEERS:
        yield from PEERS[op](fields, words)
    for peer, make, call, bytes_moved in peer_packages.calls(op, fields, words):
        yield from attempt(peer, make, call, bytes_moved)


def main():
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    driver = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True)
    absent = peer_packages.load()
    print(json.dumps({"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda,
                      "cudnn": torch.backends.cudnn.version(), "driver": driver.stdout.strip().split("\n")[0],
                      "date": datetime.date.today().isoformat(), "packages": peer_packages.versions(), "absent": absent}), flush=True)
    if absent:
        print(f"peers that are not installed: {', '.join(absent)}", file=sys.stderr)
    lines = [line.strip() for line in open(OPTIONS.problems) if " " in line.strip()]
    for number, line in enumerate(lines, 1):
        op, problem = line.split(" ", 1)
        if sys.stderr.isatty():
            print(f"\r\033[K{number}/{len(lines)}  {line}", end="", file=sys.stderr, flush=True)
        for peer, us in results(op, problem):
            print(json.dumps({"op": op, "problem": problem, "peer": peer, "us": us}), flush=True)
        torch.cuda.empty_cache()
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", help="output of `warpwright bench --list`: lines of op and problem")
    parser.add_argument("--compile", action="store_true", help="torch.compile of the elementwise operations, too")
    OPTIONS = parser.parse_args()
    main()
