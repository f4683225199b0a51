// SPDX-License-Identifier: Apache-2.0
#include "check/harness.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string_view>

#include "kernels/host_math.h"

namespace warpwright {
namespace {

constexpr std::size_t kGuardBytes = 512;
constexpr u8 kGuard = 0xa5;
constexpr u8 kPoison = 0xff;  // NaN in f32, f16 and bf16; -1 in i32

}  // namespace

void Workbench::fail(const Status& status) {
    if (status_.ok()) status_ = status;
}

Tensor Workbench::allocate(DType type, std::initializer_list<i64> shape, bool misaligned, bool guarded) {
    Tensor tensor = Tensor::dense(nullptr, type, shape);
    const std::size_t payload_bytes = static_cast<std::size_t>(tensor.num_elements()) * dtype_bytes(type);
    const bool needs_bands = !context_.device().poisons_fresh_memory();
    const std::size_t band_bytes = needs_bands ? kGuardBytes : 0;
    const std::size_t payload_offset = band_bytes + (misaligned ? dtype_bytes(type) : 0);
    const std::size_t total_bytes = payload_offset + payload_bytes + band_bytes;
    auto buffer = Buffer::allocate(context_.shared_device(), total_bytes);
    if (!buffer.ok()) {
        has_memory_ = false;
        fail(buffer.status());
        return tensor;
    }
    auto* start = buffer->as<std::byte>();
    tensor.data = start + payload_offset;
    if (needs_bands) fail(context_.device().fill(start, kGuard, total_bytes, stream()));
    if (guarded) guarded_.push_back({start, payload_offset, payload_bytes, total_bytes, {}});
    buffers_.push_back(std::move(*buffer));
    return tensor;
}

// Normal values, rounded to the tensor's type, into the tensor.
void Workbench::draw(const Tensor& tensor, double scale) {
    const auto count = static_cast<std::size_t>(tensor.num_elements());
    const std::string name = fmt::format("{} {} x {}", count, dtype_name(tensor.dtype), scale);
    const Drawn& drawn = answer(name, [&] {
        Drawn fresh{std::vector<std::byte>(count * dtype_bytes(tensor.dtype)), random_, input_digest_};
        std::normal_distribution<float> normal(0, static_cast<float>(scale));
        for (std::size_t i = 0; i < count; ++i) {
            store_float(fresh.raw.data(), tensor.dtype, static_cast<i64>(i), normal(fresh.random_after));
        }
        fresh.digest_after = digest(input_digest_, fresh.raw.data(), fresh.raw.size());
        return fresh;
    });
    random_ = drawn.random_after;
    input_digest_ = drawn.digest_before == input_digest_
                        ? drawn.digest_after
                        : digest(input_digest_, drawn.raw.data(), drawn.raw.size());
    if (!status_.ok()) return;
    fail(context_.device().copy_in(tensor.data, drawn.raw.data(), drawn.raw.size(), stream()));
    fail(context_.device().synchronize(stream()));
}

// Most bytes are those of an earlier row: a hash of whole words tells so in a fraction of a digest's time.
void Workbench::note_input(const void* data, std::size_t bytes) {
    constexpr std::size_t kWorthIt = 4096;
    if (bytes < kWorthIt) {
        input_digest_ = digest(input_digest_, data, bytes);
        return;
    }
    const std::size_t hash = std::hash<std::string_view>{}({static_cast<const char*>(data), bytes});
    input_digest_ = answer(fmt::format("{} bytes {:x} after {:x}", bytes, hash, input_digest_),
                           [&] { return digest(input_digest_, data, bytes); });
}

Tensor Workbench::input(DType type, std::initializer_list<i64> shape, double scale, bool misaligned) {
    const Tensor tensor = allocate(type, shape, misaligned, false);
    draw(tensor, scale);
    return tensor;
}

Tensor Workbench::integers(const std::vector<i32>& values) {
    return bytes(std::as_bytes(std::span(values)), DType::i32);
}

Tensor Workbench::bytes(std::span<const std::byte> values, DType type) {
    Tensor tensor = allocate(type, {static_cast<i64>(values.size()) / dtype_bytes(type)}, false, false);
    note_input(values.data(), values.size());
    if (status_.ok()) {
        fail(context_.device().copy_in(tensor.data, values.data(), values.size(), stream()));
        fail(context_.device().synchronize(stream()));
    }
    return tensor;
}

Tensor Workbench::output(DType type, std::initializer_list<i64> shape, bool misaligned) {
    const Tensor tensor = allocate(type, shape, misaligned, true);
    if (status_.ok() && !context_.device().poisons_fresh_memory()) {
        fail(context_.device().fill(tensor.data, kPoison, guarded_.back().payload_bytes, stream()));
    }
    return tensor;
}

Tensor Workbench::in_place(DType type, std::initializer_list<i64> shape, double scale, bool misaligned) {
    const Tensor tensor = allocate(type, shape, misaligned, true);
    draw(tensor, scale);
    return tensor;
}

std::vector<float> Workbench::read(const Tensor& tensor) {
    const auto count = static_cast<std::size_t>(tensor.num_elements());
    std::vector<std::byte> raw(count * dtype_bytes(tensor.dtype));
    if (status_.ok()) fail(context_.device().copy_out(raw.data(), tensor.data, raw.size(), stream()));
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i)
        values[i] = load_float(raw.data(), tensor.dtype, static_cast<i64>(i));
    return values;
}

