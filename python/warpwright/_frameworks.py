# SPDX-License-Identifier: Apache-2.0
"""What differs between PyTorch, NumPy, CuPy, JAX and everything else that speaks DLPack.

No framework is imported here: one that made a tensor is imported already.
"""

from __future__ import annotations

import sys
from typing import Any, Optional, Sequence

from . import _dlpack
from ._dlpack import View
from .array import Array
from .context import Context
from .errors import CallerError


class Framework:
    """A framework known only by DLPack: it lends tensors, and its outputs must be given."""

    name = "DLPack"
    writable = True  # tensors may be written in place

    def view(self, tensor: Any, stream: Optional[int]) -> View:
        """The tensor's memory, as it will be used on `stream`."""
        return _dlpack.view(tensor, stream)

    def device(self, tensor: Any) -> str:
        kind, index = _dlpack.device_of(tensor)
        return "cpu" if kind == "cpu" else f"cuda:{index}"

    def context(self, tensor: Any) -> Context:
        """The context that serves it where no device is named."""
        return Context.of(self.device(tensor))

    def stream(self, device: str) -> int:
        """The stream on which the caller works now; 0 is the legacy default stream."""
        return 0

    def code_type(self, name: str) -> str:
        """In which type codes of this kind are made: that kind where the framework has it, else "u8"."""
        return "u8"

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        raise CallerError(f"expected a tensor for a result, because {type(like).__name__} is not known here")

    def full(self, shape: tuple[int, ...], value: float, dtype: str, like: Any) -> Any:
        raise CallerError(
            f"expected a tensor in place of {value}, because {type(like).__name__} is not known here"
        )

    def integers(self, values: Sequence[int], shape: tuple[int, ...], like: Any) -> Any:
        """Some i32 numbers of the host."""
        raise CallerError(f"expected tensors of numbers, because {type(like).__name__} is not known here")

    def finished(self, tensor: Any) -> Any:
        """A result of empty() as the caller gets it; anything else as it is."""
        return tensor


