// SPDX-License-Identifier: Apache-2.0
#include "inspect/diagnose/catalogue.h"

#include <fmt/format.h>

#include <algorithm>

#include "image/embedded.h"
#include "inspect/toml_fields.h"

namespace warpwright::diagnose {
namespace {

constexpr std::string_view kPath = "data/failures.toml";

[[noreturn]] void broken(std::string_view where, std::string_view what) {
    broken_data(kPath, where, what);
}

constexpr const char* kConfidences[] = {"verified", "reported", "disputed"};
constexpr const char* kChecks[] = {"none", "image", "shared-memory"};

Failure read_failure(const toml::table& table) {
    Failure failure;
    failure.id = table["id"].value_or<std::string>("[[failure]] without id");
    TomlFields fields(table, std::string(kPath), failure.id);
    fields.required_text("id");
    failure.patterns = fields.list<std::string>("patterns");
    if (failure.patterns.empty()) broken(failure.id, "'patterns' is missing");
    failure.near = fields.list<std::string>("near");
    failure.of = fields.text("of");
    failure.library = fields.text("library");
    failure.versions = fields.text("versions");
    failure.architectures = fields.list<int>("architectures");
    failure.cause = fields.required_text("cause");
    failure.fix = fields.required_text("fix");
    failure.references = fields.list<std::string>("references");
    if (failure.references.empty()) broken(failure.id, "'references' is missing");
    failure.date = fields.required_text("date");
    fields.required_text("confidence");
    failure.confidence = static_cast<Confidence>(fields.choice("confidence", kConfidences));
    failure.check = static_cast<Check>(fields.choice("check", kChecks));
    failure.needs_gpu = fields.flag("needs_gpu");
    failure.last_line = fields.flag("last_line");
    if (failure.library.empty()) failure.library = failure.of;
    fields.finish();
    return failure;
}

template <class Read>
void for_each(const toml::table& root, const char* name, const Read& read) {
    const toml::array* array = root[name].as_array();
    if (array == nullptr) broken(name, "there is none");
    for (const toml::node& node : *array) {
        if (node.as_table() == nullptr) broken(name, "is no table");
        read(*node.as_table());
    }
}

}  // namespace

const char* confidence_name(Confidence confidence) {
    return kConfidences[static_cast<size_t>(confidence)];
}

bool Failure::applies_to(int compute_capability) const {
    return architectures.empty() ||
           std::ranges::find(architectures, compute_capability) != architectures.end();
}

const Failure* Catalogue::find(std::string_view id) const {
    const auto found = std::ranges::find(failures, id, &Failure::id);
    return found == failures.end() ? nullptr : &*found;
}

Catalogue read_catalogue(std::string_view text) {
    Catalogue catalogue;
    try {
        const toml::table root = toml::parse(text, kPath);
        for_each(root, "failure", [&](const toml::table& table) {
            Failure failure = read_failure(table);
            if (catalogue.find(failure.id) != nullptr) broken(failure.id, "is there twice");
            catalogue.failures.push_back(std::move(failure));
        });
        for_each(root, "origin", [&](const toml::table& table) {
            TomlFields fields(table, std::string(kPath), "[[origin]]");
            const std::string library = fields.required_text("library");
            const int rank = fields.number("rank");
            for (std::string& sign : fields.list<std::string>("signs"))
                catalogue.origins.push_back({std::move(sign), library, rank});
            fields.finish();
        });
        for_each(root, "sign", [&](const toml::table& table) {
            TomlFields fields(table, std::string(kPath), "[[sign]]");
            const std::string next = fields.required_text("next");
            for (std::string& pattern : fields.list<std::string>("patterns"))
                catalogue.signs.push_back({std::move(pattern), next});
            fields.finish();
        });
    } catch (const toml::parse_error& error) {
        broken(fmt::format("line {}", error.source().begin.line), error.description());
    }
    return catalogue;
}

const Catalogue& catalogue() {
    static const Catalogue list = [] {
        for (const EmbeddedFile& file : embedded_data())
            if (file.path == kPath) return read_catalogue(file.text);
        broken("the file", "not compiled into the library");
    }();
    return list;
}

}  // namespace warpwright::diagnose
