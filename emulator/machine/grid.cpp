// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/grid.h"

namespace warpwright::emulator {

// A GPU keeps 1 MiB by default.
constexpr std::size_t kMaxPrinted = 4 << 20;

void Grid::print(std::string_view text) {
    std::lock_guard lock(mutex_);
    if (printed_.size() > kMaxPrinted) return;
    printed_ += text;
    if (printed_.size() > kMaxPrinted) printed_ += "\n[the kernel printed more than is kept]\n";
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
