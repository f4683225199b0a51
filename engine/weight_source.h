// SPDX-License-Identifier: Apache-2.0
// Where the values of parameters come from: a checkpoint, or a generator. As numbers, or as packed codes.
#pragma once

#include <list>
#include <mutex>
#include <vector>

#include "engine/parameters.h"
#include "kernels/quantized_gemm/pack.h"

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
    // Rows [first, first + count) of a parameter whose form is packed, in that form; `first` is a multiple of
    // kPackedRows, of experts behind the first row of the one that all of them are of. Thread-safe.
    virtual Result<PackedWeight> read_packed(const Parameter& parameter, i64 first, i64 count) const = 0;
    // The same of a parameter whose form is coded; `first` is a multiple of kCodedRows. Thread-safe.
    virtual Result<CodedRows> read_coded(const Parameter& parameter, i64 first, i64 count) const = 0;
    // Pieces in the order of this number are read fastest.
    virtual u64 position_of(const ParameterPiece& piece) const = 0;
};

// Of a checkpoint that find_parameters has checked, and that outlives it.
class CheckpointSource final : public WeightSource {
public:
    explicit CheckpointSource(const Safetensors& checkpoint) : checkpoint_(checkpoint) {}
    Status read(const PiecePart& part, DType dtype, std::byte* out) const override;
    Result<PackedWeight> read_packed(const Parameter& parameter, i64 first, i64 count) const override;
    Result<CodedRows> read_coded(const Parameter& parameter, i64 first, i64 count) const override;
    u64 position_of(const ParameterPiece& piece) const override;

private:
    const Safetensors& checkpoint_;
};

// Normal values of 0.02 standard deviation, quantised where the form says so; norms that leave things as they
// are: the same for a seed, on every device, however the pieces are cut.
constexpr float kRandomInputScale = 1.0F / 16;  // given scales of inputs, which are about 1

class RandomSource final : public WeightSource {
public:
    RandomSource(u64 seed, DType dtype);
    Status read(const PiecePart& part, DType dtype, std::byte* out) const override;
    Result<PackedWeight> read_packed(const Parameter& parameter, i64 first, i64 count) const override;
    Result<CodedRows> read_coded(const Parameter& parameter, i64 first, i64 count) const override;
    u64 position_of(const ParameterPiece&) const override { return 0; }

private:
    struct PackedPool {
        WeightForm form;
        i64 columns = 0;
        i64 num_blocks = 0;  // of kPackedRows or kCodedRows rows
        PackedWeight weight;
        CodedRows coded;  // where the form is
    };
    u64 place_of(const ParameterPiece& piece) const;
    Result<const PackedPool*> packed_pool(const WeightForm& form, i64 columns) const;

    u64 seed_;
    DType dtype_;
    std::vector<std::byte> pool_;
    mutable std::mutex mutex_;
    mutable std::list<PackedPool> packed_;  // with the mutex; what is in it stays as it is
};

}  // namespace warpwright
