// SPDX-License-Identifier: Apache-2.0
#include "image/cache.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "image/kernels.h"

namespace warpwright::test {
namespace {

const ImageKey kKey{"0123456789abcdef0123456789abcdef", "13.0.88"};
constexpr int kSkipped = 77;

struct Maker {
    int calls = 0;
    std::function<Result<Image>()> function() {
        return [this]() -> Result<Image> {
            ++calls;
            return fake_image("row");
        };
    }
};

std::string entry_path(const TemporaryFolder& folder) {
    return folder.path() + "/" + kKey.text() + ".image";
}

// Runs `body` in a child process and gives its exit code: limits and identities cannot be taken back.
int in_child(const std::function<int()>& body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body());
    int state = 0;
    ::waitpid(child, &state, 0);
    return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

// 0 when the image came, was not kept, and a reason with `word` was given.
int expect_unkept(const std::string& directory, std::string_view word) {
    Maker maker;
    const auto fetched = ImageCache(directory).get(kKey, maker.function());
    if (!fetched.ok() || maker.calls != 1) return 1;
    if (!same_image(fetched->image, fake_image("row")) || fetched->was_cached) return 2;
    return fetched->problem.find(word) != std::string::npos ? 0 : 3;
}

TEST(cache, made_once_and_read_afterwards) {
    const TemporaryFolder folder;
    const ImageCache cache(folder.path() + "/a/b");  // made when needed
    Maker maker;
    const auto first = cache.get(kKey, maker.function());
    const auto second = cache.get(kKey, maker.function());
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_FALSE(first->was_cached);
    EXPECT_TRUE(second->was_cached);
    EXPECT_EQ(first->problem, "");
    EXPECT_EQ(maker.calls, 1);
    EXPECT_TRUE(same_image(second->image, fake_image("row")));
    EXPECT_EQ(folder.file_names(), (std::vector<std::string>{"a", "b", kKey.text() + ".image"}));
}

TEST(cache, damage_anywhere_is_noticed_and_repaired) {
    const TemporaryFolder folder;
    const ImageCache cache(folder.path());
    Maker maker;
    ASSERT_TRUE(cache.get(kKey, maker.function()).ok());
    std::ifstream file(entry_path(folder), std::ios::binary);
    const std::string good{std::istreambuf_iterator<char>(file), {}};

    const auto write = [&](const std::string& bytes) {
        std::ofstream(entry_path(folder), std::ios::binary | std::ios::trunc) << bytes;
    };
    for (std::size_t size = 0; size < good.size(); size += size < 64 ? 1 : 97) {
        write(good.substr(0, size));
        ASSERT_FALSE(cache.read(kKey)) << "truncated to " << size;
    }
    for (std::size_t at = 0; at < good.size(); at += at < 64 ? 1 : 97) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 0x10);
        write(bad);
        ASSERT_FALSE(cache.read(kKey)) << "flipped at " << at;
    }
    const auto repaired = cache.get(kKey, maker.function());
    ASSERT_TRUE(repaired.ok());
    EXPECT_EQ(maker.calls, 2);
    EXPECT_TRUE(cache.read(kKey));
}

TEST(cache, an_entry_under_another_name_is_not_taken) {
    const TemporaryFolder folder;
    const ImageCache cache(folder.path());
    Maker maker;
    ASSERT_TRUE(cache.get(kKey, maker.function()).ok());
    const ImageKey other{"ffffffffffffffffffffffffffffffff", "13.0.88"};
    std::filesystem::copy(entry_path(folder), folder.path() + "/" + other.text() + ".image");
    EXPECT_FALSE(cache.read(other));
}

TEST(cache, without_a_compiler_any_compiler_s_entry_serves) {
    const TemporaryFolder folder;
    const ImageCache cache(folder.path());
    Maker maker;
    ASSERT_TRUE(cache.get(kKey, maker.function()).ok());
    EXPECT_TRUE(cache.read({kKey.hash, ""}));
    EXPECT_FALSE(cache.read({kKey.hash, "13.1.0"}));
    EXPECT_FALSE(ImageCache(folder.path() + "/none").read({kKey.hash, ""}));
}

