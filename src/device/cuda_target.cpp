// SPDX-License-Identifier: Apache-2.0
#include "device/cuda_target.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

namespace warpwright {
namespace {

// Operations per SM and clock of dense matrix products (an fma is two), by input format and accumulator.
struct SmRates {
    int compute_capability;
    bool geforce;  // halves products of 16 and 8 bit floats that accumulate in fp32
    int bf16, fp16acc, fp8, fp4, int8;
};

// From NVIDIA's architecture white papers: datasheet peak / (SMs x boost clock).
constexpr SmRates kSmRates[] = {
    {80, false, 2048, 2048, 0, 0, 4096},
    {86, true, 512, 1024, 0, 0, 2048},
    {86, false, 1024, 1024, 0, 0, 2048},
    {87, false, 1024, 1024, 0, 0, 2048},
    {89, true, 512, 1024, 1024, 0, 2048},
    {89, false, 1024, 1024, 2048, 0, 2048},
    {90, false, 4096, 4096, 8192, 0, 8192},
    {100, false, 8192, 8192, 16384, 32768, 16384},
    {103, false, 8192, 8192, 16384, 49152, 512},
    {110, false, 8192, 8192, 16384, 32768, 16384},
    {120, true, 512, 1024, 1024, 4096, 2048},
    {120, false, 1024, 1024, 2048, 4096, 2048},
    // GB10: the full or the half rate of 12.0 is disputed; the lower one promises nothing that is not there.
    {121, false, 512, 1024, 1024, 4096, 2048},
};

// Words of a name in lower case; a word ends where neither letter nor digit follows.
std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words(1);
    for (const char c : text) {
        const bool upper = c >= 'A' && c <= 'Z';
        if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            words.back() += static_cast<char>(upper ? c - 'A' + 'a' : c);
        } else if (!words.back().empty()) {
            words.emplace_back();
        }
    }
    if (words.back().empty()) words.pop_back();
    std::erase_if(words, [](const std::string& word) { return word == "nvidia" || word == "geforce"; });
    return words;
}

bool has_digit(const std::string& word) {
    return word.find_first_of("0123456789") != std::string::npos;
}

// How well a listed label ("A100 SXM 80", "rtx-pro-6000-server") names a GPU, or -1 when it names another
// model: its first word with a digit ("a100", "6000") must be there exactly, "l4" being no "l40s". Every
// other word counts, found also at the start of a longer one ("80" of "80GB", "sxm" of "SXM4"); one that is
// absent counts a little against the label, so that "... Workstation" wins over "... Max-Q Workstation" where
// both are found.
int label_score(std::string_view label, const std::vector<std::string>& gpu_words) {
    const std::vector<std::string> words = words_of(label);
    if (words.empty()) return -1;
    auto model = std::find_if(words.begin(), words.end(), has_digit);
    if (model == words.end()) model = words.begin();
    if (std::find(gpu_words.begin(), gpu_words.end(), *model) == gpu_words.end()) return -1;
    int score = 0;
    for (const std::string& word : words) {
        const bool found = std::any_of(gpu_words.begin(), gpu_words.end(), [&](const std::string& candidate) {
            return candidate.rfind(word, 0) == 0;
        });
        score += found ? 16 : -1;
    }
    return score;
}

// Boards report a little less, or with decimal units a little more, than the size they are sold by.
bool same_memory(i64 listed_bytes, i64 bytes) {
    return listed_bytes == 0 || std::abs(static_cast<double>(bytes) / listed_bytes - 1) < 0.15;
}

Target unlisted_target(const CudaAttributes& gpu) {
    Target target;
    std::string id;
    for (const std::string& word : words_of(gpu.name)) id += (id.empty() ? "" : "-") + word;
    target.id = id.empty() ? fmt::format("gpu-sm{}", gpu.compute_capability) : id;
    target.name = gpu.name;
    target.source = "attributes read from the driver, peak rates by compute capability";
    target.unsure = {"memory_gb_s"};

    TargetFacts& facts = target.facts;
    facts.compute_capability = gpu.compute_capability;
    facts.build_target = build_target_for(gpu.compute_capability);
    // Two transfers per clock, which is how the driver counts the clocks of every memory type so far.
    facts.memory_gb_s = 2.0 * gpu.memory_clock_khz * 1e3 * gpu.memory_bus_bits / 8 / 1e9;
    const bool geforce = gpu.name.find("GeForce") != std::string::npos;
    const SmRates* rates = nullptr;
    for (const SmRates& row : kSmRates) {
        if (row.compute_capability != gpu.compute_capability) continue;
        if (rates == nullptr || row.geforce == geforce) rates = &row;
    }
    if (rates == nullptr) {
        // Newer than this table: the figures of the last listed capability below it.
        for (const SmRates& row : kSmRates) {
            if (row.compute_capability < gpu.compute_capability && !row.geforce) rates = &row;
        }
        target.unsure.push_back("bf16_tflops");
    }
    if (rates != nullptr) {
        const double tera_clocks = static_cast<double>(gpu.num_sms) * gpu.clock_khz * 1e3 / 1e12;
        facts.bf16_tflops = rates->bf16 * tera_clocks;
        facts.fp16acc_tflops = rates->fp16acc * tera_clocks;
        facts.fp8_tflops = rates->fp8 * tera_clocks;
        facts.fp4_tflops = rates->fp4 * tera_clocks;
        facts.int8_tops = rates->int8 * tera_clocks;
    }
    return target;
}

}  // namespace

