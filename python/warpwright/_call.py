# SPDX-License-Identifier: Apache-2.0
"""One call of an operation: its tensors become the C ABI's, on one device and one stream."""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Callable, Optional, Sequence

from . import _abi
from ._dlpack import View
from ._frameworks import Framework, framework_of
from ._library import check, handle_of, library
from .array import BYTES, Array
from .context import Context
from .errors import CallerError

_recording = threading.local()


class Prepared:
    """Operations after all host work is done: launches with their arguments.

    Launching allocates nothing, waits for nothing, and may be captured in a CUDA graph. The tensors that were
    given are kept alive; their shapes stay what they were, while lengths, page tables, positions and seeds
    are read from device memory at every launch.
    """

    def __init__(self, batch_invariant: bool = False):
        self._handle: Optional[int] = None
        self._context: Optional[Context] = None
        self._framework: Optional[Framework] = None
        self._batch_invariant = batch_invariant
        self._keep: list[Any] = []
        self._windows: list[int] = []
        self.result: Any = None  # of the last operation

    def __enter__(self) -> Prepared:
        if getattr(_recording, "prepared", None) is not None:
            raise CallerError("prepare: another one is open in this thread")
        _recording.prepared = self
        return self

    def __exit__(self, *_: Any) -> None:
        _recording.prepared = None

    def __del__(self):
        if getattr(self, "_handle", None):
            library().ww_prepared_free(self._handle)
        for window in getattr(self, "_windows", []):
            library().ww_release(self._context._handle, window)

    def launch(self, stream: Any = None) -> Any:
        """Enqueues everything, in order, and returns `result`.

        `stream`: a number, a stream object of PyTorch or CuPy, or None: the caller's current stream.
        """
        if self._handle is not None and self._framework is not None and self._context is not None:
            if stream is None:
                number = self._framework.stream(self._context.device)
            else:
                number = stream if type(stream) is int else stream_number(stream)
            status = library().ww_launch(self._handle, number)
            if status != 0:
                check(status)
        return self.result

    @property
    def rows(self) -> list[str]:
        """The row of each launch, "gemm.portable.bf16...."."""
        if self._handle is None:
            return []
        count = library().ww_prepared_num_launches(self._handle)
        return [library().ww_prepared_row(self._handle, index).decode() for index in range(count)]

    def _add(self, call: Call) -> None:
        if self._context not in (None, call.context):
            raise CallerError(
                f"prepare: expected operations on {self._context.device}, got one on {call.device}"
            )
        if not call.framework.writable:
            raise CallerError(
                f"prepare: expected tensors that can be written, got {call.framework.name} arrays"
            )
        if call.away and not call.device.startswith("emulated:"):
            raise CallerError(f"prepare: expected tensors on {call.device}, got some on {call.home}")
        handle = ctypes.c_void_p(self._handle)
        if self._handle is None:
            options = _abi.PrepareOptions(batch_invariant=self._batch_invariant)
            check(
                library().ww_prepared_create(
                    call.context._handle, ctypes.byref(options), ctypes.byref(handle)
                )
            )
            self._context, self._framework, self._handle = call.context, call.framework, handle.value
        if call.away:
            call._reach()
        prepare_one = getattr(library(), f"ww_prepare_{call.op}")
        check(prepare_one(call.context._handle, ctypes.byref(call.struct), ctypes.byref(handle)))
        self._keep.extend(call.keep)
        self._windows.extend(call.windows)
        call.windows.clear()


def prepare(
    operation: Optional[Callable[..., Any]] = None,
    *arguments: Any,
    batch_invariant: bool = False,
    **keywords: Any,
) -> Prepared:
    """Operations to be launched later, and as often as wanted.

    One: ``step = prepare(gemm, a, b, out=d)``; several, launched in order by one call::

        with prepare() as step:
            rmsnorm(x, weight, out=y)
            gemm(y, projection, out=d)
        step.launch()

    Within the block nothing runs. With `batch_invariant` what a token gets is the same bits whatever is in
    the batch beside it; slower.
    """
    prepared = Prepared(batch_invariant)
    if operation is not None:
        with prepared:
            operation(*arguments, **keywords)
    return prepared


