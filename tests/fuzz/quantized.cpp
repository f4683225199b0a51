// SPDX-License-Identifier: Apache-2.0
// Quantised layers: a quantization_config; a line "ROWS COLUMNS DATA_BYTES FILL"; a safetensors header with
// tensors of "layer", and scales of keys and values of "model.layers.0", whose data are that many bytes of
// that value. Refused with a reason, or read: whole, and in parts that are the same.
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/formats/kv_scales.h"
#include "engine/formats/open_weight.h"
#include "engine/json_fields.h"
#include "input.h"

using namespace warpwright;        // NOLINT: a program of one function
using namespace warpwright::fuzz;  // NOLINT

namespace {

constexpr i64 kMaxElements = 1 << 14;
constexpr std::size_t kMaxDataBytes = 1 << 16;

i64 next_number(std::string_view& text) {
    i64 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(end - text.data()) + 1));
    return value < 0 ? 0 : value;
}

void check_refusal(const Status& status) {
    if (status.ok()) return;
    require(status.kind() == ErrorKind::caller, "what is wrong with a layer is a caller's error");
    require(!status.message().empty() && status.message().size() < 3000, "the error of a layer is short");
}

std::vector<float> values_of(const formats::StoredWeight& weight, i64 first, i64 count) {
    auto rows = read_rows(weight, first, count);
    check_refusal(rows.status());
    if (!rows.ok()) return {};
    require(rows->rows == count && rows->columns == weight.columns,
            "as many rows are read as were asked for");
    std::vector<float> values(static_cast<std::size_t>(count * weight.columns));
    dequantise(*rows, values.data());
    return values;
}

// Of a model with one layer.
void check_kv(std::shared_ptr<const QuantizationConfig> quantization, const Safetensors& checkpoint) {
    ModelConfig config;
    config.num_layers = 1;
    config.num_kv_heads = 2;
    config.quantization = std::move(quantization);
    const auto kv = find_kv(config, checkpoint, "model.");
    check_refusal(kv.status());
    if (!kv.ok()) return;
    for (const LayerKvScales& layer : kv->layers) {
        for (const auto* scales : {&layer.k, &layer.v}) {
            require(scales->size() <= 2, "a scale, or one for each head");
            for (const float scale : *scales)
                require(scale > 0 && std::isfinite(scale), "scales are positive and finite");
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto sections = sections_of(data, size);
    const auto root = parse_json(sections[0], "config.json");
    if (!root.ok()) return 0;
    auto parsed = QuantizationConfig::parse(*root, "config.json: quantization_config");
    check_refusal(parsed.status());
    if (!parsed.ok() || sections.size() < 3) return 0;
    const auto config = std::make_shared<const QuantizationConfig>(std::move(*parsed));
    (void)config->describe();
    const auto format = config->format_of("layer");
    if (!format.ok()) return 0;

    std::string_view numbers = sections[1];
    const i64 rows = next_number(numbers), columns = next_number(numbers);
    const auto data_bytes = std::min(kMaxDataBytes, static_cast<std::size_t>(next_number(numbers)));
    const auto fill = static_cast<char>(next_number(numbers));
    if (rows < 1 || columns < 1 || rows > kMaxElements || columns > kMaxElements / rows) return 0;
    static const std::string kPath =
        (std::filesystem::temp_directory_path() / ("warpwright-fuzz-" + std::to_string(getpid()))).string();
    {
        std::ofstream file(kPath, std::ios::binary);
        const std::string_view header = sections[2];
        for (int i = 0; i < 8; ++i) file.put(static_cast<char>(header.size() >> (8 * i)));
        file << header << std::string(data_bytes, fill);
    }
    const auto checkpoint = Safetensors::open(kPath);
    std::filesystem::remove(kPath);
    if (!checkpoint.ok()) return 0;
    check_kv(config, *checkpoint);
    if (*format == nullptr) return 0;
    const auto weight = open_weight(*checkpoint, "layer", **format, rows, columns);
    check_refusal(weight.status());
    if (!weight.ok()) return 0;
    const std::vector<float> whole = values_of(*weight, 0, rows);
    if (whole.empty()) return 0;
    const i64 first = rows / 3, count = rows - first;
    const std::vector<float> part = values_of(*weight, first, count);
    require(part == std::vector<float>(whole.begin() + first * columns, whole.end()),
            "rows are the same, read alone or with others");
    return 0;
}
