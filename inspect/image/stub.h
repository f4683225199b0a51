// SPDX-License-Identifier: Apache-2.0
// Kernels that are there and do nothing: bodies behind macros of an architecture that was not compiled for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inspect/report.h"

namespace warpwright::inspect {

// What a body does, read from machine code or from PTX.
struct BodyFacts {
    bool has_effect = false;  // anything but arithmetic, fences, calls, traps; in what it calls, too
    bool traps = false;
    bool calls_message = false;  // vprintf, __assertfail
    bool calls_unknown = false;  // what has no body here, or goes through a pointer
    bool has_matrix_product = false;
};

// A kernel without parameters may rightly be empty (event markers, warm-up, device queries): it is no stub.
// `texts` are those that the kernel uses.
Stub stub_of(const BodyFacts& body, int num_parameters, const std::vector<std::string>& texts);

// A sentence that says that the code was built for another architecture.
bool is_stub_message(const std::string& text);

// Puts those first, so that a cut list keeps them.
void sort_messages(std::vector<std::string>& texts);

// vprintf, __assertfail
bool is_message_function(std::string_view name);

bool has_matrix_product(InstructionClasses classes);

}  // namespace warpwright::inspect
