# SPDX-License-Identifier: Apache-2.0
"""data/isa.json, measured again: a sample of it with another seed each time, by ptxas and by NVRTC, as far as this
machine has them."""
import ctypes
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "warpwright"
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "isa")]
import make_isa  # noqa: E402
import measure  # noqa: E402

TABLE = json.loads((ROOT / "data" / "isa.json").read_text(encoding="utf-8"))
TARGETS = TABLE["targets"]
NUM_SAMPLED = 1500
SEED = int(os.environ.get("WARPWRIGHT_ISA_SEED", random.randrange(1 << 32)))


def expanded(pattern):
    return measure.alternatives(pattern.replace("[", "").replace("]", ""))


def forms_of_table():
    """{form: (row of letters, first version)}; of one name, what more targets take."""
    forms = {}
    entries = [(f, e["legal"], e["version"]) for e in TABLE["measured"] for f in e["forms"]]
    entries += [(f, row, version) for row, version, patterns in TABLE["assembled"]
                for pattern in patterns.split() for f in expanded(pattern)]
    for mnemonic, row, version in entries:
        form = make_isa.form_of(mnemonic)
        if form not in forms or forms[form][0].count(".") > row.count("."):
            forms[form] = (row, version)
    return forms


def ptxas():
    program = "/usr/local/cuda/bin/ptxas"
    program = program if os.access(program, os.X_OK) else shutil.which("ptxas")
    if not program:
        raise unittest.SkipTest("needs ptxas, found none")
    found = measure.Ptxas(program)
    if not found.version.startswith("13.0."):
        raise unittest.SkipTest(f"needs ptxas 13.0, found {found.version}")
    return found


def nvrtc():
    cache = (ROOT / "build" / "CMakeCache.txt").read_text()
    path = re.search(r"^WW_NVRTC:FILEPATH=(.*)$", cache, re.M)
    if not path or not os.path.exists(path[1]):
        raise unittest.SkipTest("needs NVRTC, found none")
    return ctypes.CDLL(path[1])


def spelled_in_kernels():
    """Mnemonics of the asm in src/ptx that no macro and no template completes."""
    found = set()
    for path in (ROOT / "src" / "ptx").glob("*.cuh"):
        for text in re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8")):
            found |= set(re.findall(r"(?:^|[\s;{])(?:@!?%?\w+ )?([a-z]\w*(?:\.[\w:]+)+)(?=[ ;])", text))
    return found


class ByPtxas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ptxas = ptxas()
        cls.forms = forms_of_table()
        cls.measured = {make_isa.form_of(f) for e in TABLE["measured"] for f in e["forms"]}
        cls.by_form = {}
        for text, mnemonic in measure.grammar().items():
            if re.match(r"(min|max)\.", mnemonic) and text.count(",") == 3:
                mnemonic = mnemonic[:3] + "/4" + mnemonic[3:]
            cls.by_form.setdefault(make_isa.form_of(mnemonic), []).append(text)

    def compare(self, forms):
        """Each form, by all of its texts in the grammar, on every target."""
        texts, of = [], []
        for form in forms:
            texts += self.by_form[form]
            of += [form] * len(self.by_form[form])
        for column, target in enumerate(TARGETS):
            refused = self.ptxas.refused(texts, target)
            taken = {of[i] for i in range(len(texts)) if i not in refused}
            said = {form for form in forms if self.forms.get(form, ("." * 23,))[0][column] != "."}
            # A snippet may have an operand that makes legal what the grammar's makes not.
            self.assertEqual(taken - said, set(), f"{target}: taken by ptxas; seed {SEED}")
            self.assertEqual(said - taken - self.measured, set(), f"{target}: refused by ptxas; seed {SEED}")

    def test_a_sample(self):
        forms = random.Random(SEED).sample(sorted(self.by_form), NUM_SAMPLED)
        print(f"seed {SEED}: {len(forms)} of {len(self.by_form)} forms, {len(TARGETS)} targets", file=sys.stderr)
        self.compare(forms)

    def test_what_the_kernels_use(self):
        used = {make_isa.form_of(m) for m in spelled_in_kernels()} & set(self.by_form)
        self.assertGreater(len(used), 25)
        self.compare(sorted(used))

    def test_a_sample_of_versions(self):
        """The first version of PTX takes it, the one before does not."""
        forms = random.Random(SEED + 1).sample(sorted(set(self.by_form) & set(self.forms) - self.measured), 300)
        floors = dict(zip(TARGETS, TABLE["ptx_of_target"]))
        for form in forms:
            row, version = self.forms[form]
            at = measure.VERSIONS.index(version)
            targets = [t for t, c in zip(TARGETS, row) if c != "." and t in make_isa.VERSIONED]
            taken = [t for t in targets if measure.VERSIONS.index(floors[t]) <= at
                     and len(self.ptxas.refused(self.by_form[form], t, version)) < len(self.by_form[form])]
            self.assertTrue(taken, f"{form}: PTX {version}; seed {SEED}")
            before = measure.VERSIONS[at - 1] if at else None
            for target in targets[:2]:
                if before and measure.VERSIONS.index(floors[target]) < at:
                    refused = self.ptxas.refused(self.by_form[form], target, before)
                    self.assertEqual(len(refused), len(self.by_form[form]), f"{form}: PTX {before}; seed {SEED}")
            if len(forms) > 60 and form == forms[60]:
                break

    def test_snippets(self):
        """Each of the 449, with its directives: all of them for some targets."""
        targets = random.Random(SEED + 2).sample(TARGETS, 6)
        plain = [e for e in TABLE["measured"] if e["ptx"] and not e.get("directives")]
        texts = [" ".join(e["ptx"].split("\n")) for e in plain]
        for target in targets:
            column = TARGETS.index(target)
            refused = self.ptxas.refused(texts, target)
            for index, entry in enumerate(plain):
                self.assertEqual(index not in refused, entry["legal"][column] != ".",
                                 f"{entry['name']} on {target}; seed {SEED}")

    def classes(self, entry, target):
        """What inspect finds in the machine code of a snippet."""
        with tempfile.TemporaryDirectory() as folder:
            source, code = pathlib.Path(folder) / "a.ptx", pathlib.Path(folder) / "a.cubin"
            source.write_text(measure.module_of(entry["ptx"], target))
            subprocess.run([self.ptxas.program, f"-arch={target}", source, "-o", code], check=True, capture_output=True)
            found = subprocess.run([BINARY, "inspect", code, "--json"], check=True, capture_output=True, text=True)
        return json.loads(found.stdout)["files"][0]["images"][0]["kernels"][0]["classes"]

    def test_native_and_emulated_as_the_machine_code_shows(self):
        """FP8 products, copies into clusters, pairs of f32: the snippet's letter against its instructions."""
        signs = {"mma": ("qmma", "fp8.mma.emulated"), "cp": (None, "tma.emulated"), "add": ("f32x2", None)}
        checked = {"n": 0, "e": 0, "s": 0, "c": 0}
        for entry in TABLE["measured"]:
            opcode = entry["forms"][0].split(".")[0] if entry["forms"] else ""
            is_fp8 = opcode == "mma" and "e4m3" in entry["ptx"] and "kind" not in entry["ptx"]
            if not (is_fp8 or opcode == "cp" and "c" in entry["legal"] or entry["name"] == "add.rn.f32x2"):
                continue
            for target in ("sm_89", "sm_90", "sm_100", "sm_120"):
                letter = entry["legal"][TARGETS.index(target)]
                if letter == ".":
                    continue
                native, other = signs[opcode]
                classes = self.classes(entry, target)
                what = f"{entry['name']} on {target}: {letter}, {classes}"
                if native:
                    self.assertEqual(native in classes, letter == "n", what)
                if other:
                    self.assertEqual(other in classes, letter in "ec", what)
                checked[letter] = checked.get(letter, 0) + 1
        for letter, count in checked.items():
            self.assertGreater(count, 0, f"no snippet that is {letter}")


