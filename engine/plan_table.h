// SPDX-License-Identifier: Apache-2.0
// Several plans as tables of texts, which the terminal and the page draw: GPUs and formats of weights side by
// side, or one GPU at several contexts and batches.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "warpwright/plan.h"

namespace warpwright {

struct TableColumn {
    std::string head, unit;  // the unit, or a second line of the head
    bool number = true;      // aligned right
};

struct PlanTable {
    std::string title;  // "llama-3.1-8b at batch 1, context 2k, prompt 1k"; of a sweep: on which GPU
    std::vector<TableColumn> columns;
    std::vector<std::vector<std::string>> rows;
    std::vector<std::string>
        reasons;  // "rtx-5090: 3.1 GiB too much per GPU; what fits: ...", one per refusal
};

// One table that compares GPUs; or for each GPU one of the contexts and batches.
std::vector<PlanTable> plan_tables(std::span<const PlanPoint> points);

}  // namespace warpwright
