// SPDX-License-Identifier: Apache-2.0
#include "engine/safetensors.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/json_fields.h"

namespace warpwright {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr i64 kMaxIndexBytes = 100'000'000;
constexpr const char* kIndexName = "model.safetensors.index.json";

std::string shown(std::string_view name) {
    return printable(name, 200);
}

}  // namespace

Result<const MappedFile*> Safetensors::add_file(const fs::path& path) {
    WW_ASSIGN(MappedFile mapped, MappedFile::open(path));
    WW_ASSIGN(auto stored, read_safetensors_header(path.string(), mapped.bytes()));
    const MappedFile* file = &files_.emplace_back(std::move(mapped));
    for (StoredEntry& entry : stored) {
        std::string name = std::move(entry.name);
        const auto [at, is_new] = entries_.emplace(std::move(name), Entry{file, std::move(entry)});
        if (!is_new) {
            return caller_error(fmt::format("{}: tensor {} is also in {}", path.string(), shown(at->first),
                                            at->second.file->path()));
        }
    }
    if (static_cast<i64>(entries_.size()) > kMaxStoredTensors) {
        return caller_error(
            fmt::format("{}: expected at most {} tensors in all files", path_, kMaxStoredTensors));
    }
    return file;
}

Status Safetensors::open_shards(const fs::path& index_path) {
    WW_ASSIGN(const std::string text, read_text_file(index_path, kMaxIndexBytes));
    const std::string where = index_path.string();
    WW_ASSIGN(const ShardIndex index, read_shard_index(text, where));
    std::vector<const MappedFile*> files;
    for (const std::string& shard : index.shards) {
        const fs::path path = index_path.parent_path() / shard;
        std::error_code ignored;
        if (!fs::exists(path, ignored)) {
            return caller_error(fmt::format("{}: weight_map: {}: no such file", where,
                                            (index_path.parent_path() / printable(shard, 200)).string()));
        }
        WW_ASSIGN(files.emplace_back(), add_file(path));
    }
    for (const ShardIndex::Tensor& tensor : index.tensors) {
        const auto found = entries_.find(tensor.name);
        const MappedFile* file = files[static_cast<std::size_t>(tensor.shard)];
        if (found == entries_.end() || found->second.file != file) {
            return caller_error(fmt::format("{}: weight_map: says tensor {} is in {}, which does not hold it",
                                            where, shown(tensor.name), file->path()));
        }
    }
    return {};
}

Result<Safetensors> Safetensors::open(const fs::path& path) {
    Safetensors weights;
    weights.path_ = path.string();
    std::error_code error;
    if (!fs::is_directory(path, error)) {
        WW_TRY(weights.add_file(path).status());
    } else if (fs::exists(path / "model.safetensors", error)) {
        WW_TRY(weights.add_file(path / "model.safetensors").status());
    } else if (fs::exists(path / kIndexName, error)) {
        WW_TRY(weights.open_shards(path / kIndexName));
    } else {
        return caller_error(
            fmt::format("{}: no weights: neither model.safetensors nor {}", path.string(), kIndexName));
    }
    return weights;
}

std::vector<std::string> Safetensors::names() const {
    std::vector<std::string> list;
    for (const auto& [name, entry] : entries_) list.push_back(name);
    return list;
}

i64 Safetensors::total_bytes() const {
    i64 sum = 0;
    for (const auto& [name, entry] : entries_) sum += static_cast<i64>(entry.stored.end - entry.stored.begin);
    return sum;
}

Result<StoredTensor> Safetensors::find(std::string_view name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return caller_error(fmt::format("{}: no tensor {}", path_, shown(name)));
    const auto& [file, stored] = found->second;
    if (!stored.type->dtype) {
        return caller_error(fmt::format("{}: tensor {}: expected dtype F32, F16, BF16, I32 or U8, got {}",
                                        file->path(), shown(name), stored.type->name));
    }
    const auto bytes = file->bytes().subspan(stored.begin, stored.end - stored.begin);
    return StoredTensor{.name = found->first,
                        .dtype = *stored.type->dtype,
                        .shape = stored.shape,
                        .bytes = bytes,
                        .file = file->path(),
                        .mapped = file,
                        .file_offset = stored.begin};
}

Result<StoredBytes> Safetensors::find_any(std::string_view name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return caller_error(fmt::format("{}: no tensor {}", path_, shown(name)));
    const auto& [file, stored] = found->second;
    return StoredBytes{.name = found->first,
                       .type = stored.type,
                       .shape = stored.shape,
                       .mapped = file,
                       .file_offset = stored.begin};
}

Status write_safetensors(const fs::path& path, std::span<const StoredTensor> tensors) {
    json header = json::object();
    u64 at = 0;
    for (const StoredTensor& tensor : tensors) {
        const auto types = stored_types();
        const auto type = std::find_if(types.begin(), types.end(),
                                       [&](const StoredType& row) { return row.dtype == tensor.dtype; });
        header[tensor.name] = {
            {"dtype", type->name}, {"shape", tensor.shape}, {"data_offsets", {at, at + tensor.bytes.size()}}};
        at += tensor.bytes.size();
    }
    std::string text = header.dump();
    // The tensors begin aligned to 8, as the reference writes them.
    text.resize((text.size() + 7) / 8 * 8, ' ');

    const fs::path unfinished = path.string() + fmt::format(".{}.part", getpid());
    std::ofstream file(unfinished, std::ios::binary);
    for (int i = 0; i < 8; ++i) file.put(static_cast<char>(static_cast<u64>(text.size()) >> (8 * i)));
    file << text;
    for (const StoredTensor& tensor : tensors) {
        file.write(reinterpret_cast<const char*>(tensor.bytes.data()),
                   static_cast<std::streamsize>(tensor.bytes.size()));
    }
    file.close();
    std::error_code error;
    if (file) fs::rename(unfinished, path, error);
    if (!file || error) {
        std::error_code ignored;
        fs::remove(unfinished, ignored);
        return unavailable(fmt::format("{}: cannot be written", path.string()));
    }
    return {};
}

}  // namespace warpwright
