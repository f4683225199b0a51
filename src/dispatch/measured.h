// SPDX-License-Identifier: Apache-2.0
// From a tuning table to a row's time on a problem that may not be in it. Knows no family: what a batch
// changes about a problem is what its canonical() fixes, and times may be carried over along those fields
// only; every other field must be equal.
//
// From a measured call at most twice as large or small (in each of those fields), a row's time is
//   measured x predicted(this problem) / predicted(measured problem),
// so that the model says how times grow, and the measurement how high they are. Of several calls, the
// geometric mean counts, weighted by 1 / distance^2 in log2 of the fields; a call that is this very problem
// counts alone.
#pragma once

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <vector>

#include "dispatch/tuning.h"
#include "warpwright/target.h"

namespace warpwright {

constexpr double kFarthest = 1.001;  // log2 of what a field may differ by

// A field's value as 8 bytes, equal where the values are.
template <class Field>
u64 field_bits(const Field& field) {
    static_assert(std::is_trivially_copyable_v<Field> && sizeof(Field) <= sizeof(u64));
    u64 bits = 0;
    std::memcpy(&bits, &field, sizeof(Field));
    return bits;
}

template <class Problem>
Problem comparable(const Problem& problem) {  // fields that mean the same have the same value
    if constexpr (requires { problem.comparable(); }) {
        return problem.comparable();
    } else {
        return problem;
    }
}

// Which fields canonical() fixes, in the order of visit().
template <class Problem>
const std::vector<bool>& batch_fields() {
    static const std::vector<bool> fields = [] {
        Problem probe;
        i64 odd = 1'000'003;  // no canonical problem has these
        Problem::visit(probe, [&](const char*, auto& field) {
            if constexpr (std::is_same_v<std::decay_t<decltype(field)>, i64>) field = odd += 2;
        });
        const Problem fixed = probe.canonical();
        std::vector<u64> before;
        Problem::visit(probe, [&](const char*, const auto& field) { before.push_back(field_bits(field)); });
        std::vector<bool> changed;
        Problem::visit(fixed, [&](const char*, const auto& field) {
            changed.push_back(field_bits(field) != before[changed.size()]);
        });
        return changed;
    }();
    return fields;
}

struct FieldValue {
    u64 bits = 0;
    double log2 = 0;  // of a batch field
};

template <class Problem>
std::vector<FieldValue> field_values(const Problem& problem) {
    std::vector<FieldValue> values;
    const Problem same = comparable(problem);
    Problem::visit(same, [&](const char*, const auto& field) {
        FieldValue value{field_bits(field), 0};
        if (batch_fields<Problem>()[values.size()])
            value.log2 = std::log2(std::max(static_cast<double>(field), 0.5));
        values.push_back(value);
    });
    return values;
}

template <class Op>
struct MeasuredCall {
    typename Op::Problem problem;
    std::vector<FieldValue> values;
    std::vector<double> us;  // by index of the row; 0: not measured
};

// The table's entries of one operation, as its own types. Made once for a table.
template <class Op>
std::shared_ptr<const std::vector<MeasuredCall<Op>>> measured_calls(const TuningTable& table) {
    using Calls = std::vector<MeasuredCall<Op>>;
    static std::mutex mutex;
    static std::map<u64, std::shared_ptr<const Calls>> known;
    const std::lock_guard lock(mutex);
    auto& slot = known[table.id()];
    if (slot != nullptr) return slot;
    auto calls = std::make_shared<Calls>();
    for (const TuningEntry& entry : table.entries) {
        if (entry.op != Op::kName) continue;
        MeasuredCall<Op> call;
        if (!set_fields(call.problem, entry.problem, Op::kName).ok()) continue;  // checked when it was read
        call.values = field_values(call.problem);
        call.us.resize(Op::rows().size());
        for (const auto& [name, us] : entry.us) {
            for (std::size_t row = 0; row < call.us.size(); ++row) {
                if (name == Op::rows()[row].name.text) call.us[row] = us;
            }
        }
        calls->push_back(std::move(call));
    }
    slot = std::move(calls);
    return slot;
}

// The calls of a table that say something about a problem.
template <class Op>
class Measured {
public:
    Measured(const TuningTable& table, const TargetFacts& target, const typename Op::Problem& problem)
        : target_(target), problem_(problem) {
        if (table.entries.empty()) return;
        calls_ = measured_calls<Op>(table);
        const std::vector<FieldValue> values = field_values(problem);
        for (const MeasuredCall<Op>& call : *calls_) {
            const std::optional<double> distance = distance_between(values, call.values);
            if (!distance) continue;
            if (*distance == 0) {
                near_.assign(1, {&call, 0});
                return;
            }
            near_.push_back({&call, *distance});
        }
    }

    bool empty() const { return near_.empty(); }

    // Nothing where this row was not measured.
    std::optional<double> us(const typename Op::Row& row) const {
        const auto index = static_cast<std::size_t>(&row - Op::rows().data());
        double weights = 0, log_sum = 0, predicted_us = 0;
        for (const Near& near : near_) {
            const double measured_us = near.call->us[index];
            if (measured_us == 0) continue;
            if (near.distance == 0) return measured_us;
            if (predicted_us == 0) predicted_us = Op::predict(row, target_, problem_).us;
            const double there_us = Op::predict(row, target_, near.call->problem).us;
            const double weight = 1 / (near.distance * near.distance);
            weights += weight;
            log_sum += weight * std::log(measured_us * predicted_us / there_us);
        }
        if (weights == 0) return std::nullopt;
        return std::exp(log_sum / weights);
    }

private:
    struct Near {
        const MeasuredCall<Op>* call;
        double distance;
    };

    // Nothing where the calls cannot be compared, or are too far apart.
    static std::optional<double> distance_between(const std::vector<FieldValue>& a,
                                                  const std::vector<FieldValue>& b) {
        const std::vector<bool>& batch = batch_fields<typename Op::Problem>();
        double squares = 0;
        for (std::size_t i = 0; i < a.size(); ++i) {
            if (a[i].bits == b[i].bits) continue;
            const double apart = std::abs(a[i].log2 - b[i].log2);
            if (!batch[i] || apart > kFarthest) return std::nullopt;
            squares += apart * apart;
        }
        return std::sqrt(squares);
    }

    const TargetFacts& target_;
    const typename Op::Problem& problem_;
    std::shared_ptr<const std::vector<MeasuredCall<Op>>> calls_;
    std::vector<Near> near_;
};

}  // namespace warpwright
