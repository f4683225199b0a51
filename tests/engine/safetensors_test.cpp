// SPDX-License-Identifier: Apache-2.0
#include "engine/safetensors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "engine/messages.h"
#include "engine/scratch.h"

namespace warpwright {
namespace {

// A file with this JSON header and so many data bytes.
std::string file_of(std::string_view header, std::size_t data_bytes) {
    std::string text;
    for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i));
    text += header;
    return text + std::string(data_bytes, 'd');
}

std::string error_of(const Scratch& scratch, std::string_view header, std::size_t data_bytes) {
    auto opened = Safetensors::open(scratch.write("model.safetensors", file_of(header, data_bytes)));
    EXPECT_FALSE(opened.ok());
    EXPECT_EQ(opened.status().kind(), ErrorKind::caller);
    EXPECT_TRUE(contains(opened.status().message(), "model.safetensors: "));
    return opened.status().message();
}

std::vector<std::byte> ramp(std::size_t bytes) {
    std::vector<std::byte> data(bytes);
    for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::byte>(i * 7 + 1);
    return data;
}

TEST(Safetensors, ReadsWhatItWrote) {
    Scratch scratch;
    const auto data = ramp(64);
    const std::span<const std::byte> bytes(data);
    const StoredTensor tensors[] = {
        {"b.weight", DType::bf16, {3, 4}, bytes.first(24)}, {"a.scale", DType::f32, {}, bytes.subspan(24, 4)},
        {"none", DType::f16, {0, 5}, bytes.first(0)},       {"ids", DType::i32, {2}, bytes.subspan(28, 8)},
        {"mask", DType::u8, {3}, bytes.subspan(36, 3)},
    };
    const auto path = scratch.folder() / "model.safetensors";
    ASSERT_TRUE(write_safetensors(path, tensors).ok());
    for (const auto& opened_by : {path, scratch.folder()}) {  // by file and by folder
        auto weights = Safetensors::open(opened_by);
        ASSERT_TRUE(weights.ok()) << weights.status().message();
        EXPECT_EQ(weights->names(), (std::vector<std::string>{"a.scale", "b.weight", "ids", "mask", "none"}));
        EXPECT_EQ(weights->total_bytes(), 39);
        for (const StoredTensor& written : tensors) {
            auto read = weights->find(written.name);
            ASSERT_TRUE(read.ok()) << read.status().message();
            EXPECT_EQ(read->dtype, written.dtype);
            EXPECT_EQ(read->shape, written.shape);
            EXPECT_TRUE(std::ranges::equal(read->bytes, written.bytes));
        }
        EXPECT_TRUE(ends_with(weights->find("c").status().message(), ": no tensor c"));
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.folder()), {}), 1) << "no leftovers";
    EXPECT_EQ(write_safetensors(scratch.folder() / "no" / "x", tensors).kind(), ErrorKind::unavailable);
}

