"""A leaderboard's figures: points and lines over two axes, either of them logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lhq_toolkit.report.drawing import Curve, Drawing, Line, Rect, Role, Shape, Text, cut_text
from lhq_toolkit.report.figures import ticks

WIDTH, HEIGHT = 440.0, 250.0  # pixels of a drawing
LEFT, RIGHT, TOP, BOTTOM = 50.0, 14.0, 12.0, 40.0  # around the plot
ENTRIES: tuple[Role, ...] = ("accent", "rejected", "kept", "error", "violet", "olive", "pending")  # their colours
MANY = 16  # points of a line, from which on they are small
MARGIN = 0.08  # of a span, beyond its ends


@dataclass(frozen=True)
class Series:
    """Points (x, y, about), joined by a line where `joined`; where `named` what stands before a colon in `about` is
    written beside the point."""

    name: str
    role: Role
    points: Sequence[tuple[float, float, str]]
    joined: bool = True
    named: bool = False


@dataclass(frozen=True)
class Axis:
    """What an axis tells. at: the places of its marks; None: round numbers."""

    title: str
    logarithmic: bool = False
    at: Sequence[float] | None = None


@dataclass(frozen=True)
class Chart:
    """A drawing, and what its colours mean; none for one series alone, and for what is named in the drawing."""

    drawing: Drawing
    legend: list[tuple[Role, str]]


@dataclass(frozen=True)
class _Scale:
    """From values to pixels."""

    axis: Axis
    low: float  # of the values, their logarithms where the axis is logarithmic
    high: float
    start: float  # pixels
    end: float

    def at(self, value: float) -> float:
        value = math.log10(value) if self.axis.logarithmic else value
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def marks(self) -> list[float]:
        if self.axis.at is not None:
            return list(self.axis.at)
        if not self.axis.logarithmic:
            return ticks(self.low, self.high)
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        every = [step * 10.0**power for power in powers for step in (1, 2, 5)]
        inside = [value for value in every if self.low <= math.log10(value) <= self.high]
        return inside if len(inside) > 2 else ticks(10**self.low, 10**self.high)


def chart(name: str, title: str, series: Sequence[Series], x: Axis, y: Axis) -> Chart:
    """One figure of all series; none may be empty, and what stands on a logarithmic axis is above 0."""
    points = [point for one in series for point in one.points]
    across = _scale(x, [point[0] for point in points], LEFT, WIDTH - RIGHT)
    up = _scale(y, [point[1] for point in points], HEIGHT - BOTTOM, TOP)
    shapes = _axes(across, up)
    for one in series:
        places = [(across.at(at), up.at(value)) for at, value, _ in one.points]
        half = 3.5 if len(places) <= MANY else 1.5
        if one.joined and len(places) > 1:
            shapes.append(Curve(places, one.role))
        for (left, top), (_, _, about) in zip(places, one.points, strict=True):
            shapes.append(Rect(left - half, top - half, 2 * half, 2 * half, one.role, about))
    shapes += _names([one for one in series if one.named], across, up)
    told = [", ".join(about for _, _, about in one.points) for one in series]
    said = "; ".join(text if one.named else f"{one.name}: {text}" for one, text in zip(series, told, strict=True))
    legend = [(one.role, one.name) for one in series if not one.named] if len(series) > 1 else []
    return Chart(Drawing(name, title, said, WIDTH, HEIGHT, shapes), legend)


def _scale(axis: Axis, values: Sequence[float], start: float, end: float) -> _Scale:
    places = [math.log10(value) if axis.logarithmic else value for value in values]
    low, high = min(places), max(places)
    margin = MARGIN * (high - low) or 0.1 * abs(high) or 0.5
    return _Scale(axis, low - margin, high + margin, start, end)


def _axes(across: _Scale, up: _Scale) -> list[Shape]:
    base, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    shapes: list[Shape] = []
    for value in up.marks():
        top = up.at(value)
        shapes.append(Line(LEFT, top, right, top, "grid"))
        shapes.append(Text(LEFT - 6, top + 3.5, number(value), role="faint", size=10, anchor="end"))
    shapes.append(Line(LEFT, base, right, base, "faint"))
    for value in across.marks():
        place = across.at(value)
        shapes.append(Line(place, base, place, base + 4, "faint"))
        shapes.append(Text(place, base + 16, number(value), role="faint", size=10, anchor="middle"))
    shapes.append(Text((LEFT + right) / 2, HEIGHT - 6, across.axis.title, role="faint", size=11, anchor="middle"))
    return shapes


def _names(series: Sequence[Series], across: _Scale, up: _Scale) -> list[Shape]:
    """Names of points beside them, on the side with room, moved down where two would lie upon each other."""
    shapes: list[Shape] = []
    taken: list[tuple[float, float]] = []
    every = [point for one in series for point in one.points]
    for at, value, about in sorted(every, key=lambda point: -up.at(point[1])):
        left, top = across.at(at), up.at(value) + 4
        while any(abs(top - other) < 12 and abs(left - place) < 120 for place, other in taken):
            top -= 12
        taken.append((left, top))
        on_left = left > (LEFT + WIDTH) / 2
        place = left - 8 if on_left else left + 8
        name = cut_text(about.partition(":")[0], 150, 11)
        shapes.append(Text(place, top, name, size=11, anchor="end" if on_left else "start"))
    return shapes


def number(value: float) -> str:
    """Short, as it stands beside an axis."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
