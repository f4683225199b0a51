// SPDX-License-Identifier: Apache-2.0
#include "dispatch/trust.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "dispatch/operation.h"
#include "image/cache.h"
#include "image/file_lock.h"
#include "image/key.h"
#include "image/sources.h"

namespace warpwright {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// {"device": name, "drivers": {driver: {row: {"op", "image", "passed", "date", "text"?}}}}
Result<Json> read(const Device& device, const std::string& path) {
    std::ifstream file(path);
    if (!file) return Json{{"device", device.identity().name}, {"drivers", Json::object()}};
    const Json json = Json::parse(file, nullptr, false);
    if (!json.is_object() || !json.contains("drivers") || !json["drivers"].is_object()) {
        return unavailable(fmt::format(
            "{}: expected what 'warpwright check' keeps; 'warpwright check --forget --device {}' removes it",
            path, device.id()));
    }
    return json;
}

// What a row is compiled from; nothing for a row that is not there any more.
std::string image_of(const std::string& op, const std::string& row, BuildTarget target) {
    const auto operation = find_operation(op);
    if (!operation.ok()) return {};
    for (int i = 0; i < (*operation)->num_rows(); ++i) {
        if ((*operation)->row_name(i) != row) continue;
        const ImageSpec spec = (*operation)->image_spec(i, target);
        const auto sources = KernelSources::embedded().closure(spec.source);
        return sources.ok() ? image_key(spec, **sources, {}).hash : "";
    }
    return {};
}

}  // namespace

std::string trust_path(const Device& device) {
    const std::string folder = ImageCache::default_directory(), name = device.identity().name;
    if (folder.empty() || name.empty()) return {};
    std::string file;
    for (const char c : name) file += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' ? c : '_';
    return fmt::format("{}/trust/{}.json", folder, file);
}

Result<ForbiddenRows> distrusted_rows(const Device& device) {
    ForbiddenRows rows;
    const std::string path = trust_path(device);
    std::error_code ignored;
    if (path.empty() || !fs::exists(path, ignored)) return rows;
    WW_ASSIGN(const Json json, read(device, path));
    const auto known = json["drivers"].find(device.identity().driver);
    if (known == json["drivers"].end()) return rows;
    for (const auto& [row, verdict] : known->items()) {
        if (!verdict.is_object() || verdict.value("passed", true)) continue;
        const std::string image = image_of(verdict.value("op", ""), row, device.target().facts.build_target);
        if (image.empty() || image != verdict.value("image", "")) continue;  // another kernel by now
        rows[row] = fmt::format("failed check on {}, driver {}", verdict.value("date", "an unknown day"),
                                device.identity().driver);
    }
    return rows;
}

Status remember(const Device& device, std::span<const TrustVerdict> verdicts) {
    const std::string path = trust_path(device);
    if (path.empty() || verdicts.empty()) return {};
    std::error_code ignored;  // locking says what is wrong
    fs::create_directories(fs::path(path).parent_path(), ignored);
    WW_ASSIGN(const FileLock lock, FileLock::acquire(path + ".lock"));  // nobody's verdicts are lost
    WW_ASSIGN(Json json, read(device, path));
    Json& rows = json["drivers"][device.identity().driver];
    for (const TrustVerdict& verdict : verdicts) {
        Json entry{{"op", verdict.op},
                   {"image", image_of(verdict.op, verdict.row, device.target().facts.build_target)},
                   {"passed", verdict.passed},
                   {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))}};
        if (!verdict.passed) entry["text"] = verdict.text;
        rows[verdict.row] = std::move(entry);
    }
    const std::string fresh = path + ".tmp";
    {
        std::ofstream file(fresh);
        file << json.dump(1) << '\n';
        if (!file.flush()) return unavailable("cannot write " + fresh);
    }
    if (std::rename(fresh.c_str(), path.c_str()) != 0) return unavailable("cannot write " + path);
    return {};
}

Result<bool> forget(const Device& device) {
    const std::string path = trust_path(device);
    if (path.empty()) return false;
    std::error_code error;
    const bool removed = fs::remove(path, error);
    if (error) return unavailable(fmt::format("cannot remove {}: {}", path, error.message()));
    return removed;
}

}  // namespace warpwright
