// SPDX-License-Identifier: Apache-2.0
// A piece of device code as it lies in a file: found by magic numbers over all its bytes, validated, never
// twice.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inspect/bytes.h"
#include "inspect/report.h"
#include "warpwright/status.h"

namespace warpwright::inspect {

// Formats: CUDA 13.0's, measured; see docs/inspect.md for the tables of offsets and flags.
struct Payload {
    ImageKind kind = ImageKind::cubin;
    std::optional<u64>
        fatbin;  // where it begins in the file; none: a cubin or PTX by itself, or a zstd frame
    Architecture architecture;  // of the fatbin's entry; sm 0 for bare payloads
    Compression compression = Compression::none;
    std::string section;  // of the host file
    u64 offset = 0;       // of `stored` in the file
    Bytes stored;
    u64 bytes = 0;             // expanded; 0: not told
    int minor = 0, major = 0;  // ABI of a cubin, ISA version of PTX
    u64 flags = 0;
    std::string options;      // ptxas options kept for the JIT, cicc options of LTO-IR
    std::string source_name;  // with -g and -lineinfo
    bool link_input = false;
    std::string
        head;  // of PTX in our own pack: text that comes before the stored one, and is part of `bytes`
};

// What is damaged; accidental magic numbers are not mentioned. A bad file could fill the memory with notes:
// the first are kept, the others counted.
struct ScanNotes {
    static constexpr size_t kMaxNotes = 20;
    std::vector<std::string> notes;
    u64 num_left_out = 0;
    void add(std::string sentence) {
        if (notes.size() < kMaxNotes)
            notes.push_back(std::move(sentence));
        else
            ++num_left_out;
    }
};

// What a file is as a whole, by its content: "cubin", "elf" (of a host), "fatbin", "ptx", else "data".
std::string file_type(Bytes file);

// Every payload of a file, in the order of offsets. The spans are of `file`.
std::vector<Payload> find_payloads(Bytes file, ScanNotes& notes);

// Payloads' bytes, expanded if compressed. Refuses what says or turns out to be larger than `max_bytes`, and
// what is not as large as it says. Keeps its memory from one payload to the next: one expander per thread.
class Expander {
public:
    Expander();
    ~Expander();
    Expander(const Expander&) = delete;
    Expander& operator=(const Expander&) = delete;

    // Of the payload itself where it is stored plainly, else valid until the next call. PTX ends before its
    // NULs.
    Result<Bytes> expand(const Payload& payload, u64 max_bytes);

private:
    Status expand_lz4(Bytes stored, u64 bytes);
    Status expand_zstd(Bytes stored, u64 bytes, u64 max_bytes);
    bool reserve(u64 bytes);

    struct Zstd;
    std::unique_ptr<Zstd> zstd_;
    std::unique_ptr<std::byte[]> memory_;
    u64 capacity_ = 0, used_ = 0;
};

}  // namespace warpwright::inspect
