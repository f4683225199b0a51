// SPDX-License-Identifier: Apache-2.0
// What a framework brings to a GPU stays its own: its context, streams, captures and allocator.
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "device/cuda_api.h"
#include "library/c_calls.h"

namespace warpwright {
namespace {

class GpuLibrary : public testing::Test {
protected:
    void SetUp() override {
        const auto api = cuda_api();
        const Status status = api.ok() ? cuda_device_count(**api).status() : api.status();
        if (!status.ok()) GTEST_SKIP() << status.message();
        api_ = *api;
        ASSERT_EQ(api_->cuDeviceGet(&device_, 0), cu::kSuccess);
    }
    CuContext current() const {
        CuContext context = nullptr;
        EXPECT_EQ(api_->cuCtxGetCurrent(&context), cu::kSuccess);
        return context;
    }

    const CudaApi* api_ = nullptr;
    CuDevice device_ = 0;
};

// As the CUDA runtime has it: the primary context, current on the thread, and all of it made without us.
TEST_F(GpuLibrary, UsesTheCallersContextStreamMemoryAndCapture) {
    CuContext primary = nullptr;
    ASSERT_EQ(api_->cuDevicePrimaryCtxRetain(&primary, device_), cu::kSuccess);
    ASSERT_EQ(api_->cuCtxSetCurrent(primary), cu::kSuccess);
    CuStream stream = nullptr;
    ASSERT_EQ(api_->cuStreamCreate(&stream, cu::kStreamNonBlocking), cu::kSuccess);
    constexpr i64 kSize = 128;
    CuDevicePtr memory = 0;
    ASSERT_EQ(api_->cuMemAlloc(&memory, 3 * kSize * kSize * 2), cu::kSuccess);
    const std::vector<u16> ones(2 * kSize * kSize, 0x3f80);
    ASSERT_EQ(api_->cuMemcpyHtoDAsync(memory, ones.data(), ones.size() * 2, stream), cu::kSuccess);

    ContextHandle context = open_context("cuda:0");
    ww_gemm call{sizeof(ww_gemm)};
    auto* matrices = reinterpret_cast<u16*>(memory);
    ww_tensor* const tensors[] = {&call.a, &call.b, &call.d};
    for (int i = 0; i < 3; ++i) {
        *tensors[i] = c_tensor(Tensor::dense(matrices + i * kSize * kSize, DType::bf16, {kSize, kSize}));
        tensors[i]->device_type = 2;  // kDLCUDA
    }
    ASSERT_WW_OK(ww_run_gemm(context.get(), &call, stream));
    std::vector<u16> result(kSize * kSize);
    const auto fetch = [&] {
        ASSERT_EQ(
            api_->cuMemcpyDtoHAsync(result.data(), memory + 2 * kSize * kSize * 2, result.size() * 2, stream),
            cu::kSuccess);
        ASSERT_EQ(api_->cuStreamSynchronize(stream), cu::kSuccess);
    };
    fetch();
    EXPECT_EQ(result, std::vector<u16>(kSize * kSize, 0x4300));  // 128
    EXPECT_EQ(current(), primary);

    ww_prepared* prepared = nullptr;
    ASSERT_WW_OK(ww_prepare_gemm(context.get(), &call, &prepared));
    ASSERT_EQ(api_->cuMemsetD8Async(memory + 2 * kSize * kSize * 2, 0, kSize * kSize * 2, stream),
              cu::kSuccess);
    CuGraph graph = nullptr;
    CuGraphExec executable = nullptr;
    ASSERT_EQ(api_->cuStreamBeginCapture(stream, cu::kCaptureModeRelaxed), cu::kSuccess);
    ASSERT_WW_OK(ww_launch(prepared, stream));
    ASSERT_EQ(api_->cuStreamEndCapture(stream, &graph), cu::kSuccess);
    fetch();
    EXPECT_EQ(result, std::vector<u16>(kSize * kSize, 0)) << "what was captured has run";
    ASSERT_EQ(api_->cuGraphInstantiateWithFlags(&executable, graph, 0), cu::kSuccess);
    ASSERT_EQ(api_->cuGraphLaunch(executable, stream), cu::kSuccess);
    fetch();
    EXPECT_EQ(result[0], 0x4300);
    api_->cuGraphExecDestroy(executable);
    api_->cuGraphDestroy(graph);

    // A thread that has never seen a context, and the context's end while the caller keeps the GPU's.
    std::thread([&] { EXPECT_WW_OK(ww_launch(prepared, stream)); }).join();
    ww_prepared_free(prepared);
    context.reset();
    EXPECT_EQ(current(), primary);
    fetch();

    call.a.device_id = 1;
    context = open_context("cuda:0");
    EXPECT_EQ(ww_run_gemm(context.get(), &call, stream), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "gemm: a: is in memory of cuda:1, the context is cuda:0");
    context.reset();
    api_->cuMemFree(memory);
    api_->cuStreamDestroy(stream);
    api_->cuDevicePrimaryCtxRelease(device_);
}

// Serves from another context's memory, and notes what is current when it is called.
struct Backing {
    const CudaApi* api = nullptr;
    ContextHandle memory;
    std::mutex mutex;
    std::set<void*> out;
    std::set<CuContext> current;
    std::size_t total_bytes = 0, calls = 0, fails_from = ~std::size_t{0};

