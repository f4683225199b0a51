// SPDX-License-Identifier: Apache-2.0
// The shipped model against Hugging Face transformers (models/glossary/golden.py): greedy tokens and logits.
#include <cmath>

#include "engine/safetensors.h"
#include "glossary.h"

namespace warpwright::test {
namespace {

class Golden : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        auto opened = Context::open(GetParam());
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
        engine = glossary_engine(context, {.max_sequences = 4, .max_context_tokens = 1024});
        ASSERT_NE(engine, nullptr);
    }
    std::shared_ptr<Context> context;
    std::unique_ptr<Engine> engine;
};

// A choice may differ from the golden one only where transformers' own bf16 run could have made either: where
// the two best logits are closer than twice the bound on a logit's error. Later tokens are then another text.
TEST_P(Golden, GreedyTokens) {
    int exact = 0, ties = 0;
    for (const auto& golden : golden_cases()) {
        const std::vector<i32> expected = golden["tokens"];
        const std::vector<double> margins = golden["margins"];
        const double logit_bound = 2 * golden["bf16_error"]["max"].get<double>();
        Request request{golden["prompt_tokens"], static_cast<i64>(expected.size()), {}, false};
        auto id = engine->add(request);
        ASSERT_TRUE(id.ok()) << id.status().message();
        const std::vector<i32> tokens = run_all(*engine)[*id];
        ASSERT_EQ(tokens.size(), expected.size());
        const auto differ =
            std::mismatch(tokens.begin(), tokens.end(), expected.begin()).first - tokens.begin();
        if (differ == static_cast<std::ptrdiff_t>(tokens.size())) {
            ++exact;
            continue;
        }
        ++ties;
        EXPECT_LT(margins[static_cast<std::size_t>(differ)], 2 * logit_bound)
            << golden["name"] << ": token " << differ << " is " << tokens[static_cast<std::size_t>(differ)]
            << ", expected " << expected[static_cast<std::size_t>(differ)];
    }
    RecordProperty("exact", exact);
    RecordProperty("near_ties", ties);
    std::printf("%s: %d texts exact, %d left at a near tie\n", GetParam().c_str(), exact, ties);
    EXPECT_GE(exact, ties) << "more texts leave the golden one than follow it";
}

// Teacher-forced: prompt and golden tokens in, the logits of the last position out.
TEST_P(Golden, Logits) {
    auto file = Safetensors::open(glossary_folder() + "/goldens.safetensors");
    ASSERT_TRUE(file.ok()) << file.status().message();
    for (const auto& golden : golden_cases()) {
        const std::vector<i32> tokens = golden["tokens"];
        for (const auto& [step_text, name] : golden["whole_logits"].items()) {
            const std::size_t step = std::stoul(step_text);
            std::vector<i32> prompt = golden["prompt_tokens"];
            prompt.insert(prompt.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(step));
            ASSERT_TRUE(engine->add({prompt, 1, {}, false}).ok());
            ASSERT_TRUE(engine->step().ok());
            auto logits = engine->last_logits();
            ASSERT_TRUE(logits.ok());
            auto stored = file->find(name.get<std::string>());
            ASSERT_TRUE(stored.ok());
            std::vector<float> expected(stored->bytes.size() / sizeof(float));
            std::memcpy(expected.data(), stored->bytes.data(), stored->bytes.size());
            ASSERT_EQ(logits->size(), expected.size());
            double worst = 0, squares = 0;
            for (std::size_t i = 0; i < expected.size(); ++i) {
                ASSERT_TRUE(std::isfinite((*logits)[i]));
                const double error = std::abs(double{(*logits)[i]} - expected[i]);
                worst = std::max(worst, error);
                squares += error * error;
            }
            const auto count = static_cast<double>(expected.size());
            EXPECT_LE(worst, 2 * golden["bf16_error"]["max"].get<double>())
                << golden["name"] << " step " << step;
            EXPECT_LE(std::sqrt(squares / count), 2 * golden["bf16_error"]["rms"].get<double>())
                << golden["name"] << " step " << step;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Devices, Golden, testing::ValuesIn(test_devices()),
                         [](const auto& info) { return info.param == "cpu" ? "cpu" : "cuda"; });

}  // namespace
}  // namespace warpwright::test
