# SPDX-License-Identifier: Apache-2.0
"""JSON of the library as dataclasses, by their annotations."""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any, Union


@functools.lru_cache(maxsize=None)
def _types(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def decode(kind: Any, value: Any) -> Any:
    """`value` as a `kind`: a dataclass, list[...], dict[str, ...], tuple[X, X], Optional[...] or a plain
    type.
    """
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin is Union:
        return None if value is None else decode(arguments[0], value)
    if origin is list:
        return [decode(arguments[0], item) for item in value]
    if origin is tuple:
        return tuple(decode(part, item) for part, item in zip(arguments, value))
    if origin is dict:
        return {name: decode(arguments[1], item) for name, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return decode_fields(kind, value)
    if kind is float:
        return float(value)
    return value


def decode_fields(cls: Any, value: dict[str, Any]) -> Any:
    """Absent fields have the dataclass's default; a field that it does not know is a bug, found by a test."""
    types = _types(cls)
    return cls(**{name: decode(types[name], item) for name, item in value.items() if name in types})
