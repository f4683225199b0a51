# SPDX-License-Identifier: Apache-2.0
"""python/warpwright/_abi.py says what include/warpwright/c.h says."""

import ctypes
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

sys.path.insert(0, str(support.ROOT / "tests" / "library"))
import c_header  # noqa: E402
from warpwright import _abi  # noqa: E402

STRUCTS = {
    "ww_tensor": _abi.Tensor,
    "ww_prepare_options": _abi.PrepareOptions,
    "ww_quantize_format": _abi.QuantizeFormat,
    "ww_cascade_level": _abi.CascadeLevel,
    "ww_quantized_output": _abi.QuantizedOutput,
    "ww_quantized_weight": _abi.QuantizedWeight,
    "ww_plain_weight": _abi.PlainWeight,
    "ww_weight_rounding": _abi.WeightRounding,
    "ww_rope_scaling": _abi.RopeScaling,
    "ww_check_options": _abi.CheckOptions,
    "ww_engine_options": _abi.EngineOptions,
    "ww_token": _abi.Token,
    "ww_token_logprob": _abi.TokenLogprob,
    **{f"ww_{op}": struct for op, struct in _abi.OPERATIONS.items()},
}


def is_pointer(kind):
    return kind in (ctypes.c_void_p, ctypes.c_char_p) or issubclass(kind, (ctypes._Pointer, ctypes._CFuncPtr))


def plain(kind):
    """Pointers are all alike, arrays are their element and length, structs their fields."""
    if issubclass(kind, ctypes.Array):
        return kind._type_, kind._length_
    if issubclass(kind, ctypes.Structure):
        return [(name, plain(field)) for name, field in kind._fields_]
    return "pointer" if is_pointer(kind) else kind


class Abi(unittest.TestCase):
    def test_structs(self):
        expected = c_header.structs()
        for name, struct in STRUCTS.items():
            self.assertEqual(plain(struct), plain(expected[name]), name)

    def test_functions(self):
        declared = dict(re.findall(r"WW_API [\w ]+?[\s*]+(ww_\w+)\(([^)]*)\)", c_header.TEXT))
        for name, (_, arguments) in _abi.FUNCTIONS.items():
            self.assertIn(name, declared)
            texts = [] if declared[name] == "void" else declared[name].split(",")
            self.assertEqual(len(arguments), len(texts), name)
            for kind, text in zip(arguments, texts):
                if "*" in text:
                    self.assertTrue(is_pointer(kind), f"{name}: {text.strip()}")
                else:
                    scalars = {**c_header.SCALARS, "ww_status": ctypes.c_int32}
                    self.assertIs(kind, scalars[text.split()[0]], f"{name}: {text.strip()}")

    def test_every_operation_is_there(self):
        operations = {name[7:] for name in c_header.functions() if name.startswith("ww_run_")}
        self.assertEqual(operations, set(_abi.OPERATIONS))

    def test_numbers(self):
        numbers = c_header.constants()
        for table, prefix in (
            (_abi.DTYPES, "WW_"),
            (_abi.ACTIVATIONS, "WW_"),
            (_abi.ROPE_SCALINGS, "WW_ROPE_"),
            (_abi.CODES, "WW_CODE_"),
            (_abi.SCALES, "WW_SCALE_"),
            (_abi.KV_FORMATS, "WW_KV_"),
            (_abi.WEIGHT_FORMATS, "WW_"),
            (_abi.PLAIN_CODES, "WW_PLAIN_"),
            (_abi.SCORES, "WW_SCORE_"),
            (_abi.LSE_BASES, "WW_LSE_BASE_"),
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
        version = re.search(r"#define WW_ABI_VERSION (\d+)", c_header.TEXT).group(1)
        self.assertEqual(int(version), _abi.ABI_VERSION)


if __name__ == "__main__":
    unittest.main()
