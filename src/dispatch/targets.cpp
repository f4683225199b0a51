// SPDX-License-Identifier: Apache-2.0
// The list of targets, parsed once from the embedded data/targets.toml. It ships inside the library, so a
// flaw in it is a bug: it throws, and the tests of this folder see it before anybody else does.
#include "warpwright/target.h"

#define TOML_HEADER_ONLY 1
#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cctype>
#include <stdexcept>

#include "dispatch/nearest.h"
#include "image/embedded.h"

namespace warpwright {
namespace {

[[noreturn]] void broken(std::string_view where, std::string_view what) {
    throw std::logic_error(fmt::format("data/targets.toml: {}: {}", where, what));
}

template <class T>
T required(const toml::table& table, const char* key, std::string_view where) {
    const auto value = table[key].value<T>();
    if (!value) broken(where, fmt::format("'{}' is missing or of another type", key));
    return *value;
}

std::vector<std::string> strings(const toml::table& table, const char* key) {
    std::vector<std::string> list;
    if (const toml::array* array = table[key].as_array()) {
        for (const toml::node& node : *array) list.push_back(node.value<std::string>().value());
    }
    return list;
}

void read_capability(const toml::table& root, TargetFacts& facts, std::string_view id) {
    if (facts.compute_capability == 0) {  // the CPU has no shared memory that a row could ask for
        facts.max_threads_per_sm = 1;
        return;
    }
    for (const toml::node& node : *root["capability"].as_array()) {
        const toml::table& row = *node.as_table();
        for (const toml::node& of : *row["of"].as_array()) {
            if (of.value<int>() != facts.compute_capability) continue;
            facts.max_threads_per_sm = required<int>(row, "max_threads_per_sm", id);
            facts.shared_per_sm_bytes = required<i64>(row, "shared_per_sm_kib", id) * 1024;
            facts.shared_per_block_bytes = required<i64>(row, "shared_per_block_kib", id) * 1024;
            return;
        }
    }
    broken(id, fmt::format("no [[capability]] of {}", facts.compute_capability));
}

TargetFacts read_facts(const toml::table& root, const toml::table& table, std::string_view id) {
    TargetFacts facts;
    facts.compute_capability = required<int>(table, "compute_capability", id);
    facts.build_target = build_target_for(facts.compute_capability);
    facts.num_sms = required<int>(table, "num_sms", id);
    facts.boost_mhz = required<int>(table, "boost_mhz", id);
    facts.memory_bytes = required<i64>(table, "memory_mib", id) << 20;
    facts.memory_gb_s = required<double>(table, "memory_gb_s", id);
    facts.l2_bytes = required<i64>(table, "l2_mib", id) << 20;
    facts.bf16_tflops = required<double>(table, "bf16_tflops", id);
    facts.fp16acc_tflops = required<double>(table, "fp16acc_tflops", id);
    facts.fp8_tflops = table["fp8_tflops"].value_or(0.0);
    facts.fp4_tflops = table["fp4_tflops"].value_or(0.0);
    facts.int8_tops = required<double>(table, "int8_tops", id);
    read_capability(root, facts, id);
    return facts;
}

Target read_target(const toml::table& root, const toml::table& table) {
    Target target;
    target.id = required<std::string>(table, "id", "[[target]]");
    target.name = required<std::string>(table, "name", target.id);
    target.aliases = strings(table, "aliases");
    target.facts = read_facts(root, table, target.id);
    for (const toml::node& node : *table["links"].as_array()) {
        const toml::table& link = *node.as_table();
        target.links.push_back({required<std::string>(link, "kind", target.id), link["gb_s"].value_or(0.0),
                                link["peer_access"].value_or(false)});
    }
    target.unsure = strings(table, "unsure");
    target.source = required<std::string>(table, "source", target.id);
    return target;
}

std::vector<Target> read_targets() {
    for (const EmbeddedFile& file : embedded_data()) {
        if (file.path != "data/targets.toml") continue;
        const toml::table root = toml::parse(file.text, file.path);
        std::vector<Target> list;
        for (const toml::node& node : *root["target"].as_array()) {
            list.push_back(read_target(root, *node.as_table()));
        }
        return list;
    }
    broken("the file", "not compiled into the library");
}

// People write "NVIDIA GeForce RTX 5090", "rtx_5090" and "RTX5090": all are the same name.
std::string canonical(std::string_view name) {
    std::string text;
    for (const char c : name) {
        if (c != ' ' && c != '_' && c != '-')
            text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    for (const std::string_view maker : {"nvidia", "geforce"}) {
        if (text.starts_with(maker)) text.erase(0, maker.size());
    }
    return text;
}

}  // namespace

std::span<const Target> targets() {
    static const std::vector<Target> list = read_targets();
    return list;
}

Result<Target> find_target(std::string_view name) {
    const std::string wanted = canonical(name);
    std::vector<std::string> names;
    std::vector<std::string> canonical_names;
    for (const Target& target : targets()) {
        const auto add = [&](const std::string& known) {
            names.push_back(known);
            canonical_names.push_back(canonical(known));
            return canonical_names.back() == wanted;
        };
        if (add(target.id) || std::any_of(target.aliases.begin(), target.aliases.end(), add)) return target;
    }
    const std::string closest = nearest(wanted, canonical_names);
    const auto index =
        std::find(canonical_names.begin(), canonical_names.end(), closest) - canonical_names.begin();
    return caller_error(
        fmt::format("unknown GPU '{}'; nearest: {} (see 'warpwright targets')", name, names[index]));
}

}  // namespace warpwright
