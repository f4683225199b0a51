# SPDX-License-Identifier: Apache-2.0
"""Tensors as they are given: places, types, strides, frameworks; and what is said about wrong ones."""

import ctypes
import gc
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402
from warpwright import _dlpack  # noqa: E402

if support.has("numpy"):
    import numpy as np


def halves(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float16)


class OnlyDlpack:
    """A tensor of a framework that nobody knows."""

    def __init__(self, values, kind=_dlpack.CPU):
        self.values = values
        self.kind = kind
        self.streams = []

    def __dlpack_device__(self):
        return (self.kind, 0)

    def __dlpack__(self, stream=None):
        self.streams.append(stream)
        return self.values.__dlpack__()


@support.needs("numpy")
class Refusals(unittest.TestCase):
    def refuses(self, text, function, *arguments, error=warpwright.CallerError, **keywords):
        with self.assertRaises(error) as caught:
            function(*arguments, **keywords)
        self.assertEqual(str(caught.exception), text)

    def test_type(self):
        table = halves(4, 8)
        self.refuses("embedding: ids must be i32, got int64", warpwright.embedding, np.arange(3), table)
        self.refuses(
            "rmsnorm: x must be bf16 or f16, got float64", warpwright.rmsnorm, np.ones((2, 8)), table[0]
        )
        self.refuses(
            "rmsnorm: weight must be f16, got f32", warpwright.rmsnorm, table, np.ones(8, np.float32)
        )
        swapped = np.ones((2, 8), np.float16).astype(">f2")
        self.refuses(
            "rmsnorm: x must be bf16 or f16, got byte-swapped float16", warpwright.rmsnorm, swapped, table[0]
        )

    def test_shape(self):
        self.refuses(
            "gemm: b: dimension 1 (k) is 9, but a has 8", warpwright.gemm, halves(2, 8), halves(3, 9)
        )
        self.refuses("gemm: a must have 2 dimensions, got 3", warpwright.gemm, halves(2, 2, 8), halves(3, 8))

    def test_last_dimension_has_gaps(self):
        wide = halves(4, 16)
        self.refuses(
            "rmsnorm: x: stride of dimension 1 must be 1, got 2",
            warpwright.rmsnorm,
            wide[:, ::2],
            wide[0, :8].copy(),
        )
        self.refuses(
            "rmsnorm: x: stride of dimension 1 must be 1, got 4",
            warpwright.rmsnorm,
            halves(8, 4).T[:, :],
            halves(8),
        )

    def test_no_tensor(self):
        self.refuses(
            "gemm: a: expected a tensor (torch, NumPy, CuPy, JAX, or with __dlpack__), got list",
            warpwright.gemm,
            [[1.0]],
            halves(1, 1),
        )
        self.refuses(
            "gemm: b: expected a tensor (torch, NumPy, CuPy, JAX, or with __dlpack__), got str",
            warpwright.gemm,
            halves(1, 1),
            "b",
        )

    def test_place(self):
        self.refuses(
            "gemm: a: expected a tensor on a CPU or CUDA device, got DLPack device type 10",
            warpwright.gemm,
            OnlyDlpack(halves(2, 8), kind=10),
            halves(3, 8),
        )

    def test_read_only_output(self):
        out = halves(2, 3)
        out.flags.writeable = False
        self.refuses("gemm: d is read-only", warpwright.gemm, halves(2, 8), halves(3, 8), out=out)

    def test_device(self):
        with self.assertRaises(warpwright.CallerError) as caught:
            warpwright.gemm(halves(2, 8), halves(3, 8), device="emulated:rtx-5080ti")
        self.assertIn("rtx-5080", str(caught.exception))

    def test_values(self):
        self.refuses(
            "gemm: activation: expected one of none, silu, gelu, gelu_tanh, got relu",
            warpwright.gemm,
            halves(2, 8),
            halves(3, 8),
            activation="relu",
        )
        self.refuses(
            "rmsnorm: epsilon: expected a number other than 0",
            warpwright.rmsnorm,
            halves(2, 8),
            halves(8),
            epsilon=0,
        )
        self.refuses(
            "attention: kv_lengths: expected a tensor with a page table, got none",
            warpwright.attention,
            halves(1, 2, 8),
            halves(2, 4, 2, 8),
            halves(2, 4, 2, 8),
            page_table=np.zeros((1, 2), np.int32),
        )
        self.refuses(
            "scaling: unknown field factr",
            warpwright.rope_frequencies,
            1e4,
            64,
            {"rope_type": "linear", "factr": 2},
        )

    def test_kinds_of_errors(self):
        self.assertTrue(issubclass(warpwright.CallerError, ValueError))
        context = warpwright.Context("cpu")
        with self.assertRaises(warpwright.CallerError):
            context.force("gemm", "gemm.no.such.row")
        with self.assertRaises(warpwright.UnavailableError):
            warpwright.Context("cuda:63")


