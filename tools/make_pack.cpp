// SPDX-License-Identifier: Apache-2.0
// make_pack OUT CACHE_DIR: the build step that compiles every row's images into one file. An unchanged result
// is not written, so that nothing is linked again.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include <fmt/format.h>

#include "image/build_pack.h"

namespace {

constexpr int kMaxProblems = 10;

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// On a terminal one line that is rewritten; in a log one line every few seconds.
class Progress {
public:
    void operator()(int num_done, int num_missing) {
        auto now = std::chrono::steady_clock::now();
        bool is_last = num_done == num_missing;
        if (!is_last && now - last_ < (is_terminal_ ? std::chrono::milliseconds(100)
                                                    : std::chrono::milliseconds(10000))) {
            return;
        }
        last_ = now;
        fmt::print("{}pack: {}/{} images{}", is_terminal_ ? "\r" : "", num_done, num_missing,
                   is_terminal_ && !is_last ? "" : "\n");
        std::fflush(stdout);
    }

private:
    bool is_terminal_ = ::isatty(STDOUT_FILENO) != 0;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

int main(int argc, char** argv) {
    using namespace warpwright;
    if (argc != 3) {
        fmt::print(stderr, "usage: make_pack OUT CACHE_DIR\n");
        return 2;
    }
    auto start = std::chrono::steady_clock::now();
    std::string out = argv[1];
    std::string old_bytes = read_file(out);
    Result<Pack> previous = Pack::parse(old_bytes);

    std::vector<ImageSpec> specs = all_image_specs();
    PackBuild build;
    build.specs = specs;
    build.previous = previous.ok() ? &previous.value() : nullptr;
    build.cache = ImageCache(argv[2]);
    build.num_threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    build.progress = Progress();
    Result<PackReport> report = build_pack(build);
    if (!report.ok()) {
        fmt::print(stderr, "pack: {}\n", report.status().message());
        return 1;
    }
    for (const std::string& note : report->notes) fmt::print("pack: {}\n", note);
    if (!report->cache_problem.empty()) fmt::print("pack: images are not kept: {}\n", report->cache_problem);
    if (!report->problems.empty()) {
        int num_shown = std::min(kMaxProblems, static_cast<int>(report->problems.size()));
        for (int i = 0; i < num_shown; ++i) fmt::print(stderr, "pack: {}\n", report->problems[i]);
        if (int num_more = static_cast<int>(report->problems.size()) - num_shown; num_more > 0) {
            fmt::print(stderr, "pack: and {} more\n", num_more);
        }
        return 1;
    }
    if (report->bytes != old_bytes) {
        std::ofstream file(out, std::ios::binary | std::ios::trunc);
        file.write(report->bytes.data(), static_cast<std::streamsize>(report->bytes.size()));
        if (!file.flush()) {
            fmt::print(stderr, "pack: cannot write {}\n", out);
            return 1;
        }
    }
    double total_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print(
        "pack: {} images ({} compiled, {} reused, {} shared by targets) as {} texts and cubins, {:.1f} MB, "
        "{:.1f} s",
        report->num_images, report->num_compiled, report->num_copied + report->num_cached, report->num_shared,
        report->num_blobs, static_cast<double>(report->bytes.size()) / 1e6, total_s);
    if (report->num_compiled > 0) {
        fmt::print("; {:.2f} s per image, longest {:.1f} s: {}", report->compile_s / report->num_compiled,
                   report->slowest_s, report->slowest);
    }
    fmt::print("\n");
    return 0;
}
