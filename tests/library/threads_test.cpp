// SPDX-License-Identifier: Apache-2.0
// Eight threads with eight streams each on one context: everything from the first load of a kernel on at
// once, and every stream gets what it gets alone. And calls of all kinds at once.
#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "image/nvrtc.h"
#include "image/pack.h"
#include "kernels/host_math.h"
#include "library/c_calls.h"

namespace warpwright {
namespace {

constexpr int kNumThreads = 8, kNumStreams = 8;
constexpr int64_t kTokens = 3, kWidth = 64;
constexpr std::size_t kBytes = kTokens * kWidth * 2;

std::vector<u16> reals(unsigned seed, int64_t count) {
    std::mt19937 random(seed);
    std::normal_distribution<float> values;
    std::vector<u16> numbers(static_cast<std::size_t>(count));
    for (u16& number : numbers) number = float_to_bf16(values(random));
    return numbers;
}

ww_tensor bf16(void* data, int64_t rows, int64_t columns) {
    return c_tensor(Tensor::dense(data, DType::bf16, {rows, columns}));
}

// x -> norm(silu(x w^T) x), some times over, on a stream and buffers of its own.
class Chain {
public:
    Chain(ww_context* context, unsigned seed) : context_(context), x_(reals(seed, kTokens * kWidth)) {
        const std::vector<u16> w = reals(99, kWidth * kWidth), norm = reals(98, kWidth);
        ok_ = ww_stream_create(context, &stream_) == WW_OK && upload(x_, &x_data_) && upload(w, &w_data_) &&
              upload(norm, &norm_data_) && ww_allocate(context, kBytes, &y_data_) == WW_OK;
        gemm_.a = bf16(x_data_, kTokens, kWidth);
        gemm_.b = bf16(w_data_, kWidth, kWidth);
        gemm_.d = bf16(y_data_, kTokens, kWidth);
        gate_.gate = gate_.out = gemm_.d;
        gate_.up = gemm_.a;
        gate_.activation = WW_SILU;
        norm_.x = gemm_.d;
        norm_.weight = c_tensor(Tensor::dense(norm_data_, DType::bf16, {kWidth}));
        norm_.out = gemm_.a;
    }
    ~Chain() {
        ww_prepared_free(prepared_);
        for (void* pointer : {x_data_, w_data_, norm_data_, y_data_}) ww_release(context_, pointer);
        ww_stream_destroy(context_, stream_);
    }
    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;

    // Enqueued; the second and later ones are launches of what the first one prepares.
    bool step() {
        if (prepared_ != nullptr) return ok_ = ok_ && ww_launch(prepared_, stream_) == WW_OK;
        ok_ = ok_ && ww_run_gemm(context_, &gemm_, stream_) == WW_OK &&
              ww_run_gated_activation(context_, &gate_, stream_) == WW_OK &&
              ww_run_rmsnorm(context_, &norm_, stream_) == WW_OK;
        return ok_ = ok_ && ww_prepare_gemm(context_, &gemm_, &prepared_) == WW_OK &&
                     ww_prepare_gated_activation(context_, &gate_, &prepared_) == WW_OK &&
                     ww_prepare_rmsnorm(context_, &norm_, &prepared_) == WW_OK;
    }

    std::vector<u16> result() {
        std::vector<u16> numbers(kTokens * kWidth);
        ok_ = ok_ && ww_copy_out(context_, numbers.data(), x_data_, kBytes, stream_) == WW_OK;
        return ok_ ? numbers : std::vector<u16>{};
    }

private:
    bool upload(const std::vector<u16>& numbers, void** data) {
        return ww_allocate(context_, numbers.size() * 2, data) == WW_OK &&
               ww_copy_in(context_, *data, numbers.data(), numbers.size() * 2, stream_) == WW_OK;
    }

    ww_context* context_;
    std::vector<u16> x_;
    bool ok_ = false;
    void *stream_ = nullptr, *x_data_ = nullptr, *w_data_ = nullptr, *norm_data_ = nullptr,
         *y_data_ = nullptr;
    ww_gemm gemm_{sizeof(ww_gemm)};
    ww_gated_activation gate_{sizeof(ww_gated_activation)};
    ww_rmsnorm norm_{sizeof(ww_rmsnorm)};
    ww_prepared* prepared_ = nullptr;
};

bool can_run(const std::string& device) {
    const std::string list = text_of([](char** json) { return ww_devices_json(json); });
    if (device == "cuda:0") return list.find("\"cuda:0\"") != std::string::npos;
    return device == "cpu" || !Pack::linked().entries().empty() || nvrtc().ok();
}

class ThreadsOn : public testing::TestWithParam<std::string> {};

TEST_P(ThreadsOn, ShareAContext) {
    const std::string device = GetParam();
    if (!can_run(device)) GTEST_SKIP() << "needs " << (device == "cuda:0" ? "a GPU" : "compiled kernels");
    const int num_steps = device == "cpu" ? 300 : device == "cuda:0" ? 300 : 10;

    const ContextHandle shared = open_context(device.c_str());
    std::vector<std::vector<std::vector<u16>>> results(kNumThreads);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kNumThreads; ++thread) {
        threads.emplace_back([&, thread] {
            std::vector<std::unique_ptr<Chain>> chains;
            for (int i = 0; i < kNumStreams; ++i)
                chains.push_back(std::make_unique<Chain>(shared.get(), thread * kNumStreams + i));
            for (int step = 0; step < num_steps; ++step) {
                for (auto& chain : chains) chain->step();
            }
            for (auto& chain : chains) results[thread].push_back(chain->result());
        });
    }
    for (std::thread& thread : threads) thread.join();

