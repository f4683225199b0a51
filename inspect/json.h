// SPDX-License-Identifier: Apache-2.0
// A report for machines:
// {"files":[{"path","bytes","type","libraries":[{"id","name","version","detail","evidence":[]}],
// "images":[{"kind","arch","evidence":[],"section","offset","bytes","abi","isa_version","toolkit","options",
// "compression","isa":{TARGET:{"architecture","legal","illegal":[],"slow":[],"not_measured":[]}},
// "kernels":[{"name","demangled","registers","shared_bytes","stack_bytes","classes":[]}]}],
// "verdicts":{GPU:{"runs","text","fix","kernels":[]}}}],"refused":[]}. Figures that an image does not tell
// are left out.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "inspect/report.h"

namespace warpwright::inspect {

nlohmann::ordered_json to_json(const FileReport& file);

// The whole report, written file by file: that of an environment is larger than one would like to hold in
// memory.
void write_json(const Report& report, const std::function<void(const std::string&)>& write);

}  // namespace warpwright::inspect
