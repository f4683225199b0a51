# SPDX-License-Identifier: Apache-2.0
"""CONTRIBUTING.md's recipes, followed in a copy of the tree: the files they touch are those that it counts, and what they
add is there.

The copy is configured by the project's own build files, of which only what the registry (registry/main.cpp) needs is
compiled, without optimisation. The architecture comes first, since it compiles everything again; every test starts from
there and undoes what it did.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path("tests/contributing")
sys.path.insert(0, str(ROOT / "tests" / "structure"))
import check  # noqa: E402

# What the registry is linked from, of the library's objects.
OBJECTS = re.compile(r"src/dispatch/\w+|src/ops/registry|src/kernels/(.*/cost|kv_format|gemm/groups)|"
                     r"src/image/(cache|compile|encode|file_lock|key|nvrtc|sha256|sources)|embed/\w+/table")
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def counts_of(name):
    """The row of the table: (files created, files edited, lines added)."""
    found = re.findall(rf"^\| an? {re.escape(name)} \| (\d+) \| (\d+) \| (\d+) \|$", GUIDE, re.MULTILINE)
    if len(found) != 1:
        raise AssertionError(f"CONTRIBUTING.md: expected one line '| a {name} | N | N | N |', got {len(found)}")
    return tuple(map(int, found[0]))


def recipe_of(name):
    """The fenced blocks below the recipe's title: (language, text)."""
    section = re.search(rf"^### An? {re.escape(name)}\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", section.group(1) if section else "", re.MULTILINE | re.DOTALL)
    if not blocks:
        raise AssertionError(f"CONTRIBUTING.md: no section '### A {name}' with a recipe")
    return blocks


def patched(text, diff, path):
    """Applies hunks separated by @@: lines that begin with ' ' or '-' must stand in the file, together and once."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        places = [match.start() for match in re.finditer(rf"^(?={re.escape(old)})", text, re.MULTILINE)]
        if len(places) != 1 or not all(line[0] in " +-" for line in lines):
            raise AssertionError(f"CONTRIBUTING.md: not in {path} exactly once:\n{old}")
        text = text[:places[0]] + new + text[places[0] + len(old):]
    return text


class Scratch:
    """A copy of the tree under git, its build, and the registry program made of it."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder) / "tree"
        self.build = pathlib.Path(folder) / "build"
        for name in check.tracked_files(ROOT):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.startswith("models/"):  # large, and no part of any recipe
                path.symlink_to(ROOT / name)
            else:
                shutil.copy2(ROOT / name, path)
        self.git("init", "--quiet")
        self.commit()

    def run(self, *command, allowed=(0,)):
        done = subprocess.run([str(word) for word in command], cwd=self.root, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode not in allowed:
            text = (done.stdout + done.stderr)[-6000:]
            raise AssertionError(f"exit {done.returncode}: {shlex.join(map(str, command))}\n{text}")
        return done

    def git(self, *arguments):
        return self.run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "core.hooksPath=",
                        "-c", "commit.gpgSign=false", *arguments).stdout

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-verify", "--message=tree")

    def undo(self):
        self.git("reset", "--quiet", "--hard")
        self.git("clean", "--quiet", "--force", "-d")

    def follow(self, name):
        """Does what the recipe says."""
        for language, text in recipe_of(name):
            if language == "sh":
                self.run("bash", "-euc", text)
            else:
                path, diff = text.split("\n", 1)
                file = self.root / path
                file.write_text(patched(file.read_text(encoding="utf-8"), diff, path), encoding="utf-8")

    def counts(self):
        """What git sees: (files created, files edited, lines added to the edited ones)."""
        self.git("add", "--all")
        status = self.git("diff", "--cached", "--no-renames", "--name-status").split()
        kinds = dict(zip(status[1::2], status[::2]))
        lines = [line.split("\t") for line in self.git("diff", "--cached", "--no-renames", "--numstat").splitlines()]
        added = sum(int(more) for more, _, path in lines if kinds[path] == "M")
        return (*(list(kinds.values()).count(kind) for kind in "AM"), added)

    def configure(self):
        nvrtc = re.search(r"^WW_NVRTC:FILEPATH=(.*/.*)$", text_of(ROOT / "build/CMakeCache.txt"), re.MULTILINE)
        self.run("cmake", "-G", "Ninja", "-S", self.root, "-B", self.build, "-DCMAKE_BUILD_TYPE=Release",
                 "-DCMAKE_CXX_FLAGS_RELEASE=-O0", "-DWW_TESTS=OFF", "-DWW_PACK=OFF",
                 *([f"-DWW_NVRTC={nvrtc.group(1)}"] if nvrtc else []))
        targets = self.run("ninja", "-C", self.build, "-t", "targets", "all").stdout
        self.objects = re.findall(r"^(CMakeFiles/warpwright_(?:core|data)\.dir/\S+\.o):", targets, re.MULTILINE)
        self.embedded = re.findall(r"^(embed/\w+/files\.o):", targets, re.MULTILINE)
        self.archives = re.findall(r"^(libww_fmt\.a):", targets, re.MULTILINE)  # none where fmt is used as headers

    def objects_of(self, pattern):
        return [name for name in self.objects
                if re.fullmatch(rf"CMakeFiles/warpwright_(?:core|data)\.dir/({pattern})\.cpp\.o", name)]

    def compile(self, *objects):
        self.run("ninja", "-C", self.build, *objects)

    def link(self, output, *sources, libraries=()):
        """Brings the objects of the registry up to date, and links a program of them and these files."""
        self.configure()
        objects = self.objects_of(OBJECTS.pattern) + self.embedded
        self.compile(*objects, *self.archives)
        commands = json.loads(text_of(self.build / "compile_commands.json"))
        command = next(entry["command"] for entry in commands if entry["file"].startswith(f"{self.root}/src/"))
        flags = [word for word in shlex.split(command) if re.match(r"-(I|D|f|W|std)|-isystem", word)]
        flags += [f"-I{self.root}/tests"]
        made = []
        for source in sources:
            made.append(self.build / (source.replace("/", "_") + ".o"))
            self.run(*launcher(command), *flags, "-O0", "-c", self.root / source, "-o", made[-1])
        self.run("g++", *made, *(self.build / name for name in [*objects, *self.archives]), *libraries, "-lzstd", "-lpthread", "-ldl",
                 "-o", self.build / output)

    def registry(self, *arguments, allowed=(0,)):
        return self.run(self.build / "registry", *arguments, allowed=allowed)

    def contents(self):
        """What `registry list` prints, by kind: {"row": {(op, row)}, "image": {(row, target): key}, "target": {...}}"""
        found = {"row": set(), "image": {}, "target": {}}
        for line in self.registry("list").stdout.splitlines():
            kind, *words = line.split()
            if kind == "row":
                found[kind].add(tuple(words))
            else:
                found[kind][tuple(words[:-1]) if kind == "image" else words[0]] = words[-1]
        return found


