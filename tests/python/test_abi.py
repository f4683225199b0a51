# SPDX-License-Identifier: Apache-2.0
"""python/warpwright/_abi.py says what include/warpwright/c.h says."""

import ctypes
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402
from warpwright import _abi  # noqa: E402

HEADER = (support.ROOT / "include" / "warpwright" / "c.h").read_text()
CODE = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)

SCALARS = {
    "size_t": ctypes.c_size_t,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "uint8_t": ctypes.c_uint8,
    "ww_tensor": _abi.Tensor,
}
STRUCTS = {
    "ww_tensor": _abi.Tensor,
    "ww_prepare_options": _abi.PrepareOptions,
    "ww_rope_scaling": _abi.RopeScaling,
    "ww_engine_options": _abi.EngineOptions,
    "ww_token": _abi.Token,
    "ww_token_logprob": _abi.TokenLogprob,
    **{f"ww_{op}": struct for op, struct in _abi.OPERATIONS.items()},
}


def header_fields(name):
    """[(field, its C type)] of a struct, in order; "*" for any pointer."""
    body = re.search(rf"typedef struct {name} \{{(.*?)\n\}} {name};", CODE, re.DOTALL).group(1)
    fields = []
    for statement in filter(None, (part.strip() for part in body.split(";"))):
        function = re.match(r"\w+ \(\*(\w+)\)\(", statement)
        if function:
            fields.append((function.group(1), "*"))
            continue
        kind, names = re.match(r"((?:const )?\w+\s*\*?)\s*(.*)", statement, re.DOTALL).groups()
        for field in names.split(","):
            pointer = "*" in kind or "*" in field
            array = re.search(r"\[(\w+)\]", field)
            plain = re.sub(r"\[.*", "", field).strip(" *")
            fields.append((plain, "*" if pointer else kind.strip() + ("[]" if array else "")))
    return fields


def is_pointer(kind):
    return kind in (ctypes.c_void_p, ctypes.c_char_p) or issubclass(kind, (ctypes._Pointer, ctypes._CFuncPtr))


class Abi(unittest.TestCase):
    def test_structs(self):
        for name, struct in STRUCTS.items():
            expected = header_fields(name)
            self.assertEqual([field for field, _ in struct._fields_], [field for field, _ in expected], name)
            for (field, kind), (_, text) in zip(struct._fields_, expected):
                if text == "*":
                    self.assertTrue(is_pointer(kind), f"{name}.{field}")
                elif text.endswith("[]"):
                    self.assertEqual(
                        (kind._type_, kind._length_), (SCALARS[text[:-2]], _abi.MAX_RANK), f"{name}.{field}"
                    )
                else:
                    self.assertIs(kind, SCALARS[text], f"{name}.{field}")

    def test_functions(self):
        declared = dict(re.findall(r"WW_API [\w ]+?[\s*]+(ww_\w+)\(([^)]*)\)", CODE))
        for name, (_, arguments) in _abi.FUNCTIONS.items():
            self.assertIn(name, declared)
            texts = [] if declared[name] == "void" else declared[name].split(",")
            self.assertEqual(len(arguments), len(texts), name)
            for kind, text in zip(arguments, texts):
                if "*" in text:
                    self.assertTrue(is_pointer(kind), f"{name}: {text.strip()}")
                else:
                    self.assertIs(kind, SCALARS[text.split()[0]], f"{name}: {text.strip()}")

    def test_every_operation_is_there(self):
        operations = set(re.findall(r"ww_run_(\w+)\(", CODE))
        self.assertEqual(operations, set(_abi.OPERATIONS))

    def test_numbers(self):
        numbers = {name: int(value) for name, value in re.findall(r"\b(WW_\w+) = (\d+)", CODE)}
        for table, prefix in (
            (_abi.DTYPES, "WW_"),
            (_abi.ACTIVATIONS, "WW_"),
            (_abi.ROPE_SCALINGS, "WW_ROPE_"),
        ):
            for name, value in table.items():
                name = "ACTIVATION_NONE" if (name, prefix) == ("none", "WW_") else name.upper()
                self.assertEqual(numbers[prefix + name], value, name)
        self.assertEqual(numbers["WW_MAX_RANK"], _abi.MAX_RANK)
        finish = {
            "WW_RUNNING": None,
            "WW_LENGTH": "length",
            "WW_STOP": "stop",
            "WW_STOP_STRING": "stop_string",
        }
        self.assertEqual({numbers[name]: text for name, text in finish.items()}, _abi.FINISH)
        self.assertEqual(int(re.search(r"#define WW_ABI_VERSION (\d+)", CODE).group(1)), _abi.ABI_VERSION)


if __name__ == "__main__":
    unittest.main()
