// SPDX-License-Identifier: Apache-2.0
#include "inspect/image/attributes.h"

namespace warpwright::inspect {

namespace {

constexpr u8 kNoValue = 1, kByteValue = 2, kShortValue = 3, kSizedValue = 4;

}  // namespace

std::optional<u32> AttributeRecord::number() const {
    if (format != kSizedValue) return value;
    if (data.size() < 4) return std::nullopt;
    return read_at<u32>(data, data.size() - 4);
}

std::optional<AttributeRecord> AttributeReader::next() {
    if (rest_.size() < 4) {
        is_damaged_ |= !rest_.empty();
        return std::nullopt;
    }
    AttributeRecord record;
    record.format = static_cast<u8>(rest_[0]);
    record.id = static_cast<u8>(rest_[1]);
    const u16 value = *read_at<u16>(rest_, 2);
    u64 bytes = 4;
    switch (record.format) {
        case kNoValue: break;
        case kByteValue: record.value = value & 0xff; break;
        case kShortValue: record.value = value; break;
        case kSizedValue: {
            const auto data = slice(rest_, 4, value);
            if (!data) {
                is_damaged_ = true;
                return std::nullopt;
            }
            record.data = *data;
            bytes += value;
            break;
        }
        default: is_damaged_ = true; return std::nullopt;
    }
    rest_ = rest_.subspan(bytes);
    return record;
}

}  // namespace warpwright::inspect
