// SPDX-License-Identifier: Apache-2.0
// A report as text, JSON and HTML: groups, escapes, names that are no text.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "inspect/html.h"
#include "inspect/json.h"
#include "inspect/summary.h"
#include "inspect/text.h"

namespace warpwright::inspect {
namespace {

Kernel kernel_named(const std::string& name, int registers) {
    Kernel kernel;
    kernel.name = name;
    kernel.registers = registers;
    return kernel;
}

Image image_for(ImageKind kind, Architecture architecture, std::vector<Kernel> kernels) {
    Image image;
    image.kind = kind;
    image.architecture = architecture;
    image.kernels = std::move(kernels);
    return image;
}

FileReport sample() {
    FileReport file;
    file.path = "a.whl!/pkg/<b>.so";
    file.type = "elf";
    file.bytes = 1'500'000;
    file.images = {image_for(ImageKind::cubin, {90, Suffix::a}, {kernel_named("_Z4multPf", 40)}),
                   image_for(ImageKind::cubin, {80, Suffix::none},
                             {kernel_named("_Z4multPf", 32), kernel_named("plain", 8)}),
                   image_for(ImageKind::ptx, {80, Suffix::none}, {kernel_named("_Z4multPf", -1)})};
    file.images[0].toolkit = "13.0.88 (ptxas)";
    file.images[0].kernels[0].stub = Stub::trap;
    file.images[0].kernels[0].classes.add(InstructionClass::hgmma);
    file.images[1].kernels[0].classes.add(InstructionClass::hmma);
    file.verdicts = {{"a100-80", Runs::native, "machine code", "", 2, {}, 0},
                     {"h100-sxm", Runs::partly, "1 of 2 \"kernels\"", "rebuild", 1, {"plain"}, 1},
                     {"h200", Runs::partly, "1 of 2 \"kernels\"", "rebuild", 1, {"plain"}, 1}};
    return file;
}

std::string page_of(const Report& report) {
    std::vector<Target> targets;
    for (const char* name : {"a100-80", "h100-sxm", "h200"}) targets.push_back(find_target(name).value());
    std::string page;
    write_html(report, {targets, "a & b", "made <by> us"}, [&](const std::string& text) { page += text; });
    return page;
}

TEST(Summary, ImagesByKindAndArchitecture) {
    FileReport file = sample();
    file.images.push_back(file.images[1]);
    const auto groups = group_images(file);
    ASSERT_EQ(groups.size(), 3u);
    EXPECT_EQ(architecture_name(groups[0].kind, groups[0].architecture), "compute_80");
    EXPECT_EQ(architecture_name(groups[1].kind, groups[1].architecture), "sm_80");
    EXPECT_EQ(groups[1].num_images, 2u);
    EXPECT_EQ(groups[1].num_kernels, 4u);
    EXPECT_EQ(architecture_name(groups[2].kind, groups[2].architecture), "sm_90a");
    EXPECT_EQ(groups[2].num_stubs, 1u);
    EXPECT_EQ(groups[2].toolkits, std::vector<std::string>{"13.0.88 (ptxas)"});
}

TEST(Summary, GpusOfOneVerdictStandTogether) {
    const auto groups = group_verdicts(sample());
    ASSERT_EQ(groups.size(), 2u);
    EXPECT_EQ(groups[0].targets, std::vector<std::string>{"a100-80"});
    EXPECT_EQ(groups[1].targets, (std::vector<std::string>{"h100-sxm", "h200"}));
    EXPECT_EQ(groups[1].verdict.fix, "rebuild");
}

TEST(Summary, AKernelOverItsImages) {
    FileReport file = sample();
    file.images[1].link_input = false;
    const auto kernels = group_kernels(file);
    ASSERT_EQ(kernels.size(), 2u);
    EXPECT_EQ(kernels[0].name, "_Z4multPf");
    EXPECT_EQ(kernels[0].architectures, (std::vector<std::string>{"sm_90a", "sm_80", "compute_80"}));
    EXPECT_EQ(kernels[0].min_registers, 32);
    EXPECT_EQ(kernels[0].max_registers, 40);
    EXPECT_EQ(kernels[0].stub, Stub::trap);
    EXPECT_EQ(kernels[0].num_stubs, 1);
    EXPECT_TRUE(kernels[0].classes.has(InstructionClass::hmma) &&
                kernels[0].classes.has(InstructionClass::hgmma));
    file.images[1].link_input = true;  // what the device link read is not loaded
    EXPECT_EQ(group_kernels(file).size(), 1u);
}

TEST(InspectJson, HasWhatIsKnownAndNothingElse) {
    const auto json = to_json(sample());
    EXPECT_EQ(json["images"][0]["arch"], "sm_90a");
    EXPECT_EQ(json["images"][0]["toolkit"], "13.0.88 (ptxas)");
    EXPECT_FALSE(json["images"][1].contains("toolkit"));
    EXPECT_EQ(json["images"][0]["kernels"][0]["demangled"], "mult(float*)");
    EXPECT_EQ(json["images"][0]["kernels"][0]["stub"], "trap");
    EXPECT_FALSE(json["images"][1]["kernels"][1].contains("demangled"));
    EXPECT_FALSE(json["images"][2]["kernels"][0].contains("registers"));
    EXPECT_EQ(json["verdicts"]["h200"]["runs"], "partly");
    EXPECT_EQ(json["verdicts"]["h200"]["kernels"][0], "plain");
}

TEST(InspectJson, AReportIsOneDocumentWhateverItsNames) {
    Report report;
    report.files = {sample(), sample()};
    report.files[1].path = "bad\xff\n\"name\"";
    report.num_files = 7;
    report.refused = {"bomb.zip: \xfe refused"};
    std::string text;
    write_json(report, [&](const std::string& part) { text += part; });
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(json["files"].size(), 2u);
    EXPECT_EQ(json["files"][1]["path"], "bad\xEF\xBF\xBD\n\"name\"");
    EXPECT_EQ(json["num_files"], 7);
    EXPECT_EQ(json["refused"].size(), 1u);
    text.clear();
    write_json({}, [&](const std::string& part) { text += part; });
    EXPECT_TRUE(nlohmann::json::parse(text)["files"].empty());
}

TEST(Html, EscapesWhatComesFromFiles) {
    Report report;
    report.files = {sample()};
    report.files[0].images[1].kernels[1].name = "</script><img src=x onerror=alert(1)>";
    report.files[0].notes = {"a\x1b[31m note"};
    const std::string page = page_of(report);
    EXPECT_EQ(page.find("<img"), std::string::npos);
    EXPECT_NE(page.find("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"), std::string::npos);
    EXPECT_EQ(page.find('\x1b'), std::string::npos);
    EXPECT_NE(page.find("a &amp; b"), std::string::npos);
    EXPECT_NE(page.find("made &lt;by&gt; us"), std::string::npos);
    EXPECT_NE(page.find("&quot;kernels&quot;"), std::string::npos);
}

TEST(Html, OneColumnForGpusThatAgree) {
    Report report;
    report.files = {sample()};
    EXPECT_NE(page_of(report).find("h100-sxm +1<"), std::string::npos);
    EXPECT_NE(page_of(report).find("title=\"h100-sxm, h200\""), std::string::npos);
    report.files[0].verdicts[2].runs = Runs::native;
    EXPECT_EQ(page_of(report).find("title=\"h100-sxm, h200\""), std::string::npos);
}

TEST(Html, NeedsNothingFromElsewhere) {
    Report report;
    report.files = {sample()};
    const std::string page = page_of(report);
    for (const char* reference : {"http:", "https:", "src=", "<link", "@import", "url("})
        EXPECT_EQ(page.find(reference), std::string::npos) << reference;
    EXPECT_NE(page.find("details.file"), std::string::npos) << "the style is missing";
    EXPECT_NE(page.find("function filter"), std::string::npos) << "the script is missing";
}

TEST(InspectText, Figures) {
    EXPECT_EQ(bytes_text(999), "999 B");
    EXPECT_EQ(bytes_text(1'000), "1.0 kB");
    EXPECT_EQ(bytes_text(999'960), "1.0 MB");
    EXPECT_EQ(bytes_text(541'595'600), "541.6 MB");
    EXPECT_EQ(shortened("0123456789", 10), "0123456789");
    EXPECT_EQ(shortened("0123456789abc", 6), "0123 ... bc");
    EXPECT_EQ(short_path("x.whl!/vllm/_C.abi3.so"), "vllm/_C.abi3.so");
    EXPECT_EQ(short_path("_C.abi3.so"), "_C.abi3.so");
    EXPECT_EQ(short_path("/lib.so"), "/lib.so");
}

}  // namespace
}  // namespace warpwright::inspect
