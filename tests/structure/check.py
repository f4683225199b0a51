#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules about the source tree that no compiler checks: layers, file length, where asm may stand.

A rule is a function from a Tree to the violations it finds, "path:line: what is wrong". Its docstring is its
description, its name is its id. Run alone, this prints every violation and exits 1 when there are any.
"""
import pathlib
import re
import subprocess
import sys

MAX_LINES = 800
CODE = {".h", ".cpp", ".cuh", ".cu"}
SCRIPTS = {".py", ".sh", ".cmake"}

# What a folder may include beside itself and the public headers: includes point downwards only.
DEVICE_SIDE = ["ptx", "tile"]
CORE = ["image", "isa", "formats", "device", "dispatch", "kernels", "ops", "check"] + DEVICE_SIDE
LAYERS = {
    "include": [],
    "ptx": [],
    "tile": ["ptx"],
    "image": [],
    "isa": ["image"],
    "formats": ["image"],
    "device": ["image"],
    "dispatch": ["image", "device"],
    "kernels": ["image", "formats", "device"] + DEVICE_SIDE,
    "ops": ["image", "formats", "device", "dispatch", "kernels"],
    "check": ["image", "formats", "device", "dispatch", "kernels", "ops"],
    "emulator": ["image", "isa", "device"],
    "inspect": ["emulator"] + CORE,
    "bench": CORE,
    "engine": CORE,
    "c": ["engine", "emulator"] + CORE,
    "cli": ["engine", "emulator", "inspect", "bench"] + CORE,
}


class Tree:
    """The files of the project, as text, read once."""

    def __init__(self, root, names=None):
        self.root = pathlib.Path(root)
        self.names = sorted(tracked_files(self.root) if names is None else names)
        self._text = {}

    def text(self, name):
        if name not in self._text:
            self._text[name] = (self.root / name).read_text(encoding="utf-8", errors="replace")
        return self._text[name]

    def having(self, suffixes):
        return [name for name in self.names if pathlib.PurePosixPath(name).suffix in suffixes]

    def scripts(self):
        """Scripts and build files, those without a suffix too."""
        found = self.having(SCRIPTS)
        for name in self.names:
            path = pathlib.PurePosixPath(name)
            if path.name == "CMakeLists.txt" or (path.suffix == "" and self.text(name).startswith("#!")):
                found.append(name)
        return found


def tracked_files(root):
    """Files in git, and those that git would add."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return {name for name in names if name and (root / name).is_file()}


def without(text, pattern):
    """The text with what matches blanked out, lines kept."""
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match.group()), text, flags=re.DOTALL)


COMMENT = r"//[^\n]*|/\*.*?\*/"
STRING = r'"(?:\\.|[^"\\\n])*"'


def code_only(text):
    """Comments and strings blanked out; of the two, what opens first wins."""
    return without(text, rf"{COMMENT}|{STRING}")