TEST(cache, a_failure_is_passed_on_and_leaves_nothing) {
    const TemporaryFolder folder;
    const auto fetched = ImageCache(folder.path()).get(kKey, []() -> Result<Image> {
        return unavailable("does not compile");
    });
    EXPECT_EQ(fetched.status().message(), "does not compile");
    EXPECT_TRUE(folder.file_names().empty());
}

TEST(cache, leftovers_of_a_killed_writer_do_not_matter) {
    const TemporaryFolder folder;
    std::ofstream(folder.path() + "/" + kKey.text() + ".tmp") << "half an image";
    const std::ofstream lock(folder.path() + "/" + kKey.text() + ".lock");
    Maker maker;
    ASSERT_TRUE(ImageCache(folder.path()).get(kKey, maker.function()).ok());
    EXPECT_EQ(folder.file_names(), std::vector<std::string>{kKey.text() + ".image"});
}

TEST(cache, no_folder_for_it) {
    EXPECT_EQ(expect_unkept("", "none of WARPWRIGHT_CACHE, XDG_CACHE_HOME and HOME is set"), 0);
    EXPECT_EQ(expect_unkept("/proc/nowhere/warpwright", "cannot create /proc/nowhere/warpwright"), 0);
    EXPECT_EQ(expect_unkept("/dev/null/warpwright", "cannot create /dev/null/warpwright"), 0);
}

TEST(cache, a_read_only_folder_still_serves_what_it_has) {
    const TemporaryFolder folder;
    const ImageKey kept{"ffffffffffffffffffffffffffffffff", "13.0.88"};
    Maker maker;
    ASSERT_TRUE(ImageCache(folder.path()).get(kept, maker.function()).ok());
    ASSERT_EQ(::chmod(folder.path().c_str(), 0555), 0);
    EXPECT_EQ(in_child([&] {
                  if (::geteuid() == 0 && ::setuid(65534) != 0) return kSkipped;  // root may write anywhere
                  if (int code = expect_unkept(folder.path(), "Permission denied"); code != 0) return code;
                  return ImageCache(folder.path()).read(kept) ? 0 : 4;
              }),
              0);
    ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
    EXPECT_EQ(folder.file_names(), std::vector<std::string>{kept.text() + ".image"});
}

TEST(cache, a_file_size_limit_leaves_nothing_half_written) {
    const TemporaryFolder folder;
    EXPECT_EQ(in_child([&] {
                  ::signal(SIGXFSZ, SIG_IGN);
                  const rlimit limit{1000, 1000};
                  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return kSkipped;
                  return expect_unkept(folder.path(), "cannot write");
              }),
              0);
    EXPECT_TRUE(folder.file_names().empty());
}

TEST(cache, a_full_disk_leaves_nothing_half_written) {
    const TemporaryFolder folder;
    const int code = in_child([&] {
        // A private file system of one page; needs user namespaces or root.
        if (::unshare(CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0) return kSkipped;
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
        if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=4096") != 0) return kSkipped;
        if (int code = expect_unkept(folder.path(), "No space left on device"); code != 0) return code;
        return folder.file_names().empty() ? 0 : 4;
    });
    if (code == kSkipped) GTEST_SKIP() << "no private file system can be mounted here";
    EXPECT_EQ(code, 0);
}

TEST(cache, default_directory_follows_the_environment) {
    EXPECT_EQ(in_child([] {
                  ::unsetenv("WARPWRIGHT_CACHE");
                  ::unsetenv("XDG_CACHE_HOME");
                  ::unsetenv("HOME");
                  if (!ImageCache::default_directory().empty()) return 1;
                  ::setenv("HOME", "/h", 1);
                  if (ImageCache::default_directory() != "/h/.cache/warpwright") return 2;
                  ::setenv("XDG_CACHE_HOME", "relative", 1);
                  if (ImageCache::default_directory() != "/h/.cache/warpwright") return 3;
                  ::setenv("XDG_CACHE_HOME", "/x", 1);
                  if (ImageCache::default_directory() != "/x/warpwright") return 4;
                  ::setenv("WARPWRIGHT_CACHE", "/w", 1);
                  return ImageCache::default_directory() == "/w" ? 0 : 5;
              }),
              0);
}

}  // namespace
}  // namespace warpwright::test
