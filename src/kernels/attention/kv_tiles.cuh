// SPDX-License-Identifier: Apache-2.0
// A block's copies of K and V into shared memory, ragged or paged, by 16-byte vectors: all warps share the
// rows of a pass, a lane has the same vector of one row in each, and a step is a few passes.
#pragma once

#include "kernels/attention/block.cuh"
#include "ptx/cp_async.cuh"
#include "tile/swizzle.h"

namespace warpwright {

// Where the scale of a lane's vector is; of packed codes only.
template <AttentionRow R, bool packed = is_packed(R), bool copied = copies_codes(R)>
struct VectorBlocks {
    struct At {};
    __device__ At at(const AttentionArgs&, i64, i64) const { return {}; }
    __device__ void advance(const AttentionArgs&, int) {}
};
template <AttentionRow R>
struct VectorBlocks<R, true, false> {
    struct At {
        const u8 *k, *v;
    };
    At first;  // page 0's first row, or the next step's row of the first pass

    __device__ void set(const AttentionArgs& args, const BlockWork& work, int row, int vector) {
        const int block = vector * 8 / static_cast<int>(kKvBlock);
        const auto start = [&](const KvBlockScales& scales) {
            const u8* at = scales.first + i64{work.kv_head} * scales.head_stride + block;
            if (args.page_table != nullptr) return at;
            return at + (i64{args.kv_starts[work.sequence]} + work.template first_step<R>() + row) *
                            scales.token_stride;
        };
        first = {start(args.k_blocks), start(args.v_blocks)};
    }
    __device__ At at(const AttentionArgs& args, i64 page, i64 token) const {
        return {first.k + page * args.k_blocks.page_stride + token * args.k_blocks.token_stride,
                first.v + page * args.v_blocks.page_stride + token * args.v_blocks.token_stride};
    }
    __device__ void advance(const AttentionArgs& args, int tokens) {
        first.k += i64{tokens} * args.k_blocks.token_stride;
        first.v += i64{tokens} * args.v_blocks.token_stride;
    }
};
// Of rows that copy codes, scales are copied in words of four: of a key's four lanes two have one of K, two
// one of V.
template <AttentionRow R>
struct VectorBlocks<R, true, true> {
    static_assert(R.head_dim == 8 * kKvBlock);
    using At = const u8*;
    const u8* first;
    i32 page_stride, token_stride;

