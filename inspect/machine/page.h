// SPDX-License-Identifier: Apache-2.0
// A machine and what follows from it as one self-contained page, in the style of html.h.
#pragma once

#include <functional>
#include <string>

#include "device/machine.h"

namespace warpwright::inspect {

void write_machine_page(const Machine& machine, const std::string& made_by,
                        const std::function<void(const std::string&)>& write);

}  // namespace warpwright::inspect
