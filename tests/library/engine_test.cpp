// SPDX-License-Identifier: Apache-2.0
// Text, questions and the engine through the C ABI.
#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "library/c_calls.h"

namespace warpwright {
namespace {

using nlohmann::json;

const std::string kModel = std::string(WW_SOURCE_DIR) + "/models/glossary";

struct FreeEngine {
    void operator()(ww_engine* engine) const { ww_engine_free(engine); }
};
using EngineHandle = std::unique_ptr<ww_engine, FreeEngine>;

EngineHandle create(const std::string& model, const ww_engine_options* options = nullptr) {
    const ContextHandle context = open_context("cpu");
    ww_engine* engine = nullptr;
    EXPECT_WW_OK(ww_engine_create(context.get(), model.c_str(), options, &engine));
    return EngineHandle(engine);
}

struct Output {
    std::string text;
    std::vector<i32> tokens;
    i32 finish = WW_RUNNING;
    std::vector<double> logprobs;
};

std::map<int, Output> run(ww_engine* engine) {
    std::map<int, Output> outputs;
    while (ww_engine_idle(engine) == 0) {
        int32_t count = 0;
        EXPECT_WW_OK(ww_engine_step(engine, &count));
        for (int i = 0; i < count; ++i) {
            const ww_token& token = *ww_engine_token(engine, i);
            Output& output = outputs[token.sequence];
            EXPECT_EQ(std::string(token.text).size(), token.text_bytes);
            output.text += token.text;
            output.tokens.push_back(token.token);
            output.logprobs.push_back(token.logprob);
            output.finish = token.finish;
            if (token.num_top > 0) {
                EXPECT_GE(token.top[0].logprob, static_cast<float>(token.logprob));
            }
        }
        EXPECT_EQ(ww_engine_token(engine, count), nullptr);
    }
    return outputs;
}

std::map<int, Output> run(ww_engine* engine, const json& request) {
    int32_t first = -1;
    EXPECT_WW_OK(ww_engine_add(engine, request.dump().c_str(), &first));
    return run(engine);
}

TEST(Text, IsEncodedAndDecoded) {
    ww_tokenizer* tokenizer = nullptr;
    ASSERT_WW_OK(ww_tokenizer_load(kModel.c_str(), &tokenizer));
    const std::unique_ptr<ww_tokenizer, void (*)(ww_tokenizer*)> owner(tokenizer, ww_tokenizer_free);
    const std::string text = "A river is\n";
    int32_t* tokens = nullptr;
    size_t count = 0;
    ASSERT_WW_OK(ww_encode(tokenizer, text.data(), text.size(), 0, &tokens, &count));
    ASSERT_GT(count, 0u);
    char* decoded = nullptr;
    size_t bytes = 0;
    ASSERT_WW_OK(ww_decode(tokenizer, tokens, count, 1, &decoded, &bytes));
    EXPECT_EQ(std::string(decoded, bytes), text);
    const char* first = nullptr;
    ASSERT_WW_OK(ww_token_bytes(tokenizer, tokens[0], &first, &bytes));
    EXPECT_EQ(text.substr(0, bytes), std::string(first, bytes));
    ASSERT_WW_OK(ww_token_bytes(tokenizer, 1 << 30, &first, &bytes));
    EXPECT_EQ(bytes, 0u);
    ww_free(decoded);
    ww_free(tokens);
    EXPECT_EQ(ww_encode(tokenizer, "\xff", 1, 0, &tokens, &count), WW_ERROR_CALLER);
    EXPECT_EQ(
        json::parse(text_of([&](char** out) { return ww_tokenizer_json(tokenizer, out); }))["vocab_size"],
        4096);
    EXPECT_EQ(ww_chat_prompt(tokenizer, R"({"messages": []})", &decoded), WW_ERROR_CALLER);
}

TEST(Engine, StreamsTheTextOfEverySequence) {
    const EngineHandle engine = create(kModel);
    const auto one = run(engine.get(), {{"prompt", "A river is"}, {"max_tokens", 12}, {"logprobs", 2}});
    ASSERT_EQ(one.size(), 1u);
    const Output& output = one.begin()->second;
    EXPECT_EQ(output.tokens.size(), 12u);
    EXPECT_EQ(output.finish, WW_LENGTH);
    EXPECT_LT(output.logprobs[0], 0);
    const ww_tokenizer* tokenizer = ww_engine_tokenizer(engine.get());
    char* decoded = nullptr;
    ASSERT_WW_OK(ww_decode(tokenizer, output.tokens.data(), output.tokens.size(), 1, &decoded, nullptr));
    EXPECT_EQ(output.text, decoded);
    ww_free(decoded);

    // The same tokens given as ids, several at a time, and beside another prompt.
    int32_t* ids = nullptr;
    size_t count = 0;
    ASSERT_WW_OK(ww_encode(tokenizer, "A river is", 10, 1, &ids, &count));
    const json request{
        {"prompt", std::vector<i32>(ids, ids + count)}, {"max_tokens", 12}, {"num_sequences", 2}};
    ww_free(ids);
    int32_t first = -1, other = -1;
    ASSERT_WW_OK(ww_engine_add(engine.get(), request.dump().c_str(), &first));
    ASSERT_WW_OK(ww_engine_add(engine.get(), R"({"prompt": "Steel", "max_tokens": 5})", &other));
    EXPECT_EQ(other, first + 2);
    const auto several = run(engine.get());
    EXPECT_EQ(several.at(first).tokens, output.tokens);
    EXPECT_EQ(several.at(first + 1).text, output.text);
    EXPECT_EQ(several.at(other).tokens.size(), 5u);
}

TEST(Engine, StopsAtStringsAndTokens) {
    const EngineHandle engine = create(kModel);
    const Output all = run(engine.get(), {{"prompt", "A river is"}, {"max_tokens", 12}}).begin()->second;
    const std::string stop = all.text.substr(all.text.size() / 2, 3);
    const Output cut =
        run(engine.get(), {{"prompt", "A river is"}, {"max_tokens", 12}, {"stop", stop}}).begin()->second;
    EXPECT_EQ(cut.finish, WW_STOP_STRING);
    EXPECT_EQ(cut.text, all.text.substr(0, all.text.find(stop)));
    const Output ended =
        run(engine.get(), {{"prompt", "A river is"}, {"max_tokens", 12}, {"stop_tokens", {all.tokens[3]}}})
            .begin()
            ->second;
    EXPECT_EQ(ended.finish, WW_STOP);
    EXPECT_EQ(ended.tokens.back(), all.tokens[3]);
}

TEST(Engine, DrawsBySeed) {
    const EngineHandle engine = create(kModel);
    const auto drawn = [&](int seed) {
        return run(engine.get(),
                   {{"prompt", "A river is"}, {"max_tokens", 12}, {"temperature", 1.5}, {"seed", seed}})
            .begin()
            ->second.tokens;
    };
    EXPECT_EQ(drawn(3), drawn(3));
    EXPECT_NE(drawn(3), drawn(4));
}

TEST(Engine, RefusesRequestsByField) {
    const EngineHandle engine = create(kModel);
    const auto message = [&](const char* request) {
        int32_t first = -7;
        EXPECT_EQ(ww_engine_add(engine.get(), request, &first), WW_ERROR_CALLER) << request;
        EXPECT_EQ(first, -7);
        return std::string(ww_last_error());
    };
    EXPECT_EQ(message("[]"), "request: expected an object, got an array of 0");
    EXPECT_EQ(message("{}"), "request: expected either 'prompt' or 'messages'");
    EXPECT_EQ(message(R"({"prompt": "a", "max_token": 3})"), "request: unknown field max_token");
    EXPECT_EQ(message(R"({"prompt": [1, -2]})"), "request: 'prompt': expected token ids, got -2 among them");
    EXPECT_EQ(message(R"({"prompt": "a", "stop": ["x", ""]})"),
              "request: 'stop': expected texts that are not empty, got ''");
    EXPECT_EQ(message(R"({"prompt": "a", "logit_bias": {"x": 1}})"),
              "request: 'logit_bias': expected token ids, got 'x'");
    EXPECT_EQ(message(R"({"prompt": "a", "top_k": 5})"),
              "request: top_k, top_p, min_p: expected sample or a temperature with them");
    EXPECT_EQ(message(R"({"messages": [{"role": "user", "content": "a"}]})"),
              "request: 'messages': the model's folder has no chat template");
    EXPECT_EQ(message(R"({"prompt": [4096]})"), "prompt: token 4096 is outside the vocabulary of 4096");
    EXPECT_EQ(ww_engine_idle(engine.get()), 1);
}

TEST(Engine, CancelsFromAnotherThread) {
    const EngineHandle engine = create(kModel);
    int32_t first = -1;
    ASSERT_WW_OK(ww_engine_add(engine.get(),
                               R"({"prompt": "A river is", "max_tokens": 900, "ignore_eos": true})", &first));
    int32_t cancelled = 0;
    std::thread canceller;
    int num_steps = 0;
    for (int32_t count = 0; ww_engine_idle(engine.get()) == 0; ++num_steps) {
        ASSERT_WW_OK(ww_engine_step(engine.get(), &count));
        if (num_steps == 3)
            canceller = std::thread([&] { EXPECT_WW_OK(ww_engine_cancel(engine.get(), first, &cancelled)); });
    }
    canceller.join();
    EXPECT_EQ(cancelled, 1);
    EXPECT_LT(num_steps, 900);
    ASSERT_WW_OK(ww_engine_cancel(engine.get(), first, &cancelled));
    EXPECT_EQ(cancelled, 0);
}

TEST(Engine, TakesRandomWeightsAndReportsProgress) {
    ww_engine_options options{sizeof(ww_engine_options)};
    options.weights = "random:3";
    options.max_sequences = 1;
    options.cache_tokens = 64;
    int64_t last = 0;
    options.user = &last;
    options.progress = [](void* user, int64_t done, int64_t total) {
        EXPECT_LE(done, total);
        *static_cast<int64_t*>(user) = done;
    };
    const EngineHandle engine = create(kModel + "/config.json", &options);
    const auto facts = json::parse(text_of([&](char** out) { return ww_engine_json(engine.get(), out); }));
    EXPECT_EQ(last, facts["weights_bytes"]);
    EXPECT_EQ(facts["cache_tokens"], 64);
    EXPECT_EQ(ww_engine_tokenizer(engine.get()), nullptr);
    EXPECT_EQ(run(engine.get(), {{"prompt", {1, 2, 3}}, {"max_tokens", 4}, {"ignore_eos", true}})
                  .begin()
                  ->second.tokens.size(),
              4u);
    int32_t first = 0;
    EXPECT_EQ(ww_engine_add(engine.get(), R"({"prompt": "text"})", &first), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "request: 'prompt': expected token ids, the model has no tokenizer");
    const auto stats =
        json::parse(text_of([&](char** out) { return ww_engine_stats_json(engine.get(), out); }));
    EXPECT_EQ(stats["stats"]["decode_passes"], 3);
    const auto plan =
        json::parse(text_of([&](char** out) { return ww_engine_plan(engine.get(), 1, 8, 32, out); }));
    EXPECT_EQ(plan["phases"]["decode"]["context"], 32);

    const ContextHandle context = open_context("cpu");
    ww_engine* none = nullptr;
    options.weights = "random:x";
    EXPECT_EQ(ww_engine_create(context.get(), kModel.c_str(), &options, &none), WW_ERROR_CALLER);
    options.weights = nullptr;
    options.page_size_tokens = 3;
    EXPECT_EQ(ww_engine_create(context.get(), kModel.c_str(), &options, &none), WW_ERROR_CALLER);
    EXPECT_EQ(none, nullptr);
}

TEST(Engine, KeepsKeysAndValuesAsAsked) {
    ww_engine_options options{sizeof(ww_engine_options)};
    options.kv_format = "fp8_e4m3";
    const EngineHandle engine = create(kModel, &options);
    const auto facts = json::parse(text_of([&](char** out) { return ww_engine_json(engine.get(), out); }));
    EXPECT_EQ(facts["kv_format"], "fp8_e4m3");
    EXPECT_EQ(facts["kv_note"], "6 of 6 layers have no scales of keys and values: they are 1");
    EXPECT_EQ(run(engine.get(), {{"prompt", "A river is"}, {"max_tokens", 4}}).begin()->second.tokens.size(),
              4u);
    const auto plan =
        json::parse(text_of([&](char** out) { return ww_engine_plan(engine.get(), 1, 8, 32, out); }));
    EXPECT_EQ(plan["memory"]["kv_format"], "fp8_e4m3");

    // A program that was compiled before the field was there.
    options.struct_size = offsetof(ww_engine_options, kv_format);
    const EngineHandle older = create(kModel, &options);
    EXPECT_EQ(json::parse(text_of([&](char** out) { return ww_engine_json(older.get(), out); }))["kv_format"],
              "bf16");
    options = {sizeof(ww_engine_options)};
    options.kv_format = "int8";
    const ContextHandle context = open_context("cpu");
    ww_engine* none = nullptr;
    EXPECT_EQ(ww_engine_create(context.get(), kModel.c_str(), &options, &none), WW_ERROR_CALLER);
    EXPECT_EQ(std::string(ww_last_error()).substr(0, 53),
              "kv_format: expected auto, bf16, same, fp8_e4m3, fp8_e");
}

TEST(Engine, MultipliesCodesAsDeclared) {
    const std::string model = std::string(WW_SOURCE_DIR) + "/tests/formats/models/compressed_int8";
    ww_engine_options options{sizeof(ww_engine_options)};
    for (const char* activations : {"16bit", "declared"}) {
        options.activations = activations;
        const EngineHandle engine = create(model, &options);
        const auto facts =
            json::parse(text_of([&](char** out) { return ww_engine_json(engine.get(), out); }));
        EXPECT_EQ(facts["activations"], activations);
        EXPECT_EQ(facts["activations_reason"], "asked for");
        EXPECT_EQ(run(engine.get(), {{"prompt", {1, 2, 3}}, {"max_tokens", 4}, {"ignore_eos", true}})
                      .begin()
                      ->second.tokens.size(),
                  4u);
        const auto plan =
            json::parse(text_of([&](char** out) { return ww_engine_plan(engine.get(), 1, 8, 32, out); }));
        EXPECT_EQ(plan["model"]["activations"], activations);
    }
    const ContextHandle context = open_context("cpu");
    ww_engine* none = nullptr;
    options.activations = "declare";
    EXPECT_EQ(ww_engine_create(context.get(), model.c_str(), &options, &none), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(),
                 "activations: expected auto, 16bit, declared, got 'declare'; nearest: declared");
    options.activations = "declared";
    EXPECT_EQ(ww_engine_create(context.get(), kModel.c_str(), &options, &none), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "activations: declared: weights are numbers; expected auto or 16bit");
}

TEST(Questions, NameWhatIsWrongWithThem) {
    const auto message = [](auto ask, const char* request) {
        char* answer = nullptr;
        EXPECT_EQ(ask(request, &answer), WW_ERROR_CALLER) << request;
        EXPECT_EQ(answer, nullptr);
        return std::string(ww_last_error());
    };
    EXPECT_EQ(message(ww_why, R"({"op": "gemm", "gpus": "h100"})"), "ww_why: unknown field gpus");
    EXPECT_EQ(message(ww_why, R"({"gpu": "h100"})"), "ww_why: 'op' is missing; expected a string");
    EXPECT_EQ(message(ww_why, R"({"op": "gemm", "set": {"q": 1}})").substr(0, 18), "gemm: no field 'q'");
    EXPECT_EQ(message(ww_why, R"({"op": "gemm", "gpu": "h100", "device": "cpu"})"),
              "ww_why: expected gpu or device, got both");
    EXPECT_EQ(message(ww_why, "{"), "ww_why: not JSON at byte 2 of 1");
    EXPECT_EQ(message(ww_plan, R"({"model": "llama-3.1-8b", "batch": [1, 0]})"),
              "ww_plan: batch: expected integers of at least 1, got 0 among them");
    EXPECT_EQ(message(ww_plan, R"({"model": "llama-3.1-8b", "gpu": "h100", "format": "pdf"})"),
              "ww_plan: format: expected json or text, got 'pdf'");
}

}  // namespace
}  // namespace warpwright
