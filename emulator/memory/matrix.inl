// SPDX-License-Identifier: Apache-2.0
// ldmatrix, stmatrix, movmatrix. A matrix is rows of 16 bytes in shared memory, whose addresses the lanes
// give: lane 8i + j that of row j of matrix i. Eight rows one after the other are, word by word, what the 32
// lanes hold: lane t has word t % 4 of row t / 4. So the plain forms move rows to slots and back.
#include "emulator/execute/lanes.inl"
#include "emulator/memory/lookup.inl"

constexpr int kRowBytes = 16;
constexpr int kMatrixBytes = 8 * kRowBytes;

typedef u16 Halves __attribute__((vector_size(kRowBytes)));
typedef u16 Matrix __attribute__((vector_size(kMatrixBytes / 2)));  // half of one

// An 8 x 8 matrix of 16 bits from memory to memory, transposed; they may be the same.
static inline __attribute__((always_inline)) void transpose(const std::byte* from, std::byte* to) {
    if constexpr (kLevel == SimdLevel::avx512) {
        Matrix top, bottom;
        std::memcpy(&top, from, sizeof(Matrix));
        std::memcpy(&bottom, from + sizeof(Matrix), sizeof(Matrix));
        const Matrix left = {0, 8,  16, 24, 32, 40, 48, 56, 1, 9,  17, 25, 33, 41, 49, 57,
                             2, 10, 18, 26, 34, 42, 50, 58, 3, 11, 19, 27, 35, 43, 51, 59};
        const Matrix right = left + 4;
        const Matrix first = __builtin_shuffle(top, bottom, left);
        const Matrix second = __builtin_shuffle(top, bottom, right);
        std::memcpy(to, &first, sizeof(Matrix));
        std::memcpy(to + sizeof(Matrix), &second, sizeof(Matrix));
    } else {
        // Three rounds that interleave rows i and i + 4.
        Halves row[8];
        std::memcpy(row, from, kMatrixBytes);
        const Halves low = {0, 8, 1, 9, 2, 10, 3, 11}, high = {4, 12, 5, 13, 6, 14, 7, 15};
        for (int round = 0; round < 3; ++round) {
            Halves next[8];
            for (int i = 0; i < 4; ++i) {
                next[2 * i] = __builtin_shuffle(row[i], row[i + 4], low);
                next[2 * i + 1] = __builtin_shuffle(row[i], row[i + 4], high);
            }
            std::memcpy(row, next, kMatrixBytes);
        }
        std::memcpy(to, row, kMatrixBytes);
    }
}

// All 32 lanes must be there: PTX leaves the rest undefined.
static inline __attribute__((always_inline)) bool is_whole(Warp& warp, const Instruction& instruction,
                                                           u32 active, Flow& flow) {
    if (active == kAllLanes) [[likely]]
        return true;
    flow = wait_for_whole_warp(warp, instruction, active);
    return false;
}

// kRows rows of the first kRows lanes, one after the other.
template <int kRows>
static inline __attribute__((always_inline)) Flow read_rows(Warp& warp, const Instruction& instruction,
                                                            int address_operand, std::byte* rows) {
    constexpr u32 kLanesUsed = kRows == 32 ? kAllLanes : (1u << kRows % 32) - 1;
    bool is_elsewhere = false;
    const Flow flow = for_each_span<kRowBytes, Use::load>(
        warp, instruction, access_space(instruction), addresses_of(warp, instruction, address_operand),
        kLanesUsed, [&](const Lookup& lookup) {
            is_elsewhere |= !lookup.span.is_shared;
            if (lookup.layout == Layout::row) {
                std::memcpy(rows, lookup.span.data + lookup.first, kRows * kRowBytes);
            } else if (lookup.layout == Layout::scattered && lookup.inside == kLanesUsed) {
#pragma GCC unroll 32
                for (int l = 0; l < kRows; ++l)
                    std::memcpy(rows + l * kRowBytes, lookup.span.data + lookup.offset[l], kRowBytes);
            } else {
                for (u32 rest = lookup.inside; rest != 0; rest &= rest - 1) {
                    const int l = first_lane(rest);
                    std::memcpy(rows + l * kRowBytes, bytes_of<kRowBytes>(lookup, l), kRowBytes);
                }
            }
        });
    if (is_elsewhere) [[unlikely]]
        return report_not_shared(warp, instruction, kLanesUsed, address_operand);
    return flow;
}

