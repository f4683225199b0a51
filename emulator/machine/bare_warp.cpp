// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/bare_warp.h"

namespace warpwright::emulator {

BareWarp::BareWarp(const Options& options) {
    program_.name = "bare";
    program_.num_slots = options.num_slots;
    program_.num_predicates = options.num_predicates;
    program_.static_shared_bytes = options.shared_bytes;
    program_.local_bytes = options.local_bytes;
    program_.param_bytes = options.param_bytes;
    program_.statements.push_back({"bare", 1, 0, 0});
    if (auto target = find_target(options.target); target.ok()) target_ = *target;

    grid_.program = &program_;
    grid_.target = &target_;
    grid_.memory = options.memory;
    grid_.config.block.x = options.threads;
    grid_.options.level = options.level;
    grid_.params.resize(options.param_bytes);
    block_.open(grid_, 0, 0, 0);
}

}  // namespace warpwright::emulator
