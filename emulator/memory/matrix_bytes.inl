// SPDX-License-Identifier: Apache-2.0
// ldmatrix and stmatrix of elements of 8, 6 and 4 bits, for Blackwell. Compiled once: they are few in any kernel.
#include "emulator/memory/rows.inl"

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
constexpr ByteMatrixHandlers kHandlers = {
    {load_fields<1, 4>, load_fields<2, 4>, load_fields<4, 4>},
    {load_fields<1, 6>, load_fields<2, 6>, load_fields<4, 6>},
    {load_bytes_transposed<1, 8>, load_bytes_transposed<2, 8>},
    {load_bytes_transposed<1, 4>, load_bytes_transposed<2, 4>},
    {load_bytes_transposed<1, 6>, load_bytes_transposed<2, 6>},
    {store_bytes_transposed<1>, store_bytes_transposed<2>, store_bytes_transposed<4>},
};
