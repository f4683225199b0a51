// SPDX-License-Identifier: Apache-2.0
// What a safetensors header and the index of a sharded checkpoint say, read from memory: no file is touched.
// Both are read event by event, without a tree of the JSON, so that memory stays below a few times the text's
// size whatever the text is. Rules: https://huggingface.co/docs/safetensors, and where that is silent those
// of the reference implementation (0.8), but for names: one that occurs twice is an error here.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

// A type of the format. Tensors of types that no operation takes may stand in a file that is read.
struct StoredType {
    std::string_view name;  // "BF16"
    int bits = 0;           // of an element
    std::optional<DType> dtype;
};
std::span<const StoredType> stored_types();

struct StoredEntry {
    std::string name;
    const StoredType* type = nullptr;  // of stored_types()
    std::vector<i64> shape;            // row-major; empty for a scalar
    u64 begin = 0, end = 0;            // bytes of the file
};

// The tensors of a file, in the order of their bytes, which lie side by side from the header to the end.
// Afterwards each has exactly the bytes that its type and shape say. `file` names it in errors.
Result<std::vector<StoredEntry>> read_safetensors_header(const std::string& file,
                                                         std::span<const std::byte> bytes);

struct ShardIndex {
    struct Tensor {
        std::string name;
        int shard = 0;
    };
    std::vector<std::string>
        shards;                   // file names, sorted: no folders, so that none leads out of the index's own
    std::vector<Tensor> tensors;  // sorted by name
};
Result<ShardIndex> read_shard_index(std::string_view text, const std::string& where);

// More tensors than this in one checkpoint is an error: seven times as many as the largest public one has.
constexpr i64 kMaxStoredTensors = 1 << 20;

}  // namespace warpwright
