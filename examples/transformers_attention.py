# SPDX-License-Identifier: Apache-2.0
"""A Hugging Face model whose attention is ours: a small Llama with random weights generates with both.

python examples/transformers_attention.py --device cuda
"""

import argparse

import torch
import transformers

import warpwright.transformers


def small_llama(device):
    """As a checkpoint would be loaded: AutoModelForCausalLM.from_pretrained(...,
    attn_implementation="warpwright").
    """
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=512,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=64,
    )
    return transformers.LlamaForCausalLM(config).to(device, torch.bfloat16).eval()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    warpwright.transformers.register()
    model = small_llama(arguments.device)

    prompts = torch.randint(1, 512, (2, 20), device=arguments.device)
    padding = torch.ones_like(prompts)
    padding[0, :7] = 0  # the first prompt is shorter: padded at its left
    results = {}
    for implementation in ("eager", "warpwright"):
        model.set_attn_implementation(implementation)
        with torch.no_grad():
            logits = model(prompts, attention_mask=padding).logits[padding.bool()]
            tokens = model.generate(
                prompts, attention_mask=padding, max_new_tokens=8, do_sample=False, pad_token_id=0
            )
        results[implementation] = logits.float(), tokens[:, prompts.shape[1] :]
        print(f"{implementation:<12}", tokens[:, prompts.shape[1] :].tolist())

    # Both are bf16: how far the model itself is from fp32 says how far they may be from each other.
    model.set_attn_implementation("eager")
    with torch.no_grad():
        exact = model.float()(prompts, attention_mask=padding).logits[padding.bool()]
    errors = {name: (logits - exact).abs().max().item() for name, (logits, _) in results.items()}
    print(
        "largest error of a logit against fp32: "
        + ", ".join(f"{name} {error:.4f}" for name, error in errors.items())
    )
    return errors


if __name__ == "__main__":
    main()
