// SPDX-License-Identifier: Apache-2.0
// Instructions of PTX, and the classes of each: as it is written, and as ptxas makes it where that differs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace warpwright::inspect {

struct Form {
    // Targets that ptxas 13.0 assembles it for: "80+" every target from sm_80 on, "90a" one target, "100+af"
    // those with a suffix, "100-110" a range, "120-121af"; several, separated by spaces.
    std::string_view where;
    // Names of classes, separated by spaces. "qmma; 90-110: hmma fp8.convert" for what some targets make of
    // it.
    std::string_view classes;
    // %r 32-bit, %f float, %d 64-bit, %g double, %h 16-bit, %p predicate; S an address of shared memory
    std::string_view ptx;
    std::string_view directives = "";
};
const std::vector<Form>& forms();

bool is_among(std::string_view target, std::string_view where);
std::vector<std::string> classes_as_written(const Form& form);
std::vector<std::string> classes_on(const Form& form, std::string_view target);

// One entry "kN" for each form N that the target has: registers loaded before and stored after it.
std::string module_of_forms(std::string_view target);

}  // namespace warpwright::inspect
