// SPDX-License-Identifier: Apache-2.0
// Archives of every form: zip, tar, ar, compressed files, and each in each. The first byte of an input says
// whether the checksums of tar headers are made right before it is read: no mutation finds them. What is
// visited lies under the file's name, and what is expanded stays within the limits.
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "input.h"
#include "inspect/container/files.h"
#include "inspect/container/printable.h"

using namespace warpwright;           // NOLINT: a program of one function
using namespace warpwright::inspect;  // NOLINT
using namespace warpwright::fuzz;     // NOLINT

namespace {

constexpr std::size_t kBlock = 512, kChecksum = 148, kMagic = 257;

void repair_tar(std::vector<std::byte>& file) {
    for (std::size_t at = 0; at + kBlock <= file.size(); at += kBlock) {
        std::byte* header = file.data() + at;
        if (std::memcmp(header + kMagic, "ustar", 5) != 0) continue;
        std::memset(header + kChecksum, ' ', 8);
        unsigned sum = 0;
        for (std::size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned>(header[i]);
        std::array<char, 8> digits{};
        std::snprintf(digits.data(), digits.size(), "%06o", sum);
        std::memcpy(header + kChecksum, digits.data(), 7);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    std::vector<std::byte> file(bytes + 1, bytes + size);
    if (data[0] & 1) repair_tar(file);

    Limits limits;
    limits.max_member_bytes = 1 << 20;
    limits.max_expansion = 100;
    limits.max_files = 100;
    limits.pool_bytes = 512 << 10;  // so that some members go to a temporary file
    u64 num_files = 0;
    FileVisitor visitor;
    visitor.file = [&](const FileBytes& found) {
        ++num_files;
        require(found.path.starts_with("file"), "what is visited lies under the file's name");
        require(found.path.size() == 4 || found.path.starts_with("file!/"), "a member's name follows");
        require(found.path.find("/../") == std::string::npos, "no member leads out");
        require(printable(found.path.substr(0, 4)) == "file", "a path is printable");
        require(found.bytes.size() <= std::max<u64>(limits.max_member_bytes, file.size()),
                "a member is within the limit");
        touch(found.bytes);
    };
    visitor.refused = [](const std::string& sentence) {
        require(sentence.starts_with("file") || sentence.starts_with("there are more than"),
                "a refusal names the file");
        require(sentence.size() < 100'000, "a refusal is short");
        for (const char c : sentence)
            require(static_cast<unsigned char>(c) >= 0x20, "a refusal is printable");
    };
    visitor.progress = [](u64 done, u64 total) { require(done <= total, "no more is done than there is"); };
    visit_bytes("file", file, limits, visitor);
    require(num_files <= limits.max_files, "no more files than the limit");
    return 0;
}
