#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the device code of a file by another way than inspect's: entries of fatbins by kind, and zstd frames and
cubins that stand outside of fatbins. Prints JSON.

    python3 tests/inspect/count_payloads.py FILE
"""

import json
import mmap
import struct
import sys

FATBIN, ZSTD, ELF = b"\x50\xed\x55\xba", b"\x28\xb5\x2f\xfd", b"\x7fELF\x02\x01\x01"
KINDS = {1: "ptx", 2: "cubin", 8: "ltoir"}


def places(data, magic):
    at = data.find(magic)
    while at >= 0:
        yield at
        at = data.find(magic, at + 1)


def main(path):
    counts = dict.fromkeys(["fatbins", "ptx", "cubin", "ltoir", "frames", "bare"], 0)
    covered = []  # (begin, end) of fatbins
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for at in places(data, FATBIN):
            if covered and at < covered[-1][1] or at + 80 > len(data):
                continue
            version, header, size = struct.unpack_from("<HHQ", data, at + 4)
            if (version, header) != (1, 16) or data[at + 18 : at + 20] != b"\1\1":
                continue
            counts["fatbins"] += 1
            covered.append((at, at + 16 + size))
            entry = at + 16
            while entry < at + 16 + size:
                kind, _, header, stored = struct.unpack_from("<HHIQ", data, entry)
                counts[KINDS[kind]] += 1
                entry += header + stored

        def outside(magic):
            index = 0
            for at in places(data, magic):
                while index < len(covered) and covered[index][1] <= at:
                    index += 1
                if index == len(covered) or at < covered[index][0]:
                    yield at

        # A frame that tells its content's size, as those of cubins do: 1 KB to 1 GB; and begins with a block of at most
        # 128 KB. The magic number also stands in the code of whoever looks for it.
        for at in outside(ZSTD):
            descriptor = data[at + 4]
            size_bytes = {0: 1 if descriptor & 0x20 else 0, 1: 2, 2: 4, 3: 8}[descriptor >> 6]
            begin = at + 5 + (0 if descriptor & 0x20 else 1) + {0: 0, 1: 1, 2: 2, 3: 4}[descriptor & 3]
            size = int.from_bytes(data[begin : begin + size_bytes], "little") + (256 if size_bytes == 2 else 0)
            block = int.from_bytes(data[begin + size_bytes : begin + size_bytes + 3], "little") >> 3
            counts["frames"] += descriptor & 8 == 0 and 1 << 10 <= size <= 1 << 30 and block <= 1 << 17
        counts["bare"] = sum(data[at + 18 : at + 20] == b"\xbe\0" for at in outside(ELF))
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1])
