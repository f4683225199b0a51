// SPDX-License-Identifier: Apache-2.0
// The CUDA device on a real GPU. Without one every test here is skipped, with the reason, and counted as
// that.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "device/kernels_ptx.h"
#include "device/machine.h"
#include "warpwright/device.h"

namespace warpwright {
namespace {

template <class Args>
std::span<const std::byte> bytes_of(const Args& args) {
    return std::as_bytes(std::span(&args, 1));
}

#define ASSERT_OK(expression)                                 \
    do {                                                      \
        const auto& ok_result = (expression);                 \
        ASSERT_TRUE(ok_result.ok()) << message_of(ok_result); \
    } while (false)

std::string message_of(const Status& status) {
    return status.message();
}
template <class T>
std::string message_of(const Result<T>& result) {
    return result.status().message();
}

class GpuTest : public testing::Test {
protected:
    void SetUp() override {
        const DeviceList list = list_devices();
        if (!list.cuda_problem.empty()) GTEST_SKIP() << list.cuda_problem;
        auto opened = open_device("cuda:0");
        ASSERT_OK(opened);
        device = *opened;
        auto created = device->create_stream();
        ASSERT_OK(created);
        stream = *created;
    }
    void TearDown() override {
        if (device != nullptr) device->destroy(stream);
    }
    bool is_hopper_or_later() const { return device->target().facts.compute_capability >= 90; }

    // A buffer of `count` words with these bytes in it.
    Buffer words(std::size_t count, u8 fill_value = 0xee) {
        auto buffer = Buffer::allocate(device, count * 4);
        if (!buffer.ok()) {
            ADD_FAILURE() << message_of(buffer);
            return {};
        }
        EXPECT_TRUE(device->fill(buffer->data(), fill_value, count * 4, stream).ok());
        return std::move(*buffer);
    }
    std::vector<u32> read(const Buffer& buffer) {
        std::vector<u32> values(buffer.bytes() / 4);
        const Status status = device->copy_out(values.data(), buffer.data(), buffer.bytes(), stream);
        EXPECT_TRUE(status.ok()) << message_of(status);
        return values;
    }

    std::shared_ptr<Device> device;
    Stream stream;
};

TEST_F(GpuTest, TargetIsThisGpu) {
    const Target& target = device->target();
    EXPECT_TRUE(target.measured);
    EXPECT_GE(target.facts.compute_capability, 80);
    EXPECT_GT(target.facts.num_sms, 0);
    EXPECT_GT(target.facts.bf16_tflops, 0);
    EXPECT_GT(target.facts.memory_gb_s, 0);
    const auto memory = device->memory();
    ASSERT_OK(memory);
    EXPECT_GT(memory->free_bytes, 0);
    EXPECT_LE(memory->free_bytes, memory->total_bytes);
    RecordProperty("target", target.id);
    const Machine machine = probe_machine();
    ASSERT_FALSE(machine.gpus.empty());
    EXPECT_EQ(machine.gpus[0].target.id, target.id);
}

TEST_F(GpuTest, CopiesAndFills) {
    constexpr std::size_t kCount = 1 << 20;
    std::vector<u32> values(kCount);
    for (std::size_t i = 0; i < kCount; ++i) values[i] = static_cast<u32>(i * 2654435761u);
    const Buffer first = words(kCount);
    const Buffer second = words(kCount);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first.data()) % 256, 0u);
    ASSERT_OK(device->copy_in(first.data(), values.data(), first.bytes(), stream));
    ASSERT_OK(device->copy(second.data(), first.data(), first.bytes(), stream));
    ASSERT_OK(device->fill(second.data(), 0x5a, 8, stream));
    values[0] = values[1] = 0x5a5a5a5a;
    EXPECT_EQ(read(second), values);
    ASSERT_OK(device->copy_in(first.data(), nullptr, 0, stream));
    ASSERT_OK(device->allocate(0));
}

