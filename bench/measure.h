// SPDX-License-Identifier: Apache-2.0
// Times one case on a device: the row that is chosen, or every row that serves.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/cases.h"
#include "bench/timing.h"

namespace warpwright::bench {

// A case on sets of buffers that together are four times the L2.
class Subject {
public:
    static Result<Subject> make(Context& context, const Case& item);

    // Of the row that is chosen, or forced.
    struct Prepareds {
        std::vector<Prepared> variants;
        std::string rows() const;  // "row", or "row + row" where a call is several launches
    };
    Result<Prepareds> prepare() const;

private:
    std::vector<std::unique_ptr<Buffers>> buffers_;
    std::vector<Preparer> preparers_;
};

struct RowTime {
    std::string row;
    double us = 0;            // median
    double predicted_us = 0;  // by the model, whatever the choice was based on
    bool rough = false;       // one launch, of a row that is far from the best
};

// Every row that serves the case, fastest first. `budget_us` of device time for each.
Result<std::vector<RowTime>> time_rows(Context& context, const Case& item, const Subject& subject,
                                       double budget_us);

}  // namespace warpwright::bench
