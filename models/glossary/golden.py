#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference outputs of the shipped model, made with Hugging Face transformers.

The bf16 weights are widened to fp32 and run with eager attention, without TF32 and without a KV cache.
Written beside the model: goldens.json (prompts, token ids, 64 greedy tokens with the margin of every choice,
top-10 logits of some steps, and how far transformers' own bf16 logits are from the fp32 ones) and goldens.safetensors (complete fp32 logits, named in goldens.json). Greedy
tokens run on past <|end|>; `ended_at` says where it first appeared.
"""

import argparse
import datetime
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
NUM_TOKENS = 64
TOP_STEPS = (0, 1, 7, 31, 63)
WHOLE_STEPS = (0, 31, 63)
LONG_TOKENS = 330
PROMPTS = {
    "empty": "",
    "word": "lighthouse",
    "noun": "lighthouse (noun):",
    "verb": "whisper (verb): speak",
    "sentence": "A violin is a",
    "symbols": "café — 1,234 naïve 日本 <tags> & 'quotes'\n\tend (noun):",
    "page": "oak (noun): a deciduous tree of the genus Quercus; has acorns and lobed leaves.\n"
    "A birch is a tree or shrub with thin peeling bark.\nA maple is",
    "long": None,  # lines of heldout.txt, as many as make more than LONG_TOKENS tokens
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        type=pathlib.Path,
        default=HERE,
        metavar="DIR",
        help="folder of the model; results go there too (default: this script's)",
    )
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="cuda or cpu (default here: %(default)s)",
    )
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False

    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    model = (
        transformers.LlamaForCausalLM.from_pretrained(
            args.model, dtype=torch.float32, attn_implementation="eager"
        )
        .to(args.device)
        .eval()
    )
    # The same model in its own precision: its distance from fp32 is what an engine that computes in bf16 is
    # entitled to.
    model_bf16 = (
        transformers.LlamaForCausalLM.from_pretrained(
            args.model, dtype=torch.bfloat16, attn_implementation="eager"
        )
        .to(args.device)
        .eval()
    )
    heldout = (args.model / "heldout.txt").read_text().splitlines()
    num_lines = 1
    while len(tokenizer("\n".join(heldout[:num_lines])).input_ids) <= LONG_TOKENS:
        num_lines += 1
    prompts = PROMPTS | {"long": "\n".join(heldout[:num_lines]) + "\n"}

    whole, cases = {}, []
    for name, text in prompts.items():
        prompt = tokenizer(text).input_ids
        tokens, margins, top = [], [], []
        for step in range(NUM_TOKENS):
            with torch.no_grad():
                logits = (
                    model(input_ids=torch.tensor([prompt + tokens], device=args.device), use_cache=False)
                    .logits[0]
                    .cpu()
                )
            assert logits.dtype == torch.float32
            if step == 0 and name == "noun":
                whole["noun.prompt"] = logits.contiguous()
            last = logits[-1]
            best = last.topk(10)
            if step in TOP_STEPS:
                top.append(
                    {
                        "step": step,
                        "ids": best.indices.tolist(),
                        "logits": best.values.tolist(),
                        "mean": last.mean().item(),
                        "logsumexp": last.double().logsumexp(-1).item(),
                    }
                )
            if step in WHOLE_STEPS:
                whole[f"{name}.step{step}"] = last.clone()
            tokens.append(int(best.indices[0]))
            margins.append((best.values[0] - best.values[1]).item())
        everything = torch.tensor([prompt + tokens], device=args.device)
        with torch.no_grad():
            steps = slice(len(prompt) - 1, len(prompt) - 1 + NUM_TOKENS)
            exact = model(input_ids=everything, use_cache=False).logits[0, steps].double()
            rounded = model_bf16(input_ids=everything, use_cache=False).logits[0, steps].double()
        error = (rounded - exact).abs()
        end = tokens.index(model.config.eos_token_id) if model.config.eos_token_id in tokens else None
        cases.append(
            {
                "name": name,
                "prompt": text,
                "prompt_tokens": prompt,
                "tokens": tokens,
                "ended_at": end,
                "text": tokenizer.decode(tokens[:end], skip_special_tokens=True),
                "bf16_error": {"max": error.max().item(), "rms": error.square().mean().sqrt().item()},
                "margins": [round(margin, 6) for margin in margins],
                "top": top,
                "whole_logits": {str(step): f"{name}.step{step}" for step in WHOLE_STEPS},
            }
        )
        print(
            f"{name}: {len(prompt)} prompt tokens, least margin {min(margins):.4f}: {cases[-1]['text']!r}",
            flush=True,
        )

    goldens = {
        "model": "models/glossary",
        "date": datetime.date.today().isoformat(),
        "device": torch.cuda.get_device_name() if args.device.startswith("cuda") else "CPU",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "arithmetic": "bf16 weights widened to fp32, eager attention, no TF32, no KV cache",
        "whole_prompt_logits": {"noun": "noun.prompt"},
        "cases": cases,
    }
    (args.model / "goldens.json").write_text(json.dumps(goldens, ensure_ascii=False) + "\n")
    save_file(whole, args.model / "goldens.safetensors", metadata={"format": "pt"})
    num_bytes = sum((args.model / f"goldens.{kind}").stat().st_size for kind in ("json", "safetensors"))
    print(f"goldens: {len(cases)} prompts, {num_bytes / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
