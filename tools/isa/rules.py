# SPDX-License-Identifier: Apache-2.0
"""What the emulator goes by where a form was not assembled: which targets have an opcode with some modifiers. A test
holds them to what was assembled."""

# Target sets by name; "80" is sm_80 and every later one.
SETS = {
    "100f 103f 110f 120f": {"sm_" + t for t in "100a 100f 103a 103f 110a 110f 120a 120f 121a 121f".split()},
    "120f": {"sm_" + t for t in "120a 120f 121a 121f".split()},
    "100f": {"sm_" + t for t in "100a 100f 103a 103f".split()},
    "100a 103a": {"sm_100a", "sm_103a"},
    "120a 121a": {"sm_120a", "sm_121a"},
    "none": set(),
}

# (opcodes, modifiers that must all be there in the order of a form, targets). All rules that match an instruction
# must hold. An opcode with /4 is that opcode with four operands; a name with % is a special register.
INTEGERS = "u8 s8 u16 s16 u32 s32 u64 s64".split()
RULES = [
    # bf16 arithmetic came with sm_80 where the tensor cores needed it, and became complete with sm_90.
    ("abs neg fma min max cvt", "bf16", "80"),
    ("abs neg fma min max", "bf16x2", "80"),
    ("cvt", "bf16x2", "80"),
    *[("add sub mul set setp ex2 tanh atom red", t, "90") for t in ("bf16", "bf16x2")],
    ("cvt", "bf16 bf16", "90"),
    *[("cvt", pair, "90") for t in ["f16", "f64", *INTEGERS] for pair in (f"bf16 {t}", f"{t} bf16")],
    ("cvt", "sat bf16", "90"),
    *[("cvt", f"{m} f32 bf16", "90") for m in ("ftz", "sat")],
    ("fma", "oob", "90"),
    *[("fma", f"relu {t}", "80") for t in ("f16", "f16x2")],
    *[("min max", t, "80") for t in ("f16", "f16x2")],
    ("min max", "NaN", "80"),
    ("min max", "xorsign", "86"),
    *[("min max", t, "90") for t in ("relu", "u16x2", "s16x2")],
    *[("add", t, "90") for t in ("u16x2", "s16x2")],
    ("add sub mul fma", "f32x2", "100"),
    *[("add sub fma", f"f32 {t}", "100") for t in ("f16", "bf16")],
    ("min/4 max/4", "", "100"),
    # Conversions.
    ("cvt", "relu", "80"),
    ("cvt", "f16x2 f32", "80"),
    ("cvt", "tf32", "80"),
    *[("cvt", f"{r} tf32", "90") for r in ("rn", "rz")],
    *[("cvt", f"{r} satfinite tf32", "100") for r in ("rn", "rz")],
    *[("cvt", t, "89") for t in ("e4m3x2", "e5m2x2")],
    *[("cvt", t, "100f 103f 110f 120f") for t in ("e3m2x2", "e2m3x2", "e2m1x2", "ue8m0x2")],
    ("cvt", "rs", "100a 103a"),
    *[("cvt", pair, "none") for t in ("e4m3x2", "e5m2x2") for pair in (f"bf16x2 {t}", f"{t} bf16x2")],
    *[("cvt", f"{t} {h}", "none") for t in ("e3m2x2", "e2m3x2") for h in ("f16x2", "bf16x2")],
    # Memory.
    *[("ld st atom red fence membar", m, "90") for m in ("cluster", "shared::cluster")],
    ("cvta isspacep", "shared::cluster", "90"),
    *[("ld st atom red prefetch cp", m, "80") for m in ("L2::256B", "L2::cache_hint", "L2::evict_last")],
    ("prefetch", "L2::evict_normal", "80"),
    ("prefetch", "tensormap", "90"),
    ("applypriority createpolicy discard", "", "80"),
    *[("ld st", f"v8 {t}", "100") for t in ("b32", "u32", "s32", "f32")],
    *[("ld st", f"v4 {t}", "100") for t in ("b64", "u64", "s64", "f64")],
    *[("atom red", m, "90") for m in ("v2", "v4", "v8", "b128")],
    ("fence", "async proxy", "90"),
    *[("fence", m, "90") for m in ("mbarrier_init", "proxy tensormap::generic")],
    ("st red", "async", "90"),
    ("st red", "async global", "100"),
    ("st", "bulk", "100"),
    ("cp", "", "80"),
    ("cp", "bulk", "90"),
    ("cp", "cp_mask", "100"),
    # Warps and matrices.
    ("redux", "", "80"),
    ("redux", "f32", "100f"),
    ("elect griddepcontrol stmatrix mapa getctarank", "", "90"),
    ("barrier", "cluster", "90"),
    *[("ldmatrix", m, "100f 103f 110f 120f") for m in ("m16n16", "m8n16")],
    ("stmatrix", "m16n8", "100f 103f 110f 120f"),
    *[("mma", m, "80") for m in "bf16 tf32 f64 m16n8k16 m16n8k32 m16n8k64 m16n8k256 sp sp::ordered_metadata".split()],
    *[("mma", m, "89") for m in ("e4m3", "e5m2")],
    *[("mma", f"{m} f64", "90") for m in ("m16n8k4", "m16n8k8", "m16n8k16")],
    *[("mma", m, "80") for m in ("and", "m16n8k128")],
    ("mma", "kind::f8f6f4", "100f 103f 110f 120f"),
    *[("mma", m, "120f") for m in ("e3m2", "e2m3", "e2m1", "block_scale")],
    ("mma", "m16n8k128 sp::ordered_metadata f32 e2m1", "120a 121a"),
    *[("mma", f"m16n8k64 sp::ordered_metadata f16 {t}", "120f") for t in ("e4m3", "e5m2")],
    # Special registers.
    *[(f"%{r}", "", "80") for r in
      ("reserved_smem_offset_begin", "reserved_smem_offset_end", "reserved_smem_offset_cap")],
    *[(f"%{r}", "", "90") for r in
      "aggr_smem_size is_explicit_cluster clusterid nclusterid cluster_ctaid cluster_nctaid cluster_ctarank "
      "cluster_nctarank".split()],
]
