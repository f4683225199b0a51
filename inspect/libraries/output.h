// SPDX-License-Identifier: Apache-2.0
// The libraries for people and for machines: a table of all, the seven sections of one, JSON, one
// self-contained page. docs/libraries is made from the JSON by tools/render_libraries.py.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "inspect/libraries/library.h"
#include "inspect/libraries/ours.h"

namespace warpwright::libraries {

// All classes, or one GPU.
struct View {
    std::optional<Target> gpu;
    std::vector<int> classes() const;  // columns
};

std::string table_text(const View& view);                            // of all libraries
std::string library_text(const Library& library, const View& view);  // the seven sections

nlohmann::ordered_json to_json(const Library& library, const View& view);
nlohmann::ordered_json to_json(const View& view);  // of all libraries

// `made_by`: "warpwright 0.1.0: warpwright libraries --html x.html".
void write_html(const View& view, const std::string& made_by,
                const std::function<void(const std::string&)>& write);

// The same for all of them.
OurState our_state(const Library& library, const View& view, int capability);

// What a state is and where `ours` comes from, a line each.
struct Meaning {
    const char* word;
    const char* text;
};
std::span<const Meaning> state_meanings();
std::span<const Meaning> our_meanings();

}  // namespace warpwright::libraries
