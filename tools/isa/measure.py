# SPDX-License-Identifier: Apache-2.0
"""Instructions as text, and what ptxas says of them: expansion of tools/isa/grammar.txt, and batches of thousands of
instructions in one assembly, whose errors name their lines."""

import pathlib
import re
import subprocess
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
TYPES = set(
    "pred b8 b16 b32 b64 b128 u8 u16 u32 u64 s8 s16 s32 s64 f16 f16x2 bf16 bf16x2 f32 f32x2 f64 tf32 u16x2 s16x2 "
    "e4m3 e5m2 e3m2 e2m3 e2m1 ue8m0 ue4m3 e4m3x2 e5m2x2 e3m2x2 e2m3x2 e2m1x2 ue8m0x2 e4m3x4 e5m2x4 e3m2x4 e2m3x4 "
    "e2m1x4 s4 u4 b1".split()
)
VERSIONS = ("6.3 6.4 6.5 7.0 7.1 7.2 7.3 7.4 7.5 7.6 7.7 7.8 8.0 8.1 8.2 8.3 8.4 8.5 8.6 8.7 8.8 9.0").split()


def register(type_name, index):
    """What holds a value of the type; 8-bit ones are in 16 bits."""
    if type_name == "pred":
        letter = "p"
    elif type_name == "f32":
        letter = "f"
    elif type_name == "f64":
        letter = "g"
    elif type_name.endswith("128"):
        letter = "q"
    elif type_name.endswith("64") or type_name == "f32x2":
        letter = "d"
    elif type_name.endswith(("32", "16x2", "x4")):
        letter = "r"
    else:
        letter = "h"
    return f"%{letter}{index}"


def alternatives(pattern):
    """ "a{b,c}[.d|.e]" -> "ab", "ab.d", ... """
    match = re.search(r"\{([^{}]*)\}|\[([^\[\]]*)\]", pattern)
    if not match:
        return [pattern]
    options = match[1].split(",") if match[1] is not None else ["", *match[2].split("|")]
    return [more for option in options
            for more in alternatives(pattern[: match.start()] + option + pattern[match.end():])]


def registers(letter, count):
    return "{" + ",".join(f"%{letter}{i}" for i in range(count)) + "}"


def operands_of(mnemonic, operands):
    parts = mnemonic.split(".")
    types = [p for p in parts if p in TYPES] or ["b32"]
    count = next((int(p[1:]) for p in parts[1:] if re.fullmatch(r"[vx]\d+", p)), 1)
    shape = next((s for s in ("16x64b", "16x128b", "16x256b", "32x32b", "16x32bx2") if s in parts), "")
    letter = register(types[-1], 0)[1]
    vector = registers(letter, count)
    if count == 1 and ".x1" not in mnemonic:
        vector = f"%{letter}0"
    text = re.sub(r"\bV\b", vector, operands)
    text = re.sub(r"\bW\b", registers("r", 2 * count), text)
    text = re.sub(r"\bX\b", registers("r", count * {"16x128b": 2, "16x256b": 4}.get(shape, 1)), text)
    text = re.sub(r"\bN\((\w),(\d+)\)", lambda m: registers(m[1], int(m[2])), text)
    return re.sub(r"\bt([z\d])(\d)", lambda m: register(
        types[-1] if m[1] == "z" else types[min(int(m[1]), len(types) - 1)], m[2]), text)


