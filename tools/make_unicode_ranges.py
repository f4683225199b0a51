#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes engine/unicode_ranges.inc: where the Unicode tables of Hugging Face's `tokenizers` differ from ours.

The package matches patterns with Oniguruma (0.23: Unicode 16) and normalizes with tables of Unicode 9 or so;
PCRE2 10.42 knows Unicode 14 and utf8proc 2.8 Unicode 15. Every code point is asked for:

  category  code points of a general category (and \\w, Han) that PCRE2's tables lack, Unicode 14 of Python 3.11
  not_punctuation  code points of P, by either, that the Punctuation pre-tokenizer takes for none
  inert     code points that normalization composes, decomposes or reorders, and the package's does not

    pip install tokenizers          # under a Python whose unicodedata is 14.0
    python3 tools/make_unicode_ranges.py
"""

import pathlib
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So".split()
ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def matched(pattern):
    removed = pre_tokenizers.Split(Regex(pattern), "removed")
    return {c for c in ALL if not removed.pre_tokenize_str(chr(c))}


def ranges(points):
    out = []
    for point in sorted(points):
        if out and out[-1][1] == point - 1:
            out[-1][1] = point
        else:
            out.append([point, point])
    return out


def inert():
    """Code points to which the package's normalization is blind; also those only its compositions lack."""
    found = set()
    nfd, nfc, nfkd = normalizers.NFD(), normalizers.NFC(), normalizers.NFKD()
    for c in ALL:
        char = chr(c)
        if nfd.normalize_str(char) != unicodedata.normalize("NFD", char):
            found.add(c)
        if nfkd.normalize_str(char) != unicodedata.normalize("NFKD", char):
            found.add(c)
        if unicodedata.combining(char):  # does it move before and behind marks of other classes?
            for probe in ("a\u0301" + char, "a" + char + "\u0334", "a\u0345" + char):
                if nfd.normalize_str(probe) != unicodedata.normalize("NFD", probe):
                    found.add(c)
        parts = unicodedata.decomposition(char).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            pair = chr(int(parts[0], 16)) + chr(int(parts[1], 16))
            if nfc.normalize_str(pair) != unicodedata.normalize("NFC", pair):
                found |= {c, int(parts[1], 16)}
    # What Unicode 15 added, which utf8proc knows and Python's tables of Unicode 14 do not: marks, and modifier
    # letters that decompose.
    found |= set(range(0x1E030, 0x1E06E))
    found |= {0x0CF3, 0x10EFD, 0x10EFE, 0x10EFF, 0x11F41, 0x11F42, 0x1E08F}
    found |= {0x1E4EC, 0x1E4ED, 0x1E4EE, 0x1E4EF}
    return found


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        f"// Made by tools/make_unicode_ranges.py with tokenizers {tokenizers.__version__}. "
        "No include guard: a list.",
        "// clang-format off",
    ]

    def table(macro, name, points):
        for low, high in ranges(points):
            lines.append(f"{macro}({name}, 0x{low:04X}, 0x{high:04X})")

    known = {c: unicodedata.category(chr(c)) for c in ALL}
    letters, punctuation = set(), set()
    for category in CATEGORIES:
        theirs = matched(rf"\p{{{category}}}")
        ours = {c for c in ALL if known[c] == category}
        print(category, "added", len(theirs - ours), "gone", sorted(map(hex, ours - theirs)))
        table("WW_CATEGORY", category, theirs - ours)
        letters |= theirs
        if category[0] == "P":
            punctuation |= theirs | ours
    word = matched(r"\w")
    print("word beyond the categories", [hex(c) for c in sorted(word - letters)][:20])
    # Alphabetic symbols and marks are the same in both; what is new is new in its category.
    table("WW_CATEGORY", "word", {c for c in word if known[c] == "Cn"})
    table("WW_CATEGORY", "Han", {c for c in matched(r"\p{Han}") if known[c] == "Cn"})
    removed = pre_tokenizers.Punctuation("removed")
    theirs = {c for c in ALL if not removed.pre_tokenize_str(chr(c))}
    ascii_marks = set(map(ord, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"))
    print("punctuation beyond P and ASCII", sorted(map(hex, theirs - punctuation - ascii_marks)))
    table("WW_CATEGORY", "not_punctuation", punctuation - theirs)
    table("WW_INERT", "", inert())
    text = "\n".join(line.replace("(, ", "(") for line in lines) + "\n"
    path = pathlib.Path(__file__).parents[1] / "engine/unicode_ranges.inc"
    path.write_text(text)
    print(path, text.count("\n"), "lines")


main()
