// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "image/embedded.h"
#include "inspect/libraries/library.h"
#include "inspect/toml_fields.h"

namespace warpwright::libraries {
namespace {

constexpr std::string_view kFolder = "data/libraries/";
constexpr const char* kBases[] = {"source", "measured", "reported"};
constexpr const char* kStates[] = {"native", "portable", "partial", "no", "unknown"};

class Reader {
public:
    explicit Reader(std::string_view path) : path_(path) {}

    Library read(const toml::table& root) const {
        Library library;
        TomlFields fields(root, path_, "the file");
        library.id = fields.required_text("id");
        library.name = fields.required_text("name");
        library.aliases = fields.list<std::string>("aliases");
        library.order = fields.number("order");
        if (library.order <= 0) fields.broken("'order' is missing");
        library.repository = fields.required_text("repository");
        library.version = fields.required_text("version");
        library.goal = fields.required_text("goal");
        library.what = facts(fields, "what");
        library.depends = facts(fields, "depends");
        library.sm100 = facts(fields, "sm100");
        library.sm120 = facts(fields, "sm120");
        library.detection = facts(fields, "detection");
        library.references = facts(fields, "reference");
        library.failures = fields.list<std::string>("failures");
        library.fingerprints = fields.list<std::string>("fingerprints");
        read_states(fields, library);
        fields.for_each("need", [&](const toml::table& table) { library.needs.push_back(need(table)); });
        if (library.needs.empty()) fields.broken("'need' is missing");
        fields.finish();
        return library;
    }

private:
    static void read_fact(TomlFields& fields, Fact& fact) {
        fact.text = fields.required_text("text");
        fact.version = fields.required_text("version");
        fact.date = fields.required_date("date");
        fact.source = fields.required_text("source");
        fact.basis = static_cast<Basis>(fields.choice("basis", kBases));
        fact.claim = fields.text("claim");
        fact.claimed_at = fields.text("claimed_at");
        if (fact.claim.empty() != fact.claimed_at.empty())
            fields.broken("'claim' and 'claimed_at' stand together");
        for (const std::string* url : {&fact.source, &fact.claimed_at}) {
            if (!url->empty() && !url->starts_with("https://"))
                fields.broken(fmt::format("'{}' is no https:// address", *url));
        }
    }

    std::vector<Fact> facts(TomlFields& parent, const char* section) const {
        std::vector<Fact> list;
        parent.for_each(section, [&](const toml::table& table) {
            TomlFields fields(table, path_, fmt::format("[[{}]] {}", section, list.size() + 1));
            read_fact(fields, list.emplace_back());
            fields.finish();
        });
        if (list.empty()) parent.broken(fmt::format("section [[{}]] is missing", section));
        return list;
    }

    Need need(const toml::table& table) const {
        TomlFields fields(table, path_, "[[need]]");
        Need need{fields.required_text("text"), fields.text("work"), fields.texts("problem")};
        if (need.work.empty() && !need.problem.empty()) fields.broken("'problem' is of a 'work'");
        fields.finish();
        return need;
    }

    void read_states(TomlFields& parent, Library& library) const {
        parent.for_each("state", [&](const toml::table& table) {
            TomlFields fields(table, path_, "[[state]]");
            fields.required_text("state");
            const auto state = static_cast<State>(fields.choice("state", kStates));
            ClassState read{.state = state};
            read_fact(fields, read.fact);
            for (const int capability : fields.list<int>("of")) {
                const auto found = std::ranges::find(kClasses, capability);
                if (found == kClasses.end()) fields.broken(fmt::format("{} is no column", capability));
                ClassState& entry = library.states[static_cast<size_t>(found - kClasses.begin())];
                if (entry.capability != 0) fields.broken(fmt::format("{} is there twice", capability));
                entry = read;
                entry.capability = capability;
            }
            fields.finish();
        });
        for (size_t i = 0; i < kClasses.size(); ++i) {
            if (library.states[i].capability == 0)
                parent.broken(fmt::format("no [[state]] of {}", kClasses[i]));
        }
    }

    std::string path_;
};

}  // namespace

const char* basis_name(Basis basis) {
    return kBases[static_cast<size_t>(basis)];
}

const char* state_name(State state) {
    return kStates[static_cast<size_t>(state)];
}

Library read_library(std::string_view text, std::string_view path) {
    try {
        return Reader(path).read(toml::parse(text, path));
    } catch (const toml::parse_error& error) {
        broken_data(path, fmt::format("line {}", error.source().begin.line), error.description());
    }
}

std::span<const Library> libraries() {
    static const std::vector<Library> list = [] {
        std::vector<Library> read;
        for (const EmbeddedFile& file : embedded_data())
            if (file.path.starts_with(kFolder)) read.push_back(read_library(file.text, file.path));
        std::ranges::sort(read, {}, &Library::order);
        return read;
    }();
    return list;
}

}  // namespace warpwright::libraries
