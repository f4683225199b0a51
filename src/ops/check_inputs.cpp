// SPDX-License-Identifier: Apache-2.0
#include "ops/check_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace warpwright {
namespace {

// A tensor of i32 on the host, of one dimension or more, dense.
class Integers {
public:
    static Result<Integers> read(Context& context, Stream stream, const char* name, const Tensor& tensor) {
        Integers integers;
        integers.name_ = name;
        if (!tensor || tensor.num_elements() == 0) return integers;
        // What lies between the first element and the last.
        i64 first = 0, last = 0;
        for (int i = 0; i < tensor.rank; ++i) {
            const i64 span = (tensor.shape[i] - 1) * tensor.stride[i];
            (span < 0 ? first : last) += span;
        }
        std::vector<i32> spanned(static_cast<std::size_t>(last - first + 1));
        WW_TRY(context.device().copy_out(spanned.data(), static_cast<const i32*>(tensor.data) + first,
                                         spanned.size() * sizeof(i32), stream));
        integers.columns_ = tensor.shape[tensor.rank - 1];
        const i64 count = tensor.num_elements();
        for (i64 index = 0; index < count; ++index) {
            i64 rest = index, at = -first;
            for (int i = tensor.rank - 1; i >= 0; --i) {
                at += rest % tensor.shape[i] * tensor.stride[i];
                rest /= tensor.shape[i];
            }
            integers.values_.push_back(spanned[static_cast<std::size_t>(at)]);
        }
        return integers;
    }

    i64 size() const { return static_cast<i64>(values_.size()); }
    i64 operator[](i64 index) const { return values_[static_cast<std::size_t>(index)]; }
    i64 at(i64 row, i64 column) const { return (*this)[row * columns_ + column]; }
    const char* name() const { return name_; }
    i64 columns() const { return columns_; }

private:
    const char* name_ = "";
    std::vector<i32> values_;
    i64 columns_ = 1;
};

// Ascending from 0 or more up to `most`, in steps of at most `longest`.
Status check_starts(const char* op, const Integers& starts, i64 most, const char* of, i64 longest,
                    const char* capacity) {
    for (i64 i = 0; i < starts.size(); ++i) {
        const i64 before = i == 0 ? 0 : starts[i - 1], here = starts[i];
        if (here < before || here > most)
            return caller_error(fmt::format("{}: {}[{}] must be {} to {} ({}), got {}", op, starts.name(), i,
                                            before, most, of, here));
        if (i > 0 && here - before > longest)
            return caller_error(fmt::format("{}: {} has {} tokens for sequence {}, more than {} ({})", op,
                                            starts.name(), here - before, i - 1, longest, capacity));
    }
    return {};
}

// Page numbers of a sequence's keys from `first` up to `end`; of blocks that are listed only.
Status check_pages(const KeyInputs& in, const Integers& table, i64 sequence, i64 first, i64 end,
                   const std::vector<bool>& listed) {
    for (i64 key = first; key < end; ++key) {
        if (!listed.empty() && !listed[static_cast<std::size_t>(key / in.block_keys)]) continue;
        const i64 column = key / in.page_size, page = table.at(sequence, column);
        if (page < 0 || (in.pages >= 0 && page >= in.pages))
            return caller_error(fmt::format(
                "{}: page_table[{}, {}] must be {}, as sequence {} has {} keys of {} a page, got {}", in.op,
                sequence, column, in.pages < 0 ? "0 or more" : fmt::format("0 to {}", in.pages - 1), sequence,
                end, in.page_size, page));
        if (listed.empty()) key = (column + 1) * in.page_size - 1;
    }
    return {};
}

// Which blocks of its keys some list of a sequence has.
Result<std::vector<bool>> listed_blocks(const KeyInputs& in, const Integers& starts, const Integers& columns,
                                        i64 sequence, i64 kv_len) {
    std::vector<bool> listed(static_cast<std::size_t>(kv_len / in.block_keys + 1));
    const i64 per_list = starts.columns(), lists = in.block_starts.shape[1];
    for (i64 list = sequence * lists; list < (sequence + 1) * lists; ++list) {
        for (i64 block = 0; block + 1 < per_list; ++block) {
            const i64 from = starts.at(list, block), to = starts.at(list, block + 1);
            if (from < 0 || to < from || to > columns.size())
                return caller_error(
                    fmt::format("{}: block_starts of sequence {}, list {} must ascend from 0 to {} "
                                "(block_columns), got {} and {} for block {}",
                                in.op, sequence, list % lists, columns.size(), from, to, block));
            for (i64 i = from; i < to; ++i) {
                if (columns[i] < 0)
                    return caller_error(
                        fmt::format("{}: block_columns[{}] must be 0 or more, got {}", in.op, i, columns[i]));
                if (columns[i] < static_cast<i64>(listed.size()))
                    listed[static_cast<std::size_t>(columns[i])] = true;
            }
        }
    }
    return listed;
}

}  // namespace

