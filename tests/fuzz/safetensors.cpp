// SPDX-License-Identifier: Apache-2.0
// Headers and indexes of checkpoints. An input holds sections: the first may be an index, each other one is a
// file, of which the first line says how many bytes of data follow the header in the lines after it. An input
// without sections is a file as it stands. Files that are right are also opened together, from a folder.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

#include "engine/safetensors.h"
#include "input.h"

using namespace warpwright;        // NOLINT: a program of one function
using namespace warpwright::fuzz;  // NOLINT

namespace {

constexpr std::size_t kMaxDataBytes = 4096;

// The 8 bytes of length, the header and the data, in memory of exactly that size.
std::vector<std::byte> file_of(std::string_view section) {
    std::size_t data_bytes = 0;
    std::from_chars(section.data(), section.data() + section.size(), data_bytes);
    const std::size_t line = std::min(section.find('\n'), section.size() - 1);
    const std::string_view header = section.substr(line + 1);
    std::vector<std::byte> file;
    file.reserve(8 + header.size() + std::min(data_bytes, kMaxDataBytes));
    for (int i = 0; i < 8; ++i) file.push_back(static_cast<std::byte>(header.size() >> (8 * i)));
    for (const char c : header) file.push_back(static_cast<std::byte>(c));
    file.resize(file.capacity());
    return file;
}

bool check_header(std::span<const std::byte> file) {
    const auto entries = read_safetensors_header("file", file);
    if (!entries.ok()) {
        require(entries.status().kind() == ErrorKind::caller, "a bad header is a caller's error");
        require(entries.status().message().starts_with("file: "), "the error of a header names its file");
        require(entries.status().message().size() < 1000, "the error of a header is short");
        return false;
    }
    u64 at = entries->empty() ? file.size() : entries->front().begin;
    for (const StoredEntry& entry : *entries) {
        require(entry.begin == at && entry.end >= at && entry.end <= file.size(), "tensors lie side by side");
        require(entry.type != nullptr, "a tensor has a type");
        u64 bits = static_cast<u64>(entry.type->bits);
        for (const i64 extent : entry.shape) {
            require(extent >= 0, "an extent is not negative");
            bits = std::min<u64>(bits, u64{1} << 20) * std::min<u64>(static_cast<u64>(extent), 1u << 20);
        }
        require(bits == 8 * (entry.end - entry.begin), "a tensor has as many bytes as its shape says");
        at = entry.end;
    }
    require(at == file.size(), "tensors end where the file does");
    return true;
}

bool check_index(std::string_view text) {
    const auto index = read_shard_index(text, "index");
    if (!index.ok()) {
        require(index.status().message().starts_with("index: "), "the error of an index names it");
        require(index.status().message().size() < 1000, "the error of an index is short");
        return false;
    }
    for (const std::string& shard : index->shards) {
        require(!shard.empty() && shard != ".." && shard.find('/') == shard.npos, "a shard is in the folder");
    }
    for (const auto& tensor : index->tensors) {
        require(tensor.shard >= 0 && static_cast<std::size_t>(tensor.shard) < index->shards.size(),
                "a tensor is in a shard");
    }
    return true;
}

class Folder {
public:
    Folder() {
        std::string pattern = "/dev/shm/fuzz-XXXXXX";
        if (mkdtemp(pattern.data()) == nullptr) pattern = std::filesystem::temp_directory_path() / "fuzz";
        path_ = pattern;
        std::filesystem::create_directories(path_);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    void write(const std::string& name, const void* data, std::size_t size) const {
        std::ofstream file(path_ / name, std::ios::binary);
        file.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
    }

private:
    std::filesystem::path path_;
};

// As "1", "2", ... beside the index; all that is opened can be read.
void open_together(std::string_view index, const std::vector<std::vector<std::byte>>& files) {
    static const Folder folder;
    folder.write("model.safetensors.index.json", index.data(), index.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
        folder.write(std::to_string(i + 1), files[i].data(), files[i].size());
    }
    const auto checkpoint = Safetensors::open(folder.path());
    if (!checkpoint.ok()) return;
    i64 total = 0;
    for (const std::string& name : checkpoint->names()) {
        const auto tensor = checkpoint->find(name);
        if (!tensor.ok()) continue;
        std::vector<std::byte> read(tensor->bytes.size());
        require(tensor->mapped->read(tensor->file_offset, read).ok(), "a tensor can be read");
        require(std::equal(read.begin(), read.end(), tensor->bytes.begin()), "both ways of reading agree");
        total += static_cast<i64>(read.size());
    }
    require(total <= checkpoint->total_bytes(), "the sum of the tensors' bytes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto sections = sections_of(data, size);
    if (sections.size() == 1) {
        const auto* bytes = reinterpret_cast<const std::byte*>(data);
        check_header(std::vector<std::byte>(bytes, bytes + size));
        return 0;
    }
    bool good = check_index(sections[0]);
    std::vector<std::vector<std::byte>> files;
    for (std::size_t i = 1; i < std::min<std::size_t>(sections.size(), 5); ++i) {
        if (sections[i].empty()) continue;
        files.push_back(file_of(sections[i]));
        good &= check_header(files.back());
    }
    if (good) open_together(sections[0], files);
    return 0;
}
