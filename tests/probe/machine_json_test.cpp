// SPDX-License-Identifier: Apache-2.0
#include "device/machine_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "probe/machines.h"

namespace warpwright {
namespace {

using nlohmann::ordered_json;

std::string refusal(const std::string& text) {
    const auto machine = machine_from_json(text, "m.json");
    return machine.ok() ? "" : machine.status().message();
}

TEST(MachineJson, WhatWasWrittenIsRead) {
    for (const auto& [name, machine] : test::machines()) {
        ordered_json written = machine_json(machine);
        ordered_json file =
            ordered_json::parse(test::text_of(test::kProbeTests / "machines" / (name + ".json")));
        for (const char* made : {"conclusions", "advice"}) {
            written.erase(made);
            file.erase(made);
        }
        EXPECT_EQ(written, file) << name;
    }
}

TEST(MachineJson, ThisMachineGoesThereAndBack) {
    const ordered_json written = machine_json(probe_machine());
    const auto read = machine_from_json(written.dump(-1, ' ', false, ordered_json::error_handler_t::replace),
                                        "this machine");
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(machine_json(read.value()), written);
}

TEST(MachineJson, AListedGpuHasTheListsFigures) {
    const Machine& machine = test::machines().at("dgx-h100");
    const Target& target = machine.gpus[0].target;
    EXPECT_EQ(target.id, "h100-sxm");
    EXPECT_GT(target.facts.memory_gb_s, 3000);
    EXPECT_EQ(target.facts.build_target, BuildTarget::sm_90a);
    EXPECT_TRUE(target.measured);
}

// A file of an older version, or one that somebody shortened.
TEST(MachineJson, WhatIsNotThereIsNotTold) {
    const auto machine = machine_from_json(
        R"({"cpu":{},"gpus":[{"id":"cuda:0","compute_capability":86}],"later":{"a":1}})", "m");
    ASSERT_TRUE(machine.ok()) << machine.status().message();
    const GpuInfo& gpu = machine.value().gpus[0];
    EXPECT_FALSE(gpu.mig.has_value());
    EXPECT_FALSE(gpu.nvlink.has_value());
    EXPECT_EQ(gpu.pcie.width, 0);
    EXPECT_TRUE(machine_json(machine.value())["gpus"][0]["bar1_bytes"].is_null());
}

TEST(MachineJson, RefusalsSayWhereAndWhy) {
    EXPECT_EQ(refusal("{"), "m.json: no JSON");
    std::string many = R"({"cpu":{},"gpus":[{})";
    for (int i = 0; i < 256; ++i) many += ",{}";
    EXPECT_EQ(refusal(many + "]}"), "m.json: gpus: expected at most 256, got 257");
    EXPECT_EQ(refusal("[]"), "m.json: expected what 'warpwright probe --json' prints, with cpu and gpus");
    EXPECT_EQ(refusal(R"({"cpu":{},"gpus":3})"), "m.json: gpus: expected a list");
    EXPECT_EQ(refusal(R"({"cpu":{"cores":"2"},"gpus":[]})"), "m.json: cpu.cores: expected an integer");
    EXPECT_EQ(refusal(R"({"cpu":{"cores":5000000000},"gpus":[]})"), "m.json: cpu.cores: expected an integer");
    EXPECT_EQ(refusal(R"({"cpu":{},"gpus":[{"compute_capability":90,"mig":1}]})"),
              "m.json: gpus[0].mig: expected true or false");
    EXPECT_EQ(refusal(R"({"cpu":{},"gpus":[{"name":"x"}]})"),
              "m.json: gpus[0].compute_capability: expected one such as 90 or 120, got 0");
    EXPECT_EQ(refusal(R"({"cpu":{},"gpus":[{"compute_capability":90}],"peers":[{"from":0,"to":1}]})"),
              "m.json: peers[0]: expected two of 1 gpus, got 0 and 1");
}

}  // namespace
}  // namespace warpwright
