// SPDX-License-Identifier: Apache-2.0
// scaled_gemm on the host: codes of rows of A become fp32, those of B 16-bit numbers, all of it exact; sums
// of what shares a scale are fp32, or exact ones of integers.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "device/host_threads.h"
#include "formats/codecs.h"
#include "kernels/gemm/host_codes.h"
#include "kernels/gemm/host_groups.h"
#include "kernels/host_math.h"
#include "kernels/host_simd.h"
#include "kernels/scaled_gemm/operation.h"

namespace warpwright {
namespace {

constexpr i64 kColumns = 32;           // of D at a time: their weights stay in a core's cache for all rows
constexpr i64 kRows = 16;              // of A at a time within those
constexpr i64 kPanelFloats = 1 << 18;  // of widened A
constexpr i64 kExactK = 1024;          // as many products of two i8 have an exact fp32 sum: 2^24 / 128^2

float value_of(CodeType code, u8 bits) {
    return code == CodeType::i8 ? static_cast<float>(static_cast<i8>(bits))
                                : formats::decode(formats::kE4M3, bits);
}

// Of all codes, as fp32 and as f16, which has every one of both types.
struct Values {
    float wide[256];
    u16 half[256];

    explicit Values(CodeType code) {
        for (int i = 0; i < 256; ++i) {
            wide[i] = value_of(code, static_cast<u8>(i));
            half[i] = float_to_f16(wide[i]);
        }
    }
};

float scale_at(const ScaleArgs& scale, bool is_code, i64 group, i64 row, i64 part) {
    const i64 index = group * scale.group_stride + row * scale.row_stride + part * scale.k_stride;
    return is_code ? formats::decode_e8m0(static_cast<const u8*>(scale.data)[index])
                   : static_cast<const float*>(scale.data)[index];
}

// `magnitude`: fp32's bits of the largest that codes are made of; NaN's are above all numbers'.
void finish(const ScaledGemmArgs& args, i64 group, i64 m, i64 n, float value, u32& magnitude) {
    const GemmArgs& gemm = args.gemm;
    const GroupArgs& groups = args.groups;
    if (gemm.bias != nullptr) value += load_float(gemm.bias, args.dtype, group * groups.bias_stride + n);
    if (gemm.gate != nullptr) {
        const i64 index = group * groups.gate_stride + m * gemm.gate_stride + n;
        value *= activate(gemm.activation, load_float(gemm.gate, args.dtype, index));
    } else {
        value = activate(gemm.activation, value);
    }
    const DType out = gemm.out_f32 ? DType::f32 : args.dtype;
    if (gemm.residual != nullptr) {
        const i64 index = group * groups.residual_stride + m * gemm.residual_stride + n;
        value += load_float(gemm.residual, out, index);
    }
    const i64 to = group * groups.d_stride + m * gemm.d_stride + n;
    if (gemm.d_scale != nullptr) {
        static_cast<u8*>(gemm.d)[to] = encode(gemm, value);
        magnitude = std::max(magnitude, std::bit_cast<u32>(std::abs(value)));
    } else {
        store_float(gemm.d, out, to, value);
    }
}

class Product {
public:
    Product(const ScaledGemmArgs& args, Scaling scaling, CodeType code, HostThreads& threads)
        : args_(args),
          values_(code),
          products_(host_simd().products_f16),
          threads_(threads),
          k_(args.gemm.k),
          part_(scaling == Scaling::outer ? k_ : group_k(scaling)),
          step_(code == CodeType::i8 ? kExactK : part_),
          is_integer_(code == CodeType::i8),
          has_codes_(scaling == Scaling::mx),
          scale_rows_b_(scaling == Scaling::blocks ? kScaleRowsOfB : 1) {}

