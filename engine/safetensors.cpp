// SPDX-License-Identifier: Apache-2.0
#include "engine/safetensors.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "engine/json_fields.h"

namespace warpwright {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr u64 kMaxHeaderBytes = 100'000'000;  // the reference implementation's cap
constexpr i64 kMaxIndexBytes = 100'000'000;
constexpr const char* kIndexName = "model.safetensors.index.json";

// Every dtype of the format, so that a file with tensors that nobody asks for can still be opened.
int bytes_of(std::string_view dtype) {
    constexpr std::pair<std::string_view, int> kSizes[] = {
        {"F64", 8},  {"F32", 4},     {"F16", 2},     {"BF16", 2},   {"I64", 8}, {"I32", 4},
        {"I16", 2},  {"I8", 1},      {"U64", 8},     {"U32", 4},    {"U16", 2}, {"U8", 1},
        {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}};
    for (const auto& [name, size] : kSizes) {
        if (name == dtype) return size;
    }
    return 0;
}

constexpr std::pair<std::string_view, DType> kSupported[] = {
    {"F32", DType::f32}, {"F16", DType::f16}, {"BF16", DType::bf16}, {"I32", DType::i32}, {"U8", DType::u8}};

std::optional<u64> as_u64(const json& value) {
    if (!value.is_number_unsigned()) return std::nullopt;
    return value.get<u64>();
}

struct HeaderRow {
    std::string name;
    std::string dtype;
    std::vector<i64> shape;
    u64 begin = 0;
    u64 end = 0;
};

Result<HeaderRow> read_row(const std::string& file, const std::string& name, const json& value) {
    Fields fields(value, fmt::format("{}: tensor {:.200}", file, name));
    HeaderRow row;
    row.name = name;
    row.dtype = fields.text("dtype");
    const json* shape = fields.array("shape");
    const json* offsets = fields.array("data_offsets");
    WW_TRY(fields.status());
    const int element_bytes = bytes_of(row.dtype);
    if (element_bytes == 0) {
        fields.fail(fmt::format("dtype '{:.40}' is not one of the safetensors format", row.dtype));
        return fields.status();
    }
    i64 expected = element_bytes;
    bool overflow = false;
    bool empty = false;
    for (const json& extent : *shape) {
        const auto number = as_u64(extent);
        if (!number || *number > (1ull << 62)) {
            fields.fail(fmt::format("shape: expected non-negative integers, got {}", describe_json(extent)));
            return fields.status();
        }
        row.shape.push_back(static_cast<i64>(*number));
        if (*number == 0)
            empty = true;
        else
            overflow |= __builtin_mul_overflow(expected, row.shape.back(), &expected);
    }
    if (empty) expected = 0;
    const auto begin = offsets->size() == 2 ? as_u64((*offsets)[0]) : std::nullopt;
    const auto end = offsets->size() == 2 ? as_u64((*offsets)[1]) : std::nullopt;
    if (!begin || !end || *begin > *end) {
        fields.fail("data_offsets: expected [begin, end] with begin <= end");
    } else if (overflow && !empty) {
        fields.fail("shape: more bytes than 63 bits count");
    } else if (*end - *begin != static_cast<u64>(expected)) {
        fields.fail(
            fmt::format("dtype and shape need {} bytes, data_offsets span {}", expected, *end - *begin));
    } else {
        row.begin = *begin;
        row.end = *end;
    }
    WW_TRY(fields.status());
    return row;
}

// The header's rows in the order of their bytes, which fill the file from `data_start` without gap or
// overlap.
Result<std::vector<HeaderRow>> read_header(const std::string& file, std::span<const std::byte> bytes,
                                           u64& data_start) {
    u64 header_bytes = 0;
    if (bytes.size() < 8) {
        return caller_error(fmt::format("{}: expected at least 8 bytes, file has {}", file, bytes.size()));
    }
    for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | static_cast<u64>(bytes[i]);
    if (header_bytes > kMaxHeaderBytes) {
        return caller_error(fmt::format("{}: not a safetensors file: header length {}, expected at most {}",
                                        file, header_bytes, kMaxHeaderBytes));
    }
    if (header_bytes > bytes.size() - 8) {
        return caller_error(
            fmt::format("{}: header ends at byte {}, file has {}", file, 8 + header_bytes, bytes.size()));
    }
    data_start = 8 + header_bytes;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes);
    WW_ASSIGN(const json header, parse_json(text, file + ": header"));
    if (!header.is_object()) return caller_error(fmt::format("{}: header: expected an object", file));

