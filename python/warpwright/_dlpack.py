# SPDX-License-Identifier: Apache-2.0
"""DLPack, both ways, by ctypes: a foreign tensor as a View of its memory, and memory of ours for others.

The structures are those of dlpack.h (DLPack 0.8, unversioned capsules), which every producer still hands out
when it is not asked for a newer version.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, Optional

from .errors import CallerError

# DLDeviceType
CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13
_DEVICE_NAMES = {CPU: "cpu", CUDA: "cuda", CUDA_HOST: "cpu", CUDA_MANAGED: "cuda"}
# DLDataTypeCode; the last four since DLPack 1.1
_INT, _UINT, _FLOAT, _BFLOAT = 0, 1, 2, 4
_E4M3FN, _E5M2, _E8M0FNU, _E2M1FN = 10, 12, 14, 17

_DTYPES = {
    (_FLOAT, 32): "f32",
    (_FLOAT, 16): "f16",
    (_BFLOAT, 16): "bf16",
    (_INT, 32): "i32",
    (_UINT, 8): "u8",
    # A byte each, which operations take as u8 where it holds such codes; by the names of PyTorch and
    # ml_dtypes.
    (_INT, 8): "int8",
    (_E4M3FN, 8): "float8_e4m3fn",
    (_E5M2, 8): "float8_e5m2",
    (_E8M0FNU, 8): "float8_e8m0fnu",
}
_CODES = {name: code for code, name in _DTYPES.items()}
_CODE_NAMES = {_INT: "i", _UINT: "u", _FLOAT: "f", _BFLOAT: "bf", 5: "complex", 6: "bool"}


class View(NamedTuple):
    """A typed, strided view of memory that somebody else owns: warpwright/tensor.h."""

    data: int  # address
    dtype: str  # "f32", "f16", "bf16", "i32", "u8", a kind of code, or a name that no operation takes
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements
    device: str  # "cpu", "cuda:0"
    owner: Any = None  # kept alive as long as the view
    readonly: bool = False


class _DLDevice(ctypes.Structure):
    _fields_ = [("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]


class _DLDataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _DLDevice),
        ("ndim", ctypes.c_int32),
        ("dtype", _DLDataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),  # null: row-major without gaps
        ("byte_offset", ctypes.c_uint64),
    ]


class _DLManagedTensor(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_DLManagedTensor))
_DLManagedTensor._fields_ = [
    ("dl_tensor", _DLTensor),
    ("manager_ctx", ctypes.c_void_p),
    ("deleter", _Deleter),
]

_CapsuleDestructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_capsule_new = ctypes.pythonapi.PyCapsule_New
_capsule_new.restype = ctypes.py_object
_capsule_new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _CapsuleDestructor]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
# In a destructor the capsule has no references left: it goes by its address.
_dying_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_dying_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

_NAME = b"dltensor"


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of a tensor without gaps."""
    strides = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def device_of(tensor: Any) -> tuple[str, int]:
    """("cuda", 0) or ("cpu", 0); a tensor elsewhere is a CallerError."""
    kind, index = tensor.__dlpack_device__()
    name = _DEVICE_NAMES.get(int(kind))
    if name is None:
        raise CallerError(f"expected a tensor on a CPU or CUDA device, got DLPack device type {int(kind)}")
    return name, int(index) if name == "cuda" else 0


def view(tensor: Any, stream: Optional[int] = None) -> View:
    """The memory of any object with __dlpack__, without a copy.

    `stream` is the CUDA stream, as a number, on which the memory will be used: the producer makes it wait for
    its own work. None on the CPU.
    """
    kind, index = device_of(tensor)
    # The protocol's numbers: 1 is the legacy default stream, 0 is not allowed.
    capsule = tensor.__dlpack__() if kind == "cpu" else tensor.__dlpack__(stream=stream or 1)
    return managed_view(capsule, "cpu" if kind == "cpu" else f"cuda:{index}")


def managed_view(capsule: Any, device: str) -> View:
    """What a capsule holds."""
    # The capsule stays as it is ("not consumed"): its own destructor frees the tensor when the view's owner
    # goes.
    managed = ctypes.cast(_capsule_pointer(capsule, _NAME), ctypes.POINTER(_DLManagedTensor))
    raw = managed.contents.dl_tensor
    shape = tuple(raw.shape[axis] for axis in range(raw.ndim))
    strides = tuple(raw.strides[axis] for axis in range(raw.ndim)) if raw.strides else row_major(shape)
    code = raw.dtype.code
    dtype = _DTYPES.get((code, raw.dtype.bits)) if raw.dtype.lanes == 1 else None
    if (code, raw.dtype.bits, raw.dtype.lanes) == (_E2M1FN, 4, 2):
        dtype = "float4_e2m1fn_x2"
    if dtype is None:
        lanes = f"x{raw.dtype.lanes}" if raw.dtype.lanes != 1 else ""
        dtype = f"{_CODE_NAMES.get(code, f'type{code}_')}{raw.dtype.bits}{lanes}"
    return View((raw.data or 0) + raw.byte_offset, dtype, shape, strides, device, capsule)


# Everything that exported tensors point to, by the address of their DLManagedTensor, until their deleter is
# called.
_exported: dict[int, Any] = {}


# why: default arguments, and callbacks that are never freed: a consumer may drop its tensor when this
# module's globals are gone already.
@_Deleter
def _release(managed, exported=_exported, address_of=ctypes.addressof):
    exported.pop(address_of(managed.contents), None)


@_CapsuleDestructor
def _destroy_capsule(
    capsule, exported=_exported, is_valid=_dying_is_valid, pointer=_dying_pointer, name=_NAME
):
    # A consumer renames the capsule, and calls the deleter itself.
    if is_valid(capsule, name):
        exported.pop(pointer(capsule, name), None)


for _callback in (_release, _destroy_capsule):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_callback))


def export(source: View, owner: Any) -> Any:
    """A capsule with a DLManagedTensor of this memory; `owner` lives until its consumer is done."""
    rank = len(source.shape)
    shape = (ctypes.c_int64 * rank)(*source.shape)
    strides = (ctypes.c_int64 * rank)(*source.strides)
    kind, _, index = source.device.partition(":")
    code, bits = _CODES[source.dtype]
    managed = _DLManagedTensor(
        _DLTensor(
            source.data,
            _DLDevice(CPU if kind == "cpu" else CUDA, int(index or 0)),
            rank,
            _DLDataType(code, bits, 1),
            shape,
            strides,
            0,
        ),
        None,
        _release,
    )
    address = ctypes.addressof(managed)
    _exported[address] = (managed, shape, strides, owner)
    return _capsule_new(address, _NAME, _destroy_capsule)
