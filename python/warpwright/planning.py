# SPDX-License-Identifier: Apache-2.0
"""Questions that need no GPU: plan, why, targets, kernels; and probe, what is in this machine.

The dataclasses have the fields of the JSON of ``warpwright VERB --json``. Units are in names: _bytes, _us,
_gb_s (1e9 bytes per second); counts have none. Predicted times are the cost model's (docs/cost_model.md),
unless `basis` says "measured".
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Optional, Sequence, Union

from ._decode import decode
from ._library import encoded, json_of, text_of


@dataclass
class Choice:
    """The row that runs."""

    row: str  # "gemm.portable.bf16...."
    predicted_us: float
    bound: str  # what it waits for: "memory", "tensor cores", "latency", ...
    basis: str  # "modelled" or "measured"
    forced: bool = False  # the caller named it
    # The sizes that it was chosen for, in that mode.
    batch_invariant: dict[str, Any] = field(default_factory=dict)


@dataclass
class Candidate:
    """A row, and its predicted time or why it does not serve."""

    row: str
    accepted: bool
    predicted_us: Optional[float] = None
    bound: Optional[str] = None
    basis: Optional[str] = None
    rule: Optional[str] = None  # that refused it: "head_dim", "alignment", ...
    required: Optional[int] = None
    actual: Optional[int] = None
    text: Optional[str] = None  # the refusal as a sentence


@dataclass
class Explanation:
    """Which row serves a problem on a target, and why every other one was not chosen."""

    op: str
    target: str
    problem: dict[str, Any]
    chosen: Optional[Choice]
    candidates: list[Candidate]
    tuning_problem: Optional[str] = None  # why this machine's own table of times is not used (docs/tuning.md)


@dataclass
class PlanModel:
    name: str
    architecture: str
    parameters: int
    layers: int
    ignored_fields: list[str]  # of its config.json
    # That products are multiplied in, "int4", "bf16"; quantised weights that are multiplied as numbers, and why.
    weight_formats: list[str] = field(default_factory=list)
    weight_notes: list[str] = field(default_factory=list)
    activations: str = "16bit"  # or "declared"
    activations_reason: str = ""  # empty where the checkpoint declares no others than 16 bits


@dataclass
class PlanTarget:
    gpu: str
    count: int
    link: str = "none"


@dataclass
class Parallelism:
    tp: int
    pp: int
    ep: int
    why: str


@dataclass
class PlanMemory:
    """Per GPU."""

    weights_bytes: int
    kv_bytes_per_token: int
    workspace_bytes: int
    capacity_bytes: int  # of the GPU, less what driver and context take
    max_tokens: int  # that the cache can hold at this batch
    max_context: int  # tokens of a sequence that fit at this batch
    max_batch: int  # sequences that fit at this context
    cache_note: str
    fits: bool
    text: str
    kv_format: str = ""  # "bf16", "fp8_e4m3"
    kv_note: str = ""  # of scales or of a declared format that is not used


@dataclass
class PlanPhase:
    """Prefill or decode: one pass over the model."""

    predicted_us: float
    compute_us: float
    link_us: float
    bound: str
    kinds_us: dict[str, float]  # the time by kind of layer
    bounds_us: dict[str, float]  # the same time by what is waited for
    tokens: Optional[int] = None  # prefill
    batch: Optional[int] = None  # decode: sequences
    context: Optional[int] = None  # decode: tokens in the cache of each
    tokens_per_s: Optional[float] = None  # decode: of all sequences


@dataclass
class PlanPhases:
    prefill: PlanPhase
    decode: PlanPhase


@dataclass
class PlanLayer:
    """Layers of one form; `indices` are the first and the last of the `count`."""

    name: str  # "model.layers.*.self_attn.qkv_proj"
    indices: tuple[int, int]
    count: int
    op: str
    format: str  # of the weights, "bf16", "int4"; "-" where there are none
    prefill: Explanation
    decode: Explanation


@dataclass
class Plan:
    """A model on a target: for every layer which kernel runs and why, the memory, the predicted speed."""

    model: PlanModel
    target: PlanTarget
    parallelism: Parallelism
    memory: PlanMemory
    phases: PlanPhases
    missing: Optional[str]  # an operation that no row serves there
    layers: list[PlanLayer]
    format: str = ""  # of several plans: the weight_format that this one was asked for

    @property
    def runs(self) -> bool:
        """It fits, and every layer has a row."""
        return self.memory.fits and self.missing is None


@dataclass
class RefusedPlan:
    """One of several plans that there is none of, and why."""

    target: PlanTarget
    batch: int
    context: int
    refused: str
    format: str = ""
    kv_format: str = ""
    runs: bool = False


@dataclass
class Link:
    kind: str  # "nvlink", "pcie", "c2c", "none"
    gb_s: float  # both directions together, per GPU
    peer_access: bool


@dataclass
class Target:
    """A GPU model, or the CPU, as data."""

    id: str  # the name that plans take: "rtx-pro-6000"
    name: str
    aliases: list[str]
    compute_capability: str  # "9.0"
    build_target: str  # whose images it loads: "sm_90a"
    sms: int
    boost_mhz: int
    memory_bytes: int
    memory_gb_s: float
    l2_bytes: int
    shared_per_sm_bytes: int
    shared_per_block_bytes: int
    bf16_tflops: float  # dense, fp32 accumulation
    fp8_tflops: float
    fp4_tflops: float
    int8_tops: float
    links: list[Link]  # fastest first
    unsure: list[str]  # figures whose source is weak
    source: str


@dataclass
class Cpu:
    model: str
    cores: int
    memory_bytes: int
    free_bytes: int
    simd: str


@dataclass
class System:
    architecture: str
    kernel: str
    product: str
    container: str
    virtual_machine: Optional[bool]
    iommu_units: list[str]
    parameters: list[str]  # of the kernel's command line, about IOMMU, ACS and ASPM


@dataclass
class NumaNode:
    node: int
    cpus: str
    memory_bytes: int


@dataclass
class Driver:
    library: str
    cuda: str
    release: str
    problem: str  # why there is no GPU, or empty
    newest_ptx: str  # that the driver compiles, "9.0"
    nvml: str
    nvml_problem: str


@dataclass
class PcieLink:  # 0: not told
    generation: int
    width: int
    max_generation: int
    max_width: int


@dataclass
class NvLinks:
    active: int
    inactive: int
    version: int
    to: str  # "switch", "gpu", "cpu"
    gb_s: float  # of the active ones together, both directions, nominal


@dataclass
class Gpu:
    """A GPU here; None is what it does not tell."""

    id: str  # "cuda:0"
    name: str
    target: str  # of the list, to plan with
    compute_capability: int  # 90
    build_target: str
    sms: int
    memory_bytes: int
    shared_per_block_bytes: int
    l2_bytes: int
    pci: str
    integrated: bool
    clusters: bool
    multicast: Optional[bool]
    images: int  # kernel images in the library for it
    pcie: PcieLink
    nvlink: Optional[NvLinks]
    numa_node: Optional[int]
    cpus: str  # near it
    iommu: str  # "translated", "passthrough" or empty
    mig: Optional[bool]
    ecc: Optional[bool]
    bar1_bytes: Optional[int]
    power_limit_w: Optional[float]
    power_default_w: Optional[float]
    max_sm_mhz: Optional[int]
    max_memory_mhz: Optional[int]


@dataclass
class PeerPath:
    from_: int
    to: int
    access: bool
    native_atomics: bool
    link: str  # "nvlink", "pcie", "none"
    performance_rank: int
    distance: str  # "PIX", "PXB", "PHB", "NODE", "SYS"
    status: str
    gb_s: float


@dataclass
class NvidiaDevice:
    pci: str
    device: str
    driver: str


@dataclass
class PciBridge:
    pci: str
    acs_redirect: Optional[bool]  # None: may not be read


@dataclass
class NetworkCard:
    name: str
    kind: str
    rate: str
    active: bool
    pci: str
    numa_node: Optional[int]


@dataclass
class Toolkit:
    path: str
    version: str
    nvcc: bool


@dataclass
class Nvrtc:
    path: str
    version: str
    problem: str


@dataclass
class PackageVerdict:
    target: str
    runs: str  # "native", "jit", "partly", "no"
    files: int
    bad_files: int
    text: str
    fix: str


@dataclass
class Package:
    name: str
    version: str
    path: str
    verdicts: list[PackageVerdict]


@dataclass
class Variable:
    name: str
    value: str


@dataclass
class Advice:
    rule: str  # of data/advice.toml
    topic: str  # "run", "build", "libraries", "parallelism", "transport", "system"
    weight: str  # "fact", "use", "avoid", "check"
    text: str
    when: str
    sources: list[str]
    date: str  # when they were read


@dataclass
class Probe:
    """What is in this machine, and what follows from it."""

    origin: str
    cpu: Cpu
    system: System
    numa: list[NumaNode]
    driver: Driver
    gpus: list[Gpu]
    peers: list[PeerPath]
    nvidia_devices: list[NvidiaDevice]
    bridges: list[PciBridge]
    network: list[NetworkCard]
    toolkits: list[Toolkit]
    nvrtc: list[Nvrtc]
    packages: list[Package]
    environment: list[Variable]  # those that are set and change dispatch
    pack: str  # the kernel images inside of the library
    conclusions: list[str]  # the sentences of advice
    advice: list[Advice]


@dataclass
class KernelImage:
    build_target: str
    from_: str  # "pack", "cache", "none"
    registers: Optional[int] = None  # per thread
    spill_bytes: Optional[int] = None
    stack_bytes: Optional[int] = None
    static_shared_bytes: Optional[int] = None


@dataclass
class Kernel:
    """A row: one variant of an operation's kernels."""

    op: str
    row: str
    fields: dict[str, str]
    images: list[KernelImage]
    runs: Optional[bool] = None  # on the target that was asked about
    text: Optional[str] = None  # why not


