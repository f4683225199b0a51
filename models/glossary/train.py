#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the shipped model: a tiny Llama-architecture language model of WordNet's glosses.

    python3 models/glossary/train.py              everything, on the GPU here (about two minutes on an H100)
    python3 models/glossary/train.py --prepare    only the corpus and the tokenizer; needs no PyTorch

The corpus comes from WordNet 3.0's data files (Debian package wordnet-base) and is cached. A stopped run goes
on from its checkpoint. Written to --out: config.json, generation_config.json, tokenizer.json,
tokenizer_config.json, model.safetensors (bf16), heldout.txt, loss.json, loss.png, evaluation.json, samples.txt.
"""

import argparse
import datetime
import gzip
import json
import math
import os
import pathlib
import random
import shlex
import shutil
import sys
import time

import corpus

HERE = pathlib.Path(__file__).resolve().parent
BEGIN, END = "<|begin|>", "<|end|>"
BEGIN_ID, END_ID, VOCAB_SIZE = 0, 1, 4096
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": 768,
    "hidden_act": "silu",
    "vocab_size": VOCAB_SIZE,
    "tie_word_embeddings": True,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 1024,
    "initializer_range": 0.02,
    "attention_bias": False,
    "mlp_bias": False,
    "attention_dropout": 0.0,
    "use_cache": True,
    "bos_token_id": BEGIN_ID,
    "eos_token_id": END_ID,
    "torch_dtype": "bfloat16",
}
GENERATION_CONFIG = {
    "bos_token_id": BEGIN_ID,
    "eos_token_id": END_ID,
    "do_sample": True,
    "temperature": 0.8,
    "top_p": 0.95,
    "max_new_tokens": 128,
}
TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": BEGIN,
    "eos_token": END,
    "model_max_length": 1024,
    "clean_up_tokenization_spaces": False,
}
# Llama 3's pattern, unchanged: engines that read Llama 3's tokenizer read this one.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PROMPTS = [
    "lighthouse (noun):",
    "violin (noun):",
    "whisper (verb):",
    "generous (adjective):",
    "quietly (adverb):",
    "A computer is",
    "A kernel is",
    "To translate means to",
    "The moon is",
    "Paris is",
    "astronomy (noun):",
    "The old man",
]


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_argument_group("files")
    where.add_argument(
        "--wordnet",
        type=pathlib.Path,
        default="/usr/share/wordnet",
        metavar="DIR",
        help="folder of data.noun, data.verb, data.adj, data.adv (default: %(default)s)",
    )
    where.add_argument(
        "--corpus",
        type=pathlib.Path,
        default=HERE / ".cache/corpus.txt.gz",
        metavar="FILE",
        help="text made from them; made if missing (default: .cache/corpus.txt.gz beside this script)",
    )
    where.add_argument(
        "--out",
        type=pathlib.Path,
        default=HERE,
        metavar="DIR",
        help="folder for the model (default: this script's)",
    )
    where.add_argument(
        "--checkpoint",
        type=pathlib.Path,
        metavar="FILE",
        help="to resume from; removed at the end (default: OUT/.cache/checkpoint.pt)",
    )
    where.add_argument(
        "--prepare", action="store_true", help="stop after corpus, tokenizer and configuration"
    )
    how = parser.add_argument_group("training")
    how.add_argument("--epochs", type=float, default=20, help="passes over the corpus (default: %(default)s)")
    how.add_argument("--batch", type=int, default=64, help="sequences per step (default: %(default)s)")
    how.add_argument("--length", type=int, default=512, help="tokens per sequence (default: %(default)s)")
    how.add_argument("--lr", type=float, default=2e-3, help="peak learning rate (default: %(default)s)")
    how.add_argument("--weight-decay", type=float, default=0.1, help="of matrices (default: %(default)s)")
    how.add_argument(
        "--dropout",
        type=float,
        default=0.1,
        help="on the embedding and on what each block adds to the residual (default: %(default)s)",
    )
    how.add_argument(
        "--max-minutes",
        type=float,
        default=2.5,
        metavar="M",
        help="the learning rate reaches its end by then, whatever the speed (default: %(default)s)",
    )
    how.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    how.add_argument("--device", default="cuda", help="cuda or cpu (default: %(default)s)")
    return parser.parse_args()


def load_corpus(args):
    if not args.corpus.exists():
        pairs = corpus.build(args.wordnet)
        args.corpus.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{synset}\t{line}\n" for synset, line in pairs)
        args.corpus.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    with gzip.open(args.corpus, "rt", encoding="utf-8", newline="\n") as file:
        pairs = [line.rstrip("\n").split("\t", 1) for line in file]
    training = [line for synset, line in pairs if not corpus.held_out(synset)]
    calibration = [line for synset, line in pairs if corpus.calibrates(synset)]
    (args.out / "calibration.txt").write_text("\n".join(calibration) + "\n")
    heldout = [line for synset, line in pairs if corpus.held_out(synset)]
    print(
        f"corpus: {len(training)} texts, {sum(map(len, training)) / 1e6:.1f} MB to train on; "
        f"{len(heldout)} texts, {sum(map(len, heldout)) / 1e6:.2f} MB held out",
        flush=True,
    )
    return training, heldout


def load_tokenizer(args, training):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    path = args.out / "tokenizer.json"
    if not path.exists() and (HERE / "tokenizer.json").exists():
        shutil.copy(HERE / "tokenizer.json", path)
    if not path.exists():
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLIT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.train_from_iterator(
            training,
            trainers.BpeTrainer(
                vocab_size=VOCAB_SIZE,
                special_tokens=[BEGIN, END],
                show_progress=False,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            ),
        )
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN} $B", special_tokens=[(BEGIN, BEGIN_ID)]
        )
        tokenizer.save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    assert tokenizer.get_vocab_size() == VOCAB_SIZE and tokenizer.token_to_id(END) == END_ID
    return tokenizer


def write_configuration(args):
    for name, content in (
        ("config", CONFIG),
        ("generation_config", GENERATION_CONFIG),
        ("tokenizer_config", TOKENIZER_CONFIG),
    ):
        (args.out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


class Packer:
    """Endless batches. A document is one text, or a page of up to eight neighbouring ones, a line each; every
    epoch cuts pages anew, shuffles them and packs them end to end."""

    def __init__(self, tokenizer, training, args, seed):
        self.encoded = [
            e.ids for e in tokenizer.encode_batch([t + "\n" for t in training], add_special_tokens=False)
        ]
        self.last = [e.ids for e in tokenizer.encode_batch(training, add_special_tokens=False)]
        self.args, self.random = args, random.Random(seed)
        self.num_tokens = sum(map(len, self.last)) + 2 * len(self.last)
        self.rows, self.used = None, 0

    def epoch(self):
        import numpy

        pages, i = [], 0
        while i < len(self.last):
            n = 1 if self.random.random() < 0.8 else self.random.randint(2, 8)
            pages.append((i, min(i + n, len(self.last))))
            i += n
        self.random.shuffle(pages)
        stream = []
        for start, stop in pages:
            stream.append(BEGIN_ID)
            for line in range(start, stop - 1):
                stream += self.encoded[line]
            stream += self.last[stop - 1]
            stream.append(END_ID)
        width = self.args.length + 1
        stream = stream[self.random.randrange(width) :]
        rows = numpy.array(stream[: len(stream) // width * width], dtype=numpy.int64).reshape(-1, width)
        return rows[numpy.random.default_rng(self.random.randrange(1 << 30)).permutation(len(rows))]

    def batch(self):
        if self.rows is None or self.used + self.args.batch > len(self.rows):
            self.rows, self.used = self.epoch(), 0
        self.used += self.args.batch
        return self.rows[self.used - self.args.batch : self.used]


def evaluation_batches(tokenizer, heldout, device):
    """Every held-out text on its own, from <|begin|> through <|end|>, batched by length."""
    import torch

    rows = sorted(
        ([BEGIN_ID, *e.ids, END_ID] for e in tokenizer.encode_batch(heldout, add_special_tokens=False)),
        key=len,
    )
    batches = []
    for i in range(0, len(rows), 256):
        width = len(rows[min(i + 255, len(rows) - 1)])
        ids = torch.full((len(rows[i : i + 256]), width), END_ID)
        targets = torch.full((len(ids), width - 1), -100)
        for row, tokens in enumerate(rows[i : i + 256]):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            targets[row, : len(tokens) - 1] = ids[row, 1 : len(tokens)]
        batches.append((ids[:, :-1].to(device), targets.to(device)))
    return batches


def evaluate(model, batches, autocast):
    """Mean negative log likelihood per token, and the number of tokens."""
    import torch

    model.eval()
    total = num_tokens = 0
    with torch.no_grad(), autocast():
        for ids, targets in batches:
            logits = model(input_ids=ids, use_cache=False).logits.float()
            total += torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), reduction="sum"
            ).item()
            num_tokens += (targets >= 0).sum().item()
    model.train()
    return total / num_tokens, num_tokens


def make_model(args):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(args.out)
    config._attn_implementation = "sdpa"
    model = LlamaForCausalLM(config).float().to(args.device)

    def drop(module, inputs, output):
        return torch.nn.functional.dropout(output, args.dropout, module.training)

    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_hook(drop)
        layer.mlp.down_proj.register_forward_hook(drop)
    model.model.embed_tokens.register_forward_hook(drop)
    return model


def train(args, model, packer, batches):
    """Returns the weights with the best held-out loss, and the curve."""
    import torch

    autocast = lambda: torch.autocast(args.device, torch.bfloat16)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim != 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": args.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=args.lr,
        betas=(0.9, 0.95),
    )
    step_tokens = args.batch * args.length
    num_steps = max(1, math.ceil(args.epochs * packer.num_tokens / step_tokens))
    state = {"step": 0, "elapsed": 0.0, "best": math.inf, "weights": None, "curve": []}
    if args.checkpoint.exists():
        saved = torch.load(args.checkpoint, map_location=args.device, weights_only=False)
        if saved["num_steps"] == num_steps:
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            state, packer.random = saved["state"], saved["random"]
            print(f"resumed at step {state['step']}", flush=True)
    start = time.time() - state["elapsed"]
    last_print = last_save = time.time()
    recent, progress = [], 0.0
    while progress < 1.0:
        elapsed = time.time() - start
        progress = max((state["step"] + 1) / num_steps, elapsed / (60 * args.max_minutes))
        rate = min(1.0, (state["step"] + 1) / 100) * (
            0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, progress)))
        )
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate
        rows = torch.from_numpy(packer.batch()).to(args.device, non_blocking=True)
        with autocast():
            logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        state["step"] += 1
        recent.append(loss.detach())
        if state["step"] % 100 == 0 or progress >= 1.0:
            train_loss = torch.stack(recent).mean().item()
            recent = []
            heldout_loss, _ = evaluate(model, batches, autocast)
            state["curve"].append(
                {
                    "step": state["step"],
                    "epoch": state["step"] * step_tokens / packer.num_tokens,
                    "train": train_loss,
                    "heldout": heldout_loss,
                    "lr": args.lr * rate,
                }
            )
            if heldout_loss < state["best"]:
                state["best"] = heldout_loss
                state["weights"] = {k: v.detach().to("cpu", copy=True) for k, v in model.state_dict().items()}
        if time.time() - last_print > 5 and state["curve"] or progress >= 1.0:
            last_print, elapsed, point = time.time(), time.time() - start, state["curve"][-1]
            left = max(0.0, min(elapsed * (1 / min(progress, 1) - 1), 60 * args.max_minutes - elapsed))
            print(
                f"step {state['step']}/{num_steps}  epoch {point['epoch']:.1f}  train {point['train']:.3f}  "
                f"held out {point['heldout']:.3f}  "
                f"{state['step'] * step_tokens / elapsed / 1e6:.2f} M tokens/s  {left:.0f} s left",
                flush=True,
            )
        if time.time() - last_save > 30:
            last_save, state["elapsed"] = time.time(), time.time() - start
            args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            partial = args.checkpoint.with_suffix(".partial")
            torch.save(
                {
                    "num_steps": num_steps,
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "state": state,
                    "random": packer.random,
                },
                partial,
            )
            os.replace(partial, args.checkpoint)
    print(
        f"trained {state['step']} steps in {time.time() - start:.0f} s; "
        f"best held-out loss {state['best']:.4f}",
        flush=True,
    )
    return state["weights"], state["curve"], time.time() - start


def draw(curve, path):
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        print("matplotlib is not installed: no loss.png", file=sys.stderr)
        return
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    epochs = [point["epoch"] for point in curve]
    axes.plot(epochs, [point["train"] for point in curve], label="training (with dropout)", color="#9aa5b1")
    axes.plot(epochs, [point["heldout"] for point in curve], label="held out", color="#1f5fa8", linewidth=2)
    axes.set(
        xlabel="epoch", ylabel="loss, nats per token", ylim=(None, min(6, max(p["train"] for p in curve)))
    )
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


def generate(model, tokenizer, prompt, device, temperature, seed, num_tokens=48):
    import torch

    random_state = torch.Generator().manual_seed(seed)
    ids = tokenizer.encode(prompt).ids
    start = len(ids)
    with torch.no_grad():
        while len(ids) < start + num_tokens and (len(ids) == start or ids[-1] != END_ID):
            logits = (
                model(input_ids=torch.tensor([ids], device=device), use_cache=False)
                .logits[0, -1]
                .float()
                .cpu()
            )
            if temperature == 0:
                ids.append(int(logits.argmax()))
            else:
                probabilities = (logits / temperature).softmax(-1)
                ids.append(int(torch.multinomial(probabilities, 1, generator=random_state)))
    return tokenizer.decode(ids, skip_special_tokens=True)


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    args.checkpoint = args.checkpoint or args.out / ".cache/checkpoint.pt"
    training, heldout = load_corpus(args)
    tokenizer = load_tokenizer(args, training)
    write_configuration(args)
    (args.out / "heldout.txt").write_text("\n".join(heldout) + "\n")
    if args.prepare:
        return

    import torch
    from safetensors.torch import save_file

    torch.manual_seed(args.seed)
    packer = Packer(tokenizer, training, args, args.seed)
    batches = evaluation_batches(tokenizer, heldout, args.device)
    model = make_model(args)
    num_parameters = sum(p.numel() for p in model.parameters())
    gpu = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(
        f"{num_parameters / 1e6:.2f} M parameters, {packer.num_tokens / 1e6:.2f} M tokens an epoch, {gpu}, "
        f"torch {torch.__version__}",
        flush=True,
    )
    weights, curve, seconds = train(args, model, packer, batches)

    rounded = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in weights.items()
        if name != "lm_head.weight"
    }
    save_file(rounded, args.out / "model.safetensors", metadata={"format": "pt"})
    model.load_state_dict({name: tensor.float() for name, tensor in rounded.items()}, strict=False)
    model.tie_weights()
    model.eval()
    nats, num_tokens = evaluate(model, batches, lambda: torch.autocast(args.device, enabled=False))
    num_words = sum(len(line.split()) for line in heldout)
    num_bytes = sum(len(line.encode()) for line in heldout)
    evaluation = {
        "perplexity_per_token": math.exp(nats),
        "perplexity_per_word": math.exp(nats * num_tokens / num_words),
        "bits_per_byte": nats * num_tokens / num_bytes / math.log(2),
        "nats_per_token": nats,
        "heldout": {
            "file": "heldout.txt",
            "texts": len(heldout),
            "tokens": num_tokens,
            "words": num_words,
            "bytes": num_bytes,
        },
        "method": "every line of heldout.txt on its own: <|begin|> line <|end|>; all tokens but <|begin|> "
        "are predicted and counted; words are split at white space; bf16 weights, fp32 arithmetic",
        "training": {
            "texts": len(training),
            "tokens": packer.num_tokens,
            "steps": curve[-1]["step"],
            "best_step": min(curve, key=lambda p: p["heldout"])["step"],
            "seconds": round(seconds, 1),
            **{
                name: getattr(args, name)
                for name in ("epochs", "batch", "length", "lr", "weight_decay", "dropout", "seed")
            },
        },
        "parameters": num_parameters,
        "date": datetime.date.today().isoformat(),
        "gpu": gpu,
        "torch": torch.__version__,
        "command": "python3 models/glossary/train.py "
        + " ".join(
            shlex.quote(f"--{k}={v}") for k, v in (("dropout", args.dropout), ("epochs", args.epochs))
        ),
    }
    (args.out / "evaluation.json").write_text(json.dumps(evaluation, indent=2) + "\n")
    (args.out / "loss.json").write_text(json.dumps(curve, indent=1) + "\n")
    print(
        f"bf16 weights: perplexity {evaluation['perplexity_per_token']:.2f} per token, "
        f"{evaluation['perplexity_per_word']:.1f} per word, {evaluation['bits_per_byte']:.3f} bits per byte"
    )
    draw(curve, args.out / "loss.png")
    samples = []
    for temperature in (0, 0.8):
        samples += [
            f"[{'greedy' if temperature == 0 else f'temperature {temperature}'}] "
            + generate(model, tokenizer, prompt, args.device, temperature, args.seed + i)
            for i, prompt in enumerate(PROMPTS)
        ]
    (args.out / "samples.txt").write_text("\n\n".join(samples) + "\n")
    print("\n".join(samples), flush=True)
    args.checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
