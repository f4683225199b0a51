#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes data/isa.json, what the emulator knows about the legality of instructions:

    tools/make_isa.py MATRIX.json >data/isa.json

MATRIX.json is the project's own measurement with ptxas 13.0.88: 449 snippets, each assembled for 23 targets. Each
becomes a form: the opcode, its modifiers that are no types in alphabetical order, its types in the order of the
text. The rules below speak for the forms that the measurement lacks. They were checked with the same ptxas on 6,649
forms, made by combining the modifiers and types of the scalar, memory, warp and matrix instructions."""

import json
import re
import sys

TYPES = set(
    "pred b8 b16 b32 b64 b128 u8 u16 u32 u64 s8 s16 s32 s64 f16 f16x2 bf16 bf16x2 f32 f32x2 f64 tf32 u16x2 s16x2 "
    "e4m3 e5m2 e3m2 e2m3 e2m1 ue8m0 ue4m3 e4m3x2 e5m2x2 e3m2x2 e2m3x2 e2m1x2 ue8m0x2 e4m3x4 e5m2x4 e3m2x4 e2m3x4 "
    "e2m1x4 s4 u4 b1".split()
)

# Target sets by name; "80" is sm_80 and every later one.
SETS = {
    "100f 103f 110f 120f": {"sm_" + t for t in "100a 100f 103a 103f 110a 110f 120a 120f 121a 121f".split()},
    "120f": {"sm_" + t for t in "120a 120f 121a 121f".split()},
    "100f": {"sm_" + t for t in "100a 100f 103a 103f".split()},
    "100a 103a": {"sm_100a", "sm_103a"},
    "120a 121a": {"sm_120a", "sm_121a"},
    "none": set(),
}

# (opcodes, modifiers that must all be there in the order of a form, targets). All rules that match an instruction
# must hold. An opcode with /4 is that opcode with four operands; a name with % is a special register.
INTEGERS = "u8 s8 u16 s16 u32 s32 u64 s64".split()
RULES = [
    # bf16 arithmetic came with sm_80 where the tensor cores needed it, and became complete with sm_90.
    ("abs neg fma min max cvt", "bf16", "80"),
    ("abs neg fma min max", "bf16x2", "80"),
    ("cvt", "bf16x2", "80"),
    *[("add sub mul set setp ex2 tanh atom red", t, "90") for t in ("bf16", "bf16x2")],
    ("cvt", "bf16 bf16", "90"),
    *[("cvt", pair, "90") for t in ["f16", "f64", *INTEGERS] for pair in (f"bf16 {t}", f"{t} bf16")],
    ("cvt", "sat bf16", "90"),
    *[("cvt", f"{m} f32 bf16", "90") for m in ("ftz", "sat")],
    ("fma", "oob", "90"),
    *[("fma", f"relu {t}", "80") for t in ("f16", "f16x2")],
    *[("min max", t, "80") for t in ("f16", "f16x2")],
    ("min max", "NaN", "80"),
    ("min max", "xorsign", "86"),
    *[("min max", t, "90") for t in ("relu", "u16x2", "s16x2")],
    *[("add", t, "90") for t in ("u16x2", "s16x2")],
    ("add sub mul fma", "f32x2", "100"),
    *[("add sub fma", f"f32 {t}", "100") for t in ("f16", "bf16")],
    ("min/4 max/4", "", "100"),
    # Conversions.
    ("cvt", "relu", "80"),
    ("cvt", "f16x2 f32", "80"),
    ("cvt", "tf32", "80"),
    *[("cvt", f"{r} tf32", "90") for r in ("rn", "rz")],
    *[("cvt", f"{r} satfinite tf32", "100") for r in ("rn", "rz")],
    *[("cvt", t, "89") for t in ("e4m3x2", "e5m2x2")],
    *[("cvt", t, "100f 103f 110f 120f") for t in ("e3m2x2", "e2m3x2", "e2m1x2", "ue8m0x2")],
    ("cvt", "rs", "100a 103a"),
    *[("cvt", pair, "none") for t in ("e4m3x2", "e5m2x2") for pair in (f"bf16x2 {t}", f"{t} bf16x2")],
    *[("cvt", f"{t} {h}", "none") for t in ("e3m2x2", "e2m3x2") for h in ("f16x2", "bf16x2")],
    # Memory.
    *[("ld st atom red fence membar", m, "90") for m in ("cluster", "shared::cluster")],
    ("cvta isspacep", "shared::cluster", "90"),
    *[("ld st atom red prefetch cp", m, "80") for m in ("L2::256B", "L2::cache_hint", "L2::evict_last")],
    ("prefetch", "L2::evict_normal", "80"),
    ("prefetch", "tensormap", "90"),
    ("applypriority createpolicy discard", "", "80"),
    ("ld st", "v8", "100"),
    *[("ld st", f"v4 {t}", "100") for t in ("b64", "u64", "s64", "f64")],
    *[("atom red", m, "90") for m in ("v2", "v4", "v8", "b128")],
    ("fence", "async proxy", "90"),
    *[("fence", m, "90") for m in ("mbarrier_init", "proxy tensormap::generic")],
    ("st red", "async", "90"),
    ("st red", "async global", "100"),
    ("st", "bulk", "100"),
    ("cp", "", "80"),
    ("cp", "bulk", "90"),
    ("cp", "cp_mask", "100"),
    # Warps and matrices.
    ("redux", "", "80"),
    ("redux", "f32", "100f"),
    ("elect griddepcontrol stmatrix mapa getctarank", "", "90"),
    ("barrier", "cluster", "90"),
    *[("ldmatrix", m, "100f 103f 110f 120f") for m in ("m16n16", "m8n16")],
    ("stmatrix", "m16n8", "100f 103f 110f 120f"),
    *[("mma", m, "80") for m in "bf16 tf32 f64 m16n8k16 m16n8k32 m16n8k64 m16n8k256 sp sp::ordered_metadata".split()],
    *[("mma", m, "89") for m in ("e4m3", "e5m2")],
    ("mma", "m16n8k8 f64", "90"),
    ("mma", "kind::f8f6f4", "100f 103f 110f 120f"),
    *[("mma", m, "120f") for m in ("e3m2", "e2m3", "e2m1", "block_scale")],
    ("mma", "m16n8k128 sp::ordered_metadata f32 e2m1", "120a 121a"),
    *[("mma", f"m16n8k64 sp::ordered_metadata f16 {t}", "120f") for t in ("e4m3", "e5m2")],
    # Special registers.
    *[(f"%{r}", "", "80") for r in
      ("reserved_smem_offset_begin", "reserved_smem_offset_end", "reserved_smem_offset_cap")],
    *[(f"%{r}", "", "90") for r in
      "aggr_smem_size is_explicit_cluster clusterid nclusterid cluster_ctaid cluster_nctaid cluster_ctarank "
      "cluster_nctarank".split()],
]


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


def forms_of(snippet):
    """The forms of a snippet's statements; mov and selp around them only where there is nothing else."""
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
        kind.append(canonical(opcode, suffix.split(".")[1:], len(operands)))
    return forms or helpers