def plan(
    model: Union[str, os.PathLike[str]],
    gpu: str = "auto",
    *,
    gpus: int = 1,
    link: Optional[str] = None,
    batch: int = 1,
    context: Optional[int] = None,
    prompt: Optional[int] = None,
    batch_invariant: bool = False,
    weight_format: Optional[str] = None,
    kv_format: Optional[str] = None,
    activations: Optional[str] = None,
) -> Plan:
    """Will a model run on a GPU, on which kernels, and how fast; the GPU need not be here.

    Args:
        model: a checkpoint's folder, a config.json, or the name of a built-in configuration (`models`).
        gpu: an id or alias of `targets`, or "auto" for what is in this machine.
        gpus: how many of them, by tensor parallelism.
        link: between them, "nvlink" or "pcie"; by default the target's fastest.
        batch: sequences at decode.
        context: tokens in the cache of each at decode; by default 2048 or the model's limit.
        prompt: tokens of the prefill; by default half the context.
        batch_invariant: the rows of an engine in that mode.
        weight_format: as if weights were in it: "int4", "fp8", ... of ``warpwright quantize``, "bf16", "f16".
        kv_format: of keys and values: "fp8_e4m3", "fp8_e5m2", "bf16"; by default as the config declares.
        activations: what quantised weights are multiplied by: "16bit"; "declared", 8-bit codes where the checkpoint
            says so; by default whichever is faster.

    Errors:
        CallerError for an unknown model, format or GPU (with the nearest name), and sizes out of range.
    """
    request = {
        "model": os.fspath(model),
        "gpu": gpu,
        "gpus": gpus,
        "link": link,
        "batch": batch,
        "context": context,
        "prompt": prompt,
        "batch_invariant": batch_invariant,
        "weight_format": weight_format,
        "kv_format": kv_format,
        "activations": activations,
    }
    return decode(Plan, json_of("ww_plan", _request(request)))


