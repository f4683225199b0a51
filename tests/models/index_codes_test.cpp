// SPDX-License-Identifier: Apache-2.0
// The small DeepSeek-V3.2, its indexer's keys kept as codes: what is in the pages, and the scores that come
// of them, to the bit.
#include <cstring>
#include <set>

#include "kernels/attention/index_logits/problem.h"
#include "models/rounded_cache.h"
#include "models/small_model.h"

namespace warpwright::test {
namespace {

class IndexCodes : public testing::TestWithParam<std::string> {
protected:
    const SmallModel& model = small_model("deepseek-v32");
    const std::vector<i32> prompt = model.golden()["prompts"].back()["tokens"].get<std::vector<i32>>();
    const i64 num_tokens = static_cast<i64>(prompt.size());

    OnePass pass(KvFormat format) const {
        return OnePass(opened(GetParam()), format, prompt, {}, model.folder());
    }

    // Of the first layer, in which all caches' keys come of the same numbers: of every key that a query sees.
    // `before`: its launch.
    std::vector<float> scores(OnePass& of, const std::function<void()>& before = {}) const {
        std::vector<float> seen;
        const auto is_first = [&](const Prepared::Step& step) {
            return seen.empty() && step.row.starts_with("index_logits.");
        };
        of.run(
            [&](const Prepared::Step& step) {
                if (before && is_first(step)) before();
            },
            [&](const Prepared::Step& step) {
                if (!is_first(step)) return;
                IndexLogitsArgs args;
                ASSERT_EQ(step.args.size(), sizeof(args));
                std::memcpy(&args, step.args.data(), sizeof(args));
                const auto all = of.from_device<float>(
                    args.logits, static_cast<std::size_t>(num_tokens * args.logits_stride));
                for (i64 token = 0; token < num_tokens; ++token) {
                    const auto row = all.begin() + token * args.logits_stride;
                    seen.insert(seen.end(), row, row + token + 1);
                }
            });
        return seen;
    }
};

TEST_P(IndexCodes, PagesHaveWhatLatentAppendMakesOfKeys) {
    OnePass with_numbers = pass(KvFormat::same), with_codes = pass(KvFormat::fp8_e4m3);
    with_numbers.run();
    with_codes.run();
    const Tensor pages = with_codes.pages().index_pages(0);
    const auto got = elements_of<u8>(with_codes, pages);
    LatentAppendInputs in{.x = rows_in_order(with_numbers, with_numbers.pages().index_pages(0), num_tokens),
                          .sequences = std::vector<i32>(prompt.size(), 0),
                          .max_pages = pages.shape[0],
                          .page_bytes = pages.stride[0],
                          .token_bytes = kIndexDim,
                          .least_amax = 1e-4f};
    for (i64 token = 0; token < num_tokens; ++token) in.positions.push_back(static_cast<i32>(token));
    for (i64 page = 0; page < in.max_pages; ++page) {
        const i64 slot = with_codes.page_slot(page * OnePass::kPageSize);
        in.page_table.push_back(static_cast<i32>(slot / OnePass::kPageSize));
    }
    const LatentAppendProblem problem{.tokens = num_tokens,
                                      .pages = LatentPages::index_keys,
                                      .page_size = OnePass::kPageSize,
                                      .scale = ScaleType::power_of_two};
    EXPECT_EQ(got, latent_append_oracle(problem, in, got));  // the bytes of other slots are kept
    const i64 first = with_codes.page_slot(0) / OnePass::kPageSize * pages.stride[0];
    const std::set<u8> found(got.begin() + first,
                             got.begin() + first + std::min(num_tokens, OnePass::kPageSize) * kIndexDim);
    EXPECT_GT(found.size(), 100u);  // most of the format's numbers
}

// Scales are powers of two, so that both caches' keys are the same numbers of bf16, and no sum is rounded
// otherwise.
TEST_P(IndexCodes, ScoresAreThoseOfTheNumbersThatCodesStandFor) {
    OnePass with_numbers = pass(KvFormat::same), with_codes = pass(KvFormat::fp8_e4m3),
            with_rounded = pass(KvFormat::same);
    const std::vector<float> codes = scores(with_codes);
    ASSERT_EQ(codes.size(), static_cast<std::size_t>(num_tokens * (num_tokens + 1) / 2));
    EXPECT_EQ(codes, scores(with_rounded, [&] { round_index_keys(with_rounded, 0, num_tokens); }));
    EXPECT_NE(codes, scores(with_numbers));
}

std::vector<std::string> devices() {
    std::vector<std::string> all = test_devices();
    all.insert(all.end(), {"emulated:h200", "emulated:rtx-5090", "emulated:a100"});
    return all;
}

INSTANTIATE_TEST_SUITE_P(Devices, IndexCodes, testing::ValuesIn(devices()), [](const auto& info) {
    std::string text = info.param;
    for (char& c : text) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return text;
});

}  // namespace
}  // namespace warpwright::test
