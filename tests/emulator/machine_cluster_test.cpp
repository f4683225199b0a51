// SPDX-License-Identifier: Apache-2.0
// Clusters: barrier.cluster, mapa, .shared::cluster and the registers that say where a block is in its own.
#include <gtest/gtest.h>

#include "tests/emulator/run_ptx.h"

namespace warpwright::emulator {
namespace {

constexpr const char* kArrive = "barrier.cluster.arrive.release.aligned;\n";
constexpr const char* kWait = "barrier.cluster.wait.acquire.aligned;\n";

// Two warps a block. A thread stores at out[its number in the grid] what `body` leaves in %value; %rank and
// %size are of the cluster, %word is the address of the thread's own word of the block's 64.
std::string kernel_of(std::string_view body) {
    return ptx_kernel(".param .u64 out", fmt::format(R"(
        .shared .align 4 .u32 words[64];
        .reg .b32 %r<8>, %rank, %size, %word, %peer, %value;
        .reg .b64 %rd<3>;
        .reg .pred %p;
        mov.u32 %rank, %cluster_ctarank;
        mov.u32 %size, %cluster_nctarank;
        mov.u32 %r0, %tid.x;
        shl.b32 %word, %r0, 2;
        mov.u32 %r1, words;
        add.u32 %word, %word, %r1;
        mov.u32 %value, 0;
        {}
        mov.u32 %r2, %ctaid.x;
        mad.lo.u32 %r2, %r2, 64, %r0;
        ld.param.u64 %rd0, [out];
        mul.wide.u32 %rd1, %r2, 4;
        add.u64 %rd0, %rd0, %rd1;
        st.global.u32 [%rd0], %value;
        )",
                                                     body));
}

LaunchConfig config_of(u32 blocks, u32 cluster) {
    return {.grid = {blocks}, .block = {64}, .cluster = {cluster}};
}

// Every block writes into the next one, and reads what the one before has written.
const std::string kRing = fmt::format(R"(
        {0}{1}
        add.u32 %r3, %rank, 1;
        rem.u32 %r3, %r3, %size;
        mapa.shared::cluster.u32 %peer, %word, %r3;
        mad.lo.u32 %r4, %rank, 1000, %r0;
        st.shared::cluster.u32 [%peer], %r4;
        {0}{1}
        ld.shared.u32 %value, [%word];
        )",
                                      kArrive, kWait);

TEST(Clusters, BlocksReachEachOthersSharedMemory) {
    for (const u32 size : {1u, 2u, 8u, 16u}) {
        for (const u64 seed : {0, 1, 7}) {
            RunPtx run(kernel_of(kRing));
            run.options.seed = seed;
            const u64 out = run.allocate(32 * 64 * 4);
            const LaunchReport report = run.launch(config_of(32, size), out);
            ASSERT_FALSE(report.finding) << finding_text(*report.finding);
            const std::vector<u32> values = run.get<u32>(out, 32 * 64);
            for (u32 i = 0; i < 32 * 64; ++i) {
                const u32 before = (i / 64 % size + size - 1) % size;
                ASSERT_EQ(values[i], 1000 * before + i % 64) << "cluster of " << size << ", thread " << i;
            }
        }
    }
}

TEST(Clusters, ABlockCanReadAnotherOnesSharedMemory) {
    RunPtx run(kernel_of(fmt::format(R"(
        st.shared.u32 [%word], %rank;
        {0}{1}
        xor.b32 %r3, %rank, 1;
        mapa.shared::cluster.u32 %peer, %word, %r3;
        ld.shared::cluster.u32 %value, [%peer];
        {0}{1}
        )",
                                     kArrive, kWait)));
    const u64 out = run.allocate(8 * 64 * 4);
    ASSERT_FALSE(run.launch(config_of(8, 4), out).finding);
    const std::vector<u32> values = run.get<u32>(out, 8 * 64);
    for (u32 i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], (i / 64 % 4) ^ 1u);
}

TEST(Clusters, RegistersOfThreeDimensions) {
    RunPtx run(kernel_of(R"(
        mov.u32 %value, %clusterid.x;
        mov.u32 %r3, %clusterid.y;
        mad.lo.u32 %value, %r3, 10, %value;
        mov.u32 %r3, %cluster_ctaid.y;
        mad.lo.u32 %value, %r3, 100, %value;
        mad.lo.u32 %value, %rank, 1000, %value;
        mov.u32 %r3, %ctaid.y;
        shl.b32 %r3, %r3, 2;
        mov.u32 %r4, %ctaid.x;
        add.u32 %r3, %r3, %r4;
        mad.lo.u32 %r0, %r3, 64, %r0;
        mul.lo.u32 %r4, %r4, 64;
        sub.u32 %r0, %r0, %r4;
        )"));
    const u64 out = run.allocate(4 * 4 * 64 * 4);
    LaunchConfig config = config_of(4, 2);
    config.grid.y = 4;
    config.cluster.y = 2;
    ASSERT_FALSE(run.launch(config, out).finding);
    const std::vector<u32> values = run.get<u32>(out, 4 * 4 * 64);
    for (u32 y = 0; y < 4; ++y) {
        for (u32 x = 0; x < 4; ++x) {
            const u32 rank = x % 2 + y % 2 * 2;
            EXPECT_EQ(values[(y * 4 + x) * 64], x / 2 + y / 2 * 10 + y % 2 * 100 + rank * 1000);
        }
    }
}

// The kind of finding, or nothing.
std::string fault_of(std::string_view body, u32 cluster = 2) {
    RunPtx run(kernel_of(body));
    const u64 out = run.allocate(8 * 64 * 4);
    const LaunchReport report = run.launch(config_of(8, cluster), out);
    return report.finding ? std::string(finding_name(report.finding->kind)) + ": " + report.finding->text
                          : "";
}

TEST(Clusters, Faults) {
    // Without a barrier nothing says that the other block has written.
    EXPECT_NE(fault_of("xor.b32 %r3, %rank, 1; mapa.shared::cluster.u32 %peer, %word, %r3; "
                       "ld.shared::cluster.u32 %value, [%peer];")
                  .find("uninitialized"),
              std::string::npos);
    // A block may have ended.
    EXPECT_NE(fault_of(fmt::format("{}{}setp.eq.u32 %p, %rank, 0; @%p ret; mov.u32 %r3, 0; {}{}"
                                   "mapa.shared::cluster.u32 %peer, %word, %r3; "
                                   "st.shared::cluster.u32 [%peer], %r3;",
                                   kArrive, kWait, kArrive, kWait))
                  .find("out of bounds"),
              std::string::npos);
    EXPECT_EQ(fault_of("mov.u32 %r3, 2; mapa.shared::cluster.u32 %peer, %word, %r3;"),
              "bad operand: a rank that the cluster of 2 blocks has not");
    EXPECT_EQ(fault_of(kWait), "bad operand: lanes 0-31 did not arrive before");
    EXPECT_EQ(fault_of(std::string(kArrive) + kArrive),
              "bad operand: lanes 0-31 arrived before and did not wait since");
    // One block of two waits once more.
    EXPECT_NE(
        fault_of(fmt::format("setp.eq.u32 %p, %rank, 0; @%p bra over; {0}{1}{0}{1}{0}{1} bra end; over: "
                             "{0}{1} spin: bra spin; end:",
                             kArrive, kWait))
            .find("deadlock"),
        std::string::npos);
    // Who has left is not waited for.
    EXPECT_EQ(fault_of(fmt::format("setp.eq.u32 %p, %rank, 0; @%p ret; {}{}", kArrive, kWait)), "");
}

}  // namespace
}  // namespace warpwright::emulator
