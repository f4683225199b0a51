#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders the newest docs/results/*_glossary_formats.json, *_kv-formats.json and *_gemm-error.json into the tables at the
end of docs/formats.md, and into docs/formats/accuracy.svg.

    python3 tools/render_formats.py          writes them
    python3 tools/render_formats.py --check  exits 1 when a file is not what would be written
"""
import json
import pathlib
import sys

from draw_formats import FOLDER, MARGIN, WIDTH, Picture

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "formats.md"
PICTURE = FOLDER / "accuracy.svg"
MARK = "<!-- docs/results/*_formats.json, by tools/render_formats.py -->\n"


def newest(pattern):
    path = max((ROOT / "docs" / "results").glob(pattern))
    return path.name, json.loads(path.read_text())


def against(row, plain):
    return row["perplexity"] / plain["perplexity"] - 1


def weights_table(name, result):
    plain = result["rows"][0]
    lines = ["## Accuracy\n",
             f"The shipped model ({result['model']}) on its held-out text, {result['tokens']} tokens, fp32 arithmetic. "
             f"{result['date']},\n{result['device']}; `{result['command']}`, docs/results/{name}.\n",
             "![perplexity and errors of products by format](formats/accuracy.svg)\n",
             "| weights | perplexity | against bf16 | error of the weights | file |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        lines.append(f"| {row['format']} | {row['perplexity']:.3f} | {against(row, plain):+.2%} | {row['weight_error']:.3%} | "
                     f"{row['bytes'] / 1e6:.1f} MB |")
    lines.append("\nError: root of the summed squares of what layers' weights change by, over that of the weights. GPTQ changes "
                 "weights by more, and\nwhat layers make of their inputs by less.")
    return lines


def engine_table(result):
    engine = result.get("engine")
    if not engine:
        return []
    plain = engine["rows"][0]
    lines = [f"\nWeights and activations, as the engine runs them ({engine['date']}, {engine['device']}, the model's bf16, "
             f"{engine['tokens']} tokens; `{engine['command']}`):\n",
             "| weights | activations in 16 bits | against bf16 | as declared | against bf16 |", "|---|---|---|---|---|"]
    for row in engine["rows"]:
        cells = [f"{row[key]:.3f} | {row[key] / plain['bits16'] - 1:+.2%}" if key in row else "- | -"
                 for key in ("bits16", "declared")]
        lines.append(f"| {row['format']} | " + " | ".join(cells) + " |")
    return lines


def kv_table(name, result):
    plain = result["rows"][0]
    lines = [f"\nKeys and values in a cache of each format, bf16 weights, by our engine in bf16 arithmetic, the same text ({result['tokens']} "
             f"tokens).\n{result['date']}, {result['device']}; `{result['command']}`, docs/results/{name}.\n",
             "| keys and values | perplexity | against bf16 |", "|---|---|---|"]
    for row in result["rows"]:
        lines.append(f"| {row['format']} | {row['perplexity']:.3f} | {against(row, plain):+.2%} |")
    lines.append("\nWithout a scale it is 1. Others are of the largest magnitudes in `calibration.txt`.")
    return lines


def product_name(row):
    return row["weights"] if row["activations"] == "bf16" else f"{row['weights']} x {row['activations']}"


def product_table(name, result):
    matrices = result["matrices"]
    titles = " | ".join(f"{matrix['name']} {matrix['m']} x {matrix['n']} x {matrix['k']}" for matrix in matrices)
    lines = ["\n## Errors of products\n",
             "A x W^T against fp64 of the numbers that were quantised: the error's root mean square over the result's. "
             f"{result['date']}, {result['device']};\n`{result['command']}`, docs/results/{name}.\n",
             f"| weights x activations, bf16 unless named | {titles} |", "|---|" + "---|" * len(matrices)]
    for index, row in enumerate(matrices[0]["rows"]):
        errors = [matrix["rows"][index] for matrix in matrices]
        assert all(product_name(error) == product_name(row) for error in errors)
        lines.append(f"| {product_name(row)} | " + " | ".join(f"{error['rms']:.2g}" if error["rms"] < 1e-4 else f"{error['rms']:.2%}" for error in errors) + " |")
    lines.append("\nOutliers: channels of A twenty times the others, rows of W of different size; glossary: layers of the shipped "
                 "model.")
    return lines


def bars(picture, x, y, title, rows, text):
    """Bars that grow to the right of their names; negative ones count as none."""
    picture.text(x, y, title, "name")
    largest = max(value for _, value, _ in rows)
    for i, (name, value, style) in enumerate(rows):
        top = y + 12 + i * 18
        picture.text(x + 158, top + 11, name, "small", "end")
        width = 130 * max(value, 0) / largest
        picture.rect(x + 164, top, max(width, 0.5), 14, style)
        picture.text(x + 170 + width, top + 11, text(value), "small")


def drawn(formats, caches, products):
    plain = formats["rows"][0]
    picture = Picture("What a format costs: the shipped model's perplexity, and products of normal numbers")
    weights = [(row["format"].replace(" --", ", "), against(row, plain), "c2" if "gptq" in row["format"] else "c0")
               for row in formats["rows"][1:]]
    kv = [("KV " + row["format"].replace(", a scale per", " per"), against(row, caches["rows"][0]), "c3")
          for row in caches["rows"][1:]]
    ordered = sorted(weights, key=lambda row: row[1]) + sorted(kv, key=lambda row: row[1])
    bars(picture, MARGIN, 48, "perplexity against bf16", ordered, lambda value: f"{value:+.2%}")
    errors = [(product_name(row), row["rms"], "c0" if row["activations"] == "bf16" else "c1")
              for row in products["matrices"][0]["rows"]]
    bars(picture, WIDTH // 2 + 10, 48, "error of a product", sorted(errors, key=lambda row: row[1]),
         lambda value: f"{value:.2%}" if value > 1e-4 else f"{value:.0e}")
    y = picture.height + 20
    for i, (style, text) in enumerate([("c0", "weights"), ("c2", "weights, GPTQ"), ("c3", "keys and values"),
                                       ("c1", "weights and activations")]):
        picture.rect(MARGIN + i * 180, y, 14, 14, style)
        picture.text(MARGIN + 20 + i * 180, y + 11, text, "small")
    return picture.svg()


def main():
    (name, formats), (kv_name, caches) = newest("*_glossary_formats.json"), newest("*_kv-formats.json")
    products_name, products = newest("*_gemm-error.json")
    page = PAGE.read_text()
    lines = weights_table(name, formats) + engine_table(formats) + kv_table(kv_name, caches) + product_table(products_name, products)
    wanted = {PAGE: page.split(MARK)[0] + MARK + "\n".join(lines) + "\n", PICTURE: drawn(formats, caches, products)}
    if "--check" in sys.argv[1:]:
        return int(any(not path.exists() or path.read_text() != text for path, text in wanted.items()))
    for path, text in wanted.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