    void run(const GroupRows& rows) {
        const i64 panel_rows = std::max<i64>(1, kPanelFloats / k_);
        for (i64 first = rows.begin; first < rows.end; first += panel_rows)
            panel(rows.group, first, std::min(panel_rows, rows.end - first));
    }

private:
    void panel(i64 group, i64 first, i64 rows) {
        const GemmArgs& gemm = args_.gemm;
        const u8* a = static_cast<const u8*>(gemm.a) + group * args_.groups.a_stride;
        const u8* b = static_cast<const u8*>(gemm.b) + group * args_.groups.b_stride;
        std::vector<float> x(static_cast<std::size_t>(rows * k_));
        threads_.parallel_for(rows, 1, [&](i64 begin, i64 end) {
            for (i64 i = begin; i < end; ++i) {
                const u8* row = a + (first + i) * gemm.a_stride;
                for (i64 k = 0; k < k_; ++k) x[i * k_ + k] = values_.wide[row[k]];
            }
        });
        threads_.parallel_for(gemm.n, 8, [&](i64 begin, i64 end) {
            std::vector<u16> weights(static_cast<std::size_t>(kColumns * k_));
            u32 magnitude = 0;
            for (i64 n = begin; n < end; n += kColumns) {
                const i64 columns = std::min(kColumns, end - n);
                for (i64 c = 0; c < columns; ++c) {
                    const u8* row = b + (n + c) * gemm.b_stride;
                    for (i64 k = 0; k < k_; ++k) weights[c * k_ + k] = values_.half[row[k]];
                }
                for (i64 i = 0; i < rows; i += kRows) {
                    const i64 height = std::min(kRows, rows - i);
                    const u32 of_tile =
                        tile(group, first + i, n, height, columns, x.data() + i * k_, weights.data());
                    magnitude = std::max(magnitude, of_tile);
                }
            }
            if (gemm.d_amax != nullptr) raise_amax(gemm.d_amax, magnitude);
        });
    }

    // The largest magnitude, see finish.
    u32 tile(i64 group, i64 m, i64 n, i64 height, i64 columns, const float* x, const u16* weights) {
        float sums[kRows * kColumns] = {};
        i32 exact[kRows * kColumns] = {};
        float partial[kRows * kColumns];
        for (i64 k = 0; k < k_; k += step_) {
            products_(x + k, k_, static_cast<int>(height), weights + k, k_, static_cast<int>(columns),
                      std::min(step_, k_ - k), partial, kColumns);
            for (i64 r = 0; r < height; ++r) {
                for (i64 c = 0; c < columns; ++c) {
                    const i64 i = r * kColumns + c;
                    if (is_integer_) {
                        exact[i] += static_cast<i32>(partial[i]);
                    } else {
                        sums[i] += scaled(group, m + r, n + c, k / part_, partial[i]);
                    }
                }
            }
        }
        u32 magnitude = 0;
        for (i64 r = 0; r < height; ++r) {
            for (i64 c = 0; c < columns; ++c) {
                float value = sums[r * kColumns + c];
                if (is_integer_) {
                    i64 sum = exact[r * kColumns + c];
                    if (args_.a_zeros != nullptr) {
                        sum -= i64{args_.a_zeros[(m + r) * args_.a_zero_stride]} *
                               args_.b_sums[group * args_.b_sum_group_stride + n + c];
                    }
                    value = scaled(group, m + r, n + c, 0, static_cast<float>(sum));
                }
                finish(args_, group, m + r, n + c, value, magnitude);
            }
        }
        return magnitude;
    }

    float scaled(i64 group, i64 m, i64 n, i64 part, float sum) const {
        return sum * scale_at(args_.a_scale, has_codes_, group, m, part) *
               scale_at(args_.b_scale, has_codes_, group, n / scale_rows_b_, part);
    }

    const ScaledGemmArgs& args_;
    const Values values_;
    const HostSimd::Products products_;
    HostThreads& threads_;
    const i64 k_, part_, step_;
    const bool is_integer_, has_codes_;
    const i64 scale_rows_b_;
};

template <Scaling scaling, CodeType code>
void scaled_gemm(const void* raw, HostThreads& threads) {
    const ScaledGemmArgs& args = *static_cast<const ScaledGemmArgs*>(raw);
    Product product(args, scaling, code, threads);
    for (const GroupRows& rows : rows_of_groups(args.groups, args.gemm.m)) product.run(rows);
}

}  // namespace

HostFunction ScaledGemmOp::host_function(const Row& row) {
    if (row.multiplier == Multiplier::s8) return scaled_gemm<Scaling::outer, CodeType::i8>;
    switch (row.scaling) {
        case Scaling::outer: return scaled_gemm<Scaling::outer, CodeType::e4m3>;
        case Scaling::blocks: return scaled_gemm<Scaling::blocks, CodeType::e4m3>;
        case Scaling::mx: return scaled_gemm<Scaling::mx, CodeType::e4m3>;
    }
    return nullptr;
}

}  // namespace warpwright
