# SPDX-License-Identifier: Apache-2.0
"""check: every kernel row of a device against its oracle, as ``warpwright check`` does it."""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import threading
from dataclasses import dataclass, field
from typing import Callable, Optional, Union

from . import _abi
from ._decode import decode
from ._library import text_of
from .context import Context
from .errors import CallerError

Progress = Callable[[str, int, int], Optional[bool]]


@dataclass
class CheckResult:
    """One row on one problem."""

    op: str
    row: str
    problem: str  # "tokens=3 hidden=64 ..."
    outcome: str  # "passed", "failed", or "refused": the row does not serve this problem, and says so
    error: float  # largest |kernel - oracle|
    bound: float  # what was allowed
    inputs: str  # digest of all bytes that the kernel was given, in hexadecimal
    outputs: str  # of all that it left: equal on two devices that computed the same
    approximate: bool  # the kernel has instructions that are not defined to the bit
    text: str  # why it failed or was refused


@dataclass
class CheckFacts:
    """What the device says of itself."""

    compute_capability: int  # 90; 0: the CPU
    build_target: str
    num_sms: int
    boost_mhz: int
    memory_bytes: int
    memory_gb_s: float
    l2_bytes: int
    shared_per_sm_bytes: int
    shared_per_block_bytes: int
    max_threads_per_sm: int


@dataclass
class Check:
    """What came out of a check, and on what; nothing of the machine's owner, name or files."""

    device: str
    target: str
    gpu: str  # its model
    driver: str  # its version; "" where there is none
    facts: CheckFacts
    date: str  # "2026-11-25"
    command: str  # that makes the same report
    seed: int
    contraction: bool
    seconds: float
    passed: int
    failed: int
    refused: int
    rows: int  # that passed at least one problem
    results: list[CheckResult]
    stopped: bool = False  # by `progress`: the results are not all
    report: str = field(default="", repr=False)  # as JSON: the file of ``warpwright check --report``

    @property
    def ok(self) -> bool:
        """Nothing failed, and everything was checked."""
        return self.failed == 0 and not self.stopped

    @property
    def failures(self) -> list[CheckResult]:
        return [result for result in self.results if result.outcome == "failed"]

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Writes the report to a file, to send back or for ``warpwright check --against``."""
        pathlib.Path(path).write_text(self.report, encoding="utf-8")


def check(
    device: str = "auto",
    op: Optional[str] = None,
    row: Optional[str] = None,
    *,
    seed: int = 1,
    workers: int = 0,
    contraction: bool = True,
    progress: Optional[Progress] = None,
) -> Check:
    """Every row that a device can run against its oracle in fp64; seconds to minutes.

    Args:
        device: "auto", "cuda:N", "cpu", or "emulated:GPU".
        op: this operation only, by a name of `kernels`.
        row: this row only.
        seed: of the random inputs, at least 1.
        workers: problems checked at a time; 0: on a GPU one for each core, else 1.
        contraction: False compiles kernels anew so that no product and sum become one fma: bits can be
            compared between devices.
        progress: called after every check with (row, number done, number of checks), one call at a time, from
            other threads. Where it returns True the check stops, and what was found so far is returned. What
            it raises stops the check too, and is raised here.

    A row that fails is no exception: see `ok` and `failures`. What is found out about a GPU's rows is kept,
    as ``warpwright check`` does: a row that failed is not chosen with this driver any more, here and in later
    processes, until it passes or ``python -m warpwright check --forget`` is run.

    Errors: CallerError for an unknown operation, or a row that the device does not run; UnavailableError for
    a device that is not there.
    """
    if seed < 1:
        raise CallerError(f"seed: expected at least 1, got {seed}")
    if workers < 0:
        raise CallerError(f"workers: expected 0 or more, got {workers}")
    options = _abi.CheckOptions(
        op=op.encode() if op else None,
        row=row.encode() if row else None,
        seed=seed,
        num_workers=workers,
        forbid_contraction=not contraction,
    )
    report = _Run(Context.of(device), options, progress).report()
    found: Check = decode(Check, json.loads(report))
    found.report = report
    return found


class _Run:
    """The library's call on a thread of its own: in this one Ctrl-C is noticed, and stops the check. (In a
    callback of ctypes it could be lost: before the callback's first statement nothing can catch it.)
    """

    def __init__(self, context: Context, options: _abi.CheckOptions, progress: Optional[Progress]):
        self._context = context
        self._options = options
        self._progress = progress
        self._options.progress = _abi.CheckProgress(self._after_check)
        self._stopped = False
        self._ended = threading.Event()  # a thread's join() does not wait any more once it was interrupted
        self._error: Optional[BaseException] = None
        self._report = ""

    def report(self) -> str:
        thread = threading.Thread(target=self._call, name="warpwright.check", daemon=True)
        try:
            thread.start()
            self._ended.wait()
        except BaseException:
            self._stopped = True
            if thread.is_alive():
                self._ended.wait()  # the check at hand ends first
            raise
        if self._error is not None:
            raise self._error
        return self._report

    def _call(self) -> None:
        try:
            self._report = text_of("ww_check", self._context._handle, ctypes.byref(self._options))
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._ended.set()

    def _after_check(self, _: Optional[int], row: bytes, num_done: int, num_checks: int) -> int:
        try:
            if self._progress is not None and not self._stopped:
                if self._progress(row.decode(), num_done, num_checks):
                    self._stopped = True
        except BaseException as error:
            self._error = error
            self._stopped = True
        return self._stopped