std::vector<i32> Workbench::read_integers(const Tensor& tensor) {
    std::vector<i32> values(static_cast<std::size_t>(tensor.num_elements()));
    if (status_.ok())
        fail(context_.device().copy_out(values.data(), tensor.data, values.size() * 4, stream()));
    return values;
}

void Workbench::write(const Tensor& tensor, const std::vector<float>& values) {
    std::vector<std::byte> raw(values.size() * dtype_bytes(tensor.dtype));
    for (std::size_t i = 0; i < values.size(); ++i) {
        store_float(raw.data(), tensor.dtype, static_cast<i64>(i), values[i]);
    }
    note_input(raw.data(), raw.size());
    if (!status_.ok()) return;
    fail(context_.device().copy_in(tensor.data, raw.data(), raw.size(), stream()));
    fail(context_.device().synchronize(stream()));
}

Status Workbench::finish() {
    fail(context_.device().synchronize(stream()));
    const bool has_bands = !context_.device().poisons_fresh_memory();  // else every access was checked
    bool has_changed = output_digest_ == 0;
    for (Guarded& guarded : guarded_) {
        if (!status_.ok()) break;
        std::vector<u8> bytes(guarded.total_bytes);
        fail(context_.device().copy_out(bytes.data(), guarded.start, bytes.size(), stream()));
        if (bytes == guarded.found) continue;
        has_changed = true;
        for (std::size_t i = 0; has_bands && i < bytes.size(); ++i) {
            if (i >= guarded.payload_offset && i < guarded.payload_offset + guarded.payload_bytes) continue;
            if (bytes[i] == kGuard || !status_.ok()) continue;
            const i64 distance =
                i < guarded.payload_offset
                    ? static_cast<i64>(i) - static_cast<i64>(guarded.payload_offset)
                    : static_cast<i64>(i - guarded.payload_offset - guarded.payload_bytes) + 1;
            fail(Status(ErrorKind::caller,
                        fmt::format("wrote outside an output: {} bytes {} it", std::abs(distance),
                                    distance < 0 ? "before" : "past the end of")));
        }
        guarded.found = std::move(bytes);
    }
    if (!has_changed) return status_;
    output_digest_ = kDigestStart;
    for (const Guarded& guarded : guarded_) {
        if (guarded.found.empty()) continue;
        output_digest_ =
            digest(output_digest_, guarded.found.data() + guarded.payload_offset, guarded.payload_bytes);
    }
    return status_;
}

namespace {

bool is_finite(double oracle) {
    return std::isfinite(static_cast<float>(oracle));
}

// Whether NaN and infinity stand at the same places.
Comparison compare_specials(const std::vector<float>& kernel, const std::vector<double>& oracle) {
    for (std::size_t i = 0; i < oracle.size(); ++i) {
        if (is_finite(oracle[i]) && std::isfinite(kernel[i])) continue;
        const bool same =
            std::isnan(oracle[i]) ? std::isnan(kernel[i]) : static_cast<float>(oracle[i]) == kernel[i];
        if (!same)
            return {false, 0, 0, fmt::format("element {}: got {}, expected {}", i, kernel[i], oracle[i])};
    }
    return {};
}

// Of finite elements.
struct Errors {
    double largest = 0;  // by its part of what `allowed` gives for its element
    std::size_t worst = 0;
    double squares = 0;

