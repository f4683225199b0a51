// SPDX-License-Identifier: Apache-2.0
// Loads and stores of every type, vector, state space, layout of addresses and mask, against a model of
// single bytes; and what they find.
#include <array>
#include <cstring>
#include <random>
#include <thread>

#include "one_instruction.h"

namespace warpwright::emulator {
namespace {

constexpr u64 kPieceBytes = 1024;

// Memory of every kind, and the model of it.
enum Place { kGlobal, kOtherGlobal, kShared, kLocal, kParam, kNumPlaces };

class Memories {
public:
    explicit Memories(std::mt19937& random) : memory(0, 1 << 20) {
        for (auto& bytes : model_) {
            bytes.resize(kPieceBytes * 32);  // of local memory, each lane's; of the others the first
            for (u8& byte : bytes) byte = static_cast<u8>(random());
        }
        for (u64& base : global_) base = memory.allocate(kPieceBytes).value();
    }

    OneInstruction::Setup setup() {
        OneInstruction::Setup setup;
        setup.memory = &memory;
        setup.shared_bytes = setup.local_bytes = setup.param_bytes = kPieceBytes;
        setup.target = "rtx-pro-6000";
        setup.ptx_target = "sm_120a";
        return setup;
    }
    // What the model says, all of it written.
    void fill(OneInstruction& one) {
        for (int i = 0; i < 2; ++i) EXPECT_TRUE(memory.write(global_[i], model_[i].data(), kPieceBytes).ok());
        std::memcpy(one.shared().data.get(), model_[kShared].data(), kPieceBytes);
        std::memset(one.shared().shadow.get(), kShadowWritten, kPieceBytes);
        std::memcpy(one.warp().local.data.get(), model_[kLocal].data(), kPieceBytes * 32);
        std::memcpy(one.params().data(), model_[kParam].data(), kPieceBytes);
    }
    void expect_equal(OneInstruction& one) {
        std::vector<u8> bytes(kPieceBytes);
        for (int i = 0; i < 2; ++i) {
            EXPECT_TRUE(memory.read(global_[i], bytes.data(), kPieceBytes).ok());
            ASSERT_EQ(std::memcmp(bytes.data(), model_[i].data(), kPieceBytes), 0) << "global " << i;
        }
        ASSERT_EQ(std::memcmp(one.shared().data.get(), model_[kShared].data(), kPieceBytes), 0);
        ASSERT_EQ(std::memcmp(one.warp().local.data.get(), model_[kLocal].data(), kPieceBytes * 32), 0);
    }
    u8* bytes(Place place, u64 lane, u64 offset) {
        return model_[place].data() + (place == kLocal ? lane * kPieceBytes : 0) + offset;
    }
    // The address of an instruction of the place's space, or a generic one.
    u64 address(Place place, u64 offset, bool is_generic) const {
        switch (place) {
            case kShared: return (is_generic ? kSharedWindow : 0) + kSharedStart + offset;
            case kLocal: return (is_generic ? kLocalWindow : 0) + kLocalStart + offset;
            case kParam: return (is_generic ? kParamWindow : 0) + offset;
            default: return global_[place] + offset;
        }
    }

    GlobalMemory memory;

private:
    std::array<std::vector<u8>, kNumPlaces> model_;
    u64 global_[2];
};

struct Element {
    const char* type;
    u64 bytes;
    bool is_signed;
    const char* registers;  // of OneInstruction
    u64 register_bytes;     // in the register file
};

const Element kElements[] = {
    {"b8", 1, false, "h", 4},    {"u8", 1, false, "r", 4},  {"s8", 1, true, "r", 4},
    {"u8", 1, false, "d", 8},    {"s8", 1, true, "d", 8},   {"b16", 2, false, "h", 4},
    {"s16", 2, true, "r", 4},    {"u16", 2, false, "d", 8}, {"s16", 2, true, "d", 8},
    {"b32", 4, false, "r", 4},   {"f32", 4, false, "r", 4}, {"s32", 4, true, "d", 8},
    {"u32", 4, false, "d", 8},   {"b64", 8, false, "d", 8}, {"f64", 8, false, "d", 8},
    {"b128", 16, false, "q", 16}};

struct Form {
    const char* space;  // ".global"; "" is generic
    Element element;
    u64 count;