    __device__ static int word(int vector) { return vector % 2; }
    __device__ static bool is_of_v(int vector) { return vector >= 2; }
    __device__ void set(const AttentionArgs& args, const BlockWork& work, int row, int vector) {
        const bool of_v = is_of_v(vector);
        page_stride = of_v ? args.v_blocks.page_stride : args.k_blocks.page_stride;
        token_stride = of_v ? args.v_blocks.token_stride : args.k_blocks.token_stride;
        first = (of_v ? args.v_blocks.first : args.k_blocks.first) + 4 * word(vector) +
                i64{work.kv_head} * (of_v ? args.v_blocks.head_stride : args.k_blocks.head_stride);
        if (args.page_table == nullptr)
            advance(args, args.kv_starts[work.sequence] + work.template first_step<R>() + row);
    }
    __device__ At at(const AttentionArgs&, i64 page, i64 token) const {
        return first + page * page_stride + token * token_stride;
    }
    __device__ void advance(const AttentionArgs&, int tokens) { first += i64{tokens} * token_stride; }
};

template <AttentionRow R>
class KvTiles {
    using T = KvElement<R>;
    using Step = typename AttentionShared<R>::Step;
    static constexpr int kElements = !copies_codes(R) ? 8 : is_packed(R) ? 32 : 16;  // columns of a vector
    static constexpr int kPerElement = is_packed(R) ? 2 : 1;
    static constexpr int kVectors = R.head_dim / kElements, kValueVectors = value_dim(R) / kElements;
    static constexpr int kRowBytes = kVectors * 16;
    using Map = Swizzle<kVectors>;
    // For a row. Where values have other columns than keys, eight, with every eighth vector of it each.
    static constexpr bool kStrided = kValueVectors != kVectors;
    static constexpr int kLanes = kStrided        ? 8
                                  : kVectors > 16 ? 32
                                  : kVectors > 8  ? 16
                                  : kVectors > 4  ? 8
                                                  : 4;
    static constexpr int kPassRows = num_threads(R) / kLanes;
    static constexpr int kPasses = R.kv_tile / kPassRows;
    static constexpr int kLookUps = (R.kv_tile + 31) / 32;  // page numbers of a step that a lane has
    static_assert(R.kv_tile % kPassRows == 0 && (kPassRows % 32 == 0 || 32 % kPassRows == 0));
    static_assert(!kStrided || (kVectors % 8 == 0 && kValueVectors % 8 == 0 && kPassRows % 8 == 0 &&
                                !is_coded(R) && !R.elementwise));

public:
    __device__ KvTiles(const AttentionArgs& args, const BlockWork& work) : args_(args) {
        const int row = thread() / kLanes, vector = thread() % kLanes;
        i64 first_k = 0, first_v = 0;
        pages_ = nullptr;
        if (args.page_table != nullptr) {
            pages_ = args.page_table + i64{work.sequence} * args.page_table_stride;
        } else {
            const i64 token = i64{args.kv_starts[work.sequence]} + work.template first_step<R>() + row;
            first_k = token * args.k_token_stride;
            first_v = token * args.v_token_stride;
        }
        const int column = vector * kElements / kPerElement;
        k_ = static_cast<const T*>(args.k) + i64{work.kv_head} * args.k_head_stride + column + first_k;
        v_ = static_cast<const T*>(args.v) + i64{work.kv_head} * args.v_head_stride + column + first_v;
        if constexpr (is_packed(R)) {
            blocks_.set(args, work, row, vector);
        }
        begin_ = work.kv_first;
        end_ = work.kv_end;
        key_ = work.template first_step<R>();
        lane_key_ = key_ + row;
        offset_ = Map::offset_bytes(row, vector);
        look_up();
    }

    // The first key of the next step.
    __device__ int key() const { return key_; }

    // Starts the copies of the next step, of K, V or both. Keys before the window and from the end on are
    // zeros: a masked score has the weight 0, which would not silence a NaN in V.
    template <bool copies_k, bool copies_v, bool from_start = false, bool ragged = false>
    __device__ void copy(Step& step) const {
        const u32 k_shared = ptx::shared_address(step.k), v_shared = ptx::shared_address(step.v);
        if (ragged || args_.page_table == nullptr) {
#pragma unroll
            for (int pass = 0; pass < kPasses; ++pass) {
                const i64 row = pass * kPassRows;
                const auto blocks = blocks_.at(args_, 0, row);
                copy_row<copies_k, copies_v, from_start>(k_shared, v_shared, pass,
                                                         k_ + row * args_.k_token_stride,
                                                         v_ + row * args_.v_token_stride, blocks);
                copy_blocks<from_start>(step, pass, blocks);
            }
        } else {
#pragma unroll
            for (int pass = 0; pass < kPasses; ++pass) {
                const int row = pass * kPassRows + thread() / kLanes;
                const i64 page = __shfl_sync(~0u, pages_of_[pass * kPassRows / 32], row % 32);
                const i64 in_page = key_of(pass) & ((1 << args_.page_shift) - 1);
                const auto blocks = blocks_.at(args_, page, in_page);
                copy_row<copies_k, copies_v, from_start>(
                    k_shared, v_shared, pass,
                    k_ + page * args_.k_page_stride + in_page * args_.k_token_stride,
                    v_ + page * args_.v_page_stride + in_page * args_.v_token_stride, blocks);
                copy_blocks<from_start>(step, pass, blocks);
            }
        }
    }

