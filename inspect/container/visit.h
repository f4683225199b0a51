// SPDX-License-Identifier: Apache-2.0
// What the readers of archives share: one visit of some paths, and the file in it that is being read.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "inspect/container/files.h"
#include "inspect/container/spool.h"
#include "inspect/container/task_pool.h"

namespace warpwright::inspect {

class Stream;

class Visit {
public:
    Visit(const Limits& limits, const FileVisitor& visitor)
        : limits(limits), visitor(visitor), budget(limits.pool_bytes) {}

    void refuse(const std::string& sentence);
    void add_total(u64 bytes);
    void add_done(u64 bytes);
    bool stopped() const { return visitor.stop && visitor.stop(); }
    // One more file or member; false, and said once, where there are too many.
    bool count_file();

    const Limits& limits;
    const FileVisitor& visitor;
    MemoryBudget budget;
    TaskPool tasks;

private:
    std::mutex mutex_;
    u64 done_bytes_ = 0, total_bytes_ = 0;
    std::atomic<u64> num_files_{0};
};

// A file of the disk: its bytes, for as long as any member of it is wanted, its part of the progress, and how
// much may still be expanded out of it, archives in archives together.
class TopFile {
public:
    TopFile(Visit& visit, std::string path, u64 bytes);
    virtual ~TopFile();
    TopFile(const TopFile&) = delete;
    TopFile& operator=(const TopFile&) = delete;

    const std::string& path() const { return path_; }
    // Of its bytes, some are read: the rest is counted at the end.
    void add_done(u64 bytes);
    bool may_expand(u64 bytes);
    // Of its own bytes, these are not wanted again soon: memory may serve others.
    virtual void release(Bytes /*bytes*/) {}

private:
    Visit& visit_;
    std::string path_;
    u64 bytes_;
    std::atomic<u64> done_bytes_{0}, left_to_expand_;
};

// A file, or a member of an archive.
struct Item {
    std::string path;
    Bytes bytes;
    std::shared_ptr<const void> owner;  // of the bytes
    std::shared_ptr<TopFile> top;
    int depth = 0;  // archives around it
    bool named = false;
};

// Hands the file to the visitor, or what is in it.
void visit_item(Visit& visit, const Item& item);

// What of `archive` is called `name`: the path, and false (said) where the name leads out of the archive.
std::optional<std::string> member_path(Visit& visit, const Item& archive, std::string_view name);

// Of a member that is read from a stream.
struct StreamedMember {
    std::string path;
    u64 stored_bytes = 0;  // 0: not told
    u64 bytes = 0;         // expanded, as the archive says; is held to it
    bool is_size_known = true;
    std::optional<u32> crc;
};

// Expands and visits it, unless its first bytes say that it holds no device code. False: the stream is
// damaged, or the member was refused (said), and the stream cannot go on.
bool visit_streamed(Visit& visit, const Item& archive, const StreamedMember& member, Stream& stream,
                    bool skip_to_end);

// A script and a zip archive behind it: .pex, .pyz.
bool is_program_with_zip(Bytes file);
void visit_zip(Visit& visit, const Item& archive);
void visit_ar(Visit& visit, const Item& archive);
void visit_tar(Visit& visit, const Item& archive);         // in place
void visit_compressed(Visit& visit, const Item& archive);  // gz, xz, zst: of a tar archive, or of one file

}  // namespace warpwright::inspect