def plans(
    model: Union[str, os.PathLike[str]],
    gpus: Sequence[str],
    *,
    batches: Sequence[int] = (1,),
    contexts: Sequence[int] = (),
    num_gpus: int = 1,
    weight_formats: Sequence[str] = (),
    kv_formats: Sequence[str] = (),
    **options: Any,
) -> list[Union[Plan, RefusedPlan]]:
    """A plan for each GPU, formats of weights and cache, batch and context; one that cannot be made is a RefusedPlan with the reason."""
    request = {
        "model": os.fspath(model),
        "gpu": list(gpus),
        "gpus": num_gpus,
        "batch": list(batches),
        "context": list(contexts) or None,
        "weight_format": list(weight_formats) or None,
        "kv_format": list(kv_formats) or None,
        **options,
    }
    answer = json_of("ww_plan", _request(request))
    return [decode(RefusedPlan if "refused" in one else Plan, one) for one in answer.get("plans", [answer])]


def plan_text(
    model: Union[str, os.PathLike[str]],
    gpu: Union[str, Sequence[str]] = "auto",
    *,
    format: str = "text",
    **options: Any,
) -> str:
    """A plan as a page for people, "text" or "html". Options are those of `plan`."""
    request = {
        "model": os.fspath(model),
        "gpu": gpu if isinstance(gpu, str) else list(gpu),
        "format": format,
        **options,
    }
    return text_of("ww_plan", _request(request))


