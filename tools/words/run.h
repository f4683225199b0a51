// SPDX-License-Identifier: Apache-2.0
// Runs a form's kernel on a device, a GPU or an emulated one.
#pragma once

#include <string>

#include "tools/words/form.h"
#include "warpwright/device.h"

namespace warpwright::words {

// The output records of all threads.
Result<std::string> run_form(const std::shared_ptr<Device>& device, const Form& form);

}  // namespace warpwright::words
