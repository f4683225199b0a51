#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Held-out perplexity of the shipped model with weights in every format of `warpwright quantize`; that of keys and values
in every format is tools/kv_perplexity.cpp's.

    python3 tools/format_accuracy.py OUT.json [ROW...]     all rows, or those named; OUT's others are kept

Weights are written by build/warpwright and read by compressed-tensors' own decompression. Counted as in
models/glossary/evaluation.json: every line of heldout.txt on its own, fp32 arithmetic, on the CPU.
Needs torch, transformers and compressed-tensors.
"""
import datetime
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationScheme
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "glossary"
FORMATS = ["int8", "fp8", "fp8-tensor", "fp8-block", "mxfp8", "int4-asym", "int4", "nvfp4", "mxfp4", "int4 --gptq",
           "int4-asym --gptq", "int4 --gptq --act-order"]
BATCH_TOKENS = 4096


def batches(file):
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    lines = (MODEL / file).read_text().splitlines()
    texts = sorted(([0, *tokenizer(line, add_special_tokens=False).input_ids, 1] for line in lines), key=len)
    batch = []
    for text in texts:
        if batch and len(text) * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(text)
    yield batch


def nats_per_token(model, data):
    total, count = 0.0, 0
    with torch.inference_mode():
        for batch in data:
            width = max(map(len, batch))
            ids = torch.tensor([text + [1] * (width - len(text)) for text in batch])
            mask = torch.tensor([[True] * (len(text) - 1) + [False] * (width - len(text)) for text in batch])
            hidden = model.model(ids, attention_mask=torch.ones_like(ids), use_cache=False).last_hidden_state[:, :-1]
            losses = torch.nn.functional.cross_entropy(model.lm_head(hidden[mask]), ids[:, 1:][mask], reduction="none")
            total += float(losses.double().sum())
            count += int(mask.sum())
    return total / count, count


def decompressed(folder):
    """The weights as compressed-tensors reads them, by their names in the original checkpoint."""
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    scheme = QuantizationScheme.model_validate(config["config_groups"]["group_0"])
    compressor = BaseCompressor.get_value_from_registry(config["format"])
    layers, weights = {}, {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        layer, key = name.rsplit(".", 1)
        layers.setdefault(layer, {})[key] = tensor
    for layer, tensors in layers.items():
        if "weight_scale" in tensors:
            tensors = compressor.decompress(tensors, scheme)
        weights[f"{layer}.weight"] = tensors["weight"].detach().float()
    return weights


def weights_row(name, model, original, data):
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text) / "out"
        command = [ROOT / "build" / "warpwright", "quantize", "--model", MODEL, "--format", *name.split(), "--out", folder]
        subprocess.run(command, check=True, capture_output=True)
        weights = decompressed(folder)
        size = (folder / "model.safetensors").stat().st_size
    squares = error = 0.0
    for key, value in weights.items():
        if ".layers." in key and value.dim() == 2:
            squares += float(original[key].double().pow(2).sum())
            error += float((original[key] - value).double().pow(2).sum())
    model.load_state_dict(weights, strict=False)
    nats, _ = nats_per_token(model, data)
    model.load_state_dict(original)
    return dict(format=name, perplexity=math.exp(nats), bytes=size, weight_error=math.sqrt(error / squares))


def main():
    path, wanted = pathlib.Path(sys.argv[1]), set(sys.argv[2:])
    result = json.loads(path.read_text()) if path.exists() else {}
    known = {row["format"]: row for row in result.get("rows", [])}
    data = list(batches("heldout.txt"))
    model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
    original = {name: value.clone() for name, value in model.state_dict().items()}
    for name in ["bf16", *FORMATS]:
        if wanted and name not in wanted:
            continue
        if name == "bf16":
            nats, result["tokens"] = nats_per_token(model, data)
            size = (MODEL / "model.safetensors").stat().st_size
            known[name] = dict(format=name, perplexity=math.exp(nats), bytes=size, weight_error=0.0)
        else:
            known[name] = weights_row(name, model, original, data)
        print(known[name], flush=True)
        result |= dict(model="models/glossary", date=datetime.date.today().isoformat(), device="CPU",
                       command="python3 tools/format_accuracy.py", torch=torch.__version__,
                       transformers=transformers.__version__,
                       rows=[known[name] for name in ["bf16", *FORMATS] if name in known])
        path.write_text(json.dumps(result, indent=1) + "\n")


main()
