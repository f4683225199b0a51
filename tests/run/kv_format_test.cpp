// SPDX-License-Identifier: Apache-2.0
// The shipped model with keys and values of 8 bits: what is in the cache to the bit, logits against a cache
// of 16 bits that holds the same numbers, and that a plan is what runs.
#include <cmath>
#include <cstring>
#include <set>

#include "engine_on.h"
#include "kernels/fused/kv_append/oracle.h"
#include "kernels/fused/rope/problem.h"
#include "kernels/host_math.h"
#include "kernels/kv_format.h"
#include "one_pass.h"
#include "planned_rows.h"

namespace warpwright::test {
namespace {

constexpr KvFormat kCodes[] = {KvFormat::fp8_e4m3, KvFormat::fp8_e5m2};

// One scale for keys and one a head for values in even layers, the other way round in odd ones. As powers of
// two they leave a code's number with few enough bits for bf16.
std::vector<LayerKvScales> scales_of(const ModelConfig& config, bool powers_of_two) {
    std::vector<LayerKvScales> scales;
    for (int layer = 0; layer < config.num_layers; ++layer) {
        const float unit = powers_of_two ? std::exp2(static_cast<float>(layer % 3 - 4))
                                         : 0.013F * static_cast<float>(layer + 1);
        std::vector<float> one{unit}, heads;
        for (int head = 0; head < config.num_kv_heads; ++head)
            heads.push_back(unit * std::exp2(static_cast<float>(head)) * (powers_of_two ? 1 : 0.7F));
        scales.push_back(layer % 2 == 0 ? LayerKvScales{one, heads} : LayerKvScales{heads, one});
    }
    return scales;
}

std::vector<float> for_every_head(const std::vector<float>& scales, const ModelConfig& config) {
    const std::vector<float> known = scales.empty() ? std::vector<float>{1} : scales;
    return known.size() > 1 ? known
                            : std::vector<float>(static_cast<std::size_t>(config.num_kv_heads), known[0]);
}

const nlohmann::json& golden_case() {
    static const nlohmann::json one = [] {
        for (const auto& golden : golden_cases()) {
            if (golden["name"] == "page") return golden;
        }
        ADD_FAILURE() << "no golden 'page'";
        return nlohmann::json();
    }();
    return one;
}

class KvFormats : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        auto opened = Context::open(GetParam());
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
        prompt = golden_case()["prompt_tokens"].get<std::vector<i32>>();
    }
    std::shared_ptr<Context> context;
    std::vector<i32> prompt;
};

// In every layer: the codes of the values, and of the keys as rope turns them in place.
TEST_P(KvFormats, TheCacheHoldsTheCodesOfItsKeysAndValues) {
    for (const KvFormat format : kCodes) {
        const auto scales = scales_of(*load_config(glossary_folder()), false);
        OnePass pass(context, format, prompt, scales);
        const ModelConfig& config = pass.config();
        const auto slot = static_cast<std::size_t>(config.num_kv_heads * config.head_dim);
        const auto tokens = static_cast<i64>(prompt.size());
        std::size_t layer = 0, num_codes = 0;
        std::set<u8> codes;
        // [tokens, slot], of rows that lie further apart.
        const auto rows_of = [&](const void* from, i64 stride) {
            std::vector<u16> rows;
            for (i64 token = 0; token < tokens; ++token) {
                const auto row = pass.from_device<u16>(static_cast<const u16*>(from) + token * stride, slot);
                rows.insert(rows.end(), row.begin(), row.end());
            }
            return rows;
        };
        const auto turned = [&](const std::vector<u16>& keys, const RopeArgs& args) {
            Buffer copies[2];  // as queries, too
            Rope call{
                .positions = Tensor::dense(const_cast<i32*>(args.positions), DType::i32, {tokens}),
                .frequency = Tensor::dense(const_cast<float*>(args.frequency), DType::f32, {args.pairs}),
                .magnitude = args.magnitude,
                .interleaved = args.interleaved};
            for (Tensor* tensor : {&call.q, &call.k}) {
                Buffer& copy = copies[tensor == &call.k];
                copy = Buffer::allocate(context->shared_device(), keys.size() * sizeof(u16)).value();
                EXPECT_TRUE(pass.device().copy_in(copy.data(), keys.data(), copy.bytes(), {}).ok());
                *tensor =
                    Tensor::dense(copy.data(), config.dtype, {tokens, config.num_kv_heads, config.head_dim});
            }
            const Status status = rope(*context, {}, call);
            EXPECT_TRUE(status.ok()) << status.message();
            return pass.from_device<u16>(call.k.data, keys.size());
        };
        const auto check = [&](const std::vector<u16>& raw, const Tensor& pages,
                               const std::vector<float>& scale, const char* what) {
            std::vector<float> values(raw.size());
            for (std::size_t i = 0; i < raw.size(); ++i)
                values[i] = load_float(raw.data(), config.dtype, static_cast<i64>(i));
            const auto expected = kv_codes(values, format, for_every_head(scale, config), config.head_dim);
            const auto got = pass.from_device<u8>(
                pages.data, slot * static_cast<std::size_t>(pages.shape[0] * pages.shape[1]));
            for (std::size_t i = 0; i < raw.size(); ++i, ++num_codes) {
                const u8 code = got[pass.slot_of(static_cast<i64>(i / slot)) + i % slot];
                ASSERT_EQ(code, expected[i])
                    << what << " of layer " << layer << ", token " << i / slot << ": " << values[i];
                codes.insert(code);
            }
        };
        pass.run({}, [&](const Prepared::Step& step) {
            if (!step.row.starts_with("rope") || testing::Test::HasFatalFailure()) return;
            RopeArgs args;
            ASSERT_EQ(step.args.size(), sizeof args);
            std::memcpy(&args, step.args.data(), sizeof args);
            ASSERT_EQ(args.pages.kv_format, format);
            const int index = static_cast<int>(layer);
            check(turned(rows_of(args.k, args.k_token_stride), args), pass.pages().k_pages(index),
                  scales[layer].k, "keys");
            check(rows_of(args.pages.v, args.pages.v_stride.token), pass.pages().v_pages(index),
                  scales[layer].v, "values");
            ++layer;
        });
        EXPECT_EQ(static_cast<int>(layer), config.num_layers);
        EXPECT_EQ(num_codes, 2 * layer * prompt.size() * slot);
        EXPECT_GT(codes.size(), 100u) << kv_format_name(format);  // most of the format's numbers
    }
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    return std::sqrt(sum / static_cast<double>(a.size()));
}

