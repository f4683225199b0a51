// SPDX-License-Identifier: Apache-2.0
// Numbers and words of plans, as people read them; the text and the page say them alike.
#pragma once

#include <string>
#include <string_view>

#include "warpwright/plan.h"

namespace warpwright {

constexpr std::size_t kTextColumns = 100;

std::string bytes_text(i64 bytes);                    // "15.0 GiB", "128 KiB"
std::string gib_text(i64 bytes);                      // "15.0"
std::string time_text(double us);                     // "4.2 us", "68.9 ms", "1.23 s"
std::string rate_text(double per_second);             // "188", "14868", "7.6"
std::string tokens_text(i64 tokens);                  // "128k" where it is exact, else "93412"
std::string parameters_text(i64 parameters);          // "8.03 billion"
std::string percent_text(double part, double whole);  // "93 %", "<1 %"

// "model.layers.*.self_attn.qkv_proj" -> "qkv_proj", "model.layers.*.input_layernorm" -> "input_norm".
std::string short_layer_name(std::string_view name);
std::string short_limit(std::string_view limit);  // "tensor cores" -> "tensor"; at most 7 columns

// What sets points apart.
struct Varied {
    bool gpu = false, format = false, kv_format = false, context = false, batch = false;
};
Varied what_varies(std::span<const PlanPoint> points);

// "h200, int4, fp8_e4m3 cache, context 8k, batch 16", as far as it varies; the GPU where nothing does.
std::string point_text(const PlanPoint& point, const Varied& varied);

// Of a point's weights: as it was asked for, or "as stored".
std::string format_text(const PlanPoint& point);
std::string kv_format_text(const PlanPoint& point);  // of its keys and values

// Why a point does not run; empty where it does.
std::string refusal_text(const PlanPoint& point);

// Breaks at spaces; the lines after the first begin with `indent` spaces.
std::string wrapped(const std::string& text, std::size_t indent);

}  // namespace warpwright