TEST_F(GpuTest, PinnedMemoryIsCopiedBehindTheCallersBack) {
    constexpr std::size_t kBytes = 64 << 20;
    auto pinned = Buffer::allocate_pinned(device, kBytes);
    ASSERT_OK(pinned);
    const Buffer there = words(kBytes / sizeof(u32));
    const auto event = device->create_event();
    ASSERT_OK(event);
    for (u32 round = 1; round <= 3; ++round) {
        for (std::size_t i = 0; i < kBytes / sizeof(u32); ++i)
            pinned->as<u32>()[i] = static_cast<u32>(i * 2654435761u + round);
        ASSERT_OK(device->copy_in(there.data(), pinned->data(), kBytes, stream));
        ASSERT_OK(device->record(*event, stream));
        ASSERT_OK(device->wait(*event));
        std::memset(pinned->data(), 0, kBytes);  // the copy is over
        const std::vector<u32> values = read(there);
        for (std::size_t i = 0; i < values.size(); ++i)
            ASSERT_EQ(values[i], static_cast<u32>(i * 2654435761u + round)) << i;
    }
    device->destroy(*event);
    EXPECT_EQ(Buffer::allocate_pinned(device, std::size_t{1} << 50).status().kind(), ErrorKind::unavailable);
}

TEST_F(GpuTest, OutOfMemoryNamesTheCall) {
    const Status status = device->allocate(std::size_t{1} << 50).status();
    EXPECT_EQ(status.kind(), ErrorKind::unavailable);
    EXPECT_NE(status.message().find("cuda:0: cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY: "), std::string::npos)
        << status.message();
    EXPECT_NE(status.message().find("allocating 1125899906842624 bytes"), std::string::npos)
        << status.message();
}

TEST_F(GpuTest, LaunchWithTheOptInSharedMemory) {
    const auto kernel = device->load(test::ptx_image("shared_words", test::kSharedPtx));
    ASSERT_OK(kernel);
    const u32 limit = static_cast<u32>(device->target().facts.shared_per_block_bytes);
    ASSERT_GT(limit, 48u * 1024);
    const Buffer out = words(3 * 64);
    const test::SharedArgs args{out.as<u32>(), 5, 11, limit};
    ASSERT_OK(
        device->launch(*kernel, {.grid = {3}, .block = {64}, .shared_bytes = limit}, bytes_of(args), stream));
    const std::vector<u32> values = read(out);
    for (u32 i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], i * 5 + 11);

    EXPECT_EQ(*device->max_active_blocks(*kernel, 64, limit), 1);
    EXPECT_GT(*device->max_active_blocks(*kernel, 64, 1024), 8);

    const Status over = device->launch(*kernel, {.grid = {3}, .block = {64}, .shared_bytes = limit + 1024},
                                       bytes_of(args), stream);
    EXPECT_EQ(over.kind(), ErrorKind::unavailable);
    EXPECT_NE(over.message().find("launch of shared_words: grid 3x1x1, block 64x1x1, cluster 1x1x1"),
              std::string::npos)
        << over.message();
}

TEST_F(GpuTest, ArgumentsOfAnotherSizeAreRefused) {
    const auto kernel = device->load(test::ptx_image("shared_words", test::kSharedPtx));
    ASSERT_OK(kernel);
    const u64 wrong = 0;
    const Status status = device->launch(*kernel, {}, bytes_of(wrong), stream);
    EXPECT_EQ(status.kind(), ErrorKind::caller);
    EXPECT_EQ(status.message(), "cuda:0: launch of shared_words: 8 argument bytes, expected 24");
    EXPECT_EQ(device->launch(Kernel{}, {}, {}, stream).kind(), ErrorKind::caller);
}

