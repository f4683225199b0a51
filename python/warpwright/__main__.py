# SPDX-License-Identifier: Apache-2.0
"""The command line: ``python -m warpwright plan --model ... --gpu ...``."""

from __future__ import annotations

import os
import pathlib
import sys

BINARY = "warpwright"


def binary() -> str:
    """The program: beside the library in the package, or a checkout's build."""
    here = pathlib.Path(__file__).resolve().parent
    candidates = [here / "bin" / BINARY, here.parents[1] / "build" / BINARY]
    for candidate in candidates:
        if candidate.exists():
            return str(candidate)
    sys.exit(
        "warpwright: looked for the program in "
        + " and ".join(str(found.parent) for found in candidates)
        + ", found none"
    )


def main() -> None:
    program = binary()
    os.execv(program, [program, *sys.argv[1:]])


if __name__ == "__main__":
    main()
