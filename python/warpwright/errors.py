# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, by kind: the kinds of include/warpwright/status.h."""

from __future__ import annotations


class WarpwrightError(Exception):
    """Any failure of the library. The text is lower case: the argument, what was expected, what was got."""


class CallerError(WarpwrightError, ValueError):
    """A bad argument, file or name."""


class NoKernelError(WarpwrightError):
    """No row serves this problem on this target; the text lists the rows that were tried, and why not."""


class UnavailableError(WarpwrightError, RuntimeError):
    """A device, driver, compiler or file system is not there, or refused."""
