// SPDX-License-Identifier: Apache-2.0
// cp.async of kBytes for each lane. Slots: target, source, then the size of the source where it is written.
#include "emulator/execute/lanes.inl"
#include "emulator/memory/lookup.inl"

// Lanes that read as much as they write.
static inline u32 whole_lanes(const PendingCopy& copy) {
    u32 lanes = 0;
    for (int l = 0; l < kLanes; ++l) lanes |= static_cast<u32>(copy.source_bytes[l] == copy.bytes) << l;
    return lanes;
}

template <int kBytes>
static Flow land(Warp& warp, PendingCopy& copy, u32 lanes) {
    // Findings are those of the copy, not of the wait.
    Instruction instruction;
    instruction.statement = copy.statement;
    SharedMemory& shared = warp.block().shared;
    u8* const shadow = warp.level() == CheckLevel::all ? shared.shadow.get() : nullptr;
    copy.lanes &= ~lanes;
    warp.note_change();

    if (copy.is_cut) {
        const u32 cut = lanes & ~whole_lanes(copy);
        for (u32 rest = cut; rest != 0; rest &= rest - 1) {
            const int lane = first_lane(rest);
            if (!land_cut(warp, instruction, copy, lane)) return Flow::fault;
            if (shadow != nullptr) std::memset(shadow + copy.to[lane], kShadowWritten, kBytes);
        }
        if (lanes == cut) return Flow::next;
        lanes &= ~cut;
    }
    return for_each_span<kBytes, Use::load>(
        warp, instruction, Space::global, Addresses{copy.from}, lanes, [&](const Lookup& found) {
            for (u32 rest = found.inside; rest != 0; rest &= rest - 1) {
                const int l = first_lane(rest);
                std::memcpy(shared.data.get() + copy.to[l], bytes_of<kBytes>(found, l), kBytes);
                if (shadow != nullptr) std::memset(shadow + copy.to[l], kShadowWritten, kBytes);
            }
        });
}

static Flow land_any(Warp& warp, PendingCopy& copy, u32 lanes) {
    switch (copy.bytes) {
        case 4: return land<4>(warp, copy, lanes);
        case 8: return land<8>(warp, copy, lanes);
        default: return land<16>(warp, copy, lanes);
    }
}

// Copies of groups before `limit` of each lane land.
static Flow land_before(Warp& warp, u32 active, const u32* limit) {
    CopyQueue& pending = warp.async.pending;
    for (u32 i = 0; i < pending.size(); ++i) {
        PendingCopy& copy = pending[i];
        u32 lanes = 0;
        for (int l = 0; l < kLanes; ++l) lanes |= static_cast<u32>(copy.group < limit[l]) << l;
        lanes &= copy.lanes & active;
        if (lanes == 0) continue;
        if (const Flow flow = land_any(warp, copy, lanes); flow != Flow::next) return flow;
    }
    pending.remove_landed();
    return Flow::next;
}

// Lanes that are in different groups make copies of their own.
static Flow enqueue(Warp& warp, u32 active, const PendingCopy& copy) {
    AsyncCopies& async = warp.async;
    for (u32 todo = active; todo != 0;) {
        if (async.pending.size() == CopyQueue::kMaxCopies) {
            PendingCopy& oldest = async.pending[0];
            if (const Flow flow = land_any(warp, oldest, oldest.lanes); flow != Flow::next) return flow;
            async.pending.remove_landed();
        }
        const u32 group = async.open_group[first_lane(todo)];
        u32 lanes = 0;
        for (int l = 0; l < kLanes; ++l) lanes |= static_cast<u32>(async.open_group[l] == group) << l;
        PendingCopy& pending = async.pending.push();
        pending = copy;
        pending.lanes = lanes & todo;
        pending.group = group;
        todo &= ~lanes;
    }
    return Flow::next;
}

