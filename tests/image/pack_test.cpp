// SPDX-License-Identifier: Apache-2.0
#include "image/pack.h"

#include <gtest/gtest.h>

#include "image/build_pack.h"
#include "image/kernels.h"

namespace warpwright::test {
namespace {

std::string hash_of(int i) {
    return "000000000000000000000000000000" + std::to_string(10 + i);
}

TEST(pack, images_come_back_and_equal_texts_are_kept_once) {
    std::vector<PackedImage> packed;
    std::vector<Image> images;
    for (BuildTarget target : {BuildTarget::sm_80, BuildTarget::sm_89, BuildTarget::compute_80}) {
        images.push_back(fake_image("row", target));
        if (target == BuildTarget::compute_80) images.back().cubin.clear();
        packed.push_back(pack_image(hash_of(static_cast<int>(packed.size())), images.back()));
    }
    const std::string bytes = write_pack("13.0.88", packed);
    const Result<Pack> pack = Pack::parse(bytes);
    ASSERT_TRUE(pack.ok()) << pack.status().message();
    EXPECT_EQ(pack->compiler(), "13.0.88");
    EXPECT_EQ(pack->num_blobs(), 2u);  // one PTX body, one cubin
    EXPECT_EQ(pack->summary(), "1 images for sm_80, 1 for sm_89, 1 for compute_80");
    for (int i = 0; i < 3; ++i) {
        const Pack::Entry* entry = pack->find(hash_of(i));
        ASSERT_NE(entry, nullptr);
        const Result<Image> image = pack->unpack(*entry);
        ASSERT_TRUE(image.ok());
        EXPECT_TRUE(same_image(*image, images[i]));
    }
    EXPECT_EQ(pack->find("absent"), nullptr);

    std::vector<PackedImage> copied;
    for (const Pack::Entry& entry : pack->entries()) copied.push_back(pack->packed(entry));
    EXPECT_EQ(write_pack("13.0.88", copied), bytes);
}

TEST(pack, nothing_is_an_empty_pack_and_damage_is_an_error) {
    const Result<Pack> empty = Pack::parse("");
    ASSERT_TRUE(empty.ok());
    EXPECT_EQ(empty->summary(), "no images");

    const std::vector<PackedImage> packed = {pack_image(hash_of(0), fake_image("row"))};
    const std::string good = write_pack("13.0.88", packed);
    for (std::size_t size = 1; size < good.size(); size += 31) {
        EXPECT_FALSE(Pack::parse(std::string_view(good).substr(0, size)).ok()) << size;
    }
    // Damage of a blob shows when that image is unpacked.
    std::string bad = good;
    bad[bad.size() - 100] = static_cast<char>(bad[bad.size() - 100] ^ 1);
    const Result<Pack> pack = Pack::parse(bad);
    ASSERT_TRUE(pack.ok());
    EXPECT_EQ(pack->unpack(pack->entries()[0]).status().message(),
              "image row for sm_80 is damaged in the pack");
}

class BuildPack : public testing::Test {
protected:
    Result<PackReport> build(const ScaleFiles& files, const std::vector<ImageSpec>& specs,
                             const Pack* previous = nullptr) {
        const std::vector<EmbeddedFile> embedded = files.files();
        const KernelSources sources(embedded);
        PackBuild build;
        build.specs = specs;
        build.sources = &sources;
        build.previous = previous;
        build.cache = ImageCache(folder_.path());
        build.num_threads = 2;
        return build_pack(build);
    }

    std::vector<ImageSpec> specs() {
        std::vector<ImageSpec> specs;
        for (int row : {0, 1}) {
            for (BuildTarget target : kDeviceTargets) specs.push_back(scale_spec(row, target));
        }
        return specs;
    }

