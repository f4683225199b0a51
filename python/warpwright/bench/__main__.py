# SPDX-License-Identifier: Apache-2.0
"""Our operations as Python calls them, PyTorch's kernels, and every peer that imports (flash_attn,
flashinfer, deep_gemm, vllm): the same problems as ``warpwright bench``, the same inputs, in the same run.

Timed like everything of this project: the median of nine replays of a captured CUDA graph of at least 20
launches, over rotating buffers of at least four times the L2, random data.

    python -m warpwright.bench --quick
    python -m warpwright.bench --set full --json results.json --svg results.svg
    python -m warpwright.bench --show docs/results/2026-11-27_h100-sxm_bench.json --svg results.svg
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import pathlib
import subprocess
import sys
from typing import Any, Iterator

import warpwright
from warpwright.__main__ import binary

from . import report

SEED = 5


def peers_folder() -> pathlib.Path:
    """peers.py and peer_packages.py: beside this file in a wheel, in bench/ of a checkout."""
    here = pathlib.Path(__file__).resolve().parent
    return here if (here / "peers.py").exists() else here.parents[2] / "bench"


def load_peers(has_compile: bool) -> Any:
    sys.path.insert(0, str(peers_folder()))
    import peers

    peers.OPTIONS = argparse.Namespace(compile=has_compile)
    return peers


def problems(selected_set: str, op: str | None) -> list[tuple[str, str]]:
    """(operation, problem) of the set, as ``warpwright bench --list`` has them."""
    command = [binary(), "bench", "--list", "--set", selected_set, *(["--op", op] if op else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return [(name, problem) for name, _, problem in lines]


def measure(peers: Any, selected: list[tuple[str, str]]) -> Iterator[report.Case]:
    import torch

    from .ours import our_call

    for op, problem in selected:
        torch.manual_seed(SEED)  # the same inputs for everybody
        ours = our_call(op, problem)
        us = peers.time_us(ours.make, ours.call, ours.bytes_moved)
        case = report.Case(op, problem, us, ours.bytes_moved / us * 1e-3, ours.flops / us * 1e-6)
        torch.manual_seed(SEED)
        case.peers.update(peers.results(op, problem))
        yield case
        del ours
        torch.cuda.empty_cache()


def head(peers: Any) -> dict[str, Any]:
    import torch

    query = subprocess.run(
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True
    )
    absent = peers.peer_packages.load()
    return {
        "gpu": torch.cuda.get_device_name(),
        "driver": query.stdout.strip().split("\n")[0],
        "date": datetime.date.today().isoformat(),
        "warpwright": warpwright.__version__,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "packages": peers.peer_packages.versions(),
        "absent": sorted(absent),
        "method": "median of captured graphs, rotating buffers of at least 4x L2, random data",
    }


def show(facts: dict[str, Any], cases: list[report.Case], arguments: argparse.Namespace) -> None:
    """What follows the lines of the cases."""
    print("\n" + "\n".join(report.mean_lines(cases)))
    title = f"warpwright on {facts['gpu']}, {facts['date']}"
    for name, chart in ((arguments.svg, report.svg), (arguments.means_svg, report.mean_svg)):
        if name:
            pathlib.Path(name).write_text(chart(cases, title))


def show_file(arguments: argparse.Namespace) -> None:
    """Figures that were measured before, by this program or by ``warpwright bench --out``."""
    figures = json.loads(pathlib.Path(arguments.show).read_text())
    cases = [report.case_of(one) for one in figures["cases"] if arguments.op in (None, one["op"])]
    print(f"{figures['gpu']}, {figures['date']}")
    width = report.width_of((case.op, case.problem) for case in cases)
    print("\n".join([report.heading(width), *(report.line(case, width) for case in cases)]))
    show(figures, cases, arguments)


def measure_and_show(arguments: argparse.Namespace) -> None:
    if importlib.util.find_spec("torch") is None:
        sys.exit("warpwright.bench: expected PyTorch, whose kernels are the peers; found none")
    import torch

    if not torch.cuda.is_available():
        sys.exit("warpwright.bench: expected a GPU, found none")
    selected = problems("quick" if arguments.quick else arguments.set, arguments.op)
    peers = load_peers(arguments.compile)
    facts = head(peers)
    packages = "".join(f", {name} {version}" for name, version in facts["packages"].items())
    print(
        f"{facts['gpu']}, driver {facts['driver']}, {facts['date']}; torch {facts['torch']}{packages}; "
        f"not installed: {', '.join(facts['absent']) or 'none'}"
    )
    width = report.width_of(selected)
    print(report.heading(width))
    cases = []
    for case in measure(peers, selected):
        cases.append(case)
        print(report.line(case, width), flush=True)
    show(facts, cases, arguments)
    if arguments.json:
        results = {**facts, "cases": [case.json() for case in cases], "means": report.means(cases)}
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m warpwright.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--set", default="quick", choices=("quick", "full"))
    parser.add_argument("--quick", action="store_true", help="--set quick: within two minutes")
    parser.add_argument("--op", help="this operation only")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile of some operations as a peer, too"
    )
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--svg", help="write a chart of all problems to this file")
    parser.add_argument("--means-svg", help="write a chart of the geometric means to this file")
    parser.add_argument("--show", metavar="FILE", help="measure nothing: the figures of this file")
    arguments = parser.parse_args()
    if arguments.show:
        show_file(arguments)
    else:
        measure_and_show(arguments)


if __name__ == "__main__":
    main()
