// SPDX-License-Identifier: Apache-2.0
// What `isa` and `inspect --isa` say to people.
#pragma once

#include <string>
#include <vector>

#include "inspect/isa/judge.h"
#include "inspect/isa/search.h"

namespace warpwright::cli {

// One line: what the text is.
void print_text(const std::string& path, const inspect::PtxText& text);
// On one target: what is not legal, slow or not measured there, and what to build with. At most `most` lines
// of each.
void print_verdict(const inspect::PtxText& text, const inspect::IsaTarget& target, size_t most);
// On all classes: forms that do not run alike everywhere, all of them with `all`.
void print_classes(const inspect::PtxText& text, bool all);

void print_forms(const std::vector<const isa::Form*>& forms, bool all);
void print_families();

}  // namespace warpwright::cli
