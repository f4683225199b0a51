# SPDX-License-Identifier: Apache-2.0
"""include/warpwright/c.h, with its parts, as ctypes would have it: its structs, functions and constants, read from the text."""
import ctypes
import pathlib
import re

INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "include"
HEADER = INCLUDE / "warpwright" / "c.h"
# With the parts that it includes in their places.
WHOLE = re.sub(r'^#include "(warpwright/.*)"$', lambda part: (INCLUDE / part[1]).read_text(), HEADER.read_text(),
               flags=re.MULTILINE)
TEXT = re.sub(r"/\*.*?\*/", "", WHOLE, flags=re.DOTALL)

SCALARS = {
    "size_t": ctypes.c_size_t, "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "uint8_t": ctypes.c_uint8,
    "uint64_t": ctypes.c_uint64, "float": ctypes.c_float, "double": ctypes.c_double,
}


def constants():
    found = {}
    for body in re.findall(r"enum \{(.*?)\}", TEXT, re.DOTALL):
        found.update({name: int(value) for name, value in re.findall(r"(\w+) = (\d+)", body)})
    return found


def functions():
    return set(re.findall(r"^WW_API .*?\b(ww_\w+)\(", TEXT, re.MULTILINE))


def surface():
    """All that a program may have been compiled against, a line each: functions, constants, fields in order."""
    lines = [f"{name} = {value}" for name, value in constants().items()]
    lines += [" ".join(prototype.split()) for prototype in re.findall(r"^WW_API (.*?);", TEXT, re.MULTILINE | re.DOTALL)]
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\} \w+;", TEXT, re.DOTALL):
        lines += [f"{name}: {' '.join(field.split())}" for field in body.split(";") if field.strip()]
    return lines


def structs():
    """Name -> ctypes.Structure, in the order of the header."""
    found = {}
    sizes = constants()
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\} \w+;", TEXT, re.DOTALL):
        fields = []
        for statement in filter(None, (part.strip() for part in body.split(";"))):
            if "(*" in statement:  # a pointer to a function
                fields.append((re.search(r"\(\*(\w+)\)", statement).group(1), ctypes.c_void_p))
                continue
            kind, names = re.fullmatch(r"(?:const )?(\w+)\b(.*)", statement, re.DOTALL).groups()
            for declared in names.split(","):
                pointer, field, count = re.fullmatch(r"\s*(\**)\s*(\w+)(?:\[(\w+)\])?\s*", declared).groups()
                value = ctypes.c_void_p if pointer else SCALARS.get(kind) or found[kind]
                fields.append((field, value * sizes[count] if count else value))
        found[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    return found
