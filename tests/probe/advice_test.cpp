// SPDX-License-Identifier: Apache-2.0
#include "device/advice.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "probe/machines.h"

namespace warpwright {
namespace {

const AdviceRule* rule_of(const std::vector<Advice>& advice, std::string_view id) {
    const auto found = std::ranges::find_if(advice, [&](const Advice& one) { return one.rule->id == id; });
    return found == advice.end() ? nullptr : found->rule;
}

TEST(Advice, EveryRuleSpeaksOnSomeMachineAndIsSilentOnAnother) {
    for (const AdviceRule& rule : advice_rules()) {
        int spoke = 0, silent = 0;
        for (const auto& [name, machine] : test::machines())
            ++(rule_of(advice_for(machine), rule.id) != nullptr ? spoke : silent);
        EXPECT_GT(spoke, 0) << rule.id << " applies to none of the recorded machines";
        EXPECT_GT(silent, 0) << rule.id << " applies to every recorded machine";
    }
}

// A change here is a change of what people are told: tests/probe/make_goldens.py writes the files anew.
TEST(Advice, IsThatOfTheGoldens) {
    for (const auto& [name, machine] : test::machines()) {
        std::string text;
        for (const Advice& one : advice_for(machine))
            text += fmt::format("{}/{} {}: {}\n", one.rule->topic, one.rule->weight, one.rule->id, one.text);
        EXPECT_EQ(text, test::text_of(test::kProbeTests / "goldens" / (name + ".txt"))) << name;
    }
}

TEST(Advice, SourcesAreNamed) {
    for (const AdviceRule& rule : advice_rules()) {
        ASSERT_FALSE(rule.sources.empty()) << rule.id;
        for (const std::string& source : rule.sources) EXPECT_GT(source.size(), 10u) << rule.id;
        EXPECT_EQ(rule.sentence.find('\n'), std::string::npos) << rule.id;
    }
}

TEST(Advice, PackagesThatDoNotRunAreNamed) {
    Machine machine = test::machines().at("dgx-spark");
    machine.packages.push_back(
        {"some_kernels", "1.0", "/site", {{"dgx-spark", "no", 3, 3, "no image for 12.1", ""}}});
    const auto advice = advice_for(machine);
    const auto found = std::ranges::find_if(
        advice, [](const Advice& one) { return one.rule->id == "installed-without-code"; });
    ASSERT_NE(found, advice.end());
    EXPECT_EQ(found->text, "some_kernels 1.0 (on dgx-spark): nothing in it runs here: no image for 12.1");
}

// Values from outside stand in sentences as they are: a brace in one opens no slot.
TEST(Advice, ValuesAreNotLookedAtAgain) {
    Machine machine = test::machines().at("desktop-2x-rtx-5090");
    machine.variables = {{"CUDA_VISIBLE_DEVICES", "{gpus}"}};
    const auto advice = advice_for(machine);
    const auto found =
        std::ranges::find_if(advice, [](const Advice& one) { return one.rule->id == "hidden-gpus"; });
    ASSERT_NE(found, advice.end());
    EXPECT_NE(found->text.find("CUDA_VISIBLE_DEVICES is \"{gpus}\""), std::string::npos) << found->text;
}

// One pair at a time, from a machine on which a rule is silent to one on which it speaks.
TEST(Advice, OneFactMakesTheDifference) {
    const Machine& dgx = test::machines().at("dgx-h100");
    Machine changed = dgx;
    changed.gpus[3].nvlink->active = 17;
    changed.gpus[3].nvlink->inactive = 1;
    EXPECT_EQ(rule_of(advice_for(dgx), "nvlink-down"), nullptr);
    EXPECT_NE(rule_of(advice_for(changed), "nvlink-down"), nullptr);

    changed = dgx;
    for (PeerPath& path : changed.peers)
        if (path.from == 7 || path.to == 7) path.link = "pcie", path.native_atomics = false;
    EXPECT_NE(rule_of(advice_for(changed), "nvlink-islands"), nullptr);
    EXPECT_NE(rule_of(advice_for(changed), "no-remote-atomics"), nullptr);
    EXPECT_EQ(rule_of(advice_for(changed), "tensor-parallel-over-nvlink"), nullptr);

    const Machine& workstation = test::machines().at("workstation-4x-rtx-pro-6000");
    changed = workstation;
    for (PciBridge& bridge : changed.bridges) bridge.acs_redirect = false;
    for (GpuInfo& gpu : changed.gpus) gpu.iommu = "passthrough";
    EXPECT_NE(rule_of(advice_for(workstation), "acs-redirects"), nullptr);
    EXPECT_EQ(rule_of(advice_for(changed), "acs-redirects"), nullptr);
    EXPECT_EQ(rule_of(advice_for(changed), "iommu-translates"), nullptr);
    changed.variables.push_back({"NCCL_P2P_LEVEL", "SYS"});
    EXPECT_EQ(rule_of(advice_for(changed), "nccl-level"), nullptr);
    changed.variables.push_back({"NCCL_P2P_DISABLE", "1"});
    EXPECT_NE(rule_of(advice_for(changed), "peer-access-switched-off"), nullptr);
}

}  // namespace
}  // namespace warpwright
