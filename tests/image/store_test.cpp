// SPDX-License-Identifier: Apache-2.0
#include "image/store.h"

#include <atomic>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "image/kernels.h"

namespace warpwright::test {
namespace {

class Store : public testing::Test {
protected:
    ImageStore::Parts parts(bool has_compiler = true) {
        ImageStore::Parts parts;
        parts.sources = &sources_;
        parts.pack = &pack_;
        parts.cache = ImageCache(folder_.path());
        parts.compiler = [this, has_compiler]() -> Result<const Nvrtc*> {
            ++compiler_asked_;
            if (!has_compiler) return unavailable("no NVRTC: looked for libnvrtc.so.13");
            return nvrtc();
        };
        return parts;
    }

    void fill_pack(const Image& image, const ImageSpec& spec) {
        const ImageKey key = image_key(spec, *sources_.closure(spec.source).value(), {});
        const std::vector<PackedImage> packed = {pack_image(key.hash, image)};
        pack_bytes_ = write_pack("13.0.1", packed);
        pack_ = Pack::parse(pack_bytes_).value();
    }

    std::vector<std::string> cache_files() { return folder_.file_names(); }

    ScaleFiles files_;
    std::vector<EmbeddedFile> embedded_ = files_.files();
    KernelSources sources_{embedded_};
    std::string pack_bytes_;
    Pack pack_;
    TemporaryFolder folder_;
    std::atomic<int> compiler_asked_ = 0;
};

TEST_F(Store, the_pack_serves_without_a_compiler_whatever_its_version) {
    const ImageSpec spec = scale_spec(0, BuildTarget::sm_90a);
    const Image image = fake_image(spec.row, spec.build_target);
    fill_pack(image, spec);
    ImageStore store(parts());
    EXPECT_EQ(store.info(spec).origin, ImageOrigin::pack);
    const auto got = store.get(spec);
    ASSERT_TRUE(got.ok()) << got.status().message();
    EXPECT_TRUE(same_image(**got, image));
    EXPECT_EQ(store.get(spec).value().get(), got->get());  // the same object
    EXPECT_EQ(compiler_asked_, 0);
    EXPECT_EQ(store.info(spec).origin, ImageOrigin::pack);
    EXPECT_EQ(store.info(spec).resources.registers, 32);
}

TEST_F(Store, no_image_says_what_was_looked_for) {
    fill_pack(fake_image("scale.two"), scale_spec(0, BuildTarget::sm_80));
    ImageStore store(parts(false));
    EXPECT_EQ(store.get(scale_spec(1, BuildTarget::sm_120f)).status().message(),
              "image scale.three for sm_120f: not in the pack (1 images for sm_80), not in the cache at " +
                  folder_.path() + ", and no NVRTC: looked for libnvrtc.so.13");
    EXPECT_EQ(store.info(scale_spec(1, BuildTarget::sm_120f)).origin, ImageOrigin::none);
    EXPECT_EQ(store.get(scale_spec(0, BuildTarget::host)).status().kind(), ErrorKind::caller);
}

TEST_F(Store, compiled_once_then_cached_for_everybody) {
    WW_NEEDS_NVRTC();
    const ImageSpec spec = scale_spec(0, BuildTarget::sm_80);
    ImageStore first(parts());
    const auto compiled = first.get(spec);
    ASSERT_TRUE(compiled.ok()) << compiled.status().message();
    EXPECT_EQ(first.info(spec).origin, ImageOrigin::compiled);
    EXPECT_EQ(first.cache_problem(), "");

    for (bool has_compiler : {true, false}) {
        ImageStore later(parts(has_compiler));
        const auto cached = later.get(spec);
        ASSERT_TRUE(cached.ok()) << cached.status().message();
        EXPECT_EQ(later.info(spec).origin, ImageOrigin::cache);
        EXPECT_TRUE(same_image(**cached, **compiled));
    }
}

TEST_F(Store, threads_share_one_compilation) {
    WW_NEEDS_NVRTC();
    ImageStore store(parts());
    std::vector<std::shared_ptr<const Image>> images(8);
    {
        std::vector<std::jthread> threads;
        for (auto& image : images) {
            threads.emplace_back([&] { image = store.get(scale_spec(0, BuildTarget::sm_80)).value(); });
        }
    }
    for (const auto& image : images) EXPECT_EQ(image, images[0]);
    EXPECT_EQ(compiler_asked_, 1);
}

TEST_F(Store, a_failure_is_remembered) {
    WW_NEEDS_NVRTC();
    ScaleFiles files;
    files.kernel = "broken";
    const std::vector<EmbeddedFile> embedded = files.files();
    const KernelSources sources(embedded);
    ImageStore::Parts broken = parts();
    broken.sources = &sources;
    ImageStore store(broken);
    const std::string message = store.get(scale_spec(0, BuildTarget::sm_80)).status().message();
    EXPECT_FALSE(message.empty());
    EXPECT_EQ(store.get(scale_spec(0, BuildTarget::sm_80)).status().message(), message);
    EXPECT_EQ(compiler_asked_, 1);
    EXPECT_TRUE(cache_files().empty());
}

TEST_F(Store, an_unusable_cache_is_reported_as_data) {
    WW_NEEDS_NVRTC();
    ImageStore::Parts broken = parts();
    broken.cache = ImageCache("/dev/null/warpwright");
    ImageStore store(broken);
    EXPECT_TRUE(store.get(scale_spec(0, BuildTarget::sm_80)).ok());
    EXPECT_TRUE(store.cache_problem().starts_with("cannot create /dev/null/warpwright: "))
        << store.cache_problem();
}

}  // namespace
}  // namespace warpwright::test
