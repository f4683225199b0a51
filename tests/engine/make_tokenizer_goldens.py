#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tokenizer_goldens.json: token ids by Hugging Face's `tokenizers` for the shipped tokenizer and for
variants of it, each a JSON patch that exercises one component.

    pip install tokenizers
    python3 tests/engine/make_tokenizer_goldens.py models/glossary/tokenizer.json
"""

import copy
import json
import pathlib
import random
import sys

import tokenizers

WORDS = [
    "",
    " ",
    "  ",
    "a",
    "Hello, world!",
    " Hello",
    "Hello  world",
    "don't won't I'll you'RE they'Ve I'M he'D it'S",
    "it\u2019s",
    "'\u017ft 's 'S 'LL",
    "the quick brown fox jumps over the lazy dog.",
    "1",
    "12",
    "123",
    "1234",
    "1234567890123",
    "3.14159, 2,718",
    "\u0661\u0662\u0663\u0664",
    "\u00bd \u2167 \u00b2\u00b3",
    "a1b22c333d4444",
    "CamelCaseWords and snake_case_words",
    "foo\nbar",
    "foo\r\nbar\r\n",
    "\n",
    "\n\n\n",
    " \n",
    " \n \n  x",
    "\t\ttabs\t",
    "trailing   ",
    "   leading",
    "a \u00a0 b\u2003c\u3000d",
    "x\u180ey",
    " \u180e ",
    "x\u200by\u200cz\u200d",
    "\ufeffbom",
    "\u0085next\u2028line\u2029para",
    "\x00",
    "\x00\x01\x02\x1f\x7f",
    "\x1b[31mred\x1b[0m",
    "\u0080\u009f",
    "na\u00efve caf\u00e9 r\u00e9sum\u00e9",
    "cafe\u0301",
    "e\u0301\u0302\u0303 stacked",
    "\u00df\u1e9e \ufb01 \ufb06",
    "\u0130\u0131 I i",
    "\u212a \u212b",
    "\u0391\u03b8\u03ae\u03bd\u03b1 \u03b5\u03af\u03bd\u03b1\u03b9",
    "\u041c\u043e\u0441\u043a\u0432\u0430 \u2014 \u0441\u0442\u043e\u043b\u0438\u0446\u0430",
    "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e",
    "\u09ac\u09be\u0982\u09b2\u09be \u09ad\u09be\u09b7\u09be",
    "\u0b95\u0bcd\u0bb7 \u0ba4\u0bae\u0bbf\u0bb4\u0bcd",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "\u1019\u103c\u1014\u103a\u1019\u102c",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002",
    "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c \u30ab\u30bf\u30ab\u30ca",
    "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4",
    "\U00020000\U0002a6d6",
    "\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8",
    "\u0540\u0561\u0575\u0565\u0580\u0565\u0576",
    "\u12a0\u121b\u122d\u129b",
    "\u13e3\u13b3\u13a9",
    "\U00010330\U00010332",
    "\U0001d400\U0001d7d8",
    "\u1f08\u1fbc",
    "\u01c5\u01c8 \u02b0\u02b1",
    "\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f44d\U0001f3fd",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
    "\u2764\ufe0f\u200d\U0001f525 ok",
    "text\U0001f600\U0001f601more",
    "!!!???...",
    "a-b_c=d+e*f/g",
    "(x) [y] {z} <w>",
    "\"quoted\" 'single' `tick`",
    "$100 \u20ac200 \u00a5300",
    "x := y != z && w || v",
    "#include <stdio.h>",
    "def f(x):\n    return x ** 2\n\n\nclass A:\n\tpass\n",
    "https://example.org/a?b=c&d=%20e#f",
    "user@example.org",
    "\\n \\t \\\\",
    "\u2026\u2014\u2013\u201cx\u201d",
    "\u2200x\u2208\u211d: x\u00b2\u22650",
    "<|begin|>",
    "<|end|>",
    "a<|end|>b",
    "a <|end|> b",
    "<|begin|><|end|><|begin|>",
    "<|begin",
    "<|BEGIN|>",
    "<|end|",
    "<<|end|>>",
    "  <|end|>  ",
    "\n<|end|>\n",
    "<mask>",
    "a <mask> b",
    "a  <mask>  b",
    "<mask><mask>",
    "<mask> <mask>",
    "x<mask>y",
    "\u3000<mask>\u00a0z",
    "<mask>long",
    "<masks",
    "<left> <right>",
    "a <left> <right> b",
    "<right>  <left>",
    "word",
    "aword",
    "word-word",
    "wordy word",
    "_word",
    "\u00e9word",
    "word\u0301",
    "word2",
    "(word)",
    "norm",
    "a norm b",
    "<|end|>norm<mask>",
    "zqxj",
    " zqxj",
    " zqxjzqxj",
    "zqxj zqxj",
    "a,b,,c",
    ",",
    ",,,",
    ",a",
    "a,",
    "a, b, c",
    "--a--b--",
    "aXXbXXXc",
    "1a2b3",
    "12ab34",
]


def texts():
    random.seed(7)
    out = list(WORDS)
    out += (
        ["a" * n for n in (2, 7, 50, 300)]
        + [" " * n for n in (3, 8, 17, 200)]
        + ["\n" * 40, "ab" * 60, "-" * 70, "=" * 33, "\u4e16" * 40]
    )
    out += [" " * n + "x" for n in (1, 2, 3, 9)] + ["0" * n for n in (5, 6, 61)]
    ranges = [
        (0x20, 0x7E),
        (0x00, 0x2FF),
        (0x370, 0x5FF),
        (0x900, 0xDFF),
        (0x2000, 0x2BFF),
        (0x3000, 0x9FFF),
        (0xA000, 0xD7FF),
        (0xE000, 0xFFFF),
        (0x10000, 0x1FFFF),
    ]
    for low, high in ranges:
        for _ in range(8):
            out.append("".join(chr(random.randint(low, high)) for _ in range(random.randint(1, 24))))
    common = (
        "the of and to in a is that for it as was with be by on not "
        "he his but at are this have from or had an they which"
    ).split()
    for _ in range(30):
        parts = [
            random.choice(common)
            + random.choice(
                [" ", " ", " ", "  ", ", ", ".\n", "'s ", "-", "\t", "\u00a0", "1 ", " 42 ", "\r\n"]
            )
            for _ in range(random.randint(3, 20))
        ]
        out.append("".join(parts))
    return [text for text in dict.fromkeys(out) if not any(0xD800 <= ord(c) <= 0xDFFF for c in text)]


def replace(path, value):
    return {"op": "replace", "path": path, "value": value}


def added(number, content, **flags):
    token = {
        "id": number,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    return {**token, **flags}


def byte_level(prefix_space, use_regex):
    return {
        "type": "ByteLevel",
        "add_prefix_space": prefix_space,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def split(pattern, behavior, invert=False):
    kind = "Regex" if pattern.startswith("R:") else "String"
    steps = [
        {
            "type": "Split",
            "pattern": {kind: pattern.removeprefix("R:")},
            "behavior": behavior,
            "invert": invert,
        },
        byte_level(False, False),
    ]
    return [replace("/pre_tokenizer", {"type": "Sequence", "pretokenizers": steps})]


def variants(base, size):
    tokens = base["added_tokens"]
    contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    qwen = contraction + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    o200k = (
        rf"[^\r\n\p{{L}}\p{{N}}]?{upper}*{lower}+{contraction}?"
        rf"|[^\r\n\p{{L}}\p{{N}}]?{upper}+{lower}*{contraction}?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    yield "shipped", []
    yield "gpt2", [
        replace("/pre_tokenizer", byte_level(False, True)),
        replace("/post_processor", byte_level(True, True)),
    ]
    yield "prefix_space", [replace("/pre_tokenizer", byte_level(True, True))]
    yield "no_regex", [replace("/pre_tokenizer", byte_level(False, False))]
    yield "qwen2", split("R:" + qwen, "Isolated")
    yield "o200k", split("R:" + o200k, "Isolated")
    yield "word_class", split(r"R:\w+|[^\w\s]+|^\s", "Isolated")
    yield "digits", [
        replace(
            "/pre_tokenizer",
            {
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level(False, True)],
            },
        )
    ]
    yield "digit_runs", [
        replace(
            "/pre_tokenizer",
            {
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits", "individual_digits": False}, byte_level(True, True)],
            },
        )
    ]
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield "split_" + behavior, split(",", behavior)
        yield "split_inverted_" + behavior, split(r"R:\p{L}+|-|X", behavior, True)
    yield "split_empty", split("R:a*", "Isolated")
    yield "added", [
        replace(
            "/added_tokens",
            tokens
            + [
                added(size, "<mask>", lstrip=True),
                added(size + 1, "<left>", rstrip=True),
                added(size + 2, "<right>", lstrip=True, rstrip=True),
                added(size + 3, "word", single_word=True, special=False),
                added(size + 4, "norm", normalized=True, special=False),
                added(size + 5, "<mask>long", special=False),
                added(size + 6, "\u4e16\u754c", special=False),
                added(size + 7, "a  b ", special=False),
            ],
        )
    ]
    yield "ignore_merges", [
        {"op": "add", "path": "/model/vocab/\u0120zqxj", "value": size},
        replace("/model/ignore_merges", True),
    ]
    yield "template", [
        replace(
            "/post_processor",
            {
                "type": "Sequence",
                "processors": [
                    byte_level(True, True),
                    {
                        "type": "TemplateProcessing",
                        "single": [
                            {"SpecialToken": {"id": "<|begin|>", "type_id": 0}},
                            {"Sequence": {"id": "A", "type_id": 0}},
                            {"SpecialToken": {"id": "<|end|>", "type_id": 0}},
                        ],
                        "pair": [
                            {"Sequence": {"id": "A", "type_id": 0}},
                            {"Sequence": {"id": "B", "type_id": 1}},
                        ],
                        "special_tokens": {
                            "<|begin|>": {"id": "<|begin|>", "ids": [0], "tokens": ["<|begin|>"]},
                            "<|end|>": {"id": "<|end|>", "ids": [1], "tokens": ["<|end|>"]},
                        },
                    },
                ],
            },
        )
    ]


def patched(base, patch):
    result = copy.deepcopy(base)
    for step in patch:
        *parents, last = step["path"].split("/")[1:]
        node = result
        for parent in parents:
            node = node[parent]
        node[last] = step["value"]
    return result


def main():
    base = json.loads(pathlib.Path(sys.argv[1]).read_text())
    size = len(base["model"]["vocab"])
    lines = []
    for name, patch in variants(base, size):
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(patched(base, patch)))
        cases = []
        for number, text in enumerate(texts()):
            if name != "shipped" and (number % 3 == 1 or len(text) > 60) and number >= len(WORDS):
                continue
            ids = tokenizer.encode(text).ids
            if name != "shipped" and len(ids) > 24:
                continue
            if name.startswith("split_") and not any(c in text for c in ",-Xa"):
                continue
            plain = tokenizer.encode(text, add_special_tokens=False).ids
            case = [text, ids, len(ids) - len(plain)]
            decoded = tokenizer.decode(ids)
            if decoded != text:
                case.append(decoded)
            cases.append(case)
        lines.append(
            json.dumps(
                {"name": name, "patch": patch, "cases": cases}, separators=(",", ":"), ensure_ascii=False
            )
        )
    head = f'{{"tokenizers":"{tokenizers.__version__}","variants":[\n'
    out = pathlib.Path(__file__).with_name("tokenizer_goldens.json")
    out.write_text(head + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
    print(out, out.stat().st_size, "bytes")


main()
