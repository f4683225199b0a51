// SPDX-License-Identifier: Apache-2.0
#include "engine/safetensors_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "engine/json_fields.h"

namespace warpwright {
namespace {

using nlohmann::json;

constexpr u64 kMaxHeaderBytes = 100'000'000;  // the reference implementation's cap
constexpr std::size_t kMaxRank = 32;
constexpr int kMaxDepth = 64;  // of what is passed over
constexpr u64 kMaxExtent = u64{1} << 62;

constexpr StoredType kTypes[] = {
    {"F64", 64, {}},    {"F32", 32, DType::f32}, {"F16", 16, DType::f16}, {"BF16", 16, DType::bf16},
    {"I64", 64, {}},    {"I32", 32, DType::i32}, {"I16", 16, {}},         {"I8", 8, {}},
    {"U64", 64, {}},    {"U32", 32, {}},         {"U16", 16, {}},         {"U8", 8, DType::u8},
    {"BOOL", 8, {}},    {"C64", 64, {}},         {"F8_E4M3", 8, {}},      {"F8_E5M2", 8, {}},
    {"F8_E8M0", 8, {}}, {"F8_E4M3FNUZ", 8, {}},  {"F8_E5M2FNUZ", 8, {}},  {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}}, {"F4", 4, {}},
};

std::string name_in_error(std::string_view name) {
    return printable(name, 200);
}

// Events of a JSON text whose root is an object. A reader gets what stands in the objects and arrays that it
// asks for; the first failure ends the reading.
class Reader : public json::json_sax_t {
public:
    explicit Reader(std::string where) : where_(std::move(where)) {}

    Status read(std::string_view text) {
        json::sax_parse(text.begin(), text.end(), static_cast<json::json_sax_t*>(this));
        if (status_.ok() && bad_byte_) {
            status_ =
                caller_error(fmt::format("{}: not JSON at byte {} of {}", where_, *bad_byte_, text.size()));
        }
        return status_;
    }

protected:
    enum class Kind { object, array, scalar };
    // A value begins, inside of as many objects and arrays as `level()` says; `scalar` is set for
    // Kind::scalar. What follows of an object or array goes to the reader if it answers `enter`.
    enum class Answer { enter, pass_over, stop };
    virtual Answer value(Kind kind, const json& scalar) = 0;
    virtual bool member(std::string& name) = 0;  // of the object that was entered last
    virtual bool leave() = 0;                    // the object or array that was entered last

    int level() const { return level_; }
    bool fail(std::string_view message) {
        status_ = caller_error(fmt::format("{}: {}", where_, message));
        return false;
    }
    static std::string describe(Kind kind, const json& scalar) {
        if (kind == Kind::object) return "an object";
        return kind == Kind::array ? "an array" : describe_json(scalar);
    }

private:
    bool begin(Kind kind) {
        if (passed_over_ > 0) {
            if (++passed_over_ <= kMaxDepth) return true;
            return fail(fmt::format("nested more than {} deep", kMaxDepth));
        }
        switch (value(kind, json())) {
            case Answer::enter: ++level_; return true;
            case Answer::pass_over: passed_over_ = 1; return true;
            case Answer::stop: break;
        }
        return false;
    }
    bool end() {
        if (passed_over_ > 0) return --passed_over_, true;
        --level_;
        return leave();
    }
    bool take(const json& scalar) { return passed_over_ > 0 || value(Kind::scalar, scalar) != Answer::stop; }

    bool start_object(std::size_t) final { return begin(Kind::object); }
    bool start_array(std::size_t) final { return begin(Kind::array); }
    bool end_object() final { return end(); }
    bool end_array() final { return end(); }
    bool key(std::string& name) final { return passed_over_ > 0 || member(name); }
    bool null() final { return take(json()); }
    bool boolean(bool value) final { return take(value); }
    bool number_integer(json::number_integer_t value) final { return take(value); }
    bool number_unsigned(json::number_unsigned_t value) final { return take(value); }
    bool number_float(json::number_float_t value, const std::string&) final { return take(value); }
    bool string(std::string& value) final { return take(std::move(value)); }
    bool binary(json::binary_t&) final { return false; }
    bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception&) final {
        bad_byte_ = byte;
        return false;
    }

