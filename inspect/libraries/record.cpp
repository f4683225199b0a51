// SPDX-License-Identifier: Apache-2.0
#include "inspect/libraries/record.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "image/embedded.h"
#include "inspect/toml_fields.h"

namespace warpwright::libraries {
namespace {

constexpr const char* kEmulated = "data/emulated.toml";
constexpr const char* kNames[] = {"untested", "emulated", "measured"};

CheckedGpu read_report(const std::string& path, const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("by_row")) broken_data(path, "the file", "is no condensed check");
    CheckedGpu gpu{
        json.at("target"), json.at("gpu"), json.at("date"), json.at("facts").at("compute_capability"), {}};
    for (const auto& row : json.at("by_row"))
        if (row.at("passed") > 0 && row.at("failed") == 0)
            gpu.passed.insert(row.at("row").get<std::string>());
    return gpu;
}

}  // namespace

const char* evidence_name(Evidence evidence) {
    return kNames[static_cast<size_t>(evidence)];
}

Evidence TestRecord::evidence(std::string_view row, int capability) const {
    for (const CheckedGpu& gpu : gpus)
        if (gpu.capability == capability && gpu.passed.contains(row)) return Evidence::measured;
    return emulated.contains(build_target_name(build_target_for(capability))) ? Evidence::emulated
                                                                              : Evidence::none;
}

const CheckedGpu* TestRecord::gpu(int capability) const {
    const auto found = std::ranges::find(gpus, capability, &CheckedGpu::capability);
    return found == gpus.end() ? nullptr : &*found;
}

TestRecord read_record(const std::vector<std::pair<std::string, std::string>>& check_reports,
                       std::string_view emulated_toml) {
    TestRecord record;
    for (const auto& [path, text] : check_reports) {
        CheckedGpu read = read_report(path, text);
        const auto known = std::ranges::find(record.gpus, read.target, &CheckedGpu::target);
        if (known == record.gpus.end())
            record.gpus.push_back(std::move(read));
        else if (known->date < read.date)
            *known = std::move(read);
    }
    const toml::table root = toml::parse(emulated_toml, std::string_view(kEmulated));
    TomlFields fields(root, kEmulated, "the file");
    fields.for_each("device", [&](const toml::table& table) {
        TomlFields device(table, kEmulated, "[[device]]");
        record.emulated[device.required_text("build_target")] = device.required_text("target");
        device.finish();
    });
    fields.finish();
    return record;
}

const TestRecord& test_record() {
    static const TestRecord record = [] {
        std::vector<std::pair<std::string, std::string>> reports;
        std::string_view emulated;
        for (const EmbeddedFile& file : embedded_data()) {
            if (file.path.starts_with("docs/results/")) reports.emplace_back(file.path, file.text);
            if (file.path == kEmulated) emulated = file.text;
        }
        return read_record(reports, emulated);
    }();
    return record;
}

}  // namespace warpwright::libraries
