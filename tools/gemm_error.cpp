// SPDX-License-Identifier: Apache-2.0
// How far products in each format are from the product of the numbers that were quantised, in fp64: weights
// rounded to nearest as `warpwright quantize` does it, activations as the quantize operation does.
//
//   gemm_error [MODEL] > docs/results/DATE_cpu_gemm-error.json
//
// Three kinds of matrices: normal numbers; numbers with a model's outliers (activations with channels that
// are twenty times the others, rows of weights of different size); and two layers of MODEL, models/glossary
// unless it is named, with normal inputs. `rms` is the error's root mean square over the result's, `max` the
// largest error over that.
#include <fmt/format.h>

#include <cmath>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "engine/safetensors.h"
#include "formats/quantise.h"
#include "kernels/host_math.h"
#include "kernels/quantized_gemm/pack.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/quantize.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/ops/scaled_gemm.h"

namespace warpwright {
namespace {

using formats::Code;
using formats::QuantizedMatrix;
using formats::Recipe;
using formats::ScaleCode;
using Json = nlohmann::ordered_json;

struct Case {
    std::string name;
    i64 m = 0, n = 0, k = 0;
    std::vector<u16> a;    // [m, k] bf16
    std::vector<float> w;  // [n, k]
};

// One way of multiplying: weights, and activations in 16 bits or in these groups of eight.
struct Format {
    const char* weights;
    const char* activations;
    Recipe recipe;
    bool eight_bit_activations = false;
    QuantizeFormat a_format{}, b_format{};
};

constexpr Recipe kInt8{.code = Code::i8}, kFp8{.code = Code::e4m3};
constexpr Recipe kTensor{.code = Code::e4m3, .group_rows = 0};
constexpr Recipe kBlock{.code = Code::e4m3, .group_rows = 128, .group_columns = 128};
constexpr Recipe kMx8{.code = Code::e4m3, .group_columns = 32, .scale_code = ScaleCode::e8m0};

const Format kFormats[] = {
    {"int4", "bf16", {.code = Code::u4, .group_columns = 128}},
    {"int4-asym", "bf16", {.code = Code::u4, .group_columns = 128, .symmetric = false}},
    {"int8", "bf16", kInt8},
    {"fp8", "bf16", kFp8},
    {"fp8-tensor", "bf16", kTensor},
    {"fp8-block", "bf16", kBlock},
    {"mxfp8", "bf16", kMx8},
    {"mxfp4", "bf16", {.code = Code::e2m1, .group_columns = 32, .scale_code = ScaleCode::e8m0}},
    {"nvfp4", "bf16", {.code = Code::e2m1, .group_columns = 16, .scale_code = ScaleCode::e4m3}},
    {"int8", "int8 per token", kInt8, true, kInt8PerToken, kInt8PerToken},
    {"fp8", "fp8 per token", kFp8, true, kFp8PerToken, kFp8PerToken},
    {"fp8-tensor", "fp8 per tensor", kTensor, true, kFp8PerTensor, kFp8PerTensor},
    {"fp8-block", "fp8 1x128", kBlock, true, kFp8Groups, kFp8Blocks},
    {"mxfp8", "mxfp8", kMx8, true, kMxfp8, kMxfp8},
};

Tensor bf16(const std::vector<u16>& values, i64 rows, i64 columns) {
    return Tensor::dense(const_cast<u16*>(values.data()), DType::bf16, {rows, columns});
}

QuantizedMatrix quantised(const Case& x, const Recipe& recipe) {
    QuantizedMatrix m;
    const float largest = formats::largest_magnitude(x.w.data(), x.n * x.k);
    formats::quantise_rows(recipe, x.w.data(), x.n, x.k, largest, m);
    return m;
}

Status multiply_bf16(Context& context, const Case& x, std::vector<float>& d) {
    std::vector<u16> w;
    for (const float value : x.w) w.push_back(float_to_bf16(value));
    return gemm(context, {},
                {.a = bf16(x.a, x.m, x.k),
                 .b = bf16(w, x.n, x.k),
                 .d = Tensor::dense(d.data(), DType::f32, {x.m, x.n})});
}

Status multiply_weight_only(Context& context, const Case& x, const Recipe& recipe, std::vector<float>& d) {
    QuantizedMatrix m = quantised(x, recipe);
    if (m.code == Code::e4m3 && m.scale_code == ScaleCode::e8m0) {  // powers of two are numbers as well
        m.scale_code = ScaleCode::none;
        m.scale_codes.clear();
    }
    WW_ASSIGN(PackedWeight packed, pack_weight(m));
    const auto bytes = [](auto& values, DType type) {
        const auto size = static_cast<i64>(values.size()) / dtype_bytes(type);
        return values.empty() ? Tensor{} : Tensor::dense(values.data(), type, {size});
    };
    return quantized_gemm(context, {},
                          {.a = bf16(x.a, x.m, x.k),
                           .b = {.format = packed.format,
                                 .n = x.n,
                                 .k = x.k,
                                 .group = packed.group,
                                 .data = bytes(packed.data, DType::u8),
                                 .scales = bytes(packed.scales, packed.scale_type),
                                 .zeros = bytes(packed.zeros, DType::u8),
                                 .global_scale = packed.global_scale},
                           .d = Tensor::dense(d.data(), DType::f32, {x.m, x.n})});
}

Status multiply_eight_bit(Context& context, const Case& x, const Format& format, std::vector<float>& d) {
    QuantizedMatrix b = quantised(x, format.recipe);
    const bool coded = dtype_of(format.a_format.scale) == DType::u8;
    const i64 scale_rows = format.a_format.group_rows == 0 ? 1 : x.m;
    const i64 parts = format.a_format.group_columns == 0 ? 1 : x.k / format.a_format.group_columns;
    std::vector<u8> codes(static_cast<std::size_t>(x.m * x.k));
    std::vector<float> scales(static_cast<std::size_t>(scale_rows * parts)), amax_parts(512);
    const Tensor a = Tensor::dense(codes.data(), DType::u8, {x.m, x.k});
    const Tensor a_scales = Tensor::dense(scales.data(), coded ? DType::u8 : DType::f32, {scale_rows, parts});
    WW_TRY(quantize(context, {},
                    {.x = bf16(x.a, x.m, x.k),
                     .format = format.a_format,
                     .codes = a,
                     .scales = a_scales,
                     .amax_parts = Tensor::dense(amax_parts.data(), DType::f32, {512})}));
    void* b_scales = coded ? static_cast<void*>(b.scale_codes.data()) : b.scales.data();
    return scaled_gemm(
        context, {},
        {.a = a,
         .b = Tensor::dense(b.codes.data(), DType::u8, {x.n, x.k}),
         .a_scales = a_scales,
         .b_scales = Tensor::dense(b_scales, a_scales.dtype, {b.row_groups(), b.column_groups()}),
         .a_format = format.a_format,
         .b_format = format.b_format,
         .d = Tensor::dense(d.data(), DType::f32, {x.m, x.n})});
}

std::vector<double> exact_product(const Case& x) {
    std::vector<double> d(static_cast<std::size_t>(x.m * x.n));
    for (i64 i = 0; i < x.m; ++i) {
        for (i64 j = 0; j < x.n; ++j) {
            double sum = 0;
            for (i64 k = 0; k < x.k; ++k) sum += double{bf16_to_float(x.a[i * x.k + k])} * x.w[j * x.k + k];
            d[i * x.n + j] = sum;
        }
    }
    return d;
}

Json error_of(const std::vector<double>& exact, const std::vector<float>& d, const char* weights,
              const char* activations) {
    double squares = 0, error_squares = 0, largest = 0;
    for (std::size_t i = 0; i < d.size(); ++i) {
        const double error = d[i] - exact[i];
        squares += exact[i] * exact[i];
        error_squares += error * error;
        largest = std::max(largest, std::abs(error));
    }
    const auto rounded = [](double value) { return std::stod(fmt::format("{:.4g}", value)); };
    return {{"weights", weights},
            {"activations", activations},
            {"rms", rounded(std::sqrt(error_squares / squares))},
            {"max", rounded(largest / std::sqrt(squares / static_cast<double>(d.size())))}};
}

// `outliers`: of channels of A, one of a hundred; and rows of W whose sizes differ.
Case random_case(std::string name, i64 m, i64 n, i64 k, bool outliers) {
    Case x{std::move(name), m, n, k, {}, {}};
    std::mt19937_64 random(17);
    std::normal_distribution<float> normal;
    for (i64 i = 0; i < m * k; ++i)
        x.a.push_back(float_to_bf16(normal(random) * (outliers && i % k % 100 == 7 ? 20.0F : 1.0F)));
    for (i64 i = 0; i < n; ++i) {
        const float size = outliers ? std::exp2(normal(random)) : 1.0F;
        for (i64 j = 0; j < k; ++j)
            x.w.push_back(bf16_to_float(float_to_bf16(0.02F * size * normal(random))));
    }
    return x;
}

Result<Case> layer_case(const Safetensors& weights, const std::string& layer) {
    WW_ASSIGN(const StoredTensor w, weights.find("model.layers.3." + layer + ".weight"));
    Case x = random_case("glossary " + layer, 64, 0, w.shape[1], false);
    x.n = w.shape[0];
    std::vector<std::byte> aligned(w.bytes.begin(), w.bytes.end());
    for (i64 i = 0; i < x.n * x.k; ++i) x.w.push_back(load_float(aligned.data(), w.dtype, i));
    return x;
}

Result<Json> errors_of(Context& context, const Case& x) {
    const std::vector<double> exact = exact_product(x);
    std::vector<float> d(exact.size());
    Json rows = Json::array();
    WW_TRY(multiply_bf16(context, x, d));
    rows.push_back(error_of(exact, d, "bf16", "bf16"));
    for (const Format& format : kFormats) {
        WW_TRY(format.eight_bit_activations ? multiply_eight_bit(context, x, format, d)
                                            : multiply_weight_only(context, x, format.recipe, d));
        rows.push_back(error_of(exact, d, format.weights, format.activations));
    }
    return Json{{"name", x.name}, {"m", x.m}, {"n", x.n}, {"k", x.k}, {"rows", std::move(rows)}};
}

Status run(const std::string& model) {
    WW_ASSIGN(const std::shared_ptr<Context> context, Context::open("cpu"));
    WW_ASSIGN(const Safetensors weights, Safetensors::open(model));
    std::vector<Case> cases{random_case("normal", 64, 256, 1024, false),
                            random_case("outliers", 64, 256, 1024, true)};
    for (const char* layer : {"mlp.up_proj", "mlp.down_proj"}) {
        WW_ASSIGN(Case of_layer, layer_case(weights, layer));
        cases.push_back(std::move(of_layer));
    }
    char date[16] = {};
    const std::time_t now = std::time(nullptr);
    std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
    Json json{{"date", date}, {"device", "cpu"}, {"command", "build/gemm_error " + model}};
    for (const Case& x : cases) {
        WW_ASSIGN(Json errors, errors_of(*context, x));
        json["matrices"].push_back(std::move(errors));
    }
    std::cout << json.dump(1) << '\n';
    return {};
}

}  // namespace
}  // namespace warpwright

int main(int argc, char** argv) {
    const warpwright::Status status = warpwright::run(argc > 1 ? argv[1] : "models/glossary");
    if (status.ok()) return 0;
    std::cerr << "error: " << status.message() << '\n';
    return 1;
}
