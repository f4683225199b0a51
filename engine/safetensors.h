// SPDX-License-Identifier: Apache-2.0
// Weights in Hugging Face's safetensors format: 8 bytes of header length, a JSON header, the tensors' bytes.
// The files are mapped: opening costs the headers.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/safetensors_format.h"
#include "image/mapped_file.h"
#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

struct StoredTensor {
    std::string name;
    DType dtype = DType::f32;
    std::vector<i64> shape;              // row-major; empty for a scalar
    std::span<const std::byte> bytes;    // of any alignment; valid while the Safetensors lives
    std::string file;                    // that holds them
    const MappedFile* mapped = nullptr;  // the same: to read it without the mapping, from `file_offset` on
    u64 file_offset = 0;
};

// The same of any type of the format.
struct StoredBytes {
    std::string name;
    const StoredType* type = nullptr;
    std::vector<i64> shape;
    const MappedFile* mapped = nullptr;
    u64 file_offset = 0;
};

class Safetensors {
public:
    // One .safetensors file, or a folder with model.safetensors or with shards under
    // model.safetensors.index.json. Every field of every header is checked here: afterwards each tensor's
    // bytes are inside its file and are exactly as many as dtype and shape say.
    static Result<Safetensors> open(const std::filesystem::path& path);

    const std::string& path() const { return path_; }
    std::vector<std::string> names() const;  // sorted
    bool contains(std::string_view name) const { return entries_.find(name) != entries_.end(); }
    i64 total_bytes() const;  // of all tensors

    // A tensor that is not there, or of a dtype that no operation takes, is a caller error that names the
    // file.
    Result<StoredTensor> find(std::string_view name) const;
    Result<StoredBytes> find_any(std::string_view name) const;  // of any dtype

private:
    struct Entry {
        const MappedFile* file = nullptr;
        StoredEntry stored;  // its name is the key
    };
    Result<const MappedFile*> add_file(const std::filesystem::path& path);
    Status open_shards(const std::filesystem::path& index);

    std::string path_;
    std::deque<MappedFile> files_;  // does not move them
    std::map<std::string, Entry, std::less<>> entries_;
};

// Writes one file, complete or not at all.
Status write_safetensors(const std::filesystem::path& path, std::span<const StoredTensor> tensors);

}  // namespace warpwright
