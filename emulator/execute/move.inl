// SPDX-License-Identifier: Apache-2.0
// Moves, PTX ISA 9.7.9.3 and 9.7.9.4, for each SIMD level.
#include "emulator/execute/lanewise.inl"

template <class Word>
Flow mov(Warp& warp, const Instruction& i, u32 active) {
    const Word* const a = warp.lanes<Word>(i.slot[1]);
    store_lanes(warp.lanes<Word>(i.slot[0]), active, [&](int l) { return a[l]; });
    return Flow::next;
}

// Two elements into one register and back. The first element is the lower part.
template <class Word, class Part>
Flow pack2(Warp& warp, const Instruction& i, u32 active) {
    constexpr int kBits = sizeof(Part) * 8;
    const u32* const low = warp.lanes<u32>(i.slot[1]);
    const u32* const high = warp.lanes<u32>(i.slot[2]);
    store_lanes(warp.lanes<Word>(i.slot[0]), active,
                [&](int l) { return static_cast<Part>(low[l]) | static_cast<Word>(high[l]) << kBits; });
    return Flow::next;
}
template <class Word, class Part>
Flow unpack2(Warp& warp, const Instruction& i, u32 active) {
    constexpr int kBits = sizeof(Part) * 8;
    const Word* const from = warp.lanes<Word>(i.slot[2]);
    u32* const low = warp.lanes<u32>(i.slot[0]);
    u32* const high = warp.lanes<u32>(i.slot[1]);
    alignas(64) Word whole[kLanes];  // a destination can be the source's slot
    for (int l = 0; l < kLanes; ++l) whole[l] = from[l];
    store_lanes(low, active, [&](int l) { return static_cast<u32>(whole[l]); });
    store_lanes(high, active, [&](int l) { return static_cast<u32>(whole[l] >> kBits); });
    return Flow::next;
}

constexpr MoveHandlers kMoves{&mov<u32>,        &mov<u64>,          &pack2<u64, u32>,
                              &pack2<u32, u16>, &unpack2<u64, u32>, &unpack2<u32, u16>};

// cvta: the window is added, or subtracted as its complement.
static Flow cvta(Warp& warp, const Instruction& i, u32 active) {
    const u64* const a = warp.lanes<u64>(i.slot[1]);
    const u64 window = static_cast<u64>(i.immediate);
    store_lanes(warp.lanes<u64>(i.slot[0]), active, [&](int l) { return a[l] + window; });
    return Flow::next;
}
