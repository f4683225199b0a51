// SPDX-License-Identifier: Apache-2.0
// StoredWeight: the tensors in which a checkpoint keeps one linear layer's quantised weights, and how they
// are packed. Rows of it are read one range at a time, by any number of threads.
#pragma once

#include <string>
#include <vector>

#include "formats/quantized_matrix.h"
#include "image/mapped_file.h"
#include "warpwright/status.h"

namespace warpwright::formats {

enum class Element : u8 { f32, f16, bf16, e4m3, e8m0, i32, i64, u8 };
constexpr i64 element_bytes(Element element) {
    switch (element) {
        case Element::i64: return 8;
        case Element::f32:
        case Element::i32: return 4;
        case Element::f16:
        case Element::bf16: return 2;
        default: return 1;
    }
}

// A stored tensor as rows of elements; a vector is one row. What it holds has been checked to be inside its
// file.
struct StoredRows {
    std::string name;
    const MappedFile* file = nullptr;
    u64 file_offset = 0;
    Element element = Element::u8;
    i64 rows = 0, columns = 0;

    explicit operator bool() const { return file != nullptr; }
    // Columns [first_column, + num_columns) of rows [first_row, + num_rows), without gaps, to `out`.
    Status read(i64 first_row, i64 num_rows, i64 first_column, i64 num_columns, std::byte* out) const;
};

// How codes lie.
enum class Packing : u8 {
    bytes,         // [N, K], a byte each
    nibbles,       // [N, K / 2] bytes: the even k in the low half
    row_pairs,     // [N / 2, K] bytes: the even n in the low half (ModelOpt)
    row_words,     // [N, words] i32: each row a stream of bits (compressed-tensors)
    column_words,  // [words, N] i32: each column a stream of bits (GPTQ)
    awq,           // [K, N / 8] i32: columns in AWQ's order inside of a word
};

struct StoredWeight {
    std::string name;  // of the layer, for errors
    i64 rows = 0, columns = 0;
    Code code = Code::u4;
    Packing packing = Packing::bytes;
    i64 group_rows = 1, group_columns = 0;

    StoredRows codes, scales, zeros;  // no zeros: symmetric
    bool codes_are_signed = false;    // u2 to u8, and their zero points, stored from -2^(bits - 1) on
    bool scales_by_column = false;    // scales (and zeros) are [K groups, N], not [N, K groups]
    // Zero points are packed like codes: along N within a row of groups (GPTQ, AWQ), down the rows
    // (compressed-tensors), along K groups (AWQ's gemv); or are bytes, [N, K groups] (torchao).
    Packing zeros_packing = Packing::row_words;
    bool zeros_minus_one = false;  // GPTQ v1: one less is stored, subtracted from whole words

    float global_scale = 1;       // of all scales
    bool global_divides = false;  // compressed-tensors; ModelOpt multiplies
    ScaleCode scale_code = ScaleCode::none;
    std::vector<i32> column_group;  // act-order

    std::vector<std::string> tensors;  // names of all that belong to it

    i64 row_groups() const { return (rows + group_rows - 1) / group_rows; }
    i64 column_groups() const { return (columns + group_columns - 1) / group_columns; }
};

// Rows [first, first + count). A scale that is NaN, infinite, zero or negative is a caller error that names
// tensor and place; so are codes of an e4m3 that are NaN. Thread-safe.
Result<QuantizedMatrix> read_rows(const StoredWeight& weight, i64 first, i64 count);

}  // namespace warpwright::formats
