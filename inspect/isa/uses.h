// SPDX-License-Identifier: Apache-2.0
// The instruction forms of a PTX text: how often each is used, where first, by how many functions. Filled by
// read_ptx while it reads.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "inspect/report.h"

namespace warpwright::inspect {

struct FormUse {
    std::string form;     // isa/table.h
    std::string spelled;  // as the text has it, without operands
    u64 count = 0;
    int line = 0;          // of the first, from 1
    std::string text;      // that line, shortened
    std::string function;  // that the first is in
    u32 num_functions = 0;
};

class FormUses {
public:
    // The text, which outlives this.
    explicit FormUses(std::string_view text) : text_(text) {}

    void begin_function(std::string_view name);
    // One instruction; `at`: its position in the text.
    void add(std::string_view mnemonic, std::string_view operands, size_t at);
    void add_directive(std::string_view name, size_t at);

    u64 num_instructions() const { return num_instructions_; }
    // In the order of the text.
    std::vector<FormUse> uses() const;

private:
    struct Count {
        u64 count = 0;
        size_t at = 0;  // of the first
        u32 function = 0, last_function = 0;
        u32 num_functions = 0;
        bool is_wide = false;
    };
    // A name of the text, and whether it has four operands where that makes another form.
    struct Key {
        std::string_view name;
        bool is_wide = false;
        bool operator==(const Key&) const = default;
    };
    struct Hash {
        size_t operator()(const Key& key) const {
            return std::hash<std::string_view>()(key.name) + static_cast<size_t>(key.is_wide);
        }
    };
    void count(const Key& key, size_t at);
    void count_special_registers(std::string_view operands, size_t at);

    std::string_view text_;
    std::unordered_map<Key, Count, Hash> counts_;
    std::vector<std::string_view> functions_;
    u64 num_instructions_ = 0;
};

}  // namespace warpwright::inspect
