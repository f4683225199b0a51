// SPDX-License-Identifier: Apache-2.0
// Attention with many query rows, portable: the tensor cores are the limit, and how fast shared memory feeds
// them. After FlashAttention 2 (Dao, 2023).
//
//   block = tile_rows packed query rows of one sequence and kv head; a warp has warp_rows of them
//   keys    copy step 1 | copy step 2 | ...          all warps copy, cp.async
//   rows    query       | S, softmax, P V of step 1 | of step 2 | ... | store
//
// All warps read every step, one barrier a step; with one stage V is copied during S and the next K during P
// V, two barriers a step. Steps that no row of a warp sees are skipped.
#include "kernels/attention/kv_tiles.cuh"
#include "kernels/attention/listed_steps.cuh"
#include "kernels/attention/warp_rows.cuh"
#include "kernels/attention/warp_tile.cuh"
#include "ptx/launch.cuh"

namespace warpwright {

// What of biases.cuh a loop has: `alibi` is for queries that see no keys behind their own.
enum class Bias { none, alibi, alibi_both_sides, mask, any };
constexpr bool has_own_loop(Bias bias) {
    return bias != Bias::none && bias != Bias::any;
}

// The steps over a block's keys. Windows, chunks and softcaps have a variant of their own, and what
// biases.cuh has is for rows of its own: they would cost the others registers. Rows with biases read the last
// step first, unless steps are listed: ALiBi is largest there, and outputs would be rescaled whenever it
// rises. ragged: no pages, whose numbers cost registers.
template <AttentionRow R, bool is_plain, Bias bias, bool ragged, class Steps>
__device__ inline void attend(const AttentionArgs& args, const BlockWork& work, KvTiles<R>& keys,
                              const QueryOperand<R>& query, WarpRows<R>& rows, AttentionShared<R>& shared,
                              Steps& steps) {
    const int first_row = work.first_row + warp_id() * R.warp_rows, last_row = first_row + R.warp_rows - 1;
    const int first_limit = work.visible_keys(args, first_row);
    const int last_limit = first_row < work.num_rows ? work.visible_keys(args, last_row) : 0;
    const int first_begin = is_plain ? 0 : work.first_key(args, first_row);
    const int last_begin = is_plain ? 0 : work.first_key(args, last_row);
    const u32 k_row = SoftmaxRows<R>::first_k_row(0), v_row = SoftmaxRows<R>::first_v_row(0);
    float key_scale = 1;
    if constexpr (is_coded(R))
        key_scale = scale_of_head(args.k_scale, args.k_scale_stride, work.kv_head) *
                    code_factor<R, Storage<R.dtype>>();

    [[maybe_unused]] const BiasedRow *rows_of_warp = nullptr, *own = nullptr;  // own: of this lane
    if constexpr (R.biases) {
        BiasedRow* const found = shared.biased + warp_id() * R.warp_rows;
        find_biased_rows<R.warp_rows>(args, work, first_row, found);
        rows_of_warp = found, own = found + lane_id() / 4;
    }
    [[maybe_unused]] auto own_bias = [&] {
        if constexpr (!has_own_loop(bias)) {
            return 0;
        } else if constexpr (bias == Bias::mask) {
            return OwnMask<R>(args, work, rows_of_warp, work.template first_step<R>());
        } else {
            return OwnAlibi<R, bias == Bias::alibi>(work, own);
        }
    }();

    // With one stage the values of the first step are copied in the loop, too.
    constexpr bool kHasAllKeys = is_plain && !(R.biases && R.stages == 1);
    int stage = 0, stage_ahead = R.stages - 1;
    [[maybe_unused]] int next_key = 0;
    for (int first_key = work.template first_step<R>();
         R.biases && !R.lists ? first_key >= work.kv_begin : first_key < (R.lists ? kNoKey : work.kv_end);
         first_key = R.lists ? next_key : first_key + key_step(R)) {
        const bool sees = first_key < last_limit && (is_plain || first_key + R.kv_tile > first_begin) &&
                          steps.before_is_own();
        auto& step = numbers_of(shared, stage);
        ptx::cp_async_wait<R.stages == 1 ? 0 : R.stages - 2>();
        __syncthreads();  // this step's K (and V) of all warps is there, and all have read the step before
        keys.template copy<R.stages != 1, true, kHasAllKeys, ragged>(shared.steps[stage_ahead]);
        ptx::cp_async_commit();
        if constexpr (R.lists) {
            static_assert(R.stages == 2);  // what is copied is the step after this one
            next_key = keys.key();
            keys.advance(steps);
        } else {
            keys.template advance<is_plain, ragged>();
        }
        if constexpr (copies_codes(R)) {
            widen_step<R>(shared.steps[stage], step);
            __syncthreads();
        }

        if constexpr (has_own_loop(bias)) {
            static_assert(is_plain && !is_coded(R));
            const u32 k = ptx::shared_address(step.k) + k_row, v = ptx::shared_address(step.v) + v_row;
            const int following = first_key - R.kv_tile;
            const bool attends = sees && own_bias.sees_any();
            typename WarpRows<R>::Scores s;
            if constexpr (R.stages == 1) {
                if (attends) {
                    own_bias.start(first_key, s);
                    rows.score(query, k, s);
                }
                ptx::cp_async_wait<0>();
                __syncthreads();  // V is there, and all have read K
                keys.template copy<true, false, kHasAllKeys, ragged>(step);
                ptx::cp_async_commit();
            } else {
                stage = stage + 1 == R.stages ? 0 : stage + 1;
                stage_ahead = stage_ahead + 1 == R.stages ? 0 : stage_ahead + 1;
            }
            if (!attends) {
                own_bias.advance(args, following);
                continue;
            }
            if constexpr (R.stages > 1) {
                own_bias.start(first_key, s);
                rows.score(query, k, s);
            }
            if (first_key + R.kv_tile > first_limit) mask_biased<R, true>(args, work, own, first_key, s);
            float raised[2 * WarpRows<R>::kTiles];
            if (__any_sync(~0u, rows.rises_in(s, args.scale_log2, raised))) {
                if (own_bias.settle(s)) rows.rises_in(s, args.scale_log2, raised);
                rows.rescale(args.scale_log2, raised);
            }
            own_bias.advance(args, following);
            rows.add_values(s, v, args.scale_log2);
            continue;
        }

        [[maybe_unused]] MaskBits<R.kv_tile> bits[WarpRows<R>::kTiles];
        if constexpr (bias == Bias::any) {
#pragma unroll
            for (int tile = 0; tile < WarpRows<R>::kTiles; ++tile) {
                if (sees && args.mask != nullptr)
                    bits[tile].load(args, work, own + tile * kMmaRows, first_key);
            }
        }
        typename WarpRows<R>::Scores s = {};
        if (sees) rows.score(query, ptx::shared_address(step.k) + k_row, s);
        if constexpr (R.stages == 1) {
            ptx::cp_async_wait<0>();
            __syncthreads();  // V is there, and all have read K
            keys.template copy<true, false, is_plain>(step);
            ptx::cp_async_commit();
        } else {
            stage = stage + 1 == R.stages ? 0 : stage + 1;
            stage_ahead = stage_ahead + 1 == R.stages ? 0 : stage_ahead + 1;
        }
        if (!sees) continue;
        if constexpr (is_coded(R)) rows.multiply(s, key_scale);
        if constexpr (!is_plain) {
            if (args.tanh_scale != 0) {
#pragma unroll
                for (auto& scores : s) warp_tanh<R.kv_tile / 8 * 4>(scores[0], args.tanh_scale);
            }
        }
        if constexpr (bias == Bias::any) rows.add_biases(args, work, own, first_key, bits, s);
        if (first_key + R.kv_tile > first_limit || (!is_plain && first_key < last_begin) ||
            step_keys<R>(args) < R.kv_tile) {
            if constexpr (R.biases) {
                mask_biased<R, is_plain>(args, work, own, first_key, s);
            } else {
                rows.template mask<is_plain>(args, work, first_row + lane_id() / 4, first_key, s);
            }
        }
        rows.raise_max(s, args.scale_log2);
        rows.add_values(s, ptx::shared_address(step.v) + v_row, args.scale_log2);
    }
}

// Outputs go through the warp's tile, so that whole vectors are stored; partial ones, and single elements, do
// not.
template <AttentionRow R>
__device__ inline void store_rows(const AttentionArgs& args, const BlockWork& work, int first_row,
                                  WarpRows<R>& rows, WarpTile<R>& own) {
    const bool is_direct = R.elementwise || args.num_splits > 1;
#pragma unroll
    for (int half = 0; half < 2 * WarpRows<R>::kTiles; ++half) {
        SoftmaxRows<R>& softmax = rows.tiles[half / 2];
        if (half % 2 == 0) softmax.total_sums();
        const int warp_row = 8 * half + lane_id() / 4, row = first_row + warp_row;
        const bool is_stored = row < work.num_rows;
        const OutputRow<R> output(args, work, is_stored ? row : 0);
        const auto [scale, lse] =
            finish_row<R>(args, work, output.head, softmax.max[half % 2], softmax.sum[half % 2]);
#pragma unroll
        for (int n = 0; n < value_dim(R) / 8; ++n) {
            const int column = n * 8 + 2 * (lane_id() % 4);
            const float low = softmax.out[n][half % 2 * 2] * scale,
                        high = softmax.out[n][half % 2 * 2 + 1] * scale;
            if (!is_direct) {
                own.put(warp_row, column, low, high);
            } else if (is_stored) {
                output.store(column, low, high, value_columns<R>(args));
            }
        }
        if (is_stored && output.lse != nullptr && lane_id() % 4 == 0) *output.lse = lse;
    }
    if (!is_direct) own.store();
}

template <AttentionRow R>
__device__ inline void prefill(const AttentionArgs& args, AttentionShared<R>& shared) {
    // A query that is kept in registers comes in through the last stages, which are filled after it.
    constexpr i64 kStepBytes = sizeof(shared.steps[0]), kQueryBytes = R.tile_rows * R.head_dim * 2;
    constexpr int kQueryStages = R.q_in_shared ? 0 : (kQueryBytes + kStepBytes - 1) / kStepBytes;
    constexpr int kFirstStages = R.stages - (kQueryStages > 1 ? kQueryStages : 1);  // filled at once
    static_assert(kFirstStages > 0 || (R.stages == 1 && R.q_in_shared));
    BlockWork work;
    if (!find_work<R>(args, work)) return;
    const int first_row = work.first_row + warp_id() * R.warp_rows;

    u16* elements;
    if constexpr (R.q_in_shared) {
        elements = reinterpret_cast<u16*>(shared.q);
    } else {
        elements = shared.steps[R.stages - kQueryStages].k;
    }
    WarpTile<R> own(args, work, first_row, elements);
    own.copy_query();
    if constexpr (!R.q_in_shared) ptx::cp_async_commit();  // else with the first keys

    StepsOf<R> steps(args, work);
    if constexpr (R.lists) {
        work.kv_begin = steps.key();
        if (has_only_lists(R) || args.block_starts != nullptr)
            work.kv_end = work.visible_keys(args, work.first_row + R.tile_rows - 1);
    }
    KvTiles<R> keys(args, work);
    const auto fill = [&](int from, int to) {
#pragma unroll
        for (int stage = from; stage < to; ++stage) {
            keys.template copy<true, true>(shared.steps[stage]);
            if constexpr (R.lists) {
                keys.advance(steps);
            } else {
                keys.advance();
            }
            ptx::cp_async_commit();
        }
    };
    if constexpr (R.stages == 1) {
        keys.template copy<true, false>(shared.steps[0]);
        ptx::cp_async_commit();
    } else {
        fill(0, kFirstStages);
    }

    QueryOperand<R> query;
    if constexpr (!R.q_in_shared) ptx::cp_async_wait<kFirstStages>();
    __syncwarp();
    query.load(own.first_query_row());
    if constexpr (kFirstStages < R.stages - 1) {
        __syncthreads();  // all warps have read their queries
        fill(kFirstStages, R.stages - 1);
    }

    WarpRows<R> rows;
    const bool is_plain = !args.has_first && args.tanh_scale == 0;
    if constexpr (R.biases && !R.elementwise) {
        if (is_plain && has_own_alibi(args, work.group)) {
            if (args.window_right == 0) {
                attend<R, true, Bias::alibi, false>(args, work, keys, query, rows, shared, steps);
            } else {
                attend<R, true, Bias::alibi_both_sides, false>(args, work, keys, query, rows, shared, steps);
            }
        } else if (is_plain && has_own_mask(args)) {
            if (args.page_table == nullptr) {
                attend<R, true, Bias::mask, true>(args, work, keys, query, rows, shared, steps);
            } else {
                attend<R, true, Bias::mask, false>(args, work, keys, query, rows, shared, steps);
            }
        } else {
            attend<R, false, Bias::any, false>(args, work, keys, query, rows, shared, steps);
        }
    } else if (!R.biases && is_plain) {
        attend<R, true, Bias::none, false>(args, work, keys, query, rows, shared, steps);
    } else {
        attend<R, false, R.biases ? Bias::any : Bias::none, false>(args, work, keys, query, rows, shared,
                                                                   steps);
    }
    ptx::cp_async_wait<0>();
    if constexpr (R.q_in_shared) {
        __syncwarp();
    } else {
        __syncthreads();  // nothing more is read from the steps, or copied into them
    }
    store_rows(args, work, first_row, rows, own);
}

constexpr AttentionRow kRow = sized<row_at(kAttentionRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
static_assert(sizeof(AttentionShared<kRow>) == kRow.shared_bytes);

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::num_threads(warpwright::kRow),
                                             warpwright::min_blocks(warpwright::kRow))
    WW_ENTRY(const __grid_constant__ warpwright::AttentionArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    ptx::wait_for_predecessor();
    prefill<kRow>(args, *reinterpret_cast<AttentionShared<kRow>*>(shared_memory));
    ptx::release_successor();
}
