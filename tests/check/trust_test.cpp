// SPDX-License-Identifier: Apache-2.0
// A row that fails its check on a device is not chosen there again, and everything that is asked says why.
#include "dispatch/trust.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>

#include "check/report.h"
#include "check/run.h"
#include "dispatch/prepare.h"
#include "image/nvrtc.h"
#include "image/store.h"
#include "kernels/fused/rmsnorm/operation.h"

namespace warpwright {
namespace {

// An emulated device that says who it is, as a GPU does.
class NamedDevice final : public Device {
public:
    NamedDevice(std::shared_ptr<Device> device, DeviceIdentity identity)
        : device_(std::move(device)), identity_(std::move(identity)) {}
    DeviceIdentity identity() const override { return identity_; }

    const std::string& id() const override { return device_->id(); }
    const Target& target() const override { return device_->target(); }
    Result<MemoryInfo> memory() override { return device_->memory(); }
    bool poisons_fresh_memory() const override { return device_->poisons_fresh_memory(); }
    Result<void*> allocate_own(std::size_t bytes) override {
        if (out_of_memory) return unavailable("taken by somebody else");
        return device_->allocate(bytes);
    }
    static inline bool out_of_memory = false;
    void release_own(void* pointer) override { device_->release(pointer); }
    Status copy_in(void* to, const void* from, std::size_t bytes, Stream stream) override {
        return device_->copy_in(to, from, bytes, stream);
    }
    Status copy_out(void* to, const void* from, std::size_t bytes, Stream stream) override {
        return device_->copy_out(to, from, bytes, stream);
    }
    Status copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
        return device_->copy(to, from, bytes, stream);
    }
    Status fill(void* to, u8 value, std::size_t bytes, Stream stream) override {
        return device_->fill(to, value, bytes, stream);
    }
    Result<Kernel> load(const Image& image) override { return device_->load(image); }
    Status launch(Kernel kernel, const LaunchConfig& config, std::span<const std::byte> args,
                  Stream stream) override {
        return device_->launch(kernel, config, args, stream);
    }
    Result<int> max_active_blocks(Kernel kernel, int threads, u32 shared_bytes) override {
        return device_->max_active_blocks(kernel, threads, shared_bytes);
    }
    Result<Stream> create_stream() override { return device_->create_stream(); }
    void destroy(Stream stream) override { device_->destroy(stream); }
    Status synchronize(Stream stream) override { return device_->synchronize(stream); }
    Result<Event> create_event() override { return device_->create_event(); }
    void destroy(Event event) override { device_->destroy(event); }
    Status record(Event event, Stream stream) override { return device_->record(event, stream); }
    Status wait(Stream stream, Event event) override { return device_->wait(stream, event); }
    Status wait(Event event) override { return device_->wait(event); }
    Result<double> elapsed_us(Event from, Event to) override { return device_->elapsed_us(from, to); }
    Status begin_capture(Stream stream) override { return device_->begin_capture(stream); }
    Result<Graph> end_capture(Stream stream) override { return device_->end_capture(stream); }
    Status launch(Graph graph, Stream stream) override { return device_->launch(graph, stream); }
    void destroy(Graph graph) override { device_->destroy(graph); }
    bool supports_graphs() const override { return device_->supports_graphs(); }
    Result<TensorMap> encode(const TensorMapSpec& spec) override { return device_->encode(spec); }
    Result<bool> can_access_peer(const Device& other) override { return device_->can_access_peer(other); }
    Status enable_peer_access(const Device& other) override { return device_->enable_peer_access(other); }

private:
    std::shared_ptr<Device> device_;
    DeviceIdentity identity_;
};

const OperationCheck& norm_check() {
    for (const OperationCheck* check : operation_checks())
        if (check->op() == "rmsnorm") return *check;
    std::abort();
}

class Trust : public testing::Test {
protected:
    void SetUp() override {
        if (!nvrtc().ok()) GTEST_SKIP() << nvrtc().status().message();
        // Verdicts go into a folder of the test's own; images stay where they are, in the shared store.
        (void)ImageStore::shared();
        if (const char* folder = std::getenv("WARPWRIGHT_CACHE")) before_ = folder;
        folder_ = std::filesystem::temp_directory_path() / ("ww_trust_" + std::to_string(::getpid()));
        setenv("WARPWRIGHT_CACHE", folder_.c_str(), 1);
    }
    void TearDown() override {
        if (folder_.empty()) return;
        std::filesystem::remove_all(folder_);
        if (before_.empty()) {
            unsetenv("WARPWRIGHT_CACHE");
        } else {
            setenv("WARPWRIGHT_CACHE", before_.c_str(), 1);
        }
    }

