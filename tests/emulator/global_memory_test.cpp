// SPDX-License-Identifier: Apache-2.0
#include "emulator/memory/global.h"

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace warpwright::emulator {
namespace {

TEST(GlobalMemory, FreshMemoryIsPoisonedAndUnwritten) {
    GlobalMemory memory(3, 1 << 20);
    const u64 address = memory.allocate(1000).value();
    EXPECT_EQ(address % 256, 0u);
    EXPECT_GE(address, device_start(3));
    EXPECT_LT(address, device_start(4));
    const Allocation* allocation = memory.find(address, 1000);
    ASSERT_NE(allocation, nullptr);
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(allocation->data[i], std::byte{0xff});
        ASSERT_EQ(allocation->shadow[i], 0);
    }
    EXPECT_EQ(memory.used_bytes(), 1000u);
}

TEST(GlobalMemory, FindWantsTheWholeRangeInOneAllocation) {
    GlobalMemory memory(0, 1 << 20);
    const u64 a = memory.allocate(100).value();
    const u64 b = memory.allocate(200).value();
    EXPECT_NE(memory.find(a, 100), nullptr);
    EXPECT_EQ(memory.find(a, 101), nullptr);
    EXPECT_NE(memory.find(a + 99, 1), nullptr);
    EXPECT_EQ(memory.find(a + 100, 1), nullptr);
    EXPECT_EQ(memory.find(a - 1, 1), nullptr);
    EXPECT_EQ(memory.find(a - 1, 2), nullptr);
    EXPECT_EQ(memory.find(b, ~0ull), nullptr);
    EXPECT_EQ(memory.find(~0ull, 8), nullptr);
    EXPECT_EQ(memory.find(0, 1), nullptr);
    EXPECT_EQ(memory.find(b + 5, 10)->base, b);
}

TEST(GlobalMemory, ExplainsWhatAnAddressIs) {
    GlobalMemory memory(0, 1 << 20);
    EXPECT_EQ(memory.explain(device_start(0) + 4096, 4).text, "the device has no allocation");
    const u64 a = memory.allocate(4096).value();
    const u64 b = memory.allocate(8).value();
    const auto expect = [&](u64 address, u64 bytes, FindingKind kind, const std::string& text) {
        const Finding finding = memory.explain(address, bytes);
        EXPECT_EQ(finding.kind, kind) << finding.text;
        EXPECT_EQ(finding.text, text);
        EXPECT_EQ(finding.address, address);
    };
    expect(a + 4096, 4, FindingKind::out_of_bounds, "0 bytes past the end of allocation 1 of 4096 bytes");
    expect(a + 4104, 4, FindingKind::out_of_bounds, "8 bytes past the end of allocation 1 of 4096 bytes");
    expect(a + 4094, 4, FindingKind::out_of_bounds,
           "4 bytes at byte 4094 of allocation 1 of 4096 bytes: 2 past its end");
    expect(a - 1, 4, FindingKind::out_of_bounds, "1 byte before allocation 1 of 4096 bytes");
    expect(b - 16, 4, FindingKind::out_of_bounds, "16 bytes before allocation 2 of 8 bytes");
    expect(0, 4, FindingKind::out_of_bounds, "a null pointer");
    expect(24, 4, FindingKind::out_of_bounds, "a null pointer plus 24");
    expect(kSharedWindow + 1024, 4, FindingKind::out_of_bounds,
           "an address of shared memory (offset 1024), not of global memory");
    expect(kLocalWindow, 4, FindingKind::out_of_bounds,
           "an address of local memory (offset 0), not of global memory");
    expect(kParamWindow + 8, 4, FindingKind::out_of_bounds,
           "an address of param memory (offset 8), not of global memory");
    expect(kConstantWindow, 4, FindingKind::out_of_bounds,
           "an address of const memory (offset 0), not of global memory");
    int on_stack = 0;
    expect(reinterpret_cast<u64>(&on_stack), 4, FindingKind::foreign_address,
           "a host address, or no address at all");
    expect(device_start(2) + 100, 4, FindingKind::foreign_address,
           "an address of emulated device 2; the kernel runs on device 0");
    expect(~0ull, 4, FindingKind::foreign_address, "no address of any memory");
    ASSERT_TRUE(memory.release(a).ok());
    expect(a + 12, 4, FindingKind::use_after_free,
           "byte 12 of allocation 1 of 4096 bytes, which was released");
    EXPECT_EQ(memory.find(a, 4), nullptr);
}

TEST(GlobalMemory, AllocationsAreFarApartAndNeverReused) {
    GlobalMemory memory(0, 1 << 20);
    std::set<u64> bases;
    u64 last = 0;
    for (int i = 0; i < 10'000; ++i) {
        const u64 base = memory.allocate(1 << 16).value();
        EXPECT_TRUE(bases.insert(base).second);
        EXPECT_GE(base, last + (1 << 16) + (1 << 30));
        EXPECT_TRUE(memory.release(base).ok());
        last = base;
    }
    EXPECT_EQ(memory.used_bytes(), 0u);
    // The first ones are forgotten, so that a device that lives long stays small; they are no allocation's.
    EXPECT_NE(memory.explain(*bases.begin(), 4).text,
              "byte 0 of allocation 1 of 65536 bytes, which was released");
    EXPECT_EQ(memory.find(*bases.begin(), 4), nullptr);
}

TEST(GlobalMemory, CapacityIsKept) {
    GlobalMemory memory(0, 1000);
    const u64 a = memory.allocate(600).value();
    const auto refused = memory.allocate(401);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().kind(), ErrorKind::unavailable);
    EXPECT_EQ(refused.status().message(),
              "emulated device 0: out of memory allocating 401 bytes, 400 of 1000 are free");
    EXPECT_FALSE(memory.allocate(~0ull).ok());
    EXPECT_TRUE(memory.allocate(400).ok());
    EXPECT_TRUE(memory.release(a).ok());
    EXPECT_TRUE(memory.allocate(600).ok());
}