TEST_F(GpuTest, LoadsOneImageOnceAndSaysWhyOneDoesNotLoad) {
    const Image image = test::ptx_image("counter", test::kCounterPtx);
    const auto first = device->load(image);
    const auto again = device->load(image);
    ASSERT_OK(first);
    ASSERT_OK(again);
    EXPECT_EQ(first->handle, again->handle);

    const Status broken =
        device->load(test::ptx_image("counter", ".version 7.0\n.target sm_80\nnonsense\n")).status();
    EXPECT_NE(broken.message().find("the driver's compiler says: "), std::string::npos) << broken.message();
    EXPECT_NE(broken.message().find("image counter (PTX for compute_80)"), std::string::npos)
        << broken.message();

    const Status absent = device->load(test::ptx_image("other", test::kCounterPtx)).status();
    EXPECT_NE(absent.message().find("cuLibraryGetKernel(other): CUDA_ERROR_NOT_FOUND"), std::string::npos)
        << absent.message();

    Image empty;
    empty.row = "nothing";
    EXPECT_EQ(device->load(empty).status().kind(), ErrorKind::caller);
}

TEST_F(GpuTest, EventsTimeAndOrderStreams) {
    const auto from = device->create_event();
    const auto to = device->create_event();
    const auto other = device->create_stream();
    ASSERT_OK(from);
    ASSERT_OK(to);
    ASSERT_OK(other);
    const Buffer data = words(16 << 20);
    ASSERT_OK(device->record(*from, stream));
    for (int i = 0; i < 20; ++i)
        ASSERT_OK(device->fill(data.data(), static_cast<u8>(i), data.bytes(), stream));
    ASSERT_OK(device->record(*to, stream));
    // The other stream reads what the last fill wrote only because it waits.
    ASSERT_OK(device->wait(*other, *to));
    u32 last = 0;
    ASSERT_OK(device->copy_out(&last, data.as<u32>() + (16 << 20) - 1, 4, *other));
    EXPECT_EQ(last, 0x13131313u);
    const auto elapsed = device->elapsed_us(*from, *to);
    ASSERT_OK(elapsed);
    // 20 x 64 MiB: no GPU writes them in 50 us or needs a second.
    EXPECT_GT(*elapsed, 50);
    EXPECT_LT(*elapsed, 1e6);
    device->destroy(*from);
    device->destroy(*to);
    device->destroy(*other);
}

TEST_F(GpuTest, GraphReadsMemoryAtEveryLaunch) {
    ASSERT_TRUE(device->supports_graphs());
    const auto kernel = device->load(test::ptx_image("counter", test::kCounterPtx));
    ASSERT_OK(kernel);
    const Buffer counter = words(1, 0);
    const Buffer slots = words(32, 0xff);
    ASSERT_OK(device->synchronize(stream));
    const test::CounterArgs args{counter.as<u32>(), slots.as<u32>()};
    ASSERT_OK(device->begin_capture(stream));
    for (int i = 0; i < 3; ++i) ASSERT_OK(device->launch(*kernel, {}, bytes_of(args), stream));
    const auto graph = device->end_capture(stream);
    ASSERT_OK(graph);
    EXPECT_EQ(read(counter)[0], 0u) << "capturing ran the launches";

    for (int i = 0; i < 5; ++i) ASSERT_OK(device->launch(*graph, stream));
    EXPECT_EQ(read(counter)[0], 15u);
    std::vector<u32> values = read(slots);
    for (u32 i = 0; i < 15; ++i) ASSERT_EQ(values[i], 7 * i);
    EXPECT_EQ(values[15], 0xffffffffu);

    // The counter moves; the graph follows without a new capture.
    const u32 start = 20;
    ASSERT_OK(device->copy_in(counter.data(), &start, 4, stream));
    ASSERT_OK(device->launch(*graph, stream));
    values = read(slots);
    EXPECT_EQ(values[19], 0xffffffffu);
    for (u32 i = 20; i < 23; ++i) EXPECT_EQ(values[i], 7 * i);
    device->destroy(*graph);

    EXPECT_EQ(device->begin_capture(Stream{}).kind(), ErrorKind::caller);
}

