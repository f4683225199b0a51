// SPDX-License-Identifier: Apache-2.0
#include "check/ops/checks.h"

namespace warpwright {

std::span<const OperationCheck* const> operation_checks() {
    static const OperationCheck* const checks[] = {
        &rmsnorm_check(),
    };
    return checks;
}

}  // namespace warpwright
