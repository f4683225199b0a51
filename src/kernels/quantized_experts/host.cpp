// SPDX-License-Identifier: Apache-2.0
// quantized_experts on the host, expert by expert: its tokens' rows of A, times its weights by
// quantized_gemm, fp32 sums, and the epilogue.
#include <cstring>
#include <vector>

#include "device/host_threads.h"
#include "kernels/host_gate.h"
#include "kernels/quantized_experts/operation.h"

namespace warpwright {
namespace {

// The sums of an expert's choices: [choices, n].
std::vector<float> product(const QuantizedExpertsArgs& args, HostFunction multiply, i64 group,
                           const std::vector<u16>& a, i64 rows, HostThreads& threads) {
    std::vector<float> sums(static_cast<std::size_t>(rows * args.gemm.n));
    QuantizedGemmArgs one = args;
    one.gemm.a = a.data(), one.gemm.a_stride = args.gemm.k;
    one.gemm.b = moved(args.gemm.b, group * args.groups.b_stride, 1);
    one.gemm.d = sums.data(), one.gemm.d_stride = args.gemm.n, one.gemm.out_f32 = true;
    one.gemm.bias = nullptr;
    one.gemm.activation = Activation::none;
    one.gemm.m = static_cast<i32>(rows);
    one.groups = {.groups = 1, .kind = Grouping::none};
    one.scales = moved(args.scales, group * args.scale_stride, args.scale_bytes);
    one.zeros = moved(args.zeros, group * args.scale_stride, 1);
    if (args.global_scales != nullptr) one.global_scale = args.global_scales[group];
    one.global_scales = nullptr;
    multiply(&one, threads);
    return sums;
}

QuantizedExpertsArgs args_of_gate(const QuantizedExpertsArgs& args) {
    QuantizedExpertsArgs gate = args;
    gate.gemm.b = args.gate_codes;
    gate.scales = args.gate_scales, gate.zeros = args.gate_zeros;
    gate.global_scales = args.gate_global_scales, gate.global_scale = args.gate_global_scale;
    return gate;
}

// Choices of every expert, in their order.
std::vector<std::vector<i64>> choices_of(const QuantizedExpertsArgs& args) {
    std::vector<std::vector<i64>> choices(static_cast<std::size_t>(args.groups.groups));
    for (i64 slot = 0; slot < i64{args.gemm.m} * args.top_k; ++slot) {
        const i32 id = args.ids[slot];
        const bool there = id >= 0 && id < args.groups.groups;
        if (there) choices[static_cast<std::size_t>(id)].push_back(slot);
        if (args.row_of_slot != nullptr) args.row_of_slot[slot] = there ? static_cast<i32>(slot) : -1;
    }
    return choices;
}

template <class T>
void quantized_experts(const QuantizedExpertsArgs& args, HostFunction multiply, HostThreads& threads) {
    const GemmArgs& gemm = args.gemm;
    const i64 n = gemm.n, k = gemm.k;
    const std::vector<std::vector<i64>> choices = choices_of(args);
    for (i64 group = 0; group < args.groups.groups; ++group) {
        const std::vector<i64>& mine = choices[static_cast<std::size_t>(group)];
        if (mine.empty()) continue;
        const auto rows = static_cast<i64>(mine.size());
        std::vector<u16> a(static_cast<std::size_t>(rows * k));
        for (i64 i = 0; i < rows; ++i) {
            const i64 row = args.a_of_slots ? mine[i] : mine[i] / args.top_k;
            std::memcpy(a.data() + i * k, static_cast<const u16*>(gemm.a) + row * gemm.a_stride, k * 2);
        }
        std::vector<float> values = product(args, multiply, group, a, rows, threads), gate;
        if (args.gate_codes != nullptr) gate = product(args_of_gate(args), multiply, group, a, rows, threads);
        for (i64 i = 0; i < rows * n; ++i) {
            const i64 column = i % n, bias = group * args.groups.bias_stride + column;
            float value = values[i], of_gate = gate.empty() ? 0 : gate[i];
            if (gemm.bias != nullptr) value += T::load(gemm.bias, bias);
            if (args.gate_bias != nullptr) of_gate += T::load(args.gate_bias, bias);
            value = gate.empty() ? activate(gemm.activation, value)
                                 : gated(args.gate, gemm.activation, of_gate, value);
            T::store(gemm.d, mine[i / n] * gemm.d_stride + column, value);
        }
    }
}

template <class T, DType type, WeightFormat format>
void of_row(const void* raw, HostThreads& threads) {
    const HostFunction multiply = QuantizedGemmOp::host_function({{}, ArchClass::host, type, format, false});
    quantized_experts<T>(*static_cast<const QuantizedExpertsArgs*>(raw), multiply, threads);
}

template <WeightFormat format>
HostFunction function_of(DType type) {
    return type == DType::bf16 ? of_row<HostBf16, DType::bf16, format> : of_row<HostHalf, DType::f16, format>;
}

}  // namespace

HostFunction QuantizedExpertsOp::host_function(const Row& row) {
    switch (row.format) {
        case WeightFormat::int4: return function_of<WeightFormat::int4>(row.dtype);
        case WeightFormat::int8: return function_of<WeightFormat::int8>(row.dtype);
        case WeightFormat::fp8_e4m3: return function_of<WeightFormat::fp8_e4m3>(row.dtype);
        case WeightFormat::mxfp4: return function_of<WeightFormat::mxfp4>(row.dtype);
        case WeightFormat::nvfp4: return function_of<WeightFormat::nvfp4>(row.dtype);
    }
    return nullptr;
}

}  // namespace warpwright