class Tags(unittest.TestCase):
    def test_tags_of_src_ptx_say_what_the_table_says(self):
        forms, compared = forms_of_table(), 0
        for path in sorted((ROOT / "src" / "ptx").glob("*.cuh")):
            for tag, needed in re.findall(r"// ptx: ([^|]+?) *\|[^|]*\| sm_(\d+)", path.read_text(encoding="utf-8")):
                form = make_isa.form_of(tag.split(" ")[0])
                if form not in forms:
                    continue
                first = next(t for t, c in zip(TARGETS, forms[form][0]) if c != ".")
                self.assertEqual(max(75, int(needed)), int(re.sub(r"\D", "", first)), f"{path.name}: {tag}")
                compared += 1
        self.assertGreater(compared, 25)


class ByNvrtc(unittest.TestCase):
    """The compiler that this project builds with has an assembler of its own."""

    log = ""

    def is_taken(self, library, ptx, target):
        declared = ("{ .shared .align 1024 .b8 space[8192]; .reg .b32 %r<64>; .reg .f32 %f<64>; .reg .b64 %d<64>; "
                    ".reg .f64 %g<64>; .reg .b16 %h<64>; .reg .pred %p<64>; .reg .b32 %S; mov.u32 %S, space; ")
        text = declared + " ".join(ptx.split("\n")) + " }"  # asm without operands: % is a letter there
        source = f'extern "C" __global__ void k() {{ asm volatile("{text}"); }}'
        program = ctypes.c_void_p()
        self.assertEqual(library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"k.cu", 0, None, None), 0)
        options = (ctypes.c_char_p * 1)(f"--gpu-architecture={target}".encode())
        result = library.nvrtcCompileProgram(program, 1, options)
        size = ctypes.c_size_t()
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        library.nvrtcDestroyProgram(ctypes.byref(program))
        if result != 0:
            self.assertIn(b"ptxas", log.value, source)
            self.assertNotIn(b"Parsing error", log.value, source)
        self.log = log.value.decode(errors="replace")
        return result == 0

    def test_a_sample_of_snippets(self):
        library = nvrtc()
        chooser = random.Random(SEED)
        plain = [e for e in TABLE["measured"] if e["ptx"] and not e.get("directives") and '"' not in e["ptx"]]
        for entry in chooser.sample(plain, 60):
            # One target that takes it and one that does not, where there are such.
            for legal in (True, False):
                targets = [t for t, c in zip(TARGETS, entry["legal"]) if (c != ".") == legal]
                if targets:
                    target = chooser.choice(targets)
                    self.assertEqual(self.is_taken(library, entry["ptx"], target), legal,
                                     f"{entry['name']} on {target}; seed {SEED}\n{self.log}")


if __name__ == "__main__":
    unittest.main()
