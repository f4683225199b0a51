// SPDX-License-Identifier: Apache-2.0
// Weights and errors lie with their columns as rows, so that all rows of the matrix are worked on at once. A
// block of columns first takes over the errors of everything behind it, as one product; inside of it columns
// follow one another.
#include "engine/gptq/feedback.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/host_simd.h"

namespace warpwright {
namespace {

using formats::GroupScale;
using formats::QuantizedMatrix;
using formats::Recipe;

constexpr i64 kBlockColumns = 32;  // where nothing else cuts: of the part that one product does not do

class Rounder {
public:
    Rounder(const Recipe& recipe, const Hessian& hessian, std::span<const i32> order, i64 rows,
            QuantizedMatrix& out)
        : recipe_(recipe),
          hessian_(hessian),
          order_(order),
          rows_(rows),
          columns_(hessian.size()),
          out_(out) {
        out.rows = rows;
        out.columns = columns_;
        out.code = recipe.code;
        out.group_rows = 1;
        out.group_columns = recipe.group_columns == 0 ? columns_ : recipe.group_columns;
        const std::size_t num_scales = size(rows * out.column_groups());
        out.scales.assign(num_scales, 0);
        out.zeros.assign(recipe.symmetric ? 0 : num_scales, 0);
        out.codes.resize(size(rows * columns_));
        for (std::vector<float>* matrix : {&weights_, &errors_, &block_})
            matrix->resize(size(rows * columns_));
    }

    void run(const float* weights) {
        for (i64 p = 0; p < columns_; ++p) {
            for (i64 n = 0; n < rows_; ++n) weights_[size(p * rows_ + n)] = weights[n * columns_ + column(p)];
        }
        const i64 group = out_.group_columns;
        if (!order_.empty()) {
            for (i64 g = 0; g < out_.column_groups(); ++g) scale_group_of(weights, g);
            for (i64 end = columns_; end > 0; end -= kBlockColumns) {
                take_over(std::max<i64>(0, end - kBlockColumns), end, columns_);
                round(std::max<i64>(0, end - kBlockColumns), end);
            }
            return;
        }
        for (i64 first = (columns_ - 1) / group * group; first >= 0; first -= group) {
            const i64 end = std::min(first + group, columns_);
            take_over(first, end, columns_);
            scale_group(first, end);
            take_over_and_round(first, end);
        }
    }

private:
    static std::size_t size(i64 count) { return static_cast<std::size_t>(count); }
    i64 column(i64 p) const { return order_.empty() ? p : order_[size(p)]; }
    float* row_of(std::vector<float>& matrix, i64 p) { return matrix.data() + p * rows_; }

    // block = weights + r x errors, over errors of positions [end, last).
    void take_over(i64 first, i64 end, i64 last) {
        std::copy(row_of(weights_, first), row_of(weights_, end), row_of(block_, first));
        add_errors(first, end, end, last);
    }
    void add_errors(i64 first, i64 end, i64 first_error, i64 last_error) {
        if (first_error == last_error) return;
        host_simd().multiply_add(1, hessian_.coefficients(first) + first_error, columns_, 1,
                                 row_of(errors_, first_error), rows_, end - first, rows_,
                                 last_error - first_error, row_of(block_, first), rows_);
    }
    // The same inside of a group that has taken over what is behind it.
    void take_over_and_round(i64 first, i64 end) {
        for (i64 last = end; last > first; last -= kBlockColumns) {
            const i64 begin = std::max(first, last - kBlockColumns);
            add_errors(begin, last, last, end);
            round(begin, last);
        }
    }

    // Position p of a block takes over the errors of those behind it in the block.
    void take_over_one(i64 p, i64 end) {
        float* const to = row_of(block_, p);
        const float* const r = hessian_.coefficients(p);
        for (i64 i = p + 1; i < end; ++i) {
            const float* const error = row_of(errors_, i);
            for (i64 n = 0; n < rows_; ++n) to[n] += r[i] * error[n];
        }
    }

    // What the group's columns would be if they were not rounded: their "errors" then are what they were
    // moved by.
    void scale_group(i64 first, i64 end) {
        const std::vector<float> taken(row_of(block_, first), row_of(block_, end));
        std::vector<float> low(size(rows_), 0.0F), high(size(rows_), 0.0F);
        for (i64 last = end; last > first; last -= kBlockColumns) {
            const i64 begin = std::max(first, last - kBlockColumns);
            add_errors(begin, last, last, end);
            for (i64 p = last - 1; p >= begin; --p) {
                take_over_one(p, last);
                const float *weight = row_of(weights_, p), *moved = row_of(block_, p);
                float* const error = row_of(errors_, p);
                for (i64 n = 0; n < rows_; ++n) {
                    error[n] = weight[n] - moved[n];
                    low[size(n)] = std::min(low[size(n)], moved[n]);
                    high[size(n)] = std::max(high[size(n)], moved[n]);
                }
            }
        }
        std::copy(taken.begin(), taken.end(), row_of(block_, first));
        for (i64 n = 0; n < rows_; ++n) put_scale(n, first / out_.group_columns, low[size(n)], high[size(n)]);
    }

    void scale_group_of(const float* weights, i64 group) {
        const i64 first = group * out_.group_columns, end = std::min(first + out_.group_columns, columns_);
        for (i64 n = 0; n < rows_; ++n) {
            const auto [low, high] =
                std::minmax_element(weights + n * columns_ + first, weights + n * columns_ + end);
            put_scale(n, group, std::min(*low, 0.0F), std::max(*high, 0.0F));
        }
    }

    void put_scale(i64 n, i64 group, float low, float high) {
        const GroupScale made = formats::integer_scale(recipe_, low, high);
        const std::size_t at = size(n * out_.column_groups() + group);
        out_.scales[at] = made.scale;
        if (!out_.zeros.empty()) out_.zeros[at] = static_cast<i16>(made.zero);
    }

    void round(i64 first, i64 end) {
        const int symmetric = formats::facts_of(out_.code).symmetric_zero;
        const i64 groups = out_.column_groups();
        for (i64 p = end - 1; p >= first; --p) {
            take_over_one(p, end);
            const i64 k = column(p), group = k / out_.group_columns;
            const float *weight = row_of(weights_, p), *wanted = row_of(block_, p);
            float* const error = row_of(errors_, p);
            for (i64 n = 0; n < rows_; ++n) {
                const std::size_t at = size(n * groups + group);
                const float scale = out_.scales[at];
                const int zero = out_.zeros.empty() ? symmetric : out_.zeros[at];
                u8& code = out_.codes[size(n * columns_ + k)];
                formats::encode_run(out_.code, wanted + n, 1, scale, zero, &code);
                error[n] = weight[n] - static_cast<float>(code - zero) * scale;
            }
        }
    }

    const Recipe& recipe_;
    const Hessian& hessian_;
    const std::span<const i32> order_;
    const i64 rows_, columns_;
    QuantizedMatrix& out_;
    std::vector<float> weights_, errors_, block_;  // [columns, rows]
};

}  // namespace

std::vector<i32> importance_order(std::span<const float> diagonal) {
    std::vector<i32> order(diagonal.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](i32 a, i32 b) {
        return diagonal[static_cast<std::size_t>(a)] < diagonal[static_cast<std::size_t>(b)];
    });
    return order;
}

void quantise_with_feedback(const Recipe& recipe, const Hessian& hessian, std::span<const i32> order,
                            const float* weights, i64 rows, QuantizedMatrix& out) {
    Rounder(recipe, hessian, order, rows, out).run(weights);
}

}  // namespace warpwright
