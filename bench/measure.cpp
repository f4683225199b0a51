// SPDX-License-Identifier: Apache-2.0
#include "bench/measure.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dispatch/operation.h"
#include "dispatch/tuning.h"

namespace warpwright::bench {
namespace {

// Enough sets of buffers that a walk over all of them is four times the L2, within a budget of memory.
int num_variants(const Target& target, double bytes) {
    if (target.facts.build_target == BuildTarget::host) return 1;
    const double l2_bytes = std::max<double>(static_cast<double>(target.facts.l2_bytes), 32e6);
    return std::clamp(static_cast<int>(std::ceil(4 * l2_bytes / bytes)), 2, 40);
}

}  // namespace

Result<Subject> Subject::make(Context& context, const Case& item) {
    Subject subject;
    for (int i = 0; i < num_variants(context.target(), item.bytes); ++i) {
        subject.buffers_.push_back(std::make_unique<Buffers>(context));
        WW_ASSIGN(Preparer preparer, item.make(context, *subject.buffers_.back()));
        WW_TRY(subject.buffers_.back()->status());
        subject.preparers_.push_back(std::move(preparer));
    }
    return subject;
}

Result<Subject::Prepareds> Subject::prepare() const {
    Prepareds prepareds;
    for (const Preparer& preparer : preparers_) {
        prepareds.variants.emplace_back();
        WW_TRY(preparer(prepareds.variants.back()));
    }
    return prepareds;
}

std::string Subject::Prepareds::rows() const {
    std::string text;
    for (const Prepared::Step& step : variants.front().steps) text += (text.empty() ? "" : " + ") + step.row;
    return text;
}

Result<std::vector<RowTime>> time_rows(Context& context, const Case& item, const Subject& subject,
                                       double budget_us) {
    WW_ASSIGN(const Operation* operation, find_operation(item.operation()));
    WW_ASSIGN(const Explanation explanation,
              operation->explain(context.target(), item.fields, {.tuning = &no_tuning()}));
    // The likeliest first: what is far from the best is not timed for long.
    std::vector<const Candidate*> candidates;
    for (const Candidate& candidate : explanation.candidates) {
        if (candidate.accepted) candidates.push_back(&candidate);
    }
    std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate* a, const Candidate* b) {
        return a->prediction.us < b->prediction.us;
    });
    const std::string forced_before = context.forced(item.operation());
    std::vector<RowTime> times;
    double best_us = std::numeric_limits<double>::infinity();
    Status failure;
    for (const Candidate* candidate : candidates) {
        context.force(item.operation(), candidate->row);
        auto prepared = subject.prepare();
        // A call's own problem may differ from the case's fields where a row is particular about it.
        if (!prepared.ok() && prepared.status().kind() == ErrorKind::no_kernel) continue;
        if (!prepared.ok()) {
            failure = prepared.status();
            break;
        }
        const TimingBudget budget{.us = budget_us, .give_up_us = 3 * best_us + 20};
        const auto timing = time_prepared(context, prepared->variants, budget);
        if (!timing.ok()) {
            failure = timing.status();
            break;
        }
        times.push_back({candidate->row, timing->median_us, candidate->prediction.us,
                         timing->num_launches == 1 && timing->median_us > budget.give_up_us});
        best_us = std::min(best_us, timing->median_us);
    }
    context.force(item.operation(), forced_before);
    WW_TRY(failure);
    std::stable_sort(times.begin(), times.end(),
                     [](const RowTime& a, const RowTime& b) { return a.us < b.us; });
    return times;
}

}  // namespace warpwright::bench
