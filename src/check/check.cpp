// SPDX-License-Identifier: Apache-2.0
#include "check/check.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <set>
#include <thread>
#include <tuple>

#include "image/store.h"

namespace warpwright {

std::string problem_text(const FieldTexts& fields) {
    std::string text;
    for (const auto& [name, value] : fields) text += (text.empty() ? "" : " ") + name + "=" + value;
    return text;
}

void run_parallel(int num_workers, int count, const std::function<void(int worker, int index)>& task) {
    std::atomic<int> next{0};
    std::mutex mutex;
    std::exception_ptr thrown;  // the first
    const auto work = [&](int worker) {
        try {
            for (int index = next++; index < count; index = next++) task(worker, index);
        } catch (...) {
            const std::lock_guard lock(mutex);
            if (thrown == nullptr) thrown = std::current_exception();
            next = count;  // no more of them
        }
    };
    {
        std::vector<std::jthread> threads;  // joined where one cannot be made, too
        for (int worker = 1; worker < std::min(num_workers, count); ++worker)
            threads.emplace_back(work, worker);
        work(0);
    }
    if (thrown != nullptr) std::rethrow_exception(thrown);
}

bool has_image(Context& context, ImageSpec spec) {
    spec.contracts = context.allows_contraction();
    return ImageStore::shared().get(spec).ok();
}

bool is_approximate(Context& context, ImageSpec spec) {
    spec.contracts = context.allows_contraction();
    const auto image = ImageStore::shared().get(spec);
    return image.ok() && (*image)->ptx.find(".approx") != std::string::npos;
}

BitComparison compare_bits(const std::vector<CheckResult>& results, const std::vector<CheckResult>& others) {
    std::map<std::tuple<std::string, std::string, std::string>, const CheckResult*> known;
    for (const CheckResult& other : others) {
        if (other.output_digest != 0) known[{other.op, other.row, other.problem}] = &other;
    }
    BitComparison comparison;
    for (const CheckResult& result : results) {
        if (result.outcome == CheckResult::Outcome::refused) continue;
        const auto found = known.find({result.op, result.row, result.problem});
        if (found == known.end() || result.output_digest == 0) {
            ++comparison.unknown;
        } else if (found->second->input_digest != result.input_digest) {
            ++comparison.other_inputs;
        } else if (found->second->output_digest == result.output_digest) {
            ++comparison.equal;
        } else if (result.approximate) {
            ++comparison.approximate;
        } else {
            comparison.different.push_back(&result);
        }
    }
    return comparison;
}

CheckSummary summarize(std::span<const CheckResult> results) {
    CheckSummary summary;
    std::set<std::string> rows;
    for (const CheckResult& result : results) {
        switch (result.outcome) {
            case CheckResult::Outcome::passed:
                ++summary.passed;
                rows.insert(result.row);
                break;
            case CheckResult::Outcome::failed: ++summary.failed; break;
            case CheckResult::Outcome::refused: ++summary.refused; break;
        }
    }
    summary.rows = static_cast<int>(rows.size());
    return summary;
}

}  // namespace warpwright
