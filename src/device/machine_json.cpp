// SPDX-License-Identifier: Apache-2.0
#include "device/machine_json.h"

#include <limits>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "device/advice.h"
#include "device/machine_fields.h"

namespace warpwright {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

template <class T>
struct ListOf : std::false_type {};
template <class T>
struct ListOf<std::vector<T>> : std::true_type {};
template <class T>
struct OptionalOf : std::false_type {};
template <class T>
struct OptionalOf<std::optional<T>> : std::true_type {};
template <class T>
constexpr bool kIsPlain = std::is_arithmetic_v<T> || std::is_same_v<T, std::string>;

class Writer {
public:
    explicit Writer(ordered_json& object) : object_(object) {}

    template <class T>
    void operator()(const char* key, T& value) {
        object_[key] = written(value);
    }
    void written_only(const char* key, const char* text) { object_[key] = text; }
    template <class Body>
    void group(const char* key, Body&& body) {
        ordered_json object = ordered_json::object();
        Writer writer(object);
        body(writer);
        object_[key] = std::move(object);
    }

private:
    template <class T>
    static ordered_json written(T& value) {
        if constexpr (kIsPlain<T>) {
            return value;
        } else if constexpr (OptionalOf<T>::value) {
            return value ? written(*value) : ordered_json(nullptr);
        } else if constexpr (ListOf<T>::value) {
            ordered_json list = ordered_json::array();
            for (auto& entry : value) list.push_back(written(entry));
            return list;
        } else {
            ordered_json object = ordered_json::object();
            Writer writer(object);
            fields(writer, value);
            return object;
        }
    }

    ordered_json& object_;
};

// Reads what is there; the first value of another type than expected is noted, and ends nothing.
class Reader {
public:
    Reader(const json& object, std::string where, std::string& problem)
        : object_(object), where_(std::move(where)), problem_(problem) {}

    template <class T>
    void operator()(const char* key, T& value) {
        const auto found = object_.find(key);
        if (found != object_.end() && !found->is_null()) read(*found, where_ + key, value);
    }
    void written_only(const char*, const char*) {}
    template <class Body>
    void group(const char* key, Body&& body) {
        const auto found = object_.find(key);
        if (found == object_.end() || found->is_null()) return;
        if (!is_object(*found, where_ + key)) return;
        Reader reader(*found, where_ + key + ".", problem_);
        body(reader);
    }
    static bool expect(bool fits, const std::string& where, const char* expected, std::string& problem) {
        if (!fits && problem.empty()) problem = where + ": expected " + expected;
        return fits;
    }

private:
    bool expect(bool fits, const std::string& where, const char* expected) {
        return expect(fits, where, expected, problem_);
    }
    bool is_object(const json& value, const std::string& where) {
        return expect(value.is_object(), where, "an object");
    }

    template <class T>
    void read(const json& from, const std::string& where, T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            if (expect(from.is_boolean(), where, "true or false")) value = from.get<bool>();
        } else if constexpr (std::is_integral_v<T>) {
            const bool fits = from.is_number_integer() && from >= std::numeric_limits<T>::min() &&
                              from <= std::numeric_limits<T>::max();
            if (expect(fits, where, "an integer")) value = from.get<T>();
        } else if constexpr (std::is_floating_point_v<T>) {
            if (expect(from.is_number(), where, "a number")) value = from.get<T>();
        } else if constexpr (std::is_same_v<T, std::string>) {
            if (expect(from.is_string(), where, "a text")) value = from.get<std::string>();
        } else if constexpr (OptionalOf<T>::value) {
            read(from, where, value.emplace());
        } else if constexpr (ListOf<T>::value) {
            if (!expect(from.is_array(), where, "a list")) return;
            for (size_t i = 0; i < from.size(); ++i)
                read(from[i], fmt::format("{}[{}]", where, i), value.emplace_back());
        } else {
            if (!is_object(from, where)) return;
            Reader reader(from, where + ".", problem_);
            fields(reader, value);
        }
    }

    const json& object_;
    std::string where_;
    std::string& problem_;
};

// The list's figures of a listed GPU, those of the file on top.
void complete_target(GpuInfo& gpu) {
    const TargetFacts read = gpu.target.facts;
    for (const Target& listed : targets()) {
        if (listed.id == gpu.target.id && listed.facts.compute_capability == read.compute_capability)
            gpu.target = listed;
    }
    TargetFacts& facts = gpu.target.facts;
    facts.compute_capability = read.compute_capability;
    facts.build_target = build_target_for(read.compute_capability);
    if (read.num_sms != 0) facts.num_sms = read.num_sms;
    if (read.memory_bytes != 0) facts.memory_bytes = read.memory_bytes;
    if (read.shared_per_block_bytes != 0) facts.shared_per_block_bytes = read.shared_per_block_bytes;
    if (read.l2_bytes != 0) facts.l2_bytes = read.l2_bytes;
    gpu.target.measured = true;
}

// What the rules rely on, beyond types.
std::string flaw_of(const Machine& machine) {
    constexpr size_t kMostGpus = 256;  // pairs of them are shown
    if (machine.gpus.size() > kMostGpus)
        return fmt::format("gpus: expected at most {}, got {}", kMostGpus, machine.gpus.size());
    const int count = static_cast<int>(machine.gpus.size());
    for (size_t i = 0; i < machine.gpus.size(); ++i) {
        const int capability = machine.gpus[i].target.facts.compute_capability;
        if (capability < 10 || capability > 999)
            return fmt::format("gpus[{}].compute_capability: expected one such as 90 or 120, got {}", i,
                               capability);
    }
    for (size_t i = 0; i < machine.peers.size(); ++i) {
        const PeerPath& path = machine.peers[i];
        const auto is_gpu = [&](int index) { return index >= 0 && index < count; };
        if (!is_gpu(path.from) || !is_gpu(path.to) || path.from == path.to)
            return fmt::format("peers[{}]: expected two of {} gpus, got {} and {}", i, count, path.from,
                               path.to);
    }
    return {};
}

}  // namespace

ordered_json machine_json(const Machine& machine) {
    ordered_json json = ordered_json::object();
    Writer writer(json);
    Machine copy = machine;  // a description serves both directions, so it takes what it could change
    fields(writer, copy);
    json["conclusions"] = ordered_json::array();
    json["advice"] = ordered_json::array();
    for (const Advice& advice : advice_for(machine)) {
        json["conclusions"].push_back(advice.text);
        json["advice"].push_back({{"rule", advice.rule->id},
                                  {"topic", advice.rule->topic},
                                  {"weight", advice.rule->weight},
                                  {"text", advice.text},
                                  {"when", advice.rule->when},
                                  {"sources", advice.rule->sources},
                                  {"date", advice.rule->date}});
    }
    return json;
}

Result<Machine> machine_from_json(std::string_view text, std::string_view name) {
    const json read = json::parse(text, nullptr, false);
    if (read.is_discarded()) return caller_error(fmt::format("{}: no JSON", name));
    if (!read.is_object() || !read.contains("cpu") || !read.contains("gpus"))
        return caller_error(
            fmt::format("{}: expected what 'warpwright probe --json' prints, with cpu and gpus", name));
    Machine machine;
    std::string problem;
    Reader reader(read, "", problem);
    fields(reader, machine);
    if (problem.empty()) problem = flaw_of(machine);
    if (!problem.empty()) return caller_error(fmt::format("{}: {}", name, problem));
    for (GpuInfo& gpu : machine.gpus) complete_target(gpu);
    return machine;
}

}  // namespace warpwright
