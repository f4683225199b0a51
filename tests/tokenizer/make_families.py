#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes families/*.json and families/*.digests: small tokenizers with the components that each family's
tokenizer.json has, and what Hugging Face's `tokenizers` makes of the texts of cases.py with them.

    pip install tokenizers
    python3 tests/tokenizer/make_families.py [FAMILY...]

Vocabularies are trained on models/glossary/heldout.txt (its licence: models/glossary/LICENSE.data) and on
texts of cases.py beyond those that are compared. With --goldens-only the committed tokenizers are kept.

A .digests file holds one byte per case and then the checksum of all: 8 bytes, little-endian.
"""

import json
import pathlib
import struct
import sys
import zlib

import cases
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
NUM_CASES = 20_000
SPACE = "\u2581"

CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL
QWEN2 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(prefix_space=False, use_regex=True):
    return {
        "type": "ByteLevel",
        "add_prefix_space": prefix_space,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def split(kind, pattern, behavior):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": False}


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def template(*pieces):
    """("<s>", "$A"): the ids are filled in later."""
    return {"type": "TemplateProcessing", "pieces": pieces}


FALLBACK = [replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
TEXT_MODEL = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}


def tokens(*contents, **flags):
    return [(content, flags) for content in contents]


# Per family: the components; "front" are tokens of the vocabulary's first ids, "added" those behind it.
FAMILIES = {
    "gpt2": {
        "pre_tokenizer": byte_level(),
        "post_processor": byte_level(True),
        "added": tokens("<|endoftext|>", normalized=True),
    },
    "llama3": {
        "pre_tokenizer": sequence("pretokenizers", split("Regex", LLAMA3, "Isolated"), byte_level(False, False)),
        "post_processor": sequence("processors", byte_level(True), template("<|begin_of_text|>", "$A")),
        "model": {"ignore_merges": True},
        "added": tokens(
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
            "<|python_tag|>",
        ),
    },
    "qwen3": {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": sequence("pretokenizers", split("Regex", QWEN2, "Isolated"), byte_level(False, False)),
        "post_processor": byte_level(False, False),
        "pairs": True,
        "added": tokens("<|endoftext|>", "<|im_start|>", "<|im_end|>")
        + tokens("<tool_call>", "</tool_call>", "<think>", "</think>", special=False),
    },
    "glm4": {
        "pre_tokenizer": sequence("pretokenizers", split("Regex", LLAMA3, "Isolated"), byte_level(False, False)),
        "post_processor": sequence("processors", byte_level(True), template("[gMASK]", "<sop>", "$A")),
        "model": {"ignore_merges": True},
        "pairs": True,
        "added": tokens(
            "<|endoftext|>", "[MASK]", "[gMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>"
        )
        + tokens("<|observation|>", "<think>", special=False),
    },
    "tekken": {
        "pre_tokenizer": sequence("pretokenizers", split("Regex", TEKKEN, "Isolated"), byte_level(False, False)),
        "post_processor": template("<s>", "$A"),
        "model": {"ignore_merges": True},
        "pairs": True,
        "front": tokens("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "<pad>"),
    },
    "llama2": {
        "normalizer": sequence("normalizers", {"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE)),
        "pre_tokenizer": None,
        "post_processor": template("<s>", "$A"),
        "decoder": sequence("decoders", *FALLBACK, STRIP),
        "model": TEXT_MODEL,
        "front": tokens("<unk>", "<s>", "</s>"),
    },
    "mistral3": {
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": SPACE,
            "prepend_scheme": "first",
            "split": False,
        },
        "post_processor": template("<s>", "$A"),
        "decoder": sequence("decoders", *FALLBACK, STRIP),
        "model": TEXT_MODEL,
        "pairs": True,
        "front": tokens("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]"),
    },
    "phi3": {
        "normalizer": sequence("normalizers", {"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE)),
        "pre_tokenizer": None,
        "post_processor": template("$A"),
        "decoder": sequence("decoders", *FALLBACK, STRIP),
        "model": TEXT_MODEL,
        "front": tokens("<unk>", "<s>") + tokens("</s>", rstrip=True, special=False),
        "added": tokens("<|endoftext|>")
        + tokens("<|assistant|>", "<|system|>", "<|end|>", "<|user|>", rstrip=True),
    },
    "gemma2": {
        "normalizer": replace(" ", SPACE),
        "pre_tokenizer": split("String", " ", "MergedWithPrevious"),
        "post_processor": template("<bos>", "$A"),
        "decoder": sequence("decoders", *FALLBACK),
        "model": TEXT_MODEL,
        "front": tokens("<pad>", "<eos>", "<bos>", "<unk>")
        + tokens("<mask>", "<unused0>", "<start_of_turn>", "<end_of_turn>")
        + tokens("\n\n", "\n\n\n", SPACE * 2, SPACE * 3, "<table>", special=False),
    },
    "gemma3": {
        "normalizer": replace(" ", SPACE),
        "pre_tokenizer": split("String", " ", "MergedWithPrevious"),
        "post_processor": template("<bos>", "$A"),
        "decoder": sequence("decoders", *FALLBACK),
        "model": TEXT_MODEL,
        "pairs": True,
        "front": tokens("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>")
        + tokens(*("\n" * n for n in range(2, 9)), *(SPACE * n for n in range(2, 9)), special=False)
        + tokens("\t\t", "<table>", special=False),
    },
    # No family's: what is left of the components.
    "compatible": {
        "normalizer": sequence(
            "normalizers", {"type": "NFKC"}, {"type": "Strip", "strip_left": True, "strip_right": True},
            replace(" {2,}", " ", "Regex"),
        ),  # fmt: skip
        "pre_tokenizer": sequence(
            "pretokenizers",
            {"type": "Punctuation", "behavior": "Isolated"},
            {"type": "Digits", "individual_digits": True},
            {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True},
        ),
        "post_processor": template("<s>", "$A", "</s>"),
        "decoder": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True},
        "model": {"unk_token": "<unk>", "fuse_unk": False, "byte_fallback": False},
        "front": tokens("<unk>", "<s>", "</s>"),
        "added": tokens("solo", single_word=True, special=False)
        + tokens("norm al", "\uff21dded", normalized=True, special=False)
        + tokens("<mask>", lstrip=True),
    },
    "decomposed": {
        "normalizer": {"type": "NFKD"},
        "pre_tokenizer": sequence(
            "pretokenizers", {"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Contiguous"}
        ),
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": False},
        "front": tokens("<unk>", "<s>", "</s>"),
        "added": tokens("[INST]", lstrip=True, rstrip=True, special=False),
    },
    "decomposed_bytes": {
        "normalizer": sequence("normalizers", {"type": "NFD"}, {"type": "Strip", "strip_left": True, "strip_right": False}),
        "pre_tokenizer": sequence("pretokenizers", split("Regex", r"\w+|\d", "MergedWithNext"), byte_level(True)),
        "post_processor": None,
        "front": tokens("<unk>", "<s>", "</s>"),
    },
}  # fmt: skip


def training_texts():
    yield from (HERE.parents[1] / "models/glossary/heldout.txt").read_text(encoding="utf-8").split("\n")
    for number in range(1 << 20, (1 << 20) + 3000):
        yield cases.case(number).decode(errors="replace")


def trained(family):
    """A vocabulary without the front tokens, and merges."""
    is_bytes = "decoder" not in family
    model = tokenizers.Tokenizer(models.BPE())
    alphabet = pre_tokenizers.ByteLevel.alphabet() if is_bytes else []
    trainer = trainers.BpeTrainer(
        vocab_size=1100 if is_bytes else 1000,
        initial_alphabet=sorted(alphabet),
        limit_alphabet=256 if is_bytes else 400,
        show_progress=False,
    )
    description = json.loads(model.to_str())
    description["pre_tokenizer"] = family["pre_tokenizer"]
    description["normalizer"] = family.get("normalizer")
    if not is_bytes and json.dumps(SPACE)[1:-1] in json.dumps(family):
        # Words are needed for training; the model itself merges across them.
        metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
        description["pre_tokenizer"] = metaspace
    model = tokenizers.Tokenizer.from_str(json.dumps(description))
    model.train_from_iterator(training_texts(), trainer)
    result = json.loads(model.to_str())["model"]
    ordered = sorted(result["vocab"], key=result["vocab"].get)
    return ordered, [m if isinstance(m, list) else m.split(" ") for m in result["merges"]]


def added_token(number, content, flags):
    token = {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False}
    token |= {"normalized": False, "special": True}
    return {**token, **flags}


def build(family):
    vocabulary, merges = trained(family)
    front = [content for content, _ in family.get("front", [])]
    bytes_ = [f"<0x{b:02X}>" for b in range(256)] if family.get("model", {}).get("byte_fallback") else []
    spelled = list(dict.fromkeys(front + bytes_ + vocabulary))
    ids = {content: number for number, content in enumerate(spelled)}
    added = []
    for content, flags in family.get("front", []) + family.get("added", []):
        number = ids.get(content, len(spelled) + sum(t["id"] >= len(spelled) for t in added))
        added.append(added_token(number, content, flags))
    special = {token["content"]: token["id"] for token in added}

    def filled(part):
        if part is None or part["type"] != "TemplateProcessing":
            if part is not None and part["type"] == "Sequence":
                return {**part, "processors": [filled(p) for p in part["processors"]]}
            return part
        names = [p for p in part["pieces"] if p != "$A"]
        pieces = [
            {"Sequence": {"id": "A", "type_id": 0}} if p == "$A" else {"SpecialToken": {"id": p, "type_id": 0}}
            for p in part["pieces"]
        ]
        known = {name: {"id": name, "ids": [special[name]], "tokens": [name]} for name in names}
        pair = pieces + [{"Sequence": {"id": "B", "type_id": 1}}]
        return {"type": "TemplateProcessing", "single": pieces, "pair": pair, "special_tokens": known}

    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
    model |= {"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    model |= family.get("model", {})
    model["vocab"] = ids
    model["merges"] = merges if family.get("pairs") else [" ".join(pair) for pair in merges]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "normalizer": family.get("normalizer"),
        "pre_tokenizer": family["pre_tokenizer"],
        "post_processor": filled(family["post_processor"]),
        "decoder": family.get("decoder", byte_level(True)),
        "model": model,
    }


def digests(tokenizer):
    size = tokenizer.get_vocab_size()
    total = 0xCBF29CE484222325
    out = bytearray()
    for number in range(NUM_CASES):
        text = cases.case(number).decode(errors="replace")
        ids = tokenizer.encode(text).ids
        strange = cases.random_ids(number, size)
        parts = [
            struct.pack(f"<{len(ids)}i", *ids),
            tokenizer.decode(ids).encode(),
            tokenizer.decode(ids, skip_special_tokens=False).encode(),
            tokenizer.decode(strange, skip_special_tokens=False).encode(),
        ]
        checksum = zlib.crc32(b"\0".join(parts))
        out.append(checksum & 0xFF)
        total = ((total ^ checksum) * 0x100000001B3) & cases.MASK
    return bytes(out) + struct.pack("<Q", total)


def main():
    arguments = sys.argv[1:]
    keep = "--goldens-only" in arguments
    names = [name for name in arguments if not name.startswith("-")] or list(FAMILIES)
    for name in names:
        path = HERE / "families" / f"{name}.json"
        if not keep:
            text = json.dumps(build(FAMILIES[name]), ensure_ascii=False, separators=(",", ":"))
            path.write_text(text + "\n", encoding="utf-8")
        tokenizer = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        path.with_suffix(".digests").write_bytes(digests(tokenizer))
        print(name, tokenizer.get_vocab_size(), "tokens,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
