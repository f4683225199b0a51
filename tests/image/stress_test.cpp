// SPDX-License-Identifier: Apache-2.0
// Eight processes want one image that nobody has compiled; the one that compiles is killed.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include <gtest/gtest.h>

#include "image/encode.h"
#include "image/kernels.h"
#include "image/store.h"

namespace warpwright::test {
namespace {

constexpr int kNumProcesses = 8;

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

class Processes {
public:
    ~Processes() {
        for (pid_t pid : pids_) ::kill(pid, SIGKILL);
        while (!pids_.empty()) wait_for(pids_.back());
    }
    pid_t start(const std::function<int()>& body) {
        const pid_t pid = ::fork();
        if (pid == 0) ::_exit(body());
        pids_.push_back(pid);
        return pid;
    }
    // The exit code, or minus the signal.
    int wait_for(pid_t pid) {
        int state = 0;
        ::waitpid(pid, &state, 0);
        std::erase(pids_, pid);
        return WIFEXITED(state) ? WEXITSTATUS(state) : -WTERMSIG(state);
    }

private:
    std::vector<pid_t> pids_;
};

TEST(stress, the_compiling_process_is_killed_and_seven_get_the_same_image) {
    WW_NEEDS_NVRTC();
    const TemporaryFolder cache_folder;
    const TemporaryFolder results;
    const ScaleFiles files;
    const std::vector<EmbeddedFile> embedded = files.files();
    const KernelSources sources(embedded);
    const ImageSpec spec = scale_spec(0, BuildTarget::sm_90a);
    const auto closure = sources.closure(spec.source).value();
    const ImageKey key = image_key(spec, *closure, nvrtc().value()->version);

    Processes processes;
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t victim = processes.start([&] {
        // Compiles over and over under the lock, so that the kill meets it compiling; a part of a file is
        // there too.
        const auto make = [&]() -> Result<Image> {
            std::ofstream(cache_folder.path() + "/" + key.text() + ".tmp") << "half an image";
            if (::write(pipe_ends[1], "x", 1) != 1) return unavailable("pipe");
            Result<Compiled> compiled = compile(spec, *closure, *nvrtc().value());
            while (compiled.ok()) compiled = compile(spec, *closure, *nvrtc().value());
            return compiled.status();
        };
        return ImageCache(cache_folder.path()).get(key, make).ok() ? 0 : 1;
    });
    char ready = 0;
    ASSERT_EQ(::read(pipe_ends[0], &ready, 1), 1);

    std::vector<pid_t> others;
    for (int i = 1; i < kNumProcesses; ++i) {
        others.push_back(processes.start([&, i] {
            ImageStore::Parts parts;
            const Pack no_pack;
            parts.sources = &sources;
            parts.pack = &no_pack;
            parts.cache = ImageCache(cache_folder.path());
            ImageStore store(parts);
            const auto image = store.get(spec);
            if (!image.ok() || !store.cache_problem().empty()) return 1;
            std::ofstream(results.path() + "/" + std::to_string(i), std::ios::binary)
                << encode_image(**image);
            return store.info(spec).origin == ImageOrigin::compiled ? 10 : 11;
        }));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    for (int i = 1; i < kNumProcesses; ++i)
        EXPECT_EQ(read_text(results.path() + "/" + std::to_string(i)), "");
    ASSERT_EQ(::kill(victim, SIGKILL), 0);
    EXPECT_EQ(processes.wait_for(victim), -SIGKILL);

    int num_compiled = 0;
    for (pid_t pid : others) {
        const int code = processes.wait_for(pid);
        EXPECT_TRUE(code == 10 || code == 11) << code;
        num_compiled += code == 10;
    }
    EXPECT_EQ(num_compiled, 1);
    const Result<Compiled> expected = compile(spec, *closure, *nvrtc().value());
    ASSERT_TRUE(expected.ok());
    for (int i = 1; i < kNumProcesses; ++i) {
        EXPECT_EQ(read_text(results.path() + "/" + std::to_string(i)), encode_image(expected->image)) << i;
    }
    EXPECT_EQ(cache_folder.file_names(), std::vector<std::string>{key.text() + ".image"});
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
}

// Many rounds with a stand-in for the compiler: kills at any moment of locking, writing and renaming.
TEST(stress, kills_at_random_moments) {
    const ImageKey key{"0123456789abcdef0123456789abcdef", "13.0.88"};
    const Image expected = fake_image("row", BuildTarget::sm_80, 300000);
    unsigned random = 1;
    for (int round = 0; round < 20; ++round) {
        const TemporaryFolder folder;
        Processes processes;
        std::vector<pid_t> pids;
        for (int i = 0; i < kNumProcesses; ++i) {
            pids.push_back(processes.start([&] {
                const auto make = [&]() -> Result<Image> {
                    std::this_thread::sleep_for(std::chrono::milliseconds(2));
                    return expected;
                };
                const auto fetched = ImageCache(folder.path()).get(key, make);
                return fetched.ok() && fetched->problem.empty() && same_image(fetched->image, expected) ? 0
                                                                                                        : 1;
            }));
        }
        random = random * 69069 + 1;
        std::this_thread::sleep_for(std::chrono::microseconds((random >> 16) % 12000));
        ::kill(pids[random >> 8 & 7], SIGKILL);
        for (pid_t pid : pids) {
            const int code = processes.wait_for(pid);
            EXPECT_TRUE(code == 0 || (code == -SIGKILL && pid == pids[random >> 8 & 7])) << code;
        }
        const auto kept = ImageCache(folder.path()).read(key);
        ASSERT_TRUE(kept);
        EXPECT_TRUE(same_image(*kept, expected));
    }
}

}  // namespace
}  // namespace warpwright::test