    std::vector<HeaderRow> rows;
    for (const auto& [name, value] : header.items()) {
        if (name == "__metadata__") continue;
        WW_ASSIGN(HeaderRow row, read_row(file, name, value));
        rows.push_back(std::move(row));
    }
    std::sort(rows.begin(), rows.end(), [](const HeaderRow& a, const HeaderRow& b) {
        return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
    });
    u64 at = 0;
    for (const HeaderRow& row : rows) {
        if (row.begin != at) {
            return caller_error(
                fmt::format("{}: tensor {:.200} begins at byte {} of the data, the one before ends at {}",
                            file, row.name, row.begin, at));
        }
        if (row.end > bytes.size() - data_start) {
            return caller_error(fmt::format("{}: header says tensor {:.200} ends at byte {}, file has {}",
                                            file, row.name, data_start + row.end, bytes.size()));
        }
        at = row.end;
    }
    if (data_start + at != bytes.size()) {
        return caller_error(
            fmt::format("{}: tensors end at byte {}, file has {}", file, data_start + at, bytes.size()));
    }
    return rows;
}

}  // namespace

Status Safetensors::add_file(const fs::path& path) {
    WW_ASSIGN(MappedFile mapped, MappedFile::open(path));
    u64 data_start = 0;
    WW_ASSIGN(auto rows, read_header(path.string(), mapped.bytes(), data_start));
    for (HeaderRow& row : rows) {
        Entry entry{path.string(), std::move(row.dtype), std::move(row.shape),
                    mapped.bytes().subspan(data_start + row.begin, row.end - row.begin)};
        const auto [at, is_new] = entries_.emplace(row.name, std::move(entry));
        if (!is_new) {
            return caller_error(
                fmt::format("{}: tensor {:.200} is also in {}", path.string(), row.name, at->second.file));
        }
    }
    files_.push_back(std::move(mapped));
    return {};
}

Status Safetensors::open_shards(const fs::path& index) {
    WW_ASSIGN(const std::string text, read_text_file(index, kMaxIndexBytes));
    WW_ASSIGN(const json root, parse_json(text, index.string()));
    Fields fields(root, index.string());
    const json* weight_map = fields.object("weight_map");
    WW_TRY(fields.status());
    std::set<std::string> shards;
    for (const auto& [name, value] : weight_map->items()) {
        const std::string shard = value.is_string() ? value.get<std::string>() : std::string();
        // An index may come from anywhere: it must not reach outside of its own folder.
        if (shard.empty() || shard == "." || shard == ".." ||
            shard.find_first_of(std::string("/\0", 2)) != shard.npos) {
            return caller_error(fmt::format("{}: tensor {:.200}: expected a file name, got {}",
                                            index.string(), name, describe_json(value)));
        }
        shards.insert(shard);
    }
    for (const std::string& shard : shards) WW_TRY(add_file(index.parent_path() / shard));
    for (const auto& [name, value] : weight_map->items()) {
        const auto found = entries_.find(name);
        const std::string file = (index.parent_path() / value.get<std::string>()).string();
        if (found == entries_.end() || found->second.file != file) {
            return caller_error(fmt::format("{}: says tensor {:.200} is in {}, which does not hold it",
                                            index.string(), name, file));
        }
    }
    return {};
}

Result<Safetensors> Safetensors::open(const fs::path& path) {
    Safetensors weights;
    weights.path_ = path.string();
    std::error_code error;
    if (!fs::is_directory(path, error)) {
        WW_TRY(weights.add_file(path));
    } else if (fs::exists(path / "model.safetensors", error)) {
        WW_TRY(weights.add_file(path / "model.safetensors"));
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
    for (const auto& [name, entry] : entries_) sum += static_cast<i64>(entry.bytes.size());
    return sum;
}

Result<StoredTensor> Safetensors::find(std::string_view name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return caller_error(fmt::format("{}: no tensor {:.200}", path_, name));
    const Entry& entry = found->second;
    for (const auto& [spelling, dtype] : kSupported) {
        if (spelling == entry.dtype) {
            return StoredTensor{found->first, dtype, entry.shape, entry.bytes, entry.file};
        }
    }
    return caller_error(fmt::format("{}: tensor {:.200}: expected dtype F32, F16, BF16, I32 or U8, got {}",
                                    entry.file, name, entry.dtype));
}

Status write_safetensors(const fs::path& path, std::span<const StoredTensor> tensors) {
    json header = json::object();
    u64 at = 0;
    for (const StoredTensor& tensor : tensors) {
        const auto spelling = std::find_if(std::begin(kSupported), std::end(kSupported),
                                           [&](const auto& row) { return row.second == tensor.dtype; });
        header[tensor.name] = {{"dtype", spelling->first},
                               {"shape", tensor.shape},
                               {"data_offsets", {at, at + tensor.bytes.size()}}};
        at += tensor.bytes.size();
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8,
                ' ');  // the tensors begin aligned to 8, as the reference writes them

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
