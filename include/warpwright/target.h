// SPDX-License-Identifier: Apache-2.0
// Target: a GPU model, or the CPU, as data. The list is data/targets.toml, compiled into the library.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

struct Link {
    std::string kind;  // "nvlink", "pcie", "c2c", "none"
    double gb_s = 0;   // both directions together, 1e9 bytes per second, per GPU
    bool peer_access = false;
};

struct Target {
    std::string id;                    // "rtx-pro-6000", the name on the command line
    std::string name;                  // "RTX PRO 6000 Workstation"
    std::vector<std::string> aliases;  // "rtx-pro-6000-ws"
    TargetFacts facts;
    std::vector<Link> links;          // fastest first
    std::vector<std::string> unsure;  // names of figures whose source is weak or disputed
    std::string source;               // where the figures come from
    bool measured = false;            // made by probing a machine, not read from the list
};

// Every target of the list, in file order. The list is checked by a test; a broken one is a bug.
std::span<const Target> targets();

// By id or alias, any case. An unknown name is a caller error that offers the nearest one.
Result<Target> find_target(std::string_view name);

}  // namespace warpwright