def matches(tree, names, pattern, message, prepare=code_only):
    found = []
    for name in names:
        text = prepare(tree.text(name))
        for match in re.finditer(pattern, text, re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{name}:{line}: " + message.format(*match.groups()))
    return found


def layer_of(name):
    """"src/kernels/gemm/rows.h" -> "kernels", "engine/config.h" -> "engine"; None outside of the layers."""
    parts = name.split("/")
    if parts[0] == "src":
        parts = parts[1:]
    return parts[0] if len(parts) > 1 and parts[0] in LAYERS else None


def file_length(tree):
    """no file over 800 lines without a reason in CONTRIBUTING.md, under its rule on length"""
    text = tree.text("CONTRIBUTING.md") if "CONTRIBUTING.md" in tree.names else ""
    rule = re.search(r"^- \*\*Length\.\*\*.*?(?=^- |^$|\Z)", text, re.MULTILINE | re.DOTALL)
    reasons = rule.group() if rule else ""
    found = []
    for name in tree.having(CODE | SCRIPTS) + tree.scripts():
        lines = tree.text(name).count("\n")
        if lines > MAX_LINES and name not in reasons:
            found.append(f"{name}:{lines}: {lines} lines, at most {MAX_LINES}; or give the reason in CONTRIBUTING.md")
    return sorted(set(found))


def asm_only_in_ptx(tree):
    """asm only in src/ptx; the linked image pack in cmake/ is an assembler directive, no instruction"""
    names = [name for name in tree.having(CODE) if not name.startswith(("src/ptx/", "cmake/"))]
    return matches(tree, names, r"\b(asm|__asm__)\b[\s\w]*\(", "{} outside of src/ptx")


def asm_tagged(tree):
    """every asm function in src/ptx has a line "// ptx: FORM | PTX ISA SECTION | MINIMUM TARGET" above it"""
    found = []
    for name in tree.having(CODE):
        if not name.startswith("src/ptx/"):
            continue
        is_tagged = False
        body = False
        for number, line in enumerate(tree.text(name).split("\n"), 1):
            if re.match(r"\s*// ptx: [^|]+\| PTX ISA [\d.]+[^|]*\| (sm_\d+|compute_\d+)", line):
                is_tagged = True
                body = False
            elif re.match(r"\}", line):
                # The end of a function: its tag does not serve the next one.
                is_tagged, body = (False, False) if body else (is_tagged, body)
            if re.search(r"\basm\b[\s\w]*\(", re.sub(rf"{COMMENT}|{STRING}", "", line)):
                body = True
                if not is_tagged:
                    found.append(f"{name}:{number}: asm without a '// ptx: form | PTX ISA section | sm_NN' tag")
    return found


def includes_point_down(tree):
    """includes point downwards: image and device know no kernels, kernels no dispatch, dispatch no kernels"""
    found = []
    for name in tree.having(CODE):
        layer = layer_of(name)
        if layer is None:
            continue
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', tree.text(name), re.MULTILINE):
            line = tree.text(name).count("\n", 0, match.start()) + 1
            path = match.group(1)
            if ".." in path.split("/"):
                found.append(f"{name}:{line}: include {path} from the root of the layers, without ..")
                continue
            to = layer_of(path)
            if to is not None and to != layer and to not in LAYERS[layer]:
                allowed = ", ".join(sorted([layer] + LAYERS[layer]))
                found.append(f"{name}:{line}: {layer} must not include {path}; it may include {allowed}")
    return found


def kernels_without_headers(tree):
    """what NVRTC reads includes no standard, CUDA or CCCL header"""
    names = tree.having({".cuh"})
    names += [name for name in tree.names if re.match(r"src/kernels/.*/(rows|problem)\.h$", name)]
    return matches(tree, names, r"^[ \t]*#[ \t]*include[ \t]*(<[^>]*>)", "{} in a file that NVRTC reads")


def no_architecture_conditionals(tree):
    """no architecture conditional outside of src/ptx"""
    names = [name for name in tree.having(CODE) if name.startswith("src/") and not name.startswith("src/ptx/")]
    return matches(tree, names, r"(__CUDA_ARCH\w*)", "{}: kernels are chosen by row, not by preprocessor")


def no_launch_syntax(tree):
    """no <<<>>>: every launch goes through a device"""
    return matches(tree, tree.having(CODE), r"<<<", "launch syntax; a launch is a call of Device::launch")


def kernels_overlap(tree):
    """every kernel of an operation lets its successor start and waits for its predecessor, once (ptx/launch.cuh)"""
    calls = ["ptx::release_successor();", "ptx::wait_for_predecessor();"]
    found = []
    for name in tree.having({".cuh"}):
        text = code_only(tree.text(name))
        is_launched = "__global__" in text and f"{name.rsplit('/', 1)[0]}/operation.h" in tree.names
        for call in calls if is_launched else []:
            if text.count(call) != 1:
                found.append(f"{name}:1: {call} {text.count(call)} times, expected once")
    return found


def spdx(tree):
    """every source file and script carries its licence line"""
    tag = "SPDX-License-Identifier: Apache-2.0"
    names = set(tree.having(CODE | SCRIPTS) + tree.scripts())
    return [f"{name}:1: no '{tag}' in its first three lines"
            for name in sorted(names) if tag not in "\n".join(tree.text(name).split("\n")[:3])]


def no_machine_paths(tree):
    """no path of one person's machine, nothing read from outside of the project"""
    folders = "|".join(["home", "root", "work", "Users", "mnt"])
    # A sample of a user's log or a path in prose about a foreign system lives in a data folder of a test.
    names = [name for name in tree.having(CODE | SCRIPTS | {".md", ".toml", ".json", ".txt", ".yml"}) + tree.scripts()
             if "/data/" not in name]
    pattern = rf"(?<![\w.}}])(/(?:{folders})/[\w.-]+|\.\./sha" + r"red\b)"
    return sorted(set(matches(tree, names, pattern, "{}: a path of one machine", prepare=str)))


RULES = [file_length, asm_only_in_ptx, asm_tagged, includes_point_down, kernels_without_headers,
         no_architecture_conditionals, no_launch_syntax, kernels_overlap, spdx, no_machine_paths]


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    tree = Tree(root)
    violations = [violation for rule in RULES for violation in rule(tree)]
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
