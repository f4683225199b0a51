#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes data/isa.json, which instruction is legal for which target of ptxas, and how it runs there:

    tools/make_isa.py [--rules] [--ptxas PROGRAM] [--matrix MATRIX.json]

It holds four things. `measured`: snippets that were assembled one by one for 23 targets and whose machine code was
read, from MATRIX.json (the project's own measurement with ptxas 13.0.88) or else as they stand in data/isa.json.
`assembled`: what the combinations of tools/isa/grammar.txt gave, anew: legal or not, and since which version of PTX.
`rules`: what the emulator goes by for instructions that neither has. `notes`: what a user of an instruction should
know on some targets, with its source; `families`: what an opcode is.

A form is an instruction without its operands: the opcode, its modifiers that are no types in alphabetical order, its
types in the order of the text. min/4 is min with four operands, %clusterid.x a special register."""

import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools" / "isa"))
import measure  # noqa: E402
from measure import TYPES  # noqa: E402
from notes import FAMILIES, NOTES  # noqa: E402
from rules import RULES, SETS  # noqa: E402

# In this order, of one snippet's implementations on the targets.
LETTERS = {
    ".": "not legal",
    "n": "native",
    "e": "emulated by other instructions",
    "s": "split into several",
    "h": "native, but at half rate or with instructions around it",
    "c": "native or a call of a system routine, by the address",
    "y": "legal; its machine code was not looked into",
}
# Of these the first version of PTX is looked for.
VERSIONED = "sm_75 sm_80 sm_86 sm_87 sm_89 sm_90 sm_90a sm_100 sm_100a sm_103a sm_110a sm_120a".split()


def canonical(opcode, modifiers, num_operands):
    if opcode in ("min", "max") and num_operands == 4:
        opcode += "/4"
    others = sorted(m for m in modifiers if m not in TYPES)
    return ".".join([opcode, *others, *(m for m in modifiers if m in TYPES)])


def split_operands(text):
    """At commas that stand in no brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "[{(") - (c in "]})")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [p.strip() for p in parts if p.strip()]


def mnemonics_of(snippet):
    """What is before the operands of a snippet's statements, "/4" behind some opcodes; mov and selp around them only
    where there is nothing else."""
    text = re.sub(r"//[^\n]*", "", snippet)
    text = re.sub(r"\.reg[^;]*;", "", text)
    text = re.sub(r"^\s*\{(?=\s*[a-z.])|\}\s*$", "", text)
    forms, helpers = [], []
    for statement in text.split(";"):
        match = re.match(r"\s*(?:@!?%?\w+\s+)?([a-z]\w*)((?:\.[\w:]+)*)\s*(.*)", statement, re.S)
        if not match:
            continue
        opcode, suffix, rest = match.groups()
        operands = split_operands(rest)
        forms += [o for o in operands if re.fullmatch(r"%[a-z][a-z_]+(\.[xyz])?", o)]
        kind = helpers if opcode in ("mov", "selp") else forms
        kind.append((opcode + "/4" if opcode in ("min", "max") and len(operands) == 4 else opcode) + suffix)
    return forms or helpers


def form_of(mnemonic):
    opcode, *modifiers = mnemonic.split(".")
    return ".".join([opcode, *modifiers]) if mnemonic[0] in "%." else canonical(opcode, modifiers, 0)


def letter(entry, target):
    """How a legal snippet runs."""
    if not entry["targets"][target]:
        return "."
    how = entry.get("implementation", {}).get(target, "")
    if not how:
        # Where nothing was remarked, its code is the instruction that is made for it, if that is one of few.
        code = entry.get("sass", {}).get(target, "").split()
        named = [c for c in code if not re.match(r"[0-9a-f]{3}(x|$)", c)]
        return "n" if named and len(code) - len(named) <= 1 else "y"
    for word, sign in (("syscall", "c"), ("split", "s"), ("fix-up", "h"), ("half idle", "h"), ("native", "n")):
        if word in how:
            return sign
    return "e"


def by_text(texts, targets):
    """{target: text} -> [[text, its targets], ...]; what stands for a target stands for its variants, too."""
    groups = {}
    for target in targets:
        if texts.get(target) and texts[target] != "native":
            groups.setdefault(texts[target], []).append(target)
    return [[text, " ".join(t.removeprefix("sm_") for t in names)] for text, names in groups.items()]


def measured_of(matrix, targets):
    entries = []
    for name, entry in matrix.items():
        out = {"name": name, "group": entry["group"], "ptx": re.sub(r"^// smem\n", "", entry["ptx"])}
        out["forms"] = mnemonics_of(entry["ptx"])
        if name == "bar.sync id>=16":  # legality hangs on a value there, and on no form
            out["forms"] = []
        elif not entry["ptx"]:
            out["forms"] = re.findall(r"^\.\w*cluster\w*", entry["directives"], re.M)
        if entry["directives"]:
            out["directives"] = entry["directives"]
        out["legal"] = "".join(letter(entry, t) for t in targets)
        out["version"] = entry["min_ptx"]
        if how := by_text(entry.get("implementation", {}), targets):
            out["how"] = how
        if sass := by_text(entry.get("sass", {}), targets):
            out["sass"] = sass
        if refusals := list(entry["reject_messages"]):
            out["refusals"] = refusals
        if "note" in entry:
            out["note"] = entry["note"]
        entries.append(out)
    return entries


