// SPDX-License-Identifier: Apache-2.0
// What probe --machine reads: refused with a reason, or a machine that every rule of advice can be asked
// about, and that is the same when it is written down and read again.
#include <nlohmann/json.hpp>

#include "device/machine_json.h"
#include "input.h"

using namespace warpwright;        // NOLINT: a program of one function
using namespace warpwright::fuzz;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto machine = machine_from_json({reinterpret_cast<const char*>(data), size}, "machine.json");
    if (!machine.ok()) {
        require(machine.status().kind() == ErrorKind::caller, "a bad machine is a caller's error");
        require(machine.status().message().starts_with("machine.json: "), "the error names its file");
        require(machine.status().message().size() < 300, "the error is short");
        return 0;
    }
    const std::string written = machine_json(*machine).dump();
    const auto again = machine_from_json(written, "machine.json");
    require(again.ok(), "what was written is read");
    require(machine_json(*again).dump() == written, "reading again changes nothing");
    return 0;
}
