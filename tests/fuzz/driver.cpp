// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target: first every input of its corpus, then mutations of them until the time is up, or so
// many are made. The target is a function of libFuzzer's form, so that libFuzzer can be linked instead of
// this file:
//
//     extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
//
// It returns 0, or -1 for an input that no further one should be made from. Of code that is compiled with
// -fsanitize-coverage=trace-pc, only inputs that take a step between two places that none took before are
// mutated further. Inputs are texts: beside bytes, words of all corpora are replaced, moved and mixed. The
// same seed makes the same inputs in the same order.
//
//     fuzz_parse [--seconds N] [--runs N] [--seed N] [--max-bytes N] [--keep FOLDER] [--progress] FOLDER
//                                                     the inputs in a folder, then mutations of them
//     fuzz_parse FILE...                              only these inputs
//
// --keep adds the inputs in its folder to those of the corpus, and new ones that are mutated further to the
// folder, so that the next run goes on where this one ended. tests/fuzz/long_run.py makes millions of inputs
// so.
//
// An input that crashes, or takes longer than kLimit_s, is written to a file beside the program (--crash
// FILE: to that file), which is named in the last line.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Clock = std::chrono::steady_clock;
using Inputs = std::vector<std::string>;

constexpr unsigned kLimit_s = 120;        // of one input; sanitizers and busy machines are slow
constexpr std::size_t kMaxInputs = 4096;  // that further ones are made from
constexpr double kProgressEvery_s = 10;

// --- steps that were taken ---------------------------------------------------------------------------------

constexpr std::size_t kPlaces =
    1u << 17;  // collisions hide some steps; a table that is in no cache costs time
std::uint8_t step_seen[kPlaces];
std::uintptr_t last_place = 0;
std::size_t num_steps = 0;

// --- the input that is running, for the moment it crashes -------------------------------------------------

const std::string* running = nullptr;
std::string crash_path;

void write_all(int file, const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t written = write(file, data, size);
        if (written <= 0) return;
        data += written;
        size -= static_cast<std::size_t>(written);
    }
}

// Only what a signal handler may call.
void save_running() {
    if (running == nullptr) return;
    const std::string& input = *running;
    running = nullptr;
    const int file = open(crash_path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0666);
    if (file < 0) return;
    write_all(file, input.data(), input.size());
    close(file);
    constexpr std::string_view kSaid = "\nfuzz: the input is in ";
    write_all(STDERR_FILENO, kSaid.data(), kSaid.size());
    write_all(STDERR_FILENO, crash_path.data(), crash_path.size());
    write_all(STDERR_FILENO, "\n", 1);
}

void on_signal(int signal) {
    save_running();
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

void on_alarm(int) {
    constexpr std::string_view kSaid = "\nfuzz: one input takes too long";
    write_all(STDERR_FILENO, kSaid.data(), kSaid.size());
    save_running();
    _exit(1);
}

// --- inputs -----------------------------------------------------------------------------------------------

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Whole or not at all: another process may read the folder.
void write_file(const std::filesystem::path& path, const std::string& content) {
    const std::filesystem::path part = path.parent_path() / ("." + path.filename().string());
    std::ofstream(part, std::ios::binary) << content;
    std::filesystem::rename(part, path);
}

std::string name_of(const std::string& input) {
    char name[17];
    std::snprintf(name, sizeof name, "%016zx", std::hash<std::string>()(input));
    return name;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (!entry.path().filename().string().starts_with('.')) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());  // the order of a folder is no order
    return files;
}

// Words, numbers, suffixes and single marks, as positions in the text: what is between them is space.
struct Span {
    std::size_t begin, size;
};
std::vector<Span> words_of(std::string_view text) {
    const auto is_word = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '$';
    };
    std::vector<Span> words;
    for (std::size_t i = 0; i < text.size();) {
        std::size_t end = i + 1;
        const bool begins_word = is_word(text[i]) || text[i] == '%' || text[i] == '.';
        while (begins_word && end < text.size() && is_word(text[end])) ++end;
        if (!std::isspace(static_cast<unsigned char>(text[i]))) words.push_back({i, end - i});
        i = end;
    }
    return words;
}

class Mutator {
public:
    Mutator(std::uint64_t seed, std::size_t max_bytes, const Inputs& corpus)
        : random_(seed), max_bytes_(max_bytes) {
        for (const std::string& input : corpus)
            for (const Span& word : words_of(input)) words_.push_back(input.substr(word.begin, word.size));
        std::sort(words_.begin(), words_.end());
        words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
        for (const char* value :
             {"0", "1", "-1", "31", "32", "255", "65535", "65536", "0x7fffffff", "0x80000000", "4294967295",
              "0x8000000000000000", "0xffffffffffffffff", "1e308", "0f7FC00000", "0d7FF0000000000000"})
            values_.push_back(value);
        if (words_.empty()) words_ = values_;
    }