@support.needs("numpy")
class Frameworks(unittest.TestCase):
    def setUp(self):
        self.x, self.weight = halves(3, 64), halves(64)
        self.expected = warpwright.rmsnorm(self.x, self.weight)

    def test_any_dlpack(self):
        out = np.empty_like(self.x)
        got = warpwright.rmsnorm(OnlyDlpack(self.x), OnlyDlpack(self.weight), out=OnlyDlpack(out))
        self.assertIs(got.values, out)
        np.testing.assert_array_equal(out, self.expected)
        with self.assertRaisesRegex(warpwright.CallerError, "out: expected a tensor for a result"):
            warpwright.rmsnorm(OnlyDlpack(self.x), OnlyDlpack(self.weight))

    def test_the_producer_hears_of_the_stream(self):
        tensor = OnlyDlpack(self.x, kind=_dlpack.CUDA)
        for stream, told in ((None, 1), (0, 1), (77, 77)):
            self.assertEqual(_dlpack.view(tensor, stream).shape, (3, 64))
            self.assertEqual(tensor.streams.pop(), told)

    def test_arrays_of_our_own(self):
        for device in ("cpu", "emulated:rtx-5090"):
            x, weight = (warpwright.Array.from_numpy(values, device) for values in (self.x, self.weight))
            got = warpwright.rmsnorm(x, weight)
            self.assertEqual((got.shape, got.dtype, got.device), ((3, 64), "f16", device))
            oracle = (
                self.x / np.sqrt((self.x.astype(float) ** 2).mean(-1, keepdims=True) + 1e-6) * self.weight
            )
            support.assert_derived(
                self, got.numpy(), oracle, support.round_to(oracle, "f16"), np.abs(oracle).max()
            )

    def test_export_lives_as_long_as_its_consumer(self):
        array = warpwright.Array.from_numpy(self.x, "cpu")
        before = len(_dlpack._exported)
        shared = np.from_dlpack(array)
        address = array.view().data
        del array
        gc.collect()
        self.assertEqual(shared.__array_interface__["data"][0], address)
        np.testing.assert_array_equal(shared, self.x)
        self.assertEqual(len(_dlpack._exported), before + 1)
        del shared
        gc.collect()
        self.assertEqual(len(_dlpack._exported), before)
        # A capsule that nobody consumes is freed as well.
        capsule = warpwright.Array.from_numpy(self.x, "cpu").__dlpack__()
        self.assertEqual(len(_dlpack._exported), before + 1)
        del capsule
        gc.collect()
        self.assertEqual(len(_dlpack._exported), before)

    def test_export_as_the_protocol_asks_for_it(self):
        array = warpwright.Array.from_numpy(self.x, "cpu")
        address = array.view().data

        def exported(**wishes):
            view = _dlpack.managed_view(array.__dlpack__(**wishes), "cpu")
            values = (ctypes.c_uint16 * self.x.size).from_address(view.data)
            np.testing.assert_array_equal(values, self.x.view(np.uint16).ravel())
            return view.data

        self.assertEqual(exported(max_version=(1, 0), dl_device=(1, 0), copy=False), address)
        self.assertNotEqual(exported(copy=True), address)
        with self.assertRaisesRegex(BufferError, r"own device \(1, 0\), got \(2, 0\)"):
            array.__dlpack__(dl_device=(2, 0))

    def test_read_only_inputs_and_strides(self):
        wide = halves(3, 200)
        self.x.flags.writeable = False
        np.testing.assert_array_equal(warpwright.rmsnorm(self.x, self.weight), self.expected)
        out = wide[:, 100:164]
        np.testing.assert_array_equal(warpwright.rmsnorm(self.x, self.weight, out=out), self.expected)
        np.testing.assert_array_equal(wide[:, 100:164], self.expected)

    @support.needs("torch")
    def test_torch(self):
        import torch

        x, weight = torch.from_numpy(self.x), torch.from_numpy(self.weight)
        got = warpwright.rmsnorm(x, weight)
        self.assertIsInstance(got, torch.Tensor)
        np.testing.assert_array_equal(got.numpy(), self.expected)
        out = torch.empty_like(x)
        self.assertIs(warpwright.rmsnorm(x, weight.requires_grad_(), out=out), out)
        # bf16, which NumPy has not.
        rounded = x.to(torch.bfloat16)
        got = warpwright.rmsnorm(rounded, weight.detach().to(torch.bfloat16)).double().numpy()
        exact = rounded.double().numpy()
        oracle = (
            exact
            / np.sqrt((exact**2).mean(-1, keepdims=True) + 1e-6)
            * weight.detach().bfloat16().double().numpy()
        )
        support.assert_derived(self, got, oracle, support.round_to(oracle, "bf16"), np.abs(oracle).max())
        with self.assertRaisesRegex(
            warpwright.CallerError, "rmsnorm: x: expected a tensor on a cpu or cuda device, got meta"
        ):
            warpwright.rmsnorm(x.to("meta"), weight)
        with self.assertRaisesRegex(warpwright.CallerError, "embedding: ids must be i32, got int64"):
            warpwright.embedding(torch.arange(2), x)

    @support.needs("jax")
    def test_jax(self):
        import jax
        import jax.numpy as jnp

        x, weight = jnp.asarray(self.x), jnp.asarray(self.weight)
        got = warpwright.rmsnorm(x, weight)
        self.assertIsInstance(got, jax.Array)
        np.testing.assert_array_equal(np.asarray(got), self.expected)
        tokens = warpwright.sample(jnp.asarray(self.x, jnp.float32), temperature=0.0)
        np.testing.assert_array_equal(np.asarray(tokens), self.x.argmax(-1))
        low = warpwright.rmsnorm(x.astype(jnp.bfloat16), weight.astype(jnp.bfloat16))
        self.assertEqual(low.dtype, jnp.bfloat16)
        with self.assertRaisesRegex(
            warpwright.CallerError, "rmsnorm: residual is a jax array, which cannot be written"
        ):
            warpwright.rmsnorm(x, weight, residual=x)


