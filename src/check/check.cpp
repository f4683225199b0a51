// SPDX-License-Identifier: Apache-2.0
#include "check/check.h"

#include <set>

namespace warpwright {

std::string problem_text(const FieldTexts& fields) {
    std::string text;
    for (const auto& [name, value] : fields) text += (text.empty() ? "" : " ") + name + "=" + value;
    return text;
}

CheckSummary summarize(const std::vector<CheckResult>& results) {
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
