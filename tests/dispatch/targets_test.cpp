// SPDX-License-Identifier: Apache-2.0
// data/targets.toml is consistent with itself and with the rules of the architectures; names are found.
#include "warpwright/target.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

namespace warpwright {
namespace {

bool is_unsure(const Target& target, std::string_view figure) {
    return std::find(target.unsure.begin(), target.unsure.end(), figure) != target.unsure.end();
}

TEST(Targets, EveryPromisedGpuIsThere) {
    for (const char* id : {"a100-80",
                           "a100-40",
                           "a10",
                           "rtx-3090",
                           "l4",
                           "l40s",
                           "rtx-4090",
                           "h100-sxm",
                           "h100-pcie",
                           "h200",
                           "h20",
                           "b200",
                           "b300",
                           "gb200",
                           "rtx-pro-6000",
                           "rtx-pro-6000-max-q",
                           "rtx-pro-6000-server",
                           "rtx-5090",
                           "rtx-5080",
                           "dgx-spark",
                           "jetson-thor",
                           "cpu"}) {
        auto found = find_target(id);
        ASSERT_TRUE(found.ok()) << found.status().message();
        EXPECT_EQ(found->id, id);
    }
}

TEST(Targets, EveryFieldIsSane) {
    const std::set<std::string> figures = {
        "num_sms",     "boost_mhz",      "max_threads_per_sm", "l2_bytes",   "memory_bytes", "memory_gb_s",
        "bf16_tflops", "fp16acc_tflops", "fp8_tflops",         "fp4_tflops", "int8_tops",    "peer_access"};
    for (const Target& target : targets()) {
        SCOPED_TRACE(target.id);
        const TargetFacts& facts = target.facts;
        const bool gpu = facts.compute_capability != 0;
        EXPECT_FALSE(target.name.empty());
        EXPECT_FALSE(target.source.empty());
        EXPECT_FALSE(target.measured);
        EXPECT_EQ(facts.build_target, build_target_for(facts.compute_capability));
        EXPECT_TRUE(facts.num_sms >= 1 && facts.num_sms <= 200) << facts.num_sms;
        EXPECT_TRUE(facts.boost_mhz >= 1000 && facts.boost_mhz <= 3500) << facts.boost_mhz;
        EXPECT_TRUE(facts.memory_bytes >= (8ll << 30) && facts.memory_bytes <= (300ll << 30))
            << facts.memory_bytes;
        EXPECT_TRUE(facts.memory_gb_s >= (gpu ? 200 : 10) && facts.memory_gb_s <= 8000) << facts.memory_gb_s;
        EXPECT_TRUE(facts.l2_bytes >= (1 << 20) && facts.l2_bytes <= (128 << 20)) << facts.l2_bytes;
        EXPECT_GT(facts.bf16_tflops, 0);
        EXPECT_GE(facts.fp16acc_tflops, facts.bf16_tflops);
        EXPECT_GT(facts.int8_tops, 0);
        EXPECT_EQ(facts.fp8_tflops > 0, facts.compute_capability >= 89);
        EXPECT_EQ(facts.fp4_tflops > 0, facts.compute_capability >= 100);
        ASSERT_FALSE(target.links.empty());
        for (std::size_t i = 0; i < target.links.size(); ++i) {
            const Link& link = target.links[i];
            EXPECT_TRUE(link.kind == "nvlink" || link.kind == "pcie" || link.kind == "c2c" ||
                        link.kind == "none");
            EXPECT_EQ(link.gb_s > 0, link.kind != "none");
            if (i > 0) {
                EXPECT_GT(target.links[i - 1].gb_s, link.gb_s) << "fastest first";
            }
        }
        for (const std::string& name : target.unsure) EXPECT_TRUE(figures.contains(name)) << name;
    }
}

TEST(Targets, SharedMemoryFollowsComputeCapability) {
    for (const Target& target : targets()) {
        SCOPED_TRACE(target.id);
        const TargetFacts& facts = target.facts;
        const int cc = facts.compute_capability;
        if (cc == 0) {
            EXPECT_EQ(facts.shared_per_block_bytes, 0);
            continue;
        }
        const i64 expected = cc == 80 || cc == 87                 ? 163 * 1024
                             : cc < 90 || (cc >= 120 && cc < 130) ? 101376
                                                                  : 232448;
        EXPECT_EQ(facts.shared_per_block_bytes, expected);
        EXPECT_EQ(facts.shared_per_sm_bytes, expected + 1024);
        // compute_80 images may need no more than the smallest GPU has; Thor loads them and has more.
        if (facts.build_target != BuildTarget::compute_80 && cc != 86) {
            EXPECT_EQ(max_shared_per_block_bytes(facts.build_target), expected);
        }
        const bool server = cc == 80 || (cc >= 90 && cc < 110);
        EXPECT_EQ(facts.max_threads_per_sm, server ? 2048 : 1536);
    }
}

// Dense floating-point operations per clock and SM: NVIDIA architecture white papers.
double flop_per_clock(const Target& target) {
    const int cc = target.facts.compute_capability;
    if (cc == 80) return 2048;
    if (cc == 90) return 4096;
    if (cc >= 100 && cc < 120) return 8192;
    return target.id.starts_with("rtx-") && !target.id.starts_with("rtx-pro") ? 512 : 1024;
}

TEST(Targets, RateIsSmsTimesClock) {
    for (const Target& target : targets()) {
        const TargetFacts& facts = target.facts;
        if (facts.compute_capability == 0 || is_unsure(target, "bf16_tflops")) continue;
        if (target.id == "h20") continue;  // limited by export rules, not by its SMs
        const double expected = facts.num_sms * (facts.boost_mhz * 1e6) * flop_per_clock(target) * 1e-12;
        EXPECT_NEAR(facts.bf16_tflops / expected, 1.0, 0.10) << target.id << ": expected " << expected;
        if (facts.fp8_tflops > 0) {
            EXPECT_NEAR(facts.fp8_tflops / facts.bf16_tflops, 2.0, 0.05) << target.id;
        }
    }
}

TEST(Targets, NamesAreUnique) {
    std::set<std::string> seen;
    for (const Target& target : targets()) {
        EXPECT_TRUE(seen.insert(target.id).second) << target.id;
        for (const std::string& alias : target.aliases) EXPECT_TRUE(seen.insert(alias).second) << alias;
    }
}

TEST(Targets, NamesAreFoundAsPeopleWriteThem) {
    const std::pair<const char*, const char*> spellings[] = {
        {"a100", "a100-80"},
        {"H100", "h100-sxm"},
        {"gb10", "dgx-spark"},
        {"RTX_5090", "rtx-5090"},
        {"rtx5090", "rtx-5090"},
        {"NVIDIA GeForce RTX 5090", "rtx-5090"},
        {"geforce rtx 4090", "rtx-4090"},
        {"NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "rtx-pro-6000"},
        {"NVIDIA A100-SXM4-80GB", "a100-80"},
        {"NVIDIA H200", "h200"},
        {"CPU", "cpu"},
    };
    for (const auto& [name, id] : spellings) {
        auto found = find_target(name);
        ASSERT_TRUE(found.ok()) << found.status().message();
        EXPECT_EQ(found->id, id) << name;
    }
}

TEST(Targets, UnknownNameGetsTheNearest) {
    auto found = find_target("rtx-5900");
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.status().kind(), ErrorKind::caller);
    EXPECT_EQ(found.status().message(),
              "unknown GPU 'rtx-5900'; nearest: rtx-5090 (see 'warpwright targets')");
    EXPECT_NE(find_target("h1000").status().message().find("nearest: h100 "), std::string::npos)
        << find_target("h1000").status().message();
    EXPECT_NE(find_target("RTX PRO 6000 Max").status().message().find("nearest: rtx-pro-6000"),
              std::string::npos);
    EXPECT_FALSE(find_target("").ok());
    EXPECT_FALSE(find_target(std::string(100000, 'x')).ok());
}

}  // namespace
}  // namespace warpwright
