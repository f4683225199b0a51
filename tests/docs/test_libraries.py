# SPDX-License-Identifier: Apache-2.0
"""docs/libraries shows data/libraries as it is, every reference in it leads somewhere, no statement is older than a year."""
import datetime
import pathlib
import re
import subprocess
import sys
import tomllib
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECTIONS = ("what", "depends", "sm100", "sm120", "detection", "reference")
# One of DESIGN's table for each: the engine's parts, and three engines.
SYSTEMS = {
    "cutlass", "flash-attention-2", "flash-attention-3", "flash-attention-4", "flashinfer", "deep-gemm", "marlin", "triton",
    "transformer-engine", "nccl", "nvshmem", "deep-ep-intranode", "deep-ep-internode", "vllm", "sglang", "tensorrt-llm",
}


def data(name):
    return tomllib.loads((ROOT / "data" / name).read_text(encoding="utf-8"))


def statements():
    for path in sorted((ROOT / "data" / "libraries").glob("*.toml")):
        library = tomllib.loads(path.read_text(encoding="utf-8"))
        for section in (*SECTIONS, "state"):
            for fact in library.get(section, []):
                yield library["id"], section, fact


class Libraries(unittest.TestCase):
    def test_pages_are_rendered(self):
        done = subprocess.run([sys.executable, ROOT / "tools" / "render_libraries.py", "--check"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, f"{done.stdout}{done.stderr}to repair: python3 tools/render_libraries.py")

    def test_facts_are_fresh(self):
        oldest = datetime.date.today() - datetime.timedelta(days=366)
        for library, section, fact in statements():
            self.assertGreaterEqual(fact["date"], oldest, f"{library}, {section}: read {fact['source']} again")
            self.assertLessEqual(fact["date"], datetime.date.today() + datetime.timedelta(days=1))

    def test_every_system_has_every_section(self):
        found = {}
        for library, section, fact in statements():
            found.setdefault(library, set()).add(section)
            for key in ("text", "version", "source"):
                self.assertTrue(fact.get(key), f"{library}, {section}: {key} is missing")
        self.assertEqual(set(found), SYSTEMS)
        for library, sections in found.items():
            self.assertEqual(sections, {*SECTIONS, "state"}, library)

    def test_sources_are_addresses(self):
        for library, section, fact in statements():
            for key in ("source", "claimed_at"):
                if key in fact:
                    self.assertRegex(fact[key], r"^https://[\w.-]+\.\w+/\S*$", f"{library}, {section}")

    def test_references_resolve(self):
        failures = {failure["id"] for failure in data("failures.toml")["failure"]}
        fingerprints = data("fingerprints.toml")
        known = {library["id"] for library in fingerprints["library"]}
        # Work of others' kernels that has no [[work]] is work that no row of ours does yet.
        works = {work["id"] for work in fingerprints["work"]}
        works.update(work for library in fingerprints["library"] for work in library.get("works", []))
        for path in sorted((ROOT / "data" / "libraries").glob("*.toml")):
            library = tomllib.loads(path.read_text(encoding="utf-8"))
            self.assertEqual(library["id"], path.stem)
            self.assertLessEqual(set(library.get("failures", [])), failures, path.name)
            self.assertLessEqual(set(library.get("fingerprints", [])), known, path.name)
            self.assertLessEqual({need["work"] for need in library["need"] if "work" in need}, works, path.name)

    def test_links_between_pages(self):
        folder = ROOT / "docs" / "libraries"
        for page in folder.glob("*.md"):
            for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
                self.assertTrue((folder / link).exists(), f"{page.name}: {link}")


if __name__ == "__main__":
    unittest.main()
