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
    group: str = ""  # of problems with one mean; by default the operation

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
        figures["op"],
        figures["problem"],
        figures["us"],
        figures["gb_s"],
        figures.get("tflops", 0.0),
        peers,
        figures.get("group", ""),
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
    """Per group and over all: how many cases have a peer, the geometric mean of `ratio`, the lowest."""
    found = {}
    for name in [*dict.fromkeys(case.group or case.op for case in cases), "all"]:
        ratios = [case.ratio for case in cases if name in (case.group or case.op, "all") and case.peers]
        if ratios:
            mean = {"cases": len(ratios), "geometric_mean": geometric_mean(ratios), "lowest": min(ratios)}
            found[name] = mean
    return found


def mean_lines(cases: list[Case]) -> list[str]:
    lines = [f"{'group':<22} {'cases':>5} {'x peer':>8} {'lowest':>8}   (geometric mean: peer's time / ours)"]
    for name, mean in means(cases).items():
        lines.append(f"{name:<22} {mean['cases']:>5} {mean['geometric_mean']:>8.3f} {mean['lowest']:>8.3f}")
    return lines


# ---- charts: a bar for each row, its length our speed over the fastest peer's -----------------------------

_WIDTH, _ROW, _TOP = 400, 18, 54
_LETTER = 5.9  # how wide one is, on average
_LARGEST = 2.0  # where longer bars end
_COLORS = ("#4878a8", "#b05a3c")  # at least as fast, slower


def svg(cases: list[Case], title: str) -> str:
    """A bar for each problem that has a peer."""
    rows = [(f"{case.op} {case.problem}", case.ratio, case.best_peer) for case in cases if case.peers]
    return _chart(rows, title, "speed of the fastest peer = 1; longer is faster")


def mean_svg(cases: list[Case], title: str) -> str:
    """A bar for each group's geometric mean."""
    rows = []
    for name, mean in means(cases).items():
        note = f"{mean['cases']} problems, lowest {mean['lowest']:.2f}"
        rows.append((name, mean["geometric_mean"], note))
    return _chart(rows, title, "speed of the fastest peer = 1; longer is faster; geometric means")


def _chart(rows: list[tuple[str, float, str]], title: str, subtitle: str) -> str:
    height = _TOP + _ROW * len(rows) + 24
    left = 20 + int(_LETTER * max((len(name) for name, _, _ in rows), default=0))
    right = 60 + int(_LETTER * max((len(note) for _, _, note in rows), default=0))
    at = lambda ratio: left + _WIDTH * min(ratio, _LARGEST) / _LARGEST
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + _WIDTH + right}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="8" y="20" font-size="14">{html.escape(title)}</text>',
        f'<text x="8" y="38" fill="#555">{html.escape(subtitle)}</text>',
    ]
    for tick in (0.5, 1.0, 1.5, 2.0):
        x = at(tick)
        color = "#333" if tick == 1 else "#ddd"
        parts.append(f'<line x1="{x}" x2="{x}" y1="{_TOP - 6}" y2="{height - 20}" stroke="{color}"/>')
        parts.append(f'<text x="{x}" y="{height - 6}" text-anchor="middle" fill="#555">{tick:g}</text>')
    for index, (name, ratio, note) in enumerate(rows):
        y = _TOP + index * _ROW
        bar = f'width="{at(ratio) - left:.1f}" height="{_ROW - 5}" fill="{_COLORS[ratio < 1]}"'
        parts.append(f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(f'<rect x="{left}" y="{y + 2}" {bar}/>')
        parts.append(f'<text x="{at(ratio) + 5:.1f}" y="{y + 12}">{ratio:.2f}</text>')
        note_text = html.escape(note)
        parts.append(f'<text x="{left + _WIDTH + 40}" y="{y + 12}" fill="#555">{note_text}</text>')
    return "\n".join([*parts, "</svg>", ""])
