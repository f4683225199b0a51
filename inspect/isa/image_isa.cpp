// SPDX-License-Identifier: Apache-2.0
#include "inspect/isa/image_isa.h"

#include <algorithm>

namespace warpwright::inspect {

namespace {

IsaUse use_of(const JudgedUse& judged, int architecture) {
    IsaUse use;
    use.form = judged.use->spelled;
    use.line = judged.use->line;
    use.count = judged.use->count;
    use.function = judged.use->function;
    if (judged.form == nullptr) return use;
    use.remark = judged.way == isa::Way::illegal
                     ? "needs " + isa::least_text(judged.form->targets, "a newer ptxas than 13.0")
                     : isa::code_text(*judged.form, architecture);
    return use;
}

std::vector<IsaUse> uses_of(const std::vector<JudgedUse>& judged, int architecture) {
    std::vector<IsaUse> uses;
    for (const JudgedUse& one : judged) uses.push_back(use_of(one, architecture));
    return uses;
}

void add_uses(const std::vector<IsaUse>& uses, std::vector<IsaGroup>& groups) {
    for (const IsaUse& use : uses) {
        const auto known =
            std::ranges::find_if(groups, [&](const IsaGroup& group) { return group.use.form == use.form; });
        if (known == groups.end()) {
            groups.push_back({use, 1});
        } else {
            ++known->num_images;
            known->use.count += use.count;
        }
    }
}

}  // namespace

std::vector<ImageIsa> isa_of_image(const PtxText& text, const std::vector<IsaTarget>& targets) {
    std::vector<ImageIsa> found;
    for (const IsaTarget& target : targets) {
        const IsaVerdict verdict = judge_text(text, target);
        ImageIsa one;
        one.target = target.name;
        one.architecture = isa::architectures()[static_cast<size_t>(verdict.architecture)].name;
        one.num_forms = text.uses.size();
        one.why_not = verdict.why_not_as_it_stands;
        one.illegal = uses_of(verdict.illegal, verdict.architecture);
        one.slow = uses_of(verdict.slow, verdict.architecture);
        one.not_measured = uses_of(verdict.unmeasured, verdict.architecture);
        one.needs_isa_version = verdict.version;
        found.push_back(std::move(one));
    }
    return found;
}

std::vector<FileIsa> isa_of_file(const FileReport& file) {
    std::vector<FileIsa> found;
    u64 num_cubins = 0;
    for (const Image& image : file.images) {
        num_cubins += image.kind == ImageKind::cubin ? 1 : 0;
        for (size_t i = 0; i < image.isa.size(); ++i) {
            const ImageIsa& one = image.isa[i];
            if (found.size() == i) found.push_back({one.target});
            FileIsa& all = found[i];
            ++all.num_images;
            if (one.illegal.empty()) {
                ++all.num_legal;
                if (one.why_not.empty())
                    ++all.num_loading;
                else if (all.why_not.empty())
                    all.why_not = one.why_not;
            }
            add_uses(one.illegal, all.illegal);
            add_uses(one.slow, all.slow);
            add_uses(one.not_measured, all.not_measured);
        }
    }
    for (FileIsa& all : found) all.num_cubins = num_cubins;
    return found;
}

}  // namespace warpwright::inspect
