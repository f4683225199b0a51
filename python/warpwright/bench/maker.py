# SPDX-License-Identifier: Apache-2.0
"""What a problem of ``warpwright bench`` says, and the tensors it is about."""

from __future__ import annotations

import re
from typing import Any, Callable, NamedTuple

import torch


class OurCall(NamedTuple):
    make: Callable[[], tuple[Any, ...]]  # fresh buffers of one call
    call: Callable[..., Any]  # enqueues it
    bytes_moved: int  # each input read once, each output written once
    flops: int = 0


def parse(problem: str) -> tuple[dict[str, str], set[str]]:
    """ "m=1 n=2 k=3 bf16" -> ({"m": "1", ...}, {"bf16", ...})."""
    return dict(re.findall(r"(\w+)=(\S+)", problem)), set(problem.split())


class Maker:
    """Reads the numbers of a problem, and makes tensors."""

    def __init__(self, problem: str, device: str):
        self.text, self.device = problem, device
        self.fields, self.words = parse(problem)

    def number(self, name: str, default: int = 0) -> int:
        return int(self.fields.get(name, default))

    def pair(self, name: str) -> tuple[int, int]:
        first, second = self.fields[name].split("/")
        return int(first), int(second)

    def bf16(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, device=self.device, dtype=torch.bfloat16)

    def empty(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, device=self.device, dtype=torch.bfloat16)

    def keys(self, *shape: int) -> torch.Tensor:
        """Keys or values as the problem stores them, in 16 bits or 8."""
        if "kv" not in self.fields:
            return self.bf16(*shape)
        return torch.randint(0, 0x78, shape, device=self.device, dtype=torch.uint8)

    @property
    def key_bytes(self) -> int:
        return 1 if "kv" in self.fields else 2

    def integers(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(list(values), dtype=torch.int32, device=self.device)
