// SPDX-License-Identifier: Apache-2.0
// Elementwise handlers. Included, instead of lanes.inl, by .inl files whose .cpp includes lanes.h and
// forms.h.
#include "emulator/execute/lanes.inl"

// Lanewise<function>::run is the handler of an instruction that computes function(source...) in each lane.
// Its slots are the destination, then the sources.
enum class LaneLoop : u8 { vector, vector_long, each };
template <auto function, LaneLoop loop = LaneLoop::vector>
struct Lanewise;
template <class R, class... A, R (*function)(A...), LaneLoop loop>
struct Lanewise<function, loop> {
    template <std::size_t... k>
    static inline __attribute__((always_inline)) void compute(Warp& warp, const Instruction& i, u32 active,
                                                              std::index_sequence<k...>) {
        WordOf<R>* const out = warp.lanes<WordOf<R>>(i.slot[0]);
        const u32* const in[] = {warp.lanes<u32>(i.slot[1 + k])...};
        const auto lane = [&](int l) {
            return LaneType<R>::to(
                function(LaneType<A>::from(reinterpret_cast<const WordOf<A>*>(in[k])[l])...));
        };
        if constexpr (loop == LaneLoop::vector) store_lanes(out, active, lane);
        if constexpr (loop == LaneLoop::vector_long) store_lanes_long(out, active, lane);
        if constexpr (loop == LaneLoop::each) store_each_lane(out, active, lane);
    }
    static Flow run(Warp& warp, const Instruction& i, u32 active) {
        compute(warp, i, active, std::index_sequence_for<A...>{});
        return Flow::next;
    }
    static constexpr Form form(std::string_view opcode, std::string_view modifiers) {
        return {opcode, modifiers, &run, LaneType<R>::kType, sizeof...(A), {LaneType<A>::kType...}};
    }
};

// The same for packed pairs of 16 bits: `function` is that of one half.
template <auto function>
struct PairLanewise;
template <class R, class... A, R (*function)(A...)>
struct PairLanewise<function> {
    template <std::size_t... k>
    static inline __attribute__((always_inline)) void compute(Warp& warp, const Instruction& i, u32 active,
                                                              std::index_sequence<k...>) {
        const u32* const in[] = {warp.lanes<u32>(i.slot[1 + k])...};
        // One half after the other: both in one loop are more than GCC vectorises.
        alignas(64) u32 half[2][kLanes];
        for (int h = 0; h < 2; ++h) {
            for (int l = 0; l < kLanes; ++l)
                half[h][l] = LaneType<R>::to(function(LaneType<A>::from(in[k][l] >> 16 * h)...));
        }
        store_lanes(warp.lanes<u32>(i.slot[0]), active,
                    [&](int l) { return (half[0][l] & 0xffffu) | half[1][l] << 16; });
    }
    static Flow run(Warp& warp, const Instruction& i, u32 active) {
        compute(warp, i, active, std::index_sequence_for<A...>{});
        return Flow::next;
    }
    static constexpr Form form(std::string_view opcode, std::string_view modifiers) {
        return {
            opcode, modifiers, &run, LaneType<Pair<R>>::kType, sizeof...(A), {LaneType<Pair<A>>::kType...}};
    }
};
