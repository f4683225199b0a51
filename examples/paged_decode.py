# SPDX-License-Identifier: Apache-2.0
"""A decode loop over paged keys and values: what is done for each token is prepared once, then only launched.

Sequences of different lengths grow token by token; lengths and page table are read when a step runs, so the
same launches serve all of them. On a GPU the step is captured in a CUDA graph.

    python examples/paged_decode.py --device cuda     PyTorch tensors
    python examples/paged_decode.py                   NumPy arrays, on the CPU
"""

import argparse

import numpy as np

import warpwright

HEADS, KV_HEADS, HEAD_DIM, PAGE_SIZE = 8, 2, 64, 16


class Backend:
    """NumPy, or PyTorch on a GPU: the operations take both."""

    def __init__(self, device):
        self.device = device
        if device != "cpu":
            import torch

            self.torch = torch

    def tensor(self, values):
        return values if self.device == "cpu" else self.torch.from_numpy(values).to(self.device)

    def numpy(self, tensor):
        return tensor if self.device == "cpu" else tensor.cpu().numpy()

    def write(self, tensor, values):
        tensor[...] = self.tensor(values)

    def replay(self, step):
        """The step as something to call: a CUDA graph where there are any."""
        if self.device == "cpu":
            return step.launch
        step.launch()  # loads the kernels: nothing can be loaded while a graph is captured
        graph = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(graph):
            step.launch()
        return graph.replay


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu, or a device of PyTorch")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    backend = Backend(arguments.device)
    random = np.random.default_rng(0)

    lengths = np.array([5, 31, 16], np.int32)  # tokens in the cache
    sequences = len(lengths)
    pages_each = -(-(int(lengths.max()) + arguments.steps) // PAGE_SIZE)
    pages = random.permutation(sequences * pages_each).astype(np.int32)
    shape = (len(pages), PAGE_SIZE, KV_HEADS, HEAD_DIM)
    history = [random.standard_normal(shape).astype(np.float16) for _ in range(2)]

    k_pages, v_pages = (backend.tensor(values) for values in history)
    table = backend.tensor(pages.reshape(sequences, pages_each))
    kv_lengths, positions = backend.tensor(lengths.copy()), backend.tensor(lengths.copy())
    rows = backend.tensor(np.arange(sequences, dtype=np.int32))
    starts = backend.tensor(np.arange(sequences + 1, dtype=np.int32))
    q = backend.tensor(np.zeros((sequences, HEADS, HEAD_DIM), np.float16))
    k, v = (backend.tensor(np.zeros((sequences, KV_HEADS, HEAD_DIM), np.float16)) for _ in range(2))
    frequency, _ = warpwright.rope_frequencies(10000.0, HEAD_DIM)
    frequency = backend.tensor(np.array(frequency, np.float32))

    with warpwright.prepare() as step:
        warpwright.rope(q, k, positions, frequency)
        warpwright.kv_append(k, v, rows, positions, table, k_pages, v_pages)
        out = warpwright.attention(
            q, k_pages, v_pages, q_starts=starts, page_table=table, kv_lengths=kv_lengths, max_q_len=1
        )
    run = backend.replay(step)

    for _ in range(arguments.steps):
        # Where the layers before would leave them: one new token for each sequence, at position kv_lengths.
        for tensor, heads in ((q, HEADS), (k, KV_HEADS), (v, KV_HEADS)):
            backend.write(tensor, random.standard_normal((sequences, heads, HEAD_DIM)).astype(np.float16))
        backend.write(positions, lengths)
        lengths += 1
        backend.write(kv_lengths, lengths)
        run()

    print("rows:", ", ".join(step.rows))
    print(f"{arguments.steps} steps, lengths {lengths.tolist()}")
    print("largest |out|:", f"{np.abs(backend.numpy(out)).max():.3f}")
    expected = definition(backend, q, k_pages, v_pages, pages.reshape(sequences, pages_each), lengths)
    error = np.abs(backend.numpy(out) - expected).max()
    print("largest error against the definition:", f"{error:.2e}")
    return error


def definition(backend, q, k_pages, v_pages, table, lengths):
    """Attention of the last token of each sequence, in fp64."""
    q, k_pages, v_pages = (backend.numpy(part).astype(float) for part in (q, k_pages, v_pages))
    out = np.zeros_like(q)
    for sequence, length in enumerate(lengths):
        k, v = (part[table[sequence]].reshape(-1, KV_HEADS, HEAD_DIM)[:length] for part in (k_pages, v_pages))
        for head in range(HEADS):
            group = head // (HEADS // KV_HEADS)
            scores = k[:, group] @ q[sequence, head] / np.sqrt(HEAD_DIM)
            weights = np.exp(scores - scores.max())
            out[sequence, head] = weights @ v[:, group] / weights.sum()
    return out


if __name__ == "__main__":
    main()
