"""The report's figures: the funnel, distributions of scores, bars of counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lhq_toolkit.report.drawing import Area, Drawing, Line, Rect, Role, Shape, Text, cut_text

WIDTH = 420.0  # pixels of a drawing
BINS = 40
_STEP, _BAR, _NAMES = 46.0, 28.0, 112.0  # of the funnel: from bar to bar, a bar's height, the room for names
_ROW, _LABEL, _COUNT = 22.0, 150.0, 64.0  # of a list of bars
_PLOT = 150.0  # height of a distribution

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Step:
    """A bar of the funnel: photos that reached it, by what became of them."""

    name: str
    kept: int
    rejected: int = 0
    errors: int = 0
    pending: int = 0

    @property
    def reached(self) -> int:
        return self.kept + self.rejected + self.errors + self.pending


def funnel(steps: Sequence[Step]) -> Drawing:
    """The bars of all steps, one below the other, and how the kept of one reach the next."""
    whole = max((step.reached for step in steps), default=0) or 1
    room = WIDTH - _NAMES
    shapes: list[Shape] = []
    for at, step in enumerate(steps):
        top = at * _STEP
        if at + 1 < len(steps):
            here, there = (_NAMES + room * count / whole for count in (step.kept, steps[at + 1].reached))
            low, high = top + _BAR, top + _STEP
            shapes.append(Area([(_NAMES, low), (here, low), (there, high), (_NAMES, high)], "flow"))
        left = _NAMES
        parts: tuple[tuple[int, Role, str], ...] = (
            (step.kept, "kept", "kept"),
            (step.rejected, "rejected", "rejected"),
            (step.errors, "error", "with errors"),
            (step.pending, "pending", "pending"),
        )
        for count, role, word in parts:
            width = room * count / whole
            if count:
                shapes.append(Rect(left, top, max(width, 0.5), _BAR, role, f"{step.name}: {count:,} {word}"))
            left += width
        shapes.append(Text(0, top + 11, cut_text(step.name, _NAMES - 8), bold=True))
        shapes.append(Text(0, top + 25, _kept(step), role="faint", size=11))
    said = "; ".join(f"{step.name}: {_of(step)}" for step in steps)
    return Drawing("funnel", "The funnel", said, WIDTH, (len(steps) - 1) * _STEP + _BAR + 2, shapes)


def _kept(step: Step) -> str:
    return f"{step.kept:,}" if step.kept == step.reached else f"{step.kept:,} of {step.reached:,}"


def _of(step: Step) -> str:
    if step.kept == step.reached:
        return f"{step.kept:,}"
    more = "".join(
        f", {count:,} {word}" for count, word in ((step.errors, "errors"), (step.pending, "pending")) if count
    )
    return f"{step.kept:,} of {step.reached:,} kept, {step.rejected:,} rejected{more}"


def distribution(
    name: str, title: str, values: Floats, kept: Bools, threshold: float | None, words: tuple[str, str]
) -> Drawing:
    """A histogram of values, those kept below those rejected, and the threshold as a line. words: what the two are."""
    low, high = float(values.min()), float(values.max())
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    counts = [np.histogram(values[mask], edges)[0] for mask in (kept, ~kept)]
    most = int((counts[0] + counts[1]).max())
    left, top, bottom = 34.0, 22.0, 22.0 + _PLOT

    def x(value: float) -> float:
        return left + (WIDTH - left - 6) * (value - low) / (high - low)

    shapes: list[Shape] = [
        Line(left, top, WIDTH - 6, top, "grid"),
        Text(left - 4, top + 4, f"{most:,}", role="faint", size=10, anchor="end"),
        Text(left - 4, bottom, "0", role="faint", size=10, anchor="end"),
    ]
    for at in range(BINS):
        base = bottom
        start, end = x(edges[at]), x(edges[at + 1])
        inside, outside = int(counts[0][at]), int(counts[1][at])
        span = f"{_number(edges[at])} to {_number(edges[at + 1])}"
        about = f"{span}: {inside:,} {words[0]}, {outside:,} {words[1]}"
        for count, role in ((inside, "kept"), (outside, "rejected")):
            height = _PLOT * count / most
            if count:
                box = Rect(start + 0.4, base - height, end - start - 0.8, height, role, about)  # type: ignore[arg-type]
                shapes.append(box)
            base -= height
    shapes.append(Line(left, bottom, WIDTH - 6, bottom, "faint"))
    for tick in ticks(low, high):
        shapes += [
            Line(x(tick), bottom, x(tick), bottom + 4, "faint"),
            Text(
                min(max(x(tick), left), WIDTH - 14), bottom + 16, _number(tick), role="faint", size=10, anchor="middle"
            ),
        ]
    said = f"{int(kept.sum()):,} {words[0]}, {int((~kept).sum()):,} {words[1]}, from {_number(low)} to {_number(high)}"
    if threshold is not None:
        place = x(threshold)
        right = place > WIDTH / 2
        shapes += [
            Line(place, top - 6, place, bottom, "ink", 1.5, dashed=True),
            Text(
                place + (-5 if right else 5),
                top - 9,
                f"threshold {_number(threshold)}",
                size=11,
                anchor="end" if right else "start",
            ),
        ]
        said += f"; threshold {_number(threshold)}"
    return Drawing(name, title, said, WIDTH, bottom + 24, shapes)


def bars(name: str, title: str, counts: Sequence[tuple[str, int, int]], words: tuple[str, str]) -> Drawing:
    """One bar per text: how many in the subset, and beyond that how many in all. words: what the two are."""
    most = max((whole for _, _, whole in counts), default=0) or 1
    room = WIDTH - _LABEL - _COUNT
    shapes: list[Shape] = []
    for at, (text, inside, whole) in enumerate(counts):
        top = at * _ROW
        about = f"{text}: {inside:,} {words[0]} of {whole:,} {words[1]}"
        shapes += [
            Text(_LABEL - 8, top + 15, cut_text(text, _LABEL - 8), anchor="end"),
            Rect(_LABEL, top + 4, max(room * whole / most, 0.5), _ROW - 8, "pending", about),
            Rect(_LABEL, top + 4, room * inside / most, _ROW - 8, "kept", about),
            Text(WIDTH, top + 15, f"{inside:,} / {whole:,}", role="faint", size=10, anchor="end"),
        ]
    said = "; ".join(f"{text}: {inside:,} of {whole:,}" for text, inside, whole in counts)
    return Drawing(name, title, f"{words[0]} of {words[1]}: {said}", WIDTH, max(len(counts), 1) * _ROW + 4, shapes)


def ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers between low and high."""
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough)
    return [one * step for one in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