def why(
    op: str,
    gpu: Optional[str] = None,
    *,
    device: Optional[str] = None,
    row: Optional[str] = None,
    batch_invariant: bool = False,
    **problem: Any,
) -> Explanation:
    """Which row an operation would run on a GPU, and why no other.

    ``why("attention", "rtx-5090", max_kv_len=8192, heads=32, kv_heads=8)``; what is not given of the problem
    is the operation's default. `chosen` is None when nothing serves it.

    Args:
        op: the operation, by a name of `kernels`.
        gpu: an id or alias of `targets`; by default the CPU.
        device: in its place, one of this machine: "auto", "cpu", "cuda:N". Rows that failed their `check`
            there are refused.
        row: this row, whatever would be chosen.
        batch_invariant: the row for every size of the batch.

    Errors: CallerError for an unknown operation, GPU or field; UnavailableError for a device that is not
    there.
    """
    request = {
        "op": op,
        "gpu": gpu,
        "device": device,
        "row": row,
        "batch_invariant": batch_invariant,
        "set": problem,
    }
    return decode(Explanation, json_of("ww_why", _request(request)))


def targets() -> list[Target]:
    """Every GPU that can be planned for, and the CPU."""
    return decode(list[Target], json_of("ww_targets_json", None))


def target(name: str) -> Target:
    """The one with this id or alias; an unknown name is a CallerError with the nearest one."""
    return decode(Target, json_of("ww_targets_json", name.encode()))


def kernels(op: Optional[str] = None, target: Optional[str] = None) -> list[Kernel]:
    """Every row, what it needs, and whether a target can run it."""
    found = json_of("ww_kernels_json", encoded(op), encoded(target))
    for kernel in found:
        for image in kernel["images"]:
            image["from_"] = image.pop("from")
    return decode(list[Kernel], found)


def probe() -> Probe:
    """This machine's GPUs, links, driver and compilers."""
    found = json_of("ww_probe_json")
    for path in found["peers"]:
        path["from_"] = path.pop("from")
    return decode(Probe, found)


def devices() -> list[str]:
    """What can run something here: "cuda:0", ..., "cpu"."""
    return json_of("ww_devices_json")["devices"]


def models() -> list[str]:
    """Names of built-in public configurations, for `plan`."""
    return json_of("ww_models_json")["models"]


def _request(fields: dict[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()
