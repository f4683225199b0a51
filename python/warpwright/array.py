# SPDX-License-Identifier: Apache-2.0
"""Array: memory of a device for callers without a framework. It lends itself to all of them by DLPack."""

from __future__ import annotations

from typing import Any, Optional, Sequence

from . import _dlpack
from ._dlpack import View, row_major
from ._library import check, handle_of, library
from .context import Context
from .errors import CallerError

BYTES = {"f32": 4, "f16": 2, "bf16": 2, "i32": 4, "u8": 1}


class Array:
    """A row-major array of "f32", "f16", "bf16", "i32" or "u8" on a device.

    Has ``__dlpack__`` (``torch.from_dlpack(array)``, ``jax.dlpack.from_dlpack(array)``, ...), which shares
    the memory, and ``numpy()``, which copies it. Operations on Arrays run on the default stream, unless told
    otherwise; wait for another one before you share what was written there.
    """

    def __init__(self, shape: Sequence[int], dtype: str, context: Context):
        if dtype not in BYTES:
            raise CallerError(f"dtype: expected one of {', '.join(BYTES)}, got {dtype}")
        self.shape = tuple(int(extent) for extent in shape)
        self.dtype = dtype
        self.context = context
        self._data: Optional[int] = None
        self.nbytes = BYTES[dtype]
        for extent in self.shape:
            self.nbytes *= extent
        self._data = handle_of("ww_allocate", context._handle, max(self.nbytes, 1))

    @classmethod
    def empty(cls, shape: Sequence[int], dtype: str, device: str = "auto") -> Array:
        """Memory without content."""
        return cls(shape, dtype, Context.of(device))

    @classmethod
    def from_numpy(cls, values: Any, device: str = "auto", dtype: Optional[str] = None) -> Array:
        """A copy of a NumPy array. `dtype` "bf16" takes an array of uint16 with the bits."""
        names = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int32": "i32", "uint8": "u8"}
        array = cls.empty(values.shape, dtype or names.get(values.dtype.name, values.dtype.name), device)
        if array.nbytes != values.nbytes:
            raise CallerError(f"dtype: expected elements of {array.nbytes} bytes in all, got {values.nbytes}")
        array._write(values.tobytes())
        return array

    @classmethod
    def from_values(
        cls, values: Sequence[float], shape: Sequence[int], dtype: str, context: Context
    ) -> Array:
        """Numbers of the host, "f32" or "i32"."""
        from array import array as packed

        array = cls(shape, dtype, context)
        array._write(packed({"f32": "f", "i32": "i"}[dtype], values).tobytes())
        return array

    def _write(self, data: bytes) -> None:
        check(library().ww_copy_in(self.context._handle, self._data, data, len(data), None))

    def __del__(self):
        if getattr(self, "_data", None):
            library().ww_release(self.context._handle, self._data)

    def __repr__(self) -> str:
        return f"Array({list(self.shape)}, {self.dtype}, {self.device})"

    @property
    def device(self) -> str:
        return self.context.device

    def view(self) -> View:
        return View(self._data or 0, self.dtype, self.shape, row_major(self.shape), self.device, self)

    def numpy(self, stream: int = 0) -> Any:
        """A copy as a NumPy array, after what is on the stream; bf16 as float32."""
        import numpy

        names = {"f32": "float32", "f16": "float16", "bf16": "uint16", "i32": "int32", "u8": "uint8"}
        values = numpy.empty(self.shape, names[self.dtype])
        address = values.__array_interface__["data"][0]
        check(library().ww_copy_out(self.context._handle, address, self._data, self.nbytes, stream))
        if self.dtype == "bf16":
            values = (values.astype("uint32") << 16).view("float32")
        return values

    def __dlpack_device__(self) -> tuple[int, int]:
        kind, _, index = self.device.partition(":")
        if kind not in ("cpu", "cuda"):
            raise CallerError(f"expected an array of a cpu or cuda device to share, got one of {self.device}")
        return (_dlpack.CPU, 0) if kind == "cpu" else (_dlpack.CUDA, int(index))

    def __dlpack__(
        self,
        *,
        stream: Optional[int] = None,
        max_version: Optional[tuple[int, int]] = None,
        dl_device: Optional[tuple[int, int]] = None,
        copy: Optional[bool] = None,
    ) -> Any:
        """The protocol's: a capsule of this memory, or with `copy` of a copy."""
        own = self.__dlpack_device__()
        if dl_device is not None and tuple(map(int, dl_device)) != own:
            raise BufferError(f"expected the array's own device {own}, got {tuple(map(int, dl_device))}")
        source = self
        if copy:
            source = Array(self.shape, self.dtype, self.context)
            handles = self.context._handle, source._data, self._data
            check(library().ww_copy(*handles, self.nbytes, None))
        # What this package wrote here without being given a stream is on the default one.
        if self.device != "cpu" and (copy or stream != -1):
            self.context.synchronize()
        return _dlpack.export(source.view(), source)