    template <class Allowed>
    Errors(const std::vector<float>& values, const std::vector<double>& oracle, const Allowed& allowed) {
        double largest_part = 0;
        for (std::size_t i = 0; i < oracle.size(); ++i) {
            if (!is_finite(oracle[i])) continue;
            const double error = std::abs(values[i] - oracle[i]);
            const double part = error == 0 ? 0 : error / allowed(i);
            if (part > largest_part) largest_part = part, largest = error, worst = i;
            squares += error * error;
        }
    }
};

void judge_errors(Comparison& result, const Errors& errors, double rms_bound,
                  const std::vector<float>& kernel, const std::vector<double>& oracle) {
    const double rms =
        std::sqrt(errors.squares / static_cast<double>(std::max<std::size_t>(oracle.size(), 1)));
    result.error = errors.largest;
    if (result.error > result.bound) {
        result.ok = false;
        result.text =
            fmt::format("element {}: got {}, expected {}; error {:.3g} over the bound {:.3g}", errors.worst,
                        kernel[errors.worst], oracle[errors.worst], result.error, result.bound);
    } else if (rms > rms_bound) {
        result.ok = false;
        result.text = fmt::format("root-mean-square error {:.3g} over the bound {:.3g}", rms, rms_bound);
    }
}

}  // namespace

Comparison compare(const std::vector<float>& kernel, const std::vector<double>& oracle,
                   const std::vector<float>& reference, double magnitude) {
    if (kernel.size() != oracle.size() || reference.size() != oracle.size()) {
        return {false, 0, 0,
                fmt::format("sizes differ: kernel {}, oracle {}, reference {}", kernel.size(), oracle.size(),
                            reference.size())};
    }
    Comparison result = compare_specials(kernel, oracle);
    if (!result.ok) return result;
    const auto same = [](std::size_t) { return 1.0; };
    const Errors errors(kernel, oracle, same), allowed(reference, oracle, same);
    // why: 2^-23 is fp32's spacing at 1; a sum of n terms in another order differs by a few of those times
    // the sum of absolute values.
    const double absolute = magnitude * 0x1p-23;
    const auto count = static_cast<double>(std::max<std::size_t>(oracle.size(), 1));
    result.bound = 2 * allowed.largest + 8 * absolute;
    judge_errors(result, errors, 2 * std::sqrt(allowed.squares / count) + absolute, kernel, oracle);
    return result;
}

Comparison compare(const std::vector<float>& kernel, const std::vector<double>& oracle,
                   const std::vector<ErrorBound>& bounds) {
    if (kernel.size() != oracle.size() || bounds.size() != oracle.size()) {
        return {false, 0, 0,
                fmt::format("sizes differ: kernel {}, oracle {}, bounds {}", kernel.size(), oracle.size(),
                            bounds.size())};
    }
    Comparison result = compare_specials(kernel, oracle);
    if (!result.ok || oracle.empty()) return result;
    const Errors errors(kernel, oracle, [&](std::size_t i) { return double(bounds[i].largest); });
    double squares = 0;
    for (const ErrorBound& bound : bounds) squares += double(bound.usual) * bound.usual;
    result.bound = bounds[errors.worst].largest;
    judge_errors(result, errors, std::sqrt(squares / static_cast<double>(oracle.size())), kernel, oracle);
    return result;
}

std::vector<float> rounded(const std::vector<double>& oracle, DType type) {
    std::vector<float> values(oracle.size());
    for (std::size_t i = 0; i < oracle.size(); ++i) values[i] = round_to(type, static_cast<float>(oracle[i]));
    return values;
}

double largest(const std::vector<double>& values) {
    double result = 0;
    for (double value : values) {
        if (std::isfinite(value)) result = std::max(result, std::abs(value));
    }
    return result;
}

void judge(CheckResult& result, Workbench& bench, const Comparison& comparison, const char* what) {
    if (result.outcome == CheckResult::Outcome::failed) return;
    const Status status = bench.finish();
    result.error = std::max(result.error, comparison.error);
    result.bound = std::max(result.bound, comparison.bound);
    result.input_digest = bench.input_digest();
    result.output_digest = bench.output_digest();
    if (status.ok() && comparison.ok) return;
    result.outcome = CheckResult::Outcome::failed;
    result.text = fmt::format("{}: {}", what, status.ok() ? comparison.text : status.message());
}

}  // namespace warpwright
