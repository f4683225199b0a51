#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes unicode.json: checksums of what Hugging Face's `tokenizers` makes of every code point, by normalization
form and by pattern. unicode_test.cpp compares.

    pip install tokenizers
    python3 tests/tokenizer/make_unicode_checksums.py
"""

import json
import pathlib
import zlib

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

PATTERNS = r"\p{L} \p{N} \p{M} \p{P} \p{S} \p{Lu} \p{Ll} \p{Lt} \p{Lm} \p{Lo} \p{Nd} \p{Han} \s \S \w \W \d [\w] \P{L}"
ALL = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def form_checksum(form):
    """Alone, behind a letter with a mark, and before two marks of different classes."""
    crc = 0
    for char in ALL:
        crc = zlib.crc32((form.normalize_str(char) + "\0").encode(), crc)
        crc = zlib.crc32((form.normalize_str("e\u0301" + char + "\u0316\u0300") + "\0").encode(), crc)
    return crc


def pattern_checksum(removed):
    return zlib.crc32("".join("0" if removed.pre_tokenize_str(char) else "1" for char in ALL).encode())


def main():
    out = {"tokenizers": tokenizers.__version__, "forms": {}, "patterns": {}}
    for name in ("NFC", "NFD", "NFKC", "NFKD"):
        out["forms"][name] = form_checksum(getattr(normalizers, name)())
    for pattern in PATTERNS.split():
        out["patterns"][pattern] = pattern_checksum(pre_tokenizers.Split(Regex(pattern), "removed"))
    out["patterns"]["Punctuation"] = pattern_checksum(pre_tokenizers.Punctuation("removed"))
    path = pathlib.Path(__file__).with_name("unicode.json")
    path.write_text(json.dumps(out, indent=1) + "\n")
    print(path)


main()
