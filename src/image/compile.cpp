// SPDX-License-Identifier: Apache-2.0
#include "image/compile.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace warpwright {
namespace {

constexpr int kMaxErrorLines = 12;

class Program {
public:
    explicit Program(const Nvrtc& nvrtc) : nvrtc_(nvrtc) {}
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program() {
        if (program_ != nullptr) nvrtc_.destroy_program(&program_);
    }

    int create(const std::string& text, const std::vector<SourceFile>& files) {
        std::vector<const char*> texts;
        std::vector<const char*> names;
        for (const SourceFile& file : files) {
            texts.push_back(file.text.c_str());
            names.push_back(file.include_name.c_str());
        }
        // The unit's name is constant: it may reach the output, and equal images must have equal bytes.
        return nvrtc_.create_program(&program_, text.c_str(), "image.cu", static_cast<int>(texts.size()),
                                     texts.data(), names.data());
    }

    int compile(const std::vector<std::string>& options) {
        std::vector<const char*> pointers;
        for (const std::string& option : options) pointers.push_back(option.c_str());
        return nvrtc_.compile_program(program_, static_cast<int>(pointers.size()), pointers.data());
    }

    std::string log() const { return text(nvrtc_.log_bytes, nvrtc_.log); }
    std::string ptx() const { return text(nvrtc_.ptx_bytes, nvrtc_.ptx); }

    std::vector<std::byte> cubin() const {
        std::size_t bytes = 0;
        if (nvrtc_.cubin_bytes(program_, &bytes) != 0) return {};
        std::vector<std::byte> result(bytes);
        if (bytes > 0) nvrtc_.cubin(program_, reinterpret_cast<char*>(result.data()));
        return result;
    }

private:
    std::string text(int (*get_bytes)(Nvrtc::Program, std::size_t*),
                     int (*get)(Nvrtc::Program, char*)) const {
        std::size_t bytes = 0;  // with the terminating null
        if (get_bytes(program_, &bytes) != 0 || bytes == 0) return {};
        std::string result(bytes, '\0');
        get(program_, result.data());
        result.resize(result.find('\0'));
        return result;
    }

    const Nvrtc& nvrtc_;
    Nvrtc::Program program_ = nullptr;
};

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        std::size_t end = text.find('\n');
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
    return lines;
}

bool contains(std::string_view line, std::string_view word) {
    return line.find(word) != line.npos;
}

// "file(line): error: ..." with the source line and caret below it, "ptxas ... error   : ...".
std::string first_errors(std::string_view log) {
    std::string errors;
    int num_lines = 0;
    int context = 0;
    for (std::string_view line : lines_of(log)) {
        bool is_error = contains(line, "error") || contains(line, "ptxas fatal");
        if (is_error) context = 3;
        if (context-- <= 0 || line.empty()) continue;
        errors += fmt::format("\n  {}", line);
        if (++num_lines == kMaxErrorLines) break;
    }
    return errors.empty() ? fmt::format("\n  {}", log) : errors;
}

std::string warnings_of(std::string_view log) {
    std::string warnings;
    int context = 0;
    for (std::string_view line : lines_of(log)) {
        // A front-end warning is followed by the source line; the assembler reports lost performance
        // (serialised wgmma, ignored setmaxnreg) as mere information.
        if (contains(line, "): warning"))
            context = 3;
        else if (contains(line, "ptxas warning") || contains(line, "Potential Performance Loss"))
            context = 1;
        if (context-- <= 0 || line.empty()) continue;
        warnings += (warnings.empty() ? "" : "\n") + std::string(line);
    }
    return warnings;
}

// The number right before `unit`, as in "1312 bytes stack frame, 2972 bytes spill stores".
int number_before(std::string_view line, std::string_view unit) {
    std::size_t end = line.find(unit);
    if (end == line.npos) return 0;
    std::size_t begin = line.find_last_not_of("0123456789", end - 1);
    begin = begin == line.npos ? 0 : begin + 1;
    int value = 0;
    std::from_chars(line.data() + begin, line.data() + end, value);
    return value;
}

// One image has one entry point, and it is the one that will be looked up.
Status check_entry(const Image& image) {
    constexpr std::string_view kEntry = ".entry ";
    int num_entries = 0;
    std::string names;
    for (std::size_t at = image.ptx.find(kEntry); at != image.ptx.npos; at = image.ptx.find(kEntry, at + 1)) {
        std::size_t begin = at + kEntry.size();
        std::string name = image.ptx.substr(begin, image.ptx.find_first_of("( \t\n", begin) - begin);
        if (name == image.entry) ++num_entries;
        names += (names.empty() ? "" : ", ") + name;
    }
    if (num_entries == 1 && names == image.entry) return {};
    return unavailable(
        fmt::format("expected the one entry point {}, got {}", image.entry, names.empty() ? "none" : names));
}

}  // namespace

