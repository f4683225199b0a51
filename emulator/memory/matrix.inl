// SPDX-License-Identifier: Apache-2.0
// ldmatrix, stmatrix and movmatrix of 8 x 8 elements of 16 bits.
#include "emulator/memory/rows.inl"
#include "emulator/memory/shuffle.inl"

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
        const Matrix first = shuffle(top, bottom, left);
        const Matrix second = shuffle(top, bottom, right);
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
                next[2 * i] = shuffle(row[i], row[i + 4], low);
                next[2 * i + 1] = shuffle(row[i], row[i + 4], high);
            }
            std::memcpy(row, next, kMatrixBytes);
        }
        std::memcpy(to, row, kMatrixBytes);
    }
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

// By log2 of the number of matrices.
constexpr MatrixHandlers kHandlers = {
    {load_matrices<1, false>, load_matrices<2, false>, load_matrices<4, false>},
    {load_matrices<1, true>, load_matrices<2, true>, load_matrices<4, true>},
    {store_matrices<1, false>, store_matrices<2, false>, store_matrices<4, false>},
    {store_matrices<1, true>, store_matrices<2, true>, store_matrices<4, true>},
    move_matrix,
};
