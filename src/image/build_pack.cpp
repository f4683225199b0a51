// SPDX-License-Identifier: Apache-2.0
#include "image/build_pack.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "image/compile.h"
#include "image/key.h"

namespace warpwright {
namespace {

struct Item {
    ImageKey key;
    PackedImage packed;
    std::string problem;
    bool is_copied = false;
    bool was_cached = false;
    std::optional<std::size_t> same_code;  // the item whose code it has
    double compile_s = 0;
    std::string cache_problem;
};

Result<Image> compile_strictly(const ImageSpec& spec, const SourceClosure& sources, const Nvrtc& nvrtc) {
    WW_ASSIGN(Compiled compiled, compile(spec, sources, nvrtc));
    if (!compiled.warnings.empty()) {
        return unavailable(fmt::format("image {}: warnings are errors in the pack:\n{}", image_title(spec),
                                       compiled.warnings));
    }
    return std::move(compiled.image);
}

void make_item(const PackBuild& build, const ImageSpec& spec, const Nvrtc& nvrtc, Item& item) {
    Result<std::shared_ptr<const SourceClosure>> sources = build.sources->closure(spec.source);
    if (!sources.ok()) {
        item.problem = sources.status().message();
        return;
    }
    auto make = [&] {
        auto start = std::chrono::steady_clock::now();
        Result<Image> image = compile_strictly(spec, *sources.value(), nvrtc);
        item.compile_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return image;
    };
    Result<ImageCache::Fetched> fetched = build.cache.get(item.key, make);
    if (!fetched.ok()) {
        item.problem = fetched.status().message();
        return;
    }
    item.was_cached = fetched->was_cached;
    item.cache_problem = fetched->problem;
    item.packed = pack_image(item.key.hash, fetched->image);
}

// The image of another target with the same code.
PackedImage shared_image(const Item& item, const ImageSpec& spec, const Item& code) {
    PackedImage packed = code.packed;
    packed.hash = item.key.hash;
    packed.build_target = spec.build_target;
    if (spec.build_target == BuildTarget::compute_80) {
        packed.cubin = {};
        packed.resources = {};
    }
    return packed;
}

// The verdict does not depend on where the image came from: a reason may have been added or removed since.
void judge(const ImageSpec& spec, const Item& item, PackReport& report) {
    const ImageResources& resources = item.packed.resources;
    if (resources.spill_bytes > 0) {
        std::string text = fmt::format("image {}: spills {} bytes at {} registers", image_title(spec),
                                       resources.spill_bytes, resources.registers);
        if (spec.spill_reason.empty()) {
            report.problems.push_back(text + "; a row may spill only with a spill_reason");
        } else {
            report.notes.push_back(fmt::format("{} ({})", text, spec.spill_reason));
        }
    } else if (resources.stack_bytes > 0) {
        report.notes.push_back(
            fmt::format("image {}: {} bytes of local memory per thread without spilling: an "
                        "array indexed at run time?",
                        image_title(spec), resources.stack_bytes));
    }
}

}  // namespace

Result<PackReport> build_pack(const PackBuild& build) {
    WW_ASSIGN(const Nvrtc* compiler, nvrtc());
    PackReport report;
    std::vector<Item> items(build.specs.size());
    std::vector<std::size_t> missing;
    std::map<std::string, std::size_t> seen;
    bool can_copy = build.previous != nullptr && build.previous->compiler() == compiler->version;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const ImageSpec& spec = build.specs[i];
        Item& item = items[i];
        if (!seen.emplace(image_title(spec), i).second) {
            item.problem = fmt::format("image {}: two rows have this name", image_title(spec));
            continue;
        }
        Result<std::shared_ptr<const SourceClosure>> sources = build.sources->closure(spec.source);
        if (!sources.ok()) {
            item.problem = fmt::format("image {}: {}", image_title(spec), sources.status().message());
            continue;
        }
        item.key = image_key(spec, *sources.value(), compiler->version);
        if (const Pack::Entry* entry = can_copy ? build.previous->find(item.key.hash) : nullptr) {
            item.packed = build.previous->packed(*entry);
            item.is_copied = true;
            continue;
        }
        ImageSpec code = spec;  // comes before: targets are in order
        code.build_target = spec.code_of.value_or(spec.build_target);
        if (const auto found = spec.code_of ? seen.find(image_title(code)) : seen.end();
            found != seen.end()) {
            item.same_code = found->second;
        } else {
            missing.push_back(i);
        }
    }

    // Threads, not processes: measured on two cores, NVRTC compiles distinct programs side by side.
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    int num_done = 0;
    auto work = [&] {
        for (std::size_t at = next++; at < missing.size(); at = next++) {
            make_item(build, build.specs[missing[at]], *compiler, items[missing[at]]);
            std::lock_guard lock(mutex);
            build.progress(++num_done, static_cast<int>(missing.size()));
        }
    };
    std::vector<std::jthread> threads;
    for (int i = 1; i < std::min(build.num_threads, static_cast<int>(missing.size())); ++i)
        threads.emplace_back(work);
    work();
    threads.clear();

    std::vector<PackedImage> images;
    for (std::size_t i = 0; i < items.size(); ++i) {
        Item& item = items[i];
        report.compile_s += item.compile_s;
        if (item.compile_s > report.slowest_s) {
            report.slowest_s = item.compile_s;
            report.slowest = image_title(build.specs[i]);
        }
        if (report.cache_problem.empty()) report.cache_problem = item.cache_problem;
        if (!item.problem.empty()) {
            report.problems.push_back(item.problem);
            continue;
        }
        if (item.same_code) {
            const Item& code = items[*item.same_code];
            if (!code.problem.empty()) continue;  // said there
            item.packed = shared_image(item, build.specs[i], code);
        }
        ++(item.is_copied    ? report.num_copied
           : item.same_code  ? report.num_shared
           : item.was_cached ? report.num_cached
                             : report.num_compiled);
        judge(build.specs[i], item, report);
        images.push_back(item.packed);
    }
    if (!report.problems.empty()) return report;
    report.num_images = static_cast<int>(images.size());
    report.bytes = write_pack(compiler->version, images);
    WW_ASSIGN(Pack written, Pack::parse(report.bytes));
    report.num_blobs = static_cast<int>(written.num_blobs());
    return report;
}

}  // namespace warpwright
