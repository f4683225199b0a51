# SPDX-License-Identifier: Apache-2.0
"""Context: a device with the kernels it has loaded. There is one per device and process."""

from __future__ import annotations

import threading
from typing import Any, Optional

from ._library import check, encoded, handle_of, json_of, library

_contexts: dict[str, Context] = {}
_lock = threading.Lock()


class Context:
    """A device: "cpu", "cuda:N", "cuda", "auto" (the first GPU, else the CPU), or "emulated:GPU".

    ``Context.of(name)`` gives the one that operations on that device use. An emulated device takes the name
    of any listed GPU and runs its kernels on the CPU, checking every access: ``"emulated:rtx-5090"``, with
    options ``",checks=off|bounds|all"``, ``",seed=N"``, ``",threads=N"``. Thread-safe.

    Errors: UnavailableError for a device that is not there; CallerError for a name that is none.
    """

    def __init__(self, device: str = "auto"):
        self._handle: Optional[int] = None
        self._handle = handle_of("ww_context_open", device.encode(), None)
        self.device: str = library().ww_context_device(self._handle).decode()

    @classmethod
    def of(cls, device: str) -> Context:
        """The process's context of this device, opened when it is first asked for."""
        known = _contexts.get(device)
        if known is not None:
            return known
        with _lock:
            known = _contexts.get(device)
            if known is None:
                known = cls(device)
                if device in ("auto", "cuda"):  # other names of one of these
                    known = _contexts.setdefault(known.device, known)
                _contexts[device] = known
            return known

    def __del__(self):
        if getattr(self, "_handle", None):
            library().ww_context_close(self._handle)

    def __repr__(self) -> str:
        return f"Context({self.device!r})"

    @property
    def info(self) -> dict[str, Any]:
        """What the device is: "target", "memory" (bytes), "supports_graphs"."""
        return json_of("ww_context_json", self._handle)

    def force(self, op: str, row: Optional[str]) -> None:
        """From now on `op` uses the row of this name; None: the chooser's choice again."""
        check(library().ww_context_force(self._handle, op.encode(), encoded(row)))

    def forbid(self, row: str, reason: Optional[str]) -> None:
        """From now on this row is not chosen, and refusals give `reason`; None: it may be chosen again."""
        check(library().ww_context_forbid(self._handle, row.encode(), encoded(reason)))

    def check_inputs(self, wanted: bool = True) -> None:
        """Whether operations read the starts, lengths, page tables, lists and positions that they are given on
        the device, and raise CallerError for those that are out of range, by name and place; for causal
        queries without a key too. For debugging: each operation waits, and none can be captured.
        """
        check(library().ww_context_check_inputs(self._handle, wanted))

    def synchronize(self, stream: int = 0) -> None:
        """Waits for a stream."""
        check(library().ww_stream_synchronize(self._handle, stream))