TEST_F(GpuTest, ImagesLoadDuringACapture) {
    ASSERT_OK(device->begin_capture(stream));
    const auto kernel = device->load(test::ptx_image("counter", test::kCounterPtx));
    EXPECT_TRUE(kernel.ok()) << message_of(kernel);
    const auto graph = device->end_capture(stream);
    ASSERT_OK(graph);
    device->destroy(*graph);
}

TEST_F(GpuTest, ClusterLaunch) {
    if (!is_hopper_or_later()) GTEST_SKIP() << device->target().id << " has no clusters";
    const auto kernel = device->load(test::ptx_image("next_rank", test::kClusterPtx));
    ASSERT_OK(kernel);
    for (const u32 size : {1u, 2u, 4u, 8u}) {
        const Buffer out = words(16);
        const test::ClusterArgs args{out.as<u32>()};
        ASSERT_OK(
            device->launch(*kernel, {.grid = {16}, .block = {1}, .cluster = {size}}, bytes_of(args), stream));
        const std::vector<u32> values = read(out);
        for (u32 i = 0; i < 16; ++i) ASSERT_EQ(values[i], 100 + (i + 1) % size) << "cluster of " << size;
    }
}

TEST_F(GpuTest, ProgrammaticLaunchesKeepTheirOrder) {
    if (!is_hopper_or_later()) GTEST_SKIP() << device->target().id << " has no programmatic launches";
    const auto kernel = device->load(test::ptx_image("chain", test::kChainPtx));
    ASSERT_OK(kernel);
    const Buffer value = words(1, 0);
    const auto enqueue = [&]() -> Status {
        for (u32 i = 1; i <= 16; ++i) {
            const test::ChainArgs args{value.as<u32>(), i, 20000};
            WW_TRY(device->launch(*kernel, {.programmatic = true}, bytes_of(args), stream));
        }
        return {};
    };
    u32 expected = 0;
    const auto advance = [&] {
        for (u32 i = 1; i <= 16; ++i) expected = expected * 3 + i;
    };
    ASSERT_OK(enqueue());
    advance();
    EXPECT_EQ(read(value)[0], expected);

    ASSERT_OK(device->begin_capture(stream));
    ASSERT_OK(enqueue());
    const auto graph = device->end_capture(stream);
    ASSERT_OK(graph);
    ASSERT_OK(device->launch(*graph, stream));
    advance();
    EXPECT_EQ(read(value)[0], expected);
    device->destroy(*graph);
}

TEST_F(GpuTest, TensorMapCopiesABox) {
    constexpr u32 kWidth = 100;
    constexpr u32 kHeight = 50;
    constexpr u32 kPitch = 104;  // 416 bytes, a multiple of 16
    std::vector<u32> image(kPitch * kHeight, 0xdeadbeef);
    for (u32 y = 0; y < kHeight; ++y) {
        for (u32 x = 0; x < kWidth; ++x) image[y * kPitch + x] = y * 1000 + x;
    }
    const Buffer source = words(image.size());
    ASSERT_OK(device->copy_in(source.data(), image.data(), source.bytes(), stream));
    TensorMapSpec spec;
    spec.base = source.data();
    spec.dtype = DType::i32;
    spec.rank = 2;
    spec.extent[0] = kWidth;
    spec.extent[1] = kHeight;
    spec.stride_bytes[1] = kPitch * 4;
    spec.box[0] = 32;
    spec.box[1] = 8;
    const auto map = device->encode(spec);
    if (!is_hopper_or_later()) {
        EXPECT_EQ(map.status().kind(), ErrorKind::unavailable);
        GTEST_SKIP() << device->target().id << " has no tensor maps";
    }
    ASSERT_OK(map);
    const auto kernel = device->load(test::ptx_image("tma_box", test::kTmaPtx));
    ASSERT_OK(kernel);
    // Two boxes hang over the edges: what is outside reads as zero, not as the padding.
    for (const auto& [left, top] : {std::pair{12, 3}, std::pair{88, 46}, std::pair{-4, -2}}) {
        const Buffer out = words(32 * 8);
        const test::TmaArgs args{*map, out.as<u32>(), left, top};
        ASSERT_OK(device->launch(*kernel, {}, bytes_of(args), stream));
        const std::vector<u32> values = read(out);
        for (u32 i = 0; i < values.size(); ++i) {
            const u32 x = static_cast<u32>(left) + i % 32;  // before the first column or row: very large
            const u32 y = static_cast<u32>(top) + i / 32;
            ASSERT_EQ(values[i], x < kWidth && y < kHeight ? y * 1000 + x : 0u) << "at " << x << ", " << y;
        }
    }
    spec.box[0] = 3;
    EXPECT_EQ(device->encode(spec).status().kind(), ErrorKind::caller);
}

