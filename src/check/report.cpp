// SPDX-License-Identifier: Apache-2.0
#include "check/report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

namespace warpwright {
namespace {

using Json = nlohmann::ordered_json;

const char* outcome_name(CheckResult::Outcome outcome) {
    switch (outcome) {
        case CheckResult::Outcome::passed: return "passed";
        case CheckResult::Outcome::failed: return "failed";
        case CheckResult::Outcome::refused: return "refused";
    }
    return "?";
}

Json facts_json(const TargetFacts& facts) {
    return {{"compute_capability", facts.compute_capability},
            {"build_target", build_target_name(facts.build_target)},
            {"num_sms", facts.num_sms},
            {"boost_mhz", facts.boost_mhz},
            {"memory_bytes", facts.memory_bytes},
            {"memory_gb_s", facts.memory_gb_s},
            {"l2_bytes", facts.l2_bytes},
            {"shared_per_sm_bytes", facts.shared_per_sm_bytes},
            {"shared_per_block_bytes", facts.shared_per_block_bytes},
            {"max_threads_per_sm", facts.max_threads_per_sm}};
}

}  // namespace

Json check_report(Context& context, std::span<const CheckResult> results, const CheckReportHead& head) {
    const CheckSummary summary = summarize(results);
    Json json{{"device", head.device},
              {"target", context.target().id},
              {"gpu", context.target().name},
              {"driver", context.device().identity().driver},
              {"facts", facts_json(context.target().facts)},
              {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
              {"command", head.command},
              {"seed", head.seed},
              {"contraction", context.allows_contraction()},
              {"seconds", head.seconds},
              {"passed", summary.passed},
              {"failed", summary.failed},
              {"refused", summary.refused},
              {"rows", summary.rows}};
    if (head.stopped) json["stopped"] = true;
    json["results"] = Json::array();
    for (const CheckResult& result : results) {
        json["results"].push_back({{"op", result.op},
                                   {"row", result.row},
                                   {"problem", result.problem},
                                   {"outcome", outcome_name(result.outcome)},
                                   {"error", result.error},
                                   {"bound", result.bound},
                                   {"inputs", fmt::format("{:016x}", result.input_digest)},
                                   {"outputs", fmt::format("{:016x}", result.output_digest)},
                                   {"approximate", result.approximate},
                                   {"text", result.text}});
    }
    return json;
}

std::string report_text(const Json& reports) {
    return reports.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<TrustVerdict> verdicts_of(std::span<const CheckResult> results) {
    std::vector<TrustVerdict> verdicts;
    for (const CheckResult& result : results) {
        if (result.outcome == CheckResult::Outcome::refused || !result.tried) continue;
        auto known = std::find_if(verdicts.begin(), verdicts.end(), [&](const TrustVerdict& verdict) {
            return verdict.op == result.op && verdict.row == result.row;
        });
        if (known == verdicts.end())
            known = verdicts.insert(verdicts.end(), {result.op, result.row, true, ""});
        if (result.outcome == CheckResult::Outcome::passed || !known->passed) continue;
        known->passed = false;
        known->text = result.problem.empty() ? result.text : result.problem + ": " + result.text;
    }
    return verdicts;
}

}  // namespace warpwright
