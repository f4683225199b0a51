// SPDX-License-Identifier: Apache-2.0
#include "formats/stored_weight.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/bits.h"
#include "formats/half.h"

namespace warpwright::formats {
namespace {

std::size_t size(i64 count) {
    return static_cast<std::size_t>(count);
}

// Nibble i of an AWQ word is column kAwqColumn[i] of the eight.
constexpr int kAwqColumn[8] = {0, 2, 4, 6, 1, 3, 5, 7};

// Eight codes of each word, in the order of their columns.
void unpack_awq(const std::byte* words, i64 num_words, u8* out) {
    for (i64 i = 0; i < num_words; ++i) {
        const u32 word = word_at(words, i, 1);
        for (int nibble = 0; nibble < 8; ++nibble) {
            out[8 * i + kAwqColumn[nibble]] = static_cast<u8>(word >> (4 * nibble) & 0xf);
        }
    }
}

// [from_rows, from_columns] -> [from_columns, from_rows], in squares that stay in the cache.
template <class T>
void transpose(const T* from, i64 from_rows, i64 from_columns, T* to) {
    constexpr i64 kSquare = 64;
    for (i64 row = 0; row < from_rows; row += kSquare) {
        for (i64 column = 0; column < from_columns; column += kSquare) {
            const i64 last_row = std::min(row + kSquare, from_rows);
            const i64 last_column = std::min(column + kSquare, from_columns);
            for (i64 c = column; c < last_column; ++c) {
                for (i64 r = row; r < last_row; ++r) to[c * from_rows + r] = from[r * from_columns + c];
            }
        }
    }
}

float element_value(const std::byte* data, Element element, i64 index) {
    const auto half = [&] {
        u16 bits = 0;
        std::memcpy(&bits, data + 2 * index, 2);
        return bits;
    };
    switch (element) {
        case Element::f32: {
            float value = 0;
            std::memcpy(&value, data + 4 * index, 4);
            return value;
        }
        case Element::f16: return decode_f16(half());
        case Element::bf16: return std::bit_cast<float>(static_cast<u32>(half()) << 16);
        case Element::e4m3: return decode(kE4M3, static_cast<u8>(data[index]));
        case Element::e8m0:
        case Element::u8: return decode_e8m0(static_cast<u8>(data[index]));
        default: return 0;
    }
}

class RowReader {
public:
    RowReader(const StoredWeight& weight, i64 first, i64 count)
        : weight_(weight), first_(first), count_(count) {}

    Result<QuantizedMatrix> read() {
        out_.rows = count_;
        out_.columns = weight_.columns;
        out_.code = weight_.code;
        out_.group_columns = weight_.group_columns;
        out_.column_group = weight_.column_group;
        WW_TRY(read_codes());
        WW_TRY(read_scales());
        if (weight_.zeros) WW_TRY(read_zeros());
        return std::move(out_);
    }

private:
    Status bytes_of(const StoredRows& from, i64 first_row, i64 rows, i64 first_column, i64 columns) {
        buffer_.resize(size(rows * columns * element_bytes(from.element)));
        return from.read(first_row, rows, first_column, columns, buffer_.data());
    }

    // Codes of a [K, N] tensor: rows of ours are columns there, and are put upright.
    Status read_awq(const StoredRows& from, i64 length, std::vector<u8>& out) {
        const i64 first_word = first_ / 8;
        const i64 num_words = (first_ + count_ + 7) / 8 - first_word;
        WW_TRY(bytes_of(from, 0, length, first_word, num_words));
        std::vector<u8> lying(size(length * num_words * 8)), standing(lying.size());
        unpack_awq(buffer_.data(), length * num_words, lying.data());
        transpose(lying.data(), length, num_words * 8, standing.data());
        const auto begin = standing.begin() + (first_ - first_word * 8) * length;
        out.assign(begin, begin + count_ * length);
        return {};
    }