class Torch(Framework):
    name = "torch"

    def __init__(self, torch: Any):
        self._torch = torch
        self._names = {
            torch.float32: "f32",
            torch.float16: "f16",
            torch.bfloat16: "bf16",
            torch.int32: "i32",
            torch.uint8: "u8",
        }
        self._dtypes = {name: dtype for dtype, name in self._names.items()}
        for name in ("int8", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"):
            if hasattr(torch, name):
                self._dtypes[name] = getattr(torch, name)
        self._devices: dict[Any, str] = {}
        # Without the Stream object around it: a fifth of the time.
        self._raw_stream = getattr(torch._C, "_cuda_getCurrentRawStream", None)

    def code_type(self, name):
        return name if name in self._dtypes else "u8"

    # Faster than a capsule, and also for tensors that want gradients: the same memory.
    def view(self, tensor, stream):
        return View(
            tensor.data_ptr(),
            self._names.get(tensor.dtype) or str(tensor.dtype).replace("torch.", ""),
            tuple(tensor.shape),
            tensor.stride(),
            self.device(tensor),
            tensor,
        )

    def device(self, tensor):
        known = self._devices.get(tensor.device)
        if known is None:
            device = tensor.device
            if device.type not in ("cpu", "cuda"):
                raise CallerError(f"expected a tensor on a cpu or cuda device, got {device}")
            known = self._devices[device] = "cpu" if device.type == "cpu" else f"cuda:{device.index}"
        return known

    def stream(self, device):
        if not device.startswith("cuda"):
            return 0
        index = int(device.rpartition(":")[2])
        if self._raw_stream is not None:
            return self._raw_stream(index)
        return self._torch.cuda.current_stream(index).cuda_stream

    def empty(self, shape, dtype, like):
        return self._torch.empty(shape, dtype=self._dtypes[dtype], device=like.device)

    def full(self, shape, value, dtype, like):
        return self._torch.full(shape, value, dtype=self._dtypes[dtype], device=like.device)

    def integers(self, values, shape, like):
        if isinstance(values, range) and values:  # without a copy from the host
            return self._torch.arange(
                values.start, values.stop, values.step, dtype=self._torch.int32, device=like.device
            ).reshape(shape)
        return self._torch.tensor(values, dtype=self._torch.int32, device=like.device).reshape(shape)


class NumPy(Framework):
    name = "numpy"

    def __init__(self, numpy: Any):
        self._numpy = numpy
        # bfloat16 is ml_dtypes' addition to NumPy.
        self._names = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int32": "i32", "uint8": "u8"}

    # By its own interface: DLPack refuses arrays that are read-only, and types that are not NumPy's own.
    def view(self, tensor, stream):
        tensor = self._numpy.asarray(tensor)
        dtype, bytes_ = tensor.dtype, tensor.itemsize
        if any(stride % bytes_ for stride in tensor.strides):
            raise CallerError(f"expected strides of whole elements, got {tensor.strides} bytes for {dtype}")
        name = self._names.get(dtype.name, dtype.name) if dtype.isnative else f"byte-swapped {dtype.name}"
        address, readonly = tensor.__array_interface__["data"]
        return View(
            address,
            name,
            tensor.shape,
            tuple(stride // bytes_ for stride in tensor.strides),
            "cpu",
            tensor,
            readonly,
        )

    def device(self, tensor):
        return "cpu"

    def code_type(self, name):
        return name if name == "int8" else "u8"

    def _dtype(self, name, like):
        if name == "bf16":
            if like.dtype.name == "bfloat16":
                return like.dtype
            if "ml_dtypes" not in sys.modules:
                raise CallerError("expected f16 or f32, or a tensor for a result: NumPy has no bf16")
            return sys.modules["ml_dtypes"].bfloat16
        return next((key for key, value in self._names.items() if value == name), name)

    def empty(self, shape, dtype, like):
        return self._numpy.empty(shape, self._dtype(dtype, like))

    def full(self, shape, value, dtype, like):
        return self._numpy.full(shape, value, self._dtype(dtype, like))

    def integers(self, values, shape, like):
        return self._numpy.array(values, "int32").reshape(shape)


class CuPy(Framework):
    name = "cupy"

    def __init__(self, cupy: Any):
        self._cupy = cupy
        self._dtypes = {"f32": "float32", "f16": "float16", "i32": "int32", "u8": "uint8", "int8": "int8"}

    def code_type(self, name):
        return name if name == "int8" else "u8"

    def stream(self, device):
        return self._cupy.cuda.get_current_stream().ptr

    def _dtype(self, name, like):
        if name == "bf16" and like.dtype.name != "bfloat16":
            raise CallerError("expected f16 or f32, or a tensor for a result: CuPy has no bf16")
        return like.dtype if name == "bf16" else self._dtypes[name]

    def empty(self, shape, dtype, like):
        with like.device:
            return self._cupy.empty(shape, self._dtype(dtype, like))

    def full(self, shape, value, dtype, like):
        with like.device:
            return self._cupy.full(shape, value, self._dtype(dtype, like))

    def integers(self, values, shape, like):
        with like.device:
            return self._cupy.array(values, "int32").reshape(shape)


class Jax(Framework):
    """Arrays are immutable: results are memory of ours that is handed over, and nothing is written in
    place.
    """

    name = "jax"
    writable = False

    def __init__(self, jax: Any):
        self._jax = jax

    def view(self, tensor, stream):
        return _dlpack.view(tensor.block_until_ready(), stream)

    def empty(self, shape, dtype, like):
        return Array.empty(shape, dtype, self.device(like))

    def full(self, shape, value, dtype, like):
        names = {"f32": "float32", "i32": "int32"}
        return self._jax.device_put(self._jax.numpy.full(shape, value, names[dtype]), like.device)

    def integers(self, values, shape, like):
        return self._jax.device_put(self._jax.numpy.array(values, "int32").reshape(shape), like.device)

    def finished(self, tensor):
        return self._jax.dlpack.from_dlpack(tensor) if isinstance(tensor, Array) else tensor


class Own(Framework):
    """warpwright.Array."""

    name = "warpwright"

    def view(self, tensor, stream):
        return tensor.view()

    def device(self, tensor):
        return tensor.device

    def context(self, tensor):
        return tensor.context

    def empty(self, shape, dtype, like):
        return Array(shape, dtype, like.context)

    def full(self, shape, value, dtype, like):
        count = 1
        for extent in shape:
            count *= extent
        return Array.from_values([value] * count, shape, dtype, like.context)

    def integers(self, values, shape, like):
        return Array.from_values(values, shape, "i32", like.context)


_known: dict[str, Framework] = {}
_MAKERS = {"torch": Torch, "numpy": NumPy, "cupy": CuPy, "jax": Jax}


def framework_of(tensor: Any) -> Framework:
    """Whose tensor this is. Something that is none is a CallerError."""
    for cls in type(tensor).__mro__:
        root = cls.__module__.partition(".")[0]
        root = "jax" if root == "jaxlib" else root
        known = _known.get(root)
        if known is not None:
            return known
        if root in _MAKERS and root in sys.modules:
            return _known.setdefault(root, _MAKERS[root](sys.modules[root]))
        if root == "warpwright":
            return _known.setdefault(root, Own())
    if hasattr(tensor, "__dlpack__") and hasattr(tensor, "__dlpack_device__"):
        return _known.setdefault("", Framework())
    raise CallerError(
        f"expected a tensor (torch, NumPy, CuPy, JAX, or with __dlpack__), got {type(tensor).__name__}"
    )
