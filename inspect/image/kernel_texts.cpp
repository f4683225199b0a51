// SPDX-License-Identifier: Apache-2.0
#include "inspect/image/kernel_texts.h"

#include <algorithm>

#include "inspect/image/stub.h"

namespace warpwright::inspect {

namespace {

constexpr size_t kMaxTextsRead = 4096, kMaxTexts = 16, kMaxTextBytes = 200, kMinTextBytes = 8;
constexpr size_t kMaxRelocations = 1 << 20, kMaxTextsOfCode = 256;
constexpr u32 kRelocationsWithAddend = 4, kRelocations = 9;

// More than one word.
bool is_sentence(std::string_view text) {
    return text.size() >= kMinTextBytes && text.find(' ') != text.npos &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\t'; });
}

}  // namespace

KernelTexts::KernelTexts(const CubinElf& elf) {
    u32 text_section = 0;
    for (u32 i = 0; i < elf.sections.size() && text_section == 0; ++i) {
        if (elf.sections[i].name == ".nv.global.init") text_section = i;
    }
    if (text_section == 0) return;
    texts_ = elf.sections[text_section].content;

    size_t left = kMaxRelocations;
    for (const CubinSection& section : elf.sections) {
        if (section.type != kRelocationsWithAddend && section.type != kRelocations) continue;
        if (section.info == 0 || section.info >= elf.sections.size()) continue;
        const std::string_view changed = elf.sections[section.info].name;
        const bool is_bank = changed == ".nv.constant4";
        if (!is_bank && !changed.starts_with(".text")) continue;
        const u64 entry_bytes = section.type == kRelocationsWithAddend ? 24 : 16;
        for (u64 at = 0; at + entry_bytes <= section.content.size() && left > 0; at += entry_bytes, --left) {
            const u64 offset = *read_at<u64>(section.content, at);
            const u64 symbol_index = *read_at<u64>(section.content, at + 8) >> 32;
            const u64 addend = entry_bytes == 24 ? *read_at<u64>(section.content, at + 16) : 0;
            if (symbol_index >= elf.symbols.size()) continue;
            const CubinSymbol& symbol = elf.symbols[symbol_index];
            if (symbol.section != text_section) continue;
            if (is_bank)
                of_bank_.emplace(offset, symbol.value + addend);
            else if (auto& of_section = of_code_[section.info]; of_section.size() < kMaxTextsOfCode)
                of_section.push_back(symbol.value + addend);
        }
    }
}

std::string KernelTexts::text_at_offset(u64 offset) const {
    if (offset >= texts_.size()) return {};
    const std::string_view text = as_text(texts_.subspan(offset)).substr(0, kMaxTextBytes);
    const std::string_view whole = text.substr(0, text.find('\0'));
    return is_sentence(whole) ? std::string(whole) : std::string();
}

std::vector<std::string> KernelTexts::all() const {
    std::vector<std::string> found;
    for (std::string_view rest = as_text(texts_); !rest.empty() && found.size() < kMaxTextsRead;) {
        const std::string_view text = rest.substr(0, rest.find('\0'));
        rest.remove_prefix(std::min(rest.size(), text.size() + 1));
        const std::string_view cut = text.substr(0, kMaxTextBytes);
        if (is_sentence(cut)) found.emplace_back(cut);
    }
    sort_messages(found);
    if (found.size() > kMaxTexts) found.resize(kMaxTexts);
    return found;
}

std::vector<std::string> KernelTexts::used_by(const std::vector<u32>& sections,
                                              const std::vector<u32>& bank_offsets) const {
    if (of_code_.empty() && of_bank_.empty()) return all();
    std::vector<std::string> found;
    const auto add = [&](u64 offset) {
        std::string text = text_at_offset(offset);
        if (!text.empty() && found.size() < kMaxTexts) found.push_back(std::move(text));
    };
    for (const u32 section : sections) {
        const auto texts = of_code_.find(section);
        if (texts == of_code_.end()) continue;
        for (const u64 offset : texts->second) {
            if (found.size() < kMaxTexts) add(offset);
        }
    }
    for (const u32 bank_offset : bank_offsets) {
        const auto text = of_bank_.find(bank_offset);
        if (text != of_bank_.end()) add(text->second);
    }
    return found;
}

}  // namespace warpwright::inspect
