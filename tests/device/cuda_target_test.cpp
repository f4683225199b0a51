// SPDX-License-Identifier: Apache-2.0
// Which listed GPU the driver's name and figures mean, and what an unlisted one gets.
#include "device/cuda_target.h"

#include <gtest/gtest.h>

namespace warpwright {
namespace {

CudaAttributes gpu(const char* name, int compute_capability, int num_sms, i64 memory_mib,
                   int clock_mhz = 1500) {
    CudaAttributes attributes;
    attributes.name = name;
    attributes.compute_capability = compute_capability;
    attributes.num_sms = num_sms;
    attributes.clock_khz = clock_mhz * 1000;
    attributes.memory_clock_khz = 2619000;
    attributes.memory_bus_bits = 5120;
    attributes.l2_bytes = 52428800;
    attributes.max_threads_per_sm = 2048;
    attributes.shared_per_sm_bytes = 233472;
    attributes.shared_per_block_bytes = 232448;
    attributes.memory_bytes = memory_mib << 20;
    return attributes;
}

std::string id_of(const CudaAttributes& attributes) {
    return make_cuda_target(attributes, targets()).id;
}

TEST(CudaTarget, DriverNamesOfListedGpus) {
    EXPECT_EQ(id_of(gpu("NVIDIA A100-SXM4-80GB", 80, 108, 81153)), "a100-80");
    EXPECT_EQ(id_of(gpu("NVIDIA A100-SXM4-40GB", 80, 108, 40441)), "a100-40");
    EXPECT_EQ(id_of(gpu("NVIDIA A10", 86, 72, 22731)), "a10");
    EXPECT_EQ(id_of(gpu("NVIDIA GeForce RTX 3090", 86, 82, 24259)), "rtx-3090");
    EXPECT_EQ(id_of(gpu("NVIDIA L4", 89, 58, 22574)), "l4");
    EXPECT_EQ(id_of(gpu("NVIDIA L40S", 89, 142, 45589)), "l40s");
    EXPECT_EQ(id_of(gpu("NVIDIA GeForce RTX 4090", 89, 128, 24217)), "rtx-4090");
    EXPECT_EQ(id_of(gpu("NVIDIA H100 80GB HBM3", 90, 132, 81090)), "h100-sxm");
    EXPECT_EQ(id_of(gpu("NVIDIA H100 PCIe", 90, 114, 81090)), "h100-pcie");
    EXPECT_EQ(id_of(gpu("NVIDIA H200", 90, 132, 143156)), "h200");
    EXPECT_EQ(id_of(gpu("NVIDIA H20", 90, 78, 97320)), "h20");
    EXPECT_EQ(id_of(gpu("NVIDIA B200", 100, 148, 182642)), "b200");
    EXPECT_EQ(id_of(gpu("NVIDIA GB200", 100, 152, 189471)), "gb200");
    EXPECT_EQ(id_of(gpu("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 120, 188, 97249)),
              "rtx-pro-6000");
    EXPECT_EQ(id_of(gpu("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 120, 188, 97249)),
              "rtx-pro-6000-max-q");
    EXPECT_EQ(id_of(gpu("NVIDIA RTX PRO 6000 Blackwell Server Edition", 120, 188, 97249)),
              "rtx-pro-6000-server");
    EXPECT_EQ(id_of(gpu("NVIDIA GeForce RTX 5090", 120, 170, 32109)), "rtx-5090");
    EXPECT_EQ(id_of(gpu("NVIDIA GeForce RTX 5080", 120, 84, 15848)), "rtx-5080");
    EXPECT_EQ(id_of(gpu("NVIDIA GB10", 121, 48, 122572)), "dgx-spark");
    EXPECT_EQ(id_of(gpu("NVIDIA Thor", 110, 20, 125771)), "jetson-thor");
}

TEST(CudaTarget, EveryListedGpuFindsItself) {
    for (const Target& target : targets()) {
        if (target.facts.compute_capability == 0) continue;
        CudaAttributes attributes = gpu(target.name.c_str(), target.facts.compute_capability,
                                        target.facts.num_sms, target.facts.memory_bytes >> 20);
        const Target* match = match_target(attributes, targets());
        ASSERT_NE(match, nullptr) << target.id;
        EXPECT_EQ(match->id, target.id);
    }
}

TEST(CudaTarget, ListedRatesStayAndDriversFiguresWin) {
    const Target target = make_cuda_target(gpu("NVIDIA H100 80GB HBM3", 90, 132, 81090, 1980), targets());
    const Target listed = *find_target("h100-sxm");
    EXPECT_TRUE(target.measured);
    EXPECT_EQ(target.facts.bf16_tflops, listed.facts.bf16_tflops);
    EXPECT_EQ(target.facts.memory_gb_s, listed.facts.memory_gb_s);
    EXPECT_EQ(target.facts.memory_bytes, i64{81090} << 20);
    EXPECT_EQ(target.facts.boost_mhz, 1980);
    EXPECT_EQ(target.facts.shared_per_block_bytes, 232448);
    EXPECT_EQ(target.facts.build_target, BuildTarget::sm_90a);
    EXPECT_EQ(target.links.size(), listed.links.size());
}

TEST(CudaTarget, AVariantOfAListedModelIsNotThatModel) {
    // More memory, other clocks: the figures of H100 SXM would be wrong for it.
    EXPECT_EQ(match_target(gpu("NVIDIA H100 NVL", 90, 132, 95320), targets()), nullptr);
    EXPECT_EQ(match_target(gpu("NVIDIA H100 80GB HBM3 MIG 3g.40gb", 90, 60, 40448), targets()), nullptr);
}

TEST(CudaTarget, UnlistedGpuIsMadeFromItsAttributes) {
    const Target target =
        make_cuda_target(gpu("NVIDIA RTX 6000 Ada Generation", 89, 142, 48508, 2505), targets());
    EXPECT_EQ(target.id, "rtx-6000-ada-generation");
    EXPECT_EQ(target.name, "NVIDIA RTX 6000 Ada Generation");
    EXPECT_TRUE(target.measured);
    EXPECT_EQ(target.facts.build_target, BuildTarget::sm_89);
    EXPECT_NEAR(target.facts.bf16_tflops, 364, 1);
    EXPECT_NEAR(target.facts.fp8_tflops, 728, 2);
    EXPECT_EQ(target.facts.fp4_tflops, 0);
    EXPECT_NEAR(target.facts.memory_gb_s, 3352, 1);  // two transfers per clock over the bus
    EXPECT_FALSE(target.unsure.empty());
}

TEST(CudaTarget, GeForceHasHalfTheRateWithFp32Accumulation) {
    const Target geforce = make_cuda_target(gpu("NVIDIA GeForce RTX 5070", 120, 48, 12000, 2500), targets());
    const Target board =
        make_cuda_target(gpu("NVIDIA RTX PRO 2000 Blackwell", 120, 48, 16000, 2500), targets());
    EXPECT_DOUBLE_EQ(geforce.facts.bf16_tflops * 2, board.facts.bf16_tflops);
    EXPECT_DOUBLE_EQ(geforce.facts.fp16acc_tflops, board.facts.fp16acc_tflops);
    EXPECT_DOUBLE_EQ(geforce.facts.fp4_tflops, board.facts.fp4_tflops);
}

// The table of rates per SM agrees with the datasheets behind the list, wherever the list is sure.
TEST(CudaTarget, RatesPerSmReproduceTheListedGpus) {
    for (const char* id : {"a100-80", "rtx-3090", "l4", "rtx-4090", "rtx-pro-6000", "rtx-5090"}) {
        const Target listed = *find_target(id);
        const std::string name = "NVIDIA Unlisted " + listed.name;
        const Target made = make_cuda_target(gpu(name.c_str(), listed.facts.compute_capability,
                                                 listed.facts.num_sms, 1024, listed.facts.boost_mhz),
                                             {});
        EXPECT_NEAR(made.facts.bf16_tflops / listed.facts.bf16_tflops, 1, 0.02) << id;
        if (listed.facts.fp8_tflops > 0) {
            EXPECT_NEAR(made.facts.fp8_tflops / listed.facts.fp8_tflops, 1, 0.02) << id;
        }
        EXPECT_NEAR(made.facts.int8_tops / listed.facts.int8_tops, 1, 0.02) << id;
    }
}

TEST(CudaTarget, NewerThanTheTable) {
    const Target target = make_cuda_target(gpu("NVIDIA R100", 130, 100, 200000), targets());
    EXPECT_EQ(target.facts.build_target, BuildTarget::compute_80);
    EXPECT_GT(target.facts.bf16_tflops, 0);
    EXPECT_NE(std::find(target.unsure.begin(), target.unsure.end(), "bf16_tflops"), target.unsure.end());
}

}  // namespace
}  // namespace warpwright
