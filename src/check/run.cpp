// SPDX-License-Identifier: Apache-2.0
#include "check/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "check/report.h"

namespace warpwright {
namespace {

int num_workers(const Context& context, const CheckRequest& request) {
    if (request.num_workers > 0) return request.num_workers;
    const BuildTarget target = context.target().facts.build_target;
    const bool on_gpu = target != BuildTarget::host && !context.device().identity().name.empty();
    return on_gpu ? static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 32u)) : 1;
}

std::vector<const OperationCheck*> selected_checks(const CheckRequest& request) {
    std::vector<const OperationCheck*> checks;
    for (const OperationCheck* check : operation_checks()) {
        if (request.op.empty() || request.op == check->op()) checks.push_back(check);
    }
    return checks;
}

int num_checks_on(const CheckRequest& request, const CheckRun& run) {
    int count = 0;
    for (const OperationCheck* check : selected_checks(request))
        count += check->num_checks(run.context->target().facts, request.rows);
    return count;
}

Status validate(const CheckRequest& request, std::span<const CheckRun> runs) {
    if (selected_checks(request).empty())
        return caller_error(fmt::format("no check for operation '{}'", request.op));
    for (const CheckRun& run : runs) {
        const std::string& target = run.context->target().id;
        if (num_checks_on(request, run) == 0 && request.rows.empty())
            return caller_error(fmt::format("no row of {} runs on {}", request.op, target));
        for (const std::string& row : request.rows) {
            if (num_checks_on({.op = request.op, .rows = {row}}, run) > 0) continue;
            return caller_error(fmt::format("no row named '{}' runs on {}", row, target));
        }
    }
    return {};
}

// The verb that makes the same report.
std::string command_of(const CheckRequest& request, const CheckRun& run) {
    std::string rows;
    for (const std::string& row : request.rows) rows += " --row " + row;
    return fmt::format("warpwright check --device {} --seed {}{}{}{}", run.device, request.seed,
                       request.op.empty() ? "" : " --op " + request.op, rows,
                       run.context->allows_contraction() ? "" : " --no-contraction");
}

}  // namespace

int num_checks(const CheckRequest& request, std::span<const CheckRun> runs) {
    int count = 0;
    for (const CheckRun& run : runs) count += num_checks_on(request, run);
    return count;
}

Status run_checks(const CheckRequest& request, std::span<CheckRun> runs, const CheckEvents& events) {
    WW_TRY(validate(request, runs));
    const int num_all = num_checks(request, runs);
    int num_done = 0;
    bool stopped = false;
    const auto progress = [&](const CheckResult& result) {
        ++num_done;
        stopped = stopped || (events.checked && !events.checked(result, num_done, num_all));
        return !stopped;
    };
    for (const OperationCheck* check : selected_checks(request)) {
        CheckAnswers answers;  // shared by the devices
        for (CheckRun& run : runs) {
            if (!stopped) {
                const auto start = std::chrono::steady_clock::now();
                const auto results = check->run(*run.context,
                                                {.rows = request.rows,
                                                 .seed = request.seed,
                                                 .num_workers = num_workers(*run.context, request),
                                                 .progress = progress},
                                                answers);
                run.seconds +=
                    std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
                if (events.finished_operation) events.finished_operation(run, check->op(), results);
                run.results.insert(run.results.end(), results.begin(), results.end());
            }
            run.stopped = stopped;
        }
    }
    return {};
}

nlohmann::ordered_json check_report(const CheckRequest& request, const CheckRun& run) {
    return check_report(*run.context, run.results,
                        {.device = run.device,
                         .command = command_of(request, run),
                         .seed = request.seed,
                         .seconds = run.seconds,
                         .stopped = run.stopped});
}

Result<std::vector<TrustVerdict>> keep_verdicts(Context& context, const CheckRun& run) {
    std::vector<TrustVerdict> verdicts;
    if (!run.context->allows_contraction()) return verdicts;  // of kernels that are not chosen
    verdicts = verdicts_of(run.results);
    // A row passes when all of its problems did.
    if (run.stopped) std::erase_if(verdicts, [](const TrustVerdict& verdict) { return verdict.passed; });
    WW_ASSIGN(const ForbiddenRows before, distrusted_rows(context.device()));
    WW_TRY(remember(context.device(), verdicts));
    WW_ASSIGN(const ForbiddenRows after, distrusted_rows(context.device()));
    const auto forbidden = context.forbidden();
    for (const auto& [row, reason] : before) {
        const auto known = forbidden->find(row);
        const bool ours = known != forbidden->end() && known->second == reason;  // not the caller's wish
        if (ours && !after.contains(row)) context.forbid(row, "");
    }
    for (const auto& [row, reason] : after) context.forbid(row, reason);
    return verdicts;
}

}  // namespace warpwright
