// SPDX-License-Identifier: Apache-2.0
#include "inspect/image/kernel_code.h"

#include <algorithm>
#include <set>

namespace warpwright::inspect {

namespace {

constexpr size_t kMaxReachable = 4096;  // functions that one kernel calls

}  // namespace

KernelCode::KernelCode(const CubinElf& elf, int sm) : elf_(elf), sm_(sm), of_section_(elf.sections.size()) {
    left_bytes_ = 4 * elf.file_bytes;
    for (const CubinSection& section : elf.sections) {
        if (section.type != kSectionCallGraph) continue;
        for (u64 at = 0; at + 8 <= section.content.size(); at += 8) {
            const u32 caller = *read_at<u32>(section.content, at);
            const u32 called = *read_at<u32>(section.content, at + 4);
            // Pairs of 0 and a negative number mark ends of lists.
            if (caller != 0 && caller < elf.symbols.size() && called < elf.symbols.size())
                calls_.emplace_back(caller, called);
        }
        break;
    }
    std::sort(calls_.begin(), calls_.end());
    left_visits_ = 64 * (elf.symbols.size() + calls_.size());
}

std::vector<u32> KernelCode::reachable(u32 symbol) {
    std::set<u32> seen{symbol};
    std::vector<u32> pending{symbol};
    while (!pending.empty() && left_visits_ > 0) {
        --left_visits_;
        const u32 caller = pending.back();
        pending.pop_back();
        const auto first = std::lower_bound(calls_.begin(), calls_.end(), std::pair{caller, u32{0}});
        for (auto call = first; call != calls_.end() && call->first == caller; ++call) {
            if (seen.size() < kMaxReachable && seen.insert(call->second).second)
                pending.push_back(call->second);
        }
    }
    return {seen.begin(), seen.end()};
}

const CodeFacts* KernelCode::of_section(u32 section) {
    std::optional<CodeFacts>& facts = of_section_[section];
    if (facts) return &*facts;
    const Bytes code = elf_.sections[section].content;
    if (code.size() > left_bytes_) return nullptr;
    left_bytes_ -= code.size();
    facts = read_code(code, sm_);
    return &*facts;
}

std::vector<u32> KernelCode::sections_of(u32 symbol) {
    std::vector<u32> sections;
    for (const u32 function : reachable(symbol)) {
        const u32 section = elf_.symbols[function].section;
        if (section != 0 && section < elf_.sections.size()) sections.push_back(section);
    }
    return sections;
}

std::optional<CodeFacts> KernelCode::of(u32 symbol) {
    CodeFacts all;
    for (const u32 section : sections_of(symbol)) {
        const CodeFacts* facts = of_section(section);
        if (facts == nullptr) return std::nullopt;
        all.add(*facts);
    }
    return all;
}

std::vector<std::string_view> KernelCode::calls_outside(u32 symbol) {
    std::vector<std::string_view> names;
    for (const u32 function : reachable(symbol)) {
        if (elf_.symbols[function].section == 0 && function != symbol)
            names.push_back(elf_.symbols[function].name);
    }
    return names;
}

}  // namespace warpwright::inspect