TEST(GlobalMemory, ReleaseWantsTheStartOfALiveAllocation) {
    GlobalMemory memory(0, 1000);
    const u64 a = memory.allocate(16).value();
    const u64 generation = memory.generation();
    EXPECT_TRUE(memory.release(0).ok());
    EXPECT_FALSE(memory.release(a + 1).ok());
    EXPECT_FALSE(memory.release(12345).ok());
    EXPECT_EQ(memory.generation(), generation);
    EXPECT_TRUE(memory.release(a).ok());
    EXPECT_GT(memory.generation(), generation);
    EXPECT_FALSE(memory.release(a).ok());
}

TEST(GlobalMemory, AnAllocationOfNothingHasAnAddressAndNoBytes) {
    GlobalMemory memory(0, 1000);
    const u64 a = memory.allocate(0).value();
    EXPECT_NE(a, 0u);
    EXPECT_EQ(memory.find(a, 1), nullptr);
    EXPECT_EQ(memory.explain(a, 1).text, "0 bytes past the end of allocation 1 of 0 bytes");
    EXPECT_TRUE(memory.release(a).ok());
}

TEST(GlobalMemory, HostCopiesMarkWhatIsWritten) {
    GlobalMemory memory(0, 1 << 20);
    const u64 a = memory.allocate(64).value();
    const u64 b = memory.allocate(64).value();
    const char text[] = "0123456789";
    ASSERT_TRUE(memory.write(a + 3, text, 10).ok());
    ASSERT_TRUE(memory.fill(a + 20, 0x5a, 4).ok());
    ASSERT_TRUE(memory.copy(b + 1, a, 40).ok());
    const Allocation* to = memory.find(b, 64);
    for (int i = 0; i < 64; ++i) {
        const int from = i - 1;
        const bool written = (from >= 3 && from < 13) || (from >= 20 && from < 24);
        EXPECT_EQ(to->shadow[i], written ? kShadowWritten : 0) << i;
        const u8 expected = !written ? 0xff : from < 13 ? text[from - 3] : 0x5a;
        EXPECT_EQ(to->data[i], std::byte{expected}) << i;
    }
    char back[10];
    ASSERT_TRUE(memory.read(b + 4, back, 10).ok());
    EXPECT_EQ(std::memcmp(back, text, 10), 0);
    ASSERT_TRUE(memory.copy(a + 4, a + 3, 10).ok());  // overlapping
    ASSERT_TRUE(memory.read(a + 4, back, 10).ok());
    EXPECT_EQ(std::memcmp(back, text, 10), 0);

    EXPECT_FALSE(memory.write(a + 60, text, 5).ok());
    EXPECT_FALSE(memory.read(a + 64, back, 1).ok());
    EXPECT_FALSE(memory.fill(0, 0, 1).ok());
    const Status bad_copy = memory.copy(b, a + 32, 33);
    EXPECT_EQ(bad_copy.message().substr(0, 71),
              "copy: expected 33 bytes of one allocation of emulated device 0, got 0x4");
    EXPECT_TRUE(memory.write(0, nullptr, 0).ok());
}

