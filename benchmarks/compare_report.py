"""Format the figures of compare.py: medians, quartiles and an SVG chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import median, quantiles


class Figures:
    """The results of all rounds of one measurement."""

    def __init__(self, values: Sequence[float]) -> None:
        self.median = median(values)
        self.low, _, self.high = quantiles(values, method="inclusive")

    @property
    def quartiles(self) -> str:
        return f"{self.low:,.0f}–{self.high:,.0f}"


STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .n { font-size: 11px }
.c0 { fill: #0969da } .c1 { fill: #bf8700 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
"""


def draw_chart(bars: Mapping[str, Sequence[float]], legend: Sequence[str]) -> str:
    """Return an SVG with a group of horizontal bars for each name, for light and dark pages."""
    left, width, group = 275, 380, 46
    scale = width / max(max(values) for values in bars.values())
    height = 40 + group * len(bars)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" role="img">']
    parts += ["<title>Microseconds per request, in process</title>", f"<style>{STYLE}</style>"]
    for n, name in enumerate(legend):
        x = left + 90 * n
        parts.append(f'<rect class="c{n}" x="{x}" y="10" width="12" height="12" rx="2"/>')
        parts.append(f'<text x="{x + 18}" y="21">{escape(name)}</text>')
    parts.append(f'<text x="{left + 90 * len(legend) + 18}" y="21">µs per request</text>')
    for row, (name, values) in enumerate(bars.items()):
        y = 38 + group * row
        parts.append(f'<text x="{left - 10}" y="{y + 22}" text-anchor="end">{escape(name)}</text>')
        for n, value in enumerate(values):
            top, length = y + 18 * n, value * scale
            bar = f'x="{left}" y="{top}" width="{length:.1f}" height="15" rx="2"'
            parts.append(f'<rect class="c{n}" {bar}/>')
            number = f'x="{left + length + 6:.1f}" y="{top + 12}"'
            parts.append(f'<text class="n" {number}>{value:,.0f}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
