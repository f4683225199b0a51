# SPDX-License-Identifier: Apache-2.0
"""Routing, permuting and combining on NumPy arrays, on the CPU and on an emulated GPU, against NumPy; and a
whole mixture of experts against fp64.
"""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402

if support.has("numpy"):
    import numpy as np

DEVICES = (None, "emulated:rtx-5090")
SEED = 20261128


def half(random, *shape, scale=1.0):
    return (random.standard_normal(shape) * scale).astype(np.float16)


def route(logits, top_k, *, score, renormalize, scale, bias=0.0, num_groups=1, top_groups=1, by_pairs=True):
    """The definition in float64: (ids, weights)."""
    x = logits.astype(float)
    if score == "softmax":
        scores = np.exp(x - x.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
    elif score == "sigmoid":
        scores = 1 / (1 + np.exp(-x))
    else:
        scores = np.sqrt(np.log1p(np.exp(x)))
    choices = scores + bias
    if num_groups > 1:
        parts = np.sort(choices.reshape(len(x), num_groups, -1), -1)
        worth = parts[..., -2:].sum(-1) if by_pairs else parts[..., -1]
        best = np.argsort(-worth, -1, kind="stable")[:, :top_groups]
        allowed = np.zeros(worth.shape, bool)
        np.put_along_axis(allowed, best, True, -1)
        choices = np.where(np.repeat(allowed, x.shape[1] // num_groups, 1), choices, -np.inf)
    ids = np.argsort(-choices, -1, kind="stable")[:, :top_k]
    weights = np.take_along_axis(scores, ids, -1)
    if renormalize:
        weights = weights / (weights.sum(-1, keepdims=True) + 1e-20)
    return ids, weights * scale


@support.needs("numpy")
class Moe(unittest.TestCase):
    def on_devices(self, check):
        for device in DEVICES:
            with self.subTest(device=device or "cpu"):
                check(device, np.random.default_rng(SEED))

    def refuses(self, text, function, *arguments, **keywords):
        with self.assertRaises(warpwright.CallerError) as caught:
            function(*arguments, **keywords)
        self.assertEqual(str(caught.exception), text)

    def test_route(self):
        def check(device, random):
            logits = (random.standard_normal((9, 32)) * 2).astype(np.float32)
            bias = random.standard_normal(32).astype(np.float32)
            for wishes in (
                {"score": "softmax", "renormalize": True, "scale": 1.0},
                {"score": "sqrt_softplus", "renormalize": False, "scale": 1.5, "bias": bias},
                {
                    "score": "sigmoid",
                    "renormalize": True,
                    "scale": 2.5,
                    "bias": bias,
                    "num_groups": 4,
                    "top_groups": 2,
                },
                {
                    "score": "softmax",
                    "renormalize": False,
                    "scale": 1.0,
                    "num_groups": 8,
                    "top_groups": 3,
                    "groups_by_largest": True,
                },
            ):
                ids, weights = warpwright.moe_route(logits, 4, device=device, **wishes)
                by_largest = wishes.pop("groups_by_largest", False)
                expected_ids, oracle = route(logits, 4, by_pairs=not by_largest, **wishes)
                np.testing.assert_array_equal(ids, expected_ids)
                support.assert_derived(
                    self, weights, oracle, support.round_to(oracle, "f32"), 4 * oracle.max()
                )

        self.on_devices(check)

    def test_route_by_a_table(self):
        logits = np.random.default_rng(SEED).standard_normal((3, 8)).astype(np.float32)
        table = np.array([[1, 2], [3, 4]], np.int32)
        ids, weights = warpwright.moe_route(
            logits, 2, score="sigmoid", table=table, token_ids=np.array([1, 0, 5], np.int32)
        )
        np.testing.assert_array_equal(ids, [[3, 4], [1, 2], [-1, -1]])
        self.assertTrue((weights[2] == 0).all())

    def test_nan_logits_are_counted(self):
        logits = np.random.default_rng(SEED).standard_normal((3, 8)).astype(np.float32)
        logits[0, 3] = logits[2, 0] = np.nan
        count = np.array([10], np.int32)
        ids, _ = warpwright.moe_route(logits, 2, nan_count=count)
        self.assertEqual(count[0], 12)
        self.assertNotIn(3, ids[0])

    def permutation(self, ids, experts, alignment):
        """The definition: rows of experts, -1 for padding."""
        token_of_row, expert_of_row = [], []
        row_of_slot = np.full(ids.shape, -1)
        for expert in range(experts):
            for token, choice in zip(*np.nonzero(ids == expert)):
                row_of_slot[token, choice] = len(token_of_row)
                token_of_row.append(token)
                expert_of_row.append(expert)
            padding = -len(token_of_row) % alignment
            token_of_row += [-1] * padding
            expert_of_row += [-1] * padding
        return row_of_slot, token_of_row, expert_of_row

    def test_contiguous(self):
        def check(device, random):
            # 2100 slots: enough for the rows that count in chunks first.
            ids = np.argsort(random.standard_normal((1050, 8)), -1)[:, :2].astype(np.int32)
            ids[5, 1] = -1
            got = warpwright.moe_permute(ids, 8, alignment=16, device=device)
            row_of_slot, tokens, experts = self.permutation(ids, 8, 16)
            np.testing.assert_array_equal(got.row_of_slot, row_of_slot)
            used = len(tokens)
            self.assertGreaterEqual(len(got.token_of_row), used)
            np.testing.assert_array_equal(got.token_of_row[:used], tokens)
            np.testing.assert_array_equal(got.expert_of_row[:used], experts)
            self.assertTrue((got.token_of_row[used:] == -1).all() and (got.expert_of_row[used:] == -1).all())
            np.testing.assert_array_equal(got.expert_rows, [(ids == e).sum() for e in range(8)])

        self.on_devices(check)

    def test_masked(self):
        def check(device, random):
            ids = np.argsort(random.standard_normal((9, 4)), -1)[:, :2].astype(np.int32)
            got = warpwright.moe_permute(ids, 4, rows_per_expert=6, device=device)
            self.assertIsNone(got.expert_of_row)
            for expert in range(4):
                tokens = np.nonzero((ids == expert).any(-1))[0]
                self.assertEqual(got.expert_rows[expert], len(tokens))
                rows = got.token_of_row[6 * expert : 6 * expert + 6]
                np.testing.assert_array_equal(rows[: len(tokens)], tokens[:6])
                self.assertTrue((rows[len(tokens) :] == -1).all())

        self.on_devices(check)

    def test_experts_of_one_gpu(self):
        ids = np.array([[0, 3], [2, 1]], np.int32)
        here = np.array([-1, 0, -1, 1], np.int32)
        got = warpwright.moe_permute(ids, 2, expert_map=here, alignment=1)
        np.testing.assert_array_equal(got.row_of_slot, [[-1, 1], [-1, 0]])
        np.testing.assert_array_equal(got.token_of_row[:2], [1, 0])

    def test_combine(self):
        def check(device, random):
            rows, base = half(random, 12, 40), half(random, 5, 40)
            slots = np.array([[3, 0], [-1, 11], [2, 2], [-1, -1], [7, 5]], np.int32)
            weights = random.random((5, 2)).astype(np.float32)
            got = warpwright.moe_combine(rows, slots, weights, base=base, device=device)
            oracle = base.astype(float)
            for token, choice in zip(*np.nonzero(slots >= 0)):
                oracle[token] += weights[token, choice].astype(float) * rows[slots[token, choice]]
            support.assert_derived(self, got, oracle, support.round_to(oracle, "f16"), np.abs(oracle).max())

        self.on_devices(check)

    def test_a_mixture_of_experts(self):
        """Route, gather, two products of each expert, and back: INT8 weights and activations by token."""

        def check(device, random):
            experts, hidden, width = 4, 64, 64
            x = half(random, 6, hidden)
            up, down = (
                [warpwright.quantize(half(random, *shape, scale=0.2), "int8_token") for _ in range(experts)]
                for shape in ((width, hidden), (hidden, width))
            )
            stacked = [
                warpwright.Quantized(
                    np.stack([one.codes for one in side]),
                    np.stack([one.scales for one in side]),
                    "int8_token",
                )
                for side in (up, down)
            ]
            logits = random.standard_normal((6, experts)).astype(np.float32)
            where = {"device": device}
            ids, weights = warpwright.moe_route(logits, 2, renormalize=True, **where)
            order = warpwright.moe_permute(ids, experts, **where)
            rows = warpwright.quantize(
                warpwright.embedding(order.token_of_row, x, **where), "int8_token", **where
            )
            groups = order.expert_of_row
            hidden_rows = np.zeros((len(groups), width), np.float16)
            warpwright.scaled_gemm(
                rows, stacked[0], activation="silu", group_of_row=groups, out=hidden_rows, **where
            )
            again = warpwright.quantize(hidden_rows, "int8_token", **where)
            made = np.zeros((len(groups), hidden), np.float16)
            warpwright.scaled_gemm(again, stacked[1], group_of_row=groups, out=made, **where)
            got = warpwright.moe_combine(made, order.row_of_slot, weights, **where)

            # Step by step on the same codes: each of the steps is judged where it is tested.
            for token in range(6):
                expected = np.zeros(hidden)
                for choice in range(2):
                    row = order.row_of_slot[token, choice]
                    self.assertEqual(groups[row], ids[token, choice])
                    expected += weights[token, choice].astype(float) * made[row].astype(float)
                support.assert_derived(
                    self, got[token], expected, support.round_to(expected, "f16"), np.abs(expected).max()
                )
                for choice in range(2):
                    row, expert = order.row_of_slot[token, choice], ids[token, choice]
                    left = again.codes[row].astype(float) * again.scales[row]
                    right = down[expert].codes.astype(float) * down[expert].scales
                    oracle = right @ left
                    support.assert_derived(
                        self,
                        made[row],
                        oracle,
                        support.round_to(oracle, "f16"),
                        (np.abs(right) @ np.abs(left)).max(),
                    )

        self.on_devices(check)

    def test_grouped_products(self):
        """Contiguous groups with gathered rows and a gate, and slots by ids with weights."""

        def check(device, random):
            b, b_gate = half(random, 3, 24, 64), half(random, 3, 24, 64)
            a, groups = half(random, 40, 64), np.full(128, -1, np.int32)
            groups[:20], groups[64:70] = 2, 0
            rows = random.integers(0, 40, 128).astype(np.int32)
            out = np.full((128, 24), 7, np.float16)
            got = warpwright.grouped_gemm(
                a,
                b,
                b_gate=b_gate,
                group_of_row=groups,
                row_of_a=rows,
                group_rows=64,
                activation="silu",
                out=out,
                device=device,
            )
            exists = groups >= 0
            gathered = a[rows[exists]].astype(float)
            up, gate = (
                np.einsum("mk,mnk->mn", gathered, part[groups[exists]].astype(float)) for part in (b, b_gate)
            )
            oracle = gate / (1 + np.exp(-gate)) * up
            magnitude = np.einsum(
                "mk,mnk->mn", np.abs(gathered), np.abs(b[groups[exists]].astype(float))
            ).max()
            support.assert_derived(
                self, got[exists], oracle, support.round_to(oracle, "f16"), magnitude * np.abs(gate).max()
            )
            self.assertTrue((got[~exists] == 7).all())

            x, ids = half(random, 2, 64), np.array([[2, 0], [1, -1]], np.int32)
            weights = random.random((2, 2)).astype(np.float32)
            got = warpwright.grouped_gemm(x, b, ids=ids, weights=weights, out_dtype="f32", device=device)
            oracle = np.zeros((2, 24))
            for token, choice in zip(*np.nonzero(ids >= 0)):
                oracle[token] += weights[token, choice] * (b[ids[token, choice]].astype(float) @ x[token])
            magnitude = (np.abs(x).astype(float).sum(-1).max() * np.abs(b).max()) * 2
            support.assert_derived(self, got, oracle, oracle.astype(np.float32), magnitude)

        self.on_devices(check)

    def test_experts(self):
        """One call of few tokens and of many: what the definition gives."""

        def check(device, random):
            for tokens in (3, 40):
                x = half(random, tokens, 64)
                both, down = half(random, 4, 64, 64, scale=0.2), half(random, 4, 64, 32, scale=0.2)
                gate, up = both[:, :32], both[:, 32:]
                base = half(random, tokens, 64)
                logits = random.standard_normal((tokens, 4)).astype(np.float32)
                ids, weights = warpwright.moe_route(logits, 2, renormalize=True)
                got = warpwright.moe_experts(x, ids, weights, gate, up, down, base=base, device=device)

                def experts(real, rounded):
                    out = base.astype(real)
                    for token in range(tokens):
                        for choice in range(2):
                            expert = ids[token, choice]
                            u = gate[expert].astype(real) @ x[token].astype(real)
                            middle = rounded(
                                u / (1 + np.exp(-u)) * (up[expert].astype(real) @ x[token].astype(real))
                            )
                            part = rounded(down[expert].astype(real) @ middle.astype(real))
                            out[token] += real(weights[token, choice]) * part.astype(real)
                    return out

                oracle = experts(np.float64, lambda values: values)
                reference = support.round_to(
                    experts(np.float32, lambda values: values.astype(np.float16)), "f16"
                )
                support.assert_derived(self, got, oracle, reference, 64 * np.abs(oracle).max())

        self.on_devices(check)

    def test_quantized_experts(self):
        """Masked for few tokens, contiguous for many: what the packed weights stand for gives."""

        def weight(random, n, k):
            plain = random.integers(0, 16, (4, n, k)).astype(np.uint8)
            scales = random.uniform(0.01, 0.03, (4, n, k // 32)).astype(np.float16)
            numbers = (plain.astype(float) - 8) * np.repeat(scales.astype(float), 32, axis=2)
            return warpwright.pack_weight(plain, scales, group=32), numbers

        def check(device, random):
            for tokens in (3, 200):
                x = half(random, tokens, 64)
                (gate, g), (up, u), (down, d) = (weight(random, *shape) for shape in ((32, 64), (32, 64), (64, 32)))
                base = half(random, tokens, 64)
                logits = random.standard_normal((tokens, 4)).astype(np.float32)
                ids, weights = warpwright.moe_route(logits, 2, renormalize=True)
                got = warpwright.moe_experts(x, ids, weights, gate, up, down, base=base, device=device)

                def experts(real, rounded):
                    out = base.astype(real)
                    for token, choice in np.ndindex(tokens, 2):
                        expert, row = ids[token, choice], x[token].astype(real)
                        left = rounded(g[expert].astype(real) @ row)
                        middle = rounded(left / (1 + np.exp(-left)) * (u[expert].astype(real) @ row))
                        out[token] += real(weights[token, choice]) * rounded(d[expert].astype(real) @ middle)
                    return out

                oracle = experts(np.float64, lambda values: values)
                reference = experts(np.float32, lambda values: values.astype(np.float16).astype(np.float32))
                reference = support.round_to(reference, "f16")
                support.assert_derived(self, got, oracle, reference, 64 * np.abs(oracle).max())

        self.on_devices(check)

    def test_refusals(self):
        logits = np.zeros((3, 12), np.float32)
        self.refuses(
            "moe_route: top_k = 5, but only 4 experts can be chosen",
            warpwright.moe_route,
            logits,
            5,
            num_groups=3,
        )
        self.refuses(
            "moe_route: num_groups must be 1 to 32 and divide 12 experts, got 5",
            warpwright.moe_route,
            logits,
            2,
            num_groups=5,
        )
        self.refuses(
            "moe_route: num_groups: expected 1 or more, got 0", warpwright.moe_route, logits, 2, num_groups=0
        )
        self.refuses(
            "moe_route: score: expected one of softmax, sigmoid, sqrt_softplus, got relu",
            warpwright.moe_route,
            logits,
            2,
            score="relu",
        )
        self.refuses(
            "moe_route: scale: expected a number other than 0", warpwright.moe_route, logits, 2, scale=0
        )
        ids = np.zeros((3, 2), np.int32)
        short = warpwright.MoePermutation(ids.copy(), *(np.zeros(n, np.int32) for n in (128, 4, 128)))
        self.refuses(
            "moe_permute: contiguous: 6 slots of 4 experts, aligned to 128, need 512 rows, got 128",
            warpwright.moe_permute,
            ids,
            4,
            out=short,
        )
        self.refuses(
            "moe_permute: there can be 1 to 1024 experts, got 1025", warpwright.moe_permute, ids, 1025
        )
        self.refuses(
            "moe_permute: ids must be i32, got int64", warpwright.moe_permute, ids.astype(np.int64), 4
        )
        self.refuses(
            "moe_combine: weights: dimension 1 (top_k) is 3, but row_of_slot has 2",
            warpwright.moe_combine,
            half(np.random.default_rng(1), 4, 8),
            ids,
            np.zeros((3, 3), np.float32),
        )


if __name__ == "__main__":
    unittest.main()
