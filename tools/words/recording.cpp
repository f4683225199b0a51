// SPDX-License-Identifier: Apache-2.0
#include "tools/words/recording.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "image/encode.h"
#include "tools/words/values.h"

namespace warpwright::words {
namespace {

constexpr int kKeptBytes = 1024;  // of words that are committed of each form
constexpr int kGroups = 64;

u64 digest_of(std::string_view bytes) {
    return hash_of(bytes);
}

u64 field_value(std::string_view record, const Field& field) {
    u64 value = 0;
    std::memcpy(&value, record.data() + field.offset,
                std::min<std::size_t>(8, static_cast<std::size_t>(field.kind->bytes)));
    return value;
}

std::string field_text(std::string_view record, const Field& field) {
    std::string text = "0x";
    for (int i = field.kind->bytes; i-- > 0;)
        text += fmt::format("{:02x}", static_cast<u8>(record[static_cast<std::size_t>(field.offset + i)]));
    return text;
}

std::string_view record_of(std::string_view bytes, int record_bytes, int vector) {
    return bytes.substr(static_cast<std::size_t>(vector) * static_cast<std::size_t>(record_bytes),
                        static_cast<std::size_t>(record_bytes));
}

// "thread 17: %i0 = 0x..., %i1 = 0x..."
std::string operands_text(const Form& form, std::string_view inputs, int vector) {
    std::string text = fmt::format("thread {}", vector);
    if (form.inputs.empty()) return text;
    const std::string_view record = record_of(inputs, form.input_bytes(), vector);
    for (std::size_t i = 0; i < form.inputs.size(); ++i)
        text += fmt::format("{}%i{} = {}", i == 0 ? ": " : ", ", i, field_text(record, form.inputs[i]));
    return text;
}

std::string_view as_view(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::optional<std::string> broken_promise(const Form& form, std::string_view words, const char* whose) {
    const std::vector<std::byte> inputs = inputs_of(form);
    const std::size_t num_outputs = form.outputs.size();
    const int vectors = static_cast<int>(words.size()) / form.output_bytes();
    for (int vector = 0; vector < vectors; ++vector) {
        const std::string_view input = record_of(as_view(inputs), form.input_bytes(), vector);
        const std::string_view output = record_of(words, form.output_bytes(), vector);
        for (std::size_t i = 0; i < num_outputs; ++i) {
            // Several results: one for each operand.
            const u64 a = field_value(input, form.inputs[num_outputs > 1 ? i : 0]);
            const u64 b = num_outputs == 1 && form.inputs.size() > 1 ? field_value(input, form.inputs[1]) : 0;
            const std::string text = judge(*form.approximation, a, b, field_value(output, form.outputs[i]));
            if (text.empty()) continue;
            return fmt::format("{}: {}: {}: {} ({})", statement_of(form, static_cast<int>(i)),
                               operands_text(form, as_view(inputs), vector), whose, text,
                               field_text(output, form.outputs[i]));
        }
    }
    return std::nullopt;
}

std::string hex(u64 value) {
    return fmt::format("{:016x}", value);
}
u64 from_hex(const std::string& text) {
    return std::stoull(text, nullptr, 16);
}

Status write(const std::string& path, std::ios::openmode mode, const std::string& bytes) {
    std::ofstream file(path, std::ios::binary | mode);
    file << bytes << std::flush;
    return file.good() ? Status{} : unavailable("cannot write " + path);
}

}  // namespace

const Record* Recording::find(std::string_view form) const {
    const auto found = std::find_if(records.begin(), records.end(),
                                    [&](const Record& record) { return record.form == form; });
    return found == records.end() ? nullptr : &*found;
}

u64 identity_of(const Form& form) {
    std::string text = fmt::format("{}\n{}\n{}\n{} {} {}\n", form.name, form.declarations, form.body,
                                   form.vectors, form.block_threads, form.shared_bytes);
    for (const auto* fields : {&form.inputs, &form.outputs}) {
        for (const Field& field : *fields)
            text += fmt::format("{}{} ", field.kind->name, field.in_memory ? "*" : "");
        text += ">";
    }
    text += as_view(inputs_of(form));
    return hash_of(text);
}

Record full_record(const Form& form, std::string words) {
    Record record{form.name, identity_of(form), form.vectors};
    record.digest = digest_of(words);
    record.words = std::move(words);
    return record;
}

Record failed_record(const Form& form, std::string problem) {
    Record record{form.name, identity_of(form), form.vectors};
    record.problem = std::move(problem);
    return record;
}

Record reduced(const Form& form, const Record& full) {
    Record record = full;
    if (form.approximation || !full.problem.empty()) return record;
    // Whole warps, so that a tile is kept whole or not at all.
    const int warps = std::clamp(kKeptBytes / (32 * form.output_bytes()), 1, form.vectors / 32);
    const auto kept = static_cast<std::size_t>(32 * warps) * static_cast<std::size_t>(form.output_bytes());
    record.words.resize(kept);
    record.group_vectors = std::max(32, form.vectors / kGroups / 32 * 32);
    const auto group =
        static_cast<std::size_t>(record.group_vectors) * static_cast<std::size_t>(form.output_bytes());
    for (std::size_t at = kept; at < full.words.size(); at += group)
        record.group_digests.push_back(digest_of(std::string_view(full.words).substr(at, group)));
    return record;
}

Status write_origin(const std::string& path, const Origin& origin) {
    const nlohmann::ordered_json json{{"what", "instruction words"},  {"gpu", origin.gpu},
                                      {"target", origin.target},      {"driver", origin.driver},
                                      {"date", origin.date},          {"ptx", "9.0 for sm_90a"},
                                      {"generator", origin.generator}};
    return write(path, std::ios::trunc, json.dump() + "\n");
}

Status append(const std::string& path, const Record& record, int compression) {
    ByteWriter writer;
    writer.text(record.words);
    writer.number(record.group_digests.size());
    for (const u64 digest : record.group_digests) writer.number(digest);
    const std::string payload = zstd_compress(writer.bytes(), compression);
    nlohmann::ordered_json json{{"form", record.form},
                                {"identity", hex(record.identity)},
                                {"vectors", record.vectors},
                                {"digest", hex(record.digest)}};
    if (record.group_vectors > 0) json["group"] = record.group_vectors;
    if (!record.problem.empty()) json["problem"] = record.problem;
    json["bytes"] = payload.size();
    // What a driver says may be no UTF-8.
    using Json = nlohmann::ordered_json;
    return write(path, std::ios::app,
                 json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n" + payload + "\n");
}

Result<Recording> read_recording(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return unavailable("cannot read " + path);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    Recording recording;
    std::string_view left = bytes;
    const auto damaged = [&](std::string_view what) {
        return unavailable(fmt::format("{}: {} at byte {}", path, what, bytes.size() - left.size()));
    };
    try {
        bool is_first = true;
        while (!left.empty()) {
            const std::size_t end = left.find('\n');
            if (end == left.npos) return damaged("a line without end");
            const auto json = nlohmann::json::parse(left.substr(0, end));
            if (is_first) {
                recording.origin = {json.at("gpu"), json.at("target"), json.at("driver"), json.at("date"),
                                    json.at("generator")};
                left.remove_prefix(end + 1);
                is_first = false;
                continue;
            }
            Record record{json.at("form"), from_hex(json.at("identity")), json.at("vectors"),
                          from_hex(json.at("digest")), json.value("problem", "")};
            record.group_vectors = json.value("group", 0);
            const std::size_t size = json.at("bytes");
            if (left.size() < end + 1 + size + 1) return damaged("a record that is cut off");
            const auto payload = zstd_decompress(left.substr(end + 1, size));
            if (!payload) return damaged("a record that does not decompress");
            ByteReader reader(*payload);
            record.words = reader.text();
            const u64 groups = reader.number();
            if (groups > payload->size() / 8) return damaged("a wrong number of digests");
            for (u64 i = 0; i < groups; ++i) record.group_digests.push_back(reader.number());
            if (!reader.at_end()) return damaged("a record of another length");
            left.remove_prefix(end + 1 + size + 1);
            // A form that was tried again counts as the last attempt says.
            const auto before = std::find_if(recording.records.begin(), recording.records.end(),
                                             [&](const Record& other) { return other.form == record.form; });
            if (before == recording.records.end())
                recording.records.push_back(std::move(record));
            else
                *before = std::move(record);
        }
    } catch (const std::exception& exception) {
        return damaged(exception.what());
    }
    return recording;
}

std::optional<std::string> difference(const Form& form, const Record& record, std::string_view words) {
    if (record.identity != identity_of(form)) return "recorded for another kernel or other operands";
    if (!record.problem.empty()) return "was not recorded: " + record.problem;
    const auto output_bytes = static_cast<std::size_t>(form.output_bytes());
    if (words.size() != static_cast<std::size_t>(form.vectors) * output_bytes ||
        record.words.size() > words.size())
        return "another number of words";
    if (form.approximation) {
        if (auto text = broken_promise(form, record.words, "recorded")) return text;
        return broken_promise(form, words, "here");
    }
    if (digest_of(words) == record.digest) return std::nullopt;

    const std::vector<std::byte> inputs = inputs_of(form);
    std::optional<std::string> first;
    int num_different = 0;
    const int kept = record.kept_vectors(form);
    for (int vector = 0; vector < kept; ++vector) {
        const std::string_view expected = record_of(record.words, form.output_bytes(), vector);
        const std::string_view got = record_of(words, form.output_bytes(), vector);
        if (expected == got) continue;
        ++num_different;
        for (std::size_t i = 0; i < form.outputs.size() && !first; ++i) {
            const std::string want = field_text(expected, form.outputs[i]);
            const std::string have = field_text(got, form.outputs[i]);
            if (want == have) continue;
            first = fmt::format("{}: {}: expected {}, got {}", statement_of(form, static_cast<int>(i)),
                                operands_text(form, as_view(inputs), vector), want, have);
        }
        if (!first)
            first = operands_text(form, as_view(inputs), vector) + ": bytes between the results differ";
    }
    if (first) return fmt::format("{} ({} of {} threads differ)", *first, num_different, kept);

    const std::size_t group = static_cast<std::size_t>(record.group_vectors) * output_bytes;
    for (std::size_t i = 0; i < record.group_digests.size(); ++i) {
        const std::size_t at = record.words.size() + i * group;
        if (digest_of(words.substr(at, group)) == record.group_digests[i]) continue;
        const int begin = kept + static_cast<int>(i) * record.group_vectors;
        return fmt::format("a result of the threads {} to {} differs; a full recording says which one", begin,
                           std::min(begin + record.group_vectors, form.vectors) - 1);
    }
    return "the digest differs, but no word does: the recording is damaged";
}

}  // namespace warpwright::words
