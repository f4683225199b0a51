// SPDX-License-Identifier: Apache-2.0
// The steps over the keys that a tile's queries see: all of them, or those of listed blocks of keys.
#pragma once

#include "kernels/attention/block.cuh"

namespace warpwright {

constexpr int kNoKey = kNoWindow;  // the one behind the last listed step

// Steps that are not listed follow each other.
struct AllSteps {
    __device__ AllSteps(const AttentionArgs&, const BlockWork&) {}
    __device__ static constexpr bool before_is_own() { return true; }
};

// The blocks of keys that a tile's queries see, as steps: a block's own follow each other. Queries of a row
// for lists alone share one list. Others' tiles go through the lists of their blocks of queries one after
// another, as they lie in memory, and a warp's rows are of one of these blocks.
template <AttentionRow R>
class ListedSteps {
public:
    __device__ ListedSteps() {}
    // This split's.
    __device__ ListedSteps(const AttentionArgs& args, const BlockWork& work) : shift_(args.block_shift) {
        const auto block_of = [&](int row) { return work.query(row) / args.block_queries; };
        const i32* starts = args.block_starts + work.sequence * args.block_sequence_stride +
                            work.kv_head * args.block_head_stride + block_of(work.first_row);
        int num_blocks = 1;
        if constexpr (kSharesTiles) {
            num_blocks += block_of(work.first_row + R.tile_rows - 1) - block_of(work.first_row);
            const int own = block_of(work.first_row + warp_id() * R.warp_rows) - block_of(work.first_row);
            own_begin_ = steps_of(starts[own] - starts[0]);
            own_end_ = steps_of(starts[own + 1] - starts[0]);
        }
        columns_ = args.block_columns + starts[0];
        const int num_steps = steps_of(starts[num_blocks] - starts[0]);
        const int per_split = (num_steps + args.num_splits - 1) / args.num_splits;
        step_ = min(num_steps, work.split * per_split);
        end_ = min(num_steps, step_ + per_split);
        column_ = column_of(step_);
        next_ = column_of((step_ | (block_steps() - 1)) + 1);
    }
    // The step's first.
    __device__ int key() const {
        if (step_ >= end_) return kNoKey;
        return (column_ << shift_) + (step_ & (block_steps() - 1)) * R.kv_tile;
    }
    // A block's number is read one block before it is needed.
    __device__ void advance() {
        ++step_;
        if ((step_ & (block_steps() - 1)) != 0) return;
        column_ = next_;
        next_ = column_of((step_ | (block_steps() - 1)) + 1);
    }
    // Whether the step before this one is in the list of the warp's rows.
    __device__ bool before_is_own() const {
        return !kSharesTiles || (step_ > own_begin_ && step_ <= own_end_);
    }

private:
    static constexpr bool kSharesTiles = !has_only_lists(R);
    static constexpr int kTileShift = R.kv_tile == 16 ? 4 : R.kv_tile == 32 ? 5 : 6;
    static_assert(1 << kTileShift == R.kv_tile);

    // log2 of a block's steps: at least one.
    __device__ int steps_shift() const {
        return kSharesTiles ? max(0, shift_ - kTileShift) : shift_ - kTileShift;
    }
    __device__ int steps_of(int blocks) const { return blocks << steps_shift(); }
    __device__ int block_steps() const { return steps_of(1); }
    __device__ int column_of(int step) const {
        if (step >= end_) return 0;
        // why: the key of a block behind all keys must neither wrap nor be kNoKey.
        return min(columns_[step >> steps_shift()], (kNoKey - 1) >> shift_);
    }

    const i32* columns_;
    int shift_, step_, end_;
    int column_, next_;
    int own_begin_, own_end_;
};

// Of rows that serve calls with lists and without: then all steps, as they are read backwards.
template <AttentionRow R>
class ListedOrAllSteps {
    static_assert(R.biases);

public:
    __device__ ListedOrAllSteps(const AttentionArgs& args, const BlockWork& work)
        : has_lists_(args.block_starts != nullptr),
          key_(work.template last_step<R>()),
          begin_(work.kv_begin) {
        if (has_lists_) listed_ = {args, work};
    }
    __device__ int key() const {
        if (has_lists_) return listed_.key();
        return key_ >= begin_ ? key_ : kNoKey;
    }
    __device__ void advance() {
        if (has_lists_) {
            listed_.advance();
        } else {
            key_ -= R.kv_tile;
        }
    }
    __device__ bool before_is_own() const { return !has_lists_ || listed_.before_is_own(); }

private:
    bool has_lists_;
    int key_, begin_;
    ListedSteps<R> listed_;
};

template <AttentionRow R, bool lists = R.lists, bool only_lists = has_only_lists(R)>
struct StepsOf : AllSteps {
    using AllSteps::AllSteps;
};
template <AttentionRow R>
struct StepsOf<R, true, true> : ListedSteps<R> {
    using ListedSteps<R>::ListedSteps;
};
template <AttentionRow R>
struct StepsOf<R, true, false> : ListedOrAllSteps<R> {
    using ListedOrAllSteps<R>::ListedOrAllSteps;
};

}  // namespace warpwright
