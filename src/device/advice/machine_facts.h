// SPDX-License-Identifier: Apache-2.0
// What the rules of advice ask a machine.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/advice.h"
#include "device/machine.h"

namespace warpwright::advice {

using Gpus = std::vector<const GpuInfo*>;

template <class Predicate>
Gpus gpus_where(const Machine& machine, Predicate&& predicate) {
    Gpus found;
    for (const GpuInfo& gpu : machine.gpus)
        if (predicate(gpu)) found.push_back(&gpu);
    return found;
}

// "cuda:0", "cuda:0 and cuda:2", "cuda:0 to cuda:7".
std::string names_of(const Gpus& gpus);

// The rule whose only slot is {gpus}, met when there is one of them.
std::optional<Slots> when_any(const Gpus& gpus);

inline int capability_of(const GpuInfo& gpu) {
    return gpu.target.facts.compute_capability;
}
inline int generation_of(const GpuInfo& gpu) {
    return capability_of(gpu) / 10;  // 12 of 12.0 and 12.1
}
bool is_geforce(const GpuInfo& gpu);

struct Pairs {  // ordered ones
    int all = 0, access = 0, atomics = 0, nvlink = 0;
    bool every(int count) const { return all > 0 && count == all; }
};
Pairs pairs_of(const Machine& machine);

// Several GPUs of which not every pair has NVLink, and which the driver does not keep apart anyway.
bool meets_over_pcie(const Machine& machine);

// Of a variable that is set; null when it is not.
const std::string* value_of(const Machine& machine, std::string_view name);
bool is_set_to(const Machine& machine, std::string_view name, std::string_view value);

// "a, b and c".
std::string listed(const std::vector<std::string>& texts);

// "13.0" of "13.0.2", as 1300 + 0: 100 x major + minor; 0 for what is no version.
int version_number(std::string_view version);

std::string gib_text(i64 bytes);  // "15.6 GiB"

// The rules of one topic.
std::span<const RuleFunction> run_rules();
std::span<const RuleFunction> build_rules();
std::span<const RuleFunction> library_rules();
std::span<const RuleFunction> parallelism_rules();
std::span<const RuleFunction> transport_rules();
std::span<const RuleFunction> system_rules();

}  // namespace warpwright::advice
