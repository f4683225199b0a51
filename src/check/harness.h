// SPDX-License-Identifier: Apache-2.0
// What a check of one row needs: random inputs, poisoned outputs between guard bands, and a comparison whose
// tolerance is derived from the data (DESIGN section 7).
#pragma once

#include <any>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/error_bound.h"
#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct CheckResult {
    enum class Outcome { passed, failed, refused };  // refused: the row does not serve this problem
    std::string op;
    std::string row;
    std::string problem;
    Outcome outcome = Outcome::passed;
    std::string text;  // why it failed or was refused
    double error = 0;  // largest |kernel - oracle|
    double bound = 0;  // what was allowed
    // Of all bytes the kernel was given, and of all it left in outputs, unwritten parts too: equal on two
    // devices when they computed the same. 0: not run. A row is approximate when its code has instructions
    // that are not defined to the bit (.approx).
    u64 input_digest = 0;
    u64 output_digest = 0;
    bool approximate = false;
    bool tried =
        true;  // false: its kernel could not be made, or memory was short: it says nothing of the row
};

// FNV-1a, 64 bits.
constexpr u64 kDigestStart = 0xcbf29ce484222325ull;
inline u64 digest(u64 before, const void* data, std::size_t bytes) {
    const auto* from = static_cast<const u8*>(data);
    for (std::size_t i = 0; i < bytes; ++i) before = (before ^ from[i]) * 0x100000001b3ull;
    return before;
}
// What a problem's check computes that is the same for every row and every device: random inputs and the
// oracle's answers. A value belongs to the state of the random numbers at which it was asked for, so that one
// that depends on other inputs is not found.
class Answers {
public:
    template <class F>
    auto get(std::mt19937_64& random, const std::string& name, const F& compute) -> const
        decltype(compute())& {
        std::mt19937_64 next = random;
        std::any& slot = values_[name + " " + std::to_string(next())];
        if (!slot.has_value()) slot = compute();
        return *std::any_cast<decltype(compute())>(&slot);
    }

private:
    std::map<std::string, std::any> values_;
};

// The inputs and outputs of one call. Everything is freed with it.
class Workbench {
public:
    Workbench(Context& context, u64 seed, Answers* answers = nullptr)
        : context_(context), random_(seed), answers_(answers != nullptr ? *answers : own_answers_) {}
    Workbench(const Workbench&) = delete;
    Workbench& operator=(const Workbench&) = delete;

    Context& context() { return context_; }
    Stream stream() const { return {}; }

    // Normal values x scale, rounded to `type`. `misaligned` starts the data one element past an aligned
    // address. Where a check must not rely on finiteness it overwrites values through write().
    Tensor input(DType type, std::initializer_list<i64> shape, double scale = 1, bool misaligned = false);
    Tensor integers(const std::vector<i32>& values);
    // These bytes as they are, as a vector of `type`, aligned.
    Tensor bytes(std::span<const std::byte> values, DType type);
    // Filled with a pattern that is NaN in every floating-point type, between guard bands; on a device that
    // checks every access, not written at all and without bands.
    Tensor output(DType type, std::initializer_list<i64> shape, bool misaligned = false);
    // Read and written in place: random, between guard bands.
    Tensor in_place(DType type, std::initializer_list<i64> shape, double scale = 1, bool misaligned = false);

    std::vector<float> read(const Tensor& tensor);  // as float, dense
    std::vector<i32> read_integers(const Tensor& tensor);
    void write(const Tensor& tensor, const std::vector<float>& values);

    // Any failure of the calls above, and then guard bands that were written to.
    Status finish();
    bool has_memory() const { return has_memory_; }  // all that was asked for
    u64 input_digest() const { return input_digest_; }
    u64 output_digest() const { return output_digest_; }  // as of the last finish()

    std::mt19937_64& random() { return random_; }

    // compute(), or what it gave for an earlier row. It must be a function of the inputs asked for so far.
    template <class F>
    auto answer(const std::string& name, const F& compute) -> const decltype(compute())& {
        return answers_.get(random_, name, compute);
    }

private:
    struct Drawn {
        std::vector<std::byte> raw;
        std::mt19937_64 random_after;
        u64 digest_before = 0, digest_after = 0;  // of the inputs
    };
    void draw(const Tensor& tensor, double scale);
    void note_input(const void* data, std::size_t bytes);  // to the digest
    Tensor allocate(DType type, std::initializer_list<i64> shape, bool misaligned, bool guarded);
    void fail(const Status& status);

    struct Guarded {
        std::byte* start;
        std::size_t payload_offset;
        std::size_t payload_bytes;
        std::size_t total_bytes;
        std::vector<u8> found;  // by the last finish()
    };
    Context& context_;
    std::mt19937_64 random_;
    Answers own_answers_;
    Answers& answers_;
    std::vector<Buffer> buffers_;
    std::vector<Guarded> guarded_;
    Status status_;
    bool has_memory_ = true;
    u64 input_digest_ = kDigestStart;
    u64 output_digest_ = 0;
};

struct Comparison {
    bool ok = true;
    double error = 0;
    double bound = 0;
    std::string text;
};

// `reference` is the same computation in the precision the kernel is entitled to (its storage types, fp32
// accumulation), done the plain way. The kernel's largest error, and its root-mean-square error, against the
// oracle may be at most twice the reference's, plus fp32 rounding of `magnitude`: the largest sum of absolute
// values that any one output adds up (pass the largest |oracle| where nothing cancels). NaN and infinity must
// stand at the same places first.
Comparison compare(const std::vector<float>& kernel, const std::vector<double>& oracle,
                   const std::vector<float>& reference, double magnitude);
// The same where every element has a bound of its own.
Comparison compare(const std::vector<float>& kernel, const std::vector<double>& oracle,
                   const std::vector<ErrorBound>& bounds);

// Rounds an oracle to the storage type: the reference of operations that only round once, at the end.
std::vector<float> rounded(const std::vector<double>& oracle, DType type);
double largest(const std::vector<double>& values);

// Turns a comparison (and the workbench's own findings) into the result's outcome. Keeps an earlier failure.
void judge(CheckResult& result, Workbench& bench, const Comparison& comparison, const char* what);

}  // namespace warpwright
