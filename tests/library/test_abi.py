# SPDX-License-Identifier: Apache-2.0
"""libwarpwright.so is what include/warpwright/c.h says, and nothing besides."""
import ctypes
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "library"))
import c_header  # noqa: E402

LIBRARY = ROOT / "build" / "libwarpwright.so"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]

# What may change while a program runs, and is shared by it: caches, filled once or under a lock, counters that
# only number things. Constants (kName, tables of operations and opcodes) and what each thread has of its own aside.
GLOBAL_STATE = {
    "caches": r"ImageStore::shared|KernelSources::embedded|Pack::linked|cuda_api\(|nvrtc\(|registry\(|targets\(|"
              r"public_models\(|embedded_\w+\(|tuning|block_pool\(|num_grids|next_ordinal|host_simd\(|"
              r"current_level\(|wide_flag\(|forms_text\(|measured_calls<|next_id\(|"
              r"known_packages(\[abi:\w+\])?\(|known_variables\(|rules\(\)::read",
    "constants": r"\bk[A-Z]\w*(\[abi:\w+\])?$|_opcodes\(|instance<\w+(::\w+)*>\(\)::|operations\(\)::all|registered$|DW\.ref|_binary_|"
                 r"batch_fields<|_checks?\(\)::checks?$",
}


# What each revision of the ABI added, in the words of c_header.surface(). Nothing is ever taken out or changed
# without another WW_ABI_VERSION.
SURFACE = ROOT / "tests" / "library" / "abi.txt"

C_STANDARDS = {"c": ["c89", "c99", "c11", "c17"], "cpp": ["c++98", "c++11", "c++20"]}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def compile_c(source, folder, *options, language="c", compiler=None, standard="c11"):
    path = pathlib.Path(folder, "program." + language)
    path.write_text(source)
    command = [compiler or ("cc" if language == "c" else "c++"), f"-std={standard}", *WARNINGS]
    program = pathlib.Path(folder, "program")
    result = subprocess.run([*command, f"-I{ROOT / 'include'}", path, "-o", program, *options],
                            capture_output=True, text=True)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return program


