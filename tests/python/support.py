# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python package share: where it is, what is installed, and how a result is judged."""

import importlib.util
import os
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# WARPWRIGHT_INSTALLED=1 tests an installed wheel in place of the checkout.
if not os.environ.get("WARPWRIGHT_INSTALLED"):
    sys.path.insert(0, str(ROOT / "python"))
MODEL = ROOT / "models" / "glossary"

from warpwright import _library, errors  # noqa: E402


def has(module):
    return importlib.util.find_spec(module) is not None


def library_problem():
    try:
        _library.library()
    except errors.UnavailableError as error:
        return str(error)
    return None


def has_gpu():
    if not has("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def needs(*modules):
    """Skips a test, with the reason, where one of these cannot be imported or the library is not built."""
    problem = library_problem()
    missing = [name for name in modules if not has(name)]
    if missing:
        problem = f"{missing[0]} is not installed for {sys.executable}"
    return unittest.skipIf(problem, problem or "")


needs_gpu = unittest.skipUnless(has_gpu(), "no GPU, or no PyTorch")


def round_to(values, dtype):
    """float64 values rounded to "f32", "f16" or "bf16", as float64."""
    import numpy as np

    values = np.asarray(values, np.float32)
    if dtype == "f16":
        return values.astype(np.float16).astype(np.float64)
    if dtype == "bf16":
        bits = values.view(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        return np.where(np.isfinite(values), rounded.view(np.float32), values).astype(np.float64)
    return values.astype(np.float64)


def assert_derived(case, kernel, oracle, reference, magnitude):
    """The rule of src/check/harness.h: the kernel's largest error against the fp64 oracle, and its root mean
    square, may be at most twice those of a reference in the same precision, plus fp32 rounding of
    `magnitude`, the largest sum of absolute values that an output adds up."""
    import numpy as np

    kernel, oracle, reference = (np.asarray(part, np.float64) for part in (kernel, oracle, reference))
    case.assertEqual(kernel.shape, oracle.shape)
    special = ~np.isfinite(oracle)
    np.testing.assert_array_equal(kernel[special], oracle[special])
    case.assertTrue(np.isfinite(kernel[~special]).all())
    error = np.abs(kernel - oracle)[~special]
    allowed = np.abs(reference - oracle)[~special]
    absolute = magnitude * 2.0**-23
    case.assertLessEqual(error.max(initial=0), 2 * allowed.max(initial=0) + 8 * absolute)
    rms = lambda values: np.sqrt(np.mean(values**2)) if values.size else 0
    case.assertLessEqual(rms(error), 2 * rms(allowed) + absolute)


def attention_oracle(q, k, v, *, scale, causal, window_tokens=0, softcap=0.0, real=None, dtype="f16"):
    """One sequence by definition: q [q_len, heads, d], k and v [kv_len, kv_heads, d] -> (out, log2-sum-exp,
    scores).

    In float64, or with real=float32 the reference: weights rounded to `dtype` before they multiply v.
    """
    import numpy as np

    real = real or np.float64
    q_len, heads, _ = q.shape
    kv_len, kv_heads, _ = k.shape
    out, lse = np.zeros((q_len, heads, v.shape[-1]), real), np.full((q_len, heads), -np.inf, real)
    largest = 0.0
    for head in range(heads):
        keys, values = (part[:, head // (heads // kv_heads)].astype(real) for part in (k, v))
        scores = (q[:, head].astype(real) @ keys.T) * real(scale)
        if softcap:
            scores = real(softcap) * np.tanh(scores / real(softcap))
        scores *= real(np.log2(np.e))
        positions = np.arange(q_len)[:, None] + kv_len - q_len
        visible = np.ones((q_len, kv_len), bool)
        if causal:
            visible &= np.arange(kv_len) <= positions
        if window_tokens:
            visible &= np.arange(kv_len) > positions - window_tokens
        for row in range(q_len):
            seen = scores[row, visible[row]]
            if not seen.size:
                continue
            largest = max(largest, np.abs(seen).max())
            weights = np.exp2(seen - seen.max())
            stored = round_to(weights, dtype).astype(real) if real is np.float32 else weights
            out[row, head] = (stored @ values[visible[row]]) / weights.sum()
            lse[row, head] = seen.max() + np.log2(weights.sum())
    if real is np.float32:
        out = round_to(out, dtype)
    return out, lse, largest
