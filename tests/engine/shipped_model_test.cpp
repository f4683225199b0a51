// SPDX-License-Identifier: Apache-2.0
// The shipped model's own files agree with each other.
#include <gtest/gtest.h>

#include "engine/parameters.h"
#include "engine/tokenizer.h"

namespace warpwright {
namespace {

TEST(ShippedModel, ConfigWeightsAndTokenizerAgree) {
    const std::string folder = std::string(WW_SOURCE_DIR) + "/models/glossary";
    auto config = load_config(folder);
    ASSERT_TRUE(config.ok()) << config.status().message();
    auto weights = Safetensors::open(folder);
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    EXPECT_EQ(weights->total_bytes(), num_parameters(*config) * dtype_bytes(config->dtype));
    auto embedding = weights->find("model.embed_tokens.weight");
    ASSERT_TRUE(embedding.ok()) << embedding.status().message();
    EXPECT_EQ(embedding->dtype, config->dtype);
    EXPECT_EQ(embedding->shape, (std::vector<i64>{config->vocab_size, config->hidden_size}));
    auto tokenizer = Tokenizer::load(folder);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    EXPECT_LE(tokenizer->vocab_size(), config->vocab_size);
    ASSERT_TRUE(config->bos_token.has_value());
    EXPECT_EQ(tokenizer->encode("")->front(), *config->bos_token);
    for (const i32 eos : config->eos_tokens) EXPECT_TRUE(tokenizer->is_special(eos));
}

}  // namespace
}  // namespace warpwright