    TemporaryFolder folder_;
};

TEST_F(BuildPack, compiles_code_that_targets_share_once) {
    WW_NEEDS_NVRTC();
    std::vector<ImageSpec> specs;
    for (const BuildTarget target : {BuildTarget::sm_80, BuildTarget::sm_89, BuildTarget::compute_80}) {
        specs.push_back(scale_spec(1, target));
        if (target != BuildTarget::sm_80) specs.back().code_of = BuildTarget::sm_80;
    }
    const Result<PackReport> report = build({}, specs);
    ASSERT_TRUE(report.ok()) << report.status().message();
    ASSERT_TRUE(report->problems.empty()) << report->problems[0];
    EXPECT_EQ(report->num_compiled, 1);
    EXPECT_EQ(report->num_shared, 2);
    EXPECT_EQ(report->num_blobs, 2);
    const Result<Pack> pack = Pack::parse(report->bytes);
    ASSERT_TRUE(pack.ok()) << pack.status().message();
    EXPECT_EQ(pack->summary(), "1 images for sm_80, 1 for sm_89, 1 for compute_80");
}

TEST_F(BuildPack, compiles_only_what_changed) {
    WW_NEEDS_NVRTC();
    const Result<PackReport> first = build({}, specs());
    ASSERT_TRUE(first.ok()) << first.status().message();
    ASSERT_TRUE(first->problems.empty()) << first->problems[0];
    EXPECT_EQ(first->num_compiled, 12);
    const Result<Pack> pack = Pack::parse(first->bytes);
    ASSERT_TRUE(pack.ok());
    EXPECT_EQ(pack->entries().size(), 12u);

    const Result<PackReport> copied = build({}, specs(), &pack.value());
    ASSERT_TRUE(copied.ok());
    EXPECT_EQ(copied->num_copied, 12);
    EXPECT_EQ(copied->bytes, first->bytes);

    const Result<PackReport> cached = build({}, specs());
    ASSERT_TRUE(cached.ok());
    EXPECT_EQ(cached->num_cached, 12);
    EXPECT_EQ(cached->bytes, first->bytes);

    // A third row before the others: six images are new, twelve stay.
    ScaleFiles files;
    files.rows.replace(files.rows.find("{{\"scale.two\""), 1, "{{\"scale.one\", 1, 32}, ");
    std::vector<ImageSpec> more = specs();
    for (ImageSpec& spec : more) ++spec.row_index;
    for (BuildTarget target : kDeviceTargets) {
        more.push_back(scale_spec(0, target));
        more.back().row = "scale.one";
        more.back().row_content = "factor=1 threads=32";
    }
    const Result<PackReport> grown = build(files, more, &pack.value());
    ASSERT_TRUE(grown.ok());
    EXPECT_EQ(grown->num_copied, 12);
    EXPECT_EQ(grown->num_compiled, 6);
}

TEST_F(BuildPack, a_spilling_row_needs_a_reason) {
    WW_NEEDS_NVRTC();
    ScaleFiles files;
    // 64 values live across a barrier, in 32 registers.
    files.kernel = R"(struct Args { float* x; };
extern "C" __global__ void __launch_bounds__(1024, 2) WW_ENTRY(const __grid_constant__ Args args) {
    float kept[64];
#pragma unroll
    for (int i = 0; i < 64; ++i) kept[i] = args.x[i * 1024 + threadIdx.x];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 64; ++i) args.x[i * 1024 + threadIdx.x] = kept[i] * kept[63 - i];
}
)";
    std::vector<ImageSpec> specs = {scale_spec(0, BuildTarget::sm_80)};
    const Result<PackReport> refused = build(files, specs);
    ASSERT_TRUE(refused.ok());
    ASSERT_EQ(refused->problems.size(), 1u);
    EXPECT_TRUE(refused->problems[0].starts_with("image scale.two for sm_80: spills "))
        << refused->problems[0];
    EXPECT_NE(refused->problems[0].find(" bytes at 32 registers"), std::string::npos) << refused->problems[0];
    EXPECT_TRUE(refused->bytes.empty());

    specs[0].spill_reason = "measured faster";
    const Result<PackReport> excused = build(files, specs);
    ASSERT_TRUE(excused.ok());
    EXPECT_TRUE(excused->problems.empty());
    ASSERT_EQ(excused->notes.size(), 1u);
    EXPECT_NE(excused->notes[0].find("(measured faster)"), std::string::npos);
}

TEST_F(BuildPack, problems_of_all_images_are_reported) {
    WW_NEEDS_NVRTC();
    ScaleFiles files;
    files.kernel.insert(files.kernel.find("__syncthreads"), "int unused; ");
    std::vector<ImageSpec> specs = {scale_spec(0, BuildTarget::sm_80), scale_spec(1, BuildTarget::sm_80)};
    specs.push_back(specs[0]);
    specs.push_back(specs[0]);
    specs.back().row = "other";
    specs.back().source = "src/kernels/none.cuh";
    const Result<PackReport> report = build(files, specs);
    ASSERT_TRUE(report.ok());
    ASSERT_EQ(report->problems.size(), 4u);
    EXPECT_TRUE(
        report->problems[1].starts_with("image scale.three for sm_80: warnings are errors in the pack"));
    EXPECT_EQ(report->problems[2], "image scale.two for sm_80: two rows have this name");
    EXPECT_EQ(report->problems[3],
              "image other for sm_80: kernel source src/kernels/none.cuh is not compiled into this library");
}

TEST(linked_pack, serves_every_registered_image_of_this_build) {
    const Pack& pack = Pack::linked();
    if (pack.entries().empty()) GTEST_SKIP() << "built without a pack";
    for (const ImageSpec& spec : all_image_specs()) {
        const auto sources = KernelSources::embedded().closure(spec.source);
        ASSERT_TRUE(sources.ok());
        const Pack::Entry* entry = pack.find(image_key(spec, *sources.value(), {}).hash);
        ASSERT_NE(entry, nullptr) << image_title(spec);
        EXPECT_EQ(entry->row, spec.row);
        EXPECT_TRUE(pack.unpack(*entry).ok());
    }
}

}  // namespace
}  // namespace warpwright::test
