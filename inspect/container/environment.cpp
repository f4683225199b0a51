// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/files.h"

namespace warpwright::inspect {

Result<std::vector<std::string>> environment_paths(const std::string& folder) {
    return std::vector<std::string>{folder};
}
std::vector<JitCache> jit_caches() {
    return {};
}

}  // namespace warpwright::inspect
