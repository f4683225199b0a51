// SPDX-License-Identifier: Apache-2.0
// Attention's kernels, thread by thread on the CPU: the whole check of a row of each kind and tile, and no
// bank conflict among fragments. (The emulator executes every row; it knows no banks.)
#include "simt/collectives.h"
#include "simt/machine.h"
#define WW_TARGET 3
// Vector types of the compiler, used as such by kernels.
struct float2 {
    float x, y;
};
struct float4 {
    float x, y, z, w;
};
#include <gtest/gtest.h>

#include "check/ops/checks.h"
#include "kernels/attention/key_slices.cuh"
#include "kernels/attention/kv_tiles.cuh"
#include "kernels/attention/listed_steps.cuh"
#include "kernels/attention/merge/operation.h"
#include "kernels/attention/operation.h"
#include "kernels/attention/warp_rows.cuh"
#include "kernels/attention/warp_sums.cuh"
#include "kernels/attention/warp_tile.cuh"
#include "ptx/launch.cuh"
#include "ptx/math.cuh"
#include "simt/device.h"
#include "tile/reduce.cuh"

// clang-format off
namespace attention_tile { using namespace warpwright; }
#define WW_ROW 0
#define warpwright attention_tile
#define WW_ENTRY attention_tile_entry
#include "kernels/attention/portable.cuh"
#undef warpwright
#undef WW_ENTRY
#undef WW_ROW
namespace attention_decode { using namespace warpwright; }
#define WW_ROW 7
#define warpwright attention_decode
#define WW_ENTRY attention_decode_entry
#include "kernels/attention/decode.cuh"
#undef warpwright
#undef WW_ENTRY
#undef WW_ROW
#undef __shared__
#define __shared__ static
namespace merge_bf16 { using namespace warpwright; }
#define WW_ROW 0
#define warpwright merge_bf16
#define WW_ENTRY attention_merge_bf16_entry
#include "kernels/attention/merge/portable.cuh"
#undef warpwright
#undef WW_ENTRY
#undef WW_ROW
namespace merge_f16 { using namespace warpwright; }
#define WW_ROW 1
#define warpwright merge_f16
#define WW_ENTRY attention_merge_f16_entry
#include "kernels/attention/merge/portable.cuh"
#undef warpwright
#undef WW_ENTRY
#undef WW_ROW
namespace merge_bf16_w4 { using namespace warpwright; }
#define WW_ROW 2
#define warpwright merge_bf16_w4
#define WW_ENTRY attention_merge_bf16_w4_entry
#include "kernels/attention/merge/portable.cuh"
#undef warpwright
#undef WW_ENTRY
#undef WW_ROW
namespace merge_f16_w4 { using namespace warpwright; }
#define WW_ROW 3
#define warpwright merge_f16_w4
#define WW_ENTRY attention_merge_f16_w4_entry
#include "kernels/attention/merge/portable.cuh"
#undef warpwright
// clang-format on

namespace warpwright {
namespace {

constexpr int kNumRows = static_cast<int>(sizeof(kAttentionRows) / sizeof(AttentionRow));

// One thread of a row's kernel.
template <int index>
void thread_of(const void* raw, HostThreads&) {
    constexpr AttentionRow kThis = row_at(kAttentionRows, index);
    const auto& args = *static_cast<const AttentionArgs*>(raw);
    auto& shared = *reinterpret_cast<AttentionShared<kThis>*>(shared_memory);
    if constexpr (kThis.kv_warps > 1) {
        attention_decode::decode<kThis>(args, shared);
    } else {
        attention_tile::prefill<kThis>(args, shared);
    }
}
template <void (*entry)(const AttentionMergeArgs)>
void thread_of_merge(const void* raw, HostThreads&) {
    entry(*static_cast<const AttentionMergeArgs*>(raw));
}

constexpr std::string_view kChecked[] = {
    "attention.portable.bf16.d64.r128",
    "attention.portable.bf16.d64.any",
    "attention.portable.bf16.d64.biased",
    "attention.portable.bf16.d96.r128",
    "attention.portable.bf16.d128.r128",
    "attention.portable.bf16.d128.r64",
    "attention.portable.bf16.d128.r64.lists",
    "attention.portable.bf16.d256.r128",
    "attention.portable.bf16.e4m3.d64.r128",
    "attention.portable.bf16.nvfp4.d128.r128",
    "attention.decode.bf16.d64",
    "attention.decode.bf16.d256",
    "attention.decode.bf16.e4m3.d64",
    "attention.portable.f16.d64.r128",
};

template <int index>
constexpr bool is_checked() {
    for (const std::string_view name : kChecked) {
        if (name == kAttentionRows[index].name.text) return true;
    }
    return false;
}

template <int index = 0>
void add_rows(Context& context, std::vector<std::string>& names) {
    if constexpr (index < kNumRows) {
        if constexpr (is_checked<index>()) {
            names.emplace_back(kAttentionRows[index].name.text);
            ASSERT_TRUE(context.kernel(names.back(), thread_of<index>).ok());
        }
        add_rows<index + 1>(context, names);
    }
}

void expect_all_pass(const OperationCheck& check, Context& context, const std::vector<std::string>& rows) {
    int passed = 0;
    CheckAnswers answers;
    for (const CheckResult& result : check.run(context, {.rows = rows, .seed = 7}, answers)) {
        EXPECT_NE(result.outcome, CheckResult::Outcome::failed)
            << result.row << ": " << result.problem << ": " << result.text;
        passed += result.outcome == CheckResult::Outcome::passed;
    }
    EXPECT_GT(passed, 0) << testing::PrintToString(rows);
}

TEST(AttentionOnTheCpu, RowsAgreeWithTheOracle) {
    Context context(std::make_shared<simt::SimtDevice>("rtx-pro-6000"));
    ASSERT_TRUE(context.kernel("attention_merge.portable.bf16", thread_of_merge<attention_merge_bf16_entry>));
    ASSERT_TRUE(context.kernel("attention_merge.portable.f16", thread_of_merge<attention_merge_f16_entry>));
    ASSERT_TRUE(
        context.kernel("attention_merge.portable.bf16.w4", thread_of_merge<attention_merge_bf16_w4_entry>));
    ASSERT_TRUE(
        context.kernel("attention_merge.portable.f16.w4", thread_of_merge<attention_merge_f16_w4_entry>));
    std::vector<std::string> names;
    add_rows(context, names);
    ASSERT_EQ(names.size(), std::size(kChecked));
    simt::machine.bank_conflicts = 0;
    for (const std::string& name : names) expect_all_pass(attention_check(), context, {name});
    EXPECT_EQ(simt::machine.bank_conflicts, 0);
    expect_all_pass(attention_merge_check(), context, {});
}

}  // namespace
}  // namespace warpwright
