// SPDX-License-Identifier: Apache-2.0
#include "dispatch/tuning.h"

#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "dispatch/operation.h"
#include "image/cache.h"
#include "image/embedded.h"

namespace warpwright {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
}

Result<TuningEntry> read_entry(const Json& json) {
    if (!json.is_object() || !json.contains("op") || !json["op"].is_string() || !json.contains("problem") ||
        !json["problem"].is_object() || !json.contains("us") || !json["us"].is_object()) {
        return caller_error("expected {\"op\", \"problem\": {}, \"us\": {}}");
    }
    TuningEntry entry{json["op"].get<std::string>(), {}, {}};
    for (const auto& [name, value] : json["problem"].items())
        entry.problem.emplace_back(name, text_of(value));
    for (const auto& [row, us] : json["us"].items()) {
        if (!us.is_number() || !(us.get<double>() > 0) || !std::isfinite(us.get<double>())) {
            return caller_error(
                fmt::format("{} {}: expected microseconds above 0, got {}", entry.op, row, us.dump()));
        }
        entry.us.emplace_back(row, us.get<double>());
    }
    WW_ASSIGN(const Operation* operation, find_operation(entry.op));
    WW_TRY(operation->check_tuning(entry));
    return entry;
}

std::optional<std::string> read_file(const std::string& path) {
    std::ifstream file(path);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

TargetTuning read_tuning(std::string_view target) {
    TargetTuning tuning;
    const std::string shipped = fmt::format("data/tuning/{}.json", target);
    for (const EmbeddedFile& file : embedded_data()) {
        if (file.path != shipped) continue;
        auto table = TuningTable::parse(file.text, shipped);
        // A flaw in what ships is a bug, as in data/targets.toml.
        if (!table.ok()) throw std::logic_error(table.status().message());
        tuning.table = std::move(*table);
    }
    const std::string path = user_tuning_path(target);
    if (path.empty()) return tuning;
    const std::optional<std::string> text = read_file(path);
    if (!text) return tuning;
    const auto own = TuningTable::parse(*text, path);
    if (!own.ok()) {
        tuning.problem = own.status().message();
    } else if (own->target != target) {
        tuning.problem = fmt::format("{}: expected times of {}, got {}", path, target, own->target);
    } else {
        tuning.table.take(*own);
    }
    return tuning;
}

u64 next_id() {
    static std::atomic<u64> last{0};
    return ++last;
}

}  // namespace

TuningTable::TuningTable() : id_(next_id()) {}

Result<TuningTable> TuningTable::parse(std::string_view text, std::string_view source) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("target") || !json["target"].is_string() ||
        !json.contains("entries") || !json["entries"].is_array()) {
        return caller_error(fmt::format("{}: expected a table of 'warpwright tune'", source));
    }
    TuningTable table;
    table.target = json["target"].get<std::string>();
    table.measured_on = fmt::format("{}, {}", json.value("gpu", table.target), json.value("date", "undated"));
    std::size_t number = 0;
    for (const Json& item : json["entries"]) {
        auto entry = read_entry(item);
        if (!entry.ok())
            return caller_error(fmt::format("{}: entry {}: {}", source, number, entry.status().message()));
        table.entries.push_back(std::move(*entry));
        ++number;
    }
    return table;
}

void TuningTable::take(const TuningTable& other) {
    for (const TuningEntry& entry : other.entries) {
        TuningEntry* known = nullptr;
        for (TuningEntry& mine : entries) {
            if (mine.op == entry.op && mine.problem == entry.problem) known = &mine;
        }
        if (known != nullptr) {
            *known = entry;
        } else {
            entries.push_back(entry);
        }
    }
    target = other.target;
    measured_on = other.measured_on;
    id_ = next_id();
}

const TargetTuning& tuning_for(std::string_view target) {
    static std::mutex mutex;
    static std::map<std::string, TargetTuning, std::less<>> known;  // nodes do not move
    const std::lock_guard lock(mutex);
    auto found = known.find(target);
    if (found == known.end()) found = known.emplace(target, read_tuning(target)).first;
    return found->second;
}

std::string user_tuning_path(std::string_view target) {
    const std::string folder = ImageCache::default_directory();
    return folder.empty() ? "" : fmt::format("{}/tuning/{}.json", folder, target);
}

const TuningTable& no_tuning() {
    static const TuningTable table;
    return table;
}

}  // namespace warpwright
