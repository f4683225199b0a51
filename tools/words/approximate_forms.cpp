// SPDX-License-Identifier: Apache-2.0
// Approximate functions of f32 (PTX ISA 9.7.3) and of f16 and bf16 (9.7.4), with the bounds that stand there.
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "tools/words/approximation.h"
#include "tools/words/form.h"

namespace warpwright::words {
namespace {

constexpr int kUnaryVectors = 2048;  // every word is kept
constexpr int kAll16 = 65536;

Approximation of(double (*truth)(double, double), bool flushes = false) {
    Approximation approximation;
    approximation.truth = truth;
    approximation.flushes = flushes;
    return approximation;
}

Approximation sine(double (*truth)(double, double), bool flushes) {
    Approximation bound = of(truth, flushes);
    bound.absolute = std::exp2(-20.5);
    bound.highest = 2 * std::numbers::pi;
    bound.far = 100 * std::numbers::pi;
    bound.far_absolute = std::exp2(-14.7);
    return bound;
}

double reciprocal(double a, double) {
    return 1 / a;
}
double square_root(double a, double) {
    return std::sqrt(a);
}
double reciprocal_root(double a, double) {
    return 1 / std::sqrt(a);
}
double sin_of(double a, double) {
    return std::sin(a);
}
double cos_of(double a, double) {
    return std::cos(a);
}
double log_of(double a, double) {
    return std::log2(a);
}
double exp_of(double a, double) {
    return std::exp2(a);
}
double tanh_of(double a, double) {
    return std::tanh(a);
}
double quotient(double a, double b) {
    return a / b;
}

void add_f32(Forms& forms, bool flushes) {
    const char* ftz = flushes ? ".ftz" : "";
    const auto unary = [&](const char* opcode, const Approximation& bound) {
        forms.add(fmt::format("{}.approx{}.f32", opcode, ftz), "f32 > b32")
            .with_vectors(kUnaryVectors)
            .within(bound);
    };
    Approximation bound = of(reciprocal, flushes);
    bound.ulps = 1;
    unary("rcp", bound);
    bound = of(square_root, flushes);
    bound.relative = 0x1p-23;
    unary("sqrt", bound);
    bound = of(reciprocal_root, flushes);
    bound.relative = std::exp2(-22.9);
    unary("rsqrt", bound);
    unary("sin", sine(sin_of, flushes));
    unary("cos", sine(cos_of, flushes));
    bound = of(log_of, flushes);
    bound.relative = bound.absolute = 0x1p-22;  // the absolute one is the larger for a in (0.5, 2) only
    unary("lg2", bound);
    bound = of(exp_of, flushes);
    bound.ulps = 2;
    unary("ex2", bound);

    bound = of(quotient, flushes);
    bound.ulps = 2;
    forms.add(fmt::format("div.full{}.f32", ftz), "f32 f32 > b32").within(bound);
    bound.lowest_b = 0x1p-126;
    bound.highest_b = 0x1p126;
    forms.add(fmt::format("div.approx{}.f32", ftz), "f32 f32 > b32").within(bound);
}

void add_half(Forms& forms, NumberType type, const char* name) {
    const bool is_f16 = type == NumberType::f16;
    Approximation tangent = of(tanh_of);
    tangent.type = type;
    // Of bf16 PTX ISA promises 2^-8, which says nothing of small results, and at 0x1.7ep-1 Hopper is
    // 2^-7.9999 off. It cuts off the f32 function: an error of one unit, and of the 2^-11 that is promised of
    // that.
    (is_f16 ? tangent.absolute : tangent.ulps) = is_f16 ? std::exp2(-10.987) : 1 + 0x1p-4;
    Approximation power = of(exp_of, !is_f16);
    power.type = type;
    power.relative = is_f16 ? std::exp2(-9.9) : 0x1p-7;
    power.subnormal_ulps = 1;  // no relative error can be kept there
    const std::string tanh = fmt::format("tanh.approx.{}", name);
    const std::string ex2 = fmt::format("ex2.approx{}.{}", is_f16 ? "" : ".ftz", name);
    forms.add(tanh, "x16 > b16").with_vectors(kAll16).within(tangent);
    forms.add(ex2, "x16 > b16").with_vectors(kAll16).within(power);
    // Of a pair each half is judged by itself.
    const auto pair = [&](const std::string& opcode, const Approximation& bound) {
        forms
            .add(opcode + "x2", fmt::format("{0} {0} > b16 b16", name),
                 fmt::format("mov.b32 %r0, {{%i0, %i1}};\n{}x2 %r1, %r0;\nmov.b32 {{%o0, %o1}}, %r1;\n",
                             opcode))
            .with_vectors(kUnaryVectors)
            .within(bound);
    };
    pair(tanh, tangent);
    pair(ex2, power);
}

}  // namespace

void add_approximate_forms(Forms& forms) {
    add_f32(forms, false);
    add_f32(forms, true);
    Approximation tangent = of(tanh_of);
    tangent.relative = 0x1p-11;
    forms.add("tanh.approx.f32", "f32 > b32").with_vectors(kUnaryVectors).within(tangent);
    add_half(forms, NumberType::f16, "f16");
    add_half(forms, NumberType::bf16, "bf16");
}

}  // namespace warpwright::words