template <int kRows>
static inline __attribute__((always_inline)) Flow write_rows(Warp& warp, const Instruction& instruction,
                                                             const std::byte* rows) {
    constexpr u32 kLanesUsed = kRows == 32 ? kAllLanes : (1u << kRows % 32) - 1;
    bool is_elsewhere = false, changes = false;
    const Flow flow = for_each_span<kRowBytes, Use::store>(
        warp, instruction, access_space(instruction), addresses_of(warp, instruction, 0), kLanesUsed,
        [&](const Lookup& lookup) {
            if (!lookup.span.is_shared) {
                is_elsewhere = true;
                return;
            }
            for (u32 rest = lookup.inside; rest != 0; rest &= rest - 1) {
                const int l = first_lane(rest);
                std::byte* to = bytes_of<kRowBytes>(lookup, l);
                changes |= std::memcmp(to, rows + l * kRowBytes, kRowBytes) != 0;
                std::memcpy(to, rows + l * kRowBytes, kRowBytes);
                if (lookup.span.shadow != nullptr)
                    std::memset(lookup.span.shadow + (to - lookup.span.data), kShadowWritten, kRowBytes);
            }
        });
    if (is_elsewhere) [[unlikely]]
        return report_not_shared(warp, instruction, kLanesUsed, 0);
    if (changes) warp.note_change();
    return flow;
}

template <int kCount, bool kTransposed>
static Flow load_matrices(Warp& warp, const Instruction& instruction, u32 active) {
    Flow flow;
    if (!is_whole(warp, instruction, active, flow)) return flow;
    alignas(64) std::byte rows[kCount * kMatrixBytes];
    flow = read_rows<8 * kCount>(warp, instruction, kCount, rows);
    if (flow != Flow::next) return flow;
    for (int i = 0; i < kCount; ++i) {
        std::byte* to = warp.lanes<std::byte>(instruction.slot[i]);
        if constexpr (kTransposed)
            transpose(rows + i * kMatrixBytes, to);
        else
            std::memcpy(to, rows + i * kMatrixBytes, kMatrixBytes);
    }
    return Flow::next;
}

template <int kCount, bool kTransposed>
static Flow store_matrices(Warp& warp, const Instruction& instruction, u32 active) {
    Flow flow;
    if (!is_whole(warp, instruction, active, flow)) return flow;
    alignas(64) std::byte rows[kCount * kMatrixBytes];
    for (int i = 0; i < kCount; ++i) {
        const std::byte* from = warp.lanes<std::byte>(instruction.slot[1 + i]);
        if constexpr (kTransposed)
            transpose(from, rows + i * kMatrixBytes);
        else
            std::memcpy(rows + i * kMatrixBytes, from, kMatrixBytes);
    }
    return write_rows<8 * kCount>(warp, instruction, rows);
}

static Flow move_matrix(Warp& warp, const Instruction& instruction, u32 active) {
    Flow flow;
    if (!is_whole(warp, instruction, active, flow)) return flow;
    transpose(warp.lanes<std::byte>(instruction.slot[1]), warp.lanes<std::byte>(instruction.slot[0]));
    return Flow::next;
}

// A row of 16 fields of kBits bits, the first lowest, and padding becomes one of 16 bytes.
template <int kBits>
static inline void spread_fields(std::byte* row) {
    u64 words[2];
    std::memcpy(words, row, kRowBytes);
    for (int i = 0; i < kRowBytes; ++i) {
        const int bit = i * kBits, word = bit / 64, shift = bit % 64;
        u64 field = words[word] >> shift;
        if (shift + kBits > 64) field |= words[1] << (64 - shift);
        row[i] = static_cast<std::byte>(field & ((1u << kBits) - 1));
    }
}

