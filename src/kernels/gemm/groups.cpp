// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/host_groups.h"
#include "kernels/parse_enum.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, Grouping& grouping) {
    return parse_one_of(name, text, {Grouping::none, Grouping::contiguous, Grouping::masked}, grouping);
}

}  // namespace warpwright