    Status read_codes() {
        const i64 columns = weight_.columns;
        const int bits = facts_of(weight_.code).bits;
        out_.codes.resize(size(count_ * columns));
        switch (weight_.packing) {
            case Packing::bytes:
                WW_TRY(weight_.codes.read(first_, count_, 0, columns,
                                          reinterpret_cast<std::byte*>(out_.codes.data())));
                break;
            case Packing::nibbles:
                WW_TRY(bytes_of(weight_.codes, first_, count_, 0, columns / 2));
                unpack_stream(buffer_.data(), count_ * columns, 4, out_.codes.data());
                break;
            case Packing::row_words: {
                const i64 words = weight_.codes.columns;
                WW_TRY(bytes_of(weight_.codes, first_, count_, 0, words));
                for (i64 row = 0; row < count_; ++row) {
                    unpack_stream(buffer_.data() + 4 * row * words, columns, bits,
                                  &out_.codes[size(row * columns)]);
                }
                break;
            }
            case Packing::column_words: {
                const i64 words = weight_.codes.rows;
                WW_TRY(bytes_of(weight_.codes, 0, words, first_, count_));
                std::vector<u32> standing(size(count_ * words));
                transpose(reinterpret_cast<const u32*>(buffer_.data()), words, count_, standing.data());
                for (i64 row = 0; row < count_; ++row) {
                    unpack_stream(reinterpret_cast<const std::byte*>(&standing[size(row * words)]), columns,
                                  bits, &out_.codes[size(row * columns)]);
                }
                break;
            }
            case Packing::row_pairs: {
                const i64 first_pair = first_ / 2, pairs = (first_ + count_ + 1) / 2 - first_pair;
                WW_TRY(bytes_of(weight_.codes, first_pair, pairs, 0, columns));
                const auto* stored = reinterpret_cast<const u8*>(buffer_.data());
                for (i64 row = 0; row < count_; ++row) {
                    const u8* from = stored + ((first_ + row) / 2 - first_pair) * columns;
                    const int shift = (first_ + row) % 2 == 0 ? 0 : 4;
                    u8* to = &out_.codes[size(row * columns)];
                    for (i64 k = 0; k < columns; ++k) to[k] = static_cast<u8>(from[k] >> shift & 0xf);
                }
                break;
            }
            case Packing::awq: WW_TRY(read_awq(weight_.codes, columns, out_.codes)); break;
        }
        if (weight_.codes_are_signed) WW_TRY(raise_codes());
        if (weight_.code == Code::e4m3) {
            for (std::size_t i = 0; i < out_.codes.size(); ++i) {
                if ((out_.codes[i] & 0x7f) == 0x7f) {
                    const i64 at = static_cast<i64>(i);
                    return caller_error(fmt::format("{}: tensor {}: element [{}, {}] is NaN",
                                                    weight_.codes.file->path(), weight_.codes.name,
                                                    first_ + at / columns, at % columns));
                }
            }
        }
        return {};
    }

    // From two's complement to unsigned. Where a code has a byte of its own it may be out of range.
    Status raise_codes() {
        const int bits = facts_of(weight_.code).bits;
        const auto middle = static_cast<u8>(1 << (bits - 1));
        if (weight_.packing != Packing::bytes) {
            for (u8& code : out_.codes) code ^= middle;
            return {};
        }
        for (std::size_t i = 0; i < out_.codes.size(); ++i) {
            const auto raised = static_cast<u8>(out_.codes[i] + middle);
            if (raised >> bits != 0) {
                const i64 at = static_cast<i64>(i);
                return caller_error(fmt::format("{}: tensor {}: element [{}, {}]: expected {} to {}, got {}",
                                                weight_.codes.file->path(), weight_.codes.name,
                                                first_ + at / weight_.columns, at % weight_.columns, -middle,
                                                middle - 1, static_cast<i8>(out_.codes[i])));
            }
            out_.codes[i] = raised;
        }
        return {};
    }

    // One row of groups for `count_` rows, or the rows of groups that the range begins and ends in.
    Status read_scales() {
        const i64 groups = weight_.column_groups();
        const bool whole = weight_.group_rows >= weight_.rows;
        const bool aligned = weight_.group_rows == 1 || whole || first_ % weight_.group_rows == 0;
        const i64 first_group = first_ / weight_.group_rows;
        const i64 last_group = (first_ + count_ + weight_.group_rows - 1) / weight_.group_rows;
        const i64 num = last_group - first_group;
        const StoredRows& from = weight_.scales;
        if (weight_.scales_by_column) {
            WW_TRY(bytes_of(from, 0, groups, first_group, num));
        } else {
            WW_TRY(bytes_of(from, first_group, num, 0, groups));
        }
        std::vector<float> scales(size(num * groups));
        std::vector<u8> codes(weight_.scale_code == ScaleCode::none ? 0 : scales.size());
        for (i64 row = 0; row < num; ++row) {
            for (i64 group = 0; group < groups; ++group) {
                const i64 at = weight_.scales_by_column ? group * num + row : row * groups + group;
                const float stored = element_value(buffer_.data(), from.element, at);
                const float scale =
                    weight_.global_divides ? stored / weight_.global_scale : stored * weight_.global_scale;
                if (!(stored > 0) || !std::isfinite(stored) || !(scale > 0) || !std::isfinite(scale)) {
                    const i64 i = weight_.scales_by_column ? group : first_group + row;
                    const i64 j = weight_.scales_by_column ? first_group + row : group;
                    return caller_error(
                        fmt::format("{}: tensor {}: scale [{}, {}]: expected positive and finite, got {}",
                                    from.file->path(), from.name, i, j, stored));
                }
                scales[size(row * groups + group)] = scale;
                if (!codes.empty()) codes[size(row * groups + group)] = static_cast<u8>(buffer_[size(at)]);
            }
        }
        out_.group_rows = whole ? count_ : weight_.group_rows;
        out_.scale_code = weight_.scale_code;
        out_.global_scale = weight_.global_divides ? 1 / weight_.global_scale : weight_.global_scale;
        if (aligned) {
            out_.scales = std::move(scales);
            out_.scale_codes = std::move(codes);
            return {};
        }
        // The range begins inside of a group: its rows get scales of their own.
        out_.group_rows = 1;
        for (i64 row = 0; row < count_; ++row) {
            const i64 group = ((first_ + row) / weight_.group_rows - first_group) * groups;
            out_.scales.insert(out_.scales.end(), scales.begin() + group, scales.begin() + group + groups);
            if (!codes.empty()) {
                out_.scale_codes.insert(out_.scale_codes.end(), codes.begin() + group,
                                        codes.begin() + group + groups);
            }
        }
        return {};
    }

