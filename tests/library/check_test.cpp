// SPDX-License-Identifier: Apache-2.0
// ww_check: every row, one operation, one row; progress, an early end, errors; and what it leaves untouched.
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "image/nvrtc.h"
#include "image/pack.h"
#include "library/c_calls.h"

namespace warpwright {
namespace {

using Json = nlohmann::json;

// What progress was called with, and when to stop.
struct Steps {
    std::vector<std::string> rows;
    std::set<int32_t> totals;
    std::size_t stop_after = ~std::size_t{0};
    bool in_order = true;
};

ww_check_options options_of(Steps& steps) {
    ww_check_options options{sizeof(ww_check_options)};
    options.user = &steps;
    options.progress = [](void* user, const char* row, int32_t num_done, int32_t num_checks) -> int32_t {
        auto& seen = *static_cast<Steps*>(user);
        seen.rows.emplace_back(row);
        seen.totals.insert(num_checks);
        seen.in_order = seen.in_order && seen.rows.size() == static_cast<std::size_t>(num_done);
        return seen.rows.size() >= seen.stop_after ? 7 : 0;
    };
    return options;
}

Json check(ww_context* context, const ww_check_options* options) {
    return Json::parse(text_of([&](char** report) { return ww_check(context, options, report); }));
}

std::set<std::string> rows_of(const Json& results, const char* outcome) {
    std::set<std::string> rows;
    for (const Json& result : results)
        if (result["outcome"] == outcome) rows.insert(result["row"]);
    return rows;
}

TEST(Check, HoldsEveryRowOfAnOperation) {
    const ContextHandle context = open_context("cpu");
    ww_check_options options{sizeof(ww_check_options)};
    options.op = "rmsnorm";
    const Json report = check(context.get(), &options);
    EXPECT_EQ(report["failed"], 0) << report.dump();
    EXPECT_EQ(report["device"], "cpu");
    EXPECT_EQ(report["command"], "warpwright check --device cpu --seed 1 --op rmsnorm");
    EXPECT_FALSE(report.contains("stopped"));
    std::set<std::string> expected;
    for (const Json& row :
         Json::parse(text_of([](char** json) { return ww_kernels_json("rmsnorm", "cpu", json); }))) {
        if (row["runs"]) expected.insert(row["row"]);
    }
    EXPECT_GT(expected.size(), 1u);
    EXPECT_EQ(rows_of(report["results"], "passed"), expected);
}

TEST(Check, OfTheDeviceIsThatOfEveryOperation) {
    const ContextHandle context = open_context("cpu");
    const auto num_checks = [&](const char* op) {
        Steps steps;
        steps.stop_after = 1;
        ww_check_options options = options_of(steps);
        options.op = op;
        check(context.get(), &options);
        EXPECT_EQ(steps.rows.size(), 1u);
        return *steps.totals.begin();
    };
    std::set<std::string> ops;
    for (const Json& row :
         Json::parse(text_of([](char** json) { return ww_kernels_json(nullptr, "cpu", json); }))) {
        if (row["runs"]) ops.insert(row["op"]);
    }
    EXPECT_GE(ops.size(), 9u);
    int32_t sum = 0;
    for (const std::string& op : ops) sum += num_checks(op.c_str());
    EXPECT_EQ(num_checks(nullptr), sum);
}

TEST(Check, TellsItsProgressAndStops) {
    const ContextHandle context = open_context("cpu");
    Steps steps;
    ww_check_options options = options_of(steps);
    options.op = "embedding";
    options.seed = 5;
    const Json whole = check(context.get(), &options);
    EXPECT_EQ(whole["command"], "warpwright check --device cpu --seed 5 --op embedding");
    EXPECT_EQ(steps.rows.size(), whole["results"].size());
    EXPECT_EQ(steps.totals, std::set<int32_t>{static_cast<int32_t>(whole["results"].size())});
    EXPECT_TRUE(steps.in_order);

    for (const int32_t num_workers : {1, 3}) {
        Steps few;
        few.stop_after = 4;
        options = options_of(few);
        options.num_workers = num_workers;
        const Json part = check(context.get(), &options);
        EXPECT_EQ(part["stopped"], true);
        EXPECT_EQ(part["failed"], 0) << "what was not checked has not failed: " << part.dump();
        // Other workers may end the check that they are at.
        EXPECT_GE(part["results"].size(), 4u);
        EXPECT_LE(part["results"].size(), 4u + static_cast<std::size_t>(num_workers) - 1);
        EXPECT_TRUE(few.in_order);
    }
}

TEST(Check, LeavesWishesAlone) {
    const ContextHandle context = open_context("cpu");
    ASSERT_WW_OK(ww_context_force(context.get(), "gated_activation", "gated_activation.host.f16"));
    ASSERT_WW_OK(ww_context_forbid(context.get(), "gated_activation.host.bf16", "not today"));
    ww_check_options options{sizeof(ww_check_options)};
    options.op = "gated_activation";
    const Json report = check(context.get(), &options);
    EXPECT_EQ(report["failed"], 0);
    EXPECT_EQ(report["rows"], 2) << "what is forbidden is checked all the same";

    std::vector<u16> numbers(32);
    ww_gated_activation call{sizeof(ww_gated_activation)};
    call.gate = call.up = call.out = c_tensor(Tensor::dense(numbers.data(), DType::bf16, {2, 16}));
    EXPECT_EQ(ww_run_gated_activation(context.get(), &call, nullptr), WW_ERROR_NO_KERNEL);
    EXPECT_NE(std::string(ww_last_error()).find("the forced row gated_activation.host.f16"),
              std::string::npos)
        << ww_last_error();
    ASSERT_WW_OK(ww_context_force(context.get(), "gated_activation", nullptr));
    EXPECT_EQ(ww_run_gated_activation(context.get(), &call, nullptr), WW_ERROR_NO_KERNEL);
    EXPECT_NE(std::string(ww_last_error()).find("not today"), std::string::npos) << ww_last_error();
}

TEST(Check, RunsOnAnEmulatedGpu) {
    if (Pack::linked().entries().empty() && !nvrtc().ok()) GTEST_SKIP() << "needs compiled kernels";
    const ContextHandle context = open_context("emulated:rtx-5090");
    ww_check_options options{sizeof(ww_check_options)};
    options.row = "embedding.portable.any";
    const Json report = check(context.get(), &options);
    EXPECT_EQ(report["failed"], 0) << report.dump();
    EXPECT_GT(report["passed"], 0);
    EXPECT_EQ(report["rows"], 1);
    EXPECT_EQ(report["target"], "rtx-5090");

    options.forbid_contraction = 1;
    EXPECT_EQ(check(context.get(), &options)["contraction"], false);
    EXPECT_EQ(report["contraction"], true);
}

TEST(Check, SaysWhatIsWrong) {
    const ContextHandle context = open_context("cpu");
    ww_check_options options{sizeof(ww_check_options)};
    char* report = nullptr;
    const auto message = [&](ww_context* of) {
        EXPECT_EQ(ww_check(of, &options, &report), WW_ERROR_CALLER);
        EXPECT_EQ(report, nullptr);
        return std::string(ww_last_error());
    };
    EXPECT_EQ(message(nullptr), "ww_check: expected a context, got null");
    options.op = "embeding";
    EXPECT_NE(message(context.get()).find("embedding"), std::string::npos) << "the nearest name";
    options.op = nullptr;
    options.row = "embedding.portable.any";
    EXPECT_EQ(message(context.get()), "no row named 'embedding.portable.any' runs on cpu");
    options.row = nullptr;
    options.num_workers = -1;
    EXPECT_EQ(message(context.get()), "ww_check: num_workers: expected 0 or more, got -1");
    EXPECT_EQ(ww_check(context.get(), nullptr, nullptr), WW_ERROR_CALLER);
}

}  // namespace
}  // namespace warpwright
