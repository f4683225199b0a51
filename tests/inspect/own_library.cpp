// SPDX-License-Identifier: Apache-2.0
// What inspect finds in our own binary is what the registry's pack holds.
#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "code_target.h"
#include "image/mapped_file.h"
#include "image/pack.h"
#include "inspect/expanded.h"
#include "inspect/inspect.h"
#include "scan_samples.h"

namespace warpwright::inspect {
namespace {

using namespace samples;

// architecture, kernel, registers, static shared bytes, stack bytes
using Row = std::tuple<std::string, std::string, int, int, int>;

TEST(OwnLibrary, AgreesWithItsRegistry) {
    if (Pack::linked().entries().empty()) GTEST_SKIP() << "needs a build with compiled images (WW_PACK)";
    const auto self = MappedFile::open("/proc/self/exe");
    ASSERT_TRUE(self.ok()) << self.status().message();
    const FileReport report = inspect_bytes("self", self->bytes(), {});

    std::set<Row> found;
    std::set<std::string> texts;
    for (const auto& image : report.images) {
        // The samples of these tests lie plainly in this binary, the pack's images are compressed.
        if (image.compression != Compression::zstd) continue;
        EXPECT_TRUE(image.damage.empty()) << image.damage;
        for (const Kernel& kernel : image.kernels) {
            if (image.kind == ImageKind::ptx)
                texts.insert(kernel.name);
            else
                found.emplace(architecture_name(image.architecture), kernel.name, kernel.registers,
                              kernel.shared_bytes, kernel.stack_bytes);
        }
    }
    std::set<Row> expected;
    for (const Pack::Entry& entry : Pack::linked().entries()) {
        if (entry.cubin >= 0) {
            expected.emplace(build_target_name(code_target_of(entry)), entry.entry, entry.resources.registers,
                             static_cast<int>(entry.resources.static_shared_bytes),
                             static_cast<int>(entry.resources.stack_bytes));
        }
        if (entry.ptx_body >= 0) {
            EXPECT_EQ(texts.count(entry.entry), 1u) << entry.entry;
        }
    }
    EXPECT_EQ(found, expected);
}

// A pack that is made here: two texts that share a body, and a cubin.
TEST(OwnLibrary, APackIsReadWhole) {
    warpwright::Image image;
    image.row = "a.row";
    image.entry = "k";
    image.ptx = kPtx;
    image.cubin.resize(cubin().size());
    std::memcpy(image.cubin.data(), cubin().data(), cubin().size());
    warpwright::Image other = image;
    other.ptx.replace(other.ptx.find("sm_90a"), 6, "sm_80");
    const std::vector<PackedImage> images = {pack_image("1", image), pack_image("2", other)};
    const std::string file = "before" + write_pack("13.0", images) + "WWPACK01 behind" + cubin();
    ScanNotes notes;
    const auto found = find_payloads(span_of(file), notes);
    ASSERT_EQ(found.size(), 4u);
    EXPECT_TRUE(notes.notes.empty());
    std::multiset<std::string> contents;
    for (const Payload& payload : found) {
        const auto bytes = expand(payload, 1 << 20);
        ASSERT_TRUE(bytes.ok()) << bytes.status().message();
        contents.insert(std::string(as_text(*bytes)));
    }
    EXPECT_EQ(contents, (std::multiset<std::string>{image.ptx, other.ptx, cubin(), cubin()}));
}

}  // namespace
}  // namespace warpwright::inspect