TEST(Safetensors, SaysWhatIsWrong) {
    Scratch scratch;
    const auto row = [](std::string_view rest) {
        return std::string(R"({"t":{)") + std::string(rest) + "}}";
    };
    EXPECT_TRUE(ends_with(error_of(scratch, row(R"("dtype":"F32","shape":[2,2],"data_offsets":[0,16])"), 10),
                          "model.safetensors: header: tensor t: data_offsets: ends at byte 81, file has 75"));
    EXPECT_TRUE(ends_with(error_of(scratch, row(R"("dtype":"F32","shape":[2,2],"data_offsets":[0,16])"), 17),
                          "tensors end at byte 81, file has 82"));
    EXPECT_TRUE(ends_with(error_of(scratch, row(R"("dtype":"F32","shape":[2,2],"data_offsets":[0,12])"), 12),
                          "tensor t: dtype and shape need 16 bytes, data_offsets span 12"));
    EXPECT_TRUE(ends_with(error_of(scratch, row(R"("dtype":"Q9","shape":[1],"data_offsets":[0,1])"), 1),
                          "tensor t: dtype 'Q9' is not one of the safetensors format"));
    EXPECT_TRUE(ends_with(error_of(scratch, row(R"("shape":[1],"data_offsets":[0,1])"), 1),
                          "tensor t: 'dtype' is missing; expected a string"));
    EXPECT_TRUE(ends_with(error_of(scratch, row(R"("dtype":"U8","shape":[-1],"data_offsets":[0,1])"), 1),
                          "shape: expected non-negative integers, got -1"));
    EXPECT_TRUE(
        contains(error_of(scratch, row(R"("dtype":"U8","shape":[1.5],"data_offsets":[0,1])"), 1), "got 1.5"));
    EXPECT_TRUE(contains(
        error_of(scratch, row(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0])"), 0),
        "63 bits"));
    EXPECT_TRUE(contains(error_of(scratch, row(R"("dtype":"U8","shape":[1],"data_offsets":[1,0])"), 1),
                         "begin <= end"));
    EXPECT_TRUE(contains(error_of(scratch, row(R"("dtype":"U8","shape":[1],"data_offsets":[0])"), 1),
                         "[begin, end]"));
    EXPECT_TRUE(ends_with(error_of(scratch, row(R"("dtype":"U8","shape":[1],"data_offsets":[1,2])"), 2),
                          "tensor t: data_offsets: begins at byte 1 of the data, the one before ends at 0"));
    EXPECT_TRUE(contains(
        error_of(
            scratch,
            row(R"("dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615])"), 2),
        "data_offsets: expected at most 2^62, got 18446744073709551615"));
    EXPECT_TRUE(ends_with(error_of(scratch,
                                   R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                                   R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                                   3),
                          "tensor b: data_offsets: begins at byte 1 of the data, the one before ends at 2"));
    EXPECT_TRUE(ends_with(error_of(scratch,
                                   R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                   R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                                   1),
                          "header: 'a' occurs twice"));
    EXPECT_TRUE(ends_with(error_of(scratch, "hello", 1), "header: not JSON at byte 1 of 5"));
    EXPECT_TRUE(ends_with(error_of(scratch, "[]", 0), "header: expected an object"));
    EXPECT_TRUE(contains(error_of(scratch, R"({"a":[]})", 0), "tensor a: expected an object, got an array"));
}

TEST(Safetensors, FieldsOfWrongKinds) {
    Scratch scratch;
    const auto message = [&](std::string_view rest) {
        return error_of(scratch, R"({"t":{)" + std::string(rest) + "}}", 1);
    };
    EXPECT_TRUE(ends_with(message(R"("dtype":3,"shape":[1],"data_offsets":[0,1])"),
                          "header: tensor t: 'dtype': expected a string, got 3"));
    EXPECT_TRUE(ends_with(message(R"("dtype":"U8","shape":"1","data_offsets":[0,1])"),
                          "tensor t: 'shape': expected an array, got '1'"));
    EXPECT_TRUE(ends_with(message(R"("dtype":"U8","shape":[[1]],"data_offsets":[0,1])"),
                          "tensor t: 'shape': expected integers, got an array"));
    EXPECT_TRUE(ends_with(message(R"("dtype":"U8","shape":[null],"data_offsets":[0,1])"),
                          "tensor t: shape: expected non-negative integers, got null"));
    EXPECT_TRUE(ends_with(message(R"("dtype":"U8","shape":[1],"data_offsets":{"a":1})"),
                          "tensor t: 'data_offsets': expected an array, got an object"));
    EXPECT_TRUE(ends_with(message(R"("dtype":"U8","shape":[1],"data_offsets":[-1,0])"),
                          "tensor t: data_offsets: expected [begin, end] with begin <= end"));
    EXPECT_TRUE(contains(message(R"("dtype":"U8","shape":[1],"data_offsets":[0,0.5])"), "[begin, end]"));
    EXPECT_TRUE(contains(message(R"("dtype":"U8","shape":[1],"data_offsets":[0,1,1])"), "[begin, end]"));
    EXPECT_TRUE(ends_with(message(R"("dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1])"),
                          "tensor t: 'shape' occurs twice"));
    EXPECT_TRUE(ends_with(message(R"("dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,)"
                                  R"(1,1,1,1,1,1,1,1,1],"data_offsets":[0,1])"),
                          "tensor t: shape: expected at most 32 dimensions"));
    // One line, whatever a name holds.
    EXPECT_TRUE(ends_with(error_of(scratch, R"({"a\n\u001b[2Jb":5})", 0),
                          R"(header: tensor a\n\u001b[2Jb: expected an object, got 5)"));
}

