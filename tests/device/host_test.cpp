// SPDX-License-Identifier: Apache-2.0
#include "device/host.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "device/host_threads.h"

namespace warpwright {
namespace {

struct ScaleArgs {
    i32* values;
    i64 count;
    i32 factor;
};

void scale(const void* bytes, HostThreads& threads) {
    ScaleArgs args;
    std::memcpy(&args, bytes, sizeof args);
    threads.parallel_for(args.count, 16, [&](i64 begin, i64 end) {
        for (i64 i = begin; i < end; ++i) args.values[i] *= args.factor;
    });
}

Image scale_image() {
    Image image;
    image.row = "scale_host";
    image.host = scale;
    return image;
}

class HostDeviceTest : public testing::Test {
protected:
    void SetUp() override {
        auto opened = open_device("cpu");
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        device = *opened;
    }
    std::shared_ptr<Device> device;
};

TEST_F(HostDeviceTest, IsTheListedCpuWithThisMachinesFacts) {
    EXPECT_EQ(device->id(), "cpu");
    const Target& target = device->target();
    EXPECT_EQ(target.id, "cpu");
    EXPECT_TRUE(target.measured);
    EXPECT_EQ(target.facts.compute_capability, 0);
    EXPECT_EQ(target.facts.build_target, BuildTarget::host);
    EXPECT_EQ(target.facts.num_sms, HostThreads().size());
    EXPECT_GT(target.facts.memory_bytes, i64{64} << 20);
    EXPECT_EQ(target.facts.memory_gb_s, find_target("cpu")->facts.memory_gb_s);
    const auto memory = device->memory();
    ASSERT_TRUE(memory.ok());
    EXPECT_GT(memory->free_bytes, 0);
    EXPECT_LE(memory->free_bytes, memory->total_bytes);
}

TEST_F(HostDeviceTest, ListedRatesScaleWithTheCores) {
    const Target listed = *find_target("cpu");
    const auto one = open_host_device(1);
    ASSERT_TRUE(one.ok());
    EXPECT_EQ((*one)->target().facts.num_sms, 1);
    EXPECT_DOUBLE_EQ((*one)->target().facts.bf16_tflops * listed.facts.num_sms, listed.facts.bf16_tflops);
}

TEST_F(HostDeviceTest, AllocationsAreAlignedAndDistinct) {
    std::vector<void*> pointers;
    for (const std::size_t bytes : {0, 1, 255, 256, 257, 100000}) {
        auto pointer = device->allocate(bytes);
        ASSERT_TRUE(pointer.ok());
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(*pointer) % 256, 0u);
        for (const void* other : pointers) EXPECT_NE(*pointer, other);
        pointers.push_back(*pointer);
    }
    for (void* pointer : pointers) device->release(pointer);
    device->release(nullptr);
}

TEST_F(HostDeviceTest, RefusedAllocationSaysHowMuch) {
    const auto pointer = device->allocate(~std::size_t{0});
    ASSERT_FALSE(pointer.ok());
    EXPECT_EQ(pointer.status().kind(), ErrorKind::unavailable);
    EXPECT_EQ(pointer.status().message(), "cpu: out of memory allocating 18446744073709551615 bytes");
}

TEST_F(HostDeviceTest, CopiesFillsAndLaunchesInOrder) {
    auto buffer = Buffer::allocate(device, 1000 * sizeof(i32));
    auto second = Buffer::allocate(device, 1000 * sizeof(i32));
    ASSERT_TRUE(buffer.ok() && second.ok());
    std::vector<i32> values(1000);
    for (int i = 0; i < 1000; ++i) values[i] = i;
    auto stream = device->create_stream();
    ASSERT_TRUE(stream.ok());
    EXPECT_NE(stream->handle, nullptr);
    ASSERT_TRUE(device->copy_in(buffer->data(), values.data(), buffer->bytes(), *stream).ok());

    auto kernel = device->load(scale_image());
    ASSERT_TRUE(kernel.ok());
    const ScaleArgs args{buffer->as<i32>(), 1000, 3};
    ASSERT_TRUE(device->launch(*kernel, {}, std::as_bytes(std::span(&args, 1)), *stream).ok());
    ASSERT_TRUE(device->copy(second->data(), buffer->data(), buffer->bytes(), *stream).ok());
    ASSERT_TRUE(device->fill(second->data(), 0xff, 4, *stream).ok());
    ASSERT_TRUE(device->copy_out(values.data(), second->data(), second->bytes(), *stream).ok());
    ASSERT_TRUE(device->synchronize(*stream).ok());
    EXPECT_EQ(values[0], -1);
    for (int i = 1; i < 1000; ++i) ASSERT_EQ(values[i], 3 * i);
    device->destroy(*stream);
}

TEST_F(HostDeviceTest, PinnedMemoryIsPlainMemory) {
    EXPECT_TRUE(device->shares_host_memory());
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{10'000'000}}) {
        auto pinned = Buffer::allocate_pinned(device, bytes);
        ASSERT_TRUE(pinned.ok()) << pinned.status().message();
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pinned->data()) % 4096, 0u);
        std::memset(pinned->data(), 1, bytes);
    }
    EXPECT_EQ(Buffer::allocate_pinned(device, ~std::size_t{0}).status().message(),
              "cpu: out of memory allocating 18446744073709551615 bytes of host memory");
    auto large = Buffer::allocate(device, 64 << 20);  // of huge pages where there are some
    ASSERT_TRUE(large.ok());
    std::memset(large->data(), 1, large->bytes());
    auto event = device->create_event();
    ASSERT_TRUE(event.ok());
    EXPECT_EQ(device->wait(*event).message(), "cpu: time of an event that was not recorded");
    ASSERT_TRUE(device->record(*event, {}).ok());
    EXPECT_TRUE(device->wait(*event).ok());
    device->destroy(*event);
}

