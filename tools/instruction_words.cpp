// SPDX-License-Identifier: Apache-2.0
// instruction_words: records what one instruction answers on a GPU, form by form, and compares any device
// with what was recorded. The words of a Hopper GPU are committed: tests/emulator/words.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "device/machine.h"
#include "tools/words/form.h"
#include "tools/words/recording.h"
#include "tools/words/run.h"

namespace warpwright::words {
namespace {

constexpr int kPatienceMs = 60'000;  // for one form: a kernel that hangs must not take the machine with it
constexpr int kMaxRestarts = 40;

int fail(const Status& status) {
    fmt::print(stderr, "error: {}\n", status.message());
    return 2;
}

std::vector<const Form*> selected(const std::string& filter) {
    std::vector<const Form*> forms;
    for (const Form& form : all_forms()) {
        if (form.name.find(filter) != std::string::npos) forms.push_back(&form);
    }
    return forms;
}

Origin origin_of(const Device& device) {
    Origin origin;
    origin.target = device.target().id;
    origin.gpu = device.target().name;
    origin.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
    origin.driver = "none";
    if (device.id().starts_with("cuda")) {
        const Machine machine = probe_machine();
        origin.driver = fmt::format("{} (CUDA {})", machine.driver_release, machine.driver_version);
    }
    return origin;
}

// Records forms from `first` on, with a byte into `progress` for each. A kernel that faults takes the context
// of its process with it: the exit code is 1 then, and 0 when all are done.
int record_in_child(const std::string& device_name, const std::string& path,
                    const std::vector<const Form*>& forms, std::size_t first, int progress) {
    const auto device = open_device(device_name);
    if (!device.ok()) return fail(device.status());
    if (first == 0) {
        if (const Status status = write_origin(path, origin_of(**device)); !status.ok()) return fail(status);
    }
    for (std::size_t i = first; i < forms.size(); ++i) {
        const Form& form = *forms[i];
        auto words = run_form(*device, form);
        const Status status = append(path, words.ok() ? full_record(form, std::move(*words))
                                                      : failed_record(form, words.status().message()));
        if (!status.ok()) return fail(status);
        if (!words.ok()) fmt::print("{}: {}\n", form.name, words.status().message());
        std::fflush(stdout);
        if (write(progress, "", 1) != 1) return 2;
        if (!words.ok() && !(*device)->synchronize({}).ok()) return i + 1 == forms.size() ? 0 : 1;
    }
    return 0;
}

int record(const std::string& device, const std::string& path, const std::string& filter) {
    const std::vector<const Form*> forms = selected(filter);
    std::size_t done = 0;
    int num_failed = 0;
    for (int restarts = 0; done < forms.size(); ++restarts) {
        if (restarts > kMaxRestarts) return fail(unavailable("too many forms failed: given up"));
        int ends[2];
        if (pipe(ends) != 0) return fail(unavailable("no pipe"));
        std::fflush(nullptr);  // or the child prints it again
        const pid_t child = fork();
        if (child < 0) return fail(unavailable("no process"));
        if (child == 0) {
            close(ends[0]);
            const int code = record_in_child(device, path, forms, done, ends[1]);
            std::fflush(nullptr);
            _exit(code);
        }
        close(ends[1]);
        bool hangs = false;
        for (bool open = true; open && !hangs;) {
            pollfd wait{ends[0], POLLIN, 0};
            hangs = poll(&wait, 1, kPatienceMs) == 0;
            char bytes[64];
            const ssize_t count = hangs ? 0 : read(ends[0], bytes, sizeof bytes);
            open = count > 0;
            if (open) done += static_cast<std::size_t>(count);
        }
        if (hangs) kill(child, SIGKILL);
        close(ends[0]);
        int state = 0;
        waitpid(child, &state, 0);
        if (WIFEXITED(state) && WEXITSTATUS(state) == 2 && !hangs) return 2;  // said why
        if (done == forms.size() || (WIFEXITED(state) && WEXITSTATUS(state) <= 1)) continue;
        const std::string problem =
            hangs ? "does not end" : fmt::format("ended by signal {}", WTERMSIG(state));
        fmt::print("{}: {}\n", forms[done]->name, problem);
        if (const Status status = append(path, failed_record(*forms[done], problem)); !status.ok())
            return fail(status);
        ++done;
    }
    const auto recording = read_recording(path);
    if (!recording.ok()) return fail(recording.status());
    for (const Record& record : recording->records) num_failed += record.problem.empty() ? 0 : 1;
    fmt::print("{} forms recorded on {}, {} failed: {}\n", recording->records.size(), recording->origin.gpu,
               num_failed, path);
    return num_failed == 0 ? 0 : 1;
}

int reduce(const std::string& from, const std::string& to) {
    const auto recording = read_recording(from);
    if (!recording.ok()) return fail(recording.status());
    if (const Status status = write_origin(to, recording->origin); !status.ok()) return fail(status);
    int num_reduced = 0;
    for (const Form& form : all_forms()) {
        const Record* full = recording->find(form.name);
        if (full == nullptr || !full->problem.empty() || full->identity != identity_of(form)) {
            fmt::print("left out: {}: {}\n", form.name,
                       full == nullptr          ? "not recorded"
                       : !full->problem.empty() ? full->problem
                                                : "recorded for another kernel or other operands");
            continue;
        }
        if (const Status status = append(to, reduced(form, *full), kSmallCompression); !status.ok())
            return fail(status);
        ++num_reduced;
    }
    fmt::print("{} of {} forms, {} bytes: {}\n", num_reduced, all_forms().size(),
               std::filesystem::file_size(to), to);
    return 0;
}

int compare(const std::string& device_name, const std::string& path, const std::string& filter) {
    const auto recording = read_recording(path);
    if (!recording.ok()) return fail(recording.status());
    const auto device = open_device(device_name);
    if (!device.ok()) return fail(device.status());
    int num_equal = 0, num_different = 0, num_failed = 0, num_missing = 0;
    for (const Form* form : selected(filter)) {
        const Record* record = recording->find(form->name);
        if (record == nullptr) {
            ++num_missing;
            fmt::print("missing   {}\n", form->name);
            continue;
        }
        const auto words = run_form(*device, *form);
        if (!words.ok()) {
            ++num_failed;
            fmt::print("failed    {}: {}\n", form->name, words.status().message());
        } else if (const auto text = difference(*form, *record, *words)) {
            ++num_different;
            fmt::print("different {}: {}\n", form->name, *text);
        } else {
            ++num_equal;
        }
    }
    fmt::print("{} against {}: {} forms right, {} different, {} failed, {} not recorded\n", device_name,
               recording->origin.gpu, num_equal, num_different, num_failed, num_missing);
    return num_different + num_failed + num_missing == 0 ? 0 : 1;
}

int list(const std::string& filter) {
    for (const Form* form : selected(filter)) {
        fmt::print("{:<44} {:6} threads {:4} -> {:4} bytes{}\n", form->name, form->vectors,
                   form->input_bytes(), form->output_bytes(), form->approximation ? ", approximate" : "");
    }
    return 0;
}

// One file for each form: for the assembler, or for reading.
int dump(const std::string& folder, const std::string& filter) {
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const Form* form : selected(filter)) {
        const std::string path = fmt::format("{}/{:03}.ptx", folder, number++);
        std::ofstream file(path);
        file << kernel_text(*form);
        if (!file.good()) return fail(unavailable("cannot write " + path));
    }
    fmt::print("{} kernels: {}\n", number, folder);
    return 0;
}

}  // namespace
}  // namespace warpwright::words

