#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The texts that tokenizers are compared on, by number: the same as cases.h makes, from the lists of cases.json.

Every case is bytes. One kind of sixteen is broken UTF-8 most times; a tokenizer gets it with U+FFFD in place of
what is broken.
"""

import json
import pathlib

LISTS = json.loads(pathlib.Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
MASK = (1 << 64) - 1
KINDS = 16


class Random:
    def __init__(self, seed):
        self.state = (seed * 0x9E3779B97F4A7C15 + 0x1234567) & MASK

    def below(self, n):  # splitmix64
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 16) % n

    def of(self, name):
        items = LISTS[name]
        return items[self.below(len(items))]


def character(point):
    return chr(0xFFFD if 0xD800 <= point <= 0xDFFF else point).encode()


def one_of_script(random, script):
    return character(script[0] + random.below(script[1] - script[0] + 1))


def text_of(random, kind):
    out = b""
    count = 1 + random.below(12)
    if kind == 0:
        for _ in range(count):
            out += random.of("words").encode() + random.of("gaps").encode()
    elif kind == 1:
        script = random.of("scripts")
        for _ in range(2 * count):
            out += one_of_script(random, script)
    elif kind == 2:
        for _ in range(2 * count):
            out += one_of_script(random, random.of("scripts"))
            if random.below(5) == 0:
                out += b" "
    elif kind == 3:
        for _ in range(count):
            out += random.of("emoji").encode()
            if random.below(6) == 0:
                out += random.of("words").encode()
    elif kind == 4:
        for _ in range(2 * count):
            out += character(random.below(160 if random.below(2) else 32))
    elif kind == 5:
        part = random.of("gaps").encode() if random.below(2) else one_of_script(random, random.of("scripts"))
        out = part * (1 + random.below(200)) + (random.of("words").encode() if random.below(2) else b"")
    elif kind == 6:
        for _ in range(count):
            out += character(random.of("spaces"))
            if random.below(4) == 0:
                out += random.of("words").encode()
    elif kind == 7:
        zeros = [0x30, 0x30, 0x660, 0x966, 0xFF10, 0x1D7CE, 0x10D40]
        for _ in range(count):
            zero = zeros[random.below(7)]
            for _ in range(1 + random.below(7)):
                out += character(zero + random.below(10))
            out += b" .,:/-%$"[random.below(8) :][:1]
    elif kind == 8:
        for _ in range(2 * count):
            out += character(33 + random.below(15 if random.below(2) else 94))
            if random.below(6) == 0:
                out += b"\n" if random.below(2) else b" "
    elif kind == 9:
        for _ in range(count):
            out += character(random.of("bases"))
            for _ in range(random.below(4)):
                out += character(random.of("marks"))
    elif kind == 10:
        for _ in range(2 * count):
            out += character(random.below(0x110000))
    elif kind == 11:
        out = text_of(random, random.below(4)) if random.below(2) else b""
        for _ in range(count):
            at = random.below(len(out) + 1)
            out = out[:at] + bytes([128 + random.below(128)]) + out[at + random.below(2) :]
    elif kind == 12:
        for _ in range(count):
            out += random.of("specials").encode()
            out += random.of("gaps").encode() if random.below(2) else b""
            out += random.of("words").encode() if random.below(3) == 0 else b""
    elif kind == 13:
        for _ in range(count):
            out += random.of("words").encode() if random.below(2) else b" "
            out += b"'"
            out += "s S t T re RE rE ve VE m M ll LL lL d D ſ r v l x".split()[random.below(21)].encode()
    elif kind == 14:
        ranges = [[0xFF01, 0xFFEF], [0xFB00, 0xFB4F], [0x3200, 0x33FF], [0x1100, 0x11FF], [0x2100, 0x218F]]
        ranges += [[0x1D400, 0x1D7FF], [0xF900, 0xFAFF], [0xFC00, 0xFDFF]]
        for _ in range(2 * count):
            out += one_of_script(random, ranges[random.below(8)])
    else:
        for _ in range(2 + random.below(3)):
            out += text_of(random, random.below(KINDS - 1))
    return out


def case(number):
    return text_of(Random(number), number % KINDS)


def random_ids(number, vocab_size):
    random = Random(number + (1 << 32))
    return [random.below(vocab_size) for _ in range(1 + random.below(12))]