    // To the next step; its page numbers are read one step before they are needed. from_start: as in copy.
    template <bool from_start = false, bool ragged = false>
    __device__ void advance() {
        key_ += key_step(R);
        lane_key_ += key_step(R);
        if (ragged || args_.page_table == nullptr) {
            k_ += i64{key_step(R)} * args_.k_token_stride;
            v_ += i64{key_step(R)} * args_.v_token_stride;
            blocks_.advance(args_, key_step(R));
        } else if constexpr (from_start && key_step(R) < 0) {
#pragma unroll
            for (int i = 0; i < kLookUps; ++i)
                pages_of_[i] = key_ >= 0 ? pages_[(key_ + i * 32 + thread() % 32) >> args_.page_shift] : 0;
        } else {
            look_up();
        }
    }
    // The same of listed steps.
    template <class Steps>
    __device__ void advance(Steps& steps) {
        steps.advance();
        const int moved = steps.key() - key_;
        key_ += moved;
        lane_key_ += moved;
        if (args_.page_table == nullptr) {
            k_ += i64{moved} * args_.k_token_stride;
            v_ += i64{moved} * args_.v_token_stride;
            blocks_.advance(args_, moved);
        } else {
            look_up();
        }
    }

private:
    __device__ static int thread() {
        return static_cast<int>(threadIdx.x);
    }
    // Of this lane's row of a pass. Backwards a number of its own saves one for each pass.
    __device__ int key_of(int pass) const {
        if (key_step(R) < 0) return lane_key_ + pass * kPassRows;
        return key_ + (pass * kPassRows + thread() / kLanes);
    }

    // Blocks of keys may be smaller than a step.
    __device__ bool is_in_step(int row) const {
        if constexpr (R.lists) return row < step_keys<R>(args_);
        return true;
    }

    template <bool copies_k, bool copies_v, bool from_start>
    __device__ void copy_row(u32 k_shared, u32 v_shared, int pass, const T* k, const T* v,
                             const typename VectorBlocks<R>::At& blocks) const {
        const int row = pass * kPassRows + thread() / kLanes, key = key_of(pass), vector = thread() % kLanes;
        if constexpr (kStrided) {
            const bool in_range = key < end_ && (from_start || key >= begin_);
            // The same vector of a row of values lies by as much sooner as the rows before it are shorter.
            const u32 k_offset = offset_ + pass * kPassRows * kRowBytes;
            const u32 v_offset = k_offset - row * (kRowBytes - kValueVectors * 16);
            if constexpr (copies_k) copy_strided<kVectors>(k_shared + k_offset, k, in_range, args_.head_dim);
            if constexpr (copies_v)
                copy_strided<kValueVectors>(v_shared + v_offset, v, in_range, args_.head_dim_v);
            return;
        }
        if (kLanes != kVectors && vector >= kVectors) return;
        u32 offset = offset_ + pass * kPassRows * kRowBytes;
        if constexpr (kPassRows % 8 != 0) offset = Map::offset_bytes(row, vector);
        // Of vectors behind head_dim no key is read.
        if constexpr (is_packed(R) && R.elementwise) {
            const bool reads = key < end_ && (from_start || key >= begin_) && is_in_step(row);
            if constexpr (copies_k)
                unpack<Storage<R.dtype>>(k_shared + offset, k, blocks.k,
                                         reads && vector * 8 < args_.head_dim);
            if constexpr (copies_v)
                unpack<ValueType<R>>(v_shared + offset, v, blocks.v, reads && vector * 8 < args_.head_dim_v);
        } else if constexpr (R.elementwise) {
            const bool reads = key < end_ && (from_start || key >= begin_) && is_in_step(row);
            copy_elements<copies_k, Storage<R.dtype>>(k_shared + offset, k, reads, vector, args_.head_dim);
            copy_elements<copies_v, ValueType<R>>(v_shared + offset, v, reads, vector, args_.head_dim_v);
        } else {
            // Backwards, what follows the first step has all its keys, or none.
            const bool reads =
                (from_start && key_step(R) < 0 ? key_ >= 0 : key < end_ && (from_start || key >= begin_)) &&
                vector * kElements < args_.head_dim;
            if constexpr (copies_k) ptx::cp_async_16(k_shared + offset, k, reads ? 16 : 0);
            if constexpr (copies_v) ptx::cp_async_16(v_shared + offset, v, reads ? 16 : 0);
        }
    }