class Abi(unittest.TestCase):
    def test_header_is_c_and_cpp_of_every_standard(self):
        source = '#include "warpwright/c.h"\n#include "warpwright/c.h"\n'
        source += "int main(void) { ww_gemm call = {sizeof(ww_gemm)}; return call.struct_size == 0; }\n"
        compilers = {"c": ["cc", "clang"], "cpp": ["c++", "clang++"]}
        with tempfile.TemporaryDirectory() as folder:
            for language, standards in C_STANDARDS.items():
                for compiler in filter(shutil.which, compilers[language]):
                    for standard in standards:
                        with self.subTest(compiler=compiler, standard=standard):
                            compile_c(source, folder, "-fsyntax-only", "-Wno-missing-field-initializers",
                                      language=language, compiler=compiler, standard=standard)

    def test_nothing_is_taken_out_or_changed(self):
        revisions = re.split(r"^# revision (\d+)\n", SURFACE.read_text(), flags=re.MULTILINE)[1:]
        self.assertEqual([int(number) for number in revisions[::2]], list(range(len(revisions) // 2)))
        known = []
        for line in filter(None, "".join(revisions[1::2]).splitlines()):
            field = line.removesuffix(" (was reserved)")
            if field == line:
                known.append(line)
            else:
                known[known.index(re.sub(r"\w+$", "reserved", field))] = field
        now = c_header.surface()
        self.assertEqual([line for line in known if line not in now], [],
                         "programs that use this would go wrong: raise WW_ABI_VERSION and begin tests/library/abi.txt anew")
        revision = int(re.search(r"#define WW_ABI_REVISION (\d+)", c_header.TEXT).group(1))
        self.assertEqual([line for line in now if line not in known], [],
                         f"raise WW_ABI_REVISION, now {revision}, and put this under it in tests/library/abi.txt")
        self.assertEqual(revision, int(revisions[-2]))
        # Fields are added at the end: their order is that of the file.
        for name in c_header.structs():
            self.assertEqual([line for line in now if line.startswith(f"{name}: ")],
                             [line for line in known if line.startswith(f"{name}: ")])

    def test_structs_are_what_ctypes_makes_of_them(self):
        structs = c_header.structs()
        self.assertGreater(len(structs), 15)
        questions = []
        for name, struct in structs.items():
            questions.append((f"sizeof({name})", ctypes.sizeof(struct)))
            questions += [(f"offsetof({name}, {field})", getattr(struct, field).offset) for field, _ in struct._fields_]
        lines = "".join(f'    printf("%zu\\n", {question});\n' for question, _ in questions)
        source = ('#include "warpwright/c.h"\n#include <stddef.h>\n#include <stdio.h>\n'
                  f"int main(void) {{\n{lines}    return 0;\n}}\n")
        with tempfile.TemporaryDirectory() as folder:
            answers = output(compile_c(source, folder)).split()
        self.assertEqual([f"{question} = {expected}" for question, expected in questions],
                         [f"{question} = {answer}" for (question, _), answer in zip(questions, answers)])

    def test_structs_that_may_grow_begin_with_their_size(self):
        for name, struct in c_header.structs().items():
            if name not in ("ww_tensor", "ww_quantize_format", "ww_token_logprob", "ww_cascade_level"):  # by value in others, and elements of arrays
                self.assertEqual(struct._fields_[0], ("struct_size", ctypes.c_size_t), name)

    def test_constants_are_the_librarys(self):
        found = c_header.constants()
        for header, c_name, order in (
            ("types", "DType", ["WW_F32", "WW_F16", "WW_BF16", "WW_I32", "WW_U8"]),
            ("types", "Activation", ["WW_ACTIVATION_NONE", "WW_SILU", "WW_GELU", "WW_GELU_TANH"]),
            ("quantize_format", "CodeType", ["WW_CODE_E4M3", "WW_CODE_E5M2", "WW_CODE_I8", "WW_CODE_E2M1"]),
            ("quantize_format", "ScaleType", ["WW_SCALE_F32", "WW_SCALE_POWER_OF_TWO", "WW_SCALE_E8M0",
                                              "WW_SCALE_E8M0_UP", "WW_SCALE_E4M3"]),
            ("kv_format", "KvFormat", ["WW_KV_SAME", "WW_KV_FP8_E4M3", "WW_KV_FP8_E5M2", "WW_KV_NVFP4"]),
            ("weight_format", "WeightFormat", ["WW_INT4", "WW_INT8", "WW_FP8_E4M3", "WW_MXFP4", "WW_NVFP4"]),
            ("ops/merge_state", "LseBase", ["WW_LSE_BASE_TWO", "WW_LSE_BASE_E"]),
            ("expert_score", "ExpertScore", ["WW_SCORE_SOFTMAX", "WW_SCORE_SIGMOID", "WW_SCORE_SQRT_SOFTPLUS"]),
        ):
            text = (ROOT / "include" / "warpwright" / f"{header}.h").read_text()
            names = re.search(rf"enum class {c_name} : u8 {{ (.*?) }}", text).group(1).split(", ")
            self.assertEqual(len(names), len(order), names)
            for value, (name, constant) in enumerate(zip(names, order)):
                self.assertEqual(found[constant], value)
                self.assertTrue(constant.lower().endswith(name), (constant, name))

    def test_exports_are_the_declared_functions(self):
        symbols = [line.split() for line in output("nm", "-D", "--defined-only", LIBRARY).splitlines()]
        exported = {name.split("@")[0] for *_, kind, name in symbols if kind != "A"}
        self.assertEqual(exported, c_header.functions())

    def test_needs_nothing_but_glibc(self):
        dynamic = output("readelf", "-dW", LIBRARY)
        needed = set(re.findall(r"NEEDED.*\[(.*?)\]", dynamic))
        self.assertLessEqual(needed, {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"})
        version = re.search(r"#define WW_ABI_VERSION (\d+)", c_header.TEXT).group(1)
        self.assertEqual(re.findall(r"SONAME.*\[(.*?)\]", dynamic), [f"libwarpwright.so.{version}"])
        self.assertNotIn("TEXTREL", dynamic)
        self.assertNotIn("RUNPATH", dynamic)

    def test_versions_agree(self):
        library = ctypes.CDLL(str(LIBRARY))
        library.ww_version.restype = ctypes.c_char_p
        project = re.search(r"project\(warpwright VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
        self.assertEqual(library.ww_version().decode(), project)
        for function, constant in (("ww_abi_version", "WW_ABI_VERSION"), ("ww_abi_revision", "WW_ABI_REVISION")):
            value = re.search(rf"#define {constant} (\d+)", c_header.TEXT).group(1)
            self.assertEqual(getattr(library, function)(), int(value))

    def test_global_state_is_what_the_header_says(self):
        unknown = set()
        for line in output("objdump", "-tC", LIBRARY).splitlines():
            match = re.search(r"\s\.(?:data|bss)\s+[0-9a-f]+\s+(?:\.hidden )?(.*)$", line)
            if not match or "warpwright" not in match.group(1) or "guard variable" in match.group(1):
                continue
            if not any(re.search(pattern, match.group(1)) for pattern in GLOBAL_STATE.values()):
                unknown.add(match.group(1))
        self.assertEqual(unknown, set(), "new global state: is it a cache? then say so here and in c.h")


class Program(unittest.TestCase):
    def test_a_c_program_runs(self):
        """No framework, no C++: plans, runs a product on the CPU, and reads an error."""
        source = r"""
#include "warpwright/c.h"
#include <stdio.h>
#include <string.h>

static int check(ww_status status) {
    if (status != WW_OK) fprintf(stderr, "%s: %s\n", ww_status_name(status), ww_last_error());
    return status != WW_OK;
}

int main(void) {
    ww_context* context = NULL;
    ww_gemm call;
    float d[2] = {0, 0};
    uint16_t a[16], b[32];
    char* plan = NULL;
    int i;
    memset(&call, 0, sizeof call);
    call.struct_size = sizeof call;
    for (i = 0; i < 16; ++i) a[i] = 0x3f80;      /* 1 */
    for (i = 0; i < 32; ++i) b[i] = i < 16 ? 0x3f80 : 0x4000; /* 1, 2 */
    call.a.data = a, call.a.dtype = WW_BF16, call.a.rank = 2, call.a.shape[0] = 1, call.a.shape[1] = 16;
    call.b.data = b, call.b.dtype = WW_BF16, call.b.rank = 2, call.b.shape[0] = 2, call.b.shape[1] = 16;
    call.d.data = d, call.d.dtype = WW_F32, call.d.rank = 2, call.d.shape[0] = 1, call.d.shape[1] = 2;
    if (check(ww_context_open("cpu", NULL, &context)) || check(ww_run_gemm(context, &call, NULL))) return 1;
    if (check(ww_plan("{\"model\": \"llama-3.1-8b\", \"gpu\": \"rtx-5090\", \"format\": \"text\"}", &plan))) return 1;
    printf("%.0f %.0f %s\n", d[0], d[1], strstr(plan, "rtx-5090") ? "planned" : "?");
    ww_free(plan);
    call.b.shape[1] = 8;
    if (ww_run_gemm(context, &call, NULL) != WW_ERROR_CALLER) return 1;
    printf("%s\n", ww_last_error());
    ww_context_close(context);
    return 0;
}
"""
        with tempfile.TemporaryDirectory() as folder:
            program = compile_c(source, folder, f"-L{LIBRARY.parent}", "-lwarpwright", f"-Wl,-rpath,{LIBRARY.parent}")
            answer = output(program)
        self.assertEqual(answer, "16 32 planned\n"
                         "gemm: b: dimension 1 (k) is 8, but a has 16\n")


if __name__ == "__main__":
    unittest.main()
