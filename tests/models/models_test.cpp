// SPDX-License-Identifier: Apache-2.0
// A small model of each architecture against Hugging Face transformers (make_goldens.py), from config.json
// and sharded weights to logits, on the CPU, on emulated GPUs and on one that is here.
#include <numeric>

#include "models/golden_run.h"
#include "run/planned_rows.h"

namespace warpwright::test {
namespace {

std::vector<std::string> devices() {
    std::vector<std::string> devices{"cpu", "emulated:h200", "emulated:rtx-5090"};
    for (const std::string& id : list_devices().ids) {
        if (id.starts_with("cuda:")) devices.push_back(id);
    }
    return devices;
}

// One for all tests of a device: an emulated one keeps its compiled kernels.
std::shared_ptr<Context> context_of(const std::string& device) {
    static std::map<std::string, std::shared_ptr<Context>> contexts;
    auto& context = contexts[device];
    if (context == nullptr) {
        auto opened = Context::open(device);
        EXPECT_TRUE(opened.ok()) << opened.status().message();
        if (opened.ok()) context = *opened;
    }
    return context;
}

ModelConfig config_of(const SmallModel& model) {
    auto config = load_config(model.folder());
    EXPECT_TRUE(config.ok()) << config.status().message();
    return config.ok() ? *config : ModelConfig{};
}

EngineOptions options_of(const SmallModel& model) {
    return {.max_sequences = 1, .max_context_tokens = model.golden()["context_tokens"]};
}

class Models : public testing::TestWithParam<std::tuple<std::string, std::string>> {
protected:
    const SmallModel& model = small_model(std::get<1>(GetParam()));
    const std::string device = std::get<0>(GetParam());
    const std::shared_ptr<Context> context = context_of(device);
};

TEST_P(Models, LogitsAreWithinTwiceTheErrorOfBf16) {
    ASSERT_NE(context, nullptr);
    GoldenRun run(context, model, config_of(model), options_of(model));
    ASSERT_TRUE(run.ok());
    double worst = 0;
    for (const nlohmann::json& prompt : model.golden()["prompts"]) {
        for (const GoldenError& error : run.follow(prompt)) {
            EXPECT_LE(error.max, 1) << prompt["tokens"].size();
            EXPECT_LE(error.rms, 1) << prompt["tokens"].size();
            worst = std::max(worst, error.worst());
        }
    }
    RecordProperty("worst", std::to_string(worst));
    std::printf("%s on %s: at most %.2f of the bound\n", model.name().c_str(), device.c_str(), worst);
}

// The windows of a chunk reach back into the chunks before it.
TEST_P(Models, ChunksOfThePromptGiveTheSame) {
    ASSERT_NE(context, nullptr);
    EngineOptions options = options_of(model);
    options.max_batch_tokens = 31;
    GoldenRun run(context, model, config_of(model), options);
    ASSERT_TRUE(run.ok());
    for (const GoldenError& error : run.follow(model.golden()["prompts"].back())) {
        EXPECT_LE(error.max, 1);
        EXPECT_LE(error.rms, 1);
    }
}

TEST_P(Models, BatchesGiveTheSame) {
    ASSERT_NE(context, nullptr);
    EngineOptions options = options_of(model);
    options.max_sequences = 4;
    GoldenRun run(context, model, config_of(model), options);
    ASSERT_TRUE(run.ok());
    const auto errors = run.follow_together(model.golden()["prompts"]);
    EXPECT_GE(errors.size(), 2 * model.golden()["prompts"].size());
    for (const GoldenError& error : errors) {
        EXPECT_LE(error.max, 1);
        EXPECT_LE(error.rms, 1);
    }
}

// fp16 has three more bits than bf16, and these models stay in its range: an eighth of the bound.
TEST_P(Models, Fp16IsEightTimesCloser) {
    ASSERT_NE(context, nullptr);
    nlohmann::json text = model.golden()["config"];
    text["torch_dtype"] = "float16";
    const auto config = parse_config(text.dump(), "", "config.json");
    ASSERT_TRUE(config.ok()) << config.status().message();
    ASSERT_EQ(config->dtype, DType::f16);
    if (config->has_indexer()) {
        EXPECT_EQ(check_runs(*config).message(),
                  config->architecture + ": an indexer in f16; kernels take bf16");
        return;
    }
    GoldenRun run(context, model, *config, options_of(model));
    ASSERT_TRUE(run.ok());
    double worst = 0;
    for (const GoldenError& error : run.follow(model.golden()["prompts"].back())) {
        worst = std::max(worst, error.worst());
    }
    EXPECT_LE(worst, 1.0 / 8);
    std::printf("%s in fp16 on %s: at most %.2f of bf16's bound\n", model.name().c_str(), device.c_str(),
                worst);
}

// The rows that a decode step launched are those that the plan for this device names, in its order.
TEST_P(Models, PlanIsWhatRuns) {
    ASSERT_NE(context, nullptr);
    const ModelConfig config = config_of(model);
    GoldenRun run(context, model, config, options_of(model));
    ASSERT_TRUE(run.ok());
    run.follow(model.golden()["prompts"].front());
    const i64 context_tokens = run.engine().max_context_tokens();
    const auto plan = plan_model(config, context->target(), {.batch = 1, .context_tokens = context_tokens});
    ASSERT_TRUE(plan.ok()) << plan.status().message();
    EXPECT_TRUE(plan->runs());
    EXPECT_EQ(launched_rows(run.engine()), planned_rows(*plan));
}

std::string readable(const testing::TestParamInfo<Models::ParamType>& info) {
    std::string text = std::get<1>(info.param) + "_" + std::get<0>(info.param);
    for (char& c : text) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return text;
}

INSTANTIATE_TEST_SUITE_P(Devices, Models,
                         testing::Combine(testing::ValuesIn(devices()),
                                          testing::ValuesIn(small_model_names())),
                         readable);

// ---- that the goldens can fail

void change(const std::string& feature, ModelConfig& config) {
    const i64 window = *std::max_element(config.windows.begin(), config.windows.end());
    if (feature == "window") {
        config.windows.assign(config.windows.size(), 0);
    } else if (feature == "window_everywhere") {
        config.windows.assign(config.windows.size(), window);
    } else if (feature == "window_off_by_one") {
        for (i64& tokens : config.windows) tokens += tokens != 0 ? 1 : 0;
    } else if (feature == "attention_softcap") {
        config.attention_softcap = 0;
    } else if (feature == "logits_softcap") {
        config.logits_softcap = 0;
    } else if (feature == "norm_offset") {
        config.norm_weight_offset = 0;
    } else if (feature == "post_norms") {
        config.post_norms = false;
    } else if (feature == "qk_norm") {
        config.qk_norm = false;
    } else if (feature == "embedding_scale") {
        config.embedding_scale = 1;
    } else if (feature == "attention_scale") {
        config.attention_scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
    } else if (feature == "activation") {
        config.activation = Activation::silu;
    } else if (feature == "windowed_rope") {
        config.windowed_rope = config.rope;
    } else if (feature == "global_rope") {
        config.rope = *config.windowed_rope;
    } else if (feature == "rope_scaling") {
        config.rope.scaling = {};
    } else if (feature == "rope_theta") {
        config.rope.theta *= 2;
    } else if (feature == "longrope") {
        std::swap(config.rope.scaling.short_factor, config.rope.scaling.long_factor);
    } else if (feature == "rope_magnitude") {
        config.rope.scaling.attention_factor = 1;
    } else if (feature == "interleaving") {
        config.rope.interleaved = !config.rope.interleaved;
    } else if (feature == "partial_rotation") {
        config.rope.rotary_dim = config.head_dim;
    } else if (feature == "renormalize") {
        config.experts.renormalize = !config.experts.renormalize;
    } else if (feature == "top_k") {
        ++config.experts.top_k;
    } else if (feature == "shared_gate") {
        config.experts.shared_gate = false;
    } else if (feature == "score") {
        config.experts.score = ExpertScore::softmax;
    } else if (feature == "selection_bias") {
        config.experts.selection_bias = false;
    } else if (feature == "routed_scale") {
        config.experts.scale = 1;
    } else if (feature == "expert_groups") {
        config.experts.num_groups = config.experts.top_groups = 1;
    } else if (feature == "group_pairs") {
        config.experts.by_pairs = !config.experts.by_pairs;
    } else if (feature == "sinks") {
        config.sinks = false;
    } else if (feature == "rope_truncation") {
        config.rope.scaling.truncate = true;
    } else if (feature == "router_bias") {
        config.experts.router_bias = false;
    } else if (feature == "experts_bias") {
        config.experts.bias = false;
    } else if (feature == "limit") {
        config.experts.limit = std::numeric_limits<double>::infinity();
    } else if (feature == "alpha") {
        config.experts.alpha = 1;
    } else if (feature == "index_topk") {
        config.indexer.top_k = 256;
    } else if (feature == "index_topk_off_by_one") {
        --config.indexer.top_k;
    } else if (feature == "index_interleaving") {
        config.indexer.interleaved = true;
    } else if (feature == "up_offset") {
        config.experts.up_offset = 0;
    } else {
        ADD_FAILURE() << "no such feature: " << feature;
    }
}

class Goldens : public testing::TestWithParam<std::string> {};

TEST_P(Goldens, ShowWhatIsMissing) {
    const SmallModel& model = small_model(GetParam());
    for (const std::string feature : model.golden()["mutations"]) {
        ModelConfig config = config_of(model);
        change(feature, config);
        GoldenRun run(context_of("cpu"), model, config, options_of(model));
        ASSERT_TRUE(run.ok());
        double worst = 0;
        for (const nlohmann::json& prompt : model.golden()["prompts"]) {
            for (const GoldenError& error : run.follow(prompt, false)) worst = std::max(worst, error.worst());
        }
        EXPECT_GT(worst, 1) << "without " << feature;
        std::printf("%s without its %s: %.1f of the bound\n", model.name().c_str(), feature.c_str(), worst);
    }
}

// Every token of every pass counts top_k times in each layer that has experts, and padding not at all.
TEST(ExpertStatistics, CountTheTokensOfEveryLayer) {
    const SmallModel& model = small_model("qwen3-moe");
    EngineOptions options = options_of(model);
    options.max_sequences = 3;  // a batch of three is padded to four by others
    options.counts_experts = true;
    GoldenRun run(context_of("cpu"), model, config_of(model), options);
    ASSERT_TRUE(run.ok());
    i64 tokens = 0;
    for (const nlohmann::json& prompt : model.golden()["prompts"]) {
        EXPECT_EQ(run.follow(prompt).size(), 5u);
        tokens += std::ssize(prompt["tokens"]) + 4;
    }
    const auto& layers = run.engine().stats().expert_tokens;
    ASSERT_EQ(layers.size(), 4u);
    EXPECT_TRUE(layers[2].empty());  // of mlp_only_layers
    for (const std::size_t layer : {0, 1, 3}) {
        ASSERT_EQ(layers[layer].size(), 16u);
        EXPECT_EQ(std::accumulate(layers[layer].begin(), layers[layer].end(), i64{0}), 4 * tokens);
        EXPECT_LE(*std::max_element(layers[layer].begin(), layers[layer].end()), tokens);
    }
}

// To the bit: alone, in chunks, and in a batch, where the errors are those of the same logits.
class LatentAttention : public testing::TestWithParam<const char*> {};

TEST_P(LatentAttention, DoesNotDependOnWhatRunsBeside) {
    const SmallModel& model = small_model(GetParam());
    for (const char* device : {"cpu", "emulated:h200"}) {
        SCOPED_TRACE(device);
        const auto errors = [&](i64 max_sequences, i64 max_batch_tokens) {
            EngineOptions options = options_of(model);
            options.batch_invariant = true;
            options.max_sequences = max_sequences;
            options.max_batch_tokens = max_batch_tokens;
            GoldenRun run(context_of(device), model, config_of(model), options);
            std::vector<std::pair<double, double>> all;
            const auto add = [&all](const std::vector<GoldenError>& some) {
                for (const GoldenError& error : some) all.emplace_back(error.max, error.rms);
            };
            const nlohmann::json& prompts = model.golden()["prompts"];
            if (max_sequences > 1) {
                add(run.follow_together(prompts));
            } else {
                for (const nlohmann::json& prompt : prompts) add(run.follow(prompt));
            }
            std::sort(all.begin(), all.end());
            return all;
        };
        const auto alone = errors(1, 2048);
        EXPECT_EQ(alone.size(), 10u);
        EXPECT_EQ(errors(1, 11), alone);
        EXPECT_EQ(errors(4, 2048), alone);
    }
}

// Prompts in both forms: whole, in chunks that see what was cached before them, and beside sequences that
// decode.
class LatentForms : public testing::TestWithParam<std::tuple<std::string, const char*>> {};

TEST_P(LatentForms, LogitsAreWithinTwiceTheErrorOfBf16) {
    const SmallModel& model = small_model(std::get<1>(GetParam()));
    const auto context = context_of(std::get<0>(GetParam()));
    const auto errors = [&](bool expands, i64 max_sequences, i64 max_batch_tokens) {
        ModelConfig config = config_of(model);
        config.expands_latents = expands;
        EngineOptions options = options_of(model);
        options.max_sequences = max_sequences;
        options.max_batch_tokens = max_batch_tokens;
        options.page_size_tokens = 4;
        GoldenRun run(context, model, config, options);
        const nlohmann::json& prompts = model.golden()["prompts"];
        const auto all = max_sequences > 1 ? run.follow_together(prompts) : run.follow(prompts.back());
        std::vector<double> rms;
        for (const GoldenError& error : all) {
            EXPECT_LE(error.max, 1);
            EXPECT_LE(error.rms, 1);
            rms.push_back(error.rms);
        }
        return rms;
    };
    for (const auto& [sequences, tokens] : {std::pair<i64, i64>{1, 2048}, {1, 11}, {4, 17}}) {
        SCOPED_TRACE(tokens);
        const auto expanded = errors(true, sequences, tokens);
        EXPECT_GE(expanded.size(), 5u);
        EXPECT_NE(expanded, errors(false, sequences, tokens));
    }
}

std::string form_name(const testing::TestParamInfo<LatentForms::ParamType>& info) {
    std::string text = std::string(std::get<1>(info.param)) + "_" + std::get<0>(info.param);
    for (char& c : text) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return text;
}

INSTANTIATE_TEST_SUITE_P(Devices, LatentForms,
                         testing::Combine(testing::ValuesIn(devices()),
                                          testing::Values("deepseek-v2-lite", "deepseek-v3")),
                         form_name);
INSTANTIATE_TEST_SUITE_P(OnTheCpu, LatentForms,
                         testing::Combine(testing::Values("cpu"), testing::Values("deepseek-v2", "kimi-k2")),
                         form_name);

INSTANTIATE_TEST_SUITE_P(OfModels, LatentAttention, testing::Values("deepseek-v3", "deepseek-v32"),
                         [](const auto& info) { return std::string(info.param).substr(9); });

// transformers writes its own spelling of what it has read.
TEST_P(Goldens, BothSpellingsAreOneConfig) {
    const nlohmann::json& golden = small_model(GetParam()).golden();
    const auto hub = parse_config(golden["config"].dump(), "", "config.json");
    const auto saved = parse_config(golden["saved_config"].dump(), "", "saved_config.json");
    ASSERT_TRUE(hub.ok()) << hub.status().message();
    ASSERT_TRUE(saved.ok()) << saved.status().message();
    const auto same_rope = [](const RopeConfig& a, const RopeConfig& b) {
        EXPECT_EQ(a.theta, b.theta);
        EXPECT_EQ(a.rotary_dim, b.rotary_dim);
        EXPECT_EQ(a.interleaved, b.interleaved);
        EXPECT_EQ(a.scaling.kind, b.scaling.kind);
        EXPECT_EQ(a.scaling.factor, b.scaling.factor);
        EXPECT_EQ(a.scaling.truncate, b.scaling.truncate);
        EXPECT_EQ(a.scaling.original_max_position, b.scaling.original_max_position);
        EXPECT_EQ(a.scaling.short_factor, b.scaling.short_factor);
        EXPECT_EQ(a.scaling.long_factor, b.scaling.long_factor);
    };
    same_rope(hub->rope, saved->rope);
    EXPECT_EQ(hub->windowed_rope.has_value(), saved->windowed_rope.has_value());
    if (hub->windowed_rope && saved->windowed_rope) same_rope(*hub->windowed_rope, *saved->windowed_rope);
    const auto numbers = [](const ModelConfig& c) {
        return std::vector<double>{c.hidden_size * 1.0,
                                   c.num_layers * 1.0,
                                   c.num_heads * 1.0,
                                   c.num_kv_heads * 1.0,
                                   c.head_dim * 1.0,
                                   c.intermediate_size * 1.0,
                                   c.vocab_size * 1.0,
                                   c.rms_norm_eps,
                                   c.norm_weight_offset,
                                   c.qk_norm * 1.0,
                                   c.post_norms * 1.0,
                                   c.qkv_bias * 1.0,
                                   c.o_bias * 1.0,
                                   c.mlp_bias * 1.0,
                                   c.embedding_scale,
                                   c.attention_scale,
                                   c.attention_softcap,
                                   c.logits_softcap,
                                   c.tie_word_embeddings * 1.0,
                                   static_cast<double>(c.max_position_tokens),
                                   static_cast<double>(c.activation),
                                   c.experts.num_experts * 1.0,
                                   c.experts.top_k * 1.0,
                                   c.experts.width * 1.0,
                                   c.experts.renormalize * 1.0,
                                   c.experts.scale,
                                   c.experts.num_groups * 1.0,
                                   c.experts.top_groups * 1.0,
                                   c.experts.shared_width * 1.0,
                                   c.experts.shared_gate * 1.0,
                                   c.experts.selection_bias * 1.0,
                                   c.experts.by_pairs * 1.0,
                                   c.latent.kv_rank * 1.0,
                                   c.latent.q_rank * 1.0,
                                   c.latent.nope_dim * 1.0,
                                   c.latent.rope_dim * 1.0,
                                   c.latent.value_dim * 1.0,
                                   c.experts.limit,
                                   c.experts.alpha,
                                   c.qk_norm_of_all * 1.0,
                                   c.sinks * 1.0};
    };
    EXPECT_EQ(hub->experts.layers, saved->experts.layers);
    EXPECT_EQ(numbers(*hub), numbers(*saved));
    EXPECT_EQ(hub->windows, saved->windows);
    EXPECT_EQ(hub->eos_tokens, saved->eos_tokens);
    EXPECT_EQ(hub->bos_token, saved->bos_token);
    for (const auto& config : {*hub, *saved}) {
        for (const std::string& field : config.ignored_fields) {
            EXPECT_TRUE(field == "vision_config" || field == "mm_tokens_per_image" ||
                        field.ends_with("_token_index"))
                << field;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(OnTheCpu, Goldens, testing::ValuesIn(small_model_names()), [](const auto& info) {
    std::string text = info.param;
    std::replace(text.begin(), text.end(), '-', '_');
    return text;
});

}  // namespace
}  // namespace warpwright::test
