#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders docs/probe.md: the example, by build/warpwright; the rules of data/advice.toml; the variables of
data/variables.toml.

    python3 tools/render_probe.py          writes it
    python3 tools/render_probe.py --check  exits 1 when the file is not what would be written
"""
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "probe.md"
EXAMPLE = "tests/probe/machines/workstation-4x-rtx-pro-6000.json"


def cell(text):
    return text.replace("|", "\\|")


def link(source):
    """"https://github.com/vllm-project/vllm/issues/1" -> "[vllm#1](...)"; a source that is no address stays."""
    if not source.startswith("https://"):
        return cell(source)
    parts = source.removeprefix("https://").rstrip("/").split("/")
    is_thread = parts[0] == "github.com" and len(parts) == 5 and parts[3] in ("issues", "pull")
    name = f"{parts[2]}#{parts[4]}" if is_thread else parts[2] if parts[0] == "github.com" and len(parts) > 2 else parts[0]
    return f"[{name}]({source})"


def example():
    command = [ROOT / "build" / "warpwright", "probe", "--machine", EXAMPLE]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return f"    build/warpwright probe --machine {EXAMPLE}\n\n```\n{done.stdout}```\n"


def rules():
    lines = ["| rule | topic | weight | when | sources |", "|---|---|---|---|---|"]
    for rule in tomllib.loads((ROOT / "data" / "advice.toml").read_text())["rule"]:
        sources = ", ".join(map(link, rule["sources"]))
        lines.append(f"| `{rule['id']}` | {rule['topic']} | {rule['weight']} | {cell(rule['when'])} | {sources} |")
    return f"{len(lines) - 2} rules.\n\n" + "\n".join(lines) + "\n"


def variables():
    lines = ["| variable | of | kind | does |", "|---|---|---|---|"]
    for one in tomllib.loads((ROOT / "data" / "variables.toml").read_text())["variable"]:
        lines.append(f"| [`{one['name']}`]({one['source']}) | {one['of']} | {one['kind']} | {cell(one['does'])} |")
    return f"{len(lines) - 2} variables.\n\n" + "\n".join(lines) + "\n"


def rendered(page):
    for name, make in (("example", example), ("rules", rules), ("variables", variables)):
        begin, end = f"<!-- {name}: by tools/render_probe.py -->\n", f"<!-- end of {name} -->\n"
        if begin not in page or end not in page:
            raise SystemExit(f"docs/probe.md: no place for {name}")
        page = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: begin + make() + end, page, flags=re.DOTALL)
    return page


def main():
    page = PAGE.read_text()
    wanted = rendered(page)
    if "--check" in sys.argv[1:]:
        return int(page != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