def assemble_all(ptxas, targets, floors, known):
    """{(row, version): mnemonics} of the grammar's instructions that some target takes and `known` has not."""
    texts = measure.grammar()
    instructions = list(texts)
    legal = {}
    for target in targets:
        refused = ptxas.refused(instructions, target)
        legal[target] = set(range(len(instructions))) - refused
        print(f"{target}: {len(legal[target])} of {len(instructions)}", file=sys.stderr)
    somewhere = sorted(set().union(*legal.values()))
    version_of = {}
    for target in VERSIONED:
        for version in measure.VERSIONS[measure.VERSIONS.index(floors[target]):]:
            asked = [i for i in somewhere
                     if i in legal[target] and newer(version_of.get(i), version)]
            refused = ptxas.refused([instructions[i] for i in asked], target, version)
            for k, i in enumerate(asked):
                if k not in refused:
                    version_of[i] = version
        print(f"versions of {target}", file=sys.stderr)
    forms = {}
    for i in somewhere:
        mnemonic = texts[instructions[i]]
        if re.match(r"(min|max)\.", mnemonic) and instructions[i].count(",") == 3:
            mnemonic = mnemonic[:3] + "/4" + mnemonic[3:]
        row = "".join("y" if i in legal[t] else "." for t in targets)
        form = form_of(mnemonic)
        if form not in forms or forms[form][1].count(".") > row.count("."):
            forms[form] = (mnemonic, row, version_of[i])
    groups = {}
    for form, (mnemonic, row, version) in sorted(forms.items()):
        if form in known:
            if [c == "." for c in known[form]] == [c == "." for c in row]:
                continue
            print(f"another operand makes another verdict: {form}: {known[form]} {row}", file=sys.stderr)
            if known[form].count(".") <= row.count("."):
                continue
        groups.setdefault((row, version), []).append(mnemonic)
    return groups


def newer(known, version):
    return known is None or measure.VERSIONS.index(known) > measure.VERSIONS.index(version)


def folded(mnemonics):
    """As patterns: "ld.global.{b8,b16}" for two that differ in one part."""
    forms = {tuple(m.split(".")) for m in mnemonics}
    for length in {len(f) for f in forms}:
        for place in [*reversed(range(1, length)), 0]:
            groups = {}
            for form in [f for f in forms if len(f) == length]:
                groups.setdefault(form[:place] + ("",) + form[place + 1:], []).append(form)
            for key, same in groups.items():
                if len(same) > 1:
                    forms -= set(same)
                    options = "{" + ",".join(sorted(f[place] for f in same)) + "}"
                    forms.add(key[:place] + (options,) + key[place + 1:])
    return sorted(".".join(f) for f in forms)


def row_of(needs, targets):
    if needs in SETS:
        return "".join("y" if t in SETS[needs] else "." for t in targets)
    return "".join("y" if int(re.sub(r"\D", "", t)) >= int(needs) else "." for t in targets)


def lines_of(items):
    return ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in items)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ptxas", default="ptxas")
    parser.add_argument("--matrix")
    parser.add_argument("--rules", action="store_true", help="rules and notes anew, the rest as it stands")
    parser.add_argument("--print", action="store_true", help="to standard output")
    options = parser.parse_args()
    path = ROOT / "data" / "isa.json"
    old = json.loads(path.read_text(encoding="utf-8"))
    if options.matrix:
        matrix = json.loads(pathlib.Path(options.matrix).read_text(encoding="utf-8"))
        meta = matrix.pop("_meta")
        targets, floors = meta["targets"], meta["target_min_ptx"]
        measured = measured_of(matrix, targets)
    else:
        targets, measured = old["targets"], old["measured"]
        floors = dict(zip(targets, old["ptx_of_target"]))
    known = {}
    for entry in measured:
        for mnemonic in entry["forms"]:
            form = form_of(mnemonic)
            if form not in known or known[form].count(".") > entry["legal"].count("."):
                known[form] = entry["legal"]
    if options.rules:
        source, assembled = old["source"], old["assembled"]
    else:
        ptxas = measure.Ptxas(options.ptxas)
        groups = assemble_all(ptxas, targets, floors, known)
        assembled = [[row, version, " ".join(folded(names))] for (row, version), names in sorted(groups.items())]
        source = (f"measured: ptxas 13.0.88 (CUDA 13.0), each snippet assembled for each target and its machine code "
                  f"read; assembled: ptxas {ptxas.version}, tools/isa/grammar.txt; made by tools/make_isa.py")
        print(f"{sum(map(len, groups.values()))} forms in {len(groups)} groups", file=sys.stderr)
    rules = [[opcode, modifiers.split(), row_of(needs, targets)]
             for opcodes, modifiers, needs in RULES for opcode in opcodes.split()]
    made = f"""{{
 "source": {json.dumps(source)},
 "letters": {json.dumps(LETTERS)},
 "targets": {json.dumps(targets)},
 "ptx_of_target": {json.dumps([floors[t] for t in targets])},
 "measured": [
{lines_of(measured)}
 ],
 "assembled": [
{lines_of(assembled)}
 ],
 "rules": [
{lines_of(rules)}
 ],
 "notes": [
{lines_of(NOTES)}
 ],
 "families": {json.dumps({opcode: text for opcodes, text in FAMILIES.items() for opcode in opcodes.split()})}
}}
"""
    if options.print:
        sys.stdout.write(made)
    else:
        path.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
