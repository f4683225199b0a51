#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders data/isa.json into the tables of docs/isa.md.

    python3 tools/render_isa.py          writes them
    python3 tools/render_isa.py --check  exits 1 when the page is not what would be written
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "isa.md"
MARK = "<!-- data/isa.json, by tools/render_isa.py -->\n"
WORDS = {"n": "native", "e": "emulated", "s": "split", "h": "slower", "c": "may call", "y": "not looked into"}


def classes_of(targets):
    """{"9.0": [("", column), ("a", column)]}: the architectures of a number, the least demanding first."""
    classes = {}
    for column, target in enumerate(targets):
        number, suffix = re.fullmatch(r"sm_(\d+)([af]?)", target).groups()
        classes.setdefault(f"{number[:-1]}.{number[-1]}", []).append((suffix, column))
    return {name: sorted(all_of, key=lambda one: ["", "f", "a"].index(one[0])) for name, all_of in classes.items()}


def cell(row, architectures):
    for suffix, column in architectures:
        if row[column] != ".":
            return row[column] + suffix
    return "."


def summary(table, classes):
    lines = ["| GPUs of | build targets | first PTX | legal | native | emulated | split, slower, may call | not looked into |",
             "|---|---|---|---|---|---|---|---|"]
    versions = dict(zip(table["targets"], table["ptx_of_target"]))
    for name, architectures in classes.items():
        cells = [cell(entry["legal"], architectures)[0] for entry in table["measured"]]
        counts = {letter: cells.count(letter) for letter in "nesychy."}
        names = [table["targets"][column] for _, column in architectures]
        first = ", ".join(dict.fromkeys(versions[n] for n in names))
        lines.append(f"| {name} | {', '.join(names)} | {first} | {len(cells) - counts['.']} | {counts['n']} | {counts['e']} "
                     f"| {counts['s'] + counts['h'] + counts['c']} | {counts['y']} |")
    return "\n".join(lines) + "\n"


def group_table(entries, classes):
    """Snippets of a group; those that run alike are one row."""
    rows = {}
    for entry in entries:
        key = (tuple(cell(entry["legal"], a) for a in classes.values()), entry["version"] or "-")
        rows.setdefault(key, []).append(entry["name"])
    lines = ["| snippet | PTX | " + " | ".join(classes) + " |", "|---" * (len(classes) + 2) + "|"]
    for (cells, version), names in rows.items():
        shown = ", ".join(f"`{n}`" for n in names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        lines.append(f"| {shown} | {version} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def rendered(page, table):
    classes = classes_of(table["targets"])
    num_forms = 0
    for _, _, patterns in table["assembled"]:
        for pattern in patterns.split():
            count = 1
            for options in re.findall(r"\{([^}]*)\}", pattern):
                count *= options.count(",") + 1
            num_forms += count
    text = (f"{len(table['measured'])} snippets whose machine code was read, and {num_forms} further forms that were assembled. "
            f"Of the snippets, by the least demanding target that takes each:\n\n{summary(table, classes)}\n"
            "Cells: " + ", ".join(f"{letter} {word}" for letter, word in WORDS.items()) +
            "; f, a: with that suffix only; a dot: not legal.\n")
    groups = {}
    for entry in table["measured"]:
        groups.setdefault(entry["group"], []).append(entry)
    for group, entries in groups.items():
        text += f"\n### {group}\n\n{group_table(entries, classes)}"
    return page.split(MARK)[0] + MARK + text


def main():
    page = PAGE.read_text(encoding="utf-8")
    wanted = rendered(page, json.loads((ROOT / "data" / "isa.json").read_text(encoding="utf-8")))
    if "--check" in sys.argv[1:]:
        return int(page != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