TEST_F(HostDeviceTest, LoadsOneKernelOnceAndRefusesGpuImages) {
    auto first = device->load(scale_image());
    auto again = device->load(scale_image());
    ASSERT_TRUE(first.ok() && again.ok());
    EXPECT_EQ(first->handle, again->handle);

    Image gpu;
    gpu.row = "gemm_64x64";
    gpu.build_target = BuildTarget::sm_90a;
    const Status status = device->load(gpu).status();
    EXPECT_EQ(status.kind(), ErrorKind::caller);
    EXPECT_EQ(status.message(), "cpu: image gemm_64x64 is built for sm_90a, expected a host row");
    EXPECT_EQ(device->launch(Kernel{}, {}, {}, {}).kind(), ErrorKind::caller);
}

TEST_F(HostDeviceTest, EventsAreTimes) {
    auto from = device->create_event();
    auto to = device->create_event();
    ASSERT_TRUE(from.ok() && to.ok());
    EXPECT_EQ(device->elapsed_us(*from, *to).status().message(),
              "cpu: time of an event that was not recorded");
    ASSERT_TRUE(device->record(*from, {}).ok());
    ASSERT_TRUE(device->wait({}, *from).ok());
    ASSERT_TRUE(device->record(*to, {}).ok());
    const auto elapsed = device->elapsed_us(*from, *to);
    ASSERT_TRUE(elapsed.ok());
    EXPECT_GE(*elapsed, 0);
    device->destroy(*from);
    device->destroy(*to);
}

TEST_F(HostDeviceTest, SaysWhatItHasNot) {
    EXPECT_FALSE(device->supports_graphs());
    const Status capture = device->begin_capture({});
    EXPECT_EQ(capture.kind(), ErrorKind::unavailable);
    EXPECT_EQ(capture.message(), "cpu: has no graphs: launches run at once, there is nothing to record");
    EXPECT_EQ(device->end_capture({}).status().kind(), ErrorKind::unavailable);
    EXPECT_EQ(device->encode({}).status().message(),
              "cpu: has no tensor maps: host rows read strided memory themselves");

    const auto other = open_host_device();
    ASSERT_TRUE(other.ok());
    EXPECT_FALSE(*device->can_access_peer(**other));
    EXPECT_EQ(device->enable_peer_access(**other).message(),
              "cpu: has no peer access to cpu: copy through the host");
    EXPECT_TRUE(*device->can_access_peer(*device));
}

TEST_F(HostDeviceTest, BufferFreesOnceWhenMoved) {
    auto buffer = Buffer::allocate(device, 64);
    ASSERT_TRUE(buffer.ok());
    Buffer moved = std::move(*buffer);
    EXPECT_EQ(buffer->data(), nullptr);
    EXPECT_NE(moved.data(), nullptr);
    EXPECT_EQ(moved.bytes(), 64u);
    moved = Buffer{};
    // The last owner of the device may be a buffer.
    std::weak_ptr<Device> watch = device;
    auto last = Buffer::allocate(device, 64);
    device.reset();
    EXPECT_FALSE(watch.expired());
}

}  // namespace
}  // namespace warpwright