def text_of(path):
    return path.read_text(encoding="utf-8") if path.exists() else ""


def launcher(command):
    """The compiler of a compile command, with what runs it: "cmake -E env ... ccache c++"."""
    words = shlex.split(command)
    return words[:next(i for i, word in enumerate(words) if re.match(r"-(I|D|f|W|std|O|isystem)", word))]


class RecipesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="warpwright-")
        cls.addClassCleanup(folder.cleanup)
        cls.tree = Scratch(folder.name)
        cls.tree.follow("architecture")
        cls.architecture_counts = cls.tree.counts()
        cls.tree.commit()
        cls.link()
        cls.before = cls.tree.contents()

    @classmethod
    def link(cls):
        cls.tree.link("registry", f"{HERE}/registry/main.cpp")

    def tearDown(self):
        self.tree.undo()

    def add(self, name):
        """Follows the recipe, checks its counts, and returns what the registry holds that it did not hold before."""
        self.tree.follow(name)
        self.assertEqual(self.tree.counts(), counts_of(name), "(created, edited, lines) as counted and as promised")
        self.link()
        after = self.tree.contents()
        for kind, known in self.before.items():
            if isinstance(known, dict):
                changed = [entry for entry in known if after[kind].get(entry) != known[entry]]
            else:
                changed = sorted(known - after[kind])
            self.assertEqual(changed, [], f"{kind}s that were there before and are gone or changed")
        return {kind: sorted(set(after[kind]) - set(known)) for kind, known in self.before.items()}

    def why(self, op, gpu, *settings):
        return json.loads(self.tree.registry("why", op, gpu, *settings).stdout)

    def candidate(self, op, gpu, row, *settings):
        explanation = self.why(op, gpu, *settings)
        found = [candidate for candidate in explanation["candidates"] if candidate["row"] == row]
        self.assertEqual(len(found), 1, f"{row} on {gpu}")
        return found[0]

    def compiles(self, row, build_target):
        done = self.tree.registry("compile", row, build_target, allowed=(0, 3))
        if done.returncode == 3:
            self.skipTest("image not compiled: " + " ".join(done.stderr.split())[:120])
        self.assertRegex(done.stdout, r"^compiled [1-9]\d* registers, 0 bytes spilled$")

    def test_a_row(self):
        row = "rmsnorm.portable.bf16.t128v2"
        added = self.add("row")
        self.assertEqual(added["row"], [("rmsnorm", row)])
        self.assertEqual(added["target"], [])
        build_targets = {target for _, target in self.before["image"]}
        self.assertGreaterEqual(len(build_targets), 6)
        self.assertEqual(set(added["image"]), {(row, target) for target in build_targets})
        self.assertTrue(self.candidate("rmsnorm", "rtx-5090", row, "hidden=2048")["accepted"])
        self.assertEqual(self.candidate("rmsnorm", "rtx-5090", row, "hidden=2056")["text"],
                         "hidden: needs at most 2048, got 2056")
        self.compiles(row, "sm_120f")

    def test_a_kernel(self):
        row = "rmsnorm.onepass.bf16.t128v2"
        added = self.add("kernel")
        self.assertEqual(added, {"row": [("rmsnorm", row)], "image": [(row, "sm_90a")], "target": []})
        self.assertTrue(self.candidate("rmsnorm", "h200", row, "hidden=2048")["accepted"])
        self.assertEqual(self.candidate("rmsnorm", "a100", row, "hidden=2048")["rule"], "architecture")
        # The image is made of the new file: editing it changes this image and no other.
        images = self.tree.contents()["image"]
        with open(self.tree.root / "src/kernels/fused/rmsnorm/onepass.cuh", "a", encoding="utf-8") as file:
            file.write("// edited\n")
        self.link()
        edited = self.tree.contents()["image"]
        self.assertEqual([image for image in images if edited[image] != images[image]], [(row, "sm_90a")])
        self.compiles(row, "sm_90a")

    def test_an_architecture(self):
        self.assertEqual(self.architecture_counts, counts_of("architecture"))
        row = "rmsnorm.sm87.bf16.t256v2"
        self.assertIn(("rmsnorm", row), self.before["row"])
        self.assertEqual(self.before["target"]["jetson-orin"], "sm_87")
        self.assertEqual([target for name, target in self.before["image"] if name == row], ["sm_87"])
        # Every portable row has an image for it, and only GPUs of its range load them.
        portable = {name for name, target in self.before["image"] if target == "sm_80"}
        self.assertEqual(portable | {row}, {name for name, target in self.before["image"] if target == "sm_87"})
        self.assertEqual([name for name, target in self.before["target"].items() if target == "sm_87"],
                         ["jetson-orin"])
        self.assertTrue(self.candidate("rmsnorm", "jetson-orin", row)["accepted"])
        self.assertEqual(self.candidate("rmsnorm", "a100", row)["text"],
                         "architecture: needs compute capability 8.7, a100-80 is compute capability 8.0")
        self.compiles(row, "sm_87")

    def test_a_target(self):
        added = self.add("target")
        self.assertEqual(added, {"row": [], "image": [], "target": ["a40"]})
        explanation = self.why("rmsnorm", "A40")
        self.assertEqual(explanation["target"], "a40")
        self.assertGreater(explanation["chosen"]["predicted_us"], 0)

    def test_the_new_targets_keep_the_rules_of_the_list(self):
        self.tree.follow("target")
        self.tree.link("targets_test", "tests/dispatch/targets_test.cpp", libraries=["-lgtest", "-lgtest_main"])
        self.assertIn("[  PASSED  ]", self.tree.run(self.tree.build / "targets_test").stdout)

    def test_an_operation(self):
        added = self.add("operation")
        rows = {row for op, row in self.before["row"] if op == "embedding"}
        self.assertEqual({row for _, row in added["row"]}, {row.replace("embedding", "groupnorm") for row in rows})
        self.assertEqual(len(added["image"]), sum(name in rows for name, _ in self.before["image"]))
        self.assertTrue(self.why("groupnorm", "h200")["chosen"])
        # Its call, host rows and check compile, and the list of checks asks for it.
        files = self.tree.objects_of(r"src/ops/groupnorm|src/kernels/fused/groupnorm/host|src/check/ops/groupnorm")
        self.assertEqual(len(files), 3)
        [checks] = self.tree.objects_of("src/check/ops/registry")
        self.tree.compile(*files, checks)
        self.assertRegex(self.tree.run("nm", "-C", self.tree.build / checks).stdout, r"U warpwright::groupnorm_check\(\)")
        self.compiles("groupnorm.portable.any", "sm_80")

    def test_a_recipe_that_no_longer_fits_is_noticed(self):
        with self.assertRaisesRegex(AssertionError, "not in a.h exactly once"):
            patched("one\ntwo\n", " three\n+four\n", "a.h")
        with self.assertRaisesRegex(AssertionError, "not in a.h exactly once"):
            patched("one\none\n", " one\n+four\n", "a.h")
        self.assertEqual(patched("one\ntwo\n", "-one\n+four\n@@\n two\n+five\n", "a.h"), "four\ntwo\nfive\n")
        with self.assertRaisesRegex(AssertionError, "expected one line"):
            counts_of("nothing")

    def test_a_file_more_than_counted_is_noticed(self):
        self.tree.follow("row")
        (self.tree.root / "src/ops/more.cpp").write_text("// more\n")
        created, edited, lines = counts_of("row")
        self.assertEqual(self.tree.counts(), (created + 1, edited, lines))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    unittest.main()
