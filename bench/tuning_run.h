// SPDX-License-Identifier: Apache-2.0
// What `warpwright tune` writes: a tuning table (dispatch/tuning.h) that grows problem by problem.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/cases.h"
#include "bench/measure.h"
#include "dispatch/tuning.h"

namespace warpwright::bench {

class TuningRun {
public:
    TuningRun(const Target& target, const std::string& driver, const std::string& command);

    // Goes on with the table at `path`, where there is one. Refused: a table that this library does not read,
    // or of another target.
    Status resume(const std::string& path);

    bool has(const std::string& op, const FieldTexts& problem) const;
    void add(const std::string& op, const FieldTexts& problem, const std::vector<RowTime>& times);

    const nlohmann::ordered_json& json() const { return json_; }
    Status save(const std::string& path) const;  // replaces the file at once; makes its folder

private:
    nlohmann::ordered_json json_;
};

// The case's problem: its fields that differ from the operation's defaults.
Result<FieldTexts> tuning_problem(const Target& target, const Case& item);

// How good the model's own choices are on the problems of a table, by its times.
struct ModelJudgement {
    struct Miss {
        std::string problem;  // "gemm m=16 n=4096 k=4096"
        std::string chosen, best;
        double times_best = 1;
    };
    int judged = 0;            // problems whose modelled choice was measured
    int good = 0;              // of them: within 15 % of the best row
    std::vector<Miss> misses;  // the others, the worst first
};
Result<ModelJudgement> judge_model(const Target& target, const TuningTable& table);
std::string judgement_lines(const ModelJudgement& judgement);

}  // namespace warpwright::bench
