// SPDX-License-Identifier: Apache-2.0
// The rows of a pass, as a plan names them and as they are launched.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "warpwright/plan.h"

namespace warpwright::test {

// In the order of a pass: the model's start, every layer, its end.
inline std::vector<std::string> planned_rows(const Plan& plan,
                                             Explanation PlannedLayer::*phase = &PlannedLayer::decode) {
    const auto is_layer = [](const PlannedLayer& planned) { return !planned.layers.empty(); };
    const auto first = std::find_if(plan.layers.begin(), plan.layers.end(), is_layer);
    const auto end = std::find_if_not(first, plan.layers.end(), is_layer);
    std::vector<std::string> rows;
    const auto add = [&](const PlannedLayer& planned) {
        if ((planned.*phase).op.empty()) return;  // launched in other passes only
        const Candidate* choice = (planned.*phase).choice();
        rows.push_back(choice == nullptr ? planned.name + " has no row" : choice->row);
    };
    std::for_each(plan.layers.begin(), first, add);
    for (int layer = 0; layer < plan.num_layers; ++layer) {
        for (auto planned = first; planned != end; ++planned) {
            if (std::count(planned->layers.begin(), planned->layers.end(), layer) == 1) add(*planned);
        }
    }
    std::for_each(end, plan.layers.end(), add);
    return rows;
}

// A merge belongs to the attention before it, whose Explanation speaks for both.
inline std::vector<std::string> without_merges(std::vector<std::string> rows) {
    std::erase_if(rows, [](const std::string& row) { return row.find("merge") != std::string::npos; });
    return rows;
}

inline std::vector<std::string> launched_rows(const Engine& engine) {
    return without_merges(engine.decode_rows());
}
inline std::vector<std::string> launched_rows(const Prepared& prepared) {
    std::vector<std::string> rows;
    for (const Prepared::Step& step : prepared.steps) rows.push_back(step.row);
    return without_merges(std::move(rows));
}

}  // namespace warpwright::test
