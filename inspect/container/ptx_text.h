// SPDX-License-Identifier: Apache-2.0
// PTX as text: a file of it, or one among other bytes.
#pragma once

#include <optional>
#include <string_view>

#include "inspect/bytes.h"

namespace warpwright::inspect {

// Whether a text's first statement is ".version N.N".
enum class PtxBeginning : u8 {
    no,
    yes,
    undecided,  // comments up to the end of what is there
};
PtxBeginning begins_as_ptx(std::string_view text);

struct PtxText {
    u64 begin = 0, end = 0;  // comments before .version belong to it; NULs behind it do not
    int major = 0, minor = 0;
};

// The PTX whose ".version" stands at `offset`, which begins at `floor` or behind it. Nothing where these are
// other words: a format string, a part of a document.
std::optional<PtxText> find_ptx(Bytes file, u64 offset, u64 floor);

}  // namespace warpwright::inspect
