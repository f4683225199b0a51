// SPDX-License-Identifier: Apache-2.0
// ldmatrix, stmatrix, movmatrix, element by element: PTX ISA 9.7.14.5.15 to 9.7.14.5.17.
#include <cstring>
#include <random>

#include "one_instruction.h"

namespace warpwright::emulator {
namespace {

constexpr u32 kSharedBytes = 4096;

// Rows of 16 bytes somewhere in shared memory, each lane's address that of its row.
class Rows {
public:
    explicit Rows(u32 seed) : random_(seed) {
        // Disjoint, for stores.
        for (u32 i = 0; i < 32; ++i) offset_[i] = (i * 7 % 32) * 112 + random_() % 7 * 16;
        for (u8& byte : bytes_) byte = static_cast<u8>(random_());
    }
    void fill(OneInstruction& one, int address, bool is_narrow) {
        std::memcpy(one.shared().data.get(), bytes_, kSharedBytes);
        std::memset(one.shared().shadow.get(), kShadowWritten, kSharedBytes);
        for (u32 l = 0; l < 32; ++l) {
            if (is_narrow)
                one.lanes<u32>(address)[l] = kSharedStart + offset_[l];
            else
                one.lanes<u64>(address)[l] = kSharedWindow + kSharedStart + offset_[l];
        }
    }
    u8* row(u32 lane) { return bytes_ + offset_[lane]; }
    const u8* bytes() const { return bytes_; }

private:
    std::mt19937 random_;
    u32 offset_[32];
    u8 bytes_[kSharedBytes];
};

std::string registers_text(int count, int first = 0) {
    std::string text = "{";
    for (int i = 0; i < count; ++i) text += fmt::format("{}%r{}", i == 0 ? "" : ", ", first + i);
    return text + "}";
}

u16 half_at(const u8* row, u32 column) {
    u16 value;
    std::memcpy(&value, row + 2 * column, 2);
    return value;
}

OneInstruction::Setup setup() {
    OneInstruction::Setup setup;
    setup.shared_bytes = kSharedBytes;
    setup.target = "rtx-pro-6000";
    setup.ptx_target = "sm_120a";
    return setup;
}

void check_loads() {
    for (const bool is_transposed : {false, true}) {
        for (const bool is_narrow : {false, true}) {
            for (const int count : {1, 2, 4}) {
                // Modifiers in either order.
                const std::string text =
                    fmt::format("ldmatrix.sync.aligned.{}{}{}.b16 {}, [%{}9];",
                                count == 2 ? fmt::format("x{}.m8n8", count) : fmt::format("m8n8.x{}", count),
                                is_transposed ? ".trans" : "", is_narrow ? ".shared" : "",
                                registers_text(count), is_narrow ? "r" : "d");
                OneInstruction load(text, setup());
                ASSERT_EQ(load.load_error(), "") << text;
                Rows rows(static_cast<u32>(count));
                rows.fill(load, count, is_narrow);
                // Only the addresses of 8 lanes for each matrix count.
                for (u32 l = static_cast<u32>(8 * count); l < 32; ++l) {
                    if (is_narrow)
                        load.lanes<u32>(count)[l] = 3;
                    else
                        load.lanes<u64>(count)[l] = 3;
                }
                ASSERT_EQ(load.run(), Flow::next) << text;
                for (u32 i = 0; i < static_cast<u32>(count); ++i) {
                    for (u32 l = 0; l < 32; ++l) {
                        const u32 got = load.lanes<u32>(static_cast<int>(i))[l];
                        for (u32 e = 0; e < 2; ++e) {
                            const u32 row = is_transposed ? 2 * (l % 4) + e : l / 4;
                            const u32 column = is_transposed ? l / 4 : 2 * (l % 4) + e;
                            ASSERT_EQ(got >> 16 * e & 0xffff, half_at(rows.row(8 * i + row), column))
                                << text << " matrix " << i << " lane " << l;
                        }
                    }
                }
            }
        }
    }
}
TEST(Matrix, LoadsEightByEight) {
    at_every_simd_level(check_loads);
}

void check_stores() {
    for (const bool is_transposed : {false, true}) {
        for (const int count : {1, 2, 4}) {
            const std::string text = fmt::format("stmatrix.sync.aligned.m8n8.x{}{}.shared.b16 [%r9], {};",
                                                 count, is_transposed ? ".trans" : "", registers_text(count));
            OneInstruction store(text, setup());
            ASSERT_EQ(store.load_error(), "") << text;
            Rows rows(static_cast<u32>(count));
            rows.fill(store, 0, true);
            for (u32 l = 0; l < 32; ++l) store.shared().shadow[store.lanes<u32>(0)[l] - kSharedStart] = 0;
            std::mt19937 random(7);
            for (u32 i = 0; i < static_cast<u32>(count); ++i) {
                for (u32 l = 0; l < 32; ++l) {
                    const u32 value = store.lanes<u32>(static_cast<int>(1 + i))[l] =
                        static_cast<u32>(random());
                    for (u32 e = 0; e < 2; ++e) {
                        const u32 row = is_transposed ? 2 * (l % 4) + e : l / 4;
                        const u32 column = is_transposed ? l / 4 : 2 * (l % 4) + e;
                        const u16 half = static_cast<u16>(value >> 16 * e);
                        std::memcpy(rows.row(8 * i + row) + 2 * column, &half, 2);
                    }
                }
            }
            ASSERT_EQ(store.run(), Flow::next) << text;
            EXPECT_EQ(std::memcmp(store.shared().data.get(), rows.bytes(), kSharedBytes), 0) << text;
            for (u32 l = 0; l < 32; ++l) {
                const bool is_written = l < static_cast<u32>(8 * count);
                EXPECT_EQ(store.shared().shadow[store.lanes<u32>(0)[l] - kSharedStart], is_written ? 1 : 0);
            }
        }
    }
}
TEST(Matrix, StoresEightByEight) {
    at_every_simd_level(check_stores);
}

void check_moves() {
    OneInstruction move("movmatrix.sync.aligned.m8n8.trans.b16 %r0, %r1;", setup());
    ASSERT_EQ(move.load_error(), "");
    std::mt19937 random(3);
    u16 matrix[8][8];
    for (u32 l = 0; l < 32; ++l) {
        const u32 value = move.lanes<u32>(1)[l] = static_cast<u32>(random());
        matrix[l / 4][2 * (l % 4)] = static_cast<u16>(value);
        matrix[l / 4][2 * (l % 4) + 1] = static_cast<u16>(value >> 16);
    }
    ASSERT_EQ(move.run(), Flow::next);
    for (u32 l = 0; l < 32; ++l) {
        const u32 low = matrix[2 * (l % 4)][l / 4], high = matrix[2 * (l % 4) + 1][l / 4];
        EXPECT_EQ(move.lanes<u32>(0)[l], low | high << 16) << l;
    }
}
TEST(Matrix, MovesTransposed) {
    at_every_simd_level(check_moves);
}

// Element `index` of a row of fields, the first in the lowest bits.
u8 field_at(const u8* row, u32 index, u32 bits) {
    u32 value = 0;
    for (u32 b = 0; b < bits; ++b) {
        const u32 bit = index * bits + b;
        value |= static_cast<u32>(row[bit / 8] >> bit % 8 & 1) << b;
    }
    return static_cast<u8>(value);
}

TEST(Matrix, LoadsEightBySixteenFields) {
    for (const u32 bits : {4u, 6u}) {
        for (const int count : {1, 2, 4}) {
            const std::string text =
                fmt::format("ldmatrix.sync.aligned.m8n16.x{}.shared.b8x16.{} {}, [%r9];", count,
                            bits == 4 ? "b4x16_p64" : "b6x16_p32", registers_text(count));
            OneInstruction load(text, setup());
            ASSERT_EQ(load.load_error(), "") << text;
            Rows rows(static_cast<u32>(count));
            rows.fill(load, count, true);
            ASSERT_EQ(load.run(), Flow::next) << text;
            for (u32 i = 0; i < static_cast<u32>(count); ++i) {
                for (u32 l = 0; l < 32; ++l) {
                    for (u32 e = 0; e < 4; ++e)
                        ASSERT_EQ(load.lanes<u32>(static_cast<int>(i))[l] >> 8 * e & 0xff,
                                  field_at(rows.row(8 * i + l / 4), 4 * (l % 4) + e, bits))
                            << text << " matrix " << i << " lane " << l << " element " << e;
                }
            }
        }
    }
}

TEST(Matrix, LoadsSixteenBySixteenBytesTransposed) {
    for (const u32 bits : {4u, 6u, 8u}) {
        for (const int count : {1, 2}) {
            const std::string text =
                fmt::format("ldmatrix.sync.aligned.m16n16.x{}.trans.shared.{} {}, [%r9];", count,
                            bits == 4   ? "b8x16.b4x16_p64"
                            : bits == 6 ? "b8x16.b6x16_p32"
                                        : "b8",
                            registers_text(2 * count));
            OneInstruction load(text, setup());
            ASSERT_EQ(load.load_error(), "") << text;
            Rows rows(static_cast<u32>(count));
            rows.fill(load, 2 * count, true);
            ASSERT_EQ(load.run(), Flow::next) << text;
            for (u32 r = 0; r < static_cast<u32>(2 * count); ++r) {
                for (u32 l = 0; l < 32; ++l) {
                    for (u32 e = 0; e < 4; ++e)
                        ASSERT_EQ(load.lanes<u32>(static_cast<int>(r))[l] >> 8 * e & 0xff,
                                  field_at(rows.row(r / 2 * 16 + 4 * (l % 4) + e), l / 4 + 8 * (r % 2), bits))
                            << text << " register " << r << " lane " << l << " element " << e;
                }
            }
        }
    }
}

TEST(Matrix, StoresSixteenByEightBytesTransposed) {
    for (const int count : {1, 2, 4}) {
        const std::string text = fmt::format("stmatrix.sync.aligned.m16n8.x{}.trans.shared.b8 [%r9], {};",
                                             count, registers_text(count));
        OneInstruction store(text, setup());
        ASSERT_EQ(store.load_error(), "") << text;
        Rows rows(static_cast<u32>(count));
        rows.fill(store, 0, true);
        std::mt19937 random(9);
        for (u32 i = 0; i < static_cast<u32>(count); ++i) {
            for (u32 l = 0; l < 32; ++l) {
                const u32 value = store.lanes<u32>(static_cast<int>(1 + i))[l] = static_cast<u32>(random());
                // Lane t holds (t / 4, 2(t % 4)), the next column, and both 8 rows below, of 16 x 8.
                for (u32 e = 0; e < 4; ++e) {
                    const u32 m = l / 4 + e / 2 * 8, n = 2 * (l % 4) + e % 2;
                    rows.row(8 * i + n)[m] = static_cast<u8>(value >> 8 * e);
                }
            }
        }
        ASSERT_EQ(store.run(), Flow::next) << text;
        EXPECT_EQ(std::memcmp(store.shared().data.get(), rows.bytes(), kSharedBytes), 0) << text;
    }
}

TEST(Matrix, AddressesAreChecked) {
    const char* const text = "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r1, %r2, %r3}, [%r9];";
    const auto find = [&](u32 lane, u32 address, CheckLevel level) {
        OneInstruction::Setup with_level = setup();
        with_level.level = level;
        OneInstruction load(text, with_level);
        Rows(1).fill(load, 4, true);
        load.shared().shadow[kSharedBytes - 3] = 0;
        load.lanes<u32>(4)[lane] = address;
        return load.find();
    };
    for (const CheckLevel level : {CheckLevel::off, CheckLevel::bounds, CheckLevel::all}) {
        const Finding beyond = find(31, kSharedStart + kSharedBytes, level);
        EXPECT_EQ(beyond.kind, FindingKind::out_of_bounds);
        EXPECT_EQ(beyond.lanes, 1u << 31);
        EXPECT_EQ(find(0, 1008, level).text,
                  "16 bytes read at offset 1008 of shared memory, where there are 1024 to 5119");
    }
    for (const CheckLevel level : {CheckLevel::bounds, CheckLevel::all}) {
        EXPECT_EQ(find(3, kSharedStart + 8, level).kind, FindingKind::misaligned);
    }
    const Finding unwritten = find(9, kSharedStart + kSharedBytes - 16, CheckLevel::all);
    EXPECT_EQ(unwritten.kind, FindingKind::uninitialized);
    EXPECT_EQ(unwritten.text, "1 of 16 bytes were never written, the first is offset 5117 of shared memory");
    EXPECT_EQ(unwritten.lanes, 1u << 9);
}

TEST(Matrix, GenericAddressesMustBeShared) {
    GlobalMemory memory(0, 1 << 20);
    const u64 base = memory.allocate(1024).value();
    ASSERT_TRUE(memory.fill(base, 0, 1024).ok());
    OneInstruction::Setup with_memory = setup();
    with_memory.memory = &memory;
    {
        OneInstruction load("ldmatrix.sync.aligned.m8n8.x1.b16 {%r0}, [%d0];", with_memory);
        Rows(1).fill(load, 1, false);
        load.lanes<u64>(1)[5] = base + 16;
        const Finding finding = load.find();
        EXPECT_EQ(finding.text,
                  "expected an address of shared memory, got byte 16 of allocation 1 of 1024 bytes");
        EXPECT_EQ(finding.lanes, 1u << 5);
    }
    {
        OneInstruction store("stmatrix.sync.aligned.m8n8.x1.b16 [%d0], {%r0};", with_memory);
        Rows(1).fill(store, 0, false);
        store.lanes<u64>(0)[0] = base;
        EXPECT_EQ(store.find().kind, FindingKind::out_of_bounds);
        u8 byte = 1;
        ASSERT_TRUE(memory.read(base, &byte, 1).ok());
        EXPECT_EQ(byte, 0);
    }
}

TEST(Matrix, AllLanesOfTheWarpMustBeThere) {
    const char* const texts[] = {"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%r9];",
                                 "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r9], {%r0};",
                                 "movmatrix.sync.aligned.m8n8.trans.b16 %r0, %r1;"};
    for (const char* text : texts) {
        OneInstruction whole(text, setup());
        EXPECT_EQ(whole.run(0x7fff'ffffu), Flow::wait) << text;  // for the last lane
        OneInstruction::Setup of_24 = setup();
        of_24.threads = 24;
        OneInstruction part(text, of_24);
        const Finding finding = part.find(0x00ff'ffffu);
        EXPECT_EQ(finding.kind, FindingKind::non_convergent) << text;
        EXPECT_EQ(finding.text, "expected all 32 lanes of the warp, but 0 exited and 8 were never launched");
    }
}

TEST(Matrix, FormsThatPtxHasNotAreErrors) {
    for (const char* text :
         {"ldmatrix.aligned.m8n8.x1.shared.b16 {%r0}, [%r9];",
          "ldmatrix.sync.aligned.m8n8.shared.b16 {%r0}, [%r9];",
          "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r0}, [%r9];",
          "ldmatrix.sync.aligned.m8n8.x1.shared.b8 {%r0}, [%r9];",
          "ldmatrix.sync.aligned.m16n16.x4.trans.shared.b8 {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7}, [%r9];",
          "ldmatrix.sync.aligned.m16n16.x1.shared.b8 {%r0, %r1}, [%r9];",
          "ldmatrix.sync.aligned.m8n8.x1.global.b16 {%r0}, [%d0];",
          "stmatrix.sync.aligned.m16n8.x1.shared.b8 [%r9], {%r0};",
          "movmatrix.sync.aligned.m8n8.b16 %r0, %r1;"}) {
        OneInstruction one(text, setup());
        EXPECT_NE(one.load_error(), "") << text;
    }
}

}  // namespace
}  // namespace warpwright::emulator
