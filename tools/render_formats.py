#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders the newest docs/results/*_formats.json into the table at the end of docs/formats.md.

    python3 tools/render_formats.py          writes it
    python3 tools/render_formats.py --check  exits 1 when the file is not what would be written
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "formats.md"
MARK = "<!-- docs/results/*_formats.json, by tools/render_formats.py -->\n"


def rendered(page, name, result):
    rows = result["rows"]
    plain = rows[0]
    lines = ["## Accuracy\n",
             f"The shipped model ({result['model']}) on its held-out text, {result['tokens']} tokens: weights in each format, "
             f"fp32 arithmetic.\n{result['date']}, {result['device']}; `{result['command']}`, docs/results/{name}.\n",
             "| weights | perplexity | against bf16 | error of the weights | file |", "|---|---|---|---|---|"]
    for row in rows:
        change = row["perplexity"] / plain["perplexity"] - 1
        lines.append(f"| {row['format']} | {row['perplexity']:.3f} | {change:+.2%} | {row['weight_error']:.3%} | "
                     f"{row['bytes'] / 1e6:.1f} MB |")
    lines.append("\nError: root of the summed squares of what layers' weights change by, over that of the weights.")
    return page.split(MARK)[0] + MARK + "\n".join(lines) + "\n"


def main():
    newest = max((ROOT / "docs" / "results").glob("*_formats.json"))
    page = PAGE.read_text()
    wanted = rendered(page, newest.name, json.loads(newest.read_text()))
    if "--check" in sys.argv[1:]:
        return int(page != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
