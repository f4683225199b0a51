// SPDX-License-Identifier: Apache-2.0
// Folders and files of the disk.
#include <dirent.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "image/mapped_file.h"
#include "inspect/container/bus_guard.h"
#include "inspect/container/printable.h"
#include "inspect/container/visit.h"

namespace warpwright::inspect {
namespace {

using FileId = std::pair<u64, u64>;  // device, inode

struct Found {
    std::string path;
    FileId id;
    u64 bytes = 0, stored_bytes = 0;
    bool named = false, is_link = false;
};

bool is_mostly_holes(const Found& file) {
    constexpr u64 kLargeBytes = u64{1} << 30;
    return file.bytes > kLargeBytes && file.stored_bytes < file.bytes / 8;
}

class Walker {
public:
    explicit Walker(Visit& visit) : visit_(visit) {}

    Status add(const std::string& path) {
        struct stat info {};
        if (stat(path.c_str(), &info) != 0) {
            if (errno == ENOENT || errno == ENOTDIR)
                return caller_error(fmt::format("{}: no such file or folder", path));
            visit_.refuse(fmt::format("{}: {}", printable(path), std::strerror(errno)));
            return {};
        }
        if (S_ISDIR(info.st_mode)) {
            walk(path, info);
        } else if (S_ISREG(info.st_mode)) {
            add_file(path, info, true, false);
        } else {
            return caller_error(fmt::format("{}: expected a file or folder, got a special file", path));
        }
        return {};
    }

    // Each file once, whatever links lead to it: by its own name if that was met.
    std::vector<Found> take_files() {
        std::sort(files_.begin(), files_.end(), [](const Found& a, const Found& b) {
            return std::tie(a.id, b.named, a.is_link, a.path) < std::tie(b.id, a.named, b.is_link, b.path);
        });
        files_.erase(std::unique(files_.begin(), files_.end(),
                                 [](const Found& a, const Found& b) { return a.id == b.id; }),
                     files_.end());
        // The largest first: threads end at about the same time.
        std::sort(files_.begin(), files_.end(), [](const Found& a, const Found& b) {
            return std::tie(b.bytes, a.path) < std::tie(a.bytes, b.path);
        });
        return std::move(files_);
    }

private:
    static FileId id_of(const struct stat& info) { return {info.st_dev, info.st_ino}; }

    void add_file(const std::string& path, const struct stat& info, bool named, bool is_link) {
        const auto bytes = static_cast<u64>(info.st_size);
        files_.push_back({path, id_of(info), bytes, static_cast<u64>(info.st_blocks) * 512, named, is_link});
    }

    void walk(const std::string& top, const struct stat& info) {
        std::vector<std::pair<std::string, FileId>> folders = {{top, id_of(info)}};
        while (!folders.empty() && !visit_.stopped()) {
            auto [folder, id] = std::move(folders.back());
            folders.pop_back();
            if (!seen_folders_.insert(id).second) continue;  // named twice, or mounted into itself
            for (const std::string& name : names_in(folder)) {
                const std::string path =
                    folder.ends_with('/') ? folder + name : fmt::format("{}/{}", folder, name);
                struct stat entry {};
                struct stat target {};
                if (lstat(path.c_str(), &entry) != 0 || stat(path.c_str(), &target) != 0)
                    continue;  // a dangling link
                if (S_ISDIR(entry.st_mode)) folders.emplace_back(path, id_of(target));
                if (S_ISREG(target.st_mode) && target.st_size > 0 && files_.size() <= visit_.limits.max_files)
                    add_file(path, target, false, S_ISLNK(entry.st_mode));
            }
        }
    }

    std::vector<std::string> names_in(const std::string& folder) {
        std::vector<std::string> names;
        DIR* open = opendir(folder.c_str());
        if (open == nullptr) {
            visit_.refuse(fmt::format("{}: {}", printable(folder), std::strerror(errno)));
            return names;
        }
        while (const dirent* entry = readdir(open)) {
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") names.emplace_back(name);
        }
        closedir(open);
        std::sort(names.begin(), names.end());
        return names;
    }

    Visit& visit_;
    std::vector<Found> files_;
    std::set<FileId> seen_folders_;
};

class DiskFile : public TopFile {
public:
    DiskFile(Visit& visit, const std::string& shown, MappedFile file)
        : TopFile(visit, shown, file.bytes().size()),
          visit_(visit),
          file_(std::move(file)),
          guard_(file_.bytes()) {}
    ~DiskFile() override {
        if (guard_.was_lost())
            visit_.refuse(
                fmt::format("{}: could not be read to its end: it shrank, or its disk failed", path()));
    }
    DiskFile(const DiskFile&) = delete;
    DiskFile& operator=(const DiskFile&) = delete;

    Bytes bytes() const { return file_.bytes(); }

    // The pages within: a file's pages are read again where that is wrong.
    void release(Bytes bytes) override {
        const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
        const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
        const auto end = (reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size()) / page * page;
        if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }

private:
    Visit& visit_;
    MappedFile file_;
    BusGuard guard_;
};

void visit_file(Visit& visit, const Found& found) {
    if (!visit.count_file()) return;
    const std::string shown = printable(found.path);
    if (is_mostly_holes(found)) {
        visit.add_done(found.bytes);
        return visit.refuse(fmt::format("{}: {} bytes, of which the disk has {}: refused", shown, found.bytes,
                                        found.stored_bytes));
    }
    auto mapped = MappedFile::open(found.path);
    if (!mapped.ok()) {
        visit.add_done(found.bytes);
        return visit.refuse(mapped.status().message());
    }
    const auto file = std::make_shared<DiskFile>(visit, shown, std::move(mapped).value());
    visit_item(visit, {shown, file->bytes(), file, file, 0, found.named});
}

}  // namespace

Status visit_files(const std::vector<std::string>& paths, const Limits& limits, int threads,
                   const FileVisitor& visitor) {
    Visit visit(limits, visitor);
    Walker walker(visit);
    for (const std::string& path : paths) WW_TRY(walker.add(path));
    std::vector<Found> files = walker.take_files();
    u64 bytes = 0;
    for (const Found& file : files) bytes += file.bytes;
    visit.add_total(bytes);
    for (Found& file : files) {
        visit.tasks.add([&visit, file = std::move(file)] { visit_file(visit, file); });
    }
    visit.tasks.run(std::max(threads, 1), visitor.stop);
    return {};
}

}  // namespace warpwright::inspect