int main(int argc, char** argv) {
    using namespace warpwright::words;
    CLI::App app{"What single instructions answer on a GPU, and whether another device answers the same.",
                 "instruction_words"};
    app.require_subcommand(1);
    std::string device = "cuda:0", path, to, filter;
    std::function<int()> action;
    const auto add = [&](const char* name, const char* what, std::function<int()> run) {
        CLI::App* verb = app.add_subcommand(name, what);
        verb->callback([&action, run] { action = run; });
        return verb;
    };
    const auto add_filter = [&](CLI::App* verb) {
        verb->add_option("--filter", filter, "only forms whose name contains this");
    };
    CLI::App* verb = add("list", "the forms", [&] { return list(filter); });
    add_filter(verb);
    verb = add("dump", "the kernels, as PTX files", [&] { return dump(path, filter); });
    verb->add_option("folder", path)->required();
    add_filter(verb);
    verb = add("record", "runs every form and writes all its words",
               [&] { return record(device, path, filter); });
    verb->add_option("--device", device, "cuda:N, emulated:GPU")->capture_default_str();
    verb->add_option("--out", path)->required();
    add_filter(verb);
    verb = add("reduce", "makes what is committed of a full recording", [&] { return reduce(path, to); });
    verb->add_option("recording", path)->required();
    verb->add_option("--out", to)->required();
    verb = add("compare", "runs every form and compares its words with a recording",
               [&] { return compare(device, path, filter); });
    verb->add_option("recording", path)->required();
    verb->add_option("--device", device, "cuda:N, emulated:GPU")->capture_default_str();
    add_filter(verb);
    CLI11_PARSE(app, argc, argv);
    return action();
}
