#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders what `warpwright libraries` says into docs/libraries: a page for each library, a table of all, one HTML page.

    python3 tools/render_libraries.py          writes them
    python3 tools/render_libraries.py --check  exits 1 when the files are not what would be written
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "libraries"
BINARY = ROOT / "build" / "warpwright"
MADE = "<!-- made by tools/render_libraries.py of data/libraries: not to be edited -->\n"

README = """# Libraries of inference engines, and where they run

Whether a model runs on a GPU is decided below the engine: by the kernel library that it falls through to. Here is each
of those libraries, on each class of GPU, with what we have for the same work. It is data
([data/libraries](../../data/libraries)), shown by the program too:

    warpwright libraries                      the table
    warpwright libraries deep-gemm            one library: the seven sections
    warpwright libraries --gpu rtx-pro-6000   all of them on one GPU, each with its reason
    warpwright libraries --html page.html     one page: the same as [libraries.html](libraries.html)

Every statement has the version it is about, the day its source was read, and the source. *Measured* is what the compiler
named as the version does, or what `warpwright inspect` found in the package named; *reported* is somebody else's word.
Where something else is said in public, it is quoted, with the place. The lines
of what is ours are not written by anybody: the registry is asked for a row on every listed GPU of the class, and the
record of the checks ([docs/results](../results), [data/emulated.toml](../../data/emulated.toml)) says where that row was tried.
A statement older than a year fails a test, and has to be read again.

![The page: libraries by class of GPU, theirs and ours](page.png)
"""


def program(*arguments):
    return subprocess.run([BINARY, "libraries", *arguments], check=True, text=True, stdout=subprocess.PIPE).stdout


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def place(url):
    parts = url.removeprefix("https://").split("/")
    if parts[0] != "github.com" or len(parts) < 3:
        return parts[0]
    is_thread = len(parts) == 5 and parts[3] in ("issues", "pull")
    return f"{parts[2]}#{parts[4]}" if is_thread else parts[2]


def source(fact):
    how = "" if fact["basis"] == "source" else f", {fact['basis']}"
    return f"<sub>{cell(fact['version'])}; {fact['date']}{how}; [{place(fact['source'])}]({fact['source']})</sub>"


def facts(entries):
    lines = []
    for fact in entries:
        lines.append(f"- {fact['text']} {source(fact)}")
        if "claim" in fact:
            lines.append(f"  - Claimed otherwise: “{fact['claim']}” ([{place(fact['claimed_at'])}]({fact['claimed_at']}))")
    return lines


def failure(entry):
    classes = ", ".join(f"SM{capability}" for capability in entry["architectures"]) or "any GPU"
    reference = entry["references"][0]
    return [f"- `{entry['id']}` ({classes}; {entry['confidence']}; [{place(reference)}]({reference})): {entry['cause']}",
            f"  - What helps: {entry['fix']}"]


def fingerprint(entry):
    lines = [f"- `{entry['id']}` of data/fingerprints.toml"]
    for key in ("kernels", "strings", "files"):
        if entry[key]:
            lines.append(f"  - {key}: " + ", ".join(f"`{text}`" for text in entry[key]))
    return lines


def page(library):
    classes = list(library["states"])
    lines = [MADE, f"# {library['name']}", "", f"<{library['repository']}>; {library['version']}", "",
             "| GPUs | state | why | ours |", "|---|---|---|---|"]
    for name in classes:
        state = library["states"][name]
        lines.append(f"| {name} | **{state['state']}** | {cell(state['text'])} {source(state)} "
                     f"| {library['ours'][name]['text']} |")
    lines += ["", f"Ours must give {library['goal']}. Of that and what people take it for, we have:", ""]
    for need in library["ours"][classes[0]]["each"]:
        missing = not need["serves"] and need["text"] == "no operation yet"
        lines.append(f"- {'not yet: ' if missing else ''}{need['need']}")
    for title, key in (("What it is", "what"), ("What it depends on", "depends"), ("SM100 (10.0, 10.3)", "sm100"),
                       ("SM120 (12.0, 12.1)", "sm120")):
        lines += ["", f"## {title}", "", *facts(library[key])]
    lines += ["", "## Common failures", "", "[`warpwright diagnose`](../diagnose.md) finds these in a log.", ""]
    for entry in library["failures"]:
        lines += failure(entry)
    lines += ["", "## Detection", "", "[`warpwright inspect`](../inspect.md) recognises it by these.", ""]
    for entry in library["fingerprints"]:
        lines += fingerprint(entry)
    lines += facts(library["detection"])
    lines += ["", "## References", "", *facts(library["references"])]
    return "\n".join(lines) + "\n"


def index(answer):
    libraries = answer["libraries"]
    classes = list(libraries[0]["states"])
    lines = [MADE + README, "| library | | " + " | ".join(classes) + " |", "|---|---|" + "---|" * len(classes)]
    for library in libraries:
        states = [library["states"][name]["state"] for name in classes]
        ours = [library["ours"][name]["short"] for name in classes]
        lines.append(f"| [{library['name']}]({library['id']}.md) | theirs | " + " | ".join(states) + " |")
        lines.append("| | ours | " + " | ".join(ours) + " |")
    lines.append("")
    for words in (answer["states"], answer["ours"]):
        lines += [f"- *{word}*: {text}" for word, text in words.items()]
    return "\n".join(lines) + "\n"


def rendered():
    """File name: content."""
    answer = json.loads(program("--json"))
    files = {f"{library['id']}.md": page(library) for library in answer["libraries"]}
    files["README.md"] = index(answer)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "page.html")
        program("--html", path)
        files["libraries.html"] = path.read_text(encoding="utf-8")
    return files


def stale(files):
    """Names of what is not as it would be written, or would not be written at all."""
    there = {path.name for path in FOLDER.glob("*") if path.suffix in (".md", ".html")}
    return sorted(there - files.keys()) + [
        name for name, text in sorted(files.items())
        if name not in there or (FOLDER / name).read_text(encoding="utf-8") != text
    ]


def main():
    files = rendered()
    wrong = stale(files)
    if "--check" in sys.argv[1:]:
        if wrong:
            print("stale in docs/libraries:", ", ".join(wrong))
        return int(bool(wrong))
    FOLDER.mkdir(exist_ok=True)
    for name in wrong:
        if name in files:
            (FOLDER / name).write_text(files[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