Result<CudaAttributes> read_cuda_attributes(const CudaApi& api, CuDevice device) {
    CudaAttributes gpu;
    char name[256] = {};
    WW_TRY(api.status(api.cuDeviceGetName(name, sizeof name - 1, device), "cuDeviceGetName"));
    gpu.name = name;
    std::size_t memory_bytes = 0;
    WW_TRY(api.status(api.cuDeviceTotalMem(&memory_bytes, device), "cuDeviceTotalMem"));
    gpu.memory_bytes = static_cast<i64>(memory_bytes);

    int major = 0;
    int minor = 0;
    const struct {
        cu::DeviceAttribute attribute;
        int* value;
    } wanted[] = {
        {cu::kComputeCapabilityMajor, &major},
        {cu::kComputeCapabilityMinor, &minor},
        {cu::kMultiprocessorCount, &gpu.num_sms},
        {cu::kClockRateKhz, &gpu.clock_khz},
        {cu::kMemoryClockRateKhz, &gpu.memory_clock_khz},
        {cu::kMemoryBusWidthBits, &gpu.memory_bus_bits},
        {cu::kL2CacheBytes, &gpu.l2_bytes},
        {cu::kMaxThreadsPerMultiprocessor, &gpu.max_threads_per_sm},
        {cu::kMaxSharedPerMultiprocessor, &gpu.shared_per_sm_bytes},
        {cu::kMaxSharedPerBlockOptin, &gpu.shared_per_block_bytes},
    };
    for (const auto& [attribute, value] : wanted) {
        WW_TRY(api.status(api.cuDeviceGetAttribute(value, attribute, device),
                          fmt::format("cuDeviceGetAttribute({})", static_cast<int>(attribute))));
    }
    gpu.compute_capability = 10 * major + minor;
    return gpu;
}

const Target* match_target(const CudaAttributes& gpu, std::span<const Target> listed) {
    const std::vector<std::string> gpu_words = words_of(gpu.name);
    const Target* best = nullptr;
    int best_score = 0;
    for (const Target& target : listed) {
        const TargetFacts& facts = target.facts;
        if (facts.compute_capability != gpu.compute_capability) continue;
        const auto& unsure = target.unsure;
        const bool sure_of_sms = std::find(unsure.begin(), unsure.end(), "num_sms") == unsure.end();
        if (sure_of_sms && facts.num_sms != gpu.num_sms) continue;
        if (!same_memory(facts.memory_bytes, gpu.memory_bytes)) continue;
        int score = std::max(label_score(target.id, gpu_words), label_score(target.name, gpu_words));
        for (const std::string& alias : target.aliases)
            score = std::max(score, label_score(alias, gpu_words));
        if (score > best_score) {
            best = &target;
            best_score = score;
        }
    }
    return best;
}

Target make_cuda_target(const CudaAttributes& gpu, std::span<const Target> listed) {
    const Target* match = match_target(gpu, listed);
    Target target = match != nullptr ? *match : unlisted_target(gpu);
    TargetFacts& facts = target.facts;
    facts.num_sms = gpu.num_sms;
    if (gpu.clock_khz > 0) facts.boost_mhz = gpu.clock_khz / 1000;
    facts.max_threads_per_sm = gpu.max_threads_per_sm;
    facts.shared_per_sm_bytes = gpu.shared_per_sm_bytes;
    facts.shared_per_block_bytes = gpu.shared_per_block_bytes;
    facts.l2_bytes = gpu.l2_bytes;
    facts.memory_bytes = gpu.memory_bytes;
    target.measured = true;
    return target;
}

}  // namespace warpwright
