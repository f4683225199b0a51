// SPDX-License-Identifier: Apache-2.0
// quantized_experts: the rows, their shared memory, and which problems they serve. A row is one of
// quantized_gemm's: tile_n rows of weights, half of them of the gate where there is one, times tile_m
// choices.
#pragma once

#include "kernels/quantized_experts/problem.h"
#include "kernels/quantized_gemm/rows.h"

namespace warpwright {

constexpr int kMostChoices = 256;  // of all tokens together

template <QuantizedGemmRow R>
struct QuantizedExpertsShared {
    union {
        QuantizedGemmStep<R> ring[R.warps_k][R.stages];
        float partial[R.warps_k][R.tile_m][R.tile_n + 1];
    };
    u16 list[R.warps_k][kMostChoices];  // of the block's expert; each warp makes its own
};

template <QuantizedGemmRow R>
consteval QuantizedGemmRow sized_experts() {
    QuantizedGemmRow row = R;
    row.shared_bytes = sizeof(QuantizedExpertsShared<R>);
    return row;
}

// clang-format off
// rows:begin
inline constexpr QuantizedGemmRow kQuantizedExpertsRows[] = {
    //                             name                                                class                dtype        format                  aligned max_m tile   warp   stages warps_k blocks
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.bf16.int4.n32.k4",         ArchClass::portable, DType::bf16, WeightFormat::int4,      true,  8,    8, 32,  8, 32,  4, 4, 4}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.bf16.int4.n64.k4",         ArchClass::portable, DType::bf16, WeightFormat::int4,      true,  8,    8, 64,  8, 64,  3, 4, 4}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.bf16.int8.n64.k4",         ArchClass::portable, DType::bf16, WeightFormat::int8,      true,  8,    8, 64,  8, 64,  3, 4, 2}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.bf16.fp8_e4m3.n32.k4",     ArchClass::portable, DType::bf16, WeightFormat::fp8_e4m3,  true,  8,    8, 32,  8, 32,  3, 4, 4}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.bf16.fp8_e4m3.n64.k4",     ArchClass::portable, DType::bf16, WeightFormat::fp8_e4m3,  true,  8,    8, 64,  8, 64,  3, 4, 2}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.bf16.mxfp4.n64.k4",        ArchClass::portable, DType::bf16, WeightFormat::mxfp4,     true,  8,    8, 64,  8, 64,  3, 4, 4}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.bf16.nvfp4.n64.k4",        ArchClass::portable, DType::bf16, WeightFormat::nvfp4,     true,  8,    8, 64,  8, 64,  3, 4, 4}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.f16.int4.n64.k4",          ArchClass::portable, DType::f16,  WeightFormat::int4,      true,  8,    8, 64,  8, 64,  3, 4, 4}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.f16.int8.n64.k4",          ArchClass::portable, DType::f16,  WeightFormat::int8,      true,  8,    8, 64,  8, 64,  3, 4, 2}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.f16.fp8_e4m3.n64.k4",      ArchClass::portable, DType::f16,  WeightFormat::fp8_e4m3,  true,  8,    8, 64,  8, 64,  3, 4, 2}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.f16.mxfp4.n64.k4",         ArchClass::portable, DType::f16,  WeightFormat::mxfp4,     true,  8,    8, 64,  8, 64,  3, 4, 4}>(),
    sized_experts<QuantizedGemmRow{"quantized_experts.slots.f16.nvfp4.n64.k4",         ArchClass::portable, DType::f16,  WeightFormat::nvfp4,     true,  8,    8, 64,  8, 64,  3, 4, 4}>(),
    {"quantized_experts.host.bf16.int4",        ArchClass::host, DType::bf16, WeightFormat::int4,      false},
    {"quantized_experts.host.bf16.int8",        ArchClass::host, DType::bf16, WeightFormat::int8,      false},
    {"quantized_experts.host.bf16.fp8_e4m3",    ArchClass::host, DType::bf16, WeightFormat::fp8_e4m3,  false},
    {"quantized_experts.host.bf16.mxfp4",       ArchClass::host, DType::bf16, WeightFormat::mxfp4,     false},
    {"quantized_experts.host.bf16.nvfp4",       ArchClass::host, DType::bf16, WeightFormat::nvfp4,     false},
    {"quantized_experts.host.f16.int4",         ArchClass::host, DType::f16,  WeightFormat::int4,      false},
    {"quantized_experts.host.f16.int8",         ArchClass::host, DType::f16,  WeightFormat::int8,      false},
    {"quantized_experts.host.f16.fp8_e4m3",     ArchClass::host, DType::f16,  WeightFormat::fp8_e4m3,  false},
    {"quantized_experts.host.f16.mxfp4",        ArchClass::host, DType::f16,  WeightFormat::mxfp4,     false},
    {"quantized_experts.host.f16.nvfp4",        ArchClass::host, DType::f16,  WeightFormat::nvfp4,     false},
};
// rows:end
// clang-format on

constexpr Rejection why_not_experts(const QuantizedGemmRow& row, const TargetFacts& target,
                                    const QuantizedExpertsProblem& problem) {
    // What quantized_gemm asks of a weight and of A.
    const bool host = row.arch == ArchClass::host;
    const Rejection rejection = why_not(row, target,
                                        {.m = host ? problem.m : 1,
                                         .n = problem.n,
                                         .k = problem.k,
                                         .dtype = problem.dtype,
                                         .out = problem.dtype,
                                         .format = problem.format,
                                         .group = problem.group,
                                         .scale = problem.scale,
                                         .zeros = problem.zeros,
                                         .alignment_bytes = problem.alignment_bytes});
    if (rejection || host) return rejection;
    const i64 choices = problem.m * problem.top_k;
    if (choices > kMostChoices) return {"choices", kMostChoices, choices, "at_most"};
    return accepted();
}

}  // namespace warpwright
