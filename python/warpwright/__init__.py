# SPDX-License-Identifier: Apache-2.0
"""Warpwright: kernels for LLM inference on NVIDIA GPUs from Ampere to workstation Blackwell, and on the CPU,
behind one planner that says which kernel runs, why, and what it will cost, also for a GPU that is not in the
machine.

* Operations on tensors of PyTorch, NumPy, CuPy and JAX: `attention`, `cascade`, `embedding`, `gated_activation`,
  `gemm`, `index_logits`, `index_topk`, `kv_append`, `latent_append`, `logits`, `merge_state`, `merge_states`,
  `mla`, `rmsnorm`, `rope`, `sample`; `prepare` for launches without host work and CUDA graphs.
* On codes and scales: `quantize`, `dequantize`, `scaling`, `scaled_gemm`, `quantized_gemm` with
  `pack_weight` and `round_weight`, in `FORMATS`; for a mixture of experts `moe_route`, `moe_experts`,
  and its parts `moe_permute`, `grouped_gemm`, `moe_combine`.
* Questions that need no GPU: `plan`, `plans`, `why`, `targets`, `kernels`, `models`; and `probe`, this
  machine.
* `check`: every kernel of a device against its definition in fp64.
* `Engine`: text from a checkpoint.
* ``import warpwright.torch`` registers custom operators, ``warpwright.transformers.register()`` an attention
  for Hugging Face models. ``python -m warpwright`` is the command line, ``python -m warpwright.bench`` the
  comparison.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .array import Array as Array
    from .checking import Check as Check, CheckResult as CheckResult, check as check
    from .context import Context as Context
    from .engine import Engine as Engine, Output as Output, Sampling as Sampling, Token as Token
    from .engine import Tokenizer as Tokenizer
    from .errors import CallerError as CallerError, NoKernelError as NoKernelError
    from .errors import UnavailableError as UnavailableError, WarpwrightError as WarpwrightError
    from ._call import Prepared as Prepared, prepare as prepare
    from .formats import FORMATS as FORMATS, Quantized as Quantized, QuantizedOutput as QuantizedOutput
    from .formats import QuantizedWeight as QuantizedWeight, QuantizeFormat as QuantizeFormat
    from .latent import index_logits as index_logits, index_topk as index_topk
    from .latent import latent_append as latent_append, mla as mla
    from .moe import MoePermutation as MoePermutation, moe_combine as moe_combine
    from .moe import grouped_gemm as grouped_gemm, moe_experts as moe_experts
    from .moe import moe_permute as moe_permute, moe_route as moe_route
    from .ops import attention as attention, attention_workspace_bytes as attention_workspace_bytes
    from .ops import embedding as embedding, gated_activation as gated_activation, gemm as gemm
    from .ops import kv_append as kv_append, rmsnorm as rmsnorm
    from .ops import rope as rope, rope_frequencies as rope_frequencies
    from .planning import Explanation as Explanation, Plan as Plan, Probe as Probe, Target as Target
    from .planning import devices as devices, kernels as kernels, models as models, plan as plan
    from .planning import plan_text as plan_text, plans as plans, probe as probe, target as target
    from .planning import targets as targets, why as why
    from .quantized import amax as amax, dequantize as dequantize, pack_weight as pack_weight
    from .quantized import quantize as quantize, quantized_gemm as quantized_gemm
    from .quantized import round_weight as round_weight, scaled_gemm as scaled_gemm, scaling as scaling
    from .sampling import logits as logits, sample as sample
    from .states import CascadeLevel as CascadeLevel, cascade as cascade
    from .states import merge_state as merge_state, merge_states as merge_states

__version__ = "0.1.0"

# Loaded at first use, so that importing the package takes a few milliseconds.
_FROM = {
    "array": "Array",
    "checking": "Check CheckResult check",
    "context": "Context",
    "engine": "Engine Output Sampling Token Tokenizer",
    "errors": "CallerError NoKernelError UnavailableError WarpwrightError",
    "_call": "Prepared prepare",
    "formats": "FORMATS Quantized QuantizedOutput QuantizedWeight QuantizeFormat",
    "latent": "index_logits index_topk latent_append mla",
    "moe": "MoePermutation grouped_gemm moe_combine moe_experts moe_permute moe_route",
    "ops": (
        "attention attention_workspace_bytes embedding gated_activation gemm kv_append rmsnorm rope "
        "rope_frequencies"
    ),
    "planning": (
        "Explanation Plan Probe Target devices kernels models plan plan_text plans probe target targets why"
    ),
    "quantized": "amax dequantize pack_weight quantize quantized_gemm round_weight scaled_gemm scaling",
    "sampling": "logits sample",
    "states": "CascadeLevel cascade merge_state merge_states",
}
_MODULES = {name: module for module, names in _FROM.items() for name in names.split()}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        # These import what they are named after: only when they are asked for.
        if name in ("torch", "transformers"):
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
