// SPDX-License-Identifier: Apache-2.0
// Forms by what a person types: "mma.sync.m16n8k32.e4m3", "tcgen05.mma", "cvt e2m1", the name of a snippet.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "isa/table.h"
#include "warpwright/status.h"

namespace warpwright::inspect {

// Forms of the opcode (if the first word is one) that have all parts, in any order; the last part may be the
// beginning of one. The form itself alone, where it is written out. Those whose machine code was read come
// first, then the shorter ones. None: a caller error that offers the nearest.
Result<std::vector<const isa::Form*>> search_forms(std::string_view wanted);

// How a form runs on a GPU's architectures: the least demanding that has it.
struct ClassWay {
    int architecture = -1;  // -1: none of them
    isa::Way way = isa::Way::illegal;
};
// For each of all_classes().
std::vector<ClassWay> ways_by_class(const isa::Form& form);
// "n", "na" with the suffix that it takes, ".".
std::string way_cell(const ClassWay& way);

// Forms that run alike: one row of a table.
struct FormGroup {
    std::vector<const isa::Form*> forms;
    std::vector<ClassWay> ways;
    int version = 0;
};
std::vector<FormGroup> group_forms(const std::vector<const isa::Form*>& forms);

struct Family {
    std::string opcode, text;
    int num_forms = 0;
    isa::Mask targets = 0;  // of any form
    int version = 0;        // of the first
};
std::vector<Family> families();  // by opcode

}  // namespace warpwright::inspect
