// SPDX-License-Identifier: Apache-2.0
// What `isa` says, for machines:
// {"path","target","version","instructions","forms":[{"form","count","line","text","function","measured",
// "targets":[],"needs_ptx"}],"takes":["sm_90a"],"lowest","needs_ptx","verdicts":{TARGET:{"architecture","legal",
// "as_it_stands","illegal":[],"slow":[],"not_measured":[],"needs_ptx","nvcc","nvrtc"}}}
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "inspect/isa/judge.h"
#include "inspect/isa/search.h"

namespace warpwright::inspect {

nlohmann::ordered_json text_json(const std::string& path, const PtxText& text,
                                 const std::vector<IsaTarget>& targets);
nlohmann::ordered_json verdict_json(const IsaTarget& target, const IsaVerdict& verdict);
nlohmann::ordered_json form_json(const isa::Form& form);
nlohmann::ordered_json families_json();

}  // namespace warpwright::inspect
