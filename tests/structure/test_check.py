# SPDX-License-Identifier: Apache-2.0
"""Every rule of check.py catches a violation planted for it, and passes the same file without it."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check  # noqa: E402

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"


class RulesTest(unittest.TestCase):
    def violations(self, rule, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return rule(check.Tree(folder, files))

    def catches(self, rule, files, *expected):
        found = self.violations(rule, files)
        self.assertEqual(len(found), len(expected), found)
        for violation, part in zip(found, expected):
            self.assertIn(part, violation)

    def passes(self, rule, files):
        self.assertEqual(self.violations(rule, files), [])

    def test_file_length(self):
        long, short = "\n" * 801, "\n" * 800
        self.catches(check.file_length, {"src/ops/a.cpp": long}, "src/ops/a.cpp:801: 801 lines")
        self.passes(check.file_length, {"src/ops/a.cpp": short})
        self.passes(check.file_length, {"src/ops/a.cpp": long, "CONTRIBUTING.md": "- **Length.** src/ops/a.cpp: generated"})
        # A name that is there for another reason is none.
        self.catches(check.file_length, {"src/ops/a.cpp": long, "CONTRIBUTING.md": "- **Length.** None.\n\nsrc/ops/a.cpp"},
                     "src/ops/a.cpp:801: 801 lines")

    def test_asm_only_in_ptx(self):
        text = 'void f() {\n    asm volatile("nop;");\n}\n'
        self.catches(check.asm_only_in_ptx, {"src/kernels/gemm/portable.cuh": text}, "portable.cuh:2: asm outside")
        self.passes(check.asm_only_in_ptx, {"src/ptx/a.cuh": text})
        self.passes(check.asm_only_in_ptx, {"src/tile/a.cuh": '// asm("x")\nauto s = "asm(y)";\n'})

    def test_asm_tagged(self):
        tag = "// ptx: mma.sync | PTX ISA 9.7.14.5.14 | sm_80\n"
        function = 'inline void f() {\n    asm("mma.sync;");\n}\n'
        self.passes(check.asm_tagged, {"src/ptx/a.cuh": tag + function})
        self.catches(check.asm_tagged, {"src/ptx/a.cuh": function}, "src/ptx/a.cuh:2: asm without")
        self.catches(check.asm_tagged, {"src/ptx/a.cuh": tag + function + function}, "src/ptx/a.cuh:6: asm without")
        self.catches(check.asm_tagged, {"src/ptx/a.cuh": "// ptx: mma.sync\n" + function}, "asm without")

    def test_includes_point_down(self):
        def including(path):
            return f'{LICENCE}#include "{path}"\n'

        upwards = {
            "src/image/a.cpp": "kernels/gemm/rows.h",
            "src/device/a.cpp": "dispatch/choose.h",
            "src/dispatch/a.cpp": "kernels/gemm/rows.h",
            "src/kernels/gemm/a.cpp": "ops/match.h",
            "src/kernels/gemm/b.cpp": "dispatch/choose.h",
            "src/tile/a.cuh": "kernels/gemm/rows.h",
            "src/ops/a.cpp": "engine/config.h",
            "engine/a.cpp": "cli/verbs.h",
            "include/warpwright/a.h": "dispatch/choose.h",
        }
        for name, path in upwards.items():
            with self.subTest(name=name, path=path):
                self.catches(check.includes_point_down, {name: including(path)}, f"must not include {path}")
        downwards = {
            "src/kernels/gemm/a.cpp": "ptx/memory.cuh",
            "src/ops/a.cpp": "kernels/gemm/rows.h",
            "engine/a.cpp": "dispatch/choose.h",
            "cli/a.cpp": "engine/config.h",
            "src/image/a.cpp": "warpwright/types.h",
            "tests/cli/a.cpp": "cli/verbs.h",
        }
        self.passes(check.includes_point_down, {name: including(path) for name, path in downwards.items()})
        self.catches(check.includes_point_down, {"src/tile/a.cuh": including("../ptx/memory.cuh")}, "without ..")

    def test_kernels_without_headers(self):
        text = "#pragma once\n#include <cstdint>\n"
        for name in ["src/kernels/gemm/portable.cuh", "src/kernels/gemm/rows.h", "src/tile/a.cuh"]:
            with self.subTest(name=name):
                self.catches(check.kernels_without_headers, {name: text}, "2: <cstdint> in a file that NVRTC reads")
        self.passes(check.kernels_without_headers, {"src/kernels/gemm/host.cpp": text})

    def test_no_architecture_conditionals(self):
        text = "#if __CUDA_ARCH__ >= 900\n#endif\n"
        self.catches(check.no_architecture_conditionals, {"src/kernels/gemm/a.cuh": text}, "a.cuh:1: __CUDA_ARCH__")
        self.passes(check.no_architecture_conditionals, {"src/ptx/a.cuh": text})

    def test_no_launch_syntax(self):
        self.catches(check.no_launch_syntax, {"src/ops/a.cpp": "void f() { g<<<1, 1>>>(); }\n"}, "a.cpp:1: launch")
        self.passes(check.no_launch_syntax, {"src/ops/a.cpp": "// no <<< here\n"})

    def test_kernels_overlap(self):
        text = "__global__ void k() {\n    ptx::release_successor();\n    ptx::wait_for_predecessor();\n}\n"
        folder = {"src/kernels/gemm/operation.h": LICENCE}
        self.passes(check.kernels_overlap, folder | {"src/kernels/gemm/a.cuh": text})
        for call in ["ptx::release_successor();", "ptx::wait_for_predecessor();"]:
            self.catches(check.kernels_overlap, folder | {"src/kernels/gemm/a.cuh": text.replace(call, "")},
                         f"a.cuh:1: {call} 0 times")
        self.passes(check.kernels_overlap, {"src/kernels/roofline/a.cuh": "__global__ void k() {}\n"})
        self.passes(check.kernels_overlap, folder | {"src/kernels/gemm/rows.cuh": "int a;\n"})

    def test_spdx(self):
        self.catches(check.spdx, {"src/a.h": "#pragma once\n"}, "src/a.h:1: no 'SPDX")
        self.catches(check.spdx, {"setup": "#!/usr/bin/env bash\n"}, "setup:1: no 'SPDX")
        self.passes(check.spdx, {"src/a.h": LICENCE, "setup": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n",
                                 "data/a.toml": ""})

    def test_no_machine_paths(self):
        for path in ["/" + "home/ann", "/" + "root/x", "/" + "work/x", "../sha" + "red"]:
            with self.subTest(path=path):
                self.catches(check.no_machine_paths, {"README.md": f"see {path}\n"}, "README.md:1: " + path)
        self.passes(check.no_machine_paths, {"README.md": "see docs/work/x and https://a.b/home/x\n",
                                             "tests/diagnose/data/a.txt": "/" + "home/ann/x"})

    def test_comments_and_strings_do_not_hide_code(self):
        # A quote in a comment, and a comment mark in a string, end where they should.
        text = "// don't\nasm(\"nop;\");\nauto url = \"http://x\"; asm(\"nop;\");\n/* \" */ asm(\"nop;\");\n"
        self.catches(check.asm_only_in_ptx, {"src/ops/a.cpp": text}, "a.cpp:2:", "a.cpp:3:", "a.cpp:4:")


if __name__ == "__main__":
    unittest.main()
