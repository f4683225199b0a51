# SPDX-License-Identifier: Apache-2.0
"""libwarpwright.so, loaded at the first call, and its errors as exceptions."""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import threading
from typing import Any, Optional

from . import _abi
from .errors import CallerError, NoKernelError, UnavailableError, WarpwrightError

_FILE = "libwarpwright.so"
_ERRORS = {1: CallerError, 2: NoKernelError, 3: UnavailableError}
_lock = threading.Lock()
_loaded: Optional[ctypes.CDLL] = None


def path() -> str:
    """The library's file: $WARPWRIGHT_LIBRARY, the one in this package, or the build of a checkout."""
    named = os.environ.get("WARPWRIGHT_LIBRARY")
    if named:
        return named
    here = pathlib.Path(__file__).resolve().parent
    candidates = [here / _FILE, here.parents[1] / "build" / _FILE]
    for candidate in candidates:
        if candidate.exists():
            return str(candidate)
    raise UnavailableError(
        f"{_FILE}: looked in "
        + " and ".join(str(found.parent) for found in candidates)
        + ", found none; build it (./setup run warpwright_shared), or set WARPWRIGHT_LIBRARY to the file"
    )


def library() -> ctypes.CDLL:
    """The loaded library. Without it, or with another ABI, an UnavailableError."""
    return _loaded or _load()


def _load() -> ctypes.CDLL:
    global _loaded
    with _lock:
        if _loaded is not None:
            return _loaded
        file = path()
        try:
            found = ctypes.CDLL(file)
        except OSError as error:
            raise UnavailableError(f"{file}: {error}") from None
        found.ww_abi_version.restype = ctypes.c_int32
        if found.ww_abi_version() != _abi.ABI_VERSION:
            raise UnavailableError(
                f"{file}: expected ABI version {_abi.ABI_VERSION}, got {found.ww_abi_version()}"
            )
        for name, (result, arguments) in _abi.FUNCTIONS.items():
            function = getattr(found, name, None)
            if function is None:  # a revision before this package's
                raise UnavailableError(
                    f"{file}: expected a library with {name}, got version {version_of(found)}"
                )
            function.argtypes = arguments
            function.restype = ctypes.c_int32 if result == _abi.STATUS else result
        _loaded = found
        return found


def version_of(found: ctypes.CDLL) -> str:
    found.ww_version.restype = ctypes.c_char_p
    return found.ww_version().decode()


def check(status: int) -> None:
    """Raises the exception of a status that is not ok."""
    if status != 0:
        message = library().ww_last_error().decode()
        raise _ERRORS.get(status, WarpwrightError)(message)


def handle_of(name: str, *arguments: Any) -> int:
    """Calls a function whose last argument is an out-parameter for a handle or an address."""
    out = ctypes.c_void_p()
    check(getattr(library(), name)(*arguments, ctypes.byref(out)))
    return out.value or 0


def text_of(name: str, *arguments: Any) -> str:
    """Calls a function whose last argument is a char** out-parameter."""
    found = library()
    out = ctypes.c_void_p()
    check(getattr(found, name)(*arguments, ctypes.byref(out)))
    try:
        return ctypes.string_at(out.value or 0).decode()
    finally:
        found.ww_free(out)


def json_of(name: str, *arguments: Any) -> Any:
    return json.loads(text_of(name, *arguments))


def encoded(text: Optional[str]) -> Optional[bytes]:
    return None if text is None else text.encode()