// Logits with a cache of 16 bits whose numbers are replaced by those that their codes stand for.
std::vector<float> rounded_logits(const std::shared_ptr<Context>& context, const std::vector<i32>& prompt,
                                  KvFormat format, const std::vector<LayerKvScales>& scales) {
    OnePass pass(context, KvFormat::same, prompt);
    const ModelConfig& config = pass.config();
    int layer = 0;
    return pass.run({}, [&](const Prepared::Step& step) {
        if (!step.row.starts_with("rope")) return;
        const auto round = [&](const Tensor& pages, const std::vector<float>& scale) {
            const auto per_head = for_every_head(scale, config);
            const auto count =
                static_cast<std::size_t>(pages.shape[0] * pages.shape[1] * pages.shape[2] * pages.shape[3]);
            auto numbers = pass.from_device<u16>(pages.data, count);
            for (std::size_t i = 0; i < count; ++i) {
                const float unit = per_head[i / static_cast<std::size_t>(config.head_dim) % per_head.size()];
                const float value = load_float(numbers.data(), config.dtype, static_cast<i64>(i));
                const auto& type = small_float_of(format);
                const float stands_for = formats::decode(type, formats::encode(type, value / unit)) * unit;
                store_float(numbers.data(), config.dtype, static_cast<i64>(i), stands_for);
                const float stored = load_float(numbers.data(), config.dtype, static_cast<i64>(i));
                EXPECT_TRUE(stored == stands_for || std::isnan(stored)) << stands_for << " is no bf16";
            }
            EXPECT_TRUE(pass.device().copy_in(pages.data, numbers.data(), count * sizeof(u16), {}).ok());
            EXPECT_TRUE(pass.device().synchronize({}).ok());
        };
        const auto index = static_cast<std::size_t>(layer);
        round(pass.pages().k_pages(layer), scales.empty() ? std::vector<float>{} : scales[index].k);
        round(pass.pages().v_pages(layer), scales.empty() ? std::vector<float>{} : scales[index].v);
        ++layer;
    });
}