template <int kCount, int kBits>
static Flow load_fields(Warp& warp, const Instruction& instruction, u32 active) {
    Flow flow;
    if (!is_whole(warp, instruction, active, flow)) return flow;
    alignas(64) std::byte rows[kCount * kMatrixBytes];
    flow = read_rows<8 * kCount>(warp, instruction, kCount, rows);
    if (flow != Flow::next) return flow;
    for (int row = 0; row < 8 * kCount; ++row) spread_fields<kBits>(rows + row * kRowBytes);
    for (int i = 0; i < kCount; ++i)
        std::memcpy(warp.lanes<std::byte>(instruction.slot[i]), rows + i * kMatrixBytes, kMatrixBytes);
    return Flow::next;
}

// 16 rows of 16 bytes, transposed, in two registers: byte e of register r of lane t is that of row
// 4(t % 4) + e and column t / 4 + 8r. PTX ISA shows it so in a figure only; CuTe (SM100_U8x8_LDSM_T) and the
// shuffle that it does behind the instruction say the same.
template <int kCount, int kBits>
static Flow load_bytes_transposed(Warp& warp, const Instruction& instruction, u32 active) {
    Flow flow;
    if (!is_whole(warp, instruction, active, flow)) return flow;
    alignas(64) std::byte rows[kCount * 2 * kMatrixBytes];
    flow = read_rows<16 * kCount>(warp, instruction, 2 * kCount, rows);
    if (flow != Flow::next) return flow;
    if constexpr (kBits < 8) {
        for (int row = 0; row < 16 * kCount; ++row) spread_fields<kBits>(rows + row * kRowBytes);
    }
    for (int r = 0; r < 2 * kCount; ++r) {
        const std::byte* matrix = rows + r / 2 * 2 * kMatrixBytes;
        std::byte* to = warp.lanes<std::byte>(instruction.slot[r]);
        for (int column = 0; column < 8; ++column) {
            for (int row = 0; row < 16; ++row)
                to[column * 16 + row] = matrix[row * kRowBytes + column + 8 * (r % 2)];
        }
    }
    return Flow::next;
}

// To 8 rows of 16 bytes: byte e of lane t goes to row 2(t % 4) + e % 2 and column t / 4 + 8(e / 2). So read
// CuTe (SM100_U8x4_STSM_T) and the kernels that use it.
template <int kCount>
static Flow store_bytes_transposed(Warp& warp, const Instruction& instruction, u32 active) {
    Flow flow;
    if (!is_whole(warp, instruction, active, flow)) return flow;
    alignas(64) std::byte rows[kCount * kMatrixBytes];
    for (int i = 0; i < kCount; ++i) {
        const std::byte* from = warp.lanes<std::byte>(instruction.slot[1 + i]);
        for (int l = 0; l < kLanes; ++l) {
            for (int e = 0; e < 4; ++e) {
                const int row = 2 * (l % 4) + e % 2, column = l / 4 + 8 * (e / 2);
                rows[i * kMatrixBytes + row * kRowBytes + column] = from[4 * l + e];
            }
        }
    }
    return write_rows<8 * kCount>(warp, instruction, rows);
}

// By log2 of the number of matrices.
constexpr MatrixHandlers kHandlers = {
    {load_matrices<1, false>, load_matrices<2, false>, load_matrices<4, false>},
    {load_matrices<1, true>, load_matrices<2, true>, load_matrices<4, true>},
    {store_matrices<1, false>, store_matrices<2, false>, store_matrices<4, false>},
    {store_matrices<1, true>, store_matrices<2, true>, store_matrices<4, true>},
    move_matrix,
    {load_fields<1, 4>, load_fields<2, 4>, load_fields<4, 4>},
    {load_fields<1, 6>, load_fields<2, 6>, load_fields<4, 6>},
    {load_bytes_transposed<1, 8>, load_bytes_transposed<2, 8>},
    {load_bytes_transposed<1, 4>, load_bytes_transposed<2, 4>},
    {load_bytes_transposed<1, 6>, load_bytes_transposed<2, 6>},
    {store_bytes_transposed<1>, store_bytes_transposed<2>, store_bytes_transposed<4>},
};
