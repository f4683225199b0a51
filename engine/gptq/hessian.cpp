// SPDX-License-Identifier: Apache-2.0
// Cholesky's factorisation in place, a block of rows at a time: the block's own triangle, the rows to the
// right of it, then a product that takes what these rows explain from everything below. Sums of a triangle
// are fp64.
#include "engine/gptq/hessian.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

#include "kernels/host_simd.h"

namespace warpwright {
namespace {

constexpr i64 kBlock = 64;                     // rows of R at a time
constexpr i64 kTileRows = 64;                  // of a product that one thread takes
constexpr i64 kTileColumns = 512;              // likewise: 64 x 512 fp32 stay in a core's cache
static_assert(kTileColumns % kTileRows == 0);  // a square on the diagonal is in one tile
constexpr double kMostDamping = 10;            // of the mean diagonal: then the inputs say nothing

i64 blocks_of(i64 count, i64 size) {
    return (count + size - 1) / size;
}

// c[i, j] += scale sum_k a[k, i] b[k, j] at j >= i alone, in tiles.
void add_gram(float scale, const float* a, i64 stride, i64 count, i64 first, i64 size, float* c,
              HostThreads& threads) {
    const HostSimd& simd = host_simd();
    const i64 width = size - first;
    const i64 tile_rows = blocks_of(width, kTileRows), tile_columns = blocks_of(width, kTileColumns);
    threads.parallel_for(tile_rows * tile_columns, 1, [&](i64 begin, i64 end) {
        for (i64 tile = begin; tile < end; ++tile) {
            const i64 i = first + tile / tile_columns * kTileRows, rows = std::min(kTileRows, size - i);
            const i64 left = first + tile % tile_columns * kTileColumns;
            const i64 right = std::min(left + kTileColumns, size);
            if (left <= i && i < right) {  // the square on the diagonal: its lower half is not ours
                float square[kTileRows * kTileRows] = {};
                simd.multiply_add(scale, a + i, 1, stride, a + i, stride, rows, rows, count, square,
                                  kTileRows);
                for (i64 r = 0; r < rows; ++r) {
                    for (i64 s = r; s < rows; ++s) c[(i + r) * size + i + s] += square[r * kTileRows + s];
                }
            }
            const i64 j = std::max(left, i + rows);
            if (j < right) {
                simd.multiply_add(scale, a + i, 1, stride, a + j, stride, rows, right - j, count,
                                  c + i * size + j, size);
            }
        }
    });
}

}  // namespace

Result<Hessian> Hessian::create(i64 size) {
    Hessian hessian(size);
    const auto extent = static_cast<std::size_t>(size);
    hessian.matrix_.reset(new (std::nothrow) float[extent * extent]());
    hessian.diagonal_.reset(new (std::nothrow) float[extent]());
    hessian.pivots_.reset(new (std::nothrow) float[extent]());
    if (!hessian.matrix_ || !hessian.diagonal_ || !hessian.pivots_) {
        return unavailable(fmt::format("no memory for {} x {} numbers", size, size));
    }
    return hessian;
}

void Hessian::add(const float* rows, i64 count, HostThreads& threads) {
    add_gram(1, rows, size_, count, 0, size_, matrix_.get(), threads);
    for (i64 i = 0; i < size_; ++i) diagonal_[static_cast<std::size_t>(i)] = at(i, i);
}

Result<Hessian> Hessian::permuted(std::span<const i32> order, HostThreads& threads) const {
    WW_ASSIGN(Hessian result, create(size_));
    threads.parallel_for(size_, 16, [&](i64 begin, i64 end) {
        for (i64 p = begin; p < end; ++p) {
            for (i64 q = p; q < size_; ++q) {
                const i64 i = order[static_cast<std::size_t>(p)], j = order[static_cast<std::size_t>(q)];
                result.at(p, q) = matrix_[static_cast<std::size_t>(std::min(i, j) * size_ + std::max(i, j))];
            }
            result.diagonal_[static_cast<std::size_t>(p)] = result.at(p, p);
        }
    });
    return result;
}

Result<double> Hessian::factor(double damping, HostThreads& threads) {
    double mean = 0;
    for (const float value : diagonal()) mean += value;
    mean /= static_cast<double>(size_);
    if (!std::isfinite(mean))
        return caller_error(fmt::format("inputs of {} columns: expected finite numbers", size_));
    if (mean == 0) mean = 1;
    threads.parallel_for(size_, 16, [&](i64 begin, i64 end) {
        for (i64 i = begin; i < end; ++i) {
            for (i64 j = 0; j < i; ++j) at(i, j) = at(j, i);
        }
    });
    for (; damping <= kMostDamping; damping *= 10) {
        if (try_factor(damping * mean, threads)) return damping;
        threads.parallel_for(size_, 16, [&](i64 begin, i64 end) {  // the sums again
            for (i64 i = begin; i < end; ++i) {
                at(i, i) = diagonal_[static_cast<std::size_t>(i)];
                for (i64 j = i + 1; j < size_; ++j) at(i, j) = at(j, i);
            }
        });
    }
    return caller_error(fmt::format("inputs of {} columns: no factorisation in fp32", size_));
}

// The triangle of rows [first, last) from what is left of H there.
void Hessian::factor_diagonal(i64 first, i64 last, double added, bool& positive) {
    const i64 n = last - first;
    std::vector<double> r(static_cast<std::size_t>(n * n));
    const auto triangle = [&](i64 i, i64 j) -> double& { return r[static_cast<std::size_t>(i * n + j)]; };
    for (i64 i = 0; i < n; ++i) {
        for (i64 j = i; j < n; ++j) {
            double sum = static_cast<double>(at(first + i, first + j)) + (i == j ? added : 0);
            for (i64 k = 0; k < i; ++k) sum -= triangle(k, i) * triangle(k, j);
            if (i == j && !(sum > 0)) {
                positive = false;
                return;
            }
            triangle(i, j) = i == j ? std::sqrt(sum) : sum / triangle(i, i);
        }
    }
    for (i64 i = 0; i < n; ++i) {
        pivots_[static_cast<std::size_t>(first + i)] = static_cast<float>(triangle(i, i));
        for (i64 j = i; j < n; ++j) at(first + i, first + j) = static_cast<float>(triangle(i, j));
    }
}

bool Hessian::try_factor(double added, HostThreads& threads) {
    for (i64 first = 0; first < size_; first += kBlock) {
        const i64 last = std::min(first + kBlock, size_);
        bool positive = true;
        factor_diagonal(first, last, added, positive);
        if (!positive) return false;
        // R^T X = what is left of H, from the first row down; each thread has columns of its own.
        threads.parallel_for(size_ - last, 256, [&](i64 begin, i64 end) {
            for (i64 i = first; i < last; ++i) {
                float* const row = &at(i, last);
                for (i64 k = first; k < i; ++k) {
                    const float factor = at(k, i);
                    const float* const above = &at(k, last);
                    for (i64 j = begin; j < end; ++j) row[j] -= factor * above[j];
                }
                const float inverse = 1 / at(i, i);
                for (i64 j = begin; j < end; ++j) row[j] *= inverse;
            }
        });
        add_gram(-1, &at(first, 0), size_, last - first, last, size_, matrix_.get(), threads);
    }
    threads.parallel_for(size_, 16, [&](i64 begin, i64 end) {
        for (i64 p = begin; p < end; ++p) {
            const float inverse = 1 / pivots_[static_cast<std::size_t>(p)];
            for (i64 i = p; i < size_; ++i) at(p, i) *= inverse;
        }
    });
    return true;
}

}  // namespace warpwright