    // One more in every element. gptqmodel subtracts ones from whole words, borrows included, so that this
    // gives back even a zero point of 0.
    void raise_words(i64 num_words, int bits) {
        const u32 ones = 0xffffffffU / ((1U << bits) - 1);
        for (i64 i = 0; i < num_words; ++i) {
            const u32 word = word_at(buffer_.data(), i, 1) + ones;
            std::memcpy(buffer_.data() + 4 * i, &word, 4);
        }
    }

    Status read_zeros() {
        const i64 groups = weight_.column_groups();
        const int bits = facts_of(weight_.code).bits;
        std::vector<u8> stored;  // [count_, groups]
        if (weight_.zeros_packing == Packing::bytes) return read_zero_bytes();
        if (weight_.zeros_packing == Packing::awq) {
            WW_TRY(read_awq(weight_.zeros, groups, stored));
        } else {
            // Whole words that hold our rows' zero points; groups of 32 elements never share a word.
            const bool along_rows = weight_.zeros_packing == Packing::column_words;
            const bool by_group = weight_.scales_by_column || along_rows;
            stored.resize(size(count_ * groups));
            if (!by_group) {  // [N, words]: the groups of a row
                WW_TRY(bytes_of(weight_.zeros, first_, count_, 0, weight_.zeros.columns));
                for (i64 row = 0; row < count_; ++row) {
                    unpack_stream(buffer_.data() + 4 * row * weight_.zeros.columns, groups, bits,
                                  &stored[size(row * groups)]);
                }
            } else {
                const i64 base = first_ / 32 * 32;  // element where a word begins, whatever the bits
                const i64 first_word = base * bits / 32;
                const i64 last_word = packed_words(first_ + count_, bits);
                const i64 words = last_word - first_word;
                if (along_rows) {  // [words, groups]
                    WW_TRY(bytes_of(weight_.zeros, first_word, words, 0, groups));
                } else {  // [groups, words]
                    WW_TRY(bytes_of(weight_.zeros, 0, groups, first_word, words));
                }
                if (weight_.zeros_minus_one && bits != 3) raise_words(groups * words, bits);
                for (i64 row = 0; row < count_; ++row) {
                    for (i64 group = 0; group < groups; ++group) {
                        const std::byte* stream = buffer_.data() + 4 * (along_rows ? group : group * words);
                        stored[size(row * groups + group)] =
                            packed_element(stream, along_rows ? groups : 1, first_ + row - base, bits);
                    }
                }
            }
        }
        const int top = (1 << bits) - 1;
        out_.zeros.resize(stored.size());
        for (std::size_t i = 0; i < stored.size(); ++i) {
            // Elements that straddle words were lowered one by one.
            const int zero = weight_.zeros_minus_one && bits == 3 ? (stored[i] + 1) & top : stored[i];
            out_.zeros[i] = static_cast<i16>(zero);
        }
        return {};
    }

    Status read_zero_bytes() {
        const i64 groups = weight_.column_groups();
        const int middle = weight_.codes_are_signed ? 1 << (facts_of(weight_.code).bits - 1) : 0;
        WW_TRY(bytes_of(weight_.zeros, first_, count_, 0, groups));
        out_.zeros.resize(size(count_ * groups));
        for (std::size_t i = 0; i < out_.zeros.size(); ++i) {
            const auto zero = static_cast<i8>(buffer_[i]);
            if (zero < -middle || zero >= middle) {
                const i64 at = static_cast<i64>(i);
                return caller_error(
                    fmt::format("{}: tensor {}: zero point [{}, {}]: expected {} to {}, got {}",
                                weight_.zeros.file->path(), weight_.zeros.name, first_ + at / groups,
                                at % groups, -middle, middle - 1, zero));
            }
            out_.zeros[i] = static_cast<i16>(zero + middle);
        }
        return {};
    }

    const StoredWeight& weight_;
    i64 first_, count_;
    QuantizedMatrix out_;
    std::vector<std::byte> buffer_;
};

}  // namespace

Status StoredRows::read(i64 first_row, i64 num_rows, i64 first_column, i64 num_columns,
                        std::byte* out) const {
    const i64 each = element_bytes(element);
    const auto at = [&](i64 row) { return file_offset + size((row * columns + first_column) * each); };
    if (num_columns == columns) return file->read(at(first_row), {out, size(num_rows * columns * each)});
    const std::size_t run = size(num_columns * each);
    for (i64 row = 0; row < num_rows; ++row)
        WW_TRY(file->read(at(first_row + row), {out + size(row) * run, run}));
    return {};
}

Result<QuantizedMatrix> read_rows(const StoredWeight& weight, i64 first, i64 count) {
    return RowReader(weight, first, count).read();
}

}  // namespace warpwright::formats
