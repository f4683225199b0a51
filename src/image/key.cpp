// SPDX-License-Identifier: Apache-2.0
#include "image/key.h"

#include <utility>

#include "image/compile.h"
#include "image/sha256.h"

namespace warpwright {

ImageKey image_key(const ImageSpec& spec, const SourceClosure& sources, std::string compiler) {
    Sha256 hash;
    hash.field(sources.digest).field(spec.row).field(spec.row_content);
    hash.field(build_target_name(spec.build_target));
    for (const std::string& flag : compile_flags(spec)) hash.field(flag);
    return {to_hex(short_digest(hash)), std::move(compiler)};
}

}  // namespace warpwright