TEST(GlobalMemory, ImportedArraysStayWhereTheyAre) {
    GlobalMemory memory(1, 16);
    std::vector<u32> array(1000, 7);
    const u64 a = memory.import(array.data() + 1, 3996, false).value();
    EXPECT_EQ(a % 256, reinterpret_cast<u64>(array.data() + 1) % 256);
    EXPECT_EQ(memory.used_bytes(), 0u);
    const Allocation* allocation = memory.find(a, 3996);
    ASSERT_NE(allocation, nullptr);
    EXPECT_EQ(allocation->data, reinterpret_cast<std::byte*>(array.data() + 1));
    EXPECT_EQ(allocation->shadow, nullptr);
    const u32 value = 9;
    ASSERT_TRUE(memory.write(a + 4, &value, 4).ok());
    EXPECT_EQ(array[2], 9u);
    EXPECT_EQ(memory.explain(a + 3996, 4).text, "0 bytes past the end of imported array 1 of 3996 bytes");

    // What comes from an imported array counts as written.
    const u64 b = memory.allocate(8).value();
    ASSERT_TRUE(memory.copy(b, a, 8).ok());
    EXPECT_EQ(memory.find(b, 8)->shadow[7], kShadowWritten);
    ASSERT_TRUE(memory.copy(a, b, 8).ok());

    const u64 read_only = memory.import(array.data(), 16, true).value();
    EXPECT_TRUE(memory.find(read_only, 16)->is_read_only);
    EXPECT_FALSE(memory.write(read_only, &value, 4).ok());
    EXPECT_FALSE(memory.fill(read_only, 0, 4).ok());
    EXPECT_FALSE(memory.copy(read_only, b, 4).ok());
    EXPECT_TRUE(memory.release(read_only).ok());
    EXPECT_TRUE(memory.release(a).ok());
    EXPECT_EQ(array[0], 7u);
    EXPECT_FALSE(memory.import(nullptr, 4, false).ok());
}

TEST(GlobalMemory, ThreadsMayAllocateWhileOthersLook) {
    GlobalMemory memory(0, 1 << 20);
    const u64 a = memory.allocate(64).value();
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 2000; ++i) {
                const u64 mine = memory.allocate(16).value();
                ASSERT_NE(memory.find(mine, 16), nullptr);
                ASSERT_NE(memory.find(a, 64), nullptr);
                ASSERT_TRUE(memory.release(mine).ok());
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(memory.used_bytes(), 64u);
}

}  // namespace
}  // namespace warpwright::emulator
