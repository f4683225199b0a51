#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/formats/*.svg: how quantised weights lie in files, and in our packed layout.

    python3 tools/draw_formats.py          writes them
    python3 tools/draw_formats.py --check  exits 1 when a file is not what would be drawn

What stands in a cell is computed by the formulas that the readers use (src/formats/stored_weight.cpp, swizzle.h,
src/kernels/quantized_gemm/layout.h). Words are drawn from their lowest bits on, left to right.
"""
import html
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "formats"
WIDTH, MARGIN = 760, 16
STYLE = """
text { fill: #333; } .title { font-size: 14px; font-weight: bold; } .name { font-weight: bold; }
.small { font-size: 9.5px; } .faint { fill: #777; }
rect { fill: none; stroke: #999; } .chosen { stroke: #c0392b; stroke-width: 2; } .zoom { stroke: #c0392b; stroke-dasharray: 3 3; }
.c0 { fill: #2f6db5; fill-opacity: 0.28; } .c1 { fill: #d9822b; fill-opacity: 0.28; }
.c2 { fill: #3c9a6e; fill-opacity: 0.28; } .c3 { fill: #9b59b6; fill-opacity: 0.28; }
@media (prefers-color-scheme: dark) {
text { fill: #ddd; } .faint { fill: #999; } rect { stroke: #777; } .chosen, .zoom { stroke: #ff7b6b; }
.c0, .c1, .c2, .c3 { fill-opacity: 0.45; } }
"""


class Picture:
    def __init__(self, title):
        self.title, self.parts, self.height = title, [], 0
        self.text(MARGIN, 22, title, "title")

    def text(self, x, y, text, style="", anchor="start"):
        self.height = max(self.height, y)
        style = f' class="{style}"' if style else ""
        anchor = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.parts.append(f'<text x="{x:g}" y="{y:g}"{style}{anchor}>{html.escape(text)}</text>')

    def rect(self, x, y, width, height, style=""):
        self.height = max(self.height, y + height)
        style = f' class="{style}"' if style else ""
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{style} />')

    def line(self, x1, y1, x2, y2):
        self.parts.append(f'<line class="zoom" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" />')

    def cells(self, x, y, width, height, labels, styles=None):
        """A row of cells with a label each."""
        for i, label in enumerate(labels):
            self.rect(x + i * width, y, width, height, styles[i] if styles else "")
            self.text(x + (i + 0.5) * width, y + height / 2 + 3.5, str(label), "small", "middle")

    def tensor(self, x, y, columns, rows, cell, name, form, style=None, chosen=(0, 0)):
        """A matrix of cells under its name; returns the chosen cell's corners."""
        self.text(x, y - 18, name, "name")
        self.text(x, y - 5, form, "small")
        for row in range(rows):
            for column in range(columns):
                self.rect(x + column * cell, y + row * cell, cell, cell, style(row, column) if style else "")
        if chosen is None:
            return None
        left, top = x + chosen[1] * cell, y + chosen[0] * cell
        self.rect(left, top, cell, cell, "chosen")
        return left, top + cell, left + cell

    def word(self, corners, x, y, labels, caption, width=46, styles=None):
        """The elements of a chosen cell, drawn large below it."""
        left, bottom, right = corners
        self.line(left, bottom, x, y)
        self.line(right, bottom, x + width * len(labels), y)
        self.cells(x, y, width, 24, labels, styles)
        self.text(x, y + 38, caption, "small faint")

    def svg(self):
        height = self.height + MARGIN
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" font-family="sans-serif" '
                f'font-size="12">\n<title>{html.escape(self.title)}</title>\n<style>{STYLE}</style>\n' +
                "\n".join(self.parts) + "\n</svg>\n")


def of_group(number):
    return f"c{number % 4}"


def gptq():
    p = Picture("GPTQ, 4 bits: words run down the columns")
    codes = p.tensor(16, 70, 8, 5, 22, "qweight i32", "[K / 8, N]: a row of words is 8 of k", lambda r, c: of_group(r // 2), (0, 2))
    p.word(codes, 16, 200, [f"k={i}" for i in range(8)], "bits 0-3 first; all of column n = 2")
    zeros = p.tensor(430, 70, 3, 3, 22, "qzeros i32", "[K / g, N / 8]: along the row", lambda r, c: of_group(r))
    p.word(zeros, 430, 200, [f"n={i}" for i in range(8)], "zero points: v1 stores z - 1, gptq_v2 stores z", 38)
    p.tensor(600, 70, 6, 3, 22, "scales f16", "[K / g, N]", lambda r, c: of_group(r), None)
    p.text(16, 268, "w[k, n] = (q - z) s, of group k / g ...", "name")
    plain = [k // 4 for k in range(16)]
    p.cells(16, 278, 30, 22, [f"g{g}" for g in plain], [of_group(g) for g in plain])
    p.text(510, 293, "g_idx i32 [K], usual order", "small")
    p.text(16, 326, "... or with act-order (desc_act) of group g_idx[k]: a group is what was important alike", "name")
    mixed = [2, 0, 3, 1, 0, 2, 1, 3, 3, 0, 1, 2, 0, 3, 2, 1]
    p.cells(16, 336, 30, 22, [f"g{g}" for g in mixed], [of_group(g) for g in mixed])
    p.text(510, 351, "g_idx of another checkpoint", "small")
    return p


AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # the column of nibble i


def awq():
    p = Picture("AWQ, 4 bits: two packings")
    gemm = p.tensor(16, 70, 3, 6, 22, "gemm: qweight i32", "[K, N / 8]", lambda r, c: of_group(r // 3), (1, 1))
    p.word(gemm, 16, 226, [f"n={8 + i}" for i in AWQ_ORDER], "k = 1: even columns of the eight, then odd ones; bits 0-3 first", 42)
    p.tensor(150, 70, 3, 2, 22, "qzeros i32", "[K / g, N / 8], likewise", lambda r, c: of_group(r), None)
    p.tensor(285, 70, 6, 2, 16, "scales f16", "[K / g, N]", lambda r, c: of_group(r), None)
    gemv = p.tensor(400, 70, 6, 5, 22, "gemv: qweight i32", "[N, K / 8]", lambda r, c: of_group(c // 2), (2, 1))
    p.word(gemv, 400, 226, [f"k={8 + i}" for i in range(8)], "n = 2: columns in order", 42)
    p.tensor(570, 70, 2, 5, 22, "qzeros i32", "[N, K / g / 8 *]", lambda r, c: "", None)
    p.tensor(660, 70, 4, 5, 18, "scales f16", "[N, K / g *]", lambda r, c: of_group(c) if c < 3 else "", None)
    p.text(16, 296, "w = (q - z) s;  * rows are padded with what is not read, to 8, 16 or 32 bytes of zero points")
    return p


def compressed():
    p = Picture("compressed-tensors pack-quantized, 4 bits: what `quantize --format int4` writes")
    codes = p.tensor(16, 70, 8, 5, 22, "weight_packed i32", "[N, K / 8]", lambda r, c: of_group(c // 2), (1, 2))
    p.word(codes, 16, 204, [f"k={16 + i}" for i in range(8)], "n = 1: along the row, bits 0-3 first; K need not be in eights", 46)
    p.tensor(240, 70, 4, 5, 22, "weight_scale bf16", "[N, K / g]", lambda r, c: of_group(c), None)
    zeros = p.tensor(430, 70, 4, 2, 22, "weight_zero_point i32", "[N / 8, K / g]: down the rows", lambda r, c: of_group(c), (0, 1))
    p.word(zeros, 430, 204, [f"n={i}" for i in range(8)], "of group 1; int4-asym alone", 38)
    p.tensor(620, 70, 2, 1, 22, "weight_shape i64", "[N, K]", None, None)
    p.text(16, 272, "w = (q - z) s, without zero points z = 8; 2, 3 and 8 bits likewise, a stream of bits along each row")
    return p


def fp8_blocks():
    p = Picture("FP8 in blocks of 128 x 128 (DeepSeek, fp8-block, ModelOpt FP8_PB_WO)")
    x, y, block = 16, 74, 54
    p.text(x, y - 18, "weight e4m3", "name")
    p.text(x, y - 5, "[N, K], a byte each", "small")
    scales = [(row, column) for row in range(3) for column in range(5)]
    for row, column in scales:
        width = block if column < 4 else block * 0.6
        height = block if row < 2 else block * 0.5
        p.rect(x + column * block, y + row * block, width, height, of_group(column + 2 * row))
        p.text(x + column * block + width / 2, y + row * block + height / 2 + 4, f"[{row}, {column}]", "small", "middle")
    p.text(x + 4 * block + 40, y + 80, "the last blocks of a row or", "small")
    p.text(x + 4 * block + 40, y + 93, "a column may be cut off", "small")
    p.tensor(470, 74, 5, 3, 30, "weight_scale_inv f32", "[N / 128, K / 128], both rounded up", lambda r, c: of_group(c + 2 * r), None)
    p.text(16, 232, "w[n, k] = q[n, k] s[n / 128, k / 128]: it multiplies, whatever its name says")
    p.text(16, 250, "compressed-tensors: weight_scale of the same shape; ModelOpt: weight_scale [N / 128, 1, K / 128, 1]", "faint")
    return p


def swizzled_offset(row, column):
    return row % 32 * 16 + row % 128 // 32 * 4 + column % 4


def nvfp4():
    p = Picture("NVFP4: e2m1 codes, an e4m3 scale for 16 of them, one fp32 scale for all")
    codes = p.tensor(16, 70, 16, 4, 18, "weight_packed u8", "[N, K / 2]: eight bytes are a group", lambda r, c: of_group(c // 8 + r), (0, 1))
    p.word(codes, 16, 184, ["k=2", "k=3"], "a byte: the even k in bits 0-3", 46)
    p.tensor(330, 70, 2, 4, 22, "weight_scale e4m3", "[N, K / 16]", lambda r, c: of_group(c + r), None)
    p.tensor(480, 70, 1, 1, 22, "weight_global_scale f32 [1]", "compressed-tensors: w = q s / global", None, None)
    p.tensor(480, 140, 1, 1, 22, "weight_scale_2 f32", "ModelOpt: w = q s scale_2, its reciprocal", None, None)
    p.text(16, 262, "Scales for block-scaled products: 128 rows x 4 scales are an atom of 512 bytes", "name")
    p.text(16, 277, "linear: row, scales 4 j to 4 j + 3", "small")
    for i, row in enumerate((0, 1, 2, None, 31, 32, None, 64, None, 96, 127)):
        if row is None:
            p.text(60, 290 + i * 16 + 11, "...", "small", "middle")
            continue
        p.cells(60, 290 + i * 16, 26, 16, [f"+{j}" for j in range(4)], [of_group(row // 32)] * 4)
        p.text(52, 290 + i * 16 + 12, f"row {row}", "small", "end")
    p.text(250, 277, "128x4: sixteen bytes are four scales of rows r, r + 32, r + 64, r + 96", "small")
    by_offset = {swizzled_offset(row, column): (row, column) for row in range(128) for column in range(4)}
    assert sorted(by_offset) == list(range(512))
    for i, line in enumerate((0, 1, 2, None, 30, 31)):
        if line is None:
            p.text(296, 290 + i * 24 + 15, "...", "small", "middle")
            continue
        p.text(292, 290 + i * 24 + 15, f"+{16 * line}", "small", "end")
        for quarter in range(4):
            row, column = by_offset[16 * line + 4 * quarter]
            assert column == 0
            p.cells(300 + quarter * 108, 290 + i * 24, 108, 24, [f"row {row}, +0 to +3"], [of_group(row // 32)])
    p.text(300, 452, "offset = r % 32 x 16 + r / 32 x 4 + j, atoms along K first; what fills up is zero", "small")
    return p


def mxfp4():
    p = Picture("MXFP4: e2m1 codes, a power of two for 32 of them")
    codes = p.tensor(16, 70, 16, 1, 20, "gpt-oss: ..._blocks u8", "[experts, N, K / 32, 16]: sixteen bytes are a group", lambda r, c: "c0", (0, 1))
    p.word(codes, 16, 124, ["k=2", "k=3"], "a byte: the even k in bits 0-3", 46)
    p.tensor(400, 70, 1, 1, 20, "..._scales u8", "[experts, N, K / 32]: e8m0", lambda r, c: "c0", None)
    p.text(400, 124, "w = q 2^(s - 127); s = 255 is NaN, and refused")
    p.text(16, 200, "compressed-tensors: weight_packed u8 [N, K / 2], weight_scale u8 [N, K / 32]; ModelOpt: weight, weight_scale")
    p.text(16, 228, "e2m1", "name")
    p.cells(70, 214, 60, 22, [f"{code:04b}" for code in range(8)])
    p.cells(70, 236, 60, 22, [0, 0.5, 1, 1.5, 2, 3, 4, 6])
    p.text(560, 242, "bit 3: the sign", "small")
    return p


def packed():
    p = Picture("Our packed layout (quantized_gemm): what a lane loads is what its mma.m16n8k16 takes")
    p.text(16, 44, "data[n / 64][k / 64][4][lane][16 bytes], 4 bits: 64 rows stand side by side, then k, then n")
    top = 80
    for tile in range(4):
        p.rect(16, top + tile * 40, 60, 40, f"c{tile}")
        p.text(46, top + 24 + tile * 40, f"tile {tile}", "small", "middle")
    p.text(16, top + 176, "64 of n x 64 of k", "small")
    p.line(76, top, 130, top)
    p.line(76, top + 40, 130, top + 16 * 13)
    p.text(130, top - 8, "a tile: 16 rows; the lane that holds eight of k", "small")
    for row in range(16):
        lanes = [4 * (row % 8) + chunk % 4 for chunk in range(8)]
        p.cells(130, top + row * 13, 34, 13, lanes, [of_group(lane % 4) for lane in lanes])
        p.text(408, top + 10 + row * 13, f"row {row}", "small")
    p.text(130, top + 222, "rows g and g + 8 are lane 4 g + member's: eight of each 32 of k", "small")
    p.text(470, top - 8, "its sixteen bytes: a word for 16 of k", "small")
    for step in range(4):
        first = 32 * (step // 2) + 4 * (step % 2)
        p.text(470, top + 14 + step * 50, f"word {step}: k = {first} to {first + 3}, + 8 member", "small faint")
        for half in range(2):  # of pairs (k, k + 1): registers a[0] to a[3]
            labels = [f"{'g' if register % 2 == 0 else 'g+8'},{first + half + 2 * (register // 2)}" for register in range(4)]
            p.cells(470 + half * 136, top + 20 + step * 50, 34, 20, labels, ["c0", "c1", "c0", "c1"])
    p.text(470, top + 222, "a nibble: row, k. Other formats' bits: layout.h", "small")
    p.text(16, top + 254, "scales[n / 64][k / group][64], zero points likewise: of a tile, row r is at 2 (r % 8) + r / 8", "name")
    at = {2 * (row % 8) + row // 8: row for row in range(16)}
    p.cells(16, top + 264, 36, 22, [f"r {at[i]}" for i in range(16)], [of_group(at[i] // 8) for i in range(16)])
    return p


PICTURES = {"gptq": gptq, "awq": awq, "compressed_tensors": compressed, "fp8_blocks": fp8_blocks, "nvfp4": nvfp4,
            "mxfp4": mxfp4, "packed": packed}


def main():
    stale = []
    for name, draw in PICTURES.items():
        path, text = FOLDER / f"{name}.svg", draw().svg()
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
        if "--check" not in sys.argv[1:]:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text)
    if "--check" in sys.argv[1:] and stale:
        print(f"docs/formats: {', '.join(stale)}: not what tools/draw_formats.py draws", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