def stream_number(stream: Any) -> int:
    """A CUDA stream as a number: of a number, a torch.cuda.Stream, a cupy.cuda.Stream, or None (the default
    one).
    """
    if stream is None or isinstance(stream, int):
        return stream or 0
    for name in ("cuda_stream", "ptr"):
        value = getattr(stream, name, None)
        if isinstance(value, int):
            return value
    raise CallerError(
        f"stream: expected a number or a stream of PyTorch or CuPy, got {type(stream).__name__}"
    )


class Call:
    """Collects the arguments of one call. The first tensor says whose tensors they are and where they are."""

    def __init__(
        self, op: str, name: str, tensor: Any, device: Optional[str], stream: Any, struct: Any = None
    ):
        self.op = op
        try:
            self.framework = framework_of(tensor)
            self.home = self.framework.device(tensor)
        except CallerError as error:
            raise CallerError(f"{op}: {name}: {error}") from None
        self.first, self.like = name, tensor
        self.context = Context.of(device) if device else self.framework.context(tensor)
        self.device = self.context.device
        if self.device != self.home and self.home != "cpu" and not self.home.startswith("emulated:"):
            raise CallerError(f"{op}: {name} is on {self.home}, but device is {self.device}")
        self.stream = self.framework.stream(self.home) if stream is None else stream_number(stream)
        self.struct = _abi.OPERATIONS[op]() if struct is None else struct
        self.keep: list[Any] = []  # whose memory is used
        self.away: list[tuple[Any, View, bool]] = []  # fields whose memory the device does not reach, yet
        self.windows: list[int] = []  # device addresses to be released

    def tensor(
        self,
        name: str,
        tensor: Any,
        types: str = "",
        written: bool = False,
        codes: Sequence[str] = (),
        into: Any = None,
    ) -> str:
        """Puts a tensor into a field, of the call's struct or another one: "b.data" is data of that.

        None is a tensor that is not given. `codes` are the types that may stand for u8. Returns the tensor's
        type.
        """
        if tensor is None:
            return ""
        try:
            framework = self.framework if tensor is self.like else framework_of(tensor)
            view = framework.view(tensor, self.stream)
        except CallerError as error:
            raise CallerError(f"{self.op}: {name}: {error}") from None
        code = _abi.DTYPES.get("u8" if view.dtype in codes else view.dtype)
        if code is None:
            wanted = types or " or ".join(("u8", *codes) if codes else ("bf16", "f16"))
            raise CallerError(f"{self.op}: {name} must be {wanted}, got {view.dtype}")
        if view.device != self.home and not (type(tensor) is Array and tensor.context is self.context):
            raise CallerError(f"{self.op}: {name} is on {view.device}, but {self.first} is on {self.home}")
        if written and (view.readonly or not framework.writable):
            reason = (
                "is read-only" if view.readonly else f"is a {framework.name} array, which cannot be written"
            )
            raise CallerError(f"{self.op}: {name} {reason}")
        rank = len(view.shape)
        if rank > _abi.MAX_RANK:
            raise CallerError(f"{self.op}: {name} must have at most {_abi.MAX_RANK} dimensions, got {rank}")
        field = getattr(self.struct if into is None else into, name.rpartition(".")[2])
        field.data = view.data
        field.dtype = code
        field.rank = rank
        field.shape[:rank] = view.shape
        field.stride[:rank] = view.strides
        self.keep.append(view.owner)
        if self.device != view.device and 0 not in view.shape:
            if any(stride < 0 for stride in view.strides):
                raise CallerError(
                    f"{self.op}: {name} must have strides of at least 0, got {list(view.strides)}"
                )
            self.away.append((field, view, written))
        return view.dtype

    def result(self, name: str, out: Any, shape: tuple[int, ...], dtype: str, into: Any = None) -> Any:
        """The output: the caller's, or a new one like the first tensor."""
        if out is None:
            out = self._empty(name, shape, dtype)
        self.tensor(name, out, dtype, written=True, into=into)
        return out

    def code_result(self, name: str, out: Any, shape: tuple[int, ...], codes: str, into: Any = None) -> Any:
        """An output of codes, in u8 or the framework's type of these codes."""
        if out is None:
            out = self._empty(name, shape, self.framework.code_type(codes))
        self.tensor(name, out, codes=(codes,), written=True, into=into)
        return out

    def _empty(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        try:
            return self.framework.empty(shape, dtype, self.like)
        except CallerError as error:
            raise CallerError(f"{self.op}: {name}: {error}") from None

    def integers(self, values: Sequence[int], shape: Optional[tuple[int, ...]] = None) -> Any:
        """An i32 tensor beside the first one."""
        return self.framework.integers(values, shape or (len(values),), self.like)

    def numbers(self, shape: tuple[int, ...], value: float, dtype: str) -> Any:
        """A tensor of one value beside the first one."""
        return self.framework.full(shape, value, dtype, self.like)

    def scratch(self, shape: tuple[int, ...], dtype: str = "u8", read_early: bool = False) -> Any:
        """Memory of the call's device without content; zeros where it may be read before it is written and
        an emulated GPU would report that.
        """
        if read_early and self.device.startswith("emulated:"):
            array = Array(shape, dtype, self.context)
            array._write(bytes(array.nbytes))
            return array
        if self.device != self.home:
            return Array(shape, dtype, self.context)
        return self.framework.empty(shape, dtype, self.like)

    def finish(self, result: Any = None) -> Any:
        """Runs the call, or adds it to what is being prepared. Of several results a tuple."""
        prepared = getattr(_recording, "prepared", None)
        try:
            if prepared is not None:
                prepared._add(self)
                prepared.result = result
                return result
            back = self._reach() if self.away else ()
            run = getattr(library(), f"ww_run_{self.op}")
            status = run(self.context._handle, ctypes.byref(self.struct), self.stream)
            if status != 0:
                check(status)
            for host, address, bytes_ in back:
                check(library().ww_copy_out(self.context._handle, host, address, bytes_, self.stream))
        finally:
            for window in self.windows:
                library().ww_release(self.context._handle, window)
        if isinstance(result, tuple):
            parts = map(self.framework.finished, result)
            return result._make(parts) if hasattr(result, "_make") else tuple(parts)
        return self.framework.finished(result)

    def _reach(self) -> list[tuple[int, int, int]]:
        """Brings host memory within the device's reach: windows of an emulated one, copies of a GPU.

        Returns what is to be copied back: host address, device address, bytes.
        """
        if self.device.startswith("emulated:"):
            written_at = {view.data for _, view, written in self.away if written}
            windows: dict[tuple[int, int], int] = {}  # one for a tensor that is given twice
            for field, view, _ in self.away:
                place = (view.data, span_bytes(view))
                if place not in windows:
                    windows[place] = self._window(*place, view.data in written_at)
                field.data = windows[place]
            return []
        # Tensors may be slices of one another: memory that overlaps is one copy.
        spans: list[list[Any]] = []
        for field, view, written in sorted(self.away, key=lambda away: away[1].data):
            end = view.data + span_bytes(view)
            if spans and view.data < spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], end)
                spans[-1][2] |= written
                spans[-1][3].append((field, view))
            else:
                spans.append([view.data, end, written, [(field, view)]])
        back = []
        for start, end, written, fields in spans:
            address = handle_of("ww_allocate", self.context._handle, end - start)
            self.windows.append(address)
            check(library().ww_copy_in(self.context._handle, address, start, end - start, self.stream))
            for field, view in fields:
                field.data = address + view.data - start
            if written:
                back.append((start, address, end - start))
        return back

    def _window(self, data: int, bytes_: int, written: bool) -> int:
        self.windows.append(handle_of("ww_import_host", self.context._handle, data, bytes_, not written))
        return self.windows[-1]


def span_bytes(view: View) -> int:
    """From the first element of a tensor to its last."""
    last = sum((extent - 1) * stride for extent, stride in zip(view.shape, view.strides))
    return (last + 1) * BYTES.get(view.dtype, 1)  # codes are bytes