    std::string where_;
    Status status_;
    std::optional<std::size_t> bad_byte_;
    int level_ = 0;
    int passed_over_ = 0;  // objects and arrays that are open and were not entered
};

// {"__metadata__": {"format": "pt"}, "NAME": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}
class HeaderReader final : public Reader {
public:
    HeaderReader(const std::string& file, u64 data_start)
        : Reader(file + ": header"), data_start_(data_start) {}

    std::vector<StoredEntry> entries;

private:
    enum class Field { none, other, dtype, shape, offsets };

    Answer value(Kind kind, const json& scalar) override {
        if (level() == 0) {
            if (kind == Kind::object) return Answer::enter;
            fail("expected an object");
            return Answer::stop;
        }
        if (level() == 1) {
            if (kind == Kind::object) return Answer::enter;
            if (in_metadata_ && kind == Kind::scalar && scalar.is_null()) return Answer::pass_over;
            fail_entry(fmt::format("expected an object, got {}", describe(kind, scalar)));
            return Answer::stop;
        }
        if (level() == 2) return field_value(kind, scalar);
        if (kind == Kind::scalar && number(scalar)) return Answer::enter;
        if (kind != Kind::scalar) mismatch(kind, scalar);
        return Answer::stop;
    }

    bool member(std::string& name) override {
        if (level() == 1) {
            in_metadata_ = name == "__metadata__";
            seen_[0] = seen_[1] = seen_[2] = false;
            entry_ = {};
            entry_.name = std::move(name);
            return true;
        }
        if (in_metadata_) {
            metadata_key_ = std::move(name);
            return true;
        }
        field_ = name == "dtype"          ? Field::dtype
                 : name == "shape"        ? Field::shape
                 : name == "data_offsets" ? Field::offsets
                                          : Field::other;
        if (field_ == Field::other) return true;
        bool& seen = seen_[static_cast<int>(field_) - static_cast<int>(Field::dtype)];
        if (seen) return fail_entry(fmt::format("'{}' occurs twice", name));
        seen = true;
        offsets_.clear();
        return true;
    }

    bool leave() override {
        if (level() == 2 && field_ == Field::offsets) {
            if (offsets_.size() != 2 || offsets_[0] > offsets_[1]) return bad_offsets();
            entry_.begin = offsets_[0];
            entry_.end = offsets_[1];
        }
        return level() != 1 || in_metadata_ || finish_entry();
    }

