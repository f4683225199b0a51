// SPDX-License-Identifier: Apache-2.0
#include "ops/kernels_json.h"

#include <nlohmann/json.hpp>

#include "image/store.h"

namespace warpwright {
namespace {

nlohmann::ordered_json images_json(const Operation& operation, int row, std::optional<BuildTarget> only) {
    nlohmann::ordered_json images = nlohmann::ordered_json::array();
    for (int i = 0; i < kNumBuildTargets; ++i) {
        const auto build_target = static_cast<BuildTarget>(i);
        if (build_target == BuildTarget::host || !operation.image_fits(row, build_target)) continue;
        if (only && *only != build_target) continue;
        const ImageStore::Info info = ImageStore::shared().info(operation.image_spec(row, build_target));
        nlohmann::ordered_json image{{"build_target", build_target_name(build_target)},
                                     {"from", image_origin_name(info.origin)}};
        if (info.origin != ImageOrigin::none) {
            image["registers"] = info.resources.registers;
            image["spill_bytes"] = info.resources.spill_bytes;
            image["stack_bytes"] = info.resources.stack_bytes;
            image["static_shared_bytes"] = info.resources.static_shared_bytes;
        }
        images.push_back(std::move(image));
    }
    return images;
}

}  // namespace

std::string target_verdict(const Operation& operation, int row, const Target& target) {
    const Rejection rejection = operation.misfit(row, target.facts);
    return rejection ? rejection_text(rejection, target) : "";
}

nlohmann::ordered_json row_json(const Operation& operation, int row, const Target* target) {
    nlohmann::ordered_json entry{{"op", operation.name()}, {"row", operation.row_name(row)}};
    for (const auto& [name, value] : operation.row_fields(row)) entry["fields"][name] = value;
    if (target != nullptr) {
        const std::string verdict = target_verdict(operation, row, *target);
        entry["runs"] = verdict.empty();
        if (!verdict.empty()) entry["text"] = verdict;
    }
    entry["images"] =
        images_json(operation, row, target ? std::optional(target->facts.build_target) : std::nullopt);
    return entry;
}

Result<nlohmann::ordered_json> kernels_json(std::string_view op, const Target* target) {
    if (!op.empty()) WW_TRY(find_operation(op).status());
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const Operation* operation : operations()) {
        if (!op.empty() && operation->name() != op) continue;
        for (int row = 0; row < operation->num_rows(); ++row)
            all.push_back(row_json(*operation, row, target));
    }
    return all;
}

}  // namespace warpwright
