// SPDX-License-Identifier: Apache-2.0
// Archives made by hand, honest and not, and a visit that remembers what it saw.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "inspect/container/files.h"

namespace warpwright::inspect::samples {

enum class Packing { plain, gzip, xz, zstd };
std::string packed(const std::string& content, Packing packing);
std::string deflated(const std::string& content);
u32 checksum(const std::string& content);

struct ZipMember {
    std::string name, content;
    int method = 8;  // 0 stored, 8 deflated, 93 zstd
    u16 flags = 0;
    u32 attributes = 0;
    // What the headers say, where it is not true.
    std::optional<u64> bytes = {}, stored_bytes = {};
    std::optional<u32> crc = {};
    std::optional<std::string> local_name = {};
    std::optional<u64> offset = {};
};
struct ZipForm {
    bool is_wide = false;         // zip64 records, though the numbers are small
    bool sizes_follow = false;    // the local header has none
    std::string before, comment;  // of the archive
    std::optional<u16> num_members = {};
};
std::string zip(const std::vector<ZipMember>& members, const ZipForm& form = {});

struct TarMember {
    std::string name, content;
    char type = '0';
    std::optional<u64> bytes = {};
    std::string link = {};
};
enum class TarNames { ustar, gnu, pax };
std::string tar(const std::vector<TarMember>& members, TarNames names = TarNames::ustar, bool has_end = true);

enum class ArNames { gnu, bsd };
std::string ar(const std::vector<std::pair<std::string, std::string>>& members, ArNames names = ArNames::gnu);

// What a visit found and refused.
struct Seen {
    std::map<std::string, std::string> files;  // path -> content
    std::vector<std::string> refused;
    u64 done_bytes = 0, total_bytes = 0;

    std::string refusal() const {
        return refused.size() == 1 ? refused[0] : std::to_string(refused.size()) + " refusals";
    }
};
Seen visit_text(const std::string& path, const std::string& content, const Limits& limits = {});
Seen visit_paths(const std::vector<std::string>& paths, const Limits& limits = {}, int threads = 2);

// A folder of its own, removed at the end.
class Folder {
public:
    Folder();
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }
    std::string write(const std::string& name, const std::string& content) const;  // the file's path

private:
    std::string path_;
};

}  // namespace warpwright::inspect::samples