// What safetensors 0.8.0 answers to these, but for tensors of one name.
TEST(Safetensors, AgreesWithTheReferenceImplementation) {
    Scratch scratch;
    const auto is_ok = [&](std::string_view header, std::size_t data_bytes) {
        return Safetensors::open(scratch.write("model.safetensors", file_of(header, data_bytes))).ok();
    };
    const auto one = [](std::string_view dtype, std::string_view shape, int bytes) {
        return fmt::format(R"({{"t":{{"dtype":"{}","shape":{},"data_offsets":[0,{}]}}}})", dtype, shape,
                           bytes);
    };
    EXPECT_TRUE(is_ok("{}", 0));
    EXPECT_FALSE(is_ok("{}", 1));
    EXPECT_TRUE(is_ok(R"({"__metadata__":{}})", 0));
    EXPECT_TRUE(is_ok(R"({"__metadata__":null})", 0));
    EXPECT_FALSE(is_ok(R"({"__metadata__":{"a":1}})", 0));
    EXPECT_TRUE(is_ok(R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
    EXPECT_TRUE(is_ok(R"({"t":{"dtype":"U8","more":[{}],"shape":[1],"data_offsets":[0,1]}})", 1));
    EXPECT_TRUE(is_ok("  " + one("U8", "[1]", 1) + "  ", 1));
    EXPECT_FALSE(is_ok(one("U8", "[1]", 1) + "{}", 1));
    const std::string middle = R"("z":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},)";
    const auto two = [&](std::string_view between, int begin) {
        return fmt::format(R"({{"a":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}},{}"b":{{"dtype":"U8",)"
                           R"("shape":[1],"data_offsets":[{},{}]}}}})",
                           between, begin, begin + 1);
    };
    EXPECT_TRUE(is_ok(two("", 1), 2));
    EXPECT_TRUE(is_ok(two(middle, 1), 2));
    EXPECT_FALSE(is_ok(two("", 2), 3)) << "a hole";
    EXPECT_TRUE(is_ok(one("F4", "[2]", 1), 1));
    EXPECT_FALSE(is_ok(one("F4", "[1]", 1), 1)) << "half a byte";
    EXPECT_TRUE(is_ok(one("F6_E2M3", "[4]", 3), 3));
    EXPECT_FALSE(is_ok(one("F6_E3M2", "[2]", 2), 2));
    for (const auto& [dtype, bytes] :
         {std::pair("F64", 32), {"C64", 32},    {"I64", 32},        {"U64", 32},        {"F32", 16},
          {"I32", 16},          {"U32", 16},    {"F16", 8},         {"BF16", 8},        {"I16", 8},
          {"U16", 8},           {"U8", 4},      {"I8", 4},          {"BOOL", 4},        {"F8_E4M3", 4},
          {"F8_E5M2", 4},       {"F8_E8M0", 4}, {"F8_E4M3FNUZ", 4}, {"F8_E5M2FNUZ", 4}, {"F4", 2}}) {
        EXPECT_TRUE(is_ok(one(dtype, "[2,2]", bytes), static_cast<std::size_t>(bytes))) << dtype;
        EXPECT_FALSE(is_ok(one(dtype, "[2,2]", bytes - 1), static_cast<std::size_t>(bytes) - 1)) << dtype;
    }
    EXPECT_FALSE(is_ok(one("C128", "[1]", 16), 16));
}

TEST(Safetensors, KnownButUnsupportedDtypeIsToldWhenAskedFor) {
    Scratch scratch;
    const auto path = scratch.write(
        "model.safetensors",
        file_of(R"({"__metadata__":{"format":"pt"},"t":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})",
                8));
    auto weights = Safetensors::open(path);
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    EXPECT_TRUE(weights->contains("t"));
    EXPECT_TRUE(ends_with(weights->find("t").status().message(),
                          "model.safetensors: tensor t: expected dtype F32, F16, BF16, I32 or U8, got F64"));
}

TEST(Safetensors, MissingFiles) {
    Scratch scratch;
    EXPECT_TRUE(ends_with(Safetensors::open(scratch.folder() / "no.safetensors").status().message(),
                          "no.safetensors: no such file"));
    EXPECT_TRUE(ends_with(Safetensors::open(scratch.folder()).status().message(),
                          ": no weights: neither model.safetensors nor model.safetensors.index.json"));
    scratch.write("model.safetensors", "");
    EXPECT_TRUE(ends_with(Safetensors::open(scratch.folder()).status().message(),
                          "model.safetensors: expected at least 8 bytes, file has 0"));
    scratch.write("model.safetensors", std::string(8, '\xff'));
    EXPECT_TRUE(contains(Safetensors::open(scratch.folder()).status().message(), "not a safetensors file"));
    scratch.write("model.safetensors", std::string("\x09\0\0\0\0\0\0\0{}", 10));
    EXPECT_TRUE(ends_with(Safetensors::open(scratch.folder()).status().message(),
                          "header ends at byte 17, file has 10"));
}

TEST(Safetensors, Shards) {
    Scratch scratch;
    const auto data = ramp(8);
    const StoredTensor a[] = {{"a", DType::f32, {1}, std::span(data).first(4)}};
    const StoredTensor b[] = {{"b", DType::f32, {1}, std::span(data).last(4)}};
    ASSERT_TRUE(write_safetensors(scratch.folder() / "1.safetensors", a).ok());
    ASSERT_TRUE(write_safetensors(scratch.folder() / "2.safetensors", b).ok());
    const auto open_with = [&](std::string_view index) {
        scratch.write("model.safetensors.index.json", index);
        return Safetensors::open(scratch.folder());
    };
    auto weights = open_with(R"({"metadata":{},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    ASSERT_TRUE(weights->find("b").ok());
    EXPECT_EQ(std::memcmp(weights->find("b")->bytes.data(), data.data() + 4, 4), 0);

    const auto error_with = [&](std::string_view index) { return open_with(index).status().message(); };
    EXPECT_TRUE(ends_with(error_with("{}"), "index.json: 'weight_map' is missing; expected an object"));
    EXPECT_TRUE(contains(error_with("{"), "index.json: not JSON at byte"));
    EXPECT_TRUE(contains(error_with(R"({"weight_map":{"a":"../1.safetensors"}})"),
                         "expected a file name, got '../1"));
    EXPECT_TRUE(contains(error_with(R"({"weight_map":{"a":5}})"), "expected a file name, got 5"));
    EXPECT_TRUE(
        ends_with(error_with(R"({"weight_map":{"a":"3.safetensors"}})"), "3.safetensors: no such file"));
    EXPECT_TRUE(contains(error_with(R"({"weight_map":{"a":"1.safetensors","c":"1.safetensors"}})"),
                         "says tensor c is in "));
    ASSERT_TRUE(write_safetensors(scratch.folder() / "2.safetensors", a).ok());
    EXPECT_TRUE(contains(error_with(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})"),
                         "2.safetensors: tensor a is also in "));
}

TEST(Safetensors, IndexOfWrongKinds) {
    Scratch scratch;
    const StoredTensor a[] = {{"a", DType::f32, {0}, {}}};
    ASSERT_TRUE(write_safetensors(scratch.folder() / "1.safetensors", a).ok());
    const auto message = [&](std::string_view index) {
        scratch.write("model.safetensors.index.json", index);
        const auto opened = Safetensors::open(scratch.folder());
        EXPECT_FALSE(opened.ok());
        EXPECT_EQ(opened.status().kind(), ErrorKind::caller);
        return opened.status().message();
    };
    EXPECT_TRUE(ends_with(message("[]"), "index.json: expected an object, got an array"));
    EXPECT_TRUE(ends_with(message(R"({"weight_map":[]})"), "'weight_map': expected an object, got an array"));
    EXPECT_TRUE(ends_with(message(R"({"weight_map":{},"weight_map":{}})"), "'weight_map' occurs twice"));
    EXPECT_TRUE(ends_with(message(R"({"weight_map":{"a":"1.safetensors","a":"1.safetensors"}})"),
                          "weight_map: 'a' occurs twice"));
    EXPECT_TRUE(ends_with(message(R"({"weight_map":{"a":["1.safetensors"]}})"),
                          "tensor a: expected a file name, got an array"));
    for (const char* name :
         {"", ".", "..", "../1.safetensors", "/etc/passwd", "x/1.safetensors", "1\\u0000"}) {
        EXPECT_TRUE(contains(message(fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", name)),
                             "tensor a: expected a file name, got '"));
    }
    EXPECT_TRUE(
        contains(message(R"({"weight_map":{"a":"1.safetensors"},"metadata":)" + std::string(100, '[')),
                 "nested more than 64 deep"));
}

TEST(Safetensors, AFileThatShrinksIsAnErrorOfTheReader) {
    Scratch scratch;
    const auto data = ramp(64);
    const StoredTensor tensors[] = {{"w", DType::u8, {64}, data}};
    const auto path = scratch.folder() / "model.safetensors";
    ASSERT_TRUE(write_safetensors(path, tensors).ok());
    const auto weights = Safetensors::open(path);
    ASSERT_TRUE(weights.ok());
    const auto tensor = weights->find("w");
    std::vector<std::byte> read(64);
    ASSERT_TRUE(tensor->mapped->read(tensor->file_offset, read).ok());
    EXPECT_EQ(read, data);
    std::filesystem::resize_file(path, tensor->file_offset + 10);
    EXPECT_TRUE(
        contains(tensor->mapped->read(tensor->file_offset, read).message(),
                 fmt::format("model.safetensors: has no byte {} any more", tensor->file_offset + 10)));
}

// Whatever a file holds, it is opened or refused; what was opened can be read to its last byte.
void open_and_read(const std::filesystem::path& path) {
    auto weights = Safetensors::open(path);
    if (!weights.ok()) {
        EXPECT_TRUE(contains(weights.status().message(), path.filename().string()));
        return;
    }
    for (const std::string& name : weights->names()) {
        auto tensor = weights->find(name);
        unsigned sum = 0;
        if (tensor.ok()) {
            for (const std::byte byte : tensor->bytes) sum += static_cast<unsigned>(byte);
        }
        EXPECT_GE(sum, 0u);
    }
}

TEST(Safetensors, EveryPrefixAndManyFlippedBits) {
    Scratch scratch;
    const auto data = ramp(32);
    const StoredTensor tensors[] = {{"w", DType::bf16, {2, 4}, std::span(data).first(16)},
                                    {"v", DType::f32, {4}, std::span(data).last(16)}};
    const auto path = scratch.folder() / "model.safetensors";
    ASSERT_TRUE(write_safetensors(path, tensors).ok());
    const std::string good = read_all(path);
    for (std::size_t size = 0; size < good.size(); ++size) {
        scratch.write("model.safetensors", good.substr(0, size));
        EXPECT_FALSE(Safetensors::open(path).ok()) << size;
    }
    for (std::size_t bit = 0; bit < good.size() * 8; bit += 3) {
        std::string flipped = good;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        scratch.write("model.safetensors", flipped);
        open_and_read(path);
    }
}

TEST(Safetensors, DeepAndLongHeaders) {
    Scratch scratch;
    error_of(scratch, std::string(200000, '['), 0);
    error_of(scratch, R"({"t":)" + std::string(100000, '[') + std::string(100000, ']') + "}", 0);
    std::string many = "{";
    for (int i = 0; i < 20000; ++i) {
        many += "\"t" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
    }
    many.back() = '}';
    auto weights = Safetensors::open(scratch.write("model.safetensors", file_of(many, 0)));
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    EXPECT_EQ(weights->names().size(), 20000u);
}

}  // namespace
}  // namespace warpwright