def letter(entry, target):
    """How a legal form runs: natively, emulated by other instructions, split in two, by a call, or not known."""
    if not entry["targets"][target]:
        return "."
    how = entry.get("implementation", {}).get(target, "")
    for word, sign in (("syscall", "c"), ("split", "s"), ("native", "n"), ("issued as", "n")):
        if word in how:
            return sign
    return "e" if how else "y"


def main():
    matrix = json.load(open(sys.argv[1], encoding="utf-8"))
    meta = matrix.pop("_meta")
    targets = meta["targets"]
    forms = {}
    for name, entry in matrix.items():
        # Legality hangs on an operand's value there, or on a directive.
        if name == "bar.sync id>=16" or entry["directives"] or not entry["ptx"]:
            continue
        row = "".join(letter(entry, t) for t in targets)
        for form in forms_of(entry["ptx"]):
            if form.startswith("."):
                continue
            known = forms.get(form)
            # What assembles in one snippet is legal, whatever else another one holds.
            if known is None or known[0].count(".") > row.count("."):
                forms[form] = (row, entry["min_ptx"])

    def row_of(needs):
        if needs in SETS:
            return "".join("y" if t in SETS[needs] else "." for t in targets)
        return "".join("y" if int(re.sub(r"\D", "", t)) >= int(needs) else "." for t in targets)

    print("{")
    print(' "source": "measured with ptxas 13.0.88 (CUDA 13.0) by assembling each form for each target; made by '
          'tools/make_isa.py",')
    print(' "letters": ". illegal; legal and: n native, e emulated, s split in two, c calls a system routine, '
          'y not looked into",')
    print(f' "targets": {json.dumps(targets)},')
    print(f' "ptx_of_target": {json.dumps([meta["target_min_ptx"][t] for t in targets])},')
    print(' "forms": {')
    rows = [f'  {json.dumps(form)}: ["{row}", {json.dumps(ptx)}]' for form, (row, ptx) in sorted(forms.items())]
    print(",\n".join(rows))
    print(" },")
    print(' "rules": [')
    rules = []
    for opcodes, modifiers, needs in RULES:
        for opcode in opcodes.split():
            rules.append(f'  [{json.dumps(opcode)}, {json.dumps(modifiers.split())}, "{row_of(needs)}"]')
    print(",\n".join(rules))
    print(" ]")
    print("}")


main()
