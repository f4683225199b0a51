// SPDX-License-Identifier: Apache-2.0
// Measured times: they decide where they speak of a problem, and nowhere else; flawed tables are refused.
#include "dispatch/tuning.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "dispatch/operation.h"
#include "kernels/attention/operation.h"
#include "kernels/gemm/operation.h"

namespace warpwright {
namespace {

constexpr const char* kGpu = "rtx-5090";

Explanation explain(std::string_view op, const FieldTexts& problem, const TuningTable& table,
                    ChoiceOptions options = {}) {
    options.tuning = &table;
    return *(*find_operation(op))->explain(*find_target(kGpu), problem, options);
}

FieldTexts gemm(i64 m, i64 n = 4096, i64 k = 4096) {
    return {{"m", std::to_string(m)}, {"n", std::to_string(n)}, {"k", std::to_string(k)}};
}

// Rows that serve, the likeliest first.
std::vector<const Candidate*> ranked(const Explanation& explanation) {
    std::vector<const Candidate*> rows;
    for (const Candidate& candidate : explanation.candidates)
        if (candidate.accepted) rows.push_back(&candidate);
    std::sort(rows.begin(), rows.end(),
              [](const Candidate* a, const Candidate* b) { return a->prediction.us < b->prediction.us; });
    return rows;
}

TuningTable table_of(std::string_view op, const FieldTexts& problem,
                     std::vector<std::pair<std::string, double>> us) {
    TuningTable table;
    table.target = kGpu;
    table.entries.push_back({std::string(op), problem, std::move(us)});
    return table;
}

// Absurd: every row takes a second, but for the one that is thought to be the slowest.
struct Absurd {
    explicit Absurd(const FieldTexts& problem) {
        const Explanation modelled = explain("gemm", problem, no_tuning());
        best = modelled.choice()->row;
        std::vector<std::pair<std::string, double>> us;
        for (const Candidate* candidate : ranked(modelled)) us.emplace_back(candidate->row, 1e6);
        us.back().second = 1;
        worst = us.back().first;
        table = table_of("gemm", problem, std::move(us));
    }
    std::string best, worst;
    TuningTable table;
};

TEST(Tuning, AnAbsurdEntryChangesTheChoiceAndSaysSo) {
    const Absurd absurd(gemm(512));
    ASSERT_NE(absurd.best, absurd.worst);
    const Explanation explanation = explain("gemm", gemm(512), absurd.table);
    EXPECT_EQ(explanation.choice()->row, absurd.worst);
    EXPECT_EQ(explanation.choice()->basis, "measured");
    EXPECT_EQ(explanation.choice()->prediction.us, 1);
    EXPECT_NE(to_text(explanation).find("(measured)"), std::string::npos);
    EXPECT_NE(to_json(explanation).find("\"basis\": \"measured\""), std::string::npos);
    const auto row =
        choose<GemmOp>(*find_target(kGpu), {.m = 512, .n = 4096, .k = 4096}, {.tuning = &absurd.table});
    ASSERT_TRUE(row.ok());
    EXPECT_EQ((*row)->name.text, absurd.worst);
}

TEST(Tuning, OtherProblemsAreModelled) {
    const Absurd absurd(gemm(512));
    const FieldTexts others[] = {gemm(1100), gemm(200), gemm(512, 4104), gemm(512, 4096, 4104)};
    for (const FieldTexts& problem : others) {
        const Explanation tuned = explain("gemm", problem, absurd.table);
        EXPECT_EQ(tuned.choice()->row, explain("gemm", problem, no_tuning()).choice()->row);
        EXPECT_EQ(tuned.choice()->basis, "modelled");
    }
    FieldTexts biased = gemm(512);
    biased.emplace_back("bias", "true");
    EXPECT_EQ(explain("gemm", biased, absurd.table).choice()->basis, "modelled");
}

TEST(Tuning, ForcedAndBatchInvariantChoicesAreAsWithout) {
    const Absurd absurd(gemm(128));  // what a batch-invariant choice is made for
    const Explanation forced = explain("gemm", gemm(128), absurd.table, {.forced = absurd.best});
    EXPECT_EQ(forced.choice()->row, absurd.best);
    for (i64 m : {1, 128, 4096}) {
        const Explanation tuned = explain("gemm", gemm(m), absurd.table, {.batch_invariant = true});
        const Explanation plain = explain("gemm", gemm(m), no_tuning(), {.batch_invariant = true});
        EXPECT_EQ(tuned.choice()->row, plain.choice()->row);
        EXPECT_EQ(tuned.choice()->basis, "modelled");
    }
}

TEST(Tuning, TimesBetweenMeasuredCallsGrowAsTheModelSays) {
    const Explanation at_256 = explain("gemm", gemm(256), no_tuning()),
                      at_512 = explain("gemm", gemm(512), no_tuning()),
                      at_360 = explain("gemm", gemm(360), no_tuning());
    // Both calls took three times what the model says: so does one between.
    TuningTable table;
    for (const auto& [m, explanation] : {std::pair{256, &at_256}, {512, &at_512}}) {
        std::vector<std::pair<std::string, double>> us;
        for (const Candidate* candidate : ranked(*explanation))
            us.emplace_back(candidate->row, 3 * candidate->prediction.us);
        table.entries.push_back({"gemm", gemm(m), std::move(us)});
    }
    const Explanation tuned = explain("gemm", gemm(360), table);
    for (std::size_t i = 0; i < tuned.candidates.size(); ++i) {
        if (!tuned.candidates[i].accepted) continue;
        EXPECT_EQ(tuned.candidates[i].basis, "measured");
        EXPECT_NEAR(tuned.candidates[i].prediction.us / at_360.candidates[i].prediction.us, 3, 1e-6);
    }
    // Nearer to one than to the other in log2: that one weighs more.
    TuningTable steeper;  // a table of its own: what was read from one is remembered by its id
    steeper.entries = table.entries;
    for (auto& [row, us] : steeper.entries[1].us) us *= 2;
    const double ratio_360 =
        explain("gemm", gemm(360), steeper).choice()->prediction.us / at_360.choice()->prediction.us;
    const double ratio_300 = explain("gemm", gemm(300), steeper).choice()->prediction.us /
                             explain("gemm", gemm(300), no_tuning()).choice()->prediction.us;
    EXPECT_GT(ratio_300, 3);
    EXPECT_LT(ratio_300, ratio_360);
    EXPECT_LT(ratio_360, 6);
}

TEST(Tuning, ARowThatWasNotMeasuredHasItsModelledTime) {
    const Explanation modelled = explain("gemm", gemm(512), no_tuning());
    const auto rows = ranked(modelled);
    ASSERT_GE(rows.size(), 2u);
    const TuningTable table = table_of("gemm", gemm(512), {{rows[0]->row, 2 * rows[1]->prediction.us}});
    const Explanation tuned = explain("gemm", gemm(512), table);
    EXPECT_EQ(tuned.choice()->row, rows[1]->row);
    EXPECT_EQ(tuned.choice()->basis, "modelled");
    EXPECT_EQ(tuned.choice()->prediction.us, rows[1]->prediction.us);
}

TEST(Tuning, CallsThatMeanTheSameAreTheSame) {
    // A workspace for fewer than 256 splits, and tokens that were counted or not.
    const FieldTexts measured{{"sequences", "64"}, {"max_kv_len", "8192"}};
    const auto row = ranked(explain("attention", measured, no_tuning()))[0]->row;
    const TuningTable table = table_of("attention", measured, {{row, 1.0}});
    FieldTexts same = measured;
    same.insert(same.end(), {{"q_tokens", "64"}, {"max_splits", "17"}});
    EXPECT_EQ(explain("attention", same, table).choice()->prediction.us, 1);
    // Without room for any split it is another call.
    same.back().second = "1";
    EXPECT_EQ(explain("attention", same, table).choice()->basis, "modelled");
    // Several batch fields at once: each within a factor of two.
    EXPECT_EQ(explain("attention", {{"sequences", "40"}, {"max_kv_len", "12000"}}, table).choice()->basis,
              "measured");
    EXPECT_EQ(explain("attention", {{"sequences", "40"}, {"max_kv_len", "17000"}}, table).choice()->basis,
              "modelled");
}

TEST(Tuning, FlawedTablesAreRefused) {
    const auto error_of = [](const std::string& text) {
        const auto table = TuningTable::parse(text, "table.json");
        EXPECT_FALSE(table.ok());
        return table.ok() ? "" : table.status().message();
    };
    const auto entry = [](const char* op, const char* problem, const char* us) {
        return fmt::format(R"({{"target": "h200", "entries": [{{"op": "{}", "problem": {}, "us": {}}}]}})",
                           op, problem, us);
    };
    const std::string row = GemmOp::rows()[0].name.text;
    const std::string fine = fmt::format(R"({{"{}": 1.5}})", row);
    EXPECT_TRUE(TuningTable::parse(entry("gemm", R"({"m": 4})", fine.c_str()), "table.json").ok());
    EXPECT_EQ(error_of("{"), "table.json: expected a table of 'warpwright tune'");
    EXPECT_EQ(error_of(R"({"target": "h200", "entries": [3]})"),
              R"(table.json: entry 0: expected {"op", "problem": {}, "us": {}})");
    EXPECT_EQ(error_of(entry("gem", "{}", "{}")),
              "table.json: entry 0: unknown operation 'gem'; nearest: gemm");
    EXPECT_EQ(error_of(entry("gemm", R"({"mm": 4})", "{}"))
                  .find("table.json: entry 0: gemm: no field 'mm'; fields: m, n, k"),
              0u);
    EXPECT_EQ(error_of(entry("gemm", R"({"m": "four"})", "{}")),
              "table.json: entry 0: m: expected an integer, got 'four'");
    EXPECT_EQ(error_of(entry("gemm", "{}", fmt::format(R"({{"{}x": 1}})", row).c_str())),
              fmt::format("table.json: entry 0: gemm: no row named '{}x'; nearest: {}", row, row));
    for (const char* us : {"0", "-1", "\"1\"", "null"}) {
        EXPECT_NE(error_of(entry("gemm", "{}", fmt::format(R"({{"{}": {}}})", row, us).c_str()))
                      .find("expected microseconds above 0"),
                  std::string::npos);
    }
}

TEST(Tuning, AUsersEntriesGoFirst) {
    TuningTable table = table_of("gemm", gemm(1), {{"a", 1.0}});
    table.entries.push_back({"gemm", gemm(2), {{"b", 2.0}}});
    const u64 id = table.id();
    TuningTable own = table_of("gemm", gemm(2), {{"c", 3.0}});
    own.entries.push_back({"gemm", gemm(4), {{"d", 4.0}}});
    table.take(own);
    ASSERT_EQ(table.entries.size(), 3u);
    EXPECT_EQ(table.entries[0].us[0].first, "a");
    EXPECT_EQ(table.entries[1].us[0].first, "c");
    EXPECT_EQ(table.entries[2].us[0].first, "d");
    EXPECT_NE(table.id(), id);
}

TEST(Tuning, EveryShippedTableIsOfATargetAndReads) {
    for (const Target& target : targets()) {
        const TargetTuning& tuning = tuning_for(target.id);
        if (tuning.table.entries.empty()) continue;
        EXPECT_EQ(tuning.table.target, target.id);
    }
}

TEST(Tuning, BatchFieldsAreWhatCanonicalFixes) {
    std::vector<std::string> names;
    std::size_t i = 0;
    const AttentionProblem problem;
    AttentionProblem::visit(problem, [&](const char* name, const auto&) {
        if (batch_fields<AttentionProblem>()[i++]) names.emplace_back(name);
    });
    EXPECT_EQ(names, (std::vector<std::string>{"sequences", "max_q_len", "max_kv_len", "q_tokens",
                                               "max_splits", "listed_keys"}));
}

}  // namespace
}  // namespace warpwright