    std::string make(const Inputs& inputs) {
        std::string text = pick(inputs);
        for (std::size_t i = 1 + below(4) * below(3); i > 0; --i) mutate(text, inputs);
        if (text.size() > max_bytes_) text.resize(max_bytes_);
        return text;
    }

private:
    void mutate(std::string& text, const Inputs& inputs) {
        const std::vector<Span> words = words_of(text);
        if (words.empty()) {
            text += pick(words_);
            return;
        }
        const Span word = pick(words);
        const Span other = pick(words);
        switch (below(14)) {
            case 0: text[below(text.size())] ^= static_cast<char>(1u << below(8)); break;
            case 1: text[below(text.size())] = static_cast<char>(below(256)); break;
            case 2: text.erase(below(text.size()), 1 + below(16)); break;
            case 3: text.resize(below(text.size())); break;
            case 4:  // a part of it once more, elsewhere
                text.insert(below(text.size()), text.substr(below(text.size()), 1 + below(256)));
                break;
            case 5: {  // goes on with another input
                const std::string& tail = pick(inputs);
                text.resize(below(text.size()));
                if (!tail.empty()) text += tail.substr(below(tail.size()));
                break;
            }
            case 6: text.erase(word.begin, word.size); break;
            case 7: text.insert(word.begin, pick(words_) + " "); break;
            case 8: text.replace(word.begin, word.size, pick(values_)); break;
            case 9:
            case 10: text.replace(word.begin, word.size, text.substr(other.begin, other.size)); break;
            case 11: text.replace(word.begin, word.size, pick(words_)); break;
            case 12: swap_lines(text); break;
            default: replace_alike(text, word); break;
        }
    }

    // By a word that begins alike (a suffix, a register): that keeps more of the text right.
    void replace_alike(std::string& text, const Span& word) {
        const char first = text[word.begin];
        const auto is_before = [](const std::string& a, char b) { return a[0] < b; };
        const auto begin = std::lower_bound(words_.begin(), words_.end(), first, is_before);
        auto end = begin;
        while (end != words_.end() && (*end)[0] == first) ++end;
        if (begin == end) return;
        text.replace(word.begin, word.size,
                     begin[static_cast<std::ptrdiff_t>(below(static_cast<std::size_t>(end - begin)))]);
    }

    void swap_lines(std::string& text) {
        const std::size_t a = text.find('\n', below(text.size()));
        const std::size_t b = a == text.npos ? a : text.find('\n', a + 1);
        if (b == text.npos) return;
        const std::string line = text.substr(a, b - a);
        text.erase(a, b - a);
        text.insert(std::min(text.find('\n', below(text.size())), text.size()), line);
    }

    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }
    template <class T>
    const T& pick(const std::vector<T>& from) {
        return from[below(from.size())];
    }

    std::mt19937_64 random_;
    std::size_t max_bytes_;
    Inputs words_;  // sorted
    Inputs values_;
};

class Runner {
public:
    int run(const std::string& input) {
        running = &input;
        alarm(kLimit_s);
        const std::clock_t begin = std::clock();
        const int result =
            LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
        slowest_s_ = std::max(slowest_s_, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
        alarm(0);
        running = nullptr;
        return result;
    }
    double slowest_s() const { return slowest_s_; }

private:
    double slowest_s_ = 0;  // of this program's own time
};

struct Options {
    double seconds = 10;
    std::uint64_t runs = 0;  // 0: as many as the time allows; else the time is no matter
    std::uint64_t seed = 1;
    std::size_t max_bytes = 64u << 10;  // of an input
    bool progress = false;
    std::filesystem::path keep;
    std::vector<std::filesystem::path> files;
};

bool read_options(int argc, char** argv, Options& options) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
        if (argument.substr(0, 2) != "--") {
            options.files.emplace_back(argument);
            continue;
        }
        if (argument == "--progress") {
            options.progress = true;
            continue;
        }
        if (value == nullptr) return false;
        ++i;
        if (argument == "--seconds") {
            options.seconds = std::atof(value);
        } else if (argument == "--runs") {
            options.runs = std::strtoull(value, nullptr, 10);
        } else if (argument == "--seed") {
            options.seed = std::strtoull(value, nullptr, 10);
        } else if (argument == "--max-bytes") {
            options.max_bytes = std::strtoull(value, nullptr, 10);
        } else if (argument == "--keep") {
            options.keep = value;
        } else if (argument == "--crash") {
            crash_path = value;
        } else {
            return false;
        }
    }
    return true;
}

