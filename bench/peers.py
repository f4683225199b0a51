#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's kernels under the project's timing method, for `warpwright bench --peers FILE`.

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


def gemm(fields):
    m, n, k = (int(fields[name]) for name in "mnk")
    make = lambda: (bf16(m, k), bf16(n, k), torch.empty(m, n, device="cuda", dtype=torch.bfloat16))
    yield "cuBLAS", time_us(make, lambda a, b, d: torch.mm(a, b.t(), out=d), 2 * (m * k + n * k + m * n))


def attention(fields, words):
    if "window" in fields or "softcap" in fields:  # scaled_dot_product_attention has neither
        return
    heads, kv_heads = (int(x) for x in fields["heads"].split("/"))
    batch, length, dim = (int(fields[name]) for name in ("batch", "len", "d"))
    decode = "decode" in words
    q_len = 1 if decode else length
    causal = "causal" in words
    make = lambda: (bf16(batch, heads, q_len, dim), bf16(batch, kv_heads, length, dim), bf16(batch, kv_heads, length, dim))
    bytes_moved = 4 * batch * kv_heads * length * dim
    backends = torch.nn.attention.SDPBackend
    for peer, backend in (("FA2", backends.FLASH_ATTENTION), ("cuDNN", backends.CUDNN_ATTENTION)):
        def call(q, k, v):
            with torch.nn.attention.sdpa_kernel(backend):
                torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=heads != kv_heads)
        try:
            yield peer + (" unpaged" if decode else ""), time_us(make, call, bytes_moved)
        except RuntimeError as error:
            print(f"{peer}: {str(error).splitlines()[0]}", file=sys.stderr)


def rmsnorm(fields):
    if "heads" in fields:
        yield from head_norm(fields)
        return
    tokens, hidden = int(fields["tokens"]), int(fields["hidden"])
    make = lambda: (bf16(tokens, hidden), bf16(tokens, hidden), bf16(hidden))

    def call(x, residual, weight):
        residual.add_(x)
        torch.nn.functional.rms_norm(residual, (hidden,), weight, 1e-6)

    yield "torch add + rms_norm", time_us(make, call, 8 * tokens * hidden)


def head_norm(fields):
    tokens, heads, head_dim = (int(fields[name]) for name in ("tokens", "heads", "head_dim"))
    make = lambda: (bf16(tokens, heads, head_dim), bf16(head_dim))

    def call(x, weight):
        torch.nn.functional.rms_norm(x, (head_dim,), weight, 1e-6)

    yield "torch rms_norm", time_us(make, call, 4 * tokens * heads * head_dim)


def activation(fields):
    tokens, width = int(fields["tokens"]), int(fields["width"])
    make = lambda: (bf16(tokens, 2 * width),)

    def call(x):
        torch.nn.functional.silu(x[:, :width]) * x[:, width:]

    yield "torch silu, mul", time_us(make, call, 6 * tokens * width)


def sample(fields):
    rows, vocabulary = int(fields["rows"]), int(fields["vocabulary"])
    make = lambda: (3 * torch.randn(rows, vocabulary, device="cuda"),)

    def call(logits):
        torch.multinomial(torch.softmax(logits / 0.8, -1), 1)

    yield "torch softmax + multinomial (no filters)", time_us(make, call, 4 * rows * vocabulary)


PEERS = {"gemm": gemm, "rmsnorm": rmsnorm, "gated_activation": activation, "sample": sample}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", help="output of `warpwright bench --list`: lines of op and problem")
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    driver = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True)
    print(json.dumps({"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda,
                      "cudnn": torch.backends.cudnn.version(), "driver": driver.stdout.strip().split("\n")[0],
                      "date": datetime.date.today().isoformat()}), flush=True)
    for line in open(args.problems):
        op, problem = line.strip().split(" ", 1)
        fields = dict(re.findall(r"(\w+)=(\S+)", problem))
        words = problem.split()
        results = attention(fields, words) if op == "attention" else PEERS[op](fields) if op in PEERS else ()
        for peer, us in results:
            print(json.dumps({"op": op, "problem": problem, "peer": peer, "us": us}), flush=True)
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
