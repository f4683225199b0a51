// SPDX-License-Identifier: Apache-2.0
// grouped_gemm on the host, group by group: its rows of A widened to fp32, weights widened in registers.
#include <algorithm>
#include <vector>

#include "device/host_threads.h"
#include "kernels/grouped_gemm/operation.h"
#include "kernels/host_gate.h"
#include "kernels/host_math.h"
#include "kernels/host_simd.h"

namespace warpwright {
namespace {

constexpr i64 kColumns = 32;  // of D at a time: their weights stay in a core's cache for all rows
constexpr i64 kRows = 16;     // of A at a time within those

// A row of D, or a token's part of one.
struct Entry {
    i64 d, a;  // rows
    float weight;
};

// Of every group, in the order of rows or slots.
std::vector<std::vector<Entry>> entries_of(const GroupedGemmArgs& args) {
    std::vector<std::vector<Entry>> entries(static_cast<std::size_t>(args.groups.groups));
    const auto row_of_a = [&](i64 place, i64 row) -> i64 {
        if (args.row_of_a == nullptr) return row;
        const i32 named = args.row_of_a[place];
        return named < 0 || named >= args.rows_of_a ? 0 : named;
    };
    for (i64 slot = 0; args.ids != nullptr && slot < i64{args.gemm.m} * args.top_k; ++slot) {
        const i64 token = slot / args.top_k;
        const i32 id = args.ids[slot];
        const i32* first = args.ids + token * args.top_k;
        if (id < 0 || id >= args.groups.groups) continue;
        if (std::find(first, args.ids + slot, id) != args.ids + slot) continue;
        const bool sums = args.weights != nullptr;
        entries[static_cast<std::size_t>(id)].push_back(
            {sums ? token : slot, args.a_of_slots ? slot : token, sums ? args.weights[slot] : 1});
    }
    if (args.ids != nullptr) return entries;
    for (const GroupRows& rows : rows_of_groups(args.groups, args.gemm.m)) {
        if (rows.group >= args.groups.groups) continue;
        const i64 place = args.groups.kind == Grouping::masked ? rows.group * args.gemm.m : 0;
        for (i64 i = rows.begin; i < rows.end; ++i) {
            entries[static_cast<std::size_t>(rows.group)].push_back({i, row_of_a(place + i, i), 1});
        }
    }
    return entries;
}

template <class T>
float plus_residual(const GemmArgs& args, i64 m, i64 n, float value) {
    if (args.residual == nullptr) return value;
    const i64 index = m * args.residual_stride + n;
    return value +
           (args.out_f32 ? static_cast<const float*>(args.residual)[index] : T::load(args.residual, index));
}

template <class T>
void store(const GemmArgs& args, i64 m, i64 n, float value) {
    const i64 index = m * args.d_stride + n;
    if (args.out_f32) {
        static_cast<float*>(args.d)[index] = value;
    } else {
        T::store(args.d, index, value);
    }
}

// One group's rows. sums: of tokens [m, n], added to; null: D is written.
template <class T, DType type>
void multiply_group(const GroupedGemmArgs& args, i64 group, const std::vector<Entry>& entries, float* sums,
                    HostThreads& threads) {
    const GemmArgs gemm = results_of_group(args.gemm, args.groups, group);
    const auto products = products_of(host_simd(), type);
    const auto widen = widen_of(host_simd(), type);
    const u16* a =
        static_cast<const u16*>(args.gemm.a) + (args.row_of_a != nullptr ? 0 : group * args.groups.a_stride);
    const u16* b = static_cast<const u16*>(args.gemm.b) + group * args.groups.b_stride;
    const u16* b_gate = static_cast<const u16*>(args.b_gate);
    if (b_gate != nullptr) b_gate += group * args.groups.b_stride;
    const void* gate_bias = moved(args.gate_bias, group * args.groups.bias_stride, 2);
    const i64 k = gemm.k, num_rows = static_cast<i64>(entries.size());
    std::vector<float> x(static_cast<std::size_t>(num_rows * k));
    threads.parallel_for(num_rows, 1, [&](i64 begin, i64 end) {
        for (i64 i = begin; i < end; ++i)
            widen(a + entries[static_cast<std::size_t>(i)].a * gemm.a_stride, k, x.data() + i * k);
    });
    threads.parallel_for(gemm.n, 8, [&](i64 begin, i64 end) {
        float up[kRows * kColumns], gate[kRows * kColumns];
        for (i64 n = begin; n < end; n += kColumns) {
            const i64 columns = std::min(kColumns, end - n);
            for (i64 i = 0; i < num_rows; i += kRows) {
                const i64 height = std::min(kRows, num_rows - i);
                const auto multiply = [&](const u16* weights, float* out) {
                    products(x.data() + i * k, k, static_cast<int>(height), weights + n * gemm.b_stride,
                             gemm.b_stride, static_cast<int>(columns), k, out, kColumns);
                };
                multiply(b, up);
                if (b_gate != nullptr) multiply(b_gate, gate);
                for (i64 r = 0; r < height; ++r) {
                    const Entry& entry = entries[static_cast<std::size_t>(i + r)];
                    for (i64 c = 0; c < columns; ++c) {
                        float value = up[r * kColumns + c];
                        if (gemm.bias != nullptr) value += T::load(gemm.bias, n + c);
                        if (sums != nullptr) {
                            sums[entry.d * gemm.n + n + c] += entry.weight * value;
                            continue;
                        }
                        if (b_gate != nullptr) {
                            float g = gate[r * kColumns + c];
                            if (gate_bias != nullptr) g += T::load(gate_bias, n + c);
                            value = gated(args.gate, args.gemm.activation, g, value);
                        } else {
                            value = activate(gemm.activation, value);
                        }
                        store<T>(gemm, entry.d, n + c, plus_residual<T>(gemm, entry.d, n + c, value));
                    }
                }
            }
        }
    });
}

template <class T, DType type>
void grouped_gemm(const void* raw, HostThreads& threads) {
    const GroupedGemmArgs& args = *static_cast<const GroupedGemmArgs*>(raw);
    const GemmArgs& gemm = args.gemm;
    std::vector<float> sums;
    if (args.weights != nullptr) sums.assign(static_cast<std::size_t>(gemm.m) * gemm.n, 0);
    const auto entries = entries_of(args);
    for (std::size_t group = 0; group < entries.size(); ++group) {
        if (entries[group].empty()) continue;
        multiply_group<T, type>(args, static_cast<i64>(group), entries[group],
                                sums.empty() ? nullptr : sums.data(), threads);
    }
    if (sums.empty()) return;
    for (i64 m = 0; m < gemm.m; ++m) {
        for (i64 n = 0; n < gemm.n; ++n)
            store<T>(gemm, m, n, plus_residual<T>(gemm, m, n, sums[m * gemm.n + n]));
    }
}

}  // namespace

HostFunction GroupedGemmOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? grouped_gemm<HostBf16, DType::bf16>
                                    : grouped_gemm<HostHalf, DType::f16>;
}

}  // namespace warpwright
