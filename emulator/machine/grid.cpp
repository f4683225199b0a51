// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/grid.h"

namespace warpwright::emulator {

void Grid::print(std::string text) {
    std::lock_guard lock(mutex_);
    printed_ += text;
}

void Grid::record(Finding finding) {
    std::lock_guard lock(mutex_);
    if (!finding_) finding_ = std::move(finding);
    stop.store(true, std::memory_order_release);
}

std::optional<Finding> Grid::first_finding() {
    std::lock_guard lock(mutex_);
    return finding_;
}

std::string Grid::printed() {
    std::lock_guard lock(mutex_);
    return printed_;
}

}  // namespace warpwright::emulator
