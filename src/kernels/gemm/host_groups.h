// SPDX-License-Identifier: Apache-2.0
// Groups of rows (groups.h) where the host reads them: as text, and in its rows.
#pragma once

#include <algorithm>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernels/gemm/groups.h"
#include "warpwright/status.h"

namespace warpwright {

// How fields of this type are read (dispatch/fields.h).
Status parse_enum(std::string_view name, std::string_view text, Grouping& grouping);

// Neighbouring rows of A that are multiplied with one group's B.
struct GroupRows {
    i64 group, begin, end;
};

inline std::vector<GroupRows> rows_of_groups(const GroupArgs& groups, i64 m) {
    std::vector<GroupRows> all;
    if (groups.kind == Grouping::none) all.push_back({0, 0, m});
    if (groups.kind == Grouping::masked) {
        for (i64 g = 0; g < groups.groups; ++g) all.push_back({g, 0, std::min<i64>(groups.num_rows[g], m)});
    }
    for (i64 i = 0; i < m && groups.kind == Grouping::contiguous; ++i) {
        const i64 group = groups.of_row[i];
        if (group < 0) continue;
        if (all.empty() || all.back().group != group || all.back().end != i) all.push_back({group, i, i});
        ++all.back().end;
    }
    return all;
}

template <class T>
T* moved(T* base, i64 elements, int element_bytes) {
    if (base == nullptr) return nullptr;
    using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
    return static_cast<Byte*>(base) + elements * element_bytes;
}

// What the epilogue of one group's product reads and writes: bias and gate have 16-bit elements.
inline GemmArgs results_of_group(GemmArgs args, const GroupArgs& groups, i64 group) {
    const int out_bytes = args.out_f32 ? 4 : 2;
    args.d = moved(args.d, group * groups.d_stride, out_bytes);
    args.bias = moved(args.bias, group * groups.bias_stride, 2);
    args.gate = moved(args.gate, group * groups.gate_stride, 2);
    args.residual = moved(args.residual, group * groups.residual_stride, out_bytes);
    return args;
}

}  // namespace warpwright
