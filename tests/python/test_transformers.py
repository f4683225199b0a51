# SPDX-License-Identifier: Apache-2.0
"""warpwright.transformers: attention of a Hugging Face model, in every form in which it is asked for."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402

VOCABULARY = 128


@support.needs("torch", "transformers")
class Attention(unittest.TestCase):
    device = "cpu"

    @classmethod
    def setUpClass(cls):
        import warpwright.transformers

        warpwright.transformers.register()

    def model(self, kind="Llama", **fields):
        import torch
        import transformers

        torch.manual_seed(1)
        config = getattr(transformers, f"{kind}Config")(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            pad_token_id=0,
            **fields,
        )
        return getattr(transformers, f"{kind}ForCausalLM")(config).to(self.device, torch.bfloat16).eval()

    def judge(self, model, tokens, **inputs):
        """Our logits' error against fp32 is at most twice that of transformers' own attention in bf16."""
        import copy

        import torch

        tokens = tokens.to(self.device)
        mask = inputs.get("attention_mask", torch.ones_like(tokens)).bool()
        results = {}
        with torch.no_grad():
            for name in ("eager", "warpwright"):
                model.set_attn_implementation(name)
                results[name] = model(tokens, **inputs).logits[mask].double()
            model.set_attn_implementation("eager")
            exact = copy.deepcopy(model).float()(tokens, **inputs).logits[mask].double()
        error = {name: (logits - exact).abs().max().item() for name, logits in results.items()}
        self.assertLessEqual(error["warpwright"], 2 * error["eager"])
        self.assertGreater(error["eager"], 0)
        return results["warpwright"], exact, error["eager"]

    def tokens(self, *shape):
        import torch

        return torch.randint(1, VOCABULARY, shape, generator=torch.Generator().manual_seed(2))

    def test_one_sequence(self):
        self.judge(self.model(), self.tokens(1, 40))

    def test_batch(self):
        model, tokens = self.model(), self.tokens(3, 25)
        self.judge(model, tokens)

    def test_padding(self):
        import torch

        for left in (True, False):
            mask = torch.ones(3, 20, dtype=torch.int64)
            for row, count in ((0, 12), (2, 5)):
                mask[row, slice(None, count) if left else slice(-count, None)] = 0
            self.judge(self.model(), self.tokens(3, 20), attention_mask=mask.to(self.device))

    def test_sliding_window_and_softcap(self):
        self.judge(self.model("Mistral", sliding_window=8), self.tokens(1, 40))
        self.judge(
            self.model("Gemma2", sliding_window=8, query_pre_attn_scalar=32, attn_logit_softcapping=5.0),
            self.tokens(2, 40),
        )

    def test_packed_sequences(self):
        import torch

        from warpwright.transformers import attention_forward

        torch.manual_seed(3)
        q, k, v = (torch.randn(1, heads, 30, 32).to(self.device, torch.bfloat16) for heads in (4, 2, 2))
        module = torch.nn.Module()
        module.is_causal = True
        parts = (slice(0, 12), slice(12, 30))
        alone = [attention_forward(module, *(x[:, :, part] for x in (q, k, v)), None)[0] for part in parts]
        positions = torch.cat([torch.arange(12), torch.arange(18)])[None].to(self.device)
        starts = torch.tensor([0, 12, 30], device=self.device)
        for packing in ({"position_ids": positions}, {"cu_seq_lens_q": starts}):
            packed, weights = attention_forward(module, q, k, v, None, **packing)
            self.assertIsNone(weights)
            self.assertTrue(torch.equal(packed, torch.cat(alone, 1)))
        whole, _ = attention_forward(module, q, k, v, None, position_ids=torch.arange(30)[None])
        self.assertFalse(torch.equal(whole, torch.cat(alone, 1)))

    def test_generate_with_caches(self):
        import torch

        model, prompt = self.model(), self.tokens(2, 10).to(self.device)
        model.set_attn_implementation("warpwright")
        mask = torch.ones_like(prompt)
        mask[0, :4] = 0
        results = [
            model.generate(prompt, attention_mask=mask, max_new_tokens=6, do_sample=False, **cache)
            for cache in ({}, {"cache_implementation": "static"})
        ]
        self.assertTrue(torch.equal(*results))
        # Each token is the likeliest after the ones before it, as far as logits of twice eager's error can
        # tell.
        _, exact, error = self.judge(model, results[0][1:].cpu())
        after = exact.reshape(-1, VOCABULARY)[9:-1]
        chosen = after.gather(-1, results[0][1, 10:, None]).flatten()
        self.assertTrue((chosen >= after.max(-1).values - 2 * 2 * error).all())

    def test_a_static_cache_has_room_for_more(self):
        import torch
        import transformers

        model, tokens = self.model(), self.tokens(2, 12).to(self.device)
        model.set_attn_implementation("warpwright")
        cache = transformers.StaticCache(config=model.config, max_cache_len=32)
        with torch.no_grad():
            first = model(tokens[:, :8], past_key_values=cache).logits
            second = model(tokens[:, 8:], past_key_values=cache).logits
        got, (_, exact, error) = torch.cat([first, second], 1).double(), self.judge(model, tokens)
        self.assertLessEqual((got.flatten(0, 1) - exact).abs().max().item(), 2 * error)

    def test_refusals(self):
        import torch

        model = self.model().float()
        model.set_attn_implementation("warpwright")
        with self.assertRaisesRegex(warpwright.CallerError, "q must be bf16 or f16, got f32"):
            model(self.tokens(1, 4).to(self.device))
        dropout = self.model(attention_dropout=0.5).train()
        dropout.set_attn_implementation("warpwright")
        with self.assertRaisesRegex(warpwright.CallerError, "expected no dropout"), torch.no_grad():
            dropout(self.tokens(1, 4).to(self.device))


@support.needs("torch", "transformers")
@support.needs_gpu
class AttentionOnGpu(Attention):
    device = "cuda:0"


if __name__ == "__main__":
    unittest.main()