TEST_F(GpuTest, ThreadsThatNeverSawTheContextMayCall) {
    const auto kernel = device->load(test::ptx_image("shared_words", test::kSharedPtx));
    ASSERT_OK(kernel);
    std::atomic<int> good{0};
    std::vector<std::thread> threads;
    for (u32 t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            auto own = device->create_stream();
            auto out = Buffer::allocate(device, 64 * 4);
            if (!own.ok() || !out.ok()) return;
            const test::SharedArgs args{out->as<u32>(), 1, t, 1024};
            std::vector<u32> values(64);
            bool ok = true;
            for (int i = 0; i < 50 && ok; ++i) {
                ok = device->launch(*kernel, {.block = {64}, .shared_bytes = 1024}, bytes_of(args), *own)
                         .ok() &&
                     device->copy_out(values.data(), out->data(), 64 * 4, *own).ok() && values[63] == 63 + t;
            }
            device->destroy(*own);
            if (ok) ++good;
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(good, 8);
}

TEST_F(GpuTest, CopyBetweenTwoGpus) {
    const auto opened = open_device("cuda:1");
    if (!opened.ok()) GTEST_SKIP() << message_of(opened);
    const std::shared_ptr<Device> second = *opened;
    constexpr std::size_t kCount = 1 << 18;
    std::vector<u32> values(kCount);
    for (std::size_t i = 0; i < kCount; ++i) values[i] = static_cast<u32>(i ^ 0x9e3779b9);
    const Buffer here = words(kCount);
    auto there = Buffer::allocate(second, kCount * 4);
    ASSERT_OK(there);
    ASSERT_OK(device->copy_in(here.data(), values.data(), here.bytes(), stream));
    ASSERT_OK(device->copy(there->data(), here.data(), here.bytes(), stream));
    ASSERT_OK(device->synchronize(stream));
    std::vector<u32> back(kCount);
    ASSERT_OK(second->copy_out(back.data(), there->data(), there->bytes(), {}));
    EXPECT_EQ(back, values);

    const auto access = device->can_access_peer(*second);
    ASSERT_OK(access);
    if (!*access) {
        EXPECT_EQ(device->enable_peer_access(*second).kind(), ErrorKind::unavailable);
        GTEST_SKIP() << "copied without peer access: cuda:0 has none to cuda:1";
    }
    ASSERT_OK(device->enable_peer_access(*second));
    ASSERT_OK(device->enable_peer_access(*second));  // again is no error
    // A kernel here writes there.
    const auto kernel = device->load(test::ptx_image("shared_words", test::kSharedPtx));
    ASSERT_OK(kernel);
    const test::SharedArgs args{there->as<u32>(), 2, 1, 256};
    ASSERT_OK(device->launch(*kernel, {.block = {64}, .shared_bytes = 256}, bytes_of(args), stream));
    ASSERT_OK(device->synchronize(stream));
    ASSERT_OK(second->copy_out(back.data(), there->data(), 64 * 4, {}));
    for (u32 i = 0; i < 64; ++i) ASSERT_EQ(back[i], 2 * i + 1);
    EXPECT_FALSE(*device->can_access_peer(**open_device("cpu")));
}

}  // namespace
}  // namespace warpwright
