// SPDX-License-Identifier: Apache-2.0
#include "inspect/diagnose/catalogue.h"

#define TOML_HEADER_ONLY 1
#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "image/embedded.h"

namespace warpwright::diagnose {
namespace {

constexpr std::string_view kPath = "data/failures.toml";

[[noreturn]] void broken(std::string_view where, std::string_view what) {
    throw std::logic_error(fmt::format("{}: {}: {}", kPath, where, what));
}

// One table; what is read is noted, so that a misspelt key is a flaw and not a fact that nobody sees.
class Fields {
public:
    Fields(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

    std::string text(const char* key) {
        known_.emplace_back(key);
        if (!table_.contains(key)) return {};
        const auto value = table_[key].value<std::string>();
        if (!value || value->empty()) broken(where_, fmt::format("'{}' is no text", key));
        return *value;
    }
    std::string required_text(const char* key) {
        std::string value = text(key);
        if (value.empty()) broken(where_, fmt::format("'{}' is missing", key));
        return value;
    }
    template <class T>
    std::vector<T> list(const char* key) {
        known_.emplace_back(key);
        std::vector<T> values;
        if (!table_.contains(key)) return values;
        const toml::array* array = table_[key].as_array();
        if (array == nullptr || array->empty()) broken(where_, fmt::format("'{}' is no list", key));
        for (const toml::node& node : *array) {
            const auto value = node.value<T>();
            if (!value) broken(where_, fmt::format("'{}' has an entry of another type", key));
            values.push_back(*value);
        }
        return values;
    }
    bool flag(const char* key) {
        known_.emplace_back(key);
        return table_[key].value_or(false);
    }
    int number(const char* key) {
        known_.emplace_back(key);
        return table_[key].value_or(0);
    }
    // One of `names`, as its place among them.
    template <size_t N>
    size_t choice(const char* key, const char* const (&names)[N]) {
        const std::string value = text(key);
        if (value.empty()) return 0;
        const auto found = std::find(std::begin(names), std::end(names), value);
        if (found == std::end(names)) broken(where_, fmt::format("'{}' cannot be '{}'", key, value));
        return static_cast<size_t>(found - std::begin(names));
    }
    void finish() const {
        for (const auto& [key, node] : table_) {
            if (std::ranges::find(known_, key.str()) == known_.end())
                broken(where_, fmt::format("unknown key '{}'", key.str()));
        }
    }

private:
    const toml::table& table_;
    std::string where_;
    std::vector<std::string> known_;
};

constexpr const char* kConfidences[] = {"verified", "reported", "disputed"};
constexpr const char* kChecks[] = {"none", "image", "shared-memory"};

Failure read_failure(const toml::table& table) {
    Failure failure;
    failure.id = table["id"].value_or<std::string>("[[failure]] without id");
    Fields fields(table, failure.id);
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
            Fields fields(table, "[[origin]]");
            const std::string library = fields.required_text("library");
            const int rank = fields.number("rank");
            for (std::string& sign : fields.list<std::string>("signs"))
                catalogue.origins.push_back({std::move(sign), library, rank});
            fields.finish();
        });
        for_each(root, "sign", [&](const toml::table& table) {
            Fields fields(table, "[[sign]]");
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