Status check_key_inputs(Context& context, Stream stream, const KeyInputs& in) {
    if (!context.checks_inputs()) return {};
    const auto read = [&](const char* name, const Tensor& tensor) {
        return Integers::read(context, stream, name, tensor);
    };
    WW_ASSIGN(const Integers q_starts, read("q_starts", in.q_starts));
    WW_ASSIGN(const Integers kv_starts, read("kv_starts", in.kv_starts));
    WW_ASSIGN(const Integers kv_lengths, read("kv_lengths", in.kv_lengths));
    WW_ASSIGN(const Integers page_table, read("page_table", in.page_table));
    WW_ASSIGN(const Integers block_starts, read("block_starts", in.block_starts));
    WW_ASSIGN(const Integers block_columns, read("block_columns", in.block_columns));
    WW_TRY(check_starts(in.op, q_starts, in.q_tokens, "rows of q", in.max_q_len, "max_q_len"));
    WW_TRY(check_starts(in.op, kv_starts, in.kv_tokens, "rows of k", in.max_kv_len, "max_kv_len"));
    if (kv_starts.size() == 0 && kv_lengths.size() == 0) return {};
    for (i64 sequence = 0; sequence + 1 < q_starts.size(); ++sequence) {
        const i64 kv_len =
            kv_starts.size() > 0 ? kv_starts[sequence + 1] - kv_starts[sequence] : kv_lengths[sequence];
        if (kv_len < 0 || kv_len > in.max_kv_len)
            return caller_error(fmt::format("{}: kv_lengths[{}] must be 0 to {} (max_kv_len), got {}", in.op,
                                            sequence, in.max_kv_len, kv_len));
        const i64 q_len = q_starts[sequence + 1] - q_starts[sequence];
        if (in.causal && q_len > kv_len)
            return caller_error(
                fmt::format("{}: sequence {} has {} queries and {} keys: under a causal mask the first {} "
                            "see no key",
                            in.op, sequence, q_len, kv_len, q_len - kv_len));
        std::vector<bool> listed;
        if (block_starts.size() > 0) {
            WW_ASSIGN(listed, listed_blocks(in, block_starts, block_columns, sequence, kv_len));
        }
        if (page_table.size() == 0 || q_len == 0) continue;
        const i64 own = std::max<i64>(0, kv_len - q_len);  // of the first query
        i64 first = in.window_left < 0 ? 0 : std::max<i64>(0, own - in.window_left);
        if (in.chunk > 0) first = std::max(first, own / in.chunk * in.chunk);
        WW_TRY(check_pages(in, page_table, sequence, first, kv_len, listed));
    }
    return {};
}

Status check_slot_inputs(Context& context, Stream stream, const SlotInputs& in) {
    if (!context.checks_inputs()) return {};
    const auto read = [&](const char* name, const Tensor& tensor) {
        return Integers::read(context, stream, name, tensor);
    };
    WW_ASSIGN(const Integers sequences, read("sequences", in.sequences));
    WW_ASSIGN(const Integers positions, read("positions", in.positions));
    WW_ASSIGN(const Integers page_table, read("page_table", in.page_table));
    const i64 rows = in.page_table.shape[0], capacity = in.page_table.shape[1] * in.page_size;
    for (i64 token = 0; token < positions.size(); ++token) {
        const i64 position = positions[token], sequence = sequences[token];
        if (position < 0) continue;
        if (position >= capacity)
            return caller_error(
                fmt::format("{}: positions[{}] must be below {} (what the pages of a sequence "
                            "hold), got {}",
                            in.op, token, capacity, position));
        if (sequence < 0 || sequence >= rows)
            return caller_error(fmt::format("{}: sequences[{}] must be 0 to {} (rows of page_table), got {}",
                                            in.op, token, rows - 1, sequence));
        const i64 column = position / in.page_size, page = page_table.at(sequence, column);
        if (page < 0 || page >= in.pages)
            return caller_error(
                fmt::format("{}: page_table[{}, {}] must be 0 to {}, as token {} goes there, got {}", in.op,
                            sequence, column, in.pages - 1, token, page));
    }
    return {};
}

}  // namespace warpwright