std::string entry_name(std::string_view row) {
    std::string name;
    for (char c : row) {
        bool is_digit = c >= '0' && c <= '9';
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (is_digit && name.empty()) name += '_';
        name += is_letter || is_digit ? c : '_';
    }
    return name;
}

std::string image_title(const ImageSpec& spec) {
    return fmt::format("{} for {}{}", spec.row, build_target_name(spec.build_target),
                       spec.contracts ? "" : " without contraction");
}

std::vector<std::string> compile_flags(const ImageSpec& spec) {
    const BuildTarget code = spec.code_of.value_or(spec.build_target);
    const bool is_text = spec.build_target == BuildTarget::compute_80;
    std::vector<std::string> flags = {
        fmt::format("--gpu-architecture={}", build_target_name(is_text ? spec.build_target : code)),
        "-std=c++20",
        "-default-device",      // unannotated constexpr functions of shared headers
        "--minimal",            // no texture, runtime or driver declarations: kernels use none
        "--no-source-include",  // nothing is read from the current folder
        fmt::format("-DWW_TARGET={}", static_cast<int>(code)),
        fmt::format("-DWW_ENTRY={}", entry_name(spec.row)),
    };
    if (!is_text) flags.emplace_back("--ptxas-options=-v");
    if (!spec.contracts) flags.emplace_back("-fmad=false");
    return flags;
}

bool parse_resources(std::string_view log, ImageResources& resources) {
    bool found = false;
    ImageResources read;
    for (std::string_view line : lines_of(log)) {
        // One line per function that was not inlined; the entry's own figures come last.
        if (contains(line, "bytes stack frame")) {
            read.stack_bytes = std::max(read.stack_bytes, number_before(line, " bytes stack frame"));
            read.spill_bytes +=
                number_before(line, " bytes spill stores") + number_before(line, " bytes spill loads");
        }
        if (contains(line, "Used ") && contains(line, " registers")) {
            found = true;
            read.registers = std::max(read.registers, number_before(line, " registers"));
            read.static_shared_bytes = std::max(read.static_shared_bytes, number_before(line, " bytes smem"));
            read.stack_bytes =
                std::max(read.stack_bytes, number_before(line, " bytes cumulative stack size"));
        }
    }
    if (found) resources = read;
    return found;
}

Result<Compiled> compile(const ImageSpec& spec, const SourceClosure& sources, const Nvrtc& nvrtc) {
    auto failed = [&](std::string_view what) {
        return unavailable(fmt::format("image {}: {}", image_title(spec), what));
    };
    if (spec.build_target == BuildTarget::host) return failed("a host row has no image");

    std::vector<SourceFile> files = sources.files;
    bool is_only_row = false;
    for (SourceFile& file : files) file.text = with_only_row(file.text, spec.row, is_only_row);

    Program program(nvrtc);
    std::string text = fmt::format("#include \"{}\"\n", sources.files[0].include_name);
    if (int code = program.create(text, files); code != 0) return failed(nvrtc.error_text(code));
    std::vector<std::string> options = compile_flags(spec);
    options.push_back(fmt::format("-DWW_ROW={}", is_only_row ? 0 : spec.row_index));
    // With a driver, NVRTC keeps what anybody compiles in the driver's cache, and what it takes from there
    // comes without the assembler's log.
    options.emplace_back("--no-cache");
    int code = program.compile(options);
    std::string log = program.log();
    if (code != 0) {
        return failed(
            fmt::format("NVRTC {}: {}{}", nvrtc.version, nvrtc.error_text(code), first_errors(log)));
    }

    Compiled result;
    Image& image = result.image;
    image.row = spec.row;
    image.build_target = spec.build_target;
    image.entry = entry_name(spec.row);
    image.ptx = program.ptx();
    if (Status status = check_entry(image); !status) return failed(status.message());
    if (spec.build_target != BuildTarget::compute_80) {
        image.cubin = program.cubin();
        if (image.cubin.empty()) return failed("NVRTC gave no cubin");
        if (!parse_resources(log, image.resources))
            return failed("no resource figures in NVRTC's log:\n" + log);
    }
    result.warnings = warnings_of(log);
    return result;
}

Result<Compiled> compile(const ImageSpec& spec) {
    WW_ASSIGN(const Nvrtc* compiler, nvrtc());
    WW_ASSIGN(std::shared_ptr<const SourceClosure> sources, KernelSources::embedded().closure(spec.source));
    return compile(spec, *sources, *compiler);
}

}  // namespace warpwright
