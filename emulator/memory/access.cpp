// SPDX-License-Identifier: Apache-2.0
#include "emulator/memory/access.h"

#include <thread>

#include <fmt/format.h>

namespace warpwright::emulator {
namespace {

// A generic address, as the space it is in and the address there.
struct Place {
    Space space = Space::generic;  // generic: no memory
    u64 address = 0;
};

Place place_in(Space space, u64 address) {
    if (space != Space::generic) return {space, address};
    const auto is_in = [&](u64 window, u64 bytes) { return address - window < bytes; };
    if (address >= kDeviceStart) return {Space::global, address};
    if (is_in(kSharedWindow, kSharedWindowBytes)) return {Space::shared, address - kSharedWindow};
    if (is_in(kLocalWindow, kLocalWindowBytes)) return {Space::local, address - kLocalWindow};
    if (is_in(kParamWindow, kParamWindowBytes)) return {Space::param, address - kParamWindow};
    if (is_in(kConstantWindow, kConstantWindowBytes)) return {Space::constant, address - kConstantWindow};
    return {Space::generic, address};
}

const char* space_name(Space space) {
    switch (space) {
        case Space::param: return "param";
        case Space::constant: return "const";
        case Space::global: return "global";
        case Space::shared: return "shared";
        case Space::local: return "local";
        case Space::generic: return "generic";
        case Space::reg: return "reg";
    }
    return "?";
}

const char* use_text(Use use) {
    switch (use) {
        case Use::load: return "read";
        case Use::store: return "written";
        case Use::atomic: return "changed";
    }
    return "?";
}

std::string bytes_text(u64 bytes) {
    return fmt::format("{} {}", bytes, bytes == 1 ? "byte" : "bytes");
}

// The last variable of the space that begins at or before the address; null when there is none.
const Placed* variable_before(Warp& warp, Space space, u64 address) {
    const Placed* best = nullptr;
    for (const Placed& variable : warp.grid().program->variables) {
        if (variable.space == space && variable.address <= address &&
            (best == nullptr || variable.address >= best->address))
            best = &variable;
    }
    return best;
}

// "8 bytes past the end of shared variable tile of 64 bytes", for an address outside of all variables.
std::string near_variable(Warp& warp, const Place& place) {
    const Placed* variable = variable_before(warp, place.space, place.address);
    if (variable == nullptr) return "";
    const u64 offset = place.address - variable->address;
    if (offset < variable->bytes)
        return fmt::format(", byte {} of {} of {}", offset, variable->name, bytes_text(variable->bytes));
    return fmt::format(", {} past the end of {} of {}", bytes_text(offset - variable->bytes), variable->name,
                       bytes_text(variable->bytes));
}

// The .global variable that an address belongs to that is outside of everything; null: none. Allocations are
// far apart.
const Placed* variable_near(Warp& warp, u64 address) {
    constexpr u64 kNear = 1 << 28;
    for (const Placed& variable : warp.grid().program->variables) {
        if (variable.space == Space::global &&
            address - variable.address + kNear < variable.bytes + 2 * kNear)
            return &variable;
    }
    return nullptr;
}

std::string outside_text(Warp& warp, const Place& place, u64 bytes, Use use) {
    u64 first = 0, size = 0;
    switch (place.space) {
        case Space::shared:
            first = kSharedStart;
            size = warp.block().shared.bytes;
            break;
        case Space::local:
            first = kLocalStart;
            size = warp.local.bytes;
            break;
        case Space::param: size = warp.grid().params.size(); break;
        case Space::constant: size = warp.grid().program->constant_bank.size(); break;
        default: break;
    }
    const char* whose = place.space == Space::local ? "the lane has" : "there are";
    if (size == 0)
        return fmt::format("{} {} at offset {} of {} memory, of which the kernel has none", bytes_text(bytes),
                           use_text(use), place.address, space_name(place.space));
    return fmt::format("{} {} at offset {} of {} memory, where {} {} to {}{}", bytes_text(bytes),
                       use_text(use), place.address, space_name(place.space), whose, first, first + size - 1,
                       near_variable(warp, place));
}

// Where in a span a lane's bytes are, or ~0.
u64 offset_in(const Span& span, int lane, u64 address, u64 bytes) {
    const u64 offset = address - span.base;
    if (bytes > span.bytes || offset > span.bytes - bytes) return ~0ull;
    return offset + span.lane_stride * static_cast<u64>(lane);
}

// Few collide; who does only waits.
std::atomic_flag& wide_flag(const void* address) {
    static std::atomic_flag flags[64];
    return flags[reinterpret_cast<std::uintptr_t>(address) / 16 % 64];
}

}  // namespace

WideLock::WideLock(const void* address) : flag_(wide_flag(address)) {
    while (flag_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
}

WideLock::~WideLock() {
    flag_.clear(std::memory_order_release);
}

bool find_global_slow(Warp& warp, u32 index, u64 address, Span& span) {
    GlobalMemory* memory = warp.grid().memory;
    if (memory == nullptr) return false;
    TranslationCache& cache = warp.translations;
    if (const u64 generation = memory->generation(); cache.generation != generation) {
        for (TranslationCache::Entry& entry : cache.entry) entry = {};
        cache.generation = generation;
    }
    TranslationCache::Entry found;
    for (const TranslationCache::Entry& entry : cache.entry) {
        if (address - entry.base < entry.bytes) found = entry;
    }
    if (found.allocation == nullptr) {
        found.allocation = memory->find(address, 1);
        if (found.allocation == nullptr) return false;
        found.base = found.allocation->base;
        found.bytes = found.allocation->bytes;
    }
    cache.entry[index] = found;
    span.base = found.base;
    span.bytes = found.bytes;
    span.data = found.allocation->data;
    span.shadow = found.allocation->shadow;
    span.is_read_only = found.allocation->is_read_only;
    span.is_checked = warp.level() == CheckLevel::all && span.shadow != nullptr;
    span.is_global = true;
    return true;
}

bool find_other(Warp& warp, const Instruction& instruction, Space space, u64 address, Span& span) {
    const Place place = place_in(space, address);
    const u64 window = address - place.address;
    switch (place.space) {
        case Space::global: return find_global(warp, instruction, address, span);
        case Space::shared: return find_shared(warp, window, address, span);
        case Space::local:
            span.base = window + kLocalStart;
            span.bytes = span.lane_stride = warp.local.bytes;
            span.data = warp.local.data.get();
            return true;
        case Space::param:
            span.base = window;
            span.bytes = warp.grid().params.size();
            span.data = warp.grid().params.data();
            span.is_read_only = true;
            return true;
        case Space::constant: {
            const std::vector<std::byte>& bank = warp.grid().program->constant_bank;
            span.base = window;
            span.bytes = bank.size();
            span.data = const_cast<std::byte*>(bank.data());  // nobody writes where is_read_only is set
            span.is_read_only = true;
            return true;
        }
        default: return false;
    }
}

std::byte* find_bytes(Warp& warp, const Instruction& instruction, Space space, int lane, u64 address,
                      u64 bytes, Use use) {
    Span span;
    if (!find_span(warp, instruction, space, address, span)) return nullptr;
    if (use != Use::load && span.is_read_only) return nullptr;
    const u64 offset = offset_in(span, lane, address, bytes);
    return offset == ~0ull ? nullptr : span.data + offset;
}

Flow check_order(Warp& warp, const Instruction& instruction, Space space, u32 lanes,
                 const Addresses& addresses, Use use) {
    const Program& program = *warp.grid().program;
    const auto statement = static_cast<std::size_t>(instruction.statement);
    if (use == Use::load && statement < program.statements.size()) {
        // What is read as a constant: asynchronous copies have no .nc, kernels give them a policy instead.
        const std::string_view name = program.statements[statement].name;
        const bool is_copy = name.starts_with("cp.async");
        if (name.find(is_copy ? ".L2::cache_hint" : ".nc") != std::string_view::npos) return Flow::next;
    }
    u32 wrong = 0;
    for (u32 rest = lanes & warp.unordered; rest != 0; rest &= rest - 1) {
        const int lane = first_lane(rest);
        if (place_in(space, addresses[lane]).space == Space::global) wrong |= 1u << lane;
    }
    if (wrong == 0) return Flow::next;
    const u64 address = addresses[first_lane(wrong)];
    return warp.report(FindingKind::grid_not_waited, instruction, wrong, address,
                       fmt::format("{} {} before griddepcontrol.wait, while the grid before this one may run",
                                   place_of(warp, space, address), use_text(use)));
}

Flow report_address(Warp& warp, const Instruction& instruction, Space space, u32 lanes,
                    const Addresses& addresses, u64 bytes, Use use) {
    // The first lane that must not do this, and all those of which the same is true.
    FindingKind kind = FindingKind::out_of_bounds;
    std::string text;
    u32 wrong = 0;
    for (u32 rest = lanes; rest != 0; rest &= rest - 1) {
        const int lane = first_lane(rest);
        const u64 at = addresses[lane];
        Span span;
        const bool is_inside =
            find_span(warp, instruction, space, at, span) && offset_in(span, lane, at, bytes) != ~0ull;
        if (is_inside && (use == Use::load || !span.is_read_only)) continue;
        const Place place = place_in(space, at);
        FindingKind lane_kind = FindingKind::out_of_bounds;
        if (is_inside) {
            lane_kind = FindingKind::read_only_written;
            if (wrong == 0) text = fmt::format("{}, which is read-only", place_of(warp, space, at));
        } else if (place.space == Space::global || place.space == Space::generic) {
            Finding finding;
            finding.kind = FindingKind::foreign_address;
            finding.text = "the device has no memory";
            if (warp.grid().memory != nullptr) finding = warp.grid().memory->explain(at, bytes);
            lane_kind = finding.kind;
            if (wrong == 0) {
                text = fmt::format("{} {}: {}", bytes_text(bytes), use_text(use), finding.text);
                if (const Placed* variable = variable_near(warp, at))
                    text += fmt::format(", which is variable {}", variable->name);
            }
        } else if (wrong == 0) {
            text = outside_text(warp, place, bytes, use);
        }
        if (wrong == 0) kind = lane_kind;
        if (kind == lane_kind) wrong |= 1u << lane;
    }
    return warp.report(kind, instruction, wrong, addresses[first_lane(wrong)], std::move(text));
}

Flow report_misaligned(Warp& warp, const Instruction& instruction, u32 lanes, const Addresses& addresses,
                       u64 alignment) {
    u32 wrong = 0;
    for (u32 rest = lanes; rest != 0; rest &= rest - 1) {
        const int lane = first_lane(rest);
        if (addresses[lane] % alignment != 0) wrong |= 1u << lane;
    }
    const u64 at = addresses[first_lane(wrong)];
    return warp.report(FindingKind::misaligned, instruction, wrong, at,
                       fmt::format("expected a multiple of {}, got one plus {}", alignment, at % alignment));
}

Flow report_shadow(Warp& warp, const Instruction& instruction, Space space, const Span& span, u32 lanes,
                   const Addresses& addresses, u64 bytes, Use use) {
    const auto is_wrong = [&](u8 mark) {
        return (mark & kShadowAsync) != 0 || (use != Use::store && mark != kShadowWritten);
    };
    u32 wrong = 0;
    u64 wrong_bytes = 0, first_wrong = 0;
    bool is_async = false;
    for (u32 rest = lanes; rest != 0; rest &= rest - 1) {
        const int lane = first_lane(rest);
        u64 count = 0;
        for (u64 i = 0; i < bytes; ++i) {
            const u8 mark = span.shadow[addresses[lane] - span.base + i];
            if (!is_wrong(mark)) continue;
            if (wrong == 0 && count == 0) {
                first_wrong = i;
                is_async = (mark & kShadowAsync) != 0;
            }
            ++count;
        }
        if (count == 0) continue;
        if (wrong == 0) wrong_bytes = count;
        wrong |= 1u << lane;
    }
    const int lane = first_lane(wrong);
    const u64 address = addresses[lane];
    const std::string where = place_of(warp, space, address + first_wrong);
    if (!is_async)
        return warp.report(FindingKind::uninitialized, instruction, wrong, address,
                           fmt::format("{} of {} were never written, the first is {}", wrong_bytes,
                                       bytes_text(bytes), where));
    std::string text = fmt::format("{} {} while a copy to it was on its way", where, use_text(use));
    if (const int line = line_of_copy(warp, address - span.base + first_wrong); line > 0)
        text += fmt::format(": the cp.async of line {}, which was not waited for", line);
    return warp.report(FindingKind::async_not_waited, instruction, wrong, address, std::move(text));
}

std::string place_of(Warp& warp, Space space, u64 address) {
    const Place place = place_in(space, address);
    if (const Placed* variable = variable_before(warp, place.space, place.address);
        variable != nullptr && place.address - variable->address < variable->bytes)
        return fmt::format("byte {} of {} variable {}", place.address - variable->address,
                           space_name(place.space), variable->name);
    if (place.space == Space::global && warp.grid().memory != nullptr) {
        if (const Allocation* allocation = warp.grid().memory->find(address, 1))
            return fmt::format("byte {} of {} {} of {}", address - allocation->base,
                               allocation->is_imported ? "imported array" : "allocation", allocation->serial,
                               bytes_text(allocation->bytes));
    }
    return fmt::format("offset {} of {} memory", place.address, space_name(place.space));
}

}  // namespace warpwright::emulator
