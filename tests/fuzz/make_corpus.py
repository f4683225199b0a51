#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the corpora of the targets that read models' files, from files of the tests: small inputs, because fuzzing
runs thousands of them a second.

    python3 tests/fuzz/make_corpus.py
"""

import json
import pathlib
import struct
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = pathlib.Path(__file__).parent / "corpus"
LINE = "\n---\n"
NUM_MERGES = 12
WORDS = {"bytes": "a in the\u0120\u00c3\u00a9", "text": "a in the\u2581\u00e9"}


def write(target, name, *sections):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    content = LINE.join(sections)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- safetensors -------------------------------------------------------------------------------------------


def tensors(*rows):
    """Rows (name, dtype, shape, bytes), one behind the other: the header, behind the number of data bytes."""
    header, at = {}, 0
    for name, dtype, shape, size in rows:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return f"{at}\n{compact(header)}"


def make_safetensors():
    a = tensors(("model.embed_tokens.weight", "BF16", [4, 2], 16), ("model.norm.weight", "F32", [2], 8))
    b = tensors(("lm_head.weight", "F16", [4, 2], 16))
    index = {"metadata": {"total_size": 40}, "weight_map": {"model.embed_tokens.weight": "1", "model.norm.weight": "1"}}
    write("safetensors", "one", compact(index), a)
    index["weight_map"]["lm_head.weight"] = "2"
    write("safetensors", "two", compact(index), a, b)
    types = ["F64 8", "I64 8", "U64 8", "C64 8", "F32 4", "I32 4", "U32 4", "I16 2", "U16 2", "U8 1", "I8 1", "BOOL 1"]
    types += ["F8_E4M3 1", "F8_E5M2 1", "F8_E8M0 1", "F8_E4M3FNUZ 1", "F8_E5M2FNUZ 1"]
    rows = [(name, name, [], int(size)) for name, size in map(str.split, types)]
    rows += [("F4", "F4", [2, 3], 3), ("F6_E2M3", "F6_E2M3", [4], 3), ("F6_E3M2", "F6_E3M2", [8], 6), ("none", "U8", [0], 0)]
    write("safetensors", "types", compact({"weight_map": {"F64": "1"}}), tensors(*rows))
    header = b'{"__metadata__":{"format":"pt"},"t":{"dtype":"U8","more":[{}],"shape":[2],"data_offsets":[0,2]}}  '
    (CORPUS / "safetensors" / "raw").write_bytes(struct.pack("<Q", len(header)) + header + b"\1\2")


# --- quantised layers --------------------------------------------------------------------------------------


def make_quantized():
    """Each golden of tests/formats: its config and the header of its tensors, whose data are bytes 0x3c, positive and
    finite as every type of scale."""
    goldens = json.loads((ROOT / "tests/formats/goldens.json").read_text())
    for name, golden in goldens.items():
        data = (ROOT / f"tests/formats/goldens/{name}.safetensors").read_bytes()
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
        at = 0
        for tensor in [tensor for tensor in header if tensor in ("expected", "__metadata__")]:
            del header[tensor]
        for entry in header.values():
            begin, end = entry["data_offsets"]
            entry["data_offsets"] = [at, at + end - begin]
            at += end - begin
        rows, columns = golden["shape"][-2:]
        write("quantized", name, compact(golden["quantization_config"]), f"{rows} {columns} {at} 60", compact(header))


# --- config.json -------------------------------------------------------------------------------------------


def make_configs():
    models = json.loads((ROOT / "data/models.json").read_text())
    seen = set()
    for name, config in models.items():
        form = isinstance(config, dict) and (*config["architectures"], *sorted(config))
        if form and form not in seen:  # one of each form; others are names for one of them
            seen.add(form)
            write("config", name, compact(config))
    glossary = ROOT / "models/glossary"
    texts = [compact(json.loads((glossary / name).read_text())) for name in ("config.json", "generation_config.json")]
    write("config", "glossary", *texts)
    config = json.loads(texts[0])
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048, "rope_theta": 1e6}
    yarn |= {"beta_fast": 32, "beta_slow": 1, "attention_factor": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "truncate": True}
    write("config", "yarn", compact({**config, "rope_parameters": yarn, "partial_rotary_factor": 0.5}),
          compact({"eos_token_id": [1, 2], "do_sample": True, "temperature": 0.6, "top_p": 0.9}))
    llama = {"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    llama["original_max_position_embeddings"] = 8192
    write("config", "llama3", compact({**config, "rope_scaling": llama, "attention_bias": True, "mlp_bias": True}))


# --- tokenizer.json ----------------------------------------------------------------------------------------


def pairs_of(merges):
    return [merge if isinstance(merge, list) else merge.split(" ") for merge in merges]


def cut(tokenizer):
    """A few characters, the first merges of those, and what the other components name."""
    model = tokenizer["model"]
    is_pair = bool(model["merges"]) and isinstance(model["merges"][0], list)
    is_bytes = tokenizer["decoder"]["type"] == "ByteLevel"
    known = [c for c in dict.fromkeys(WORDS["bytes" if is_bytes else "text"]) if c in model["vocab"]]
    merges = []
    for left, right in pairs_of(model["merges"]):
        if left in known and right in known and len(merges) < NUM_MERGES:
            merges.append([left, right])
            known.append(left + right)
    named = {piece["SpecialToken"]["id"] for piece in pieces_of(tokenizer["post_processor"]) if "SpecialToken" in piece}
    added = [token for token in tokenizer["added_tokens"] if token["content"] in named or token["content"] in ("<unk>", "</s>")]
    added += [token for token in tokenizer["added_tokens"] if token not in added][:4]
    front = [token["content"] for token in added if token["content"] in model["vocab"]]
    bytes_ = ["<0xC3>", "<0xA9>"] if model["byte_fallback"] else []
    ids = {content: number for number, content in enumerate(dict.fromkeys(front + bytes_ + known))}
    for token in added:
        token["id"] = ids.get(token["content"], len(ids) + added.index(token))
    special = {token["content"]: token["id"] for token in added}
    renumber(tokenizer["post_processor"], special)
    model |= {"vocab": ids, "merges": merges if is_pair else [" ".join(pair) for pair in merges]}
    tokenizer["added_tokens"] = added
    return tokenizer


def templates_of(processor):
    if processor is None:
        return []
    if processor["type"] == "Sequence":
        return [part for inner in processor["processors"] for part in templates_of(inner)]
    return [processor] if processor["type"] == "TemplateProcessing" else []


def pieces_of(processor):
    return [piece for template in templates_of(processor) for piece in template["single"]]


def renumber(processor, special):
    for template in templates_of(processor):
        template.pop("pair", None)
        for name, token in template["special_tokens"].items():
            token["ids"] = [special[name]]


def make_tokenizers():
    texts = ["the tin in a hat, 12345's\n\n  the \u00e9t\u00e9 <s>", "<|endoftext|> \u4e2d\U0001f600  In\u00e9\u0301 "]
    for path in sorted((ROOT / "tests/tokenizer/families").glob("*.json")):
        write("tokenizer", path.stem, compact(cut(json.loads(path.read_text()))), *texts)


# --- templates and chats -----------------------------------------------------------------------------------


def make_templates():
    chat = ROOT / "tests/chat"
    conversations = json.loads((chat / "conversations.json").read_text())
    templates = sorted((chat / "templates").glob("*.jinja"))
    for path in templates:
        write("template", path.stem, path.read_text(), compact(conversations["plain"]))
    snippets = json.loads((chat / "snippets.json").read_text())
    for number, snippet in enumerate(snippets):
        write("template", f"snippet{number:03}", snippet)
    for number, (name, variables) in enumerate(conversations.items()):
        family = templates[number % len(templates)].stem
        write("chat", name, f"{family}\n{compact(variables)}")


# --- logs --------------------------------------------------------------------------------------------------


def make_logs():
    """Every positive line of the catalogue, a few failures to a log."""
    failures = tomllib.loads((ROOT / "data/failure_lines.toml").read_text())["failure"]
    for begin in range(0, len(failures), 10):
        lines = [line for failure in failures[begin : begin + 10] for line in failure["positive"]]
        write("diagnose", f"lines{begin:03}", "INFO fine\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    make_safetensors()
    make_quantized()
    make_configs()
    make_tokenizers()
    make_templates()
    make_logs()
