#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders data/failures.toml into the table of docs/diagnose.md.

    python3 tools/render_failures.py          writes it
    python3 tools/render_failures.py --check  exits 1 when the file is not what would be written
"""
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "diagnose.md"
MARK = "<!-- data/failures.toml, by tools/render_failures.py -->\n"


def gpus(failure):
    names = ", ".join(f"SM{capability}" for capability in failure.get("architectures", []))
    return (names or "any") + (" (with `--gpu`)" if failure.get("needs_gpu") else "")


def link(reference):
    """"https://github.com/vllm-project/vllm/issues/1" -> "[vllm#1](...)"."""
    parts = reference.removeprefix("https://").split("/")
    is_thread = parts[0] == "github.com" and len(parts) == 5 and parts[3] in ("issues", "pull")
    text = f"{parts[2]}#{parts[4]}" if is_thread else parts[2] if parts[0] == "github.com" and len(parts) > 2 else parts[0]
    return f"[{text}]({reference})"


def table(failures):
    lines = ["| id | library | GPUs | cause | reference |", "|---|---|---|---|---|"]
    for failure in failures:
        library = failure.get("library") or failure.get("of") or "named by the lines around"
        cause = re.sub(r"\{(\w+)\}", r"*\1*", failure["cause"]).replace("|", "\\|")
        confidence = "" if failure["confidence"] == "reported" else f" *({failure['confidence']})*"
        lines.append(f"| `{failure['id']}` | {library} | {gpus(failure)} | {cause}{confidence} | {link(failure['references'][0])} |")
    return "\n".join(lines) + "\n"


def rendered(page, failures):
    head = page.split(MARK)[0]
    counts = {kind: sum(f["confidence"] == kind for f in failures) for kind in ("verified", "reported", "disputed")}
    summary = (
        f"{len(failures)} failures: {counts['verified']} verified, {counts['reported']} reported, {counts['disputed']} disputed. "
        "In the order of the search: of those that match a line, the first is shown.\n\n"
    )
    return head + MARK + summary + table(failures)


def main():
    failures = tomllib.loads((ROOT / "data" / "failures.toml").read_text())["failure"]
    page = PAGE.read_text()
    wanted = rendered(page, failures)
    if "--check" in sys.argv[1:]:
        return int(page != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