@support.needs("numpy", "torch")
@support.needs_gpu
class OnGpu(unittest.TestCase):
    """Frameworks beside PyTorch, whose tests are in test_torch.py."""

    def setUp(self):
        self.x, self.weight = halves(300, 4096), halves(4096)
        oracle = self.x.astype(float)
        oracle /= np.sqrt((oracle**2).mean(-1, keepdims=True) + 1e-6)
        self.oracle = oracle * self.weight

    def judge(self, got):
        reference = support.round_to(self.oracle, "f16")
        support.assert_derived(self, got, self.oracle, reference, np.abs(self.oracle).max())

    @support.needs("cupy")
    def test_cupy(self):
        import cupy

        weight = cupy.asarray(self.weight)
        with cupy.cuda.Stream(non_blocking=True) as stream:
            x = cupy.empty_like(cupy.asarray(self.x))
            slow = cupy.ones((8192, 8192), "float32")
            for _ in range(5):
                slow = (
                    slow @ slow / 8192
                )  # keeps the stream busy: another one would read x before it is written
            x.set(self.x, stream=stream)
            got = warpwright.rmsnorm(x, weight)
            self.assertIsInstance(got, cupy.ndarray)
            self.judge(got.get(stream=stream))
            tokens = warpwright.sample(x.astype("float32"), temperature=0.0)
            np.testing.assert_array_equal(tokens.get(stream=stream), self.x.argmax(-1))
            step = warpwright.prepare(warpwright.rmsnorm, x, weight, out=got)
            got.fill(0)
            step.launch()
            self.judge(got.get(stream=stream))

    @support.needs("jax")
    def test_jax(self):
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax

        if jax.default_backend() != "gpu":
            self.skipTest("JAX has no GPU")
        x, weight = jax.device_put(self.x), jax.device_put(self.weight)
        got = warpwright.rmsnorm(x * 1, weight)
        self.assertEqual(got.devices(), x.devices())
        self.judge(np.asarray(got))

    def test_arrays_of_our_own(self):
        x, weight = (warpwright.Array.from_numpy(values, "cuda:0") for values in (self.x, self.weight))
        got = warpwright.rmsnorm(x, weight)
        self.judge(got.numpy())
        import torch

        shared = torch.from_dlpack(got)
        self.assertEqual((shared.data_ptr(), shared.device.type), (got.view().data, "cuda"))
        self.judge(shared.cpu().numpy())


if __name__ == "__main__":
    unittest.main()