    void note() {
        CuContext context = nullptr;
        api->cuCtxGetCurrent(&context);
        current.insert(context);
    }
};

TEST_F(GpuLibrary, AllocatesWithTheCallersAllocatorOnly) {
    const std::string config = testing::TempDir() + "/config.json";
    std::ofstream(config)
        << R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 4096,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000, "torch_dtype": "bfloat16",
        "eos_token_id": 1})";
    Backing backing{.api = api_, .memory = open_context("cuda:0")};
    ww_allocator allocator{sizeof(ww_allocator)};
    allocator.user = &backing;
    allocator.allocate = [](void* user, std::size_t bytes) -> void* {
        auto& self = *static_cast<Backing*>(user);
        const std::lock_guard lock(self.mutex);
        void* pointer = nullptr;
        if (self.calls++ >= self.fails_from) return nullptr;
        self.note();
        if (ww_allocate(self.memory.get(), bytes, &pointer) != WW_OK) return nullptr;
        self.out.insert(pointer);
        self.total_bytes += bytes;
        return pointer;
    };
    allocator.release = [](void* user, void* pointer, std::size_t) {
        auto& self = *static_cast<Backing*>(user);
        const std::lock_guard lock(self.mutex);
        self.note();
        EXPECT_EQ(self.out.erase(pointer), 1u);
        ww_release(self.memory.get(), pointer);
    };
    ww_context_options options{sizeof(ww_context_options)};
    options.allocator = &allocator;
    ww_engine_options engine_options{sizeof(ww_engine_options)};
    engine_options.weights = "random:1";
    engine_options.max_sequences = 2;
    const auto create = [&](ww_engine** engine) {
        const ContextHandle context = open_context("cuda:0", &options);
        return ww_engine_create(context.get(), config.c_str(), &engine_options, engine);
    };

    ww_engine* engine = nullptr;
    ASSERT_WW_OK(create(&engine));
    int32_t sequence = 0, count = 0, num_generated = 0;
    ASSERT_WW_OK(ww_engine_add(engine, R"({"prompt": [5, 6, 7], "max_tokens": 8, "ignore_eos": true,
        "repetition_penalty": 1.2, "logprobs": 1})",
                               &sequence));
    for (; ww_engine_idle(engine) == 0; num_generated += count) ASSERT_WW_OK(ww_engine_step(engine, &count));
    EXPECT_EQ(num_generated, 8);
    EXPECT_GT(backing.total_bytes, std::size_t{4096} * 256 * 2);
    ww_engine_free(engine);
    EXPECT_TRUE(backing.out.empty());

    CuContext primary = nullptr;
    ASSERT_EQ(api_->cuDevicePrimaryCtxRetain(&primary, device_), cu::kSuccess);
    EXPECT_EQ(backing.current, std::set<CuContext>{primary});
    api_->cuDevicePrimaryCtxRelease(device_);

    const std::size_t num_calls = std::exchange(backing.calls, 0);
    for (std::size_t failing : {std::size_t{0}, num_calls / 2}) {
        backing.calls = 0;
        backing.fails_from = failing;
        engine = nullptr;
        EXPECT_EQ(create(&engine), WW_ERROR_UNAVAILABLE);
        EXPECT_NE(std::string(ww_last_error()).find("the caller's allocator gave nothing"), std::string::npos)
            << ww_last_error();
        EXPECT_EQ(engine, nullptr);
        EXPECT_TRUE(backing.out.empty());
    }
    std::filesystem::remove(config);
}

}  // namespace
}  // namespace warpwright
