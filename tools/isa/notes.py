# SPDX-License-Identifier: Apache-2.0
"""What to know about an instruction on some targets: (opcode, modifiers that it must have, targets, text, source).
"12x" stands for its targets with and without suffix; MEASURED is what data/isa.json itself was made by."""

MEASURED = "measured with ptxas 13.0.88"
TARGETS = {
    "all": "75 80 86 87 88 89 90 90a 100 100a 100f 103 103a 103f 110 110a 110f 120 120a 120f 121 121a 121f",
    "90": "90 90a",
    "90a": "90a",
    "10x": "100 100a 100f 103 103a 103f 110 110a 110f",
    "10xaf": "100a 100f 103a 103f 110a 110f",
    "12x": "120 120a 120f 121 121a 121f",
    "120": "120 120a 120f",
}
FP8 = ("e4m3", "e5m2")


def note(opcode, modifiers, targets, text, source=MEASURED):
    return [opcode, modifiers.split(), TARGETS[targets], text, source]


NOTES = [
    *[note("mma", t, "90", "conversions and HMMA stand for it: on 9.0, wgmma multiplies FP8 (sm_90a)") for t in FP8],
    *[note("mma", t, "10x", "conversions and HMMA stand for it: on 10.x and 11.0, tcgen05.mma multiplies FP8") for t in FP8],
    *[note("mma", f"f32 {t}", "120",
           "GeForce boards of 12.0 run FP8 products that accumulate in f32 at half rate; kind::mxf8f6f4 with unit scales "
           "is at full rate (RTX PRO boards and GB10 are not halved)",
           "reported: github.com/gau-nernst/gn-kernels, RTX 5090") for t in FP8],
    note("mma", "block_scale", "12x",
         "legal scales: mxf8f6f4 1X with ue8m0; mxf4 2X with ue8m0; mxf4nvf4 2X with ue8m0 or 4X with ue4m3"),
    note("mma", "sp", "all",
         "with f16, s8 and s4 operands the unordered metadata are rearranged in software from sm_100 on; "
         "sp::ordered_metadata is native"),
    note("wgmma", "", "all", "sm_90a alone: 10.x and 11.0 have tcgen05, 12.x and everything before 9.0 mma.sync"),
    note("tcgen05", "", "all", "sm_100, sm_103 and sm_110 with a suffix (a or f): 12.x has no tensor memory; use mma.sync"),
    note("tcgen05", "mma kind::i8", "all", "sm_100a and sm_110a alone"),
    *[note("tcgen05", f"mma scale_vec::{n}X", "all",
           "family targets (100f, 103f, 110f) refuse this spelling: write .block16 or .block32 (PTX 8.8), the same code")
      for n in (1, 2, 4)],
    note("setmaxnreg", "", "all",
         "dropped without a word but an info line unless the entry has .maxnreg or .minnctapersm; multiples of 8, 24 to 256"),
    note("cp", "bulk global mbarrier::complete_tx::bytes shared::cluster", "12x",
         "a copy into another block of the cluster calls a routine of the driver; with .shared::cta (PTX 8.6) there is "
         "neither test nor call"),
    note("cp", "bulk multicast::cluster", "12x", "never one multicast: a routine of the driver copies block by block"),
    note("cp", "bulk multicast::cluster", "90", "ptxas advises a target with a suffix for it"),
    *[note(opcode, "f32x2", "12x", "two scalar instructions: one of its own on 10.0 and 10.3 only")
      for opcode in ("add", "sub", "mul", "fma")],
    *[note(f"{opcode}/4", "", "12x", "two instructions: one of its own on 10.0, 10.3 and 11.0 only")
      for opcode in ("min", "max")],
    *[note("ex2", t, "all", "one MUFU on 10.3 only, elsewhere two") for t in ("f16x2", "bf16x2")],
    note("redux", "f32", "all", "10.0 and 10.3 alone, with a suffix"),
]

# What an opcode is, for `warpwright isa`; after the chapters of the PTX ISA.
FAMILIES = {
    "abs neg": "absolute value, negation", "add sub mul": "sum, difference, product",
    "addc subc madc": "arithmetic with carry", "mad fma": "multiply and add", "mad24 mul24": "products of 24 bits",
    "div rem": "quotient, remainder (a routine of many instructions for integers and exact floats)",
    "min max": "smaller, larger of two or three", "sad vabsdiff vabsdiff2 vabsdiff4": "sum of absolute differences",
    "vadd vsub vmin vmax vadd2 vsub2 vavrg2 vmin2 vmax2 vadd4 vsub4 vavrg4 vmin4 vmax4": "video instructions",
    "popc clz bfind fns brev": "counting, finding, reversing bits", "bfe bfi bmsk szext": "bit fields",
    "and or xor not cnot lop3": "logic", "shf shl shr": "shifts", "prmt": "picks bytes of two registers",
    "dp2a dp4a": "dot products of bytes in a register", "testp copysign": "tests and signs of floats",
    "rcp sqrt rsqrt sin cos lg2 ex2 tanh": "approximate (MUFU) or exact functions",
    "set setp selp slct": "comparison and selection", "mov": "registers, addresses, special registers",
    "cvt": "conversions between types", "cvta isspacep mapa getctarank": "addresses of spaces and of other blocks",
    "ld ldu st": "loads and stores", "atom red": "atomics, with and without result",
    "prefetch prefetchu applypriority discard createpolicy": "hints for the caches",
    "fence membar": "order of memory operations", "tex": "texture fetches",
    "shfl vote match activemask redux elect": "exchange, votes and reductions of a warp",
    "bar barrier": "barriers of a block, a warp, a cluster", "griddepcontrol": "overlap with the launch before (PDL)",
    "clusterlaunchcontrol": "takes the work of a cluster that was not launched yet",
    "ldmatrix stmatrix movmatrix": "8x8 matrices between shared memory and a warp's registers",
    "mma": "matrix product of a warp, operands in registers",
    "wmma": "matrix product of a warp, opaque fragments; mma is its successor",
    "wgmma": "matrix product of a warpgroup, operands in shared memory: 9.0a",
    "tcgen05": "matrix product of a block or a pair of blocks, accumulators in tensor memory: 10.x, 11.0",
    "cp": "asynchronous copies: cp.async, bulk copies and tensor copies (TMA)",
    "mbarrier": "barriers in shared memory that count arrivals and bytes",
    "multimem": "loads, stores and reductions over a multicast object (NVLink SHARP)",
    "tensormap": "changes of a tensor map in memory", "setmaxnreg": "gives registers to other warps, or takes them",
    "nanosleep pmevent trap brkpt exit ret bra brx call": "control flow", "alloca stacksave stackrestore": "the stack",
}
