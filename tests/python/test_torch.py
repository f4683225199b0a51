# SPDX-License-Identifier: Apache-2.0
"""torch.ops.warpwright: registered as PyTorch wants it, right, and in compiled code and CUDA graphs."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402

if support.has("torch"):
    import numpy as np
    import torch

HEADS, KV_HEADS, DIM, PAGE = 4, 2, 64, 16


def normal(*shape, device, dtype=None, scale=1.0):
    return (torch.randn(shape, device=device) * scale).to(dtype or torch.bfloat16)


def integers(*values, device):
    return torch.tensor(values, dtype=torch.int32, device=device)


def calls(device):
    """name -> (arguments of torch.ops.warpwright.name), every operator; "name of_what" is another call."""
    torch.manual_seed(4)
    x, weight = normal(5, 128, device=device), normal(128, device=device)
    rows = lambda value, dtype=torch.float32: torch.full((3,), value, dtype=dtype, device=device)
    starts = integers(0, 1, 2, 3, device=device)
    table = torch.randperm(6, device=device).to(torch.int32).reshape(3, 2)
    pages = [normal(6, PAGE, KV_HEADS, DIM, device=device) for _ in range(2)]
    return {
        "rmsnorm": (x, weight, 1e-5, 1.0),
        "add_rmsnorm": (x, normal(5, 128, device=device), weight, 1e-5, 0.0),
        "gemm": (
            x,
            normal(32, 128, device=device),
            normal(32, device=device),
            None,
            normal(5, 32, device=device),
            "gelu",
            False,
        ),
        "gated_activation": (x[:, :64], x[:, 64:], "gelu_tanh"),
        "embedding": (integers(1, 0, 3, device=device), x, 2.0),
        "rope": (
            normal(3, HEADS, DIM, device=device),
            normal(3, KV_HEADS, DIM, device=device),
            integers(0, 4, 9, device=device),
            torch.linspace(1, 0.1, 32, device=device),
            1.0,
            False,
        ),
        "kv_append": (
            normal(3, KV_HEADS, DIM, device=device),
            normal(3, KV_HEADS, DIM, device=device),
            integers(0, 1, 2, device=device),
            integers(3, 17, -1, device=device),
            table,
            *pages,
        ),
        "kv_append of_keys": (
            normal(3, 1, 576, device=device),
            None,
            integers(0, 1, 2, device=device),
            integers(3, 17, -1, device=device),
            table,
            torch.zeros(6, PAGE, 1, 576, dtype=torch.uint8, device=device),
            None,
            "fp8_e4m3",
            torch.tensor([0.25], device=device),
        ),
        "latent_append": (
            normal(3, 128, device=device),
            integers(0, 1, 2, device=device),
            integers(3, 17, -1, device=device),
            table,
            torch.zeros(6, 16, 132, dtype=torch.uint8, device=device),
            "power_of_two",
        ),
        "attention": (
            normal(7, HEADS, DIM, device=device),
            normal(30, KV_HEADS, DIM, device=device),
            normal(30, KV_HEADS, DIM, device=device),
            integers(0, 3, 7, device=device),
            integers(0, 10, 30, device=device),
            4,
            0,
            True,
            0.0,
            5,
            0.0,
        ),
        "paged_attention": (
            normal(3, HEADS, DIM, device=device),
            *pages,
            starts,
            table,
            integers(20, 1, 32, device=device),
            1,
            0,
            True,
            0.0,
            0,
            10.0,
            None,
            None,
            None,
            False,
            None,
            0,
            torch.randn(HEADS, device=device),
            torch.rand(HEADS, device=device),
            integers([7], [-1], [0x55555555], device=device),
        ),
        "cascade": (
            normal(3, HEADS, DIM, device=device),
            *pages,
            [integers(0, 3, device=device), starts],
            [],
            [integers([0, 5], device=device), integers([1], [2], [3], device=device)],
            [integers(20, device=device), integers(4, 16, 1, device=device)],
            [3, 1],
            [],
        ),
        "mla": (
            normal(3, HEADS, 576, device=device),
            normal(5, 4, 576, device=device),
            integers([3, 1], [0, 4], device=device),
            integers(7, 3, device=device),
            integers(0, 2, 3, device=device),
            2,
        ),
        "mla of_codes": (
            normal(3, HEADS, 576, device=device),
            torch.randint(0, 0x50, (5, 4, 576), dtype=torch.uint8, device=device),
            integers([3, 1], [0, 4], device=device),
            integers(7, 3, device=device),
            integers(0, 2, 3, device=device),
            2,
            0,
            True,
            0.0,
            None,
            None,
            "fp8_e4m3",
            torch.tensor([0.25], device=device),
        ),
        "index_logits": (
            normal(3, HEADS, 128, device=device),
            torch.randn(3, HEADS, device=device),
            normal(5, 4, 128, device=device),
            integers([3, 1], [0, 4], device=device),
            integers(7, 3, device=device),
            integers(0, 2, 3, device=device),
            2,
        ),
        "index_topk": (
            torch.randn(3, 8, device=device),
            5,
            integers(7, 3, device=device),
            integers(0, 2, 3, device=device),
            integers([3, 1], [0, 4], device=device),
            4,
        ),
        "merge_state": (
            normal(3, HEADS, DIM, device=device),
            torch.randn(3, HEADS, device=device),
            normal(3, HEADS, DIM, device=device),
            torch.randn(3, HEADS, device=device),
            "e",
        ),
        "merge_states": (normal(2, 3, HEADS, DIM, device=device), torch.randn(2, 3, HEADS, device=device)),
        "logits": (
            normal(3, 200, device=device, dtype=torch.float32),
            30.0,
            starts,
            integers(5, 6, 199, device=device),
            rows(1.5),
            rows(-1.0),
            None,
        ),
        "sample": (
            normal(3, 200, device=device, dtype=torch.float32),
            rows(0.8),
            rows(50, torch.int32),
            rows(0.9),
            rows(0.0),
            torch.arange(6, dtype=torch.int32, device=device).reshape(3, 2),
            rows(2, torch.int32),
        ),
        **calls_on_codes(device),
    }


def calls_on_codes(device):
    """The operators of warpwright.torch_codes."""
    x, weight = normal(5, 128, device=device), normal(128, device=device)
    one = lambda value: torch.tensor([value], device=device)
    # As bytes: what PyTorch checks operators with cannot compare FP8.
    blocks, groups = (
        made._replace(codes=made.codes.view(torch.uint8))
        for made in (
            warpwright.quantize(normal(256, 128, device=device), "fp8_block"),
            warpwright.quantize(normal(5, 128, device=device), "fp8_group"),
        )
    )
    packed = warpwright.pack_weight(
        torch.arange(128 * 32, dtype=torch.uint8).reshape(32, 128) % 16,
        (torch.rand(32, 4) + 0.5).half(),
        group=32,
    ).map(lambda array: torch.from_dlpack(array).to(device))
    ids = integers([0, 3], [2, 1], [3, 2], device=device)
    order = warpwright.moe_permute(ids, 4, alignment=2)
    return {
        "quantize": (x, "mxfp8"),
        "quantize_by": (x, one(0.5), "fp8_tensor"),
        "dequantize": (groups.codes, groups.scales, "fp8_group", None, False, "bf16"),
        "amax": (x,),
        "scaling": (
            torch.rand(3, 4, device=device),
            torch.ones(4, device=device),
            torch.ones(4, device=device),
            "e5m2",
            1,
            "most_recent",
        ),
        "rmsnorm_codes": (x, weight, "nvfp4", 1e-5, 1.0, one(0.01)),
        "add_rmsnorm_codes": (x, normal(5, 128, device=device), weight, "int8_token"),
        "gated_activation_codes": (x, normal(5, 128, device=device), "fp8_group", "gelu"),
        "gemm_codes": (x, normal(32, 128, device=device), one(0.25), "i8"),
        "scaled_gemm": (groups.codes, groups.scales, blocks.codes, blocks.scales, "fp8_group", "fp8_block"),
        "scaled_gemm_codes": (
            groups.codes,
            groups.scales,
            blocks.codes,
            blocks.scales,
            "fp8_group",
            "fp8_block",
            one(0.25),
            "i8",
        ),
        "quantized_gemm": (x, packed.data, packed.scales, "int4", 32, 32),
        "quantized_gemm_codes": (x, packed.data, packed.scales, "int4", 32, 32, one(0.25), "e4m3"),
        "moe_route": (normal(3, 4, device=device), 2, "sigmoid", True, 2.5),
        "moe_permute": (ids, 4, 0, 2),
        "moe_combine": (
            normal(len(order.token_of_row), 64, device=device),
            order.row_of_slot,
            torch.rand(3, 2, device=device),
            normal(3, 64, device=device),
        ),
        "grouped_gemm": (
            normal(256, 64, device=device),
            normal(4, 32, 64, device=device),
            normal(4, 32, 64, device=device),
            torch.arange(4, dtype=torch.int32, device=device).repeat_interleave(64),
            None,
            None,
            None,
            None,
            None,
            None,
            "silu",
            None,
            64,
        ),
        "moe_experts": (
            normal(3, 64, device=device),
            ids,
            torch.rand(3, 2, device=device),
            normal(4, 32, 64, device=device),
            normal(4, 32, 64, device=device),
            normal(4, 64, 32, device=device),
        ),
        "rope_append": (
            normal(3, HEADS, DIM, device=device),
            normal(3, KV_HEADS, DIM, device=device),
            normal(3, KV_HEADS, DIM, device=device),
            integers(0, 4, 9, device=device),
            torch.linspace(1, 0.1, 32, device=device),
            integers(0, 1, 2, device=device),
            torch.randperm(6, device=device).to(torch.int32).reshape(3, 2),
            *(normal(6, PAGE, KV_HEADS, DIM, device=device) for _ in range(2)),
        ),
    }


def operator_of(name):
    """Of a key of calls()."""
    return getattr(torch.ops.warpwright, name.partition(" ")[0])


def copied(arguments):
    return [argument.clone() if isinstance(argument, torch.Tensor) else argument for argument in arguments]


def is_number(tensor):
    """Types that PyTorch calculates with, which FP8's are not."""
    return tensor.element_size() > 1 or not tensor.is_floating_point()