// That the bytes are there; whether they were written is seen when they are read.
template <int kBytes>
static inline Flow check_sources(Warp& warp, const Instruction& instruction, u32 active,
                                 const Addresses& addresses) {
    Lookup lookup;
    u64 misaligned = 0;
    u32 todo = active;
    do {
        if (!look_up<kBytes>(warp, instruction, Space::global, addresses, todo, lookup, misaligned)) [[unlikely]]
            return report_address(warp, instruction, Space::global, todo, addresses, kBytes, Use::load);
        if (misaligned != 0 && warp.level() != CheckLevel::off) [[unlikely]]
            return report_misaligned(warp, instruction, active, addresses, kBytes);
        todo &= ~lookup.inside;
    } while (todo != 0);
    return Flow::next;
}

template <int kBytes>
static Flow issue(Warp& warp, const Instruction& instruction, u32 active) {
    // Sizes first: what is not read need not be anywhere.
    PendingCopy copy;
    copy.statement = instruction.statement;
    copy.bytes = kBytes;
    for (u32& bytes : copy.source_bytes) bytes = kBytes;
    if (const Flow flow = read_sizes(warp, instruction, active, copy); flow != Flow::next) return flow;

    const Addresses from{warp.lanes<u64>(instruction.slot[1]), instruction.flag[kFlagSourceNarrow],
                         static_cast<u64>(instruction.immediate)};
    for (int l = 0; l < kLanes; ++l) copy.from[l] = from[l];
    // Now, as memory may be read now; a copy that lands later is looked at no more.
    if ((warp.unordered & active) != 0) [[unlikely]] {
        if (const Flow flow = check_order(warp, instruction, Space::global, active, from, Use::load);
            flow != Flow::next)
            return flow;
    }
    Flow flow = Flow::next;
    const u32 whole = copy.is_cut ? active & whole_lanes(copy) : active;
    if (whole != active) flow = check_cut_sources(warp, instruction, active & ~whole, copy);
    if (flow == Flow::next && whole != 0) flow = check_sources<kBytes>(warp, instruction, whole, from);
    if (flow != Flow::next) return flow;

    u64 overlap = 0;
    const Addresses to{warp.lanes<u64>(instruction.slot[0]), instruction.flag[kFlagNarrow],
                       static_cast<u64>(i64{instruction.detail[1]})};
    flow = for_each_span<kBytes, Use::store>(
        warp, instruction, Space::shared, to, active, [&](const Lookup& found) {
            for (int l = 0; l < kLanes; ++l)
                copy.to[l] = static_cast<u32>(bytes_of<kBytes>(found, l) - found.span.data);
            if (found.span.shadow == nullptr) return;
            for (u32 rest = found.inside; rest != 0; rest &= rest - 1) {
                using Word = typename Bits<kBytes < 8 ? kBytes : 8>::Type;
                Word words[kBytes / sizeof(Word)];
                u8* shadow = found.span.shadow + copy.to[first_lane(rest)];
                std::memcpy(words, shadow, kBytes);
                for (Word& word : words) {
                    overlap |= word & static_cast<Word>(kAsyncBytes);
                    word |= static_cast<Word>(kAsyncBytes);
                }
                std::memcpy(shadow, words, kBytes);
            }
        });
    if (flow != Flow::next) return flow;
    if (overlap != 0) [[unlikely]]
        return report_overlap(warp, instruction, active, copy);
    return enqueue(warp, active, copy);
}

static Flow commit(Warp& warp, const Instruction&, u32 active) {
    for (int l = 0; l < kLanes; ++l) warp.async.open_group[l] += active >> l & 1u;
    return Flow::next;
}

// All but the last N groups that the lane committed have landed.
static Flow wait_for_groups(Warp& warp, const Instruction& instruction, u32 active) {
    if (warp.async.pending.size() == 0) return Flow::next;
    const u32 except = static_cast<u32>(instruction.detail[0]);
    u32 limit[kLanes];
    for (int l = 0; l < kLanes; ++l) {
        const u32 committed = warp.async.open_group[l];
        limit[l] = committed - std::min(except, committed);
    }
    return land_before(warp, active, limit);
}

static Flow wait_for_all(Warp& warp, const Instruction& instruction, u32 active) {
    commit(warp, instruction, active);
    return land_before(warp, active, warp.async.open_group);
}

constexpr AsyncHandlers kHandlers = {{issue<4>, issue<8>, issue<16>}, commit, wait_for_groups, wait_for_all};