    template <int kRowVectors>
    __device__ static void copy_strided(u32 shared, const T* from, bool reads, int columns) {
#pragma unroll
        for (int i = 0; i < kRowVectors / 8; ++i) {
            const int column = (thread() % 8 + 8 * i) * kElements;
            ptx::cp_async_16(shared + i * 128, from + i * 8 * kElements, reads && column < columns ? 16 : 0);
        }
    }

    // Of a lane's key, its word of scales of packed codes.
    template <bool from_start>
    __device__ void copy_blocks(Step& step, int pass, const typename VectorBlocks<R>::At& blocks) const {
        if constexpr (is_packed(R) && copies_codes(R)) {
            static_assert(R.stages > 1);  // with K and V
            constexpr int kRowBlocks = R.head_dim / kKvBlock;
            const int key = key_of(pass), vector = thread() % kLanes, word = blocks_.word(vector);
            const bool reads = key < end_ && (from_start || key >= begin_) &&
                               word * 4 * static_cast<int>(kKvBlock) < args_.head_dim;
            u8* const of_row = (blocks_.is_of_v(vector) ? step.v_blocks : step.k_blocks) +
                               (pass * kPassRows + thread() / kLanes) * kRowBlocks;
            ptx::cp_async_4(ptx::shared_address(of_row + 4 * word), blocks, reads ? 4 : 0);
        }
    }

    // Eight numbers of four bytes.
    template <class Number>
    __device__ void unpack(u32 shared, const T* from, const u8* scale, bool reads) const {
        U32x4 numbers{0, 0, 0, 0};
        if (reads) {
            const u32 codes = from[0].bits | from[1].bits << 8 | from[2].bits << 16 | from[3].bits << 24;
            numbers = eight_packed<Number>(codes, block_scales<Number>(*scale * 0x01000100u));
        }
        ptx::store_shared(shared, numbers);
    }

    template <bool copies, class Number>
    __device__ void copy_elements(u32 shared, const T* from, bool reads, int vector, int columns) const {
        if constexpr (copies) {
            u32 bits[8];
#pragma unroll
            for (int i = 0; i < 8; ++i) bits[i] = reads && vector * 8 + i < columns ? from[i].bits : 0;
            if constexpr (is_coded(R)) {
                const u32 low = bits[0] | bits[1] << 8 | bits[2] << 16 | bits[3] << 24;
                const u32 high = bits[4] | bits[5] << 8 | bits[6] << 16 | bits[7] << 24;
                const CodePairs a = neighbouring_pairs<Number, R.kv_format, kConvertsFp8>(low);
                const CodePairs b = neighbouring_pairs<Number, R.kv_format, kConvertsFp8>(high);
                ptx::store_shared(shared, U32x4{a.first, a.second, b.first, b.second});
            } else {
                ptx::store_shared(shared, U32x4{bits[0] | bits[1] << 16, bits[2] | bits[3] << 16,
                                                bits[4] | bits[5] << 16, bits[6] | bits[7] << 16});
            }
        }
    }

    // Table entries of other keys are not touched.
    __device__ void look_up() {
#pragma unroll
        for (int i = 0; i < kLookUps; ++i) {
            const int key = key_ + i * 32 + thread() % 32;
            const bool reads = pages_ != nullptr && key >= begin_ && key < end_;
            pages_of_[i] = reads ? pages_[key >> args_.page_shift] : 0;
        }
    }

    const AttentionArgs& args_;
    const T *k_, *v_;  // of this lane's vector: page 0's first row, or the next step's row of the first pass
    VectorBlocks<R> blocks_;
    const i32* pages_;
    int begin_, end_;
    int key_;  // the first of the next step
    int lane_key_;
    u32 offset_;  // of the first pass
    int pages_of_[kLookUps];
};

}  // namespace warpwright
