// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/special.h"

#include <gtest/gtest.h>

#include "emulator/machine/bare_warp.h"

namespace warpwright::emulator {
namespace {

u64 read(BareWarp& bare, std::string_view name, int lane) {
    SpecialId id{};
    EXPECT_TRUE(special_register(name, id)) << name;
    u64 wide[32];
    u32 narrow[32];
    read_special(bare.warp(), Instruction{}, id, wide);
    read_special(bare.warp(), Instruction{}, id, narrow);
    for (int l = 0; l < 32; ++l) EXPECT_EQ(static_cast<u32>(wide[l]), narrow[l]) << name;
    if (special_bits(id) == 32) {
        EXPECT_EQ(wide[lane] >> 32, 0u) << name;
    }
    return wide[lane];
}

TEST(SpecialRegisters, OfTheThread) {
    BareWarp bare;
    bare.grid().config.block = {5, 3, 4};  // 60 threads; warp 0 has the first 32
    EXPECT_EQ(read(bare, "%tid.x", 31), 1u);
    EXPECT_EQ(read(bare, "%tid.y", 31), 0u);
    EXPECT_EQ(read(bare, "%tid.z", 31), 2u);
    EXPECT_EQ(read(bare, "%tid.y", 14), 2u);
    EXPECT_EQ(read(bare, "%tid", 6), 1u);
    EXPECT_EQ(read(bare, "%ntid.z", 0), 4u);
    EXPECT_EQ(read(bare, "%laneid", 17), 17u);
    EXPECT_EQ(read(bare, "%warpid", 17), 0u);
    EXPECT_EQ(read(bare, "%lanemask_eq", 31), 0x8000'0000u);
    EXPECT_EQ(read(bare, "%lanemask_lt", 0), 0u);
    EXPECT_EQ(read(bare, "%lanemask_lt", 31), 0x7fff'ffffu);
    EXPECT_EQ(read(bare, "%lanemask_le", 31), 0xffff'ffffu);
    EXPECT_EQ(read(bare, "%lanemask_ge", 0), 0xffff'ffffu);
    EXPECT_EQ(read(bare, "%lanemask_gt", 31), 0u);
    EXPECT_EQ(read(bare, "%lanemask_gt", 3), 0xffff'fff0u);
}

TEST(SpecialRegisters, OfTheLaunch) {
    BareWarp::Options options;
    options.shared_bytes = 1000;
    BareWarp bare(options);
    bare.grid().config.grid = {7, 8, 9};
    bare.grid().config.shared_bytes = 40;
    bare.grid().id = 3;
    bare.block().index[2] = 5;
    EXPECT_EQ(read(bare, "%nctaid.y", 0), 8u);
    EXPECT_EQ(read(bare, "%ctaid.z", 0), 5u);
    EXPECT_EQ(read(bare, "%clusterid.z", 0), 5u);
    EXPECT_EQ(read(bare, "%nclusterid.x", 0), 7u);
    EXPECT_EQ(read(bare, "%cluster_nctarank", 0), 1u);
    EXPECT_EQ(read(bare, "%cluster_ctarank", 0), 0u);
    EXPECT_EQ(read(bare, "%is_explicit_cluster", 0), 0u);
    EXPECT_EQ(read(bare, "%dynamic_smem_size", 0), 40u);
    EXPECT_EQ(read(bare, "%total_smem_size", 0), 1048u);  // aligned to 16 when the block was opened
    EXPECT_EQ(read(bare, "%nsmid", 0), 132u);
    EXPECT_EQ(read(bare, "%smid", 0), 5u * 7 * 8 % 132);
    EXPECT_EQ(read(bare, "%nwarpid", 0), 64u);
    EXPECT_EQ(read(bare, "%gridid", 0), 3u);
    EXPECT_EQ(read(bare, "WARP_SZ", 9), 32u);
    EXPECT_EQ(read(bare, "%envreg31", 0), 0u);
    bare.warp().num_instructions = 0x1'0000'0005;
    EXPECT_EQ(read(bare, "%clock64", 0), 0x1'0000'0005u);
    EXPECT_EQ(read(bare, "%globaltimer_hi", 0), 1u);
}

TEST(SpecialRegisters, OthersAreRefused) {
    SpecialId id{};
    for (const char* name : {"%tid.w", "%tidx", "%ntid.", "%pm0", "%envreg32", "%envreg", "%envreg1x",
                             "%reserved_smem_offset_0", "", "%", "%laneid.x"}) {
        EXPECT_FALSE(special_register(name, id)) << name;
    }
}

}  // namespace
}  // namespace warpwright::emulator