    bool is_generic() const { return *space == 0; }
    u64 bytes() const { return element.bytes * count; }
    std::string modifiers() const {
        return fmt::format("{}{}.{}", space, count == 1 ? "" : fmt::format(".v{}", count), element.type);
    }
    std::string registers() const {
        if (count == 1) return fmt::format("%{}0", element.registers);
        std::string text = "{";
        for (u64 i = 0; i < count; ++i)
            text += fmt::format("{}%{}{}", i == 0 ? "" : ", ", element.registers, i);
        return text + "}";
    }
    std::vector<Place> places() const {
        const std::string_view name = space;
        if (name == ".global") return {kGlobal, kOtherGlobal};
        if (name == ".shared") return {kShared};
        if (name == ".local") return {kLocal};
        if (name == ".param") return {kParam};
        return {kGlobal, kOtherGlobal, kShared, kLocal, kParam};
    }
};

std::vector<Form> all_forms() {
    std::vector<Form> forms;
    for (const char* space : {".global", ".shared", ".local", ".param", ""}) {
        for (const Element& element : kElements) {
            for (const u64 count : {1, 2, 4, 8}) {
                // 32 bytes: .v8 of 32 bits and .v4 of 64, in global memory.
                const bool is_wide = element.bytes * count == 32 && element.bytes >= 4;
                const bool is_wide_here =
                    is_wide && element.bytes < 16 && std::string_view(space) == ".global";
                if (count == 8 ? is_wide_here && element.bytes == 4
                               : element.bytes * count <= 16 || is_wide_here)
                    forms.push_back({space, element, count});
            }
        }
    }
    return forms;
}

// Where the lanes' bytes are: in a row, all at the same place, backwards, anywhere, anywhere in all places.
enum Pattern { kRow, kSame, kBackwards, kAnywhere, kEverywhere, kNumPatterns };

struct Lane {
    Place place;
    u64 offset;
};

std::vector<Lane> lanes_of(const Form& form, int pattern, std::mt19937& random, bool is_store) {
    std::vector<Place> places = form.places();
    if (is_store && places.back() == kParam) places.pop_back();
    const u64 size = form.bytes();
    std::vector<Lane> lanes(32);
    for (u64 l = 0; l < 32; ++l) {
        Lane& lane = lanes[l];
        lane.place = places[0];
        lane.offset = random() % (kPieceBytes / size) * size;
        if (pattern == kRow && size < 32) lane.offset = (l + 1) * size;
        if (pattern == kSame) lane.offset = 3 * size;
        if (pattern == kBackwards) lane.offset = (31 - l) * size;
        if (pattern == kEverywhere) lane.place = places[random() % places.size()];
    }
    return lanes;
}

constexpr u32 kMasks[] = {kAllLanes, 0x0000ffffu, 0x80000000u, 1u, 0x5a5a1234u};

// The register after a load.
std::vector<u8> extended(const Element& element, const u8* from) {
    const bool is_negative = element.is_signed && (from[element.bytes - 1] & 0x80) != 0;
    std::vector<u8> value(element.register_bytes, is_negative ? 0xff : 0);
    std::memcpy(value.data(), from, element.bytes);
    return value;
}

void check_loads() {
    std::mt19937 random(1);
    for (const Form& form : all_forms()) {
        Memories memories(random);
        OneInstruction load(fmt::format("ld{} {}, [%d19+-16];", form.modifiers(), form.registers()),
                            memories.setup());
        ASSERT_EQ(load.load_error(), "") << form.modifiers();
        memories.fill(load);
        const auto count = static_cast<int>(form.count);
        for (int pattern = 0; pattern < kNumPatterns; ++pattern) {
            for (const u32 mask : kMasks) {
                const std::vector<Lane> lanes = lanes_of(form, pattern, random, false);
                for (int e = 0; e < count; ++e)
                    std::memset(load.lanes<u8>(e), 0x77, 32 * form.element.register_bytes);
                for (u64 l = 0; l < 32; ++l) {
                    const u64 address = memories.address(lanes[l].place, lanes[l].offset, form.is_generic());
                    load.lanes<u64>(count)[l] = (mask >> l & 1u) != 0 ? address + 16 : 1;
                }
                ASSERT_EQ(load.run(mask), Flow::next) << form.modifiers() << " pattern " << pattern;
                const bool is_over_address = load.instruction().slot[0] == load.instruction().slot[count];
                for (u64 l = 0; l < 32; ++l) {
                    const bool is_active = (mask >> l & 1u) != 0;
                    if (!is_active && is_over_address) continue;
                    for (u64 e = 0; e < form.count; ++e) {
                        const u8* from =
                            memories.bytes(lanes[l].place, l, lanes[l].offset + e * form.element.bytes);
                        const std::vector<u8> expected =
                            is_active ? extended(form.element, from)
                                      : std::vector<u8>(form.element.register_bytes, 0x77);
                        const u8* got = load.lanes<u8>(static_cast<int>(e)) + l * form.element.register_bytes;
                        ASSERT_EQ(std::memcmp(got, expected.data(), expected.size()), 0)
                            << "ld" << form.modifiers() << " to %" << form.element.registers << ", pattern "
                            << pattern << ", lane " << l << ", element " << e;
                    }
                }
            }
        }
    }
}

TEST(Memory, LoadsOfEverySpaceTypeAndLayout) {
    at_every_simd_level(check_loads);
}

void check_stores() {
    std::mt19937 random(2);
    for (const Form& form : all_forms()) {
        if (form.places()[0] == kParam || form.element.is_signed) continue;
        Memories memories(random);
        OneInstruction store(fmt::format("st{} [%d19+32], {};", form.modifiers(), form.registers()),
                             memories.setup());
        ASSERT_EQ(store.load_error(), "") << form.modifiers();
        memories.fill(store);
        for (int pattern = 0; pattern < kNumPatterns; ++pattern) {
            for (const u32 mask : kMasks) {
                const std::vector<Lane> lanes = lanes_of(form, pattern, random, true);
                for (u64 l = 0; l < 32; ++l) {
                    const u64 address = memories.address(lanes[l].place, lanes[l].offset, form.is_generic());
                    store.lanes<u64>(0)[l] = (mask >> l & 1u) != 0 ? address - 32 : 1;
                    for (u64 e = 0; e < form.count; ++e) {
                        u8* value =
                            store.lanes<u8>(static_cast<int>(1 + e)) + l * form.element.register_bytes;
                        for (u64 i = 0; i < form.element.register_bytes; ++i)
                            value[i] = static_cast<u8>(random());
                        // Of lanes that write the same bytes the last one's stay.
                        if ((mask >> l & 1u) != 0)
                            std::memcpy(
                                memories.bytes(lanes[l].place, l, lanes[l].offset + e * form.element.bytes),
                                value, form.element.bytes);
                    }
                }
                ASSERT_EQ(store.run(mask), Flow::next) << form.modifiers() << " pattern " << pattern;
                memories.expect_equal(store);
                if (testing::Test::HasFatalFailure())
                    FAIL() << "st" << form.modifiers() << ", pattern " << pattern;
            }
        }
    }
}

TEST(Memory, StoresOfEverySpaceTypeAndLayout) {
    at_every_simd_level(check_stores);
}

TEST(Memory, StoresMarkWhatTheyWrite) {
    for (const CheckLevel level : {CheckLevel::off, CheckLevel::bounds, CheckLevel::all}) {
        GlobalMemory memory(0, 1 << 20);
        const u64 base = memory.allocate(512).value();
        OneInstruction store("st.global.v2.b16 [%d0], {%h0, %h1};", {.memory = &memory, .level = level});
        for (u64 l = 0; l < 32; ++l) store.lanes<u64>(0)[l] = base + 12 * l;
        ASSERT_EQ(store.run(0x0000'0015u), Flow::next);
        const Allocation* allocation = memory.find(base, 512);
        for (u64 i = 0; i < 512; ++i) {
            const bool is_written = i < 60 && i % 24 < 4;
            EXPECT_EQ(allocation->shadow[i], is_written ? kShadowWritten : 0) << i;
        }
    }
}

// --- modifiers ---

TEST(Memory, ModifiersThatChangeNoValue) {
    GlobalMemory memory(0, 1 << 20);
    const u64 base = memory.allocate(4096).value();
    ASSERT_TRUE(memory.fill(base, 5, 4096).ok());
    for (const char* text :
         {"ld.weak.global.b32 %r0, [%d0];", "ld.volatile.global.b32 %r0, [%d0];",
          "ld.relaxed.cta.global.b32 %r0, [%d0];", "ld.relaxed.cluster.global.b32 %r0, [%d0];",
          "ld.acquire.gpu.global.b32 %r0, [%d0];", "ld.acquire.sys.b32 %r0, [%d0];",
          "ld.mmio.relaxed.sys.global.b32 %r0, [%d0];", "ld.global.ca.b32 %r0, [%d0];",
          "ld.global.cg.b32 %r0, [%d0];", "ld.global.cs.b32 %r0, [%d0];", "ld.global.lu.b32 %r0, [%d0];",
          "ld.global.cv.b32 %r0, [%d0];", "ld.global.nc.b32 %r0, [%d0];",
          "ld.global.nc.L1::no_allocate.b32 %r0, [%d0];", "ld.global.L1::evict_last.L2::128B.b32 %r0, [%d0];",
          "ld.global.L2::cache_hint.b32 %r0, [%d0], %d1;",
          "ld.global.nc.L1::evict_first.L2::cache_hint.L2::256B.b32 %r0, [%d0], %d1;",
          "ldu.global.b32 %r0, [%d0];", "ld.relaxed.gpu.global.L1::no_allocate.v2.b32 {%r0, %r0}, [%d0];"}) {
        OneInstruction load(text, {.memory = &memory});
        ASSERT_EQ(load.load_error(), "") << text;
        const int address = std::string_view(text).find(".v2") == std::string_view::npos ? 1 : 2;
        for (u64 l = 0; l < 32; ++l) load.lanes<u64>(address)[l] = base + 8 * l;
        EXPECT_EQ(load.run(), Flow::next) << text;
        EXPECT_EQ(load.lanes<u32>(0)[31], 0x05050505u) << text;
    }
    u32 value = 100;
    for (const char* text :
         {"st.weak.global.b32 [%d0], %r0;", "st.volatile.global.b32 [%d0], %r0;",
          "st.relaxed.gpu.global.b32 [%d0], %r0;", "st.release.sys.b32 [%d0], %r0;",
          "st.mmio.relaxed.sys.global.b32 [%d0], %r0;", "st.global.wb.b32 [%d0], %r0;",
          "st.global.cg.b32 [%d0], %r0;", "st.global.cs.b32 [%d0], %r0;", "st.global.wt.b32 [%d0], %r0;",
          "st.global.L1::no_allocate.b32 [%d0], %r0;", "st.global.L2::cache_hint.b32 [%d0], %r0, %d1;"}) {
        OneInstruction store(text, {.memory = &memory});
        ASSERT_EQ(store.load_error(), "") << text;
        for (u64 l = 0; l < 32; ++l) {
            store.lanes<u64>(0)[l] = base + 8 * l;
            store.lanes<u32>(1)[l] = ++value;
        }
        EXPECT_EQ(store.run(), Flow::next) << text;
        u32 got = 0;
        ASSERT_TRUE(memory.read(base + 8 * 31, &got, 4).ok());
        EXPECT_EQ(got, value) << text;
    }
}

TEST(Memory, FormsThatPtxHasNotOrThatAreNotCoveredAreErrors) {
    const auto error = [](std::string_view text, std::string_view target = "sm_120a") {
        OneInstruction one(text, {.target = "rtx-pro-6000", .ptx_target = target});
        return one.load_error();
    };
    EXPECT_NE(error("ld.global.v3.b32 {%r0, %r1, %r2}, [%d0];").find(".v3"), std::string::npos);
    EXPECT_NE(
        error("ld.global.v2.b32 {%r0, %r1, %r2}, [%d0];").find("expected a vector of 2, got a vector of 3"),
        std::string::npos);
    EXPECT_NE(error("ld.global.b32 {%r0, %r1}, [%d0];").find("expected one register, got a vector of 2"),
              std::string::npos);
    EXPECT_NE(error("ld.global.v8.b16 {%h0,%h1,%h2,%h3,%h4,%h5,%h6,%h7}, [%d0];"), "");
    EXPECT_NE(error("ld.relaxed.global.b32 %r0, [%d0];").find("expected a scope"), std::string::npos);
    EXPECT_NE(error("ld.global.release.gpu.b32 %r0, [%d0];").find(".release"), std::string::npos);
    EXPECT_NE(error("ld.global.f16 %h0, [%d0];").find("not covered yet: type .f16"), std::string::npos);
    EXPECT_NE(error("ld.global.b64 %q0, [%d0];").find("128-bit register"), std::string::npos);
    EXPECT_NE(error("st.async.shared::cluster.b32 [%d0], %r0;"), "");
    EXPECT_NE(error("st.global.ca.b32 [%d0], %r0;").find(".ca"), std::string::npos);
    EXPECT_NE(error("fence.proxy.async;").find("not covered yet"), std::string::npos);
    EXPECT_NE(error("fence.mbarrier_init.release.cluster;").find("mbarrier_init"), std::string::npos);
}

TEST(Memory, FencesPrefetchesAndPrioritiesDoNothing) {
    GlobalMemory memory(0, 1 << 20);
    for (const char* text :
         {"fence.sc.cta;", "fence.acq_rel.gpu;", "fence.sys;", "fence.sc.cluster;", "membar.cta;",
          "membar.gl;", "membar.sys;", "fence.proxy.alias;", "prefetch.global.L1 [%d0];",
          "prefetch.global.L2 [%d0];", "prefetch.L2 [%d0];", "prefetch.global.L2::evict_last [%d0];",
          "prefetchu.L1 [%d0];", "applypriority.global.L2::evict_normal [%d0], 128;"}) {
        OneInstruction one(text, {.memory = &memory});
        ASSERT_EQ(one.load_error(), "") << text;
        EXPECT_EQ(one.run(), Flow::next) << text;  // addresses that are none
    }
}

TEST(Memory, DiscardedLinesAreNotWritten) {
    GlobalMemory memory(0, 1 << 20);
    const u64 base = memory.allocate(1024).value();
    ASSERT_TRUE(memory.fill(base, 5, 1024).ok());
    OneInstruction discard("discard.global.L2 [%d0], 128;", {.memory = &memory});
    discard.lanes<u64>(0)[1] = base + 256;
    discard.lanes<u64>(0)[3] = base + 896;
    ASSERT_EQ(discard.run(0b1010), Flow::next);
    for (u64 i = 0; i < 1024; ++i) {
        const bool is_lost = i / 128 == 2 || i / 128 == 7;
        EXPECT_EQ(memory.find(base, 1)->shadow[i], is_lost ? 0 : kShadowWritten) << i;
    }
    discard.lanes<u64>(0)[0] = base + 64;
    EXPECT_EQ(discard.find(1).kind, FindingKind::misaligned);
    OneInstruction beyond("discard.global.L2 [%d0], 128;", {.memory = &memory});
    beyond.lanes<u64>(0)[0] = base + 1024;
    EXPECT_EQ(beyond.find(1).kind, FindingKind::out_of_bounds);
}

// --- findings ---

struct Found {
    FindingKind kind;
    u32 lanes;
    u64 address;
    std::string text;
    bool operator==(const Found&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Found& found) {
    return out << finding_name(found.kind)
               << fmt::format(" lanes {:#x} address {:#x}: ", found.lanes, found.address) << found.text;
}
Found found(OneInstruction& one, u32 active = kAllLanes) {
    const Finding finding = one.find(active);
    return {finding.kind, finding.lanes, finding.address, finding.text};
}

TEST(Memory, GlobalAddressesOutOfBoundsAtEveryLevel) {
    for (const CheckLevel level : {CheckLevel::off, CheckLevel::bounds, CheckLevel::all}) {
        GlobalMemory memory(0, 1 << 20);
        const u64 base = memory.allocate(100).value();
        ASSERT_TRUE(memory.fill(base, 0, 100).ok());
        const OneInstruction::Setup setup{.memory = &memory, .level = level};
        {
            OneInstruction load("ld.global.b32 %r0, [%d0];", setup);
            for (u64 l = 0; l < 32; ++l) load.lanes<u64>(1)[l] = base + 4 * l;
            EXPECT_EQ(load.run(0x01ff'ffffu), Flow::next);  // 25 words
            for (u64 l = 0; l < 32; ++l) load.lanes<u64>(1)[l] = base + 4 * l;
            EXPECT_EQ(found(load),
                      (Found{FindingKind::out_of_bounds, 0xfe00'0000u, base + 100,
                             "4 bytes read: 0 bytes past the end of allocation 1 of 100 bytes"}));
        }
        {
            OneInstruction store("st.global.v4.b32 [%d0], {%r0, %r1, %r2, %r3};", setup);
            store.lanes<u64>(0)[7] = base + 96;
            EXPECT_EQ(
                found(store, 1u << 7),
                (Found{
                    FindingKind::out_of_bounds, 1u << 7, base + 96,
                    "16 bytes written: 16 bytes at byte 96 of allocation 1 of 100 bytes: 12 past its end"}));
        }
        {
            OneInstruction load("ld.global.b32 %r0, [%d0];", setup);
            for (u64 l = 0; l < 32; ++l) load.lanes<u64>(1)[l] = l == 9 ? 0 : base + 96;
            EXPECT_EQ(found(load),
                      (Found{FindingKind::out_of_bounds, 1u << 9, 0, "4 bytes read: a null pointer"}));
        }
        {
            OneInstruction load("ld.b32 %r0, [%d0];", setup);
            for (u64 l = 0; l < 32; ++l)
                load.lanes<u64>(1)[l] = l % 2 == 1 ? reinterpret_cast<u64>(&memory) : base + 96;
            EXPECT_EQ(found(load),
                      (Found{FindingKind::foreign_address, 0xaaaa'aaaau, reinterpret_cast<u64>(&memory),
                             "4 bytes read: a host address, or no address at all"}));
        }
        {
            OneInstruction load("ld.global.b32 %r0, [%d0];", setup);
            load.lanes<u64>(1)[0] = kSharedWindow + kSharedStart;
            EXPECT_EQ(
                found(load, 1),
                (Found{FindingKind::out_of_bounds, 1, kSharedWindow + kSharedStart,
                       "4 bytes read: an address of shared memory (offset 1024), not of global memory"}));
        }
        {
            OneInstruction load("ld.global.b64 %d1, [%d0];", setup);
            load.lanes<u64>(1)[0] = ~0ull - 3;  // the end of the access is beyond 2^64
            EXPECT_EQ(found(load, 1).kind, FindingKind::foreign_address);
        }
        ASSERT_TRUE(memory.release(base).ok());
        {
            OneInstruction load("ld.global.b32 %r0, [%d0];", setup);
            load.lanes<u64>(1)[3] = base + 4;
            EXPECT_EQ(found(load, 1u << 3),
                      (Found{FindingKind::use_after_free, 1u << 3, base + 4,
                             "4 bytes read: byte 4 of allocation 1 of 100 bytes, which was released"}));
        }
    }
}

TEST(Memory, AWarpSeesThatItsAllocationIsGone) {
    GlobalMemory memory(0, 1 << 20);
    const u64 base = memory.allocate(128).value();
    ASSERT_TRUE(memory.fill(base, 1, 128).ok());
    OneInstruction load("ld.global.b32 %r0, [%d0];", {.memory = &memory});
    for (u64 l = 0; l < 32; ++l) load.lanes<u64>(1)[l] = base + 4 * l;
    EXPECT_EQ(load.run(), Flow::next);
    ASSERT_TRUE(memory.release(base).ok());
    for (u64 l = 0; l < 32; ++l) load.lanes<u64>(1)[l] = base + 4 * l;
    EXPECT_EQ(load.find().kind, FindingKind::use_after_free);
}

TEST(Memory, SharedLocalAndParamAddressesOutOfBounds) {
    GlobalMemory memory(0, 1 << 20);
    const OneInstruction::Setup setup{.memory = &memory,
                                      .level = CheckLevel::off,
                                      .shared_bytes = 16,
                                      .local_bytes = 8,
                                      .param_bytes = 16,
                                      .variables = ".shared .align 4 .b8 tile[64]; .local .b8 depot[24];",
                                      .mentions = "ld.shared.b8 %r9, [tile]; ld.local.b8 %r9, [depot];"};
    {
        OneInstruction load("ld.shared.b32 %r0, [%r1];", setup);
        for (u32 l = 0; l < 32; ++l) load.lanes<u32>(1)[l] = kSharedStart + 4 * l;
        EXPECT_EQ(
            found(load),
            (Found{
                FindingKind::out_of_bounds, 0xfff0'0000u, kSharedStart + 80,
                "4 bytes read at offset 1104 of shared memory, where there are 1024 to 1103, 16 bytes past "
                "the end of tile of 64 bytes"}));
    }
    {
        OneInstruction store("st.shared.b32 [%r1], %r0;", setup);
        store.lanes<u32>(0)[0] = 0;
        EXPECT_EQ(found(store, 1),
                  (Found{FindingKind::out_of_bounds, 1, 0,
                         "4 bytes written at offset 0 of shared memory, where there are 1024 to "
                         "1103"}));
    }
    {
        OneInstruction load("ld.shared.b32 %r0, [tile+-4];", setup);
        EXPECT_EQ(found(load, 2).kind, FindingKind::out_of_bounds);
    }
    {
        OneInstruction load("ld.shared.b32 %r0, [tile+76];", setup);
        EXPECT_EQ(load.run(), Flow::next);  // dynamic memory behind it
    }
    {
        OneInstruction load("ld.local.b64 %d0, [depot+28];", setup);
        EXPECT_EQ(found(load, 4),
                  (Found{FindingKind::out_of_bounds, 4, kLocalStart + 28,
                         "8 bytes read at offset 92 of local memory, where the lane has 64 to 95, 4 "
                         "bytes past the end of depot of 24 bytes"}));
    }
    {
        OneInstruction load("ld.param.b32 %r0, [in+16];", setup);
        EXPECT_EQ(found(load, 1),
                  (Found{FindingKind::out_of_bounds, 1, 16,
                         "4 bytes read at offset 16 of param memory, where there are 0 to 15, 0 bytes "
                         "past the end of in of 16 bytes"}));
    }
    {
        OneInstruction store("st.b32 [%d0], %r0;", setup);
        store.lanes<u64>(0)[5] = kParamWindow + 4;
        EXPECT_EQ(found(store, 1u << 5), (Found{FindingKind::read_only_written, 1u << 5, kParamWindow + 4,
                                                "byte 4 of param variable in, which is read-only"}));
    }
}

TEST(Memory, ReadOnlyImportsMayOnlyBeRead) {
    GlobalMemory memory(0, 1 << 20);
    u32 array[32] = {};
    const u64 base = memory.import(array, sizeof array, true).value();
    OneInstruction load("ld.global.b32 %r0, [%d0];", {.memory = &memory});
    OneInstruction store("st.global.b32 [%d0], %r0;", {.memory = &memory});
    for (u64 l = 0; l < 32; ++l) load.lanes<u64>(1)[l] = store.lanes<u64>(0)[l] = base + 4 * l;
    EXPECT_EQ(load.run(), Flow::next);
    EXPECT_EQ(found(store, 0xff00u), (Found{FindingKind::read_only_written, 0xff00u, base + 32,
                                            "byte 32 of imported array 1 of 128 bytes, which is read-only"}));
    EXPECT_EQ(array[8], 0u);
}

TEST(Memory, MisalignedAddresses) {
    GlobalMemory memory(0, 1 << 20);
    const u64 base = memory.allocate(1024).value();
    std::vector<u8> bytes(1024);
    for (u64 i = 0; i < 1024; ++i) bytes[i] = static_cast<u8>(i * 7);
    ASSERT_TRUE(memory.write(base, bytes.data(), 1024).ok());
    for (const CheckLevel level : {CheckLevel::bounds, CheckLevel::all}) {
        OneInstruction load("ld.global.v2.b32 {%r0, %r1}, [%d0];", {.memory = &memory, .level = level});
        for (u64 l = 0; l < 32; ++l) load.lanes<u64>(2)[l] = base + 8 * l + (l % 16 == 5 ? 4 : 0);
        EXPECT_EQ(found(load), (Found{FindingKind::misaligned, 1u << 5 | 1u << 21, base + 44,
                                      "expected a multiple of 8, got one plus 4"}));
        OneInstruction store("st.shared.b16 [%r0], %h0;",
                             {.memory = &memory, .level = level, .shared_bytes = 64});
        store.lanes<u32>(0)[31] = kSharedStart + 3;
        EXPECT_EQ(found(store, 1u << 31), (Found{FindingKind::misaligned, 1u << 31, kSharedStart + 3,
                                                 "expected a multiple of 2, got one plus 1"}));
    }
    // Without checks they are what the bytes are, strong or not.
    for (const char* text : {"ld.global.b32 %r0, [%d0];", "ld.volatile.global.b32 %r0, [%d0];"}) {
        OneInstruction load(text, {.memory = &memory, .level = CheckLevel::off});
        for (u64 l = 0; l < 32; ++l) load.lanes<u64>(1)[l] = base + 5 * l;
        ASSERT_EQ(load.run(), Flow::next);
        for (u64 l = 0; l < 32; ++l) {
            u32 expected;
            std::memcpy(&expected, bytes.data() + 5 * l, 4);
            EXPECT_EQ(load.lanes<u32>(0)[l], expected);
        }
    }
}

TEST(Memory, UninitialisedBytes) {
    for (const CheckLevel level : {CheckLevel::off, CheckLevel::bounds, CheckLevel::all}) {
        GlobalMemory memory(0, 1 << 20);
        const u64 base = memory.allocate(1024).value();
        ASSERT_TRUE(memory.fill(base, 1, 512).ok());
        ASSERT_TRUE(memory.fill(base + 514, 1, 510).ok());
        OneInstruction row("ld.global.b32 %r0, [%d0];", {.memory = &memory, .level = level});
        OneInstruction same("ld.global.v2.b16 {%h0, %h1}, [%d0];", {.memory = &memory, .level = level});
        OneInstruction scattered("ld.global.b64 %d1, [%d0];", {.memory = &memory, .level = level});
        for (u64 l = 0; l < 32; ++l) {
            row.lanes<u64>(1)[l] = base + 400 + 4 * l;
            same.lanes<u64>(2)[l] = base + 512;
            scattered.lanes<u64>(1)[l] = base + (l == 30 ? 512 : 8 * (31 - l));
        }
        if (level != CheckLevel::all) {
            EXPECT_EQ(row.run(), Flow::next);
            EXPECT_EQ(row.lanes<u32>(0)[28], 0x0101ffffu);  // poison
            EXPECT_EQ(same.run(), Flow::next);
            EXPECT_EQ(scattered.run(), Flow::next);
            continue;
        }
        const std::string of =
            "of 4 bytes were never written, the first is byte 512 of allocation 1 of 1024 bytes";
        EXPECT_EQ(found(row), (Found{FindingKind::uninitialized, 1u << 28, base + 512, "2 " + of}));
        EXPECT_EQ(found(same, 0xf0u), (Found{FindingKind::uninitialized, 0xf0u, base + 512, "2 " + of}));
        EXPECT_EQ(
            found(scattered),
            (Found{FindingKind::uninitialized, 1u << 30, base + 512,
                   "2 of 8 bytes were never written, the first is byte 512 of allocation 1 of 1024 bytes"}));
    }
    OneInstruction shared(
        "ld.shared.v4.f32 {%r0, %r1, %r2, %r3}, [%r4];",
        {.variables = ".shared .align 16 .b8 tile[1024];", .mentions = "ld.shared.b8 %r9, [tile];"});
    std::memset(shared.shared().shadow.get(), kShadowWritten, 1000);
    for (u32 l = 0; l < 32; ++l) shared.lanes<u32>(4)[l] = kSharedStart + 32 * l;
    EXPECT_EQ(shared.run(0x7fff'ffffu), Flow::next);
    for (u32 l = 0; l < 32; ++l) shared.lanes<u32>(4)[l] = kSharedStart + 1008 - 32 * l;
    EXPECT_EQ(found(shared),
              (Found{FindingKind::uninitialized, 1, kSharedStart + 1008,
                     "16 of 16 bytes were never written, the first is byte 1008 of shared variable "
                     "tile"}));
}

TEST(Memory, WhatIsImportedCountsAsWritten) {
    GlobalMemory memory(0, 1 << 20);
    u32 array[32];
    for (u32 l = 0; l < 32; ++l) array[l] = l * l;
    const u64 base = memory.import(array, sizeof array, false).value();
    OneInstruction load("ld.global.b32 %r0, [%d0];", {.memory = &memory});
    OneInstruction store("st.global.b32 [%d0], %r0;", {.memory = &memory});
    for (u64 l = 0; l < 32; ++l) {
        load.lanes<u64>(1)[l] = store.lanes<u64>(0)[l] = base + 4 * l;
        store.lanes<u32>(1)[l] = 7;
    }
    EXPECT_EQ(load.run(), Flow::next);
    EXPECT_EQ(load.lanes<u32>(0)[31], 31u * 31u);
    EXPECT_EQ(store.run(2), Flow::next);
    EXPECT_EQ(array[1], 7u);
    EXPECT_EQ(array[2], 4u);
}

// Elements of a strong access do not tear, whatever thread makes it.
TEST(Memory, StrongAccessesOfThreads) {
    GlobalMemory memory(0, 1 << 20);
    const u64 base = memory.allocate(256).value();
    ASSERT_TRUE(memory.fill(base, 0, 256).ok());
    const auto write = [&](u64 pattern) {
        OneInstruction store("st.relaxed.gpu.global.b64 [%d0], %d1;", {.memory = &memory});
        for (u64 l = 0; l < 32; ++l) {
            store.lanes<u64>(0)[l] = base + 8 * l;
            store.lanes<u64>(1)[l] = pattern;
        }
        for (int i = 0; i < 20'000; ++i) store.run();
    };
    std::thread one([&] { write(0x1111'1111'1111'1111ull); });
    std::thread two([&] { write(0xeeee'eeee'eeee'eeeeull); });
    OneInstruction load("ld.relaxed.gpu.global.b64 %d1, [%d0];", {.memory = &memory});
    const u16 slot = load.instruction().slot[1];
    for (int i = 0; i < 20'000; ++i) {
        for (u64 l = 0; l < 32; ++l) load.warp().lanes<u64>(slot)[l] = base + 8 * l;
        load.run();
        for (u64 l = 0; l < 32; ++l) {
            const u64 value = load.lanes<u64>(0)[l];
            ASSERT_TRUE(value == 0 || value == 0x1111'1111'1111'1111ull || value == 0xeeee'eeee'eeee'eeeeull)
                << value;
        }
    }
    one.join();
    two.join();
}

}  // namespace
}  // namespace warpwright::emulator
