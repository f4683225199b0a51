// SPDX-License-Identifier: Apache-2.0
// What a layer's inputs say of its weights: H = sum over inputs x of x x^T. An error e in a row of weights
// costs e H e^T in that layer's outputs. H = R^T R with an upper triangular R is all that error compensation
// needs.
#pragma once

#include <memory>
#include <span>

#include "device/host_threads.h"
#include "warpwright/status.h"

namespace warpwright {

class Hessian {
public:
    static Result<Hessian> create(i64 size);

    i64 size() const { return size_; }
    std::span<const float> diagonal() const { return {diagonal_.get(), static_cast<std::size_t>(size_)}; }

    // Rows [count, size] of inputs. Sums are fp32, a few hundred rows at a time.
    void add(const float* rows, i64 count, HostThreads& threads);

    // The same with inputs in another order: position p is what order[p] was. Before factor().
    Result<Hessian> permuted(std::span<const i32> order, HostThreads& threads) const;

    // Of H + damping x mean(diagonal) x I, ten times more damping where that is not positive in fp32; gives
    // the damping used. Nothing is added afterwards.
    Result<double> factor(double damping, HostThreads& threads);

    // After factor(): R[p, i] / R[p, p] at i > p; what is at i <= p is not part of it.
    const float* coefficients(i64 p) const { return matrix_.get() + p * size_; }

private:
    explicit Hessian(i64 size) : size_(size) {}
    bool try_factor(double added, HostThreads& threads);
    void factor_diagonal(i64 first, i64 last, double added, bool& positive);
    float& at(i64 row, i64 column) { return matrix_[static_cast<std::size_t>(row * size_ + column)]; }

    i64 size_ = 0;
    // Above the diagonal the sums, later R; below it, from factor() on, the sums still.
    std::unique_ptr<float[]> matrix_;
    std::unique_ptr<float[]> diagonal_;  // of H
    std::unique_ptr<float[]> pivots_;    // of R
};

}  // namespace warpwright
