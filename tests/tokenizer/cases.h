// SPDX-License-Identifier: Apache-2.0
// The texts that tokenizers are compared on, by number: the same as cases.py makes, from the lists of
// cases.json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/scratch.h"
#include "engine/utf8.h"
#include "warpwright/types.h"

namespace warpwright {

class Cases {
public:
    Cases()
        : lists_(
              nlohmann::json::parse(read_all(std::string(WW_SOURCE_DIR) + "/tests/tokenizer/cases.json"))) {}

    std::string text(u64 number) const {
        Random random(number);
        return text_of(random, number % kKinds);
    }

    static std::vector<i32> random_ids(u64 number, int vocab_size) {
        Random random(number + (u64{1} << 32));
        std::vector<i32> ids(1 + random.below(12));
        for (i32& id : ids) id = static_cast<i32>(random.below(static_cast<u64>(vocab_size)));
        return ids;
    }

private:
    static constexpr u64 kKinds = 16;

    struct Random {  // splitmix64
        u64 state;
        explicit Random(u64 seed) : state(seed * 0x9E3779B97F4A7C15u + 0x1234567) {}
        u64 below(u64 n) {
            state += 0x9E3779B97F4A7C15u;
            u64 z = state;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
            return ((z ^ (z >> 31)) >> 16) % n;
        }
    };
    const nlohmann::json& of(Random& random, const char* name) const {
        const nlohmann::json& list = lists_.at(name);
        return list[random.below(list.size())];
    }
    std::string word(Random& random, const char* name) const { return of(random, name).get<std::string>(); }

    static void append(std::string& out, u64 point) {
        append_utf8(out, point >= 0xD800 && point <= 0xDFFF ? 0xFFFD : static_cast<u32>(point));
    }
    static void append_of(std::string& out, Random& random, u64 low, u64 high) {
        append(out, low + random.below(high - low + 1));
    }
    void append_of_script(std::string& out, Random& random, const nlohmann::json& script) const {
        append_of(out, random, script[0].get<u64>(), script[1].get<u64>());
    }

    std::string text_of(Random& random, u64 kind) const {
        std::string out;
        const u64 count = 1 + random.below(12);
        const auto times = [](u64 n, auto&& body) {
            for (u64 i = 0; i < n; ++i) body();
        };
        switch (kind) {
            case 0:
                times(count, [&] {
                    out += word(random, "words");
                    out += word(random, "gaps");
                });
                break;
            case 1: {
                const nlohmann::json& script = of(random, "scripts");
                times(2 * count, [&] { append_of_script(out, random, script); });
                break;
            }
            case 2:
                times(2 * count, [&] {
                    append_of_script(out, random, of(random, "scripts"));
                    if (random.below(5) == 0) out += ' ';
                });
                break;
            case 3:
                times(count, [&] {
                    out += word(random, "emoji");
                    if (random.below(6) == 0) out += word(random, "words");
                });
                break;
            case 4:
                times(2 * count, [&] {
                    const u64 limit = random.below(2) ? 160 : 32;
                    append(out, random.below(limit));
                });
                break;
            case 5: {
                std::string part;
                if (random.below(2))
                    part = word(random, "gaps");
                else
                    append_of_script(part, random, of(random, "scripts"));
                times(1 + random.below(200), [&] { out += part; });
                if (random.below(2)) out += word(random, "words");
                break;
            }
            case 6:
                times(count, [&] {
                    append(out, of(random, "spaces").get<u64>());
                    if (random.below(4) == 0) out += word(random, "words");
                });
                break;
            case 7: {
                constexpr u64 kZeros[] = {0x30, 0x30, 0x660, 0x966, 0xFF10, 0x1D7CE, 0x10D40};
                times(count, [&] {
                    const u64 zero = kZeros[random.below(7)];
                    times(1 + random.below(7), [&] { append(out, zero + random.below(10)); });
                    out += " .,:/-%$"[random.below(8)];
                });
                break;
            }
            case 8:
                times(2 * count, [&] {
                    const u64 limit = random.below(2) ? 15 : 94;
                    append(out, 33 + random.below(limit));
                    if (random.below(6) == 0) out += random.below(2) ? '\n' : ' ';
                });
                break;
            case 9:
                times(count, [&] {
                    append(out, of(random, "bases").get<u64>());
                    times(random.below(4), [&] { append(out, of(random, "marks").get<u64>()); });
                });
                break;
            case 10: times(2 * count, [&] { append(out, random.below(0x110000)); }); break;
            case 11:
                if (random.below(2)) {
                    const u64 inner = random.below(4);
                    out = text_of(random, inner);
                }
                times(count, [&] {
                    const u64 at = random.below(out.size() + 1);
                    const char byte = static_cast<char>(128 + random.below(128));
                    out.replace(at, random.below(2), 1, byte);
                });
                break;
            case 12:
                times(count, [&] {
                    out += word(random, "specials");
                    if (random.below(2)) out += word(random, "gaps");
                    if (random.below(3) == 0) out += word(random, "words");
                });
                break;
            case 13: {
                constexpr std::string_view kEnds[] = {"s",  "S",  "t",      "T", "re", "RE", "rE",
                                                      "ve", "VE", "m",      "M", "ll", "LL", "lL",
                                                      "d",  "D",  "\u017f", "r", "v",  "l",  "x"};
                times(count, [&] {
                    out += random.below(2) ? word(random, "words") : " ";
                    out += '\'';
                    out += kEnds[random.below(21)];
                });
                break;
            }
            case 14: {
                constexpr u64 kRanges[8][2] = {{0xFF01, 0xFFEF}, {0xFB00, 0xFB4F}, {0x3200, 0x33FF},
                                               {0x1100, 0x11FF}, {0x2100, 0x218F}, {0x1D400, 0x1D7FF},
                                               {0xF900, 0xFAFF}, {0xFC00, 0xFDFF}};
                times(2 * count, [&] {
                    const auto& range = kRanges[random.below(8)];
                    append_of(out, random, range[0], range[1]);
                });
                break;
            }
            default:
                times(2 + random.below(3), [&] {
                    const u64 inner = random.below(kKinds - 1);
                    out += text_of(random, inner);
                });
        }
        return out;
    }

    nlohmann::json lists_;
};

}  // namespace warpwright