def fresh(argument):
    if not isinstance(argument, torch.Tensor) or not argument.is_floating_point():
        return argument
    return argument + 0 if is_number(argument) else argument.clone()


def used(result):
    return result * 1 if is_number(result) else result.view(torch.uint8) * 1


def everything(operator, arguments):
    """The results of a call and all of its tensors afterwards."""
    results = operator(*arguments)
    results = list(results) if isinstance(results, tuple) else [] if results is None else [results]
    return results + [argument for argument in arguments if isinstance(argument, torch.Tensor)]


class OnDevice:
    """What holds on every device; `device` is set by the classes below."""

    def setUp(self):
        import warpwright.torch  # noqa: F401

        self.calls = calls(self.device)

    def test_registration(self):
        tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
        for name, arguments in self.calls.items():
            with self.subTest(name):
                torch.library.opcheck(operator_of(name).default, copied(arguments), test_utils=tests)

    def test_every_operation_has_an_operator(self):
        from warpwright import _abi

        self.assertEqual(set(_abi.OPERATIONS) - set(self.calls), set())

    def test_compiled(self):
        backend = os.environ.get(
            "WARPWRIGHT_TEST_BACKEND", "inductor" if self.device != "cpu" else "aot_eager"
        )

        def function(calls):
            results = []
            for name, arguments in calls.items():
                # With something around every call for the compiler to do.
                arguments = [fresh(argument) for argument in arguments]
                made = everything(operator_of(name), arguments)
                results += [used(result) for result in made]
            return results

        expected = function(self.calls)
        got = torch.compile(function, fullgraph=True, backend=backend)(self.calls)
        self.assertEqual(len(got), len(expected))
        for one, other in zip(got, expected):
            torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)

    def test_attention_is_right(self):
        q, k, v, q_starts, kv_starts = self.calls["attention"][:5]
        out, lse = torch.ops.warpwright.attention(*self.calls["attention"])
        for sequence in range(2):
            mine = slice(q_starts[sequence], q_starts[sequence + 1])
            keys = slice(kv_starts[sequence], kv_starts[sequence + 1])
            parts = [part.double().cpu().numpy() for part in (q[mine], k[keys], v[keys])]
            answers = [
                support.attention_oracle(
                    *parts, scale=DIM**-0.5, causal=True, window_tokens=5, real=real, dtype="bf16"
                )
                for real in (np.float64, np.float32)
            ]
            (oracle, oracle_lse, scores), (reference, reference_lse, _) = answers
            support.assert_derived(
                self,
                out[mine].double().cpu().numpy(),
                oracle,
                reference,
                np.abs(parts[2]).max() * (1 + scores),
            )
            support.assert_derived(
                self, lse[mine].double().cpu().numpy(), oracle_lse, reference_lse, 16 + scores
            )

    def test_latent_rows_as_codes(self):
        rows, _, sequences, positions, table, cache, _, format_, scale = self.calls["kv_append of_keys"]
        torch.ops.warpwright.kv_append(
            rows, None, sequences, positions, table, cache, None, kv_format=format_, k_scale=scale
        )
        expected = torch.zeros_like(cache)
        codes = (rows.float() / scale).to(torch.float8_e4m3fn).view(torch.uint8)
        for token in range(2):  # the third is padding
            page = table[sequences[token], positions[token] // PAGE]
            expected[page, positions[token] % PAGE] = codes[token]
        self.assertTrue(torch.equal(cache, expected))

        q, codes, table, lengths, q_starts = self.calls["mla of_codes"][:5]
        out, lse = torch.ops.warpwright.mla(*self.calls["mla of_codes"])
        numbers = codes.view(torch.float8_e4m3fn).double() * 0.25
        for sequence in range(2):
            mine = slice(q_starts[sequence], q_starts[sequence + 1])
            keys = numbers[table[sequence]].reshape(-1, 1, 576)[: lengths[sequence]]
            parts = [part.double().cpu().numpy() for part in (q[mine], keys, keys[..., :512])]
            (oracle, oracle_lse, scores), (reference, reference_lse, _) = (
                support.attention_oracle(*parts, scale=192**-0.5, causal=True, real=real, dtype="bf16")
                for real in (np.float64, np.float32)
            )
            magnitude = parts[2].max() * (1 + scores)
            support.assert_derived(self, out[mine].double().cpu().numpy(), oracle, reference, magnitude)
            support.assert_derived(
                self, lse[mine].double().cpu().numpy(), oracle_lse, reference_lse, 16 + scores
            )

    def test_norm_and_product_are_right(self):
        x, weight = self.calls["rmsnorm"][:2]
        exact = x.double()
        oracle = exact / torch.sqrt(exact.pow(2).mean(-1, keepdim=True) + 1e-5) * (weight.double() + 1)
        got = torch.ops.warpwright.rmsnorm(x, weight, 1e-5, 1.0).double()
        oracle = oracle.cpu().numpy()
        support.assert_derived(
            self, got.cpu().numpy(), oracle, support.round_to(oracle, "bf16"), np.abs(oracle).max()
        )

        a, b = normal(33, 256, device=self.device), normal(65, 256, device=self.device)
        left, right = (part.double().cpu().numpy() for part in (a, b))
        reference = support.round_to(left.astype(np.float32) @ right.astype(np.float32).T, "bf16")
        support.assert_derived(
            self,
            torch.ops.warpwright.gemm(a, b).double().cpu().numpy(),
            left @ right.T,
            reference,
            (np.abs(left) @ np.abs(right).T).max(),
        )

    def test_types_of_codes(self):
        x = normal(4, 256, device=self.device)
        codes, scales = torch.ops.warpwright.quantize(x, "mxfp8")
        self.assertEqual((codes.dtype, scales.dtype), (torch.float8_e4m3fn, torch.float8_e8m0fnu))
        expected = codes.float() * torch.repeat_interleave(scales.float(), 32, 1)
        for given in ((codes, scales), (codes.view(torch.uint8), scales.view(torch.uint8))):
            got = torch.ops.warpwright.dequantize(*given, "mxfp8")
            self.assertTrue(torch.equal(got, expected))
        self.assertEqual(torch.ops.warpwright.quantize(x, "int8_token")[0].dtype, torch.int8)
        self.assertEqual(torch.ops.warpwright.quantize(x, "nvfp4")[0].dtype, torch.uint8)
        with self.assertRaisesRegex(
            warpwright.CallerError, "dequantize: codes must be u8 or float8_e4m3fn, got float8_e5m2"
        ):
            warpwright.dequantize(warpwright.Quantized(codes.view(torch.float8_e5m2), scales, "mxfp8"))

    def test_transposed_and_sliced_inputs(self):
        both = normal(6, 256, device=self.device)
        got = torch.ops.warpwright.gated_activation(both[:, :128], both[:, 128:])
        expected = torch.ops.warpwright.gated_activation(
            both[:, :128].contiguous(), both[:, 128:].contiguous()
        )
        self.assertTrue(torch.equal(got, expected))
        with self.assertRaisesRegex(warpwright.CallerError, "stride of dimension 1 must be 1, got 6"):
            torch.ops.warpwright.rmsnorm(both.t().contiguous().t(), both[0])


@support.needs("torch", "numpy")
class Cpu(OnDevice, unittest.TestCase):
    device = "cpu"


@support.needs("torch", "numpy")
@support.needs_gpu
class Gpu(OnDevice, unittest.TestCase):
    device = "cuda:0"

    def test_graphs(self):
        for name, arguments in self.calls.items():
            with self.subTest(name):
                operator = operator_of(name)
                expected = everything(operator, copied(arguments))
                static = copied(arguments)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    captured = everything(operator, static)
                # Nothing has run: the tensors are as they were, and then what they are after one call.
                for tensor, before in zip(static, arguments):
                    if isinstance(tensor, torch.Tensor):
                        self.assertTrue(torch.equal(used(tensor), used(before)))
                graph.replay()
                torch.cuda.synchronize()
                for one, other in zip(captured, expected):
                    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)

    def test_work_is_on_the_current_stream(self):
        stream = torch.cuda.Stream()
        a = torch.zeros(4096, 4096, device="cuda", dtype=torch.bfloat16)
        eye = torch.eye(4096, device="cuda", dtype=torch.bfloat16)
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            for value in range(1, 6):  # each would see the value before on another stream
                torch.cuda._sleep(10_000_000)
                a.fill_(value)
                got = warpwright.gemm(a, eye)
                self.assertEqual(got[-1, -1].item(), value)
        prepared = warpwright.prepare(warpwright.gemm, a, eye)
        with torch.cuda.stream(stream):
            torch.cuda._sleep(10_000_000)
            a.fill_(9)
            prepared.launch()
        stream.synchronize()
        self.assertEqual(prepared.result.min().item(), 9)

    def test_prepared_launches_in_a_graph(self):
        a, b = normal(16, 512, device="cuda"), normal(64, 512, device="cuda")
        prepared = warpwright.prepare(warpwright.gemm, a, b)
        expected = prepared.launch().clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            prepared.launch()
        prepared.result.zero_()
        graph.replay()
        self.assertTrue(torch.equal(prepared.result, expected))

    def test_another_place(self):
        with self.assertRaisesRegex(warpwright.CallerError, "gemm: b is on cpu, but a is on cuda:0"):
            warpwright.gemm(normal(2, 8, device="cuda"), normal(2, 8, device="cpu"))
        with self.assertRaisesRegex(warpwright.CallerError, "gemm: a is on cuda:0, but device is cpu"):
            warpwright.gemm(normal(2, 8, device="cuda"), normal(2, 8, device="cuda"), device="cpu")

    def test_numpy_arrays_on_the_gpu(self):
        random = np.random.default_rng(3)
        fused = random.standard_normal((5, 6, 64)).astype(np.float16)
        frequency, positions = np.linspace(1, 0.1, 16, dtype=np.float32), np.arange(5, dtype=np.int32)
        expected = torch.from_numpy(fused).cuda()
        warpwright.rope(
            expected[:, :4],
            expected[:, 4:],
            torch.from_numpy(positions).cuda(),
            torch.from_numpy(frequency).cuda(),
        )
        warpwright.rope(fused[:, :4], fused[:, 4:], positions, frequency, device="cuda:0")
        np.testing.assert_array_equal(fused, expected.cpu().numpy())

    def test_the_device_of_the_tensor_not_the_current_one(self):
        before = torch.cuda.current_device()
        warpwright.gemm(normal(2, 64, device="cuda"), normal(2, 64, device="cuda"))
        self.assertEqual(torch.cuda.current_device(), before)


if __name__ == "__main__":
    unittest.main()
