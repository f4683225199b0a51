// SPDX-License-Identifier: Apache-2.0
// Where the values of parameters come from: a checkpoint, or a generator.
#pragma once

#include <vector>

#include "engine/parameters.h"

namespace warpwright {

// Elements [first, first + count) of a piece.
struct PiecePart {
    const Parameter* parameter = nullptr;
    const ParameterPiece* piece = nullptr;
    i64 first = 0, count = 0;
};

class WeightSource {
public:
    virtual ~WeightSource() = default;

    // The part's values as `dtype`, to `out`, which is aligned to its elements. Thread-safe.
    virtual Status read(const PiecePart& part, DType dtype, std::byte* out) const = 0;
    // Pieces in the order of this number are read fastest.
    virtual u64 position_of(const ParameterPiece& piece) const = 0;
};

// Of a checkpoint that find_parameters has checked, and that outlives it.
class CheckpointSource final : public WeightSource {
public:
    explicit CheckpointSource(const Safetensors& checkpoint) : checkpoint_(checkpoint) {}
    Status read(const PiecePart& part, DType dtype, std::byte* out) const override;
    u64 position_of(const ParameterPiece& piece) const override;

private:
    const Safetensors& checkpoint_;
};

// Normal values of 0.02 standard deviation, norms that leave things as they are: the same for a seed, on
// every device, however the pieces are cut.
class RandomSource final : public WeightSource {
public:
    RandomSource(u64 seed, DType dtype);
    Status read(const PiecePart& part, DType dtype, std::byte* out) const override;
    u64 position_of(const ParameterPiece&) const override { return 0; }

private:
    u64 seed_;
    std::vector<std::byte> pool_;
};

}  // namespace warpwright
