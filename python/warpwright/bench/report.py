# SPDX-License-Identifier: Apache-2.0
"""Figures of a comparison as fixed-width lines, geometric means, and an SVG chart."""

from __future__ import annotations

import html
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Iterable, Optional


@dataclass
class Case:
    """One problem: our time and its peers', in microseconds."""

    op: str
    problem: str
    us: float
    gb_s: float  # bytes that must move, over our time
    tflops: float
    peers: dict[str, float] = field(default_factory=dict)

    @property
    def best_peer(self) -> str:
        """The fastest one's name; "-" where there is none."""
        return min(self.peers, key=self.peers.__getitem__) if self.peers else "-"

    @property
    def ratio(self) -> float:
        """The fastest peer's time over ours, more than 1 where ours is faster; NaN without a peer."""
        return self.peers.get(self.best_peer, math.nan) / self.us

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "peer": self.best_peer, "ratio": self.ratio if self.peers else None}


def case_of(figures: dict[str, Any]) -> Case:
    """A case of a results file, ours or that of ``warpwright bench --out``."""
    peers = figures.get("peers") or {}
    if not peers and figures.get("peer_us"):
        peers = {figures["peer"]: figures["peer_us"]}
    return Case(
        figures["op"], figures["problem"], figures["us"], figures["gb_s"], figures.get("tflops", 0.0), peers
    )


def width_of(names: Iterable[tuple[str, str]]) -> int:
    """Of the first column: these operations and problems fit."""
    return max((len(f"{op} {problem}") for op, problem in names), default=0)


def heading(width: int) -> str:
    return f"{'problem':<{width}} {'us':>9} {'GB/s':>6} {'TFLOPS':>7} {'peer us':>9} {'x peer':>7}  peer"


def line(case: Case, width: int) -> str:
    name = f"{case.op} {case.problem}"
    tflops = f"{case.tflops:.1f}" if case.tflops else "-"
    peer_us = f"{case.peers[case.best_peer]:.2f}" if case.peers else "-"
    ratio = f"{case.ratio:.2f}" if case.peers else "-"
    ours = f"{name:<{width}} {case.us:>9.2f} {case.gb_s:>6.0f} {tflops:>7}"
    return f"{ours} {peer_us:>9} {ratio:>7}  {case.best_peer}"


def geometric_mean(values: Iterable[float]) -> Optional[float]:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else None


def means(cases: list[Case]) -> dict[str, dict[str, Any]]:
    """Per operation and over all: how many cases have a peer, the geometric mean of `ratio`, the lowest."""
    found = {}
    for op in [*dict.fromkeys(case.op for case in cases), "all"]:
        ratios = [case.ratio for case in cases if op in (case.op, "all") and case.peers]
        if ratios:
            found[op] = {
                "cases": len(ratios),
                "geometric_mean": geometric_mean(ratios),
                "lowest": min(ratios),
            }
    return found


def mean_lines(cases: list[Case]) -> list[str]:
    lines = [
        f"{'operation':<22} {'cases':>5} {'x peer':>8} {'lowest':>8}   (geometric mean: peer's time / ours)"
    ]
    for op, mean in means(cases).items():
        lines.append(f"{op:<22} {mean['cases']:>5} {mean['geometric_mean']:>8.3f} {mean['lowest']:>8.3f}")
    return lines


# ---- the chart: a bar for each problem, its length our speed over the fastest peer's
# -------------------------

_WIDTH, _ROW, _TOP = 400, 18, 54
_LETTER = 5.9  # how wide one is, on average
_LARGEST = 2.0  # where longer bars end
_COLORS = ("#4878a8", "#b05a3c")  # at least as fast, slower


def svg(cases: list[Case], title: str) -> str:
    shown = [case for case in cases if case.peers]
    height = _TOP + _ROW * len(shown) + 24
    left = 20 + int(_LETTER * width_of((case.op, case.problem) for case in shown))
    right = 60 + int(_LETTER * max((len(case.best_peer) for case in shown), default=0))
    at = lambda ratio: left + _WIDTH * min(ratio, _LARGEST) / _LARGEST
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + _WIDTH + right}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="8" y="20" font-size="14">{html.escape(title)}</text>',
        '<text x="8" y="38" fill="#555">speed of the fastest peer = 1; longer is faster</text>',
    ]
    for tick in (0.5, 1.0, 1.5, 2.0):
        x = at(tick)
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="{_TOP - 6}" y2="{height - 20}" '
            f'stroke="{"#333" if tick == 1 else "#ddd"}"/>'
        )
        parts.append(f'<text x="{x}" y="{height - 6}" text-anchor="middle" fill="#555">{tick:g}</text>')
    for index, case in enumerate(shown):
        y = _TOP + index * _ROW
        name = html.escape(f"{case.op} {case.problem}")
        parts.append(f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{name}</text>')
        parts.append(
            f'<rect x="{left}" y="{y + 2}" width="{at(case.ratio) - left:.1f}" height="{_ROW - 5}" '
            f'fill="{_COLORS[case.ratio < 1]}"/>'
        )
        parts.append(f'<text x="{at(case.ratio) + 5:.1f}" y="{y + 12}">{case.ratio:.2f}</text>')
        peer = html.escape(case.best_peer)
        parts.append(f'<text x="{left + _WIDTH + 40}" y="{y + 12}" fill="#555">{peer}</text>')
    return "\n".join([*parts, "</svg>", ""])
