// SPDX-License-Identifier: Apache-2.0
// Contexts of the C ABI: errors, structs of other versions, memory and who it comes from, wishes about rows.
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "image/nvrtc.h"
#include "image/pack.h"
#include "library/c_calls.h"

namespace warpwright {
namespace {

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

ww_tensor matrix(void* data, int64_t rows, int64_t columns) {
    return c_tensor(Tensor::dense(data, DType::bf16, {rows, columns}));
}

// A gemm of zeros that serves.
struct SmallGemm {
    std::vector<u16> a = std::vector<u16>(64), b = std::vector<u16>(64), d = std::vector<u16>(16);
    ww_gemm call{sizeof(ww_gemm)};
    SmallGemm() {
        call.a = matrix(a.data(), 4, 16);
        call.b = matrix(b.data(), 4, 16);
        call.d = matrix(d.data(), 4, 4);
    }
};

TEST(Errors, AreTheThreadsOwnAndSayWhat) {
    ww_context* context = nullptr;
    EXPECT_EQ(ww_context_open("gpu", nullptr, &context), WW_ERROR_CALLER);
    EXPECT_EQ(context, nullptr);
    EXPECT_TRUE(contains(ww_last_error(), "\"gpu\" is no device")) << ww_last_error();
    std::string seen = "?";
    std::thread([&] { seen = ww_last_error(); }).join();
    EXPECT_EQ(seen, "");
    EXPECT_STREQ(ww_status_name(WW_ERROR_NO_KERNEL), "no kernel");
}

TEST(Errors, NullIsAnErrorOrNothing) {
    EXPECT_EQ(ww_context_open(nullptr, nullptr, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "ww_context_open: expected the name of a device, got null");
    EXPECT_EQ(ww_context_open("cpu", nullptr, nullptr), WW_ERROR_CALLER);
    const ContextHandle context = open_context("cpu");
    EXPECT_EQ(ww_run_gemm(context.get(), nullptr, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "ww_run_gemm: expected a struct, got null");
    EXPECT_EQ(ww_launch(nullptr, nullptr), WW_ERROR_CALLER);
    EXPECT_EQ(ww_allocate(nullptr, 1, nullptr), WW_ERROR_CALLER);
    EXPECT_EQ(ww_why(nullptr, nullptr), WW_ERROR_CALLER);
    EXPECT_EQ(ww_engine_idle(nullptr), 1);
    EXPECT_EQ(ww_engine_token(nullptr, 0), nullptr);
    EXPECT_EQ(ww_prepared_row(nullptr, 0), nullptr);
    ww_context_close(nullptr);
    ww_prepared_free(nullptr);
    ww_engine_free(nullptr);
    ww_tokenizer_free(nullptr);
    ww_release(nullptr, nullptr);
    ww_free(nullptr);
}

TEST(Structs, OfOlderCallersHaveZerosAtTheEnd) {
    const ContextHandle context = open_context("cpu");
    SmallGemm gemm;
    gemm.call.activation = 99;  // beyond what the older caller has
    gemm.call.struct_size = offsetof(ww_gemm, activation);
    EXPECT_WW_OK(ww_run_gemm(context.get(), &gemm.call, nullptr));
    gemm.call.struct_size = sizeof(ww_gemm);
    EXPECT_EQ(ww_run_gemm(context.get(), &gemm.call, nullptr), WW_ERROR_CALLER);
    EXPECT_TRUE(contains(ww_last_error(), "activation")) << ww_last_error();
    gemm.call.struct_size = 0;
    EXPECT_EQ(ww_run_gemm(context.get(), &gemm.call, nullptr), WW_ERROR_CALLER);
    EXPECT_TRUE(contains(ww_last_error(), "struct_size")) << ww_last_error();
}

TEST(Structs, OfNewerCallersMustNotUseWhatIsNotKnown) {
    struct Newer {
        ww_gemm known;
        int64_t unknown;
    };
    const ContextHandle context = open_context("cpu");
    SmallGemm gemm;
    Newer newer{gemm.call, 0};
    newer.known.struct_size = sizeof(Newer);
    EXPECT_WW_OK(ww_run_gemm(context.get(), &newer.known, nullptr));
    newer.unknown = 1;
    EXPECT_EQ(ww_run_gemm(context.get(), &newer.known, nullptr), WW_ERROR_CALLER);
    EXPECT_TRUE(contains(ww_last_error(), "older than the header")) << ww_last_error();
}

TEST(Tensors, AreCheckedForWhatCWouldLetPass) {
    const ContextHandle context = open_context("cpu");
    const auto message = [&](auto change) {
        SmallGemm gemm;
        change(gemm.call);
        EXPECT_EQ(ww_run_gemm(context.get(), &gemm.call, nullptr), WW_ERROR_CALLER);
        return std::string(ww_last_error());
    };
    EXPECT_EQ(message([](ww_gemm& c) { c.b.dtype = 17; }),
              "gemm: b: dtype: expected one of WW_F32 to WW_U8, got 17");
    EXPECT_EQ(message([](ww_gemm& c) { c.a.rank = 6; }), "gemm: a: rank: expected at most 4, got 6");
    EXPECT_EQ(message([](ww_gemm& c) { c.a.rank = -1; }), "gemm: a: rank: expected at most 4, got -1");
    EXPECT_EQ(message([](ww_gemm& c) { c.d.device_type = 2, c.d.device_id = 3; }),
              "gemm: d: is in memory of cuda:3, the context is cpu");
    EXPECT_EQ(message([](ww_gemm& c) { c.a.data = nullptr; }), "gemm: a is null");
    EXPECT_TRUE(
        contains(message([](ww_gemm& c) { c.b.shape[1] = 8; }), "dimension 1 (k) is 8, but a has 16"));
}

TEST(Tensors, WithoutStridesAreDenseAndEmptyOnesNeedNoAddress) {
    const ContextHandle context = open_context("cpu");
    SmallGemm gemm;
    for (ww_tensor* tensor : {&gemm.call.a, &gemm.call.b, &gemm.call.d}) {
        std::memset(tensor->stride, 0, sizeof(tensor->stride));
        tensor->device_type = 1;
    }
    gemm.a.assign(64, 0x3f80);  // 1
    gemm.b.assign(64, 0x3f80);
    EXPECT_WW_OK(ww_run_gemm(context.get(), &gemm.call, nullptr));
    EXPECT_EQ(gemm.d[15], 0x4180);  // 16

    ww_gated_activation none{sizeof(ww_gated_activation)};
    none.gate = none.up = none.out = matrix(nullptr, 0, 16);
    EXPECT_WW_OK(ww_run_gated_activation(context.get(), &none, nullptr));
}

TEST(Prepared, GathersLaunchesAndKeepsItsContextAlive) {
    ContextHandle context = open_context("cpu");
    SmallGemm gemm;
    ww_prepared* prepared = nullptr;
    ASSERT_WW_OK(ww_prepare_gemm(context.get(), &gemm.call, &prepared));
    const PreparedHandle owner(prepared);
    ASSERT_WW_OK(ww_prepare_gemm(context.get(), &gemm.call, &prepared));
    EXPECT_EQ(prepared, owner.get());
    EXPECT_EQ(ww_prepared_num_launches(prepared), 2);
    EXPECT_STREQ(ww_prepared_row(prepared, 1), "gemm.host.bf16");
    EXPECT_EQ(ww_prepared_row(prepared, 2), nullptr);

    ww_gemm wrong = gemm.call;
    wrong.b.shape[1] = 8;
    EXPECT_EQ(ww_prepare_gemm(context.get(), &wrong, &prepared), WW_ERROR_CALLER);
    EXPECT_EQ(ww_prepared_num_launches(prepared), 2);
    ww_prepared* none = nullptr;
    EXPECT_EQ(ww_prepare_gemm(context.get(), &wrong, &none), WW_ERROR_CALLER);
    EXPECT_EQ(none, nullptr);
    const ContextHandle other = open_context("cpu");
    EXPECT_EQ(ww_prepare_gemm(other.get(), &gemm.call, &prepared), WW_ERROR_CALLER);

    context.reset();
    gemm.a.assign(64, 0x3f80);
    gemm.b.assign(64, 0x3f80);
    EXPECT_WW_OK(ww_launch(prepared, nullptr));
    EXPECT_EQ(gemm.d[0], 0x4180);
}

TEST(Prepared, MayBeBatchInvariant) {
    if (Pack::linked().entries().empty() && !nvrtc().ok()) GTEST_SKIP() << "needs compiled kernels";
    const ContextHandle context = open_context("emulated:h200");
    char memory[256];
    const auto row = [&](int32_t batch_invariant, int64_t m) {
        ww_gemm call{sizeof(ww_gemm)};
        call.a = matrix(memory, m, 4096), call.b = matrix(memory, 4096, 4096),
        call.d = matrix(memory, m, 4096);
        ww_prepare_options options{sizeof(ww_prepare_options)};
        options.batch_invariant = batch_invariant;
        ww_prepared* prepared = nullptr;
        EXPECT_WW_OK(ww_prepared_create(context.get(), &options, &prepared));
        const PreparedHandle owner(prepared);
        EXPECT_WW_OK(ww_prepare_gemm(context.get(), &call, &prepared));
        return std::string(ww_prepared_row(prepared, 0));
    };
    EXPECT_NE(row(0, 1), row(0, 4096));
    EXPECT_EQ(row(1, 1), row(1, 4096));
}

TEST(Rows, AreForcedAndForbidden) {
    const ContextHandle context = open_context("cpu");
    SmallGemm gemm;
    EXPECT_EQ(ww_context_force(context.get(), "gemm", "gemm.host.bf17"), WW_ERROR_CALLER);
    EXPECT_TRUE(contains(ww_last_error(), "nearest: gemm.host.bf16")) << ww_last_error();
    EXPECT_EQ(ww_context_force(context.get(), "gem", "gemm.host.bf16"), WW_ERROR_CALLER);
    ASSERT_WW_OK(ww_context_force(context.get(), "gemm", "gemm.host.f16"));
    EXPECT_EQ(ww_run_gemm(context.get(), &gemm.call, nullptr), WW_ERROR_NO_KERNEL);
    EXPECT_TRUE(contains(ww_last_error(), "the forced row gemm.host.f16 does not serve")) << ww_last_error();
    ASSERT_WW_OK(ww_context_force(context.get(), "gemm", nullptr));
    EXPECT_WW_OK(ww_run_gemm(context.get(), &gemm.call, nullptr));

    EXPECT_EQ(ww_context_forbid(context.get(), "gemm.host.x", "no"), WW_ERROR_CALLER);
    ASSERT_WW_OK(ww_context_forbid(context.get(), "gemm.host.bf16", "it failed its check"));
    EXPECT_EQ(ww_run_gemm(context.get(), &gemm.call, nullptr), WW_ERROR_NO_KERNEL);
    EXPECT_TRUE(contains(ww_last_error(), "forbidden: it failed its check")) << ww_last_error();
    ASSERT_WW_OK(ww_context_forbid(context.get(), "gemm.host.bf16", nullptr));
    EXPECT_WW_OK(ww_run_gemm(context.get(), &gemm.call, nullptr));
}

TEST(Memory, IsAllocatedCopiedAndFilled) {
    for (const char* device : {"cpu", "emulated:a100"}) {
        const ContextHandle context = open_context(device);
        void *first = nullptr, *second = nullptr, *pinned = nullptr, *stream = nullptr;
        ASSERT_WW_OK(ww_allocate(context.get(), 100, &first));
        ASSERT_WW_OK(ww_allocate(context.get(), 100, &second));
        ASSERT_WW_OK(ww_allocate_pinned(context.get(), 100, &pinned));
        ASSERT_WW_OK(ww_stream_create(context.get(), &stream));
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 256, 0u);
        ASSERT_WW_OK(ww_fill(context.get(), first, 7, 100, stream));
        ASSERT_WW_OK(ww_copy_in(context.get(), static_cast<char*>(first) + 1, "warp", 4, stream));
        ASSERT_WW_OK(ww_copy(context.get(), second, first, 6, stream));
        ASSERT_WW_OK(ww_copy_out(context.get(), pinned, second, 6, stream));
        EXPECT_EQ(std::memcmp(pinned, "\7warp\7", 6), 0) << device;
        ww_stream_destroy(context.get(), stream);
        ww_release_pinned(context.get(), pinned);
        ww_release(context.get(), second);
        ww_release(context.get(), first);
    }
}

TEST(Memory, OfTheHostIsImportedByEmulatedDevicesOnly) {
    const ContextHandle emulated = open_context("emulated:rtx-5090"), cpu = open_context("cpu");
    std::vector<i32> array{1, 2, 3};
    void* pointer = nullptr;
    EXPECT_EQ(ww_import_host(cpu.get(), array.data(), 12, 0, &pointer), WW_ERROR_CALLER);
    ASSERT_WW_OK(ww_import_host(emulated.get(), array.data(), 12, 0, &pointer));
    ASSERT_WW_OK(ww_fill(emulated.get(), static_cast<i32*>(pointer) + 1, 1, 4, nullptr));
    EXPECT_EQ(array, (std::vector<i32>{1, 0x01010101, 3}));
    ww_release(emulated.get(), pointer);
    array[0] = 9;  // still the caller's

    void* read_only = nullptr;
    ASSERT_WW_OK(ww_import_host(emulated.get(), array.data(), 12, 1, &read_only));
    EXPECT_EQ(ww_fill(emulated.get(), read_only, 1, 4, nullptr), WW_ERROR_CALLER);
    ww_release(emulated.get(), read_only);
}

TEST(Events, MeasureAndGraphsReplay) {
    const ContextHandle context = open_context("emulated:a100");
    void *pointer = nullptr, *stream = nullptr, *graph = nullptr, *from = nullptr, *to = nullptr;
    ASSERT_WW_OK(ww_allocate(context.get(), 4, &pointer));
    ASSERT_WW_OK(ww_stream_create(context.get(), &stream));
    ASSERT_WW_OK(ww_event_create(context.get(), &from));
    ASSERT_WW_OK(ww_event_create(context.get(), &to));
    ASSERT_WW_OK(ww_capture_begin(context.get(), stream));
    ASSERT_WW_OK(ww_fill(context.get(), pointer, 5, 4, stream));
    ASSERT_WW_OK(ww_capture_end(context.get(), stream, &graph));
    ASSERT_WW_OK(ww_fill(context.get(), pointer, 1, 4, stream));
    i32 value = 0;
    ASSERT_WW_OK(ww_copy_out(context.get(), &value, pointer, 4, stream));
    EXPECT_EQ(value, 0x01010101);
    ASSERT_WW_OK(ww_event_record(context.get(), from, stream));
    ASSERT_WW_OK(ww_graph_launch(context.get(), graph, stream));
    ASSERT_WW_OK(ww_event_record(context.get(), to, stream));
    ASSERT_WW_OK(ww_stream_wait(context.get(), nullptr, to));
    ASSERT_WW_OK(ww_event_synchronize(context.get(), to));
    ASSERT_WW_OK(ww_copy_out(context.get(), &value, pointer, 4, stream));
    EXPECT_EQ(value, 0x05050505);
    double us = -1;
    ASSERT_WW_OK(ww_event_elapsed_us(context.get(), from, to, &us));
    EXPECT_GT(us, 0);
    ww_graph_destroy(context.get(), graph);
    ww_event_destroy(context.get(), from);
    ww_event_destroy(context.get(), to);
    ww_stream_destroy(context.get(), stream);
    ww_release(context.get(), pointer);
}

// An allocator that counts, and can be told to fail.
struct Counting {
    std::mutex mutex;
    std::map<void*, std::size_t> out;
    std::size_t calls = 0, most_bytes = 0, total_bytes = 0;
    std::size_t fails_from = ~std::size_t{0};  // this call and later ones
    std::size_t shift = 0;                     // what it gives is misaligned by so much
    bool confused = false;                     // given back what was not given out, or another size

    ww_allocator c() {
        ww_allocator allocator{sizeof(ww_allocator)};
        allocator.user = this;
        allocator.allocate = [](void* user, std::size_t bytes) -> void* {
            auto& self = *static_cast<Counting*>(user);
            const std::lock_guard lock(self.mutex);
            if (self.calls++ >= self.fails_from) return nullptr;
            void* base = std::aligned_alloc(256, (bytes + 511) / 256 * 256);
            void* pointer = static_cast<char*>(base) + self.shift;
            self.out[pointer] = bytes;
            self.total_bytes += bytes;
            self.most_bytes = std::max(self.most_bytes, self.total_bytes);
            return pointer;
        };
        allocator.release = [](void* user, void* pointer, std::size_t bytes) {
            auto& self = *static_cast<Counting*>(user);
            const std::lock_guard lock(self.mutex);
            const auto entry = self.out.find(pointer);
            self.confused |= entry == self.out.end() || entry->second != bytes;
            if (entry == self.out.end()) return;
            self.total_bytes -= bytes;
            self.out.erase(entry);
            std::free(static_cast<char*>(pointer) - self.shift);
        };
        return allocator;
    }
};

ContextHandle open_with(Counting& counting) {
    const ww_allocator allocator = counting.c();
    ww_context_options options{sizeof(ww_context_options)};
    options.allocator = &allocator;
    return open_context("cpu", &options);
}

const std::string kModel = std::string(WW_SOURCE_DIR) + "/models/glossary";

TEST(Allocator, ServesEverythingAnEngineNeeds) {
    Counting counting;
    ContextHandle context = open_with(counting);
    ww_engine_options options{sizeof(ww_engine_options)};
    options.max_sequences = 2;
    options.cache_tokens = 256;
    ww_engine* engine = nullptr;
    ASSERT_WW_OK(ww_engine_create(context.get(), kModel.c_str(), &options, &engine));
    const auto facts =
        nlohmann::json::parse(text_of([&](char** json) { return ww_engine_json(engine, json); }));
    EXPECT_GT(counting.total_bytes, facts["weights_bytes"].get<std::size_t>());
    int32_t sequence = 0, num_tokens = 0;
    ASSERT_WW_OK(ww_engine_add(engine, R"({"prompt": "A river is", "max_tokens": 4,
                                           "repetition_penalty": 1.1})",
                               &sequence));
    while (ww_engine_idle(engine) == 0) ASSERT_WW_OK(ww_engine_step(engine, &num_tokens));
    context.reset();
    EXPECT_FALSE(counting.out.empty());
    ww_engine_free(engine);
    EXPECT_TRUE(counting.out.empty()) << counting.out.size() << " allocations were not given back";
    EXPECT_FALSE(counting.confused);
}

// Whichever of its allocations fails, the call says so, and what came before is given back.
TEST(Allocator, ThatFailsIsAnErrorAndNothingLeaks) {
    std::size_t num_calls = 0;
    for (std::size_t failing = 0; failing <= num_calls; ++failing) {
        Counting counting;
        if (num_calls > 0) counting.fails_from = failing - 1;
        ContextHandle context = open_with(counting);
        ww_engine_options options{sizeof(ww_engine_options)};
        options.max_sequences = 1;
        options.cache_tokens = 64;
        ww_engine* engine = nullptr;
        const ww_status status = ww_engine_create(context.get(), kModel.c_str(), &options, &engine);
        if (num_calls == 0) {
            ASSERT_WW_OK(status);
            num_calls = counting.calls;
            ASSERT_GT(num_calls, 3u);
        } else {
            EXPECT_EQ(status, WW_ERROR_UNAVAILABLE) << failing;
            EXPECT_TRUE(contains(ww_last_error(), "the caller's allocator gave nothing for"))
                << ww_last_error();
            EXPECT_EQ(engine, nullptr);
        }
        ww_engine_free(engine);
        context.reset();
        EXPECT_TRUE(counting.out.empty()) << failing;
        EXPECT_FALSE(counting.confused);
    }
}

TEST(Allocator, MustAlignAndHasBothFunctions) {
    Counting counting;
    counting.shift = 16;
    const ContextHandle context = open_with(counting);
    void* pointer = nullptr;
    EXPECT_EQ(ww_allocate(context.get(), 8, &pointer), WW_ERROR_UNAVAILABLE);
    EXPECT_TRUE(contains(ww_last_error(), "expected a multiple of 256 bytes")) << ww_last_error();
    EXPECT_TRUE(counting.out.empty());

    ww_allocator allocator = counting.c();
    allocator.release = nullptr;
    ww_context_options options{sizeof(ww_context_options)};
    options.allocator = &allocator;
    ww_context* none = nullptr;
    EXPECT_EQ(ww_context_open("cpu", &options, &none), WW_ERROR_CALLER);
    allocator = counting.c();
    EXPECT_EQ(ww_context_open("emulated:a100", &options, &none), WW_ERROR_CALLER);
    EXPECT_TRUE(contains(ww_last_error(), "simulated")) << ww_last_error();
}

}  // namespace
}  // namespace warpwright
