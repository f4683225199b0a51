// SPDX-License-Identifier: Apache-2.0
// Paths -> files: folders, zip archives and wheels, tar archives (plain, gz, xz, zst), static archives, an
// installed Python environment, JIT caches; each member of an archive is a file, read in place where it is
// stored plainly.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "inspect/bytes.h"
#include "warpwright/status.h"

namespace warpwright::inspect {

struct Limits {
    u64 max_member_bytes = u64{8} << 30;  // one member of an archive, expanded
    u64 max_expansion = 1000;             // expanded : stored, beyond 64 MiB
    u64 max_files = 1'000'000;
    int max_depth = 3;  // archives in archives
    u64 pool_bytes =
        u64{384} << 20;  // of members that are expanded at once; beyond, they go to temporary files
};

struct FileBytes {
    std::string path;    // "wheel.whl!/pkg/x.so", "libx.a!/k.o"
    Bytes bytes;         // valid during the call
    bool named = false;  // asked for by name, not found in a folder or archive
};

struct FileVisitor {
    // Every file that may hold device code (by content, not by name), and every named one that is no archive.
    // May be called from several threads at once.
    std::function<void(const FileBytes&)> file;
    // These from one thread at a time.
    std::function<void(const std::string& sentence)> refused;
    std::function<void(u64 done_bytes, u64 total_bytes)> progress;  // total grows while folders are read
    std::function<bool()> stop;                                     // true: end early
};

// A path that is not there is a caller error; what is wrong inside is `refused`. `threads` files are read at
// once. Each file is read once, whatever links lead to it; links to folders are followed where they are
// named, not inside of folders.
Status visit_files(const std::vector<std::string>& paths, const Limits& limits, int threads,
                   const FileVisitor& visitor);

// The same of one file whose bytes are at hand.
void visit_bytes(const std::string& path, Bytes bytes, const Limits& limits, const FileVisitor& visitor);

// Files of site-packages of an installed Python environment (a venv, a prefix, or site-packages itself).
Result<std::vector<std::string>> environment_paths(const std::string& folder);

// The JIT caches of this user that are there: Triton, FlashInfer, DeepGEMM, DeepEP, CuTe DSL,
// PyTorch Inductor, the driver's.
struct JitCache {
    std::string name, path;
};
std::vector<JitCache> jit_caches();

// Whose compiler made the file at run time, by its place: in one of those caches, or in folders of their
// names (a copy of one). Empty: nobody's; FlashInfer's downloaded cubins are not made here either.
std::string jit_cache_of(const std::string& path);

}  // namespace warpwright::inspect
