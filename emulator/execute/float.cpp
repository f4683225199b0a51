// SPDX-License-Identifier: Apache-2.0
// Arithmetic of f32, f32x2 and f64, PTX ISA 9.7.3.
#include <algorithm>
#include <array>
#include <atomic>
#include <cfenv>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "emulator/decode/binding.h"
#include "emulator/execute/forms.h"
#include "emulator/execute/lanes.h"

namespace warpwright::emulator {
namespace {

constexpr u64 kNanF64 = 0xfff8000000000000ull;

// .sat: NaN becomes 0.
WW_LANE float saturated(float x) {
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}
// min and max, PTX ISA 9.7.3.11: -0 is below +0; a NaN is passed over, unless .NaN says that it wins.
template <bool is_max, bool nan>
WW_LANE float smaller_or_larger(float a, float b) {
    const float equal =
        float_of(is_max ? float_bits(a) & float_bits(b) : float_bits(a) | float_bits(b));  // zeros differ
    const bool takes_a = (is_max ? a > b : a < b) | (nan ? a != a : b != b);
    const float d = a == b ? equal : takes_a ? a : b;
    return with_canonical_nan(d);
}
// Double precision returns a source that is NaN, made quiet, and its own NaN where none is: which source is
// what a Hopper GPU does (tests/emulator/words). Here the first one that is given.
WW_LANE double quiet_nan_of(double a, double otherwise) {
    return a == a ? otherwise : std::bit_cast<double>(std::bit_cast<u64>(a) | u64{1} << 51);
}
WW_LANE double with_nan_of(double d, double a, double b) {
    const double nan = quiet_nan_of(a, quiet_nan_of(b, std::bit_cast<double>(kNanF64)));
    return d == d ? d : nan;
}
WW_LANE double with_nan_of(double d, double a, double b, double c) {
    const double nan = quiet_nan_of(a, quiet_nan_of(b, quiet_nan_of(c, std::bit_cast<double>(kNanF64))));
    return d == d ? d : nan;
}

enum class Arithmetic : u8 { add, sub, mul, fma, div, sqrt };

// While it lives, the host rounds as it says. Arithmetic is kept inside by what it reads and writes: the
// arrays are handed to both ends, so that they must be in memory there.
class RoundingScope {
public:
    template <class T>
    RoundingScope(Rounding rounding, T* a, T* b, T* c, T* d) : operands_{a, b, c, d} {
#if defined(__x86_64__)
        const unsigned bits = rounding == Rounding::toward_zero ? _MM_ROUND_TOWARD_ZERO
                              : rounding == Rounding::down      ? _MM_ROUND_DOWN
                                                                : _MM_ROUND_UP;
        before_ = _mm_getcsr();
        _mm_setcsr((before_ & ~static_cast<unsigned>(_MM_ROUND_MASK)) | bits);
#else
        before_ = static_cast<unsigned>(std::fegetround());
        std::fesetround(rounding == Rounding::toward_zero ? FE_TOWARDZERO
                        : rounding == Rounding::down      ? FE_DOWNWARD
                                                          : FE_UPWARD);
#endif
        fence();
    }
    ~RoundingScope() {
        fence();
#if defined(__x86_64__)
        _mm_setcsr(before_);
#else
        std::fesetround(static_cast<int>(before_));
#endif
    }
    RoundingScope(const RoundingScope&) = delete;
    RoundingScope& operator=(const RoundingScope&) = delete;

private:
    // The compiler knows neither what reads the operands between two fences nor that rounding changed.
    void fence() const {
        for (void* operand : operands_) escaped_ = operand;
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    static inline thread_local void* volatile escaped_ = nullptr;
    void* operands_[4];
    unsigned before_;
};

#define WW_SIMD_FILE "emulator/execute/float.inl"
#include "emulator/execute/each_simd_level.inl"

namespace rare {
#include "emulator/execute/lanewise.inl"

// min and max of three. flag[0]: .ftz, flag[1]: .NaN, flag[2]: .abs.
template <bool is_max, bool nan>
Flow extreme3(Warp& warp, const Instruction& i, u32 active) {
    const auto source = [&](int k, int l) {
        const u32 bits = warp.lanes<u32>(i.slot[k])[l];
        const float x = float_of(i.flag[2] ? bits & 0x7fffffffu : bits);
        return i.flag[0] ? flush(x) : x;
    };
    store_each_lane(warp.lanes<u32>(i.slot[0]), active, [&](int l) {
        const float d = smaller_or_larger<is_max, nan>(source(1, l), source(2, l));
        return float_bits(smaller_or_larger<is_max, nan>(d, source(3, l)));
    });
    return Flow::next;
}

enum class Property : u8 { finite, infinite, number, notanumber, normal, subnormal };
// detail[0]: Property.
template <class T>
Flow testp(Warp& warp, const Instruction& i, u32 active) {
    using Word = WordOf<T>;
    constexpr int kMantissaBits = sizeof(T) == 4 ? 23 : 52;
    const Word* const a = warp.lanes<Word>(i.slot[0]);
    const u32 mask = mask_lanes([&](int l) {
        const Word magnitude = a[l] & (~Word{0} >> 1);
        const Word infinity = (~Word{0} >> 1) >> kMantissaBits << kMantissaBits;
        const Word exponent = magnitude >> kMantissaBits;
        switch (static_cast<Property>(i.detail[0])) {
            case Property::finite: return magnitude < infinity;
            case Property::infinite: return magnitude == infinity;
            case Property::number: return magnitude <= infinity;
            case Property::notanumber: return magnitude > infinity;
            // A zero counts, as Hopper says and PTX ISA does not.
            case Property::normal: return (exponent != 0 || magnitude == 0) && magnitude < infinity;
            case Property::subnormal: return exponent == 0 && magnitude != 0;
        }
        return false;
    });
    u32& p = warp.predicate(i.predicate[0]);
    p = merge_lanes(p, mask, active);
    return Flow::next;
}
}  // namespace rare

Status bind_float(Binding& b) {
    return bind_form(b, {at_level<std::span<const Form>>(baseline::kForms, avx2::kForms, avx512::kForms)});
}

// detail[0]: Rounding. flag[0]: .ftz, flag[1]: .sat. All three sources have slots; what an operation does not
// have is its first one again, and rcp is 1 / a.
Status bind_directed(Binding& b) {
    const auto& modifiers = b.statement().modifiers;
    const auto has = [&](std::string_view name) {
        return std::find(modifiers.begin(), modifiers.end(), name) != modifiers.end();
    };
    if (!(has("rz") || has("rm") || has("rp")) || !(has("f32") || has("f64"))) return not_mine();
    const std::string_view opcode = b.statement().opcode;
    const std::string_view rounding = b.take_one_of({"rz", "rm", "rp"});
    Instruction& i = b.instruction();
    i.detail[0] = static_cast<i32>(rounding == "rz"   ? Rounding::toward_zero
                                   : rounding == "rm" ? Rounding::down
                                                      : Rounding::up);
    WW_ASSIGN(const Type type, b.type());
    const bool is_single = type == Type::f32;
    const auto operation = opcode == "add"                      ? Arithmetic::add
                           : opcode == "sub"                    ? Arithmetic::sub
                           : opcode == "mul"                    ? Arithmetic::mul
                           : opcode == "sqrt"                   ? Arithmetic::sqrt
                           : opcode == "div" || opcode == "rcp" ? Arithmetic::div
                                                                : Arithmetic::fma;
    const bool may_saturate = operation != Arithmetic::div && operation != Arithmetic::sqrt;
    if (is_single) i.flag[0] = b.take("ftz");
    if (is_single && may_saturate) i.flag[1] = b.take("sat");
    b.dest(0, type);
    if (opcode == "rcp") {
        Operand one;
        one.kind = Operand::Kind::real;
        one.real = 1;
        one.integer = std::bit_cast<u64>(1.0);
        b.source(one, type);
    }
    const int num_sources = operation == Arithmetic::fma                       ? 3
                            : opcode == "rcp" || operation == Arithmetic::sqrt ? 1
                                                                               : 2;
    for (int k = 1; k <= num_sources; ++k) b.source(k, type);
    for (int k = num_sources + (opcode == "rcp" ? 1 : 0); k < 3; ++k) b.source(1, type);
    using Row = Handler[2];
    b.handler(at_level<const Row*>(baseline::kDirected, avx2::kDirected,
                                   avx512::kDirected)[static_cast<int>(operation)][is_single ? 0 : 1]);
    return {};
}

// min, max{.ftz}{.NaN}{.abs}.f32 d, a, b, c
Status bind_extreme3(Binding& b) {
    if (b.num_operands() != 4 || !b.take("f32")) return not_mine();
    Instruction& i = b.instruction();
    i.flag[0] = b.take("ftz");
    i.flag[1] = b.take("NaN");
    i.flag[2] = b.take("abs");
    b.dest(0, Type::f32);
    for (int k = 1; k <= 3; ++k) b.source(k, Type::f32);
    const bool nan = i.flag[1];
    if (b.statement().opcode == "max")
        b.handler(nan ? &rare::extreme3<true, true> : &rare::extreme3<true, false>);
    else
        b.handler(nan ? &rare::extreme3<false, true> : &rare::extreme3<false, false>);
    return {};
}

Status bind_testp(Binding& b) {
    constexpr std::string_view kNames[] = {"finite",     "infinite", "number",
                                           "notanumber", "normal",   "subnormal"};
    int property = -1;
    for (int k = 0; k < 6; ++k) {
        if (property < 0 && b.take(kNames[k])) property = k;
    }
    if (property < 0) return caller_error("expected a property");
    WW_ASSIGN(const Type type, b.type());
    if (type != Type::f32 && type != Type::f64) return caller_error("expected .f32 or .f64");
    b.instruction().detail[0] = property;
    b.dest_predicate(b.operand(0));
    b.source(1, type);
    b.handler(type == Type::f32 ? &rare::testp<float> : &rare::testp<double>);
    return {};
}

}  // namespace

std::span<const Opcode> float_opcodes() {
    const auto forms = [](std::string_view opcode) { return forms_text(opcode, {baseline::kForms}); };
    constexpr std::string_view kDirectedSat = ".{rz,rm,rp}{.ftz}{.sat}.f32 .{rz,rm,rp}.f64";
    constexpr std::string_view kDirected = ".{rz,rm,rp}{.ftz}.f32 .{rz,rm,rp}.f64";
    constexpr std::string_view kThree = "{.ftz}{.NaN}{.abs}.f32 of three sources";
    static const std::array list = {
        Opcode{"testp", bind_testp, "9.7.3.1",
               ".{finite,infinite,number,notanumber,normal,subnormal}.{f32,f64}"},
        Opcode{"copysign", bind_float, "9.7.3.2", forms("copysign")},
        Opcode{"add", bind_float, "9.7.3.3", forms("add")},
        Opcode{"add", bind_directed, "9.7.3.3", kDirectedSat},
        Opcode{"sub", bind_float, "9.7.3.4", forms("sub")},
        Opcode{"sub", bind_directed, "9.7.3.4", kDirectedSat},
        Opcode{"mul", bind_float, "9.7.3.5", forms("mul")},
        Opcode{"mul", bind_directed, "9.7.3.5", kDirectedSat},
        Opcode{"fma", bind_float, "9.7.3.6", forms("fma")},
        Opcode{"fma", bind_directed, "9.7.3.6", kDirectedSat},
        Opcode{"mad", bind_float, "9.7.3.7", forms("mad")},
        Opcode{"mad", bind_directed, "9.7.3.7", kDirectedSat},
        Opcode{"div", bind_float, "9.7.3.8", forms("div")},
        Opcode{"div", bind_directed, "9.7.3.8", kDirected},
        Opcode{"abs", bind_float, "9.7.3.9", forms("abs")},
        Opcode{"neg", bind_float, "9.7.3.10", forms("neg")},
        Opcode{"min", bind_float, "9.7.3.11", forms("min")},
        Opcode{"min", bind_extreme3, "9.7.3.11", kThree},
        Opcode{"max", bind_float, "9.7.3.12", forms("max")},
        Opcode{"max", bind_extreme3, "9.7.3.12", kThree},
        Opcode{"rcp", bind_float, "9.7.3.13", forms("rcp")},
        Opcode{"rcp", bind_directed, "9.7.3.13", kDirected},
        Opcode{"sqrt", bind_float, "9.7.3.15", forms("sqrt")},
        Opcode{"sqrt", bind_directed, "9.7.3.15", kDirected},
    };
    return list;
}

}  // namespace warpwright::emulator
