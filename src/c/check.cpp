// SPDX-License-Identifier: Apache-2.0
// Rows against their oracles: `warpwright check` for callers of the C ABI.
#include "check/run.h"

#include <nlohmann/json.hpp>

#include "c/handles.h"
#include "check/report.h"
#include "dispatch/operation.h"

using namespace warpwright;
using namespace warpwright::c;

namespace {

Result<CheckRequest> request_of(const ww_check_options& options) {
    CheckRequest request{.op = std::string(text_or_empty(options.op)), .num_workers = options.num_workers};
    if (const std::string_view row = text_or_empty(options.row); !row.empty()) request.rows.emplace_back(row);
    if (options.seed != 0) request.seed = options.seed;
    if (options.num_workers < 0) {
        return caller_error("ww_check: num_workers: expected 0 or more, got " +
                            std::to_string(options.num_workers));
    }
    if (!request.op.empty()) WW_TRY(find_operation(request.op).status());
    return request;
}

Status check(Context& context, const ww_check_options& options, char** report) {
    WW_ASSIGN(const CheckRequest request, request_of(options));
    CheckRun run{.device = context.device().id(), .context = context.sibling()};
    if (options.forbid_contraction != 0) run.context->forbid_contraction();
    CheckEvents events;
    if (options.progress != nullptr) {
        events.checked = [&](const CheckResult& result, int num_done, int num_checks) {
            return options.progress(options.user, result.row.c_str(), num_done, num_checks) == 0;
        };
    }
    WW_TRY(run_checks(request, std::span(&run, 1), events));
    WW_TRY(keep_verdicts(context, run).status());
    WW_ASSIGN(*report, new_text(report_text(check_report(request, run))));
    return {};
}

}  // namespace

ww_status ww_check(ww_context* context, const ww_check_options* options, char** report) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, "ww_check", "a context"));
        WW_TRY(need(report, "ww_check", "where to put the report"));
        ww_check_options known{};
        if (options != nullptr) {
            WW_ASSIGN(known, read_struct("ww_check", options));
        }
        return check(*context->context, known, report);
    });
}