    std::shared_ptr<Context> open(const std::string& driver = "999.1",
                                  const std::string& name = "GPU-1234/5") {
        auto device = open_device("emulated:rtx-5090");
        EXPECT_TRUE(device.ok()) << device.status().message();
        auto context = Context::open(std::make_shared<NamedDevice>(*device, DeviceIdentity{name, driver}));
        EXPECT_TRUE(context.ok()) << context.status().message();
        return *context;
    }

    static std::string chosen(Context& context) {
        const auto row = choose_in<RmsNormOp>(context, {.tokens = 1, .hidden = 64}, false);
        return row.ok() ? (*row)->name.text : row.status().message();
    }

    // The row's own kernel, but that it subtracts somewhere where it should add.
    static void sabotage(Context& context, const std::string& row) {
        for (const ImageSpec& spec : all_image_specs()) {
            if (spec.row != row || spec.build_target != context.target().facts.build_target) continue;
            const auto image = ImageStore::shared().get(spec);
            ASSERT_TRUE(image.ok()) << image.status().message();
            Image wrong = **image;
            wrong.ptx = std::regex_replace(wrong.ptx, std::regex("fma\\.rn\\.f32"), "fma.rz.f32",
                                           std::regex_constants::format_first_only);
            const std::size_t at = wrong.ptx.find("add.f32");
            const std::size_t add = at != std::string::npos ? at : wrong.ptx.find("add.rn.f32");
            ASSERT_NE(add, std::string::npos);
            wrong.ptx.replace(add, 3, "sub");
            ASSERT_TRUE(context.use(wrong).ok());
        }
    }

    static std::vector<CheckResult> check(Context& context, const std::string& row) {
        CheckAnswers answers;
        return norm_check().run(context, {.rows = {row}, .max_failures = 1}, answers);
    }

