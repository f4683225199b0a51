// SPDX-License-Identifier: Apache-2.0
// The times of a plan's phases: rows' predictions added up, and what passes between GPUs.
#pragma once

#include <string_view>

#include "engine/config.h"
#include "warpwright/plan.h"

namespace warpwright {

// Adds up one phase, by kind of layer and by what binds.
class PhaseTimes {
public:
    explicit PhaseTimes(const TargetFacts& facts);

    void add(std::string_view op, const Prediction& prediction, double times);
    PlannedPhase phase(i64 tokens, double link_us) const;

private:
    double start_us_, total_us_ = 0;
    std::vector<TimePart> kinds_, limits_;
};

struct LinkChoice {
    std::string kind = "none";
    double gb_s = 0;  // both directions
    bool peer_access = false;
};

// The link of that kind, or the target's fastest. Caller error: it has none of that kind.
Result<LinkChoice> choose_link(const Target& target, const std::string& wanted);

// All-reduces and the gathering of logits in one pass of `tokens` rows. Modelled.
double link_us(const ModelConfig& config, const LinkChoice& link, int num_gpus, i64 tokens, i64 sequences);

}  // namespace warpwright
