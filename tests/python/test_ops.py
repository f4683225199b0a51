# SPDX-License-Identifier: Apache-2.0
"""Every operation on NumPy arrays, on the CPU and on an emulated GPU, against its definition in fp64."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402

if support.has("numpy"):
    import numpy as np

DEVICES = (None, "emulated:rtx-5090")
SEED = 20261125


def half(random, *shape, scale=1.0):
    return (random.standard_normal(shape) * scale).astype(np.float16)


@support.needs("numpy")
class Operations(unittest.TestCase):
    def on_devices(self, check):
        """check(device, random) with the same random numbers for each."""
        for device in DEVICES:
            with self.subTest(device=device or "cpu"):
                check(device, np.random.default_rng(SEED))

    def test_gemm(self):
        def check(device, random):
            a, b = half(random, 5, 96), half(random, 40, 96)
            bias, gate, residual = half(random, 40), half(random, 5, 40), half(random, 5, 40)
            got = warpwright.gemm(
                a, b, bias=bias, gate=gate, residual=residual, activation="silu", device=device
            )

            def epilogue(product, real):
                x, g = product + bias.astype(real), gate.astype(real)
                return g / (1 + np.exp(-g)) * x + residual.astype(real)

            oracle = epilogue(a.astype(float) @ b.astype(float).T, float)
            reference = support.round_to(
                epilogue(a.astype(np.float32) @ b.astype(np.float32).T, np.float32), "f16"
            )
            magnitude = (np.abs(a.astype(float)) @ np.abs(b.astype(float)).T).max() * np.abs(gate).max()
            support.assert_derived(self, got, oracle, reference, magnitude)

            plain = warpwright.gemm(a, b, out_dtype="f32", device=device)
            self.assertEqual(plain.dtype, np.float32)
            early = warpwright.gemm(a, b, out_dtype="f32", b_is_constant=True, device=device)
            np.testing.assert_array_equal(early, plain)
            oracle = a.astype(float) @ b.astype(float).T
            support.assert_derived(
                self, plain, oracle, a.astype(np.float32) @ b.astype(np.float32).T, magnitude
            )

        self.on_devices(check)

    def test_ragged_attention(self):
        def check(device, random):
            q_starts, kv_starts = np.array([0, 3, 8], np.int32), np.array([0, 20, 27], np.int32)
            q, k, v = half(random, 8, 4, 64), half(random, 27, 2, 64), half(random, 27, 2, 64)
            lse = np.empty((8, 4), np.float32)
            got = warpwright.attention(
                q,
                k,
                v,
                q_starts=q_starts,
                kv_starts=kv_starts,
                max_q_len=5,
                window_tokens=6,
                softcap=20.0,
                lse_base2=lse,
                device=device,
            )
            parts = [
                (
                    q[q_starts[s] : q_starts[s + 1]],
                    k[kv_starts[s] : kv_starts[s + 1]],
                    v[kv_starts[s] : kv_starts[s + 1]],
                )
                for s in range(2)
            ]
            self.judge_attention(got, lse, parts, window_tokens=6, softcap=20.0)

        self.on_devices(check)

    def test_values_of_other_columns(self):
        def check(device, random):
            q, k, v = half(random, 40, 4, 192), half(random, 70, 4, 192), half(random, 70, 4, 128)
            lse = np.empty((40, 4), np.float32)
            got = warpwright.attention(q, k, v, scale=1 / 8, lse_base2=lse, device=device)
            self.assertEqual(got.shape, (40, 4, 128))
            self.judge_attention(got, lse, [(q, k, v)])

        self.on_devices(check)
        q, k, v = np.zeros((1, 8, 192), np.float16), np.zeros((8192, 8, 192)), np.zeros((8192, 8, 128))
        asked = warpwright.attention_workspace_bytes(
            q, k.astype(np.float16), v.astype(np.float16), device="emulated:h200"
        )
        self.assertEqual(asked % (8 * 129 * 4), 0)  # parts of 128 columns and a log-sum-exp
        self.assertGreater(asked, 0)

    def test_paged_attention(self):
        def check(device, random):
            lengths = np.array([37, 5, 16], np.int32)
            table = random.permutation(9).reshape(3, 3).astype(np.int32)
            k_pages, v_pages = half(random, 9, 16, 2, 64), half(random, 9, 16, 2, 64)
            q = half(random, 3, 4, 64)
            lse = np.empty((3, 4), np.float32)
            got = warpwright.attention(
                q, k_pages, v_pages, page_table=table, kv_lengths=lengths, lse_base2=lse, device=device
            )
            parts = [
                (
                    q[s : s + 1],
                    k_pages[table[s]].reshape(48, 2, 64)[: lengths[s]],
                    v_pages[table[s]].reshape(48, 2, 64)[: lengths[s]],
                )
                for s in range(3)
            ]
            self.judge_attention(got, lse, parts)

        self.on_devices(check)

    def judge_attention(self, got, got_lse, parts, **options):
        answers = [
            [
                support.attention_oracle(*part, scale=1 / 8, causal=True, real=real, **options)
                for part in parts
            ]
            for real in (np.float64, np.float32)
        ]
        (out, lse, scores), (reference, reference_lse, _) = [
            (
                np.concatenate([one[0] for one in answer]),
                np.concatenate([one[1] for one in answer]),
                max(one[2] for one in answer),
            )
            for answer in answers
        ]
        largest = max(np.abs(part[2]).max() for part in parts)
        support.assert_derived(self, got, out, reference, largest * (1 + scores))
        support.assert_derived(self, got_lse, lse, reference_lse, 16 + scores)

    def test_sinks_slopes_and_masks(self):
        def check(device, random):
            q, k, v = half(random, 5, 4, 64), half(random, 40, 2, 64), half(random, 40, 2, 64)
            sinks = random.standard_normal(4).astype(np.float32)
            slopes = np.array([0.5, 0.25, 0.125, 0.0625], np.float32)
            seen = random.random((5, 40)) < 0.7
            bits = np.zeros((5, 8), np.uint8)
            bits[:, :5] = np.packbits(seen, -1, "little")
            lse = np.empty((5, 4), np.float32)
            got = warpwright.attention(
                q,
                k,
                v,
                causal=False,
                window_right=2,
                sinks=sinks,
                alibi_slopes=slopes,
                mask=bits.view(np.int32),
                lse_base_e=lse,
                device=device,
            )
            places = np.arange(5)[:, None] + 35 - np.arange(40)  # from a key to the query's own position
            visible = seen & (places >= -2)

            def by_definition(real, dtype):
                out, sums, largest = np.zeros(q.shape, real), np.zeros((5, 4), real), 0.0
                for head in range(4):
                    scores = q[:, head].astype(real) @ k[:, head // 2].astype(real).T / real(8)
                    scores -= real(slopes[head]) * np.abs(places).astype(real)
                    scores = np.where(visible, scores, -np.inf)
                    top = np.maximum(scores.max(-1), real(sinks[head]))
                    weights = np.exp(scores - top[:, None])
                    total = weights.sum(-1) + np.exp(real(sinks[head]) - top)
                    stored = support.round_to(weights, dtype).astype(real) if real is np.float32 else weights
                    out[:, head] = stored @ v[:, head // 2].astype(real) / total[:, None]
                    sums[:, head] = top + np.log(total)
                    largest = max(largest, np.abs(scores[visible]).max())
                return out, sums, largest

            oracle, oracle_lse, scores = by_definition(np.float64, "f16")
            reference, reference_lse, _ = by_definition(np.float32, "f16")
            magnitude = np.abs(v).max() * (1 + scores)
            support.assert_derived(self, got, oracle, support.round_to(reference, "f16"), magnitude)
            support.assert_derived(self, lse, oracle_lse, reference_lse, 16 + scores)

        self.on_devices(check)

    def test_masks_of_booleans_are_those_of_bits(self):
        def check(device, random):
            q, k, v = half(random, 70, 4, 64), half(random, 90, 2, 64), half(random, 90, 2, 64)
            seen = random.random((70, 90)) < 0.5
            bits = np.zeros((70, 12), np.uint8)
            bits[:, :12] = np.packbits(seen, -1, "little")
            expected = warpwright.attention(q, k, v, mask=bits.view(np.int32), device=device)
            for mask in (seen, np.asfortranarray(seen).copy(), (seen * 7).astype(np.uint8)):
                got = warpwright.attention(q, k, v, mask=mask, device=device)
                np.testing.assert_array_equal(got, expected)
            got = warpwright.attention(
                q, k, v, mask=np.pad(seen, ((0, 0), (3, 2)), constant_values=True)[:, 3:93], device=device
            )
            np.testing.assert_array_equal(got, expected)

        self.on_devices(check)

    def test_listed_blocks_are_those_of_a_mask(self):
        def check(device, random):
            q, k, v = half(random, 150, 4, 128), half(random, 300, 2, 128), half(random, 300, 2, 128)
            listed = random.random((3, 5)) < 0.5  # blocks of 64 queries and 64 keys
            listed[1] = listed[:, 1] = False
            starts = np.concatenate([[0], listed.sum(1).cumsum()]).astype(np.int32)[None, None]
            columns = np.nonzero(listed)[1].astype(np.int32)
            k[64:128] = v[64:128] = np.nan  # of no list
            blocks = dict(block_starts=starts, block_columns=columns, block_queries=64, block_keys=64)
            lse, expected_lse = np.empty((150, 4), np.float32), np.empty((150, 4), np.float32)
            got = warpwright.attention(q, k, v, lse_base2=lse, device=device, **blocks)
            seen = np.repeat(np.repeat(listed, 64, 0)[:150], 64, 1)[:, :300]
            expected = warpwright.attention(
                q, np.nan_to_num(k), np.nan_to_num(v), mask=seen, lse_base2=expected_lse, device=device
            )
            # The same keys in steps of other tiles.
            np.testing.assert_allclose(got.astype(float), expected.astype(float), rtol=2e-3, atol=2e-3)
            np.testing.assert_allclose(lse, expected_lse, rtol=1e-4, atol=1e-3)
            self.assertFalse(got[64:128].any())

        self.on_devices(check)

    def test_chunks_and_masks_of_queries(self):
        def check(device, random):
            q, k, v = half(random, 6, 2, 64), half(random, 20, 2, 64), half(random, 20, 2, 64)
            seen = np.tril(random.random((6, 6)) < 0.6) | np.eye(6, dtype=bool)
            bits = np.zeros((6, 4), np.uint8)
            bits[:, :1] = np.packbits(seen, -1, "little")
            whole = np.concatenate([np.ones((6, 14), bool), seen], 1)
            all_bits = np.zeros((6, 4), np.uint8)
            all_bits[:, :3] = np.packbits(whole, -1, "little")
            of_queries = warpwright.attention(
                q, k, v, mask=bits.view(np.int32), mask_of_queries=True, device=device
            )
            of_keys = warpwright.attention(q, k, v, mask=all_bits.view(np.int32), device=device)
            np.testing.assert_array_equal(of_queries, of_keys)

            # In chunks of 8 the queries at 14 and 15 see the keys from 8 on, those from 16 on their own.
            got = warpwright.attention(q, k, v, chunk_tokens=8, device=device)
            parts = ((slice(0, 2), slice(8, 16)), (slice(2, 6), slice(16, 20)))
            for queries, keys in parts:
                answers = [
                    support.attention_oracle(q[queries], k[keys], v[keys], scale=1 / 8, causal=True, real=real)
                    for real in (np.float64, np.float32)
                ]
                magnitude = np.abs(v).max() * (1 + answers[0][2])
                support.assert_derived(self, got[queries], answers[0][0], answers[1][0], magnitude)

        self.on_devices(check)

    def test_workspace_is_that_of_the_masks(self):
        q, k = np.zeros((1, 8, 64), np.float16), np.zeros((8192, 8, 64), np.float16)
        asked = lambda **options: warpwright.attention_workspace_bytes(
            q, k, k, device="emulated:h200", **options
        )
        self.assertGreater(asked(chunk_tokens=256), 0)
        self.assertLess(asked(chunk_tokens=256), asked())
        self.assertLess(asked(causal=False, window_tokens=128, window_right=3), asked(window_tokens=8000))
        for options, message in (
            ({"window_right": -1}, "window_right: expected 0 or more, or None for all, got -1"),
            ({"mask": np.zeros((1, 3), np.int32)}, "mask has 3 words of 32 keys in a row, too few for 8192"),
            ({"sinks": np.zeros(7, np.float32)}, "sinks: dimension 0 .heads. is 7, but q has 8"),
            ({"alibi_slopes": np.zeros(8)}, "alibi_slopes must be f32"),
        ):
            with self.assertRaisesRegex(warpwright.CallerError, message):
                asked(**options)

    def test_one_sequence_needs_no_starts(self):
        random = np.random.default_rng(SEED)
        q, k, v = half(random, 3, 2, 32), half(random, 9, 2, 32), half(random, 9, 2, 32)
        starts = np.array([0, 3], np.int32), np.array([0, 9], np.int32)
        expected = warpwright.attention(q, k, v, q_starts=starts[0], kv_starts=starts[1], max_q_len=3)
        np.testing.assert_array_equal(warpwright.attention(q, k, v), expected)

    def test_merged_attention(self):
        """Over parts of the keys and then put together, or over all of them at once."""

        def check(device, random):
            q, k, v = half(random, 3, 4, 64), half(random, 20, 2, 64), half(random, 20, 2, 64)
            whole = {"causal": False, "device": device}
            parts, lses = [], []
            for keys in (slice(0, 7), slice(7, 12), slice(12, 20)):
                lse = np.empty((3, 4), np.float32)
                parts.append(warpwright.attention(q, k[keys], v[keys], lse_base2=lse, **whole))
                lses.append(lse)
            oracle, oracle_lse, scores = support.attention_oracle(q, k, v, scale=1 / 8, causal=False)
            # In fp16 parts, as the reference has them too.
            weights = np.exp2(np.stack(lses).astype(float) - oracle_lse)[..., None]
            reference = support.round_to((np.stack(parts).astype(float) * weights).sum(0), "f16")
            got, lse = warpwright.merge_states(np.stack(parts), np.stack(lses), device=device)
            magnitude = np.abs(v).max() * (1 + scores)
            support.assert_derived(self, got, oracle, reference, magnitude)
            support.assert_derived(self, lse, oracle_lse, oracle_lse.astype(np.float32), 16 + scores)

            natural = [part * np.float32(np.log(2)) for part in lses]
            first = warpwright.merge_state(parts[0], natural[0], parts[1], natural[1], base="e", device=device)
            both, both_lse = warpwright.merge_state(*first, parts[2], natural[2], base="e", device=device)
            support.assert_derived(self, both, oracle, reference, magnitude)
            support.assert_derived(
                self, both_lse / np.log(2), oracle_lse, oracle_lse.astype(np.float32), 16 + scores
            )

        self.on_devices(check)

    def test_cascade(self):
        """Keys that three sequences share, and their own."""

        def check(device, random):
            q, k, v = half(random, 6, 4, 64), half(random, 60, 2, 64), half(random, 60, 2, 64)
            starts, own_starts = np.array([0, 2, 3, 6], np.int32), np.array([32, 45, 49, 60], np.int32)
            ragged = (
                warpwright.CascadeLevel(np.array([0, 6], np.int32), np.array([0, 32], np.int32)),
                warpwright.CascadeLevel(starts, own_starts, max_q_len=3, max_kv_len=13),
            )
            lse = np.empty((6, 4), np.float32)
            got = warpwright.cascade(q, k, v, ragged, lse_base2=lse, device=device)
            oracle, reference = [], []
            for s in range(3):
                mine, own = slice(*starts[s : s + 2]), slice(*own_starts[s : s + 2])
                both = [np.concatenate([part[:32], part[own]]) for part in (k, v)]
                oracle.append(support.attention_oracle(q[mine], *both, scale=1 / 8, causal=True))
                parts = [
                    support.attention_oracle(
                        q[mine], k[keys], v[keys], scale=1 / 8, causal=keys is own, real=np.float32
                    )
                    for keys in (slice(0, 32), own)
                ]
                weights = [np.exp2(part[1] - oracle[-1][1])[..., None] for part in parts]
                reference.append(sum(part[0] * weight for part, weight in zip(parts, weights)))
            exact, exact_lse = (np.concatenate([one[i] for one in oracle]) for i in (0, 1))
            scores = max(one[2] for one in oracle)
            rounded = support.round_to(np.concatenate(reference), "f16")
            support.assert_derived(self, got, exact, rounded, np.abs(v).max() * (1 + scores))
            support.assert_derived(self, lse, exact_lse, exact_lse.astype(np.float32), 16 + scores)

            # The same keys in pages of 4, whose last ones are not full, and the natural logarithm.
            pages = np.zeros((2, 20, 4, 2, 64), np.float16)
            table, free = np.full((3, 4), -1, np.int32), 8
            for tensor, part in zip(pages, (k, v)):
                tensor[:8] = part[:32].reshape(8, 4, 2, 64)
            for s in range(3):
                for page, key in enumerate(range(own_starts[s], own_starts[s + 1], 4)):
                    keys = slice(key, min(key + 4, own_starts[s + 1]))
                    for tensor, part in zip(pages, (k, v)):
                        tensor[free, : keys.stop - key] = part[keys]
                    table[s, page], free = free, free + 1
            paged = (
                warpwright.CascadeLevel(
                    ragged[0].q_starts,
                    page_table=np.arange(8, dtype=np.int32)[None],
                    kv_lengths=np.array([32], np.int32),
                ),
                warpwright.CascadeLevel(
                    starts, page_table=table, kv_lengths=np.diff(own_starts).astype(np.int32), max_q_len=3
                ),
            )
            natural = np.empty((6, 4), np.float32)
            with warpwright.prepare() as step:
                out = warpwright.cascade(q, *pages, paged, lse_base_e=natural, device=device)
            step.launch()
            support.assert_derived(self, out, exact, rounded, np.abs(v).max() * (1 + scores))
            support.assert_derived(
                self, natural / np.log(2), exact_lse, exact_lse.astype(np.float32), 16 + scores
            )
            with self.assertRaisesRegex(
                warpwright.CallerError, "cascade: level 0: attention: kv_lengths is null"
            ):
                warpwright.cascade(q, *pages, [paged[0]._replace(kv_lengths=None)], device=device)

        self.on_devices(check)
        q = half(np.random.default_rng(SEED), 1, 2, 32)
        with self.assertRaisesRegex(warpwright.CallerError, "cascade: there must be at least one level"):
            warpwright.cascade(q, q, q, [])

    def test_mla(self):
        """Two sequences of latent rows in shuffled pages; queries of unequal number."""

        def check(device, random):
            q, cache = half(random, 5, 6, 576), half(random, 7, 4, 576)
            table = np.array([[3, 0, 6, -1], [5, 1, -1, -1]], np.int32)
            lengths, starts = np.array([11, 6], np.int32), np.array([0, 3, 5], np.int32)
            parts, references = [], []
            for s in range(2):
                pages = table[s, : -(-lengths[s] // 4)]
                keys = cache[pages].reshape(-1, 1, 576)[: lengths[s]]
                mine = q[starts[s] : starts[s + 1]]
                parts.append(support.attention_oracle(mine, keys, keys, scale=192**-0.5, causal=True))
                references.append(
                    support.attention_oracle(
                        mine, keys, keys, scale=192**-0.5, causal=True, real=np.float32
                    )
                )
            exact, exact_lse = (np.concatenate([one[i] for one in parts]) for i in (0, 1))
            reference = np.concatenate([one[0] for one in references])[..., :512]
            scores = max(one[2] for one in parts)
            lse = np.empty((5, 6), np.float32)
            got = warpwright.mla(
                q, cache, table, lengths, q_starts=starts, max_q_len=3, lse_base_e=lse, device=device
            )
            self.assertEqual(got.shape, (5, 6, 512))
            support.assert_derived(self, got, exact[..., :512], reference, np.abs(cache).max() * (1 + scores))
            support.assert_derived(
                self, lse / np.log(2), exact_lse, exact_lse.astype(np.float32), 16 + scores
            )
            # One query a sequence by default, of a launch that is prepared.
            with warpwright.prepare() as step:
                last = warpwright.mla(q[[2, 4]], cache, table, lengths, device=device)
            step.launch()
            support.assert_derived(
                self, last, exact[[2, 4], :, :512], reference[[2, 4]], np.abs(cache).max() * (1 + scores)
            )
            # The same rows as records: codes, a scale for 128 of them, the rest in 16 bits.
            codes = random.integers(0x20, 0x48, (7, 4, 512)).astype(np.uint8)
            scales = random.uniform(0.5, 1.5, (7, 4, 4)).astype(np.float32)
            numbers = (8 + codes % 8) / 8 * 2.0 ** (codes // 8 - 7.0)  # e4m3, normal
            numbers = numbers.reshape(7, 4, 4, 128) * scales[..., None].astype(float)
            rotated = cache[..., 512:]
            rounded = support.round_to(numbers, "f16").reshape(7, 4, 512).astype(np.float16)
            records = np.concatenate([codes, scales.view(np.uint8), rotated.copy().view(np.uint8)], -1)
            as_numbers = np.concatenate([rounded, rotated], -1)
            np.testing.assert_array_equal(
                warpwright.mla(q, records, table, lengths, q_starts=starts, max_q_len=3, device="cpu"),
                warpwright.mla(q, as_numbers, table, lengths, q_starts=starts, max_q_len=3, device="cpu"),
            )
            # Codes alone, of one scale: a power of two, by which numbers stay what they are.
            codes = random.integers(0x20, 0x48, (7, 4, 576)).astype(np.uint8)
            numbers = ((8 + codes % 8) / 8 * 2.0 ** (codes // 8 - 7.0)).astype(np.float16)
            of_codes = {"kv_format": "fp8_e4m3", "k_scale": 0.25, "q_starts": starts, "max_q_len": 3}
            np.testing.assert_array_equal(
                warpwright.mla(q, codes, table, lengths, **of_codes, device="cpu"),
                warpwright.mla(
                    q, numbers * np.float16(0.25), table, lengths, q_starts=starts, max_q_len=3, device="cpu"
                ),
            )
            with self.assertRaisesRegex(warpwright.CallerError, "kv_format must be same or fp8_e4m3"):
                warpwright.mla(q, codes, table, lengths, **{**of_codes, "kv_format": "fp8_e5m2"}, device="cpu")
            with self.assertRaisesRegex(warpwright.CallerError, "k_scale is for kv_format fp8_e4m3, got same"):
                warpwright.mla(q, cache, table, lengths, **{**of_codes, "kv_format": None}, device="cpu")
            # Lists of slots, in any order and with holes, in place of pages and lengths.
            lists = np.full((5, 6), -1, np.int32)
            for token, row in enumerate(lists):
                row[token % 3 : 5] = random.permutation(28)[: 5 - token % 3]
            lists[3] = -1
            rows = cache.reshape(28, 1, 576)
            parts, references = [], []
            for token, row in enumerate(lists):
                keys = rows[row[row >= 0]]
                one = q[token : token + 1]
                for real, to in ((np.float64, parts), (np.float32, references)):
                    to.append(
                        support.attention_oracle(one, keys, keys, scale=192**-0.5, causal=False, real=real)
                        if len(keys)
                        else (np.zeros((1, 6, 576)), np.full((1, 6), -np.inf), 0)
                    )
            exact, exact_lse = (np.concatenate([one[i] for one in parts]) for i in (0, 1))
            reference = np.concatenate([one[0] for one in references])[..., :512]
            scores = max(one[2] for one in parts)
            lse = np.empty((5, 6), np.float32)
            got = warpwright.mla(q, cache, indices=lists, lse_base2=lse, device=device)
            support.assert_derived(self, got, exact[..., :512], reference, np.abs(cache).max() * (1 + scores))
            self.assertTrue((got[3] == 0).all() and np.isneginf(lse[3]).all())
            seen = [0, 1, 2, 4]
            support.assert_derived(
                self, lse[seen], exact_lse[seen], exact_lse[seen].astype(np.float32), 16 + scores
            )
            with self.assertRaisesRegex(warpwright.CallerError, "indices exclude page_table and kv_lengths"):
                warpwright.mla(q, cache, table, lengths, q_starts=starts, indices=lists, device=device)
            with self.assertRaisesRegex(warpwright.CallerError, "a row of a u8 cache must have 656 bytes"):
                warpwright.mla(q, records[..., :640], table, lengths, q_starts=starts, device=device)
            with self.assertRaisesRegex(warpwright.CallerError, "mla: q and cache must have 576 columns"):
                warpwright.mla(q[..., :512], cache[..., :512], table, lengths, q_starts=starts, device=device)
            with self.assertRaisesRegex(warpwright.CallerError, "mla: q_starts: expected a tensor"):
                warpwright.mla(q, cache, table, lengths, device=device)

        self.on_devices(check)

    def test_indexer(self):
        """Scores of two sequences in shuffled pages, and the best keys of each query."""

        def check(device, random):
            table = np.array([[3, 0, 6, -1], [5, 1, -1, -1]], np.int32)
            lengths, starts = np.array([11, 6], np.int32), np.array([0, 3, 5], np.int32)
            weights = random.standard_normal((5, 6)).astype(np.float32)
            shapes = ((5, 6, 128), (28, 128))
            codes = [random.integers(0x20, 0x48, shape).astype(np.uint8) for shape in shapes]
            q, keys = ((8 + code % 8) / 8 * 2.0 ** (code // 8 - 7.0) for code in codes)  # e4m3, normal
            scales = random.uniform(0.5, 1.5, 28).astype(np.float32)
            pages = [codes[1].reshape(7, 512), scales.view(np.uint8).reshape(7, 16)]
            cache = np.concatenate(pages, -1).reshape(7, 4, 132)
            logits = np.zeros((5, 16), np.float32)
            got = warpwright.index_logits(
                codes[0], weights, cache, table, lengths, q_starts=starts, out=logits, device=device
            )
            self.assertEqual(got.shape, (5, 16))
            best = warpwright.index_topk(logits, 4, lengths, q_starts=starts, device=device)
            counts = np.zeros(5, np.int32)
            slots = warpwright.index_topk(
                logits,
                4,
                lengths,
                q_starts=starts,
                page_table=table,
                page_size=4,
                index_lengths=counts,
                device=device,
                max_kv_len=16,
            )
            for token in range(5):
                s = int(token >= 3)
                visible = int(lengths[s] - starts[s + 1] + token + 1)
                places = (table[s][:, None] * 4 + np.arange(4)).reshape(-1)
                seen, weight = places[:visible], weights[token][:, None]
                exact, reference = (
                    (np.maximum(q[token].astype(real) @ keys[seen].astype(real).T, 0) * weight.astype(real)).sum(0)
                    * scales[seen].astype(real)
                    for real in (np.float64, np.float32)
                )
                largest = (np.abs(weight) * (q[token] @ keys[seen].T)).sum(0).max() * scales.max()  # all products are positive
                support.assert_derived(self, logits[token, :visible], exact, reference, largest)
                mine = np.sort(np.argsort(-logits[token, :visible], kind="stable")[:4])
                padded = np.pad(mine, (0, 4 - len(mine)), constant_values=-1)
                np.testing.assert_array_equal(best[token], padded)
                np.testing.assert_array_equal(slots[token, : len(mine)], places[mine])
                self.assertEqual(counts[token], len(mine))
            with self.assertRaisesRegex(warpwright.CallerError, "a key of the cache must have 132 bytes"):
                warpwright.index_logits(codes[0], weights, cache[..., :128], table, lengths, q_starts=starts)

        self.on_devices(check)

    def test_rmsnorm(self):
        def check(device, random):
            x, weight, residual = half(random, 4, 96), half(random, 96), half(random, 4, 96, scale=3)
            summed = x.astype(float) + residual
            oracle = summed / np.sqrt((summed**2).mean(-1, keepdims=True) + 1e-5) * (weight.astype(float) + 1)
            got = warpwright.rmsnorm(
                x, weight, residual=residual, epsilon=1e-5, weight_offset=1.0, device=device
            )
            support.assert_derived(self, got, oracle, support.round_to(oracle, "f16"), np.abs(oracle).max())
            support.assert_derived(self, residual, summed, support.round_to(summed, "f16"), 0)

            heads = half(random, 3, 2, 64)
            oracle = heads / np.sqrt((heads.astype(float) ** 2).mean(-1, keepdims=True) + 1e-6) * weight[:64]
            warpwright.rmsnorm(heads, weight[:64], out=heads, device=device)  # in place
            support.assert_derived(self, heads, oracle, support.round_to(oracle, "f16"), np.abs(oracle).max())

        self.on_devices(check)

    def test_gated_activation_of_halves(self):
        def check(device, random):
            both = half(random, 6, 160)
            gate, up = both[:, :80].astype(float), both[:, 80:].astype(float)
            oracle = gate / (1 + np.exp(-gate)) * up
            got = warpwright.gated_activation(both[:, :80], both[:, 80:], device=device)
            support.assert_derived(self, got, oracle, support.round_to(oracle, "f16"), np.abs(oracle).max())

        self.on_devices(check)

    def test_gated_activation_with_a_limit(self):
        def check(device, random):
            gate, up = half(random, 6, 80), half(random, 6, 80)
            u, v = np.minimum(gate.astype(float), 0.5), np.clip(up.astype(float), -0.5, 0.5)
            oracle = u / (1 + np.exp(-1.702 * u)) * (v + 1)
            got = warpwright.gated_activation(gate, up, limit=0.5, alpha=1.702, up_offset=1.0, device=device)
            support.assert_derived(self, got, oracle, support.round_to(oracle, "f16"), np.abs(oracle).max())

        self.on_devices(check)

    def test_embedding(self):
        def check(device, random):
            table, ids = half(random, 11, 48), np.array([3, 10, 0, 11, 3], np.int32)
            got = warpwright.embedding(ids, table, device=device)
            np.testing.assert_array_equal(got, np.vstack([table, np.zeros((1, 48), np.float16)])[ids])

        self.on_devices(check)

    def test_rope_of_slices(self):
        def check(device, random):
            frequency, magnitude = warpwright.rope_frequencies(10000.0, 32)
            frequency = np.array(frequency, np.float32)
            np.testing.assert_allclose(frequency, 10000.0 ** (-np.arange(16) / 16), rtol=np.finfo(np.float32).eps)
            fused = half(random, 5, 6, 64)  # four heads of queries, two of keys
            positions = np.array([0, 7, 8, 100, 3], np.int32)
            before = fused.astype(float)
            angle = positions[:, None, None] * frequency.astype(float)
            first, second = before[..., :16], before[..., 16:32]
            oracle = before.copy()
            oracle[..., :16] = first * np.cos(angle) - second * np.sin(angle)
            oracle[..., 16:32] = second * np.cos(angle) + first * np.sin(angle)
            q, k = fused[:, :4], fused[:, 4:]
            result = warpwright.rope(q, k, positions, frequency, magnitude=magnitude, device=device)
            self.assertIs(result[0], q)
            # why: an angle of 100 radians has fp32's rounding of 100 before its cosine is taken.
            magnitude = np.abs(before).max() * (1 + angle.max())
            support.assert_derived(self, fused, oracle, support.round_to(oracle, "f16"), magnitude)

        self.on_devices(check)

    def test_kv_append(self):
        def check(device, random):
            k, v = half(random, 4, 2, 64), half(random, 4, 2, 64)
            k_pages, v_pages = half(random, 6, 8, 2, 64), half(random, 6, 8, 2, 64)
            table = np.array([[5, 0], [2, 4]], np.int32)
            sequences, positions = np.array([0, 0, 1, 1], np.int32), np.array([7, 8, 3, -1], np.int32)
            expected_k, expected_v = k_pages.copy(), v_pages.copy()
            for token, (page, slot) in enumerate([(5, 7), (0, 0), (2, 3)]):
                expected_k[page, slot], expected_v[page, slot] = k[token], v[token]
            self.assertIsNone(
                warpwright.kv_append(k, v, sequences, positions, table, k_pages, v_pages, device=device)
            )
            np.testing.assert_array_equal(k_pages, expected_k)
            np.testing.assert_array_equal(v_pages, expected_v)
            # Latent rows: keys alone, which mla reads.
            rows, cache = half(random, 4, 1, 576), np.zeros((6, 8, 1, 576), np.float16)
            warpwright.kv_append(rows, None, sequences, positions, table, cache, None, device=device)
            np.testing.assert_array_equal(cache[[5, 0, 2], [7, 0, 3]], rows[:3])
            self.assertEqual(np.count_nonzero(cache), np.count_nonzero(rows[:3]))
            with self.assertRaisesRegex(warpwright.CallerError, "v and v_pages: expected both, or neither"):
                warpwright.kv_append(rows, rows, sequences, positions, table, cache, None, device=device)

        self.on_devices(check)

    def test_latent_append(self):
        numbers = np.array([(8 + c % 8) / 8 * 2.0 ** (c // 8 - 7) if c >= 8 else c * 2.0**-9 for c in range(127)])
        numbers = np.concatenate([numbers, [np.nan], -numbers, [np.nan]])  # of e4m3, by code

        def check(device, random):
            x, keys = half(random, 4, 576), half(random, 4, 128)
            table = np.array([[5, 0], [2, 4]], np.int32)
            sequences, positions = np.array([0, 0, 1, 1], np.int32), np.array([7, 8, 3, -1], np.int32)
            where = (sequences, positions, table)
            records, pages = np.zeros((6, 8, 656), np.uint8), np.zeros((6, 8, 132), np.uint8)
            self.assertIsNone(warpwright.latent_append(x, *where, records, device=device))
            warpwright.latent_append(keys, *where, pages, scale="power_of_two", least_amax=1e-4, device=device)

            def expect_codes(codes, scale, given, exact):
                self.assertEqual(scale, exact)
                values = given.astype(np.float64)
                bounds = np.maximum(np.abs(values) / 16, scale * 2.0**-10)  # half of what codes are apart
                self.assertTrue((np.abs(numbers[codes] * scale - values) <= bounds).all())

            written = np.zeros((6, 8), bool)
            for token, place in enumerate([(5, 7), (0, 0), (2, 3)]):
                written[place] = True
                record = records[place]
                scales = record[512:528].view(np.float32)
                for group in range(4):
                    part = slice(group * 128, group * 128 + 128)
                    amax = np.abs(x[token, part]).max().astype(np.float32)
                    expect_codes(record[part], scales[group], x[token, part], amax / np.float32(448))
                np.testing.assert_array_equal(record[528:].view(np.float16), x[token, 512:])
                page = pages[place[0]].reshape(-1)
                codes = page[: 8 * 128].reshape(8, 128)[place[1]]
                scale = page[8 * 128 :].view(np.float32)[place[1]]
                amax = np.abs(keys[token]).max().astype(np.float64)
                expect_codes(codes, scale, keys[token], 2 ** np.ceil(np.log2(amax / 448)))
            self.assertFalse(records[~written].any())
            with self.assertRaisesRegex(warpwright.CallerError, "scale: expected one of f32, power_of_two"):
                warpwright.latent_append(keys, *where, pages, scale="e3m4", device=device)

        self.on_devices(check)

    def test_rope_of_queries_elsewhere(self):
        def check(device, random):
            frequency = np.array(warpwright.rope_frequencies(10000.0, 32)[0], np.float32)
            q, k, positions = half(random, 3, 4, 64), half(random, 3, 2, 64), np.array([0, 7, 100], np.int32)
            turned, before, out = q.copy(), q.copy(), np.zeros((3, 4, 32), np.float16)
            warpwright.rope(turned, k.copy(), positions, frequency, interleaved=True, device=device)
            got, _ = warpwright.rope(q, k, positions, frequency, interleaved=True, q_out=out, device=device)
            self.assertIs(got, out)
            np.testing.assert_array_equal(out, turned[..., :32])
            np.testing.assert_array_equal(q, before)

        self.on_devices(check)

    def test_rope_to_pages_of_codes(self):
        def check(device, random):
            q, k, v = half(random, 4, 2, 64), half(random, 4, 2, 64), half(random, 4, 2, 64)
            table = np.array([[5, 0], [2, 4]], np.int32)
            sequences, positions = np.array([0, 0, 1, 1], np.int32), np.array([7, 8, 3, -1], np.int32)
            frequency = np.zeros(32, np.float32)  # nothing turns: what kv_append does
            where = (sequences, positions, table)
            pages = [np.zeros((6, 8, 2, 64), np.uint8) for _ in range(4)]
            codes = {"kv_format": "fp8_e4m3", "k_scale": 0.25, "v_scale": 0.5, "device": device}
            warpwright.kv_append(k, v, *where, *pages[:2], **codes)
            warpwright.rope(
                q,
                k.copy(),
                positions,
                frequency,
                v=v,
                sequences=sequences,
                page_table=table,
                k_pages=pages[2],
                v_pages=pages[3],
                **codes,
            )
            self.assertTrue(pages[0].any())
            np.testing.assert_array_equal(pages[2], pages[0])
            np.testing.assert_array_equal(pages[3], pages[1])
            with self.assertRaisesRegex(warpwright.CallerError, "kv_format fp8_e4m3: expected k_pages too"):
                warpwright.rope(q, k, positions, frequency, kv_format="fp8_e4m3", device=device)

        self.on_devices(check)

    def test_logits(self):
        def check(device, random):
            x = (random.standard_normal((2, 300)) * 3).astype(np.float32)
            starts, tokens = np.array([0, 2, 3], np.int32), np.array([4, 299, 0], np.int32)
            repetition, addend = np.array([2, 1, 4], np.float32), np.array([0, -np.inf, 1], np.float32)
            oracle = 30 * np.tanh(x.astype(float) / 30)
            for row, entries in ((0, (0, 1)), (1, (2,))):
                for entry in entries:
                    value = oracle[row, tokens[entry]]
                    value = value / repetition[entry] if value > 0 else value * repetition[entry]
                    oracle[row, tokens[entry]] = value + addend[entry]
            got = warpwright.logits(
                x,
                softcap=30.0,
                starts=starts,
                tokens=tokens,
                repetition=repetition,
                addend=addend,
                device=device,
            )
            support.assert_derived(self, got, oracle, oracle.astype(np.float32), 30)

        self.on_devices(check)

    def test_sample(self):
        def check(device, random):
            x = random.standard_normal((4, 500)).astype(np.float32)
            greedy = warpwright.sample(x, temperature=0.0, device=device)
            np.testing.assert_array_equal(greedy, x.argmax(-1))
            drawn = [
                warpwright.sample(x, temperature=1.5, top_k=20, seeds=7, steps=step, device=device)
                for step in (0, 1)
            ]
            likeliest = np.argsort(-x)[:, :20]
            for tokens in drawn:
                self.assertTrue(all(token in row for token, row in zip(tokens, likeliest)))
            self.assertTrue((drawn[0] != drawn[1]).any())
            # Row i of seed 7 is row 0 of seed 7 + i, and the same on every device.
            again = warpwright.sample(x[2:], temperature=1.5, top_k=20, seeds=9)
            np.testing.assert_array_equal(again, drawn[0][2:])

        self.on_devices(check)

    def test_frequencies_of_scalings(self):
        plain, _ = warpwright.rope_frequencies(500000.0, 64)
        linear, _ = warpwright.rope_frequencies(500000.0, 64, {"rope_type": "linear", "factor": 4.0})
        np.testing.assert_allclose(np.array(linear) * 4, plain, rtol=np.finfo(np.float32).eps)
        _, magnitude = warpwright.rope_frequencies(10000.0, 64, {"rope_type": "yarn", "factor": 4.0})
        self.assertAlmostEqual(magnitude, 0.1 * np.log(4) + 1, places=6)


if __name__ == "__main__":
    unittest.main()