    std::filesystem::path folder_;
    std::string before_;
};

TEST_F(Trust, ARowThatFailedIsNotChosenOnThatDriver) {
    const auto context = open();
    const std::string row = chosen(*context);
    sabotage(*context, row);
    const auto results = check(*context, row);
    ASSERT_EQ(results.back().outcome, CheckResult::Outcome::failed) << row;
    ASSERT_TRUE(remember(context->device(), verdicts_of(results)).ok());

    const auto later = open();
    const std::string other = chosen(*later);
    EXPECT_NE(other, row);
    const auto forbidden = later->forbidden();
    const Explanation explanation =
        *(*find_operation("rmsnorm"))
             ->explain(later->target(), {{"tokens", "1"}, {"hidden", "64"}}, {.forbidden = forbidden.get()});
    EXPECT_EQ(explanation.choice()->row, other);
    EXPECT_TRUE(std::regex_search(to_text(explanation), std::regex("refused +" + row +
                                                                   " +forbidden: failed check on "
                                                                   "\\d{4}-\\d\\d-\\d\\d, driver 999\\.1\n")))
        << to_text(explanation);
    later->force("rmsnorm", row);  // whoever names it gets it
    EXPECT_EQ(chosen(*later), row);

    EXPECT_EQ(chosen(*open("999.2")), row);           // another driver
    EXPECT_EQ(chosen(*open("999.1", "GPU-5")), row);  // another GPU
    EXPECT_EQ(chosen(*open("999.1", "")), row);       // a device without a name is not remembered
    EXPECT_EQ(trust_path(open("999.1", "")->device()), "");

    // It passes on one driver; what is known of the other stays.
    ASSERT_TRUE(
        remember(open("999.2")->device(), std::vector<TrustVerdict>{{"rmsnorm", row, true, ""}}).ok());
    EXPECT_EQ(chosen(*open()), other);
    ASSERT_TRUE(remember(open()->device(), std::vector<TrustVerdict>{{"rmsnorm", row, true, ""}}).ok());
    EXPECT_EQ(chosen(*open()), row);
}

// Through the whole check, as the verb and the C ABI run it: what it finds holds in a context that is open.
TEST_F(Trust, WhatACheckFindsHoldsInTheContextFromThenOn) {
    const auto context = open();
    const std::string row = chosen(*context);
    const CheckRequest request{.op = "rmsnorm", .rows = {row}, .num_workers = 1};
    const auto check_with = [&](const std::shared_ptr<Context>& inner, int stop_after) {
        CheckRun run{.device = "GPU", .context = inner};
        const CheckEvents events{
            .checked = [&](const CheckResult&, int num_done, int) { return num_done != stop_after; }};
        EXPECT_TRUE(run_checks(request, std::span(&run, 1), events).ok());
        return run;
    };
    const auto wrong = context->sibling();
    sabotage(*wrong, row);
    const CheckRun failed = check_with(wrong, 0);
    EXPECT_EQ(chosen(*context), row);
    const auto verdicts = keep_verdicts(*context, failed);
    ASSERT_TRUE(verdicts.ok()) << verdicts.status().message();
    ASSERT_EQ(verdicts->size(), 1u);
    EXPECT_FALSE((*verdicts)[0].passed);
    EXPECT_NE(chosen(*context), row);
    EXPECT_NE(chosen(*open()), row);

    // One problem that passes is not the row; all of them are.
    const CheckRun stopped = check_with(context->sibling(), 1);
    EXPECT_TRUE(stopped.stopped);
    EXPECT_EQ(stopped.results.size(), 1u);
    EXPECT_TRUE(keep_verdicts(*context, stopped)->empty());
    EXPECT_NE(chosen(*context), row);
    EXPECT_EQ(keep_verdicts(*context, check_with(context->sibling(), 0))->size(), 1u);
    EXPECT_EQ(chosen(*context), row);
    EXPECT_EQ(chosen(*open()), row);

    // Kernels that are compiled for comparisons are not those that are chosen.
    const auto compared = context->sibling();
    compared->forbid_contraction();
    sabotage(*compared, row);
    const CheckRun other_kernel = check_with(compared, 0);
    EXPECT_GT(summarize(other_kernel.results).failed, 0);
    EXPECT_TRUE(keep_verdicts(*context, other_kernel)->empty());
    EXPECT_EQ(chosen(*context), row);

    // What the caller forbade stays so.
    context->forbid(row, "not today");
    EXPECT_EQ(keep_verdicts(*context, check_with(context->sibling(), 0))->size(), 1u);
    EXPECT_NE(chosen(*context), row);
}

TEST_F(Trust, ForgottenOrAnotherKernelIsChosenAgain) {
    const auto context = open();
    const std::string row = chosen(*context);
    ASSERT_FALSE(*forget(context->device()));
    ASSERT_TRUE(
        remember(context->device(), std::vector<TrustVerdict>{{"rmsnorm", row, false, "wrong"}}).ok());
    EXPECT_NE(chosen(*open()), row);

    const std::string path = trust_path(context->device());
    auto json = nlohmann::json::parse(std::ifstream(path));
    EXPECT_EQ(json["drivers"]["999.1"][row]["text"], "wrong");
    json["drivers"]["999.1"][row]["image"] = "00000000000000000000000000000000";
    std::ofstream(path) << json;
    EXPECT_EQ(chosen(*open()), row);  // compiled from other sources since

    ASSERT_TRUE(
        remember(context->device(), std::vector<TrustVerdict>{{"rmsnorm", row, false, "wrong"}}).ok());
    EXPECT_NE(chosen(*open()), row);
    ASSERT_TRUE(*forget(context->device()));
    EXPECT_EQ(chosen(*open()), row);
}

// What a machine lacks for a moment is not held against a row.
TEST_F(Trust, WithoutMemoryNothingIsKnown) {
    const auto context = open();
    const std::string row = chosen(*context);
    const CheckRequest request{.op = "rmsnorm", .rows = {row}, .num_workers = 1};
    CheckRun run{.device = "GPU", .context = context->sibling()};
    NamedDevice::out_of_memory = true;
    EXPECT_TRUE(run_checks(request, std::span(&run, 1), {}).ok());
    NamedDevice::out_of_memory = false;
    EXPECT_EQ(summarize(run.results).passed, 0);
    EXPECT_GT(summarize(run.results).failed, 0) << "it is no success either";
    EXPECT_TRUE(keep_verdicts(*context, run)->empty());
    EXPECT_EQ(chosen(*context), row);
}

// Checks that run at once, in this process or others, keep all they find.
TEST_F(Trust, VerdictsOfManyAtOnceAreAllKept) {
    constexpr int kNumThreads = 8, kNumRows = 6;
    const auto context = open();
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kNumThreads; ++thread) {
        threads.emplace_back([&, thread] {
            for (int row = 0; row < kNumRows; ++row) {
                const std::string name = "row" + std::to_string(thread * kNumRows + row);
                const std::vector<TrustVerdict> verdict{{"rmsnorm", name, true, ""}};
                EXPECT_TRUE(remember(context->device(), verdict).ok());
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    const auto json = nlohmann::json::parse(std::ifstream(trust_path(context->device())));
    EXPECT_EQ(json["drivers"]["999.1"].size(), static_cast<std::size_t>(kNumThreads * kNumRows));
    std::vector<std::string> left;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "trust"))
        left.push_back(entry.path().filename());
    EXPECT_EQ(left, std::vector<std::string>{"GPU-1234_5.json"});
}

TEST_F(Trust, AFileOfSomethingElseIsNamed) {
    const std::string path = trust_path(open()->device());
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << "{";
    auto device = open_device("emulated:rtx-5090");
    const auto context =
        Context::open(std::make_shared<NamedDevice>(*device, DeviceIdentity{"GPU-1234/5", "999.1"}));
    ASSERT_FALSE(context.ok());
    EXPECT_NE(context.status().message().find(path + ": expected what 'warpwright check' keeps"),
              std::string::npos);
}

TEST(Verdicts, ARowPassesWhenAllOfItsProblemsDo) {
    using Outcome = CheckResult::Outcome;
    const std::vector<CheckResult> results{
        {"gemm", "a", "m=1", Outcome::passed},
        {"gemm", "a", "m=2", Outcome::failed, "wrong"},
        {"gemm", "a", "m=3", Outcome::failed, "worse"},
        {"gemm", "a", "m=4", Outcome::passed},
        {"gemm", "b", "m=1", Outcome::refused},
        {"gemm", "c", "m=1", Outcome::passed},
        {"gemm", "c", "m=2", Outcome::refused},
        {.op = "gemm", .row = "d", .problem = "m=1", .outcome = Outcome::failed, .tried = false},
        {.op = "gemm", .row = "c", .problem = "m=3", .outcome = Outcome::failed, .tried = false}};
    const auto verdicts = verdicts_of(results);
    ASSERT_EQ(verdicts.size(), 2u);
    EXPECT_EQ(verdicts[0].row, "a");
    EXPECT_FALSE(verdicts[0].passed);
    EXPECT_EQ(verdicts[0].text, "m=2: wrong");
    EXPECT_EQ(verdicts[1].row, "c");
    EXPECT_TRUE(verdicts[1].passed);
}

// The same results, in the same order, by however many workers.
TEST(Workers, ResultsAreThoseOfOne) {
    const auto context = *Context::open("cpu");
    for (const OperationCheck* check : operation_checks()) {
        if (check->op() != "gated_activation" && check->op() != "rope") continue;
        CheckAnswers one_answers, many_answers;
        int steps = 0;
        const auto one = check->run(*context, {}, one_answers);
        const auto many = check->run(
            *context, {.num_workers = 5, .progress = [&](const CheckResult&) { return ++steps > 0; }},
            many_answers);
        EXPECT_EQ(steps, check->num_checks(context->target().facts, {}));
        ASSERT_EQ(one.size(), many.size());
        for (std::size_t i = 0; i < one.size(); ++i) {
            EXPECT_EQ(one[i].row, many[i].row);
            EXPECT_EQ(one[i].problem, many[i].problem);
            EXPECT_EQ(one[i].outcome, many[i].outcome);
            EXPECT_EQ(one[i].text, many[i].text);
            EXPECT_EQ(one[i].error, many[i].error);
            EXPECT_EQ(one[i].input_digest, many[i].input_digest);
            EXPECT_EQ(one[i].output_digest, many[i].output_digest);
        }
        EXPECT_EQ(context->forced(check->op()), "");
    }
}

TEST(Workers, WhatATaskThrowsComesOut) {
    for (const int num_workers : {1, 4}) {
        std::atomic<int> ran{0};
        EXPECT_THROW(run_parallel(num_workers, 1000,
                                  [&](int, int index) {
                                      ++ran;
                                      if (index == 3) throw std::bad_alloc();
                                      std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                  }),
                     std::bad_alloc);
        EXPECT_LT(ran, 1000);
    }
}

TEST(Report, HoldsTheGpuAndNothingOfItsOwner) {
    const auto context = *Context::open("emulated:rtx-5090");
    const std::vector<CheckResult> results{{"gemm", "a", "m=1", CheckResult::Outcome::passed}};
    const auto json =
        check_report(*context, results, {.device = "cuda:0", .command = "warpwright check", .seconds = 3});
    EXPECT_EQ(json["facts"]["compute_capability"], 120);
    EXPECT_EQ(json["facts"]["num_sms"], context->target().facts.num_sms);
    EXPECT_EQ(json["results"][0]["outcome"], "passed");
    std::vector<std::string> keys;
    for (const auto& [key, value] : json.items()) keys.push_back(key);
    // A key that is new here must be in the footer of `check --help`, too.
    EXPECT_EQ(keys, (std::vector<std::string>{"device", "target", "gpu", "driver", "facts", "date", "command",
                                              "seed", "contraction", "seconds", "passed", "failed", "refused",
                                              "rows", "results"}));
}

}  // namespace
}  // namespace warpwright
