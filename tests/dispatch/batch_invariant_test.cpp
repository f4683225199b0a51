// SPDX-License-Identifier: Apache-2.0
// Batch-invariant choices: one row for every size of the batch.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "dispatch/operation.h"
#include "warpwright/ops/gemm.h"

namespace warpwright {
namespace {

// The fields of a problem that say how much is in the batch.
FieldTexts batch_fields(const Operation& operation, i64 tokens, i64 sequences, i64 kv_len) {
    FieldTexts fields;
    for (const auto& [name, value] : operation.default_problem()) {
        if (name == "m" || name == "tokens" || name == "rows" || name == "q_tokens" || name == "slots" ||
            name == "length")
            fields.emplace_back(name, field_text(tokens));
        if (name == "sequences") fields.emplace_back(name, field_text(sequences));
        if (name == "max_q_len") fields.emplace_back(name, field_text(tokens - sequences + 1));
        if (name == "max_kv_len") fields.emplace_back(name, field_text(kv_len));
    }
    return fields;
}

TEST(BatchInvariantChoice, IsOneRowForEveryBatch) {
    for (const Operation* operation : operations()) {
        int differ_otherwise = 0;
        for (const Target& target : targets()) {
            std::set<std::string> rows, others;
            for (const i64 tokens : {1, 2, 3, 8, 16, 17, 64, 128, 500, 2048, 8192}) {
                for (const i64 sequences : {i64{1}, (tokens + 1) / 2, tokens}) {
                    const FieldTexts fields = batch_fields(*operation, tokens, sequences, 100 * tokens);
                    ASSERT_FALSE(fields.empty()) << operation->name();
                    // quantized_experts is for few tokens alone.
                    const auto freely = operation->explain(target, fields, {});
                    ASSERT_TRUE(freely.ok()) << freely.status().message();
                    if (operation->name() == "quantized_experts" && freely->choice() == nullptr) continue;
                    const auto chosen = operation->explain(target, fields, {.batch_invariant = true});
                    ASSERT_TRUE(chosen.ok()) << chosen.status().message();
                    ASSERT_NE(chosen->choice(), nullptr) << operation->name() << " on " << target.id;
                    rows.insert(chosen->choice()->row);
                    others.insert(freely->choice()->row);
                }
            }
            EXPECT_EQ(rows.size(), 1u) << operation->name() << " on " << target.id;
            differ_otherwise += others.size() > 1;
        }
        if (operation->name() == "gemm" || operation->name() == "attention") {
            EXPECT_GT(differ_otherwise, 0) << operation->name();
        }
    }
}

TEST(BatchInvariantChoice, SaysWhatItWasMadeFor) {
    const auto gemm = find_operation("gemm");
    const auto target = find_target("h200");  // has no tuning table: times are the model's
    const auto explanation =
        (*gemm)->explain(*target, {{"m", "1"}, {"n", "4096"}, {"k", "4096"}}, {.batch_invariant = true});
    ASSERT_TRUE(explanation.ok());
    EXPECT_EQ(explanation->chosen_for, (FieldTexts{{"m", "128"}}));
    EXPECT_NE(to_text(*explanation).find("(batch-invariant: chosen for m=128)"), std::string::npos);
    const auto json = nlohmann::json::parse(to_json(*explanation));
    EXPECT_EQ(json["chosen"]["batch_invariant"], (nlohmann::json{{"m", 128}}));
    // Times are those of the problem itself.
    const auto itself = (*gemm)->explain(*target, {{"m", "1"}}, {.forced = explanation->choice()->row});
    EXPECT_EQ(explanation->choice()->prediction.us, itself->choice()->prediction.us);
}

TEST(BatchInvariantChoice, RefusesARowForSmallBatchesOnly) {
    const auto gemm = find_operation("gemm");
    const std::string row = "gemm.bandwidth.bf16.m8.n16";
    const auto explanation =
        (*gemm)->explain(*find_target("h100"), {{"m", "1"}}, {.forced = row, .batch_invariant = true});
    ASSERT_TRUE(explanation.ok());
    EXPECT_EQ(explanation->choice(), nullptr);
    const std::string message = no_row_error(*explanation, row).message();
    EXPECT_NE(message.find("chosen for m=128"), std::string::npos) << message;
    EXPECT_NE(message.find("m: needs at most 8, got 128"), std::string::npos) << message;
}

// A batch of one row may be aligned by chance where more rows are not.
TEST(BatchInvariantChoice, CountsStridesOfSingleRows) {
    const auto context = Context::open("emulated:h100-sxm,checks=off");
    ASSERT_TRUE(context.ok()) << context.status().message();
    const i64 n = 8, k = 20;  // rows of 40 bytes
    auto buffer = Buffer::allocate((*context)->shared_device(), 4096);
    ASSERT_TRUE(buffer.ok());
    const auto row_for = [&](i64 m, bool batch_invariant) {
        auto* start = buffer->as<std::byte>();
        Prepared prepared;
        prepared.batch_invariant = batch_invariant;
        // B's rows are padded to 64 bytes: it is A that is aligned or not.
        Tensor b = Tensor::dense(start + 1024, DType::bf16, {n, k});
        b.stride[0] = 32;
        const Gemm call{.a = Tensor::dense(start, DType::bf16, {m, k}),
                        .b = b,
                        .d = Tensor::dense(start + 2048, DType::f32, {m, n})};
        const Status status = prepare(**context, call, prepared);
        EXPECT_TRUE(status.ok()) << status.message();
        return prepared.steps[0].row;
    };
    EXPECT_NE(row_for(1, false), row_for(2, false));
    EXPECT_EQ(row_for(1, true), row_for(2, true));
}

}  // namespace
}  // namespace warpwright
