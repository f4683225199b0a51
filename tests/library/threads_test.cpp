// SPDX-License-Identifier: Apache-2.0
// One context, eight threads with eight streams each: everything from the first load of a kernel on at once,
// and every stream gets what it gets alone.
#include <algorithm>
#include <cstring>
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

class Threads : public testing::TestWithParam<std::string> {};

TEST_P(Threads, ShareAContext) {
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

INSTANTIATE_TEST_SUITE_P(Devices, Threads, testing::Values("cpu", "emulated:rtx-5090,threads=1", "cuda:0"),
                         [](const auto& info) { return info.param.substr(0, info.param.find(':')); });

}  // namespace
}  // namespace warpwright