    Answer field_value(Kind kind, const json& scalar) {
        if (in_metadata_) {
            if (kind == Kind::scalar && scalar.is_string()) return Answer::pass_over;
            fail_entry(fmt::format("'{}': expected a string, got {}", printable(metadata_key_, 80),
                                   describe(kind, scalar)));
            return Answer::stop;
        }
        if (field_ == Field::other) return Answer::pass_over;
        const bool good =
            field_ == Field::dtype ? kind == Kind::scalar && scalar.is_string() : kind == Kind::array;
        if (!good) {
            mismatch(kind, scalar);
            return Answer::stop;
        }
        if (field_ != Field::dtype) return Answer::enter;
        const auto& name = scalar.get_ref<const std::string&>();
        const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                        [&](const StoredType& row) { return row.name == name; });
        if (type == std::end(kTypes)) {
            fail_entry(fmt::format("dtype '{}' is not one of the safetensors format", printable(name, 40)));
            return Answer::stop;
        }
        entry_.type = type;
        return Answer::enter;
    }

    // Of "shape" or "data_offsets".
    bool number(const json& scalar) {
        const u64 value = scalar.is_number_unsigned() ? scalar.get<u64>() : 0;
        if (field_ == Field::offsets) {
            if (!scalar.is_number_unsigned() || offsets_.size() == 2) return bad_offsets();
            offsets_.push_back(value);
            return true;
        }
        if (!scalar.is_number_unsigned() || value > kMaxExtent) {
            return fail_entry(
                fmt::format("shape: expected non-negative integers, got {}", describe_json(scalar)));
        }
        if (entry_.shape.size() == kMaxRank) {
            return fail_entry(fmt::format("shape: expected at most {} dimensions", kMaxRank));
        }
        entry_.shape.push_back(static_cast<i64>(value));
        return true;
    }

    bool finish_entry() {
        if (!seen_[0]) return fail_entry("'dtype' is missing; expected a string");
        if (!seen_[1]) return fail_entry("'shape' is missing; expected an array");
        if (!seen_[2]) return fail_entry("'data_offsets' is missing; expected an array");
        i64 bits = entry_.type->bits;
        bool overflow = false;
        for (const i64 extent : entry_.shape) overflow |= __builtin_mul_overflow(bits, extent, &bits);
        // The order of the extents is no matter: a tensor with none of one dimension is empty.
        if (std::find(entry_.shape.begin(), entry_.shape.end(), 0) != entry_.shape.end()) {
            overflow = false;
            bits = 0;
        }
        if (overflow) return fail_entry("shape: more bits than 63 bits count");
        if (bits % 8 != 0) return fail_entry(fmt::format("shape: {} bits are no whole bytes", bits));
        if (entry_.end - entry_.begin != static_cast<u64>(bits) / 8) {
            return fail_entry(fmt::format("dtype and shape need {} bytes, data_offsets span {}", bits / 8,
                                          entry_.end - entry_.begin));
        }
        if (entry_.end > kMaxExtent) {
            return fail_entry(fmt::format("data_offsets: expected at most 2^62, got {}", entry_.end));
        }
        if (static_cast<i64>(entries.size()) == kMaxStoredTensors) {
            return fail(fmt::format("expected at most {} tensors", kMaxStoredTensors));
        }
        entry_.begin += data_start_;
        entry_.end += data_start_;
        entries.push_back(std::move(entry_));
        return true;
    }

    bool bad_offsets() { return fail_entry("data_offsets: expected [begin, end] with begin <= end"); }
    bool mismatch(Kind kind, const json& scalar) {
        if (field_ == Field::dtype) {
            return fail_entry(fmt::format("'dtype': expected a string, got {}", describe(kind, scalar)));
        }
        const bool in_array = level() == 3;
        return fail_entry(fmt::format("'{}': expected {}, got {}",
                                      field_ == Field::shape ? "shape" : "data_offsets",
                                      in_array ? "integers" : "an array", describe(kind, scalar)));
    }
    bool fail_entry(std::string_view message) {
        const std::string what =
            in_metadata_ ? "__metadata__" : fmt::format("tensor {}", name_in_error(entry_.name));
        return fail(fmt::format("{}: {}", what, message));
    }

    u64 data_start_;
    StoredEntry entry_;
    bool in_metadata_ = false;
    std::string metadata_key_;
    Field field_ = Field::none;
    bool seen_[3] = {};  // dtype, shape, data_offsets
    std::vector<u64> offsets_;
};

// {"metadata": {"total_size": 12}, "weight_map": {"NAME": "model-00001-of-00002.safetensors"}}
class IndexReader final : public Reader {
public:
    explicit IndexReader(const std::string& where) : Reader(where) {}

    ShardIndex index;
    bool has_map() const { return has_map_; }

private:
    Answer value(Kind kind, const json& scalar) override {
        if (level() == 0) {
            if (kind == Kind::object) return Answer::enter;
            fail(fmt::format("expected an object, got {}", describe(kind, scalar)));
            return Answer::stop;
        }
        if (level() == 1) {
            if (name_ != "weight_map") return Answer::pass_over;
            if (kind == Kind::object && !has_map_) {
                has_map_ = true;
                return Answer::enter;
            }
            fail(has_map_ ? "'weight_map' occurs twice"
                          : fmt::format("'weight_map': expected an object, got {}", describe(kind, scalar)));
            return Answer::stop;
        }
        // An index may come from anywhere: it must not reach outside of its own folder.
        const std::string file = scalar.is_string() ? scalar.get<std::string>() : std::string();
        if (file.empty() || file == "." || file == ".." ||
            file.find_first_of(std::string("/\0", 2)) != file.npos) {
            fail(fmt::format("tensor {}: expected a file name, got {}", name_in_error(name_),
                             describe(kind, scalar)));
            return Answer::stop;
        }
        if (static_cast<i64>(index.tensors.size()) == kMaxStoredTensors) {
            fail(fmt::format("weight_map: expected at most {} tensors", kMaxStoredTensors));
            return Answer::stop;
        }
        const int shard = shards_.emplace(file, static_cast<int>(shards_.size())).first->second;
        index.tensors.push_back({std::move(name_), shard});
        return Answer::enter;
    }
    bool member(std::string& name) override {
        name_ = std::move(name);
        return true;
    }
    bool leave() override {
        if (level() == 0) sort_shards();
        return true;
    }