// What was made of the corpus so far.
struct Made {
    std::uint64_t runs = 0, kept = 0;
    Clock::time_point begin = Clock::now(), shown = begin;

    double seconds() const { return std::chrono::duration<double>(Clock::now() - begin).count(); }
    bool is_done(const Options& options) const {
        return options.runs > 0 ? runs >= options.runs : seconds() >= options.seconds;
    }
    void show(const Options& options) {
        if (!options.progress ||
            std::chrono::duration<double>(Clock::now() - shown).count() < kProgressEvery_s)
            return;
        shown = Clock::now();
        std::fprintf(stderr, "%llu made, %.0f a second, %llu kept, %zu steps\n",
                     static_cast<unsigned long long>(runs), static_cast<double>(runs) / seconds(),
                     static_cast<unsigned long long>(kept), num_steps);
    }
};

}  // namespace

// Called at every place of code that is compiled for it: a step is from the last place to this one.
extern "C" __attribute__((no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc() {
    const auto place =
        reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) * 0x9E3779B97F4A7C15u >> 47;
    std::uint8_t& seen = step_seen[place ^ last_place];
    num_steps += seen == 0;
    seen = 1;
    last_place = place >> 1;
}
static_assert(kPlaces == 1u << (64 - 47));

#ifdef __SANITIZE_ADDRESS__
extern "C" void __sanitizer_set_death_callback(void (*callback)());
// A short text must not ask for much memory.
extern "C" const char* __asan_default_options() {
    return "max_allocation_size_mb=2048:hard_rss_limit_mb=6144:detect_stack_use_after_return=0";
}
// The callback is AddressSanitizer's alone; an abort is seen by on_signal.
extern "C" const char* __ubsan_default_options() {
    return "abort_on_error=1:print_stacktrace=1";
}
#endif

int main(int argc, char** argv) {
    Options options;
    crash_path = std::string(argv[0]) + ".crash";
    if (!read_options(argc, argv, options)) {
        std::fprintf(
            stderr,
            "usage: %s [--seconds N] [--runs N] [--seed N] [--max-bytes N] [--keep FOLDER] [--crash FILE] "
            "[--progress] "
            "FOLDER|FILE...\n",
            argv[0]);
        return 2;
    }
    std::vector<std::filesystem::path> files = options.files;
    const bool is_folder = files.size() == 1 && std::filesystem::is_directory(files[0]);
    if (is_folder) files = files_in(files[0]);
    if (!options.keep.empty()) {
        std::filesystem::create_directories(options.keep);
        const auto kept = files_in(options.keep);
        files.insert(files.end(), kept.begin(), kept.end());
    }
    if (files.empty()) {
        std::fprintf(stderr, "fuzz: expected a folder of inputs, or inputs, got none\n");
        return 2;
    }
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(save_running);
#else
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, on_signal);
#endif
    std::signal(SIGABRT, on_signal);
    std::signal(SIGALRM, on_alarm);

    Inputs corpus;
    Runner runner;
    for (const std::filesystem::path& path : files) {
        corpus.push_back(read_file(path));
        runner.run(corpus.back());
    }
    const std::size_t num_files = corpus.size();
    const bool has_steps = num_steps > 0;
    Mutator mutator(options.seed, options.max_bytes, corpus);
    Made made;
    while (is_folder && !made.is_done(options)) {
        std::string input = mutator.make(corpus);
        const std::size_t num_before = num_steps;
        ++made.runs;
        made.show(options);
        if (runner.run(input) != 0 || (has_steps && num_steps == num_before)) continue;
        if (!options.keep.empty()) write_file(options.keep / name_of(input), input);
        // The files stay; later inputs take the place of earlier ones.
        if (corpus.size() < kMaxInputs)
            corpus.push_back(std::move(input));
        else
            corpus[num_files + made.kept % (kMaxInputs - num_files)] = std::move(input);
        ++made.kept;
    }
    std::printf(
        "%zu inputs of the corpus, %llu made of them with seed %llu at %.0f a second, %llu of these kept; "
        "the "
        "slowest took %.0f ms\n",
        num_files, static_cast<unsigned long long>(made.runs), static_cast<unsigned long long>(options.seed),
        static_cast<double>(made.runs) / std::max(made.seconds(), 1e-9),
        static_cast<unsigned long long>(made.kept), runner.slowest_s() * 1e3);
    return 0;
}