// On the host the same bits. Rows of a GPU round elsewhere, and a number beside a code's border becomes the
// next code: as far apart as two ways to the rounded cache's logits are, here and on the host, and twice
// that.
TEST_P(KvFormats, LogitsAreThoseOfTheNumbersThatCodesStandFor) {
    const bool is_host = GetParam() == "cpu";
    const auto host = Context::open("cpu").value();
    const auto plain = OnePass(context, KvFormat::same, prompt).run();
    for (const KvFormat format : kCodes) {
        for (const bool scaled : {false, true}) {
            SCOPED_TRACE(kv_format_name(format));
            const auto scales =
                scaled ? scales_of(*load_config(glossary_folder()), true) : std::vector<LayerKvScales>{};
            const auto logits = OnePass(context, format, prompt, scales).run();
            const auto rounded = rounded_logits(context, prompt, format, scales);
            const auto on_host = is_host ? rounded : rounded_logits(host, prompt, format, scales);
            EXPECT_LE(distance(logits, rounded), 2 * distance(rounded, on_host));
            // To what a cache of 16 bits gives it is as far as it must be.
            EXPECT_GT(distance(logits, plain), 0);
            EXPECT_LE(distance(logits, plain), 2 * distance(rounded, plain));
            std::printf(
                "%s %s%s: %.4f from the rounded cache's logits, which are %.4f from the host's; %.4f "
                "from 16 bits'\n",
                GetParam().c_str(), kv_format_name(format), scaled ? " scaled" : "",
                distance(logits, rounded), distance(rounded, on_host), distance(logits, plain));
        }
    }
}

std::unique_ptr<Engine> engine_with(const std::shared_ptr<Context>& context, KvFormat format,
                                    const EngineOptions& options) {
    auto config = load_config(glossary_folder()).value();
    config.kv_format = format;
    auto weights = load_weights(*context, config, glossary_folder()).value();
    auto engine = Engine::create(context, config, std::move(weights), options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return std::move(*engine);
}

TEST_P(KvFormats, PlanIsWhatRuns) {
    const i64 batch = 2, context_tokens = 256;
    for (const KvFormat format : kCodes) {
        auto engine =
            engine_with(context, format, {.max_sequences = batch, .max_context_tokens = context_tokens});
        for (u32 i = 0; i < 2; ++i) ASSERT_TRUE(engine->add({random_prompt(i, 8), 3, {}, false}).ok());
        run_all(*engine);
        const auto config = load_config(glossary_folder());
        const PlanOptions options{
            .batch = batch, .context_tokens = context_tokens, .kv_format = kv_format_name(format)};
        const auto plan = plan_model(*config, context->target(), options);
        ASSERT_TRUE(plan.ok()) << plan.status().message();
        EXPECT_EQ(launched_rows(*engine), planned_rows(*plan));
        EXPECT_EQ(plan->kv_format, kv_format_name(format));
        // The engine's own forms say the same.
        const auto known = plan_model(*config, engine->forms(), context->target(), options);
        ASSERT_TRUE(known.ok()) << known.status().message();
        EXPECT_EQ(planned_rows(*known), planned_rows(*plan));
        EXPECT_EQ(known->kv_bytes_per_token, plan->kv_bytes_per_token);
    }
}

INSTANTIATE_TEST_SUITE_P(Devices, KvFormats, testing::ValuesIn([] {
                             auto devices = test_devices();
                             // With fp8 conversions and without; what an access is outside of its buffer is
                             // found.
                             for (const char* gpu : {"emulated:h200", "emulated:a100", "emulated:rtx-5090"})
                                 devices.emplace_back(gpu);
                             return devices;
                         }()),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::ranges::replace_if(
                                 name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); },
                                 '_');
                             return name;
                         });

// Pages, chunks, preemption and reused beginnings: the same tokens as alone in an empty cache.
TEST(KvFormat, WhatRunsBesideASequenceChangesNothing) {
    const auto context = Context::open("cpu").value();
    std::vector<std::vector<i32>> prompts;
    for (u32 i = 0; i < 6; ++i) prompts.push_back(random_prompt(80 + i, 10 + 7 * i));
    std::copy_n(prompts[4].begin(), 20, prompts[5].begin());
    for (const KvFormat format : kCodes) {
        const auto tight = engine_with(context, format,
                                       {.max_sequences = 6,
                                        .max_context_tokens = 128,
                                        .max_batch_tokens = 24,
                                        .page_size_tokens = 4,
                                        .cache_tokens = 160});
        for (const auto& prompt : prompts) ASSERT_TRUE(tight->add({prompt, 30, {}, false}).ok());
        const auto together = run_all(*tight);
        EXPECT_GT(tight->stats().scheduler.preemptions, 0);
        EXPECT_GT(tight->stats().scheduler.reused_tokens, 0);
        for (std::size_t i = 0; i < prompts.size(); ++i) {
            const auto alone = engine_with(context, format, {.max_sequences = 1, .max_context_tokens = 128});
            ASSERT_TRUE(alone->add({prompts[i], 30, {}, false}).ok());
            EXPECT_EQ(run_all(*alone).begin()->second, together.at(static_cast<int>(i))) << "prompt " << i;
        }
    }
}