    // Numbers in the order of the names, instead of that of their first use.
    void sort_shards() {
        std::vector<int> sorted(shards_.size());
        for (const auto& [file, number] : shards_) {
            sorted[static_cast<std::size_t>(number)] = static_cast<int>(index.shards.size());
            index.shards.push_back(file);
        }
        for (ShardIndex::Tensor& tensor : index.tensors)
            tensor.shard = sorted[static_cast<std::size_t>(tensor.shard)];
    }

    std::string name_;
    std::map<std::string, int> shards_;
    bool has_map_ = false;
};

// Entries or tensors of an index, of which the one that occurs twice is named.
template <class Named>
const std::string* find_twice(const std::vector<Named>& named) {
    std::vector<const std::string*> names;
    names.reserve(named.size());
    for (const Named& one : named) names.push_back(&one.name);
    std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
    const auto twice =
        std::adjacent_find(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a == *b; });
    return twice == names.end() ? nullptr : *twice;
}

// `entries` in the order of their bytes.
Status check_layout(const std::string& file, const std::vector<StoredEntry>& entries, u64 data_start,
                    u64 file_bytes) {
    u64 at = data_start;
    for (const StoredEntry& entry : entries) {
        if (entry.begin != at) {
            return caller_error(fmt::format(
                "{}: header: tensor {}: data_offsets: begins at byte {} of the data, the one before "
                "ends at {}",
                file, name_in_error(entry.name), entry.begin - data_start, at - data_start));
        }
        if (entry.end > file_bytes) {
            return caller_error(
                fmt::format("{}: header: tensor {}: data_offsets: ends at byte {}, file has {}", file,
                            name_in_error(entry.name), entry.end, file_bytes));
        }
        at = entry.end;
    }
    if (at != file_bytes) {
        return caller_error(fmt::format("{}: tensors end at byte {}, file has {}", file, at, file_bytes));
    }
    return {};
}

}  // namespace

std::span<const StoredType> stored_types() {
    return kTypes;
}

Result<std::vector<StoredEntry>> read_safetensors_header(const std::string& file,
                                                         std::span<const std::byte> bytes) {
    if (bytes.size() < 8) {
        return caller_error(fmt::format("{}: expected at least 8 bytes, file has {}", file, bytes.size()));
    }
    u64 header_bytes = 0;
    for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | static_cast<u64>(bytes[i]);
    if (header_bytes > kMaxHeaderBytes) {
        return caller_error(fmt::format("{}: not a safetensors file: header length {}, expected at most {}",
                                        file, header_bytes, kMaxHeaderBytes));
    }
    if (header_bytes > bytes.size() - 8) {
        return caller_error(
            fmt::format("{}: header ends at byte {}, file has {}", file, 8 + header_bytes, bytes.size()));
    }
    const u64 data_start = 8 + header_bytes;
    HeaderReader reader(file, data_start);
    WW_TRY(reader.read({reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes}));
    std::vector<StoredEntry> entries = std::move(reader.entries);
    if (const std::string* twice = find_twice(entries)) {
        return caller_error(fmt::format("{}: header: '{}' occurs twice", file, name_in_error(*twice)));
    }
    std::sort(entries.begin(), entries.end(), [](const StoredEntry& a, const StoredEntry& b) {
        return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
    });
    WW_TRY(check_layout(file, entries, data_start, bytes.size()));
    return entries;
}

Result<ShardIndex> read_shard_index(std::string_view text, const std::string& where) {
    IndexReader reader(where);
    WW_TRY(reader.read(text));
    if (!reader.has_map()) {
        return caller_error(fmt::format("{}: 'weight_map' is missing; expected an object", where));
    }
    ShardIndex index = std::move(reader.index);
    if (const std::string* twice = find_twice(index.tensors)) {
        return caller_error(fmt::format("{}: weight_map: '{}' occurs twice", where, name_in_error(*twice)));
    }
    std::sort(index.tensors.begin(), index.tensors.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return index;
}

}  // namespace warpwright
