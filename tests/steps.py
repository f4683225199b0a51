# SPDX-License-Identifier: Apache-2.0
"""The steps of ./test: each prints one line, what failed below it, and at the end the counts of all.

A step is a function that adds its results to a Report. Single test cases are read from the reports that
GoogleTest and unittest write; a check counts as one.
"""
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
REPORTS = BUILD / "reports"
TEST_JOBS = 2
LINT_SECONDS = 180
FAILURE_LINES = 40  # shown of one failure; all of it is in the reports
LINE_CHARACTERS = 200
CLANG_FORMAT_VERSION = 14

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "structure")]
import check  # noqa: E402
import emulated_rows  # noqa: E402


class Report:
    """What the steps found. Names of cases are "folder.Suite.case" or "step.check"."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = collections.defaultdict(list)  # reason -> names

    def passes(self, count=1):
        self.passed += count

    def fails(self, name, text=""):
        self.failed.append(name)
        lines = text.strip("\n").split("\n")
        print(f"  FAILED {name}")
        for line in lines[:FAILURE_LINES]:
            print(f"    {line[:LINE_CHARACTERS]}" if line else "")
        if len(lines) > FAILURE_LINES:
            print(f"    ... {len(lines) - FAILURE_LINES} more lines")

    def skips(self, name, reason):
        self.skipped[reason].append(name)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        for reason, names in other.skipped.items():
            self.skipped[reason] += names

    def counts(self):
        return self.passed, len(self.failed), sum(map(len, self.skipped.values()))


def timed(name, step, report):
    """Runs a step and prints its line; what it prints itself (failures, progress) comes before."""
    started = time.monotonic()
    passed, failed, skipped = report.counts()
    note = step(report) or ""
    after = report.counts()
    print_line(name, after[1] == failed, time.monotonic() - started, after[0] - passed, after[2] - skipped, note)


def print_line(name, is_ok, seconds, passed, skipped, note=""):
    counts = f"{passed} passed" + (f", {skipped} skipped" if skipped else "")
    print(f"{name:<14} {'ok' if is_ok else 'FAILED':<6} {seconds:6.1f} s  {counts}{'; ' + note if note else ''}",
          flush=True)


def output_of(command, **options):
    """The exit status of a command, and what it printed to either stream."""
    done = subprocess.run(command, cwd=ROOT, text=True, errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    return done.returncode, done.stdout


def git(*arguments):
    status, text = output_of(["git", *arguments])
    return text.split() if status == 0 else []


# --- checks without a build ----------------------------------------------------------------------------------


def format_step(report):
    tool = shutil.which(f"clang-format-{CLANG_FORMAT_VERSION}") or shutil.which("clang-format")
    version = output_of([tool, "--version"])[1] if tool else "none"
    if f"version {CLANG_FORMAT_VERSION}." not in version:
        report.skips("format", f"needs clang-format {CLANG_FORMAT_VERSION}, found {version.strip()}")
        return ""
    files = check.Tree(ROOT).having({".h", ".cpp", ".cuh"})
    status, text = output_of([tool, "--dry-run", "-Werror", "--ferror-limit=1", *files])
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", text, re.MULTILINE)))
    if status == 0:
        report.passes()
    else:
        report.fails("format", "\n".join(wrong or [text]) + f"\nto repair: {pathlib.Path(tool).name} -i FILE")
    return f"{len(files)} files"


def structure_step(report):
    tree = check.Tree(ROOT)
    for rule in check.RULES:
        violations = rule(tree)
        if violations:
            report.fails(f"structure.{rule.__name__}", f"rule: {rule.__doc__}\n" + "\n".join(violations))
        else:
            report.passes()
    python_tests(report, "structure")


def python_tests(report, folder):
    """tests/FOLDER/test_*.py by unittest."""
    interpreter = package_python() if folder == "python" else sys.executable
    for path in sorted((ROOT / "tests" / folder).glob("test_*.py")):
        status, text = output_of([interpreter, "-B", "-m", "unittest", "-v", str(path.relative_to(ROOT))])
        count_unittest(report, f"{folder}.{path.stem}", status, text)


def package_python():
    """The Python that tests the Python package: one with NumPy, or named (for PyTorch's tests: one with PyTorch)."""
    named = os.environ.get("WARPWRIGHT_TEST_PYTHON")
    for candidate in [named] if named else [sys.executable, "/usr/bin/python3"]:
        if named or output_of([candidate, "-c", "import numpy"])[0] == 0:
            return candidate
    return sys.executable


def count_unittest(report, name, status, text):
    failures = re.findall(r"^={70}\n(?:FAIL|ERROR): (\S+).*?\n-{70}\n(.*?)(?=^[=-]{70}$)", text,
                          re.MULTILINE | re.DOTALL)
    skipped = re.findall(r"^(\w+) \(.*\.\.\. skipped '(.*)'$", text, re.MULTILINE)
    ran = re.search(r"^Ran (\d+) tests? in", text, re.MULTILINE)
    for case, message in failures:
        report.fails(f"{name}.{case}", message)
    for case, reason in skipped:
        report.skips(f"{name}.{case}", reason)
    if status != 0 and not failures:
        report.fails(name, text)
    if ran:
        report.passes(max(0, int(ran.group(1)) - len(failures) - len(skipped)))


def changed_files():
    """Files that differ from the branch point, or on the main branch from the commit before, and unsaved work."""
    head = git("rev-parse", "HEAD")
    base = next((found for ref in ("origin/main", "main") if (found := git("merge-base", "HEAD", ref))), [])
    if not base or base == head:
        base = git("rev-parse", "--verify", "--quiet", "HEAD~1")
    changed = git("diff", "--name-only", "--diff-filter=d", *base) if base else []
    return sorted(set(changed + git("ls-files", "--others", "--exclude-standard")))


def lint_step(report):
    return lint(report, [name for name in changed_files() if name.endswith(".cpp")], LINT_SECONDS)


def lint_all_step(report):
    return lint(report, check.Tree(ROOT).having({".cpp"}), 24 * 3600)


def lint(report, files, budget_s):
    """clang-tidy over files that the build compiles; what the time does not reach is said, not failed."""
    if files and subprocess.run(["./setup", "test", "--configure-only"], cwd=ROOT).returncode != 0:
        report.fails("lint", "needs a configured build")
        return None
    commands = BUILD / "compile_commands.json"
    text = commands.read_text() if commands.exists() else ""
    files = [name for name in files if f'"{ROOT / name}"' in text]
    until = time.monotonic() + budget_s

    def tidy(name):
        left_s = until - time.monotonic()
        if left_s < 1:
            return None
        # The compiler's own flags and pragmas are GCC's.
        command = ["clang-tidy", "--quiet", "-p", str(BUILD), "--extra-arg=-Wno-unknown-warning-option",
                   "--extra-arg=-Wno-unknown-pragmas", name]
        try:
            return output_of(command, timeout=left_s)
        except subprocess.TimeoutExpired:
            return None

    with concurrent.futures.ThreadPoolExecutor(TEST_JOBS) as pool:
        results = list(pool.map(tidy, files))
    missed = results.count(None)
    findings = {}  # in order, each once: a header's finding comes with every file that includes it
    for status, output in filter(None, results):
        if status != 0:
            parts = re.split(r"^(?=\S+:\d+:\d+: (?:error|warning))", output, flags=re.MULTILINE)
            # What this clang cannot parse of C++20 is no finding: the build's compiler decides that.
            located = [part.replace(f"{ROOT}/", "") for part in parts if part.startswith("/")]
            for part in located or [output]:
                if "[clang-diagnostic-error]" not in part:
                    findings[part] = True
    if findings:
        report.fails("lint", "".join(findings))
    else:
        report.passes()
    note = f"{len(files)} files" if files else "no .cpp changed"
    return note + (f", {missed} not reached in {budget_s} s" if missed else "")


# --- build and tests -----------------------------------------------------------------------------------------


def build_step(report, purpose="test", targets=()):
    sys.stdout.flush()
    if subprocess.run(["./setup", purpose, *targets], cwd=ROOT, stdin=subprocess.DEVNULL).returncode == 0:
        report.passes()
        return True
    report.fails("build" if purpose == "test" else f"build ({purpose})", "the first errors are above")
    return False


def run_ctest(report, folder, selection):
    """Runs the tests of a build folder, a line for each, and counts their cases."""
    reports = folder / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    command = ["ctest", "--test-dir", str(folder), "-j", str(TEST_JOBS), "--output-on-failure",
               "--output-log", str(reports / "ctest.log"), "--no-tests=ignore", *selection]
    finished = re.compile(r"^\s*\d+/\d+ Test\s+#\d+: (\S+) \.+\**\s*(.*?)\s+([\d.]+) sec")
    with subprocess.Popen(command, cwd=ROOT, text=True, errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        output = collections.defaultdict(list)  # of failed tests: it follows their line
        name = None
        tests = []
        for line in process.stdout:
            match = finished.match(line)
            if match:
                name = match.group(1)
                tests.append((name, match.group(2), float(match.group(3))))
                if match.group(2) == "Passed":
                    count_cases(report, reports, *tests[-1], "")
            elif name and not re.match(r"\s+Start\s+\d+: ", line):
                output[name].append(line)
    for test in tests:
        if test[1] != "Passed":
            count_cases(report, reports, *test, "".join(output[test[0]]))
    return len(tests)


def count_cases(report, reports, test, outcome, seconds, output):
    """Reads the report of one test executable; without one (fuzz tests), or failing beside its cases, it is a case."""
    passed, failed, skipped = report.counts()
    path = reports / f"{test}.xml"
    cases = xml.etree.ElementTree.parse(path).iter("testcase") if path.exists() else []
    for case in cases:
        name = f"{test}.{case.get('classname')}.{case.get('name')}"
        failures = [failure.text or failure.get("message") for failure in case.findall("failure")]
        skip = case.find("skipped")
        if failures:
            report.fails(name, "\n".join(failures))
        elif skip is not None or case.get("result") == "skipped":
            report.skips(name, skip_reason(skip))
        elif case.get("status") == "notrun":
            report.skips(name, "disabled in its source")
        else:
            report.passes()
    if outcome == "Passed" and not path.exists():
        report.passes()
    if outcome != "Passed" and report.counts()[1] == failed:
        name = test
        if not path.exists():  # it died: what it printed tells how far it came
            report.passes(len(re.findall(r"^\[       OK \] ", output, re.MULTILINE)))
            started = re.findall(r"^\[ RUN      \] (\S+)", output, re.MULTILINE)
            name = f"{test}.{started[-1]}" if started else test
        tail = "\n".join(output.strip("\n").split("\n")[-FAILURE_LINES + 1:])
        report.fails(name, f"{outcome.strip('*:')}\n{tail}")
    after = report.counts()
    print_line(f"  {test}", after[1] == failed, seconds, after[0] - passed, after[2] - skipped)


def skip_reason(element):
    """The message of GTEST_SKIP, without the place where it stands."""
    text = (element.get("message") or element.text or "") if element is not None else ""
    lines = [line for line in text.strip().split("\n") if line.strip()]
    if len(lines) > 1 and re.match(r"\S+:\d+$", lines[0]):
        lines = lines[1:]
    return " ".join(lines) or "no reason given"


def tests_step(report, labels):
    """Build, then the tests of these labels, or all but the fuzz tests, which run under sanitizers."""
    compiled = folders_with("*.cpp")
    targets = [f"test_{label}" for label in labels if label in compiled]
    if labels:
        targets.append("warpwright")  # Python tests call it
    if "python" in labels:
        targets += ["warpwright_shared", "warpwright_beside"]
    if "docs" in labels:
        targets.append("predict_cost")
    selection = ["-L", f"^({'|'.join(labels)})$"] if labels else []
    timed("build", lambda report: build_step(report, "test", targets) and None, report)
    if "build" in report.failed:
        return
    timed("tests", lambda report: f"{run_ctest(report, BUILD, selection)} programs", report)
    scripted = [folder for folder in folders_with("test_*.py") if folder != "structure"]
    python_step(report, [folder for folder in scripted if folder in labels or not labels])


def python_step(report, folders):
    """The Python tests of some folders, several at once; contributing, which takes longest, comes first."""
    def run(folder):
        started = time.monotonic()
        own = Report()
        python_tests(own, folder)
        return folder, own, time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(TEST_JOBS) as pool:
        jobs = [pool.submit(run, folder) for folder in sorted(folders, key=lambda name: name != "contributing")]
        for job in concurrent.futures.as_completed(jobs):
            folder, own, seconds = job.result()
            report.add(own)
            passed, failed, skipped = own.counts()
            print_line(f"  {folder}", failed == 0, seconds, passed, skipped)


def emulated_step(report):
    if not (BUILD / "warpwright").exists():
        timed("build", lambda report: build_step(report, "test", ["warpwright"]) and None, report)
    if "build" not in report.failed:
        timed("emulated", lambda report: emulated_rows.step(report, ROOT), report)


def fuzz_step(report):
    """By our own driver, then by libFuzzer the readers of other people's binaries."""
    for name, purpose in (("fuzz", "sanitize"), ("libfuzzer", "fuzzer")):
        sanitized_tests(report, name, purpose, f"^{name}$")


def threads_step(report):
    sanitized_tests(report, "threads", "threads", THREADS)


def sanitized_tests(report, name, purpose, labels):
    """Builds by ./setup PURPOSE, then runs the tests of these labels."""
    timed(f"build ({name})", lambda report: build_step(report, purpose) and None, report)
    if f"build ({purpose})" not in report.failed:
        selection = ["-L", labels]
        timed(name, lambda report: f"{run_ctest(report, ROOT / f'build-{purpose}', selection)} programs", report)


# --- what to run, and the end --------------------------------------------------------------------------------

THREADS = "^(check|device|dispatch|image|library)$"  # the tests that ./setup threads builds
CHECKS = {"format": format_step, "structure": structure_step, "lint": lint_step}


def folders_with(pattern):
    return sorted({path.parent.name for path in (ROOT / "tests").glob(f"*/{pattern}")})


def print_skipped(report):
    for reason, names in sorted(report.skipped.items()):
        print(f"skipped {len(names)}: {reason}")
        print(textwrap.fill(", ".join(names), 110, initial_indent="    ", subsequent_indent="    ",
                            break_long_words=False, break_on_hyphens=False))


def main(arguments):
    labels = sorted({*folders_with("*.cpp"), *folders_with("test_*.py")} - {"fuzz", *CHECKS})
    steps = [*CHECKS, "lint-all", "emulated", "fuzz", "threads"]
    known = [*steps, *labels]
    if arguments == ["--list"]:
        print("steps:  " + " ".join(steps))
        print("labels: " + " ".join(labels))
        return 0
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"test: no step or label {', '.join(unknown)}; known: {' '.join(known)}", file=sys.stderr)
        return 2

    REPORTS.mkdir(parents=True, exist_ok=True)
    report = Report()
    wanted = arguments or [*CHECKS, "emulated", "fuzz"]
    for name, step in CHECKS.items():
        # Lint wants a configured build, and costs most: after the tests.
        if name in wanted and name != "lint":
            timed(name, step, report)
    chosen = [name for name in arguments if name in labels]
    if chosen or not arguments:
        tests_step(report, chosen)
    if "emulated" in wanted:
        emulated_step(report)
    if "fuzz" in wanted:
        fuzz_step(report)
    if "threads" in wanted:
        threads_step(report)
    if "lint" in wanted:
        timed("lint", lint_step, report)
    if "lint-all" in wanted:
        timed("lint-all", lint_all_step, report)

    print_skipped(report)
    if report.failed:
        print("failed: " + ", ".join(report.failed))
    print("{} passed, {} failed, {} skipped".format(*report.counts()))
    return 1 if report.failed else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main(sys.argv[1:]))