TEST(KvFormat, MemoryIsThatOfTheFormat) {
    const auto config = load_config("llama-3.1-8b").value();
    const auto target = find_target("rtx-3090").value();
    const auto plan = [&](const std::string& format) {
        return plan_model(config, target, {.batch = 4, .context_tokens = 1024, .kv_format = format}).value();
    };
    const Plan same = plan("bf16"), codes = plan("fp8_e4m3");
    EXPECT_EQ(same.kv_bytes_per_token, 128 * 1024);
    EXPECT_EQ(codes.kv_bytes_per_token, 64 * 1024);
    EXPECT_EQ(codes.max_tokens / 2, same.max_tokens);
    EXPECT_EQ(codes.max_context_tokens / 2, same.max_context_tokens);
    EXPECT_EQ(codes.weight_bytes, same.weight_bytes);
    EXPECT_LT(codes.decode.total_us(), same.decode.total_us());
    EXPECT_EQ(plan("").kv_format, "bf16");
    EXPECT_EQ(plan("same").kv_format, "bf16");
    const auto json = nlohmann::json::parse(to_json(codes));
    EXPECT_EQ(json["memory"]["kv_format"], "fp8_e4m3");
    for (const PlannedLayer& layer : codes.layers) {
        const std::string row = layer.decode.choice()->row;
        EXPECT_EQ(row.find(".codes.") != std::string::npos, layer.op == "rope") << row;
        EXPECT_EQ(row.find(".e4m3.") != std::string::npos, layer.op == "attention") << row;
    }

    // Where nothing but the cache is too large.
    const auto full =
        plan_model(config, target, {.batch = 8, .context_tokens = same.max_tokens / 8 + 64}).value();
    EXPECT_FALSE(full.fits);
    EXPECT_NE(full.fit_text.find(", or keys and values in fp8_e4m3, or a context of"), std::string::npos)
        << full.fit_text;
    EXPECT_EQ(plan_model(config, target, {.batch = 8, .context_tokens = 2 * same.max_tokens / 8 + 64})
                  .value()
                  .fit_text.find("keys and values"),
              std::string::npos);

    // An engine's pages lie one behind the other, a byte for a code.
    const auto engine = engine_with(Context::open("cpu").value(), KvFormat::fp8_e5m2,
                                    {.max_sequences = 1, .max_context_tokens = 64});
    const Tensor k = engine->pages().k_pages(0), v = engine->pages().v_pages(0);
    EXPECT_EQ(k.dtype, DType::u8);
    EXPECT_EQ(static_cast<std::byte*>(v.data) - static_cast<std::byte*>(k.data), 64 * 2 * 64);
    EXPECT_EQ(engine->cache_tokens(), 64);
}

TEST(KvFormat, EveryPublicModelHasARowForEveryLayer) {
    for (const std::string& model : public_model_names()) {
        const auto config = load_config(model).value();
        for (const char* gpu : {"a100", "l4", "h200", "b200", "rtx-5090", "cpu"}) {
            for (const KvFormat format : kCodes) {
                if (config.is_latent() && format == KvFormat::fp8_e5m2) continue;
                const auto plan = plan_model(config, find_target(gpu).value(),
                                             {.context_tokens = 2048, .kv_format = kv_format_name(format)});
                ASSERT_TRUE(plan.ok()) << plan.status().message();
                EXPECT_EQ(plan->missing, "") << model << " on " << gpu;
            }
        }
    }
}

TEST(KvFormat, RefusesUnknownFormats) {
    const auto config = load_config("llama-3.1-8b").value();
    const auto refused = [&](const char* format) {
        const auto formed = with_kv_format(config, format);
        return formed.ok() ? "taken" : formed.status().message();
    };
    EXPECT_EQ(refused("e4m3"),
              "kv_format: expected auto, bf16, same, fp8_e4m3, fp8_e5m2, got 'e4m3'; nearest: same");
    EXPECT_EQ(refused("f16"),
              "kv_format: expected auto, bf16, same, fp8_e4m3, fp8_e5m2, got 'f16'; nearest: bf16");
    EXPECT_EQ(refused("auto"), "taken");
    EXPECT_EQ(refused("bf16"), "taken");
    EXPECT_EQ(with_kv_format(config, "fp8")->kv_format, KvFormat::fp8_e4m3);

    const auto latent = load_config("deepseek-v3").value();
    EXPECT_EQ(with_kv_format(latent, "fp8_e5m2").status().message(),
              "kv_format: DeepseekV3ForCausalLM keeps latent rows, in bf16 or fp8_e4m3, got fp8_e5m2");
    EXPECT_EQ(with_kv_format(latent, "fp8")->kv_format, KvFormat::fp8_e4m3);
    EXPECT_TRUE(with_kv_format(latent, "bf16").ok());
}

}  // namespace
}  // namespace warpwright::test