    const ContextHandle alone = open_context(device.c_str());
    for (int seed = 0; seed < kNumThreads * kNumStreams; ++seed) {
        Chain chain(alone.get(), seed);
        for (int step = 0; step < num_steps; ++step) ASSERT_TRUE(chain.step()) << ww_last_error();
        ASSERT_EQ(results[seed / kNumStreams][seed % kNumStreams], chain.result()) << "stream " << seed;
    }
}

std::string answer(ww_status (*ask)(const char*, char**), const char* request) {
    char* text = nullptr;
    if (ask(request, &text) != WW_OK) return {};
    const std::string copy = text;
    ww_free(text);
    return copy;
}

// What one thread of EverythingAtOnce does again and again; false: it went wrong.
using Job = std::function<bool()>;

// Many kinds of calls on one context, one engine and one tokenizer: under the thread sanitizer (`./test
// threads`) this is where a lock that is missing shows.
TEST(Threads, DoEverythingAtOnce) {
    constexpr int kNumRounds = 6;
    const std::string model = std::string(WW_SOURCE_DIR) + "/models/glossary";
    const ContextHandle context = open_context("cpu");
    ww_tokenizer* tokenizer = nullptr;
    ASSERT_WW_OK(ww_tokenizer_load(model.c_str(), &tokenizer));
    ww_engine* engine = nullptr;
    ww_engine_options options{sizeof(ww_engine_options)};
    options.max_context_tokens = 64;
    ASSERT_WW_OK(ww_engine_create(context.get(), model.c_str(), &options, &engine));

    const std::string plan_request = R"({"model": "llama-3.1-8b", "gpu": "h100"})",
                      why_request = R"({"op": "rope", "device": "cpu"})";
    const std::string plan = answer(ww_plan, plan_request.c_str()), why = answer(ww_why, why_request.c_str());
    ASSERT_FALSE(plan.empty() || why.empty()) << ww_last_error();
    const std::vector<Job> jobs{
        [&] {
            Chain chain(context.get(), 1);
            return chain.step() && chain.step() && !chain.result().empty();
        },
        [&] {  // rows that no other job uses
            return ww_context_force(context.get(), "logits", "logits.host") == WW_OK &&
                   ww_context_forbid(context.get(), "gemm.host.f16", "not now") == WW_OK &&
                   ww_context_forbid(context.get(), "gemm.host.f16", nullptr) == WW_OK &&
                   ww_context_force(context.get(), "logits", nullptr) == WW_OK;
        },
        [&] { return answer(ww_plan, plan_request.c_str()) == plan; },
        [&] { return answer(ww_why, why_request.c_str()) == why; },
        [&] {
            int32_t* tokens = nullptr;
            std::size_t count = 0, bytes = 0;
            char* text = nullptr;
            const bool ok = ww_encode(tokenizer, "a river", 7, 0, &tokens, &count) == WW_OK &&
                            ww_decode(tokenizer, tokens, count, 1, &text, &bytes) == WW_OK &&
                            std::string(text, bytes) == "a river";
            ww_free(tokens);
            ww_free(text);
            return ok;
        },
        [&] {
            int32_t first = 0, count = 0;
            const char* request = R"({"prompt": "A river is", "max_tokens": 3, "ignore_eos": true})";
            if (ww_engine_add(engine, request, &first) != WW_OK) return false;
            bool ok = true;
            for (int i = 0; ok && i < 4; ++i) ok = ww_engine_step(engine, &count) == WW_OK;
            return ok;
        },
        [&] {
            int32_t first = 0;
            char* json = nullptr;
            const char* request = R"({"prompt": [1, 2], "max_tokens": 9, "num_sequences": 2})";
            const bool ok = ww_engine_add(engine, request, &first) == WW_OK &&
                            ww_engine_cancel(engine, first, nullptr) == WW_OK &&
                            ww_engine_stats_json(engine, &json) == WW_OK;
            ww_free(json);
            return ok;
        },
        [&] {
            ww_check_options check{sizeof(ww_check_options)};
            check.op = "kv_append";
            check.num_workers = 2;
            check.progress = [](void*, const char*, int32_t num_done, int32_t) { return num_done / 4; };
            char* report = nullptr;
            const bool ok = ww_check(context.get(), &check, &report) == WW_OK;
            ww_free(report);
            return ok;
        },
        [&] {
            ww_context* none = nullptr;
            return ww_context_open("gpu", nullptr, &none) == WW_ERROR_CALLER &&
                   std::string(ww_last_error()).find("gpu") != std::string::npos;
        },
    };
    std::vector<std::string> problems(jobs.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round < kNumRounds && problems[i].empty(); ++round)
                if (!jobs[i]()) problems[i] = std::string("it went wrong: ") + ww_last_error();
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (std::size_t i = 0; i < jobs.size(); ++i) EXPECT_EQ(problems[i], "") << "job " << i;
    ww_engine_free(engine);
    ww_tokenizer_free(tokenizer);
}

INSTANTIATE_TEST_SUITE_P(Devices, ThreadsOn, testing::Values("cpu", "emulated:rtx-5090,threads=1", "cuda:0"),
                         [](const auto& info) { return info.param.substr(0, info.param.find(':')); });

}  // namespace
}  // namespace warpwright