def expand(line):
    """The instructions of a pattern."""
    if line.startswith("WGMMA"):
        line = line.split(" ", 1)[1]
        lines = [re.sub(r"n/(\d)", lambda m, n=n: str(n // int(m[1])), line.replace("{n}", str(n)))
                 for n in range(8, 257, 8)]
    elif "{D}" in line:
        lines = [re.sub(r"\(r,D\)", f"(r,{d})", line.replace("{D}", str(d))) for d in range(1, 6)]
    elif line.startswith("%"):
        pattern, type_name = line.split(" ")
        for name in alternatives(pattern):
            yield name, f"mov.{type_name} {register(type_name, 0)},{name};"
        return
    else:
        lines = [line]
    for one in lines:
        pattern, operands = one.split(" ", 1)
        for mnemonic in alternatives(pattern):
            text = operands_of(mnemonic, re.sub(r"\{([^{}]*)\}", r"{\1}", operands)).rstrip(";").strip()
            yield mnemonic, f"{mnemonic} {text};"


def grammar():
    """Every instruction of the grammar, by the text before its operands and how many they are."""
    found = {}
    for line in (FOLDER / "grammar.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            for mnemonic, text in expand(line):
                found.setdefault(text, mnemonic)
    return found


HEAD = """.version {version}
.target {target}
.address_size 64
.func F() {{ ret; }}
"""
ENTRY = (".visible .entry k{index}(.param .b64 P)\n{{ .param .align 16 .b8 Q[64]; "
         ".shared .align 1024 .b8 space[8192]; .reg .b32 %r<256>; .reg .f32 %f<256>; .reg .b64 %d<64>; "
         ".reg .f64 %g<64>; .reg .b16 %h<64>; .reg .pred %p<64>; {wide}.reg .b32 %S; mov.u32 %S, space;\n")
PER_ENTRY = 500


class Ptxas:
    def __init__(self, program="ptxas"):
        self.program = program
        self.folder = tempfile.TemporaryDirectory()
        self.version = re.search(r"V([\d.]+)", subprocess.run([program, "--version"], check=True, text=True,
                                                              capture_output=True).stdout)[1]

    def refused(self, instructions, target, version="9.0"):
        """Indices of the instructions that are not assembled. A line that is wrong in any case ends the assembly
        before code is made of it."""
        path = pathlib.Path(self.folder.name) / "batch.ptx"
        wide = ".reg .b128 %q<8>; " if VERSIONS.index(version) >= VERSIONS.index("8.3") else ""
        left = list(range(len(instructions)))
        gone = set()
        while True:
            line_of, lines = {}, [HEAD.format(version=version, target=target)]
            count = lines[0].count("\n")
            for start in range(0, len(left), PER_ENTRY):
                text = ENTRY.format(index=start, wide=wide)
                lines.append(text)
                count += text.count("\n")
                for index in left[start: start + PER_ENTRY]:
                    count += 1
                    line_of[count] = index
                    lines.append("{" + instructions[index] + "}\n")
                lines.append("ret;\n}\n")
                count += 2
            count += 1
            lines.append(".visible .entry last() { nonsense.b32; ret; }\n")
            path.write_text("".join(lines), encoding="utf-8")
            log = subprocess.run([self.program, f"-arch={target}", str(path), "-o", str(path) + ".out"],
                                 text=True, capture_output=True, check=False)
            wrong, last, others = set(), False, []
            for at, what in re.findall(r"line (\d+); (?:fatal +|error +): ([^\n]*)", log.stdout + log.stderr):
                if int(at) == count:
                    last = True
                elif int(at) in line_of:
                    wrong.add(line_of[int(at)])
                else:
                    others.append((at, what))
            gone |= wrong
            left = [i for i in left if i not in gone]
            if not wrong:
                if others:
                    raise RuntimeError(f"{target} {version}: {others[:5]}")
                if not last:
                    raise RuntimeError(f"{target} {version}: {(log.stdout + log.stderr)[:2000]}")
                return gone


# --- one snippet, alive ---------------------------------------------------------------------------------------

REGISTERS = {"r": (".b32", "u32"), "f": (".f32", "f32"), "d": (".b64", "u64"), "g": (".f64", "f64"), "h": (".b16", "u16")}


def module_of(ptx, target, directives="", version="9.0"):
    """The snippet as a kernel: its registers are loaded before and stored after it, so that nothing of it is dead."""
    declared, before, after, offset = "", "", "", 0
    for letter, (kind, memory) in REGISTERS.items():
        numbers = sorted({int(n) for n in re.findall(rf"%{letter}(\d+)\b", ptx)})
        if not numbers:
            continue
        declared += f".reg {kind} %{letter}<{numbers[-1] + 1}>;\n"
        for number in numbers:
            before += f"ld.volatile.global.{memory} %{letter}{number}, [P+{offset}];\n"
            after += f"st.volatile.global.{memory} [P+{offset}], %{letter}{number};\n"
            offset += 8
    for number in sorted({int(n) for n in re.findall(r"%p(\d+)\b", ptx)}):
        before += (f".reg .pred %p{number};\n.reg .b32 T{number};\nld.volatile.global.u32 T{number}, [P+{offset}];\n"
                   f"setp.ne.u32 %p{number}, T{number}, 0;\n")
    return (HEAD.format(version=version, target=target) + f".visible .entry k(.param .u64 p)\n{directives}\n{{\n"
            ".shared .align 1024 .b8 space[8192];\n.reg .b64 P;\n.reg .b32 %S;\n"
            f"{declared}ld.param.u64 P, [p];\nmov.u32 %S, space;\n{before}{{\n{ptx}\n}}\n{after}ret;\n}}\n")
